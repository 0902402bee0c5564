"""A further process of a run: it trains what the leading one tells it, and writes and prints nothing."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import BinaryIO

from hydrantic.errors import HydranticError, Interrupted
from hydrantic.processes import Order, Place, Team, launched


class Following(Team):
    """A team as it is seen by a process that its leader has started.

    Arguments:
        place: which process this is.
        order: what the leader has told.
        answers: the file descriptor on which the leader reads.
    """

    def __init__(self, place: Place, order: Order, answers: int) -> None:
        super().__init__(place)
        self._order = order
        self._answers = answers

    def hear(self) -> Order:
        """What the leader has told."""
        return self._order

    def wait(self) -> None:
        """Tell the leader that this process is ready."""
        os.write(self._answers, b"ready\n")


def main() -> int:
    """Follow the leader that has started this process: see `hydrantic.processes`."""
    for number in (signal.SIGINT, signal.SIGTERM):  # whoever leads says when to stop
        signal.signal(number, signal.SIG_IGN)
    orders, answers = os.fdopen(os.dup(0), "rb"), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(nowhere, standard)
    from hydrantic.imports import import_lightning

    import_lightning()
    line = orders.readline()
    if not line:  # nothing came of the run
        return 0
    threading.Thread(target=_end_with, args=(orders,), name="hydrantic-leader", daemon=True).start()
    code = _outcome(line, answers)
    sys.stderr.flush()
    os._exit(code)  # taking down what still waits for a process that has ended could end in a crash


def _outcome(line: bytes, answers: int) -> int:
    try:
        _follow(Order.from_json(line), answers)
    except Interrupted as stop:
        return stop.exit_code
    except Exception as error:  # noqa: BLE001 -- the leader reads the last line
        words = str(error) if isinstance(error, HydranticError) else f"{type(error).__name__}: {error}"
        os.write(2, " ".join(words.split()).encode("utf-8", "backslashreplace") + b"\n")
        return 1
    return 0


def _end_with(orders: BinaryIO) -> None:
    """End this process when the leader has ended, in whatever way: it would wait for it for ever."""
    orders.read()
    os._exit(1)


def _follow(order: Order, answers: int) -> None:
    from hydrantic.build import draft
    from hydrantic.checking import prepare
    from hydrantic.evaluating import evaluate_along
    from hydrantic.fitting import follow
    from hydrantic.process import use_threads
    from hydrantic.project import Project
    from hydrantic.training import Terms

    place = launched()
    assert place is not None  # the leader has set the variables
    if order.threads is not None:
        use_threads(order.threads)
    following = Following(place, order, answers)
    if order.evaluation is not None:
        evaluate_along(order, following)
        return
    drafted = draft(prepare(Path(order.directory) / "blueprint.yaml", project=Project(order.project)))
    follow(drafted, Terms(test=order.test), following)

"""The warm process of a sweep: imports once what every job needs, and forks a process for each job it is told of.

It is a program of its own, `python -m hydrantic.sweeping.warm`, so that nothing of a person's script or notebook runs
in it. A launcher writes it one JSON object per line and reads its answers in the same form:

    {"start": DIRECTORY, "environment": {NAME: VALUE}}    {"started": DIRECTORY, "process": ID}
    {"signal": NUMBER, "job": DIRECTORY}                  {"ended": DIRECTORY, "code": CODE}

When its input ends, because whoever started it has ended in whatever way, it ends its jobs and itself.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import selectors
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, Any, Final, NoReturn

from hydrantic.registries import KINDS, STOCK, entry_points
from hydrantic.sweeping.engine import ERRORS, JOB

GRACE: Final = 30.0
"""Seconds that jobs have for saving their state when nobody is left to wait for them."""

_NEEDED: Final = ("hydrantic.fitting", "hydrantic.build", "hydrantic.checkpoints", "hydrantic.resuming", JOB)
_PARENT_DEATH: Final = 1  # PR_SET_PDEATHSIG of prctl(2)


@dataclass(frozen=True, slots=True)
class Order:
    """A job to be run."""

    directory: Path
    environment: Mapping[str, str]
    """Variables to set for it."""
    imported: IO[bytes] = field(default_factory=tempfile.TemporaryFile)
    """A file without a name, in which it leaves the names of the modules that it had to import."""


@dataclass
class Forker:
    """Forks the jobs that it is told of, and tells of their ends.

    Arguments:
        requests: file descriptor to read orders from.
        answers: file descriptor to write answers to.
    """

    requests: int
    answers: int
    _jobs: dict[int, Order] = field(default_factory=dict)
    _unread: bytes = b""
    _has_rehearsed: bool = False

    def serve(self) -> Order | None:
        """Fork until the requests end.

        Returns:
            In each forked process, the job that it has to run; None in the first process, when all is over.
        """
        wakeup, signals = os.pipe()
        os.set_blocking(signals, False)
        signal.set_wakeup_fd(signals, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _only_wake_up)
        with selectors.DefaultSelector() as selector:
            selector.register(self.requests, selectors.EVENT_READ)
            selector.register(wakeup, selectors.EVENT_READ)
            while True:
                ready = {key.fd for key, _ in selector.select()}
                if wakeup in ready:
                    os.read(wakeup, 4096)
                    for order in self._tell_ended():
                        learn(order.imported)
                if self.requests in ready:
                    lines = self._read()
                    if lines is None:
                        return None
                    for request in lines:
                        if (mine := self._obey(request)) is not None:
                            selector.close()
                            _close(wakeup, signals, self.requests, self.answers)
                            return mine

    def _read(self) -> list[dict[str, Any]] | None:
        data = os.read(self.requests, 65536)
        if not data:
            return None
        *lines, self._unread = (self._unread + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def _obey(self, request: Mapping[str, Any]) -> Order | None:
        if "signal" in request:
            self._signal(Path(request["job"]), request["signal"])
            return None
        order = Order(Path(request["start"]), request["environment"])
        if not self._has_rehearsed:
            self._has_rehearsed = True
            rehearse(order.directory)
        process = os.fork()
        if not process:
            return order
        self._jobs[process] = order
        self._answer(started=str(order.directory), process=process)
        return None

    def _signal(self, directory: Path, number: int) -> None:
        for process, order in self._jobs.items():
            if order.directory == directory:
                send(process, number)

    def _tell_ended(self) -> list[Order]:
        over = []
        for process, order in list(self._jobs.items()):
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                over.append(self._jobs.pop(process))
                send(process, signal.SIGKILL)  # what it has left behind, such as the workers of a loader
                self._answer(ended=str(order.directory), code=os.waitstatus_to_exitcode(status))
        return over

    def _answer(self, **answer: Any) -> None:
        with contextlib.suppress(BrokenPipeError):  # nobody listens any more; the requests will end too
            os.write(self.answers, json.dumps(answer).encode() + b"\n")

    def end_all(self) -> None:
        """Have every job save its state and stop; what is left after the grace period is killed."""
        for number, seconds in ((signal.SIGTERM, GRACE), (signal.SIGKILL, GRACE)):
            for process in self._jobs:
                send(process, number)
            until = time.monotonic() + seconds
            while self._jobs and time.monotonic() < until:
                self._tell_ended()
                time.sleep(0.02)


def _only_wake_up(number: int, frame: FrameType | None) -> None:
    """The signal's number reaches the selector through the wake-up descriptor."""


def send(process: int, number: int) -> None:
    """Send a signal to a job; SIGKILL also goes to every process that it has started.

    Anything else reaches the job alone: it decides what becomes of its own processes.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if number == signal.SIGKILL:
            os.killpg(process, number)
        else:
            os.kill(process, number)


def _close(*files: int) -> None:
    for each in files:
        os.close(each)


# In the forked process.


def _become(order: Order) -> None:
    """Make the forked process as if it had been started by itself."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    die_with_parent()
    _redirect(order.directory / ERRORS)
    os.environ.update(order.environment)
    _draw_anew()
    gc.enable()
    # What starts further processes of this program, such as Lightning's `ddp`, looks here for its command line.
    job = sys.modules[JOB]
    sys.modules["__main__"].__spec__ = job.__spec__
    sys.argv[:] = [str(job.__file__), str(order.directory)]


def die_with_parent() -> None:
    """Have the kernel send this process SIGTERM when its parent dies, where it can: on Linux."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PARENT_DEATH, signal.SIGTERM)


def _redirect(errors: Path) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    nothing = os.open(os.devnull, os.O_RDONLY)
    written = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for file, standard in ((nothing, 0), (written, 1), (written, 2)):
        os.dup2(file, standard)
    _close(nothing, written)


def _draw_anew() -> None:
    # Python's own generator is seeded anew after a fork; torch's begins every process with the same number.
    import numpy as np

    np.random.seed()  # noqa: NPY002 -- the global generator is what a job inherits


def _run(order: Order) -> int:
    before = set(sys.modules)
    run_job = importlib.import_module(JOB).run_job
    try:
        return int(run_job(order.directory))
    finally:
        _teach(order.imported, before)


def _leave(code: int) -> NoReturn:
    """End the forked process after what was to be done at its end; without taking torch apart piece by piece."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 -- waits for its threads, as an interpreter does
        atexit._run_exitfuncs()  # noqa: SLF001 -- as above
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


# What the jobs import besides is imported here too, for those that come after them.


def _teach(file: IO[bytes], before: set[str]) -> None:
    left_alone = {point.package for plural in KINDS.values() for point in entry_points(plural)}
    names = [name for name in sys.modules if name not in before and name.partition(".")[0] not in left_alone]
    with contextlib.suppress(OSError, UnicodeError):
        file.write("\n".join(filter(_is_installed, names)).encode())
        file.flush()


def _is_installed(name: str) -> bool:
    """Whether a module lies beside torch; one of a person's project may do anything, and change."""
    origin = getattr(getattr(sys.modules.get(name), "__spec__", None), "origin", None) or ""
    return Path(str(sys.modules["torch"].__file__)).parent.parent in Path(origin).parents


def learn(file: IO[bytes]) -> None:
    """Import the modules that a job had to import, for the jobs to come.

    Not those of packages that bring components: to register them is a job's own matter, and the parts of torch that
    are imported late may start threads, which no fork survives.
    """
    with file:
        file.seek(0)
        names = file.read().decode().splitlines()
    for name in names:
        if name not in sys.modules:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    gc.freeze()


def rehearse(directory: Path) -> None:
    """Plan a job, so that the jobs inherit what that makes of hydrantic's own components; they plan theirs anew.

    Nothing of a project is run here, nor of other distributions that bring components.
    """
    from hydrantic.checking import prepare_checked
    from hydrantic.project import Project

    if any(point.distribution != STOCK for plural in KINDS.values() for point in entry_points(plural)):
        return
    with contextlib.suppress(Exception):  # the job will tell
        prepare_checked(directory / "blueprint.yaml", Project(None))
    gc.freeze()


# The program.


@contextlib.contextmanager
def _pipes() -> Iterator[tuple[int, int]]:
    """The two descriptors for requests and answers; what modules print goes elsewhere."""
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    yield requests, answers


def _prepare() -> None:
    from hydrantic.imports import import_lightning

    import_lightning()
    for name in _NEEDED:
        importlib.import_module(name)
    gc.disable()
    gc.freeze()  # so that no collection in a job copies the pages that it shares
    # Python 3.12 warns of threads; OpenBLAS, the only one to have any here, ends and renews its own around a fork.
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)


def main() -> int:
    """Serve until the input ends."""
    with _pipes() as (requests, answers):
        _prepare()
        forker = Forker(requests, answers)
        order = forker.serve()
    if order is None:
        forker.end_all()
        return 0
    _become(order)
    code = 1
    try:
        code = _run(order)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 -- whatever it is, this process must not go on as the first one
        sys.excepthook(*sys.exc_info())
    finally:
        _leave(code)


if __name__ == "__main__":
    sys.exit(main())

"""Stopping a run by SIGINT or SIGTERM: after the batch at hand, with its state saved."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, Self

import lightning.pytorch as pl
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.exceptions import SIGTERMException

from hydrantic.errors import Interrupted

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class StopSignals(pl.Callback):
    """Turns SIGINT and SIGTERM into an orderly stop; both a context manager and a callback of the trainer.

    Inside a trainer's loops the first signal lets the batch at hand end, saves the state of a fit to `last` and raises
    `Interrupted`; a second one raises at once, and a third kills. Anywhere else the first one raises at once.

    Arguments:
        last: the checkpoint that an interrupted fit is saved to, or None to save nothing.
    """

    def __init__(self, last: Path | None = None) -> None:
        self.last = last
        self.received: signal.Signals | None = None
        self._in_loops = False
        self._count = 0
        self._before: dict[signal.Signals, Any] = {}
        self._process = os.getpid()

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self  # only the main thread may set handlers, and only it receives signals
        self._process = os.getpid()
        for each in _SIGNALS:
            self._before[each] = signal.signal(each, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for each, handler in self._before.items():
            signal.signal(each, signal.SIG_DFL if handler is None else handler)
        self._before.clear()
        if isinstance(error, SIGTERMException):  # Lightning's own way to stop would exit with 0
            raise Interrupted(signal.SIGTERM) from None
        if error is None:
            self.raise_if_received()

    def raise_if_received(self) -> None:
        """Stop here if a signal arrived that no batch has answered yet; call it between fit and test.

        Raises:
            Interrupted: a signal arrived.
        """
        if self.received is not None:
            raise Interrupted(self.received)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            self._receive_in_worker(number)
            return
        self._count += 1
        self.received = signal.Signals(number)
        if self._count > 2:  # the third signal
            signal.signal(number, signal.SIG_DFL)
            os.kill(self._process, number)
        if self._count > 1 or not self._in_loops:
            raise Interrupted(number)
        # Writing through sys.stderr could meet a write of the main program that is only half done.
        with contextlib.suppress(OSError):
            os.write(2, f"\n{self.received.name}: stopping after this batch; once more to stop at once\n".encode())

    @staticmethod
    def _receive_in_worker(number: int) -> None:
        # A forked loader worker inherits the handlers. Ctrl-C reaches it too, but its parent decides when to stop.
        if number == signal.SIGTERM:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _enter_loops(self, *_: Any) -> None:
        self._in_loops = True

    def _leave_loops(self, *_: Any) -> None:
        self._in_loops = False

    def _end_batch(self, *_: Any) -> None:
        if self.received is not None:
            raise Interrupted(self.received)

    on_sanity_check_start: Callable[..., None] = _enter_loops
    on_train_start: Callable[..., None] = _enter_loops
    on_validation_start: Callable[..., None] = _enter_loops
    on_test_start: Callable[..., None] = _enter_loops
    on_predict_start: Callable[..., None] = _enter_loops
    on_train_batch_end: Callable[..., None] = _end_batch
    on_validation_batch_end: Callable[..., None] = _end_batch
    on_test_batch_end: Callable[..., None] = _end_batch
    on_predict_batch_end: Callable[..., None] = _end_batch

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Lightning is done: from here on a signal raises at once."""
        self._leave_loops()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Save the state of an interrupted fit."""
        stopping = isinstance(exception, Interrupted | SIGTERMException) and self._count <= 1
        if stopping and self.last is not None and _has_trained(trainer):
            trainer.save_checkpoint(self.last, weights_only=False)
        self._leave_loops()


def _has_trained(trainer: pl.Trainer) -> bool:
    fitting = trainer.state.fn is TrainerFn.FITTING and not trainer.sanity_checking
    return fitting and trainer.global_step > 0 and not getattr(trainer, "fast_dev_run", False)

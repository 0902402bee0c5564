"""Stopping a run by SIGINT, SIGTERM or SIGUSR1: after the batch at hand, with its state saved."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, Self

import lightning.pytorch as pl
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.exceptions import SIGTERMException

from hydrantic.errors import Interrupted
from hydrantic.processes import is_of_communication, largest

_BATCHES_BETWEEN: Final = 8
MACHINES: Final = (signal.SIGTERM, *((signal.SIGUSR1,) if hasattr(signal, "SIGUSR1") else ()))
"""What a scheduler, a container or a launcher sends to stop a run; a person sends SIGINT."""
SIGNALS: Final = (signal.SIGINT, *MACHINES)


class StopSignals(pl.Callback):
    """Turns SIGINT, SIGTERM and SIGUSR1 into an orderly stop; both a context manager and a callback of the trainer.

    Inside a trainer's loops the first signal lets the batch at hand end (with gradients that are accumulated, the
    step), saves the state of a fit to `last` and raises `Interrupted`; anywhere else it raises at once. After it, a
    SIGINT raises at once, and one more kills: a person is in a hurry. Another SIGTERM or SIGUSR1 changes nothing:
    Slurm, a wrapper and a launcher may all send theirs. Where the last batch of an epoch has been trained, its
    validation is let end too. Where several processes train together, a signal to one of them stops all of them after
    the same batch.

    Arguments:
        last: the checkpoint that an interrupted fit is saved to, or None to save nothing.
        told: the file descriptor on which a person is told what happens, or None where nobody is there.
    """

    def __init__(self, last: Path | None = None, told: int | None = 2) -> None:
        self.last = last
        self.told = told
        self.received: signal.Signals | None = None
        self._in_loops = False
        self._count = 0
        self._before: dict[signal.Signals, Any] = {}
        self._process = os.getpid()

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self  # only the main thread may set handlers, and only it receives signals
        self._process = os.getpid()
        for each in SIGNALS:
            self._before[each] = signal.signal(each, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _put_back(self._before)
        self._before.clear()
        if isinstance(error, SIGTERMException):  # Lightning's own way to stop would exit with 0
            raise Interrupted(signal.SIGTERM) from None
        if self.received is None:
            return
        if error is None:
            raise Interrupted(self.received)
        if isinstance(error, Exception) and (is_of_communication(error) or _comes_of_interrupt(error)):
            raise Interrupted(self.received) from None

    @contextlib.contextmanager
    def only_noting(self, *numbers: signal.Signals) -> Iterator[None]:
        """A block that these signals do not end."""
        before: dict[signal.Signals, Any] = {}
        if threading.current_thread() is threading.main_thread():
            before = {each: signal.signal(each, self._note) for each in numbers}
        try:
            yield
        finally:
            _put_back(before)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received = self.received or signal.Signals(number)

    def raise_if_received(self) -> None:
        """Stop here if a signal arrived that no batch has answered yet; call it between fit and test, in all processes.

        Raises:
            Interrupted: a signal arrived.
        """
        if self._agreed() is not None:
            raise Interrupted(self.received or signal.SIGTERM)

    def _agreed(self) -> signal.Signals | None:
        """The signal that arrived here or in another of the processes, which all ask at the same time."""
        if number := largest(self.received or 0):
            self.received = signal.Signals(number)
        return self.received

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            self._receive_in_worker(number)
            return
        if self.received is not None and number != signal.SIGINT:
            return
        self._count += 1
        self.received = self.received or signal.Signals(number)
        if self._count > 2:  # the third signal
            signal.signal(number, signal.SIG_DFL)
            os.kill(self._process, number)
        if self._count > 1 or not self._in_loops:
            raise Interrupted(number)
        if self.told is None:
            return
        # Writing through sys.stderr could meet a write of the main program that is only half done.
        with contextlib.suppress(OSError):
            at_once = "; once more to stop at once" if number == signal.SIGINT else ""
            os.write(self.told, f"\n{self.received.name}: stopping after this batch{at_once}\n".encode())

    @staticmethod
    def _receive_in_worker(number: int) -> None:
        # A forked loader worker inherits the handlers. Ctrl-C reaches it too, but its parent decides when to stop.
        if number == signal.SIGTERM:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _enter_loops(self, *_: Any) -> None:
        self._in_loops = True
        for each in self._before:  # Lightning has put a handler of its own before this one
            signal.signal(each, self._receive)

    def _leave_loops(self, *_: Any) -> None:
        self._in_loops = False

    def _end_batch(self, trainer: pl.Trainer, *_: Any) -> None:
        """Stop after a batch of an evaluation, of which several processes may have different numbers."""
        if trainer.world_size == 1 and not _is_validating_in_fit(trainer):
            self.raise_if_received()

    on_sanity_check_start: Callable[..., None] = _enter_loops
    on_train_start: Callable[..., None] = _enter_loops
    on_validation_start: Callable[..., None] = _enter_loops
    on_test_start: Callable[..., None] = _enter_loops
    on_predict_start: Callable[..., None] = _enter_loops
    on_validation_batch_end: Callable[..., None] = _end_batch
    on_test_batch_end: Callable[..., None] = _end_batch
    on_predict_batch_end: Callable[..., None] = _end_batch

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Lightning is done: from here on a signal raises at once."""
        self._leave_loops()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Lightning gives up: from here on a signal raises at once."""
        self._leave_loops()

    def on_settled(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *, in_epoch: bool) -> None:
        """Save the state and stop if a signal has arrived.

        Raises:
            Interrupted: one has.
        """
        if trainer.world_size == 1 and self.received is None:
            return
        if in_epoch and not _is_time_to_ask(trainer):
            return
        if self._agreed() is None:
            return
        if in_epoch and trainer.fit_loop._should_accumulate():  # noqa: SLF001 -- a step's gradients would be lost
            return
        if self.last is not None and not getattr(trainer, "fast_dev_run", False):
            trainer.save_checkpoint(self.last, weights_only=False)
        raise Interrupted(self.received or signal.SIGTERM)


def _comes_of_interrupt(error: BaseException | None) -> bool:
    """Whether an exception was raised while an interrupt was on its way, as Lightning may when it tidies up."""
    seen = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, Interrupted):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def _put_back(handlers: Mapping[signal.Signals, Any]) -> None:
    for each, handler in handlers.items():
        signal.signal(each, signal.SIG_DFL if handler is None else handler)


def _is_validating_in_fit(trainer: pl.Trainer) -> bool:
    return trainer.state.fn is TrainerFn.FITTING and trainer.validating


def _is_time_to_ask(trainer: pl.Trainer) -> bool:
    """Whether the processes ask each other after this batch: on a CPU always, where they meet in each anyway."""
    on_cpu = trainer.strategy.root_device.type == "cpu"
    return trainer.world_size == 1 or on_cpu or trainer.fit_loop.batch_idx % _BATCHES_BETWEEN == 0

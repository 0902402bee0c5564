"""The progress of a run: one live line on a terminal, a plain line per epoch anywhere else."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Mapping
from typing import Any, Final, TextIO

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm

from hydrantic.rundir import terminal

_SECONDS_BETWEEN_REDRAWS: Final = 0.1
_SECONDS_BETWEEN_LINES: Final = 5.0
_SHOWN_METRICS: Final = 4
_COLUMNS: Final = 100
_FORMAT: Final = "{desc} {percentage:3.0f}%|{bar:10}| {n_fmt}/{total_fmt} {rate_noinv_fmt} {remaining} left{postfix}"
_FORMAT_WITHOUT_END: Final = "{desc} {n_fmt} {rate_noinv_fmt} {elapsed}{postfix}"


class Progress(ProgressBar):
    """Shows how far training is: epoch, steps, rate, time left and the latest validation metrics.

    It never looks at a tensor between two epochs, and a step costs it one look at the clock.

    Arguments:
        stream: where to write; by default the terminal, past the run's log.
        seconds: the least time between two lines where `stream` is no terminal.
    """

    def __init__(self, stream: TextIO | None = None, *, seconds: float = _SECONDS_BETWEEN_LINES) -> None:
        super().__init__()
        self._stream = stream
        self._seconds = seconds
        self._enabled = True
        self._bar: tqdm[Any] | None = None
        self._phase: tqdm[Any] | None = None
        self._done = 0
        self._phase_done = 0
        self._phase_name = ""
        self._began_with = 0
        self._began_at = 0.0
        self._next = math.inf
        self._next_line = 0.0
        self._epoch = ""
        self._metrics: dict[str, float] = {}

    def disable(self) -> None:
        """Show nothing."""
        self._enabled = False

    def enable(self) -> None:
        """Show progress again."""
        self._enabled = True

    def print(self, *args: Any, sep: str = " ", **_: Any) -> None:
        """Print a line without tearing the live one."""
        if self._bar is None:
            print(*args, sep=sep)
            return
        with tqdm.external_write_mode(file=self._bar.fp):
            print(*args, sep=sep, flush=True)

    # -- training ------------------------------------------------------------------------------------------------------

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the line, where the run's earlier steps count if it is resumed."""
        self._done = self._began_with = trainer.fit_loop.epoch_loop.batch_progress.total.ready
        self._began_at = time.monotonic()
        self._next_line = self._began_at + self._seconds
        if self._on_terminal:
            self._bar = self._line(_total_batches(trainer), initial=self._done, leave=True)
        self._schedule()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Count, and redraw if it is time."""
        self._done += 1
        if time.monotonic() >= self._next:
            self._redraw()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the new epoch; the metrics of the one before are complete by now."""
        self._metrics.update(_shown(trainer.callback_metrics))
        self._print_epoch(trainer, trainer.current_epoch)
        self._epoch = f"epoch {_of(trainer.current_epoch + 1, trainer.max_epochs)}"

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take over the metrics, which are computed by now."""
        self._end_phase()
        if not trainer.sanity_checking:
            self._metrics.update(_shown(trainer.callback_metrics))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the line for the last time and leave it."""
        self._metrics.update(_shown(trainer.callback_metrics))
        self._print_epoch(trainer, trainer.current_epoch, last=True)
        if self._bar is not None:
            self._bar.total = self._done  # training may have stopped early
            self._redraw()
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Leave the line as it is, so that a message can follow it."""
        self._close()

    # -- validation, test and prediction -------------------------------------------------------------------------------

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say so in the line, or draw one where validation runs by itself."""
        self._start_phase("validating", trainer.num_val_batches if not trainer.sanity_checking else None)

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw a line while the test lasts."""
        self._start_phase("testing", trainer.num_test_batches)

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw a line while predictions are made."""
        self._start_phase("predicting", trainer.num_predict_batches)

    def on_validation_batch_end(self, *_: Any) -> None:
        """Count, and redraw if it is time."""
        self._count_in_phase()

    def on_test_batch_end(self, *_: Any) -> None:
        """Count, and redraw if it is time."""
        self._count_in_phase()

    def on_predict_batch_end(self, *_: Any) -> None:
        """Count, and redraw if it is time."""
        self._count_in_phase()

    def _count_in_phase(self) -> None:
        self._phase_done += 1
        if time.monotonic() >= self._next:
            self._redraw()

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove the line."""
        self._end_phase()

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove the line."""
        self._end_phase()

    # -- drawing -------------------------------------------------------------------------------------------------------

    @property
    def stream(self) -> TextIO:
        """Where progress is written."""
        return self._stream if self._stream is not None else terminal()

    @property
    def _on_terminal(self) -> bool:
        return self._enabled and self.stream.isatty()

    def _line(self, total: float | None, *, initial: int = 0, leave: bool, description: str = "") -> tqdm[Any]:
        return tqdm(
            total=total, initial=initial, leave=leave, desc=description or None, file=self.stream, mininterval=0,
            miniters=1, smoothing=0, unit=" steps", bar_format=_FORMAT if total else _FORMAT_WITHOUT_END,
            **_width(self.stream),
        )  # fmt: skip

    def _start_phase(self, name: str, batches: Any) -> None:
        self._phase_done = 0
        self._phase_name = name
        if self._bar is not None or not self._on_terminal:
            return
        self._phase = self._line(_finite(sum(batches) if batches else math.inf), leave=False, description=name)
        self._schedule()

    def _end_phase(self) -> None:
        self._phase_name = ""
        if self._phase is not None:
            self._phase.close()
            self._phase = None
        if self._bar is None:
            self._next = math.inf

    def _schedule(self) -> None:
        self._next = time.monotonic() + _SECONDS_BETWEEN_REDRAWS if self._on_terminal else math.inf

    def _redraw(self) -> None:
        if self._bar is not None:
            self._bar.n = self._done
            self._bar.set_description_str(f"{self._epoch} {self._phase_name}".strip(), refresh=False)
            self._bar.set_postfix_str(_words(self._metrics), refresh=False)
            self._bar.refresh()
        if self._phase is not None:
            self._phase.n = self._phase_done
            self._phase.refresh()
        self._schedule()

    def _close(self) -> None:
        self._end_phase()
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        self._next = math.inf

    def _print_epoch(self, trainer: pl.Trainer, epochs: int, *, last: bool = False) -> None:
        now = time.monotonic()
        if not self._enabled or self._on_terminal or self._done == self._began_with:
            return
        if not last and now < self._next_line:
            return
        self._next_line = now + self._seconds
        rate = (self._done - self._began_with) / max(now - self._began_at, 1e-9)
        steps = f"{self._done} steps, {rate:.3g}/s"
        parts = (f"epoch {_of(epochs, trainer.max_epochs)}", steps, _words(self._metrics))
        print("  ".join(part for part in parts if part), file=self._stream or sys.stderr)


def _width(stream: TextIO) -> dict[str, Any]:
    try:
        columns, rows = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return {"ncols": _COLUMNS}
    # On a terminal that does not know its size, tqdm would draw nothing.
    return {"dynamic_ncols": True} if columns and rows else {"ncols": columns or _COLUMNS}


def _total_batches(trainer: pl.Trainer) -> float | None:
    epochs = math.inf if trainer.max_epochs in {None, -1} else trainer.max_epochs or 0
    by_epochs = epochs * trainer.num_training_batches
    by_steps = math.inf if trainer.max_steps == -1 else trainer.max_steps * trainer.accumulate_grad_batches
    return _finite(min(by_epochs, by_steps))


def _finite(number: float) -> float | None:
    return int(number) if math.isfinite(number) else None


def _of(epoch: int, most: int | None) -> str:
    return str(epoch) if most in {None, -1} else f"{epoch}/{most}"


def _shown(metrics: Mapping[str, Any]) -> dict[str, float]:
    stage = "validation/" if any(name.startswith("validation/") for name in metrics) else "training/"
    names = [name for name in metrics if name.startswith(stage)] or list(metrics)
    return {name: float(metrics[name]) for name in names[:_SHOWN_METRICS]}


def _words(metrics: Mapping[str, float]) -> str:
    """The metrics as short as they stay clear: the stage is named once."""
    words, stage_before = [], ""
    for name, value in metrics.items():
        stage, _, label = name.rpartition("/")
        words.append(f"{label if stage == stage_before else name.replace('/', ' ')} {value:.4g}")
        stage_before = stage
    return "  ".join(words)

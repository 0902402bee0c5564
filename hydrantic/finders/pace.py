"""Training with one batch size until its pace is known."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from hydrantic.finders.memory import Peak
from hydrantic.finders.rehearsal import Enough, Rehearsed, device_of, rehearse
from hydrantic.tracing.footprint import tensors_in

_WARM_UP: Final = 2
_FEWEST: Final = 3
_MOST: Final = 500
_SECONDS: Final = 0.5


@dataclass(frozen=True)
class Pace:
    """How fast training went, and what it took."""

    batch: int
    """Number of samples in the largest batch."""
    samples_per_second: float
    milliseconds: float
    """Mean duration of a step, with its data."""
    peak: int | None
    """Bytes of memory; None where they cannot be told."""
    device: str


def pace_of(rehearsed: Rehearsed, before: int | None) -> Pace:
    """Train for two steps, then for half a second or three steps, whichever is longer.

    Arguments:
        rehearsed: what is trained.
        before: bytes of the process's memory that are not to be counted.
    """
    watch = _Pace(before)
    rehearse(rehearsed, [watch])
    return watch.found()


class _Pace(Callback):
    """Counts samples and time."""

    def __init__(self, before: int | None) -> None:
        self._before = before
        self._steps = self._samples = self._largest = 0
        self._began = self._ended = 0.0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Forget the peak of what was before."""
        self._device = device_of(trainer)
        self._peak = Peak(self._device, self._before)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch, and stop when there were enough."""
        size = _samples_in(batch)
        self._steps += 1
        self._largest = max(self._largest, size)
        if self._steps <= _WARM_UP:
            wait_for(self._device)
            self._began = time.perf_counter()
            return
        self._samples += size
        steps, elapsed = self._steps - _WARM_UP, time.perf_counter() - self._began
        if steps < _FEWEST or (elapsed < _SECONDS and steps < _MOST):
            return
        wait_for(self._device)
        self._ended = time.perf_counter()
        raise Enough

    def found(self) -> Pace:
        """What was seen."""
        elapsed, steps = self._ended - self._began, self._steps - _WARM_UP
        rate, duration = self._samples / elapsed, elapsed / steps * 1000
        return Pace(self._largest, rate, duration, self._peak.bytes(), self._device)


def wait_for(device: str) -> None:
    """Wait until a GPU has done what it was given; a CPU has."""
    if device == "cuda":
        torch.cuda.synchronize()


def _samples_in(batch: Any) -> int:
    first = next(iter(tensors_in(batch)), None)
    return 1 if first is None or not first.ndim else len(first)

"""Training a plan as it is, with a clock, and under torch's profiler."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.profiler import ProfilerActivity, record_function

from hydrantic.build import Assembly
from hydrantic.errors import UsageError
from hydrantic.finders.clock import DATA, LOGGING, Clock, Watch
from hydrantic.finders.memory import Peak
from hydrantic.finders.pace import wait_for
from hydrantic.finders.rehearsal import Enough, device_of, rehearse, whole
from hydrantic.plan import Plan

_WARM_UP: Final = 3
_TRACED: Final = 10
_MOST: Final = 8
_NAMES: Final = ("aten::", "Optimizer")
"""What the names of operators begin with; other events are spans, or calls of the GPU's driver."""
_LEVEL: Final = "KINETO_LOG_LEVEL"


@dataclass(frozen=True)
class Operator:
    """An operation of torch's, and what it took itself, without those that it calls."""

    name: str
    calls: int
    """In a step, on average."""
    milliseconds: float
    """In a step, on average; on the GPU where there is one."""
    share: float
    """Of the time of all operators."""


@dataclass(frozen=True)
class Measured:
    """What the three trainings have shown."""

    rate: float
    steps: tuple[Mapping[str, float], ...]
    operators: tuple[Operator, ...]
    parameters: int
    peak: int | None
    device: str
    validations: int
    notes: tuple[str, ...]


def measure(plan: Plan, steps: int, trace: Path | None, bar: Any) -> Measured:
    """Train a plan three times.

    Arguments:
        plan: what is trained.
        steps: number of batches of the first two trainings.
        trace: where the trace of the third is written, if anywhere.
        bar: is updated after each step.
    """
    rehearsed = whole(plan)
    traced = min(steps, _TRACED)
    bar.reset(total=2 * steps + _WARM_UP + traced)
    plain = _Plain(steps, bar.update)
    drafted = rehearse(rehearsed, [plain])
    clock = Clock()
    watch = Watch(clock, steps, bar.update)
    rehearse(rehearsed, [watch], lambda assembly: _watched(assembly, clock))
    tracing = _Tracing(_WARM_UP, traced, bar.update)
    spans = Clock(record_function)
    rehearse(rehearsed, [Watch(spans, _WARM_UP + traced, bar.update), tracing], lambda each: _watched(each, spans))
    if trace is not None:
        tracing.write(trace)
    return Measured(
        rate=(steps - 1) / plain.seconds,
        steps=tuple(clock.steps[:steps]),
        operators=tracing.operators(),
        parameters=sum(each.numel() for each in drafted.model.parameters()),
        peak=plain.peak,
        device=plain.device,
        validations=watch.validations,
        notes=rehearsed.notes,
    )


def _watched(assembly: Assembly, clock: Clock) -> None:
    """Have a clock look at everything that is done."""
    trainer: Any = assembly.trainer  # whose profiler is set after its making
    trainer.profiler = clock
    epoch = trainer.fit_loop.epoch_loop
    epoch.on_run_start = clock.charged(DATA, epoch.on_run_start)  # where a loader's workers are started
    epoch.val_loop.run = clock.validating(epoch.val_loop.run)
    for logger in trainer.loggers:
        for name in ("log_metrics", "save"):
            setattr(logger, name, clock.charged(LOGGING, getattr(logger, name)))


class _Plain(Callback):
    """Takes the time from the end of the first step on, and does nothing else."""

    def __init__(self, steps: int, told: Any) -> None:
        self._most = steps
        self._told = told
        self._steps = 0
        self._began = 0.0
        self.seconds = 0.0
        self.device = "cpu"
        self.peak: int | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Forget the peak of what was before."""
        self.device = device_of(trainer)
        self._peak = Peak(self.device)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """End where there was enough."""
        if self._steps == self._most:
            wait_for(self.device)
            self.seconds = time.perf_counter() - self._began
            self.peak = self._peak.bytes()
            raise Enough

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count."""
        self._steps += 1
        self._told()
        if self._steps == 1:
            wait_for(self.device)
            self._began = time.perf_counter()


class _Tracing(Callback):
    """Records some steps with torch's profiler."""

    def __init__(self, warm_up: int, steps: int, told: Any) -> None:
        self._warm_up = warm_up
        self._recorded = steps
        self._steps = 0
        self._is_on = False
        activities = [ProfilerActivity.CPU]
        if torch.cuda.is_available():
            activities.append(ProfilerActivity.CUDA)
        self._profiler = torch.profiler.profile(activities=activities)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Begin when it is warm, end when there is enough."""
        self._steps += 1
        if self._steps == self._warm_up:
            with _silent_start():
                self._profiler.start()
            self._is_on = True
        if self._steps == self._warm_up + self._recorded:
            self._end()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave no profiler running."""
        self._end()

    def _end(self) -> None:
        if self._is_on:
            self._is_on = False
            self._profiler.stop()

    def write(self, file: Path) -> None:
        """Write the trace.

        Raises:
            UsageError: the file cannot be written.
        """
        try:
            file.open("ab").close()  # torch would say nothing
            self._profiler.export_chrome_trace(str(file))
        except (OSError, RuntimeError) as error:
            with suppress(OSError):
                file.unlink()
            raise UsageError(f"{file} cannot be written: {error}") from error

    def operators(self) -> tuple[Operator, ...]:
        """The operators that took most, a step's share of each."""
        events = self._profiler.key_averages()
        found = [(each.key, each.count, _own_microseconds(each)) for each in events if each.key.startswith(_NAMES)]
        whole_time = sum(time for _, _, time in found) or 1.0
        found.sort(key=lambda each: -each[2])
        return tuple(
            Operator(name, round(calls / self._recorded), time / self._recorded / 1000, time / whole_time)
            for name, calls, time in found[:_MOST]
        )


@contextmanager
def _silent_start() -> Iterator[None]:
    """Keep torch's profiler from writing to the terminal past Python; it asks once in a process."""
    if _LEVEL in os.environ:
        yield
        return
    os.environ[_LEVEL] = "99"
    try:
        yield
    finally:
        del os.environ[_LEVEL]


def _own_microseconds(event: Any) -> float:
    on_gpu = float(getattr(event, "self_device_time_total", 0.0))
    return on_gpu if torch.cuda.is_available() else float(event.self_cpu_time_total)

"""A short training of a plan that leaves nothing behind: no run, no checkpoint, and the process as it was."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from lightning.pytorch import Callback, LightningModule, Trainer

from hydrantic.build import Assembly, Draft, assemble, count_processes, draft
from hydrantic.errors import BlueprintError, HydranticError, Interrupted, RunFailed, UsageError
from hydrantic.interrupts import StopSignals
from hydrantic.plan import Plan
from hydrantic.processes import launched
from hydrantic.rundir import RunDirectory
from hydrantic.secrets import hide
from hydrantic.texts import listed
from hydrantic.tracing.clashes import own_place
from hydrantic.tracing.dryrun import process_as_it_was


class Enough(Exception):
    """Raised by a callback that has seen what it was to see."""


class NoBatch(RunFailed):
    """The data has not one batch to train with."""

    def __init__(self) -> None:
        super().__init__("the data has not one batch to train with")


class _Batches(Callback):
    """Ends a training whose data gives no batches after all, such as a stream: it would go on for ever."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.fit_loop.epoch_loop.batch_progress.current.ready == 0:
            raise NoBatch


@dataclasses.dataclass(frozen=True)
class Rehearsed:
    """A plan as it is rehearsed, and what a person should know of the difference."""

    plan: Plan
    notes: tuple[str, ...] = ()


ENDLESS: Final[Mapping[str, Any]] = {
    "max_epochs": -1, "min_epochs": None, "max_steps": -1, "min_steps": None, "max_time": None,
    "fast_dev_run": False, "num_sanity_val_steps": 0, "profiler": None,
    "enable_progress_bar": False, "enable_model_summary": False,
}  # fmt: skip
"""The Trainer's arguments of a training that only a callback ends."""


def whole(plan: Plan) -> Rehearsed:
    """A plan with all that it does in training, but no logger that could reach others, and no end.

    Raises:
        UsageError: this is one of several processes.
        BlueprintError: it asks for processes that there cannot be.
    """
    loggers = [each.name for each in plan.loggers.values()]
    changed, notes = _in_one_process(plan)
    blueprint = plan.blueprint.model_copy(update={"early_stopping": None})
    if loggers:
        notes = (*notes, f"of the loggers ({listed(loggers)}), only metrics.csv takes part")
    return Rehearsed(dataclasses.replace(changed, blueprint=blueprint, loggers={}), notes)


def bare(plan: Plan) -> Rehearsed:
    """A plan that does nothing but train: without validation, schedule, checkpoints, loggers and callbacks.

    Raises:
        UsageError: this is one of several processes.
        BlueprintError: it asks for processes that there cannot be.
    """
    changed, notes = _in_one_process(plan)
    if plan.callbacks:
        notes = (*notes, f"callbacks that were left out: {listed(tuple(plan.callbacks))}")
    # A module's own schedule may ask for what its validation logs.
    validation = {"limit_val_batches": int(plan.style == "module")}
    trainer = changed.trainer.model_copy(
        update={**validation, "val_check_interval": None, "check_val_every_n_epoch": 1}
    )
    blueprint = plan.blueprint.model_copy(update={"early_stopping": None, "checkpoint": None})
    alone = dataclasses.replace(changed, trainer=trainer, blueprint=blueprint, scheduler=None, callbacks={}, loggers={})
    return Rehearsed(alone, notes)


def _in_one_process(plan: Plan) -> tuple[Plan, tuple[str, ...]]:
    if launched() is not None:
        raise UsageError("this takes one process: start it without torchrun or srun")
    with process_as_it_was():
        count = count_processes(plan)
    alone = {} if count == 1 else {"devices": 1, "num_nodes": 1, "strategy": "auto"}
    trainer = plan.trainer.model_copy(update={**ENDLESS, **alone})
    notes = () if count == 1 else (f"measured in one process; the blueprint asks for {count}",)
    return dataclasses.replace(plan, trainer=trainer), notes


def rehearse(
    rehearsed: Rehearsed, callbacks: Sequence[Callback], prepare: Callable[[Assembly], None] | None = None
) -> Draft:
    """Train until a callback raises `Enough`, in a folder that is removed afterwards.

    Arguments:
        rehearsed: made by `whole` or `bare`.
        callbacks: what watches the training, and ends it.
        prepare: called with everything that was constructed, before training begins.

    Returns:
        What was trained.

    Raises:
        BlueprintError: it cannot be built, in the words of `fit`.
        NoBatch: the data has none.
        RunFailed: training raised an error.
        Interrupted: SIGINT or SIGTERM arrived.
    """
    signals = StopSignals()
    try:
        with process_as_it_was(), signals, TemporaryDirectory(prefix="hydrantic-rehearsal-") as folder:
            drafted = draft(rehearsed.plan)
            assembly = assemble(drafted, RunDirectory(Path(folder)), (signals, _Batches(), *callbacks))
            if prepare is not None:
                prepare(assembly)
            _fit(assembly)
            return drafted
    except Interrupted:
        print("interrupted; nothing is left behind", file=sys.stderr)
        raise


def _fit(assembly: Assembly) -> None:
    try:
        assembly.trainer.fit(assembly.model, datamodule=assembly.data)
    except Enough:
        return
    except (BlueprintError, UsageError, RunFailed):
        raise
    except Exception as error:
        raise _failed(assembly.plan, error) from error
    if assembly.trainer.num_training_batches == 0:
        raise NoBatch
    raise RunFailed(f"training stopped by itself after {assembly.trainer.global_step} steps, before enough was seen")


def _failed(plan: Plan, error: Exception) -> RunFailed:
    words = str(error) if isinstance(error, HydranticError) else f"{type(error).__name__}: {error}"
    place = own_place(error)
    return RunFailed(f"training failed: {hide(words, plan.secrets)}" + (f"\n  at {place}" if place else ""))


def device_of(trainer: Trainer) -> str:
    """The type of the device that is trained on, such as `cpu` or `cuda`."""
    return str(trainer.strategy.root_device.type)

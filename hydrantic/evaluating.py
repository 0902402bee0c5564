"""Evaluating a run anew: its test or its validation, with the weights, the data and the settings that it had."""

from __future__ import annotations

import math
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.utilities.model_helpers import is_overridden

from hydrantic.build import count_processes, evaluator, facts_of
from hydrantic.errors import BlueprintError, HydranticError, RunFailed, UsageError
from hydrantic.facts import Facts
from hydrantic.finding import file_below
from hydrantic.interrupts import StopSignals
from hydrantic.metrics_table import read_curves
from hydrantic.opening import Opened, open_run
from hydrantic.paths import input_paths
from hydrantic.plan import Plan
from hydrantic.process import (
    random_states_as_they_were,
    settings_as_they_were,
    share_threads,
    threads,
)
from hydrantic.processes import Order, Team, gather, launched, parted_afterwards
from hydrantic.rundir import RunDirectory, versions
from hydrantic.source import display
from hydrantic.suiting import is_other, note_on_parts, refuse_gone, refuse_unlike
from hydrantic.training import numbers, without_chatter

Stage = Literal["validation", "test"]
"""What a model is evaluated on; its metrics are logged as `<stage>/<name>`."""

_VERB: Final[Mapping[Stage, str]] = {"validation": "validate", "test": "test"}
_SHORT: Final[Mapping[Stage, str]] = {"validation": "val", "test": "test"}
_LOADER: Final[Mapping[Stage, str]] = {"validation": "val_dataloader", "test": "test_dataloader"}


@dataclass(frozen=True)
class Evaluation:
    """The metrics of a model on some data, beside those that its run recorded."""

    stage: Stage
    checkpoint: Path
    """The file of the weights."""
    metrics: Mapping[str, float]
    """The value of every logged name."""
    samples: int | None = None
    """How many samples it was; None where the data does not state it."""
    recorded: Mapping[str, float] = field(default_factory=dict)
    """What the run logged for the same weights on the same data; empty where it did not, or other things were asked."""
    notes: tuple[str, ...] = ()
    """What a person should know of it, a line each."""
    circumstances: tuple[str, ...] = ()
    """What is not as it was when the run recorded, on which the last bits may depend: `torch 2.14.0, then 2.13.0`."""

    @property
    def differing(self) -> tuple[str, ...]:
        """The names whose recorded value is another one, be it in the last bit."""
        return tuple(name for name, value in self.recorded.items() if not _same(value, self.metrics.get(name)))


def evaluate(opened: Opened, stage: Stage) -> Evaluation:
    """Evaluate an opened run as its fit did, in as many processes and on as many threads; nothing is written.

    Of the data that it was trained on, that is the part of the stage; all of any other data, where it lies in memory.

    Arguments:
        opened: the run, with the overrides that say how this evaluation differs.
        stage: `test`, or `validation`.

    Raises:
        UsageError: the data is not there any more, has no such part or no targets, or is not of the model's kind.
        BlueprintError: the data cannot be read.
        RunFailed: the evaluation raised an error.
        Interrupted: SIGINT or SIGTERM arrived.
    """
    with as_it_was(opened), parted_afterwards():
        refuse_gone(opened)
        plan, notes = _shared(opened)
        with gather(plan.trainer["devices"] if isinstance(plan.trainer["devices"], int) else 1) as team:
            share_threads(team.place.local_world, recorded=opened.found.recorded.get("threads"))
            found = facts_of(plan, opened.data)
            refuse_unlike(opened, found)
            _refuse_empty(opened, found, stage)
            done = _led(opened, plan, stage, team)
    recorded = _recorded(opened, found, stage)
    notes = (*opened.notes, *notes, *(() if is_other(opened, found) else note_on_parts(opened)))
    others = tuple(_circumstances(opened, done.device, team.place.world))
    return Evaluation(stage, opened.checkpoint, done.metrics, _size(plan, found, stage), recorded, notes, others)


def _size(plan: Plan, found: Facts, stage: Stage) -> int | None:
    """How many samples are evaluated, where that is stated and not limited."""
    limit = plan.trainer[f"limit_{_SHORT[stage]}_batches"]
    if limit is not None and repr(limit) != "1.0":  # 1 is one batch
        return None
    return found.test_size if stage == "test" else found.validation_size


def evaluate_along(order: Order, team: Team) -> None:
    """Evaluate what the leading process has told, as a process that follows.

    Raises:
        RunFailed: the evaluation raised an error.
        Interrupted: SIGINT or SIGTERM arrived in one of the processes.
    """
    asked = order.evaluation
    assert asked is not None  # else there is something to train
    opened = open_run(asked["run"], asked["overrides"], project=order.project, weights=asked["weights"])
    plan = _with_processes(opened.plan, team.place.world)
    with as_it_was(opened):
        facts_of(plan, opened.data)
        _evaluated(opened, plan, asked["stage"], team)


@contextmanager
def as_it_was(opened: Opened) -> Iterator[None]:
    """Evaluate with the random states with which the run began to read its data, and leave nothing behind."""
    with settings_as_they_were(), random_states_as_they_were(), without_chatter():
        seed_everything(opened.plan.blueprint.seed, workers=True, verbose=False)
        for restore, state in opened.drawn:
            restore(state)
        yield


_MOST: Final = 1024
"""How many processes there may be; a record that has been edited may say anything."""


# Processes.


def _shared(opened: Opened) -> tuple[Plan, tuple[str, ...]]:
    """The plan with the number of processes that the run had, and a note where there cannot be as many."""
    plan, place = opened.plan, launched()
    if place is not None:
        return plan, ()
    if plan.trainer["devices"] != opened.blueprint["trainer"]["devices"]:  # a person says how many
        return _with_processes(plan, count_processes(plan)), ()
    recorded = opened.found.recorded.get("processes")
    if not isinstance(recorded, int) or recorded <= 1:
        return _with_processes(plan, 1), ()
    shared = _with_processes(plan, recorded)
    if recorded <= _MOST and _are_there(shared):
        return shared, ()
    note = f"the run had {recorded} processes, of which this machine has not the devices: evaluated in one"
    return _with_processes(plan, 1), (note,)


def _with_processes(plan: Plan, count: int) -> Plan:
    devices = plan.trainer["devices"]
    chosen = devices if isinstance(devices, list) and len(devices) == count else count
    fields = {"devices": chosen, "num_nodes": 1} | ({"strategy": "auto"} if count == 1 else {})
    return replace(plan, trainer=plan.trainer.model_copy(update=fields))


def _are_there(plan: Plan) -> bool:
    try:
        return count_processes(plan) > 1
    except BlueprintError:
        return False


@dataclass(frozen=True)
class _Done:
    """What came of an evaluation, and on which device."""

    metrics: Mapping[str, float]
    device: str


def _led(opened: Opened, plan: Plan, stage: Stage, team: Team) -> _Done:
    """Evaluate as the process that leads."""
    asked = {
        "run": str(opened.checkpoint.absolute()), "overrides": list(opened.overrides), "weights": "best",
        "stage": stage,
    }  # fmt: skip
    order = Order(opened.checkpoint.parent, opened.project, test=True, threads=threads(), evaluation=asked)
    if team.place.leads:
        team.tell(order)
    else:  # torchrun has started it with the same command line
        team.hear()
    return _evaluated(opened, plan, stage, team)


def _evaluated(opened: Opened, plan: Plan, stage: Stage, team: Team) -> _Done:
    signals = StopSignals(told=2 if team.place.leads else None)
    try:
        with workplace() as directory, signals:
            trainer = evaluator(plan, directory, (signals,), team.place)
            team.wait()
            results = _asked(trainer, stage)(opened.model, datamodule=opened.data, verbose=False)
            metrics = {name: value for each in results for name, value in numbers(each).items()}
            return _Done(metrics, str(trainer.strategy.root_device))
    except HydranticError:
        raise
    except Exception as error:
        raise failure(_VERB[stage], team.reason(error), error) from error
    finally:
        opened.model.eval()


def _asked(trainer: Trainer, stage: Stage) -> Any:
    return trainer.test if stage == "test" else trainer.validate


@contextmanager
def workplace() -> Iterator[RunDirectory]:
    """A folder for what callbacks write, which goes with the block: the directory of a run is never changed."""
    with tempfile.TemporaryDirectory(prefix="hydrantic-") as folder:
        yield RunDirectory(Path(folder))


def failure(verb: str, reason: Exception, error: Exception) -> RunFailed:
    """What a person is told of an error in the midst of an evaluation or a prediction."""
    words = str(reason) if isinstance(reason, HydranticError) else f"{type(reason).__name__}: {reason}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [each for each in frames if "site-packages" not in each.filename and "<frozen" not in each.filename]
    last = (own or list(frames))[-1]
    return RunFailed(f"{verb} failed: {words}\n  at {display(Path(last.filename))}:{last.lineno}")


# What cannot be evaluated.


def _refuse_empty(opened: Opened, found: Facts, stage: Stage) -> None:
    size = found.test_size if stage == "test" else found.validation_size
    label, name, step = opened.found.label, opened.plan.data.name, f"{stage}_step"
    if not is_overridden(step, opened.model):
        raise UsageError(f"the model of {label}, '{opened.plan.model.name}', defines no {step}")
    if not is_overridden(_LOADER[stage], opened.data):
        raise UsageError(f"'{name}' has nothing to {_VERB[stage]} {label} on: it defines no {_LOADER[stage]}")
    if size != 0:
        return
    if is_other(opened, found):
        raise UsageError(
            f"the data has no targets, so there is nothing to compare the predictions of {label} with; "
            "`hydrantic predict` needs none"
        )
    raise UsageError(f"the data of {label} has no {stage} part: data.split leaves no sample for it")


# What the run recorded.


def _recorded(opened: Opened, found: Facts, stage: Stage) -> dict[str, float]:
    if is_other(opened, found) or not _asks_the_same(opened):
        return {}
    said = _at_checkpoint(opened) if stage == "validation" else _of_best(opened)
    return {name: value for name, value in said.items() if name.startswith(f"{stage}/")}


_OF_TRAINER: Final = ("precision", "limit_val_batches", "limit_test_batches")
"""Arguments of the Trainer that metrics depend on."""


def _asks_the_same(opened: Opened) -> bool:
    """Whether nothing that metrics depend on differs from the run; where its data lies may."""
    now, before = opened.plan.resolved(), opened.blueprint
    if any(now[section] != before[section] for section in ("model", "loss", "metrics")):
        return False
    if any(repr(now["trainer"].get(name)) != repr(before["trainer"].get(name)) for name in _OF_TRAINER):  # 1 is not 1.0
        return False
    states_what_it_is = opened.facts.fingerprint is not None
    may_differ = input_paths(type(opened.plan.data.hparams)) if states_what_it_is else ()
    return all(value == before["data"].get(name) or name in may_differ for name, value in now["data"].items())


def _circumstances(opened: Opened, device: str, processes: int) -> Iterator[str]:
    record = opened.found.recorded
    known = record.get("versions")
    recorded = {name: record.get(name) for name in ("device", "processes")} | (known if isinstance(known, dict) else {})
    present = {"device": device, "processes": processes} | versions()
    for name, now in present.items():
        if recorded.get(name) not in (None, now):
            yield f"{name} {now}, then {recorded[name]}"


def _of_best(opened: Opened) -> dict[str, float]:
    directory, record = opened.found.directory, opened.found.recorded
    best = None if directory is None else file_below(directory, str(record.get("best_checkpoint") or ""))
    if best is None or not opened.checkpoint.is_file() or not best.samefile(opened.checkpoint):
        return {}
    return plain_numbers(record.get("metrics"))


def _at_checkpoint(opened: Opened) -> dict[str, float]:
    """What the run had logged last when it wrote the checkpoint."""
    directory = opened.found.directory
    if directory is None or not opened.checkpoint.resolve().is_relative_to(directory.resolve()):
        return {}
    step = opened.state.get("global_step", 0) - 1
    logged = {name: dict(zip(curve.steps, curve.values, strict=True)) for name, curve in read_curves(directory).items()}
    return {name: values[step] for name, values in logged.items() if step in values}


def plain_numbers(values: Any) -> dict[str, float]:
    """Numbers of a record, in which those that JSON does not have are text; what is no number is left out."""
    found = {}
    for name, value in values.items() if isinstance(values, Mapping) else ():
        with suppress(ValueError, TypeError):
            found[str(name)] = float(value)
    return found


def _same(one: float, other: float | None) -> bool:
    return other is not None and (one == other or (math.isnan(one) and math.isnan(other)))

"""The only place that constructs components: data, then model, loss and metrics, then the trainer."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping, ProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.loggers.logger import DummyLogger
from torch import nn

from hydrantic.checkpoints import checkpoint_callback
from hydrantic.components import Component
from hydrantic.contents import Contents, DescribedCheckpoints
from hydrantic.errors import BlueprintError, HydranticError, InvalidField
from hydrantic.exact import Exact
from hydrantic.facts import Facts
from hydrantic.identity import identities
from hydrantic.lean import NoProfiler, without_empty_hooks
from hydrantic.metrics_csv import MetricsCsv
from hydrantic.model.hparams import ModelHparams, OptimizerHparams, SchedulerHparams
from hydrantic.model.model import STAGES, Composition, Model
from hydrantic.model.tally import Wired
from hydrantic.plan import Plan
from hydrantic.processes import Place, launched
from hydrantic.progress import Progress
from hydrantic.rundir import RunDirectory


@dataclass(frozen=True)
class Loaded:
    """A plan's data, and the plan completed by its facts."""

    plan: Plan
    data: LightningDataModule
    facts: Facts


@dataclass(frozen=True)
class Draft:
    """What can be built before a run has a directory: the data, the model, and the plan completed by the facts."""

    plan: Plan
    data: LightningDataModule
    model: LightningModule
    facts: Facts


@dataclass(frozen=True)
class Assembly:
    """Everything that a run needs, constructed."""

    plan: Plan
    data: LightningDataModule
    model: LightningModule
    trainer: Trainer


def draft(plan: Plan) -> Draft:
    """Build the data and the model of a plan; nothing is written.

    Raises:
        BlueprintError: the data cannot be read, contradicts the blueprint, or a component refuses its fields.
    """
    loaded = load(plan)
    plan = loaded.plan
    # The data may have drawn random numbers: the model's weights depend on the seed alone.
    model = build_model(plan)
    try_optimizer(plan, model.parameters())
    return Draft(plan, loaded.data, model, loaded.facts)


def load(plan: Plan) -> Loaded:
    """Build the data of a plan, and complete the plan by its facts; nothing is written.

    Raises:
        BlueprintError: the data cannot be read, contradicts the blueprint, or refuses its fields.
    """
    data = build_data(plan)
    facts = facts_of(plan, data)
    return Loaded(plan.supplied_with(facts), data, facts)


def build_data(plan: Plan) -> LightningDataModule:
    """The data module of a plan; nothing is read yet.

    Raises:
        BlueprintError: it refuses its fields.
    """
    seed_everything(plan.blueprint.seed, workers=True, verbose=False)
    data: LightningDataModule = _built(plan, plan.data)
    if hasattr(data, "seed"):
        data.seed = plan.blueprint.seed
    return data


def count_processes(plan: Plan) -> int:
    """How many processes on this machine are to train a plan.

    Raises:
        BlueprintError: there cannot be as many, or they are to be started in a way that hydrantic has no hand in.
    """
    place, devices, strategy = launched(), plan.trainer["devices"], plan.trainer["strategy"]
    if any(way in strategy for way in _STARTING_PROCESSES):
        raise plan.refuse("starts-processes", ("trainer", "strategy"), strategy=strategy)
    started = place or Place()
    if devices == "auto":  # without processes that were started it is one, also where there are several GPUs
        _refuse_other_nodes(plan, started)
        return started.local_world
    fields = {"accelerator": plan.trainer["accelerator"], "devices": devices, "strategy": _of_several(strategy)}
    environment = LightningEnvironment()
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    count = _trainer(plan, **fields, **quiet, logger=False, plugins=[environment]).num_devices
    if place is not None and count != place.local_world:
        raise plan.refuse("other-processes", ("trainer", "devices"), count=count, started=place.local_world)
    _refuse_other_nodes(plan, started)
    return count


def _of_several(strategy: str) -> str:
    return "ddp" if strategy == "auto" else strategy


def _refuse_other_nodes(plan: Plan, started: Place) -> None:
    """Refuse more or fewer machines than processes were started on."""
    nodes = plan.trainer["num_nodes"]
    if nodes not in {1, started.nodes}:
        raise plan.refuse("other-machines", ("trainer", "num_nodes"), count=nodes, started=started.nodes)


_STARTING_PROCESSES = ("spawn", "fork", "notebook")
"""What the names of Lightning's strategies have in them that start processes from a running program."""


def assemble(
    drafted: Draft, directory: RunDirectory, callbacks: tuple[Callback, ...] = (), place: Place | None = None
) -> Assembly:
    """Add callbacks, loggers and the trainer to a draft; they write below the run's directory.

    Arguments:
        drafted: the data and the model.
        directory: where the run is written.
        callbacks: further callbacks that the run itself needs.
        place: which of the processes that train together this one is; alone by default.

    Raises:
        BlueprintError: a component refuses its fields.
    """
    plan, place = drafted.plan, place or Place()
    arguments = dict(plan.trainer.items()) | _processes(plan, place)
    if drafted.facts.validation_size == 0:
        arguments |= {"limit_val_batches": 0, "num_sanity_val_steps": 0}
    shows_progress = arguments.pop("enable_progress_bar") is not False and place.leads
    summary = arguments.pop("enable_model_summary") is True
    chosen = [_built(plan, each, directory) for each in plan.callbacks.values()]
    own = [
        *_own_callbacks(plan, directory),
        *([Progress()] if shows_progress else []),
        *callbacks,
    ]
    trainer = _trainer(
        plan,
        **arguments | {"profiler": arguments["profiler"] or NoProfiler()},
        logger=False,
        callbacks=[without_empty_hooks(each) for each in (*chosen, *own)],
        default_root_dir=directory.path,
        # Which processes there are is hydrantic's own matter, also where Slurm or torchrun has started this one.
        plugins=[DescribedCheckpoints(_contents(drafted), stops=_stops(plan)), LightningEnvironment()],
        enable_checkpointing=any(isinstance(each, Checkpoint) for each in (*chosen, *own)),
        enable_progress_bar=shows_progress,
        enable_model_summary=summary,
    )
    Exact.into(trainer)
    # Last: a logger may start a service, which everything else should have let it do.
    trainer.loggers = loggers(plan, directory) if place.leads else [DummyLogger() for _ in plan.loggers or (None,)]
    return Assembly(plan, drafted.data, without_empty_hooks(drafted.model), trainer)


def evaluator(
    plan: Plan, directory: RunDirectory, callbacks: tuple[Callback, ...] = (), place: Place | None = None
) -> Trainer:
    """The trainer that evaluates a model, or asks it for predictions: that of the plan, which keeps nothing.

    Arguments:
        plan: what the model is of.
        directory: where callbacks of the plan may write.
        callbacks: further callbacks.
        place: which of the processes that evaluate together this one is; alone by default.

    Raises:
        BlueprintError: a callback or the trainer refuses its fields.
    """
    place = place or Place()
    arguments = dict(plan.trainer.items()) | _processes(plan, place)
    if place.world == 1:
        arguments |= {"devices": _one_of(arguments["devices"]), "num_nodes": 1, "strategy": "auto"}
    shows_progress = arguments.pop("enable_progress_bar") is not False and place.leads
    chosen = [_built(plan, each, directory) for each in plan.callbacks.values()]
    taking_part = [each for each in chosen if not isinstance(each, _OF_TRAINING)]
    quiet = {"fast_dev_run": False, "enable_checkpointing": False, "enable_model_summary": False}
    trainer = _trainer(
        plan,
        **arguments | quiet | {"profiler": NoProfiler()},
        logger=False,
        callbacks=[*taking_part, *([Progress()] if shows_progress else []), *callbacks],
        default_root_dir=directory.path,
        plugins=[LightningEnvironment()],
        enable_progress_bar=shows_progress,
    )
    trainer.loggers = [DummyLogger()]  # what a model logs by hand goes nowhere
    return trainer


_OF_TRAINING = (Checkpoint, EarlyStopping, ProgressBar)
"""Callbacks that have no part in an evaluation, or whose part hydrantic's own takes."""


def _one_of(devices: Any) -> Any:
    """The first of several devices."""
    return devices[:1] if isinstance(devices, list) and devices else 1


def _stops(plan: Plan) -> bool:
    """Whether a run ends where a checkpoint cannot be written."""
    return plan.blueprint.checkpoint is None or plan.blueprint.checkpoint.on_error == "stop"


def _contents(drafted: Draft) -> Contents:
    plan, key = drafted.plan, type(drafted.data).__qualname__
    return Contents(plan.resolved(), identities(plan), drafted.facts, data_key=key)


def _processes(plan: Plan, place: Place) -> dict[str, Any]:
    """The Trainer's arguments that tell the processes."""
    devices, strategy = plan.trainer["devices"], plan.trainer["strategy"]
    return {
        "devices": place.local_world if devices == "auto" else devices,
        "num_nodes": place.nodes,
        "strategy": _of_several(strategy) if place.world > 1 else strategy,
    }


def _trainer(plan: Plan, **arguments: Any) -> Trainer:
    try:
        return Trainer(**arguments)
    except Exception as error:  # Lightning and its accelerators have many ways to refuse
        message = " ".join(str(error).split())
        raise plan.refuse("refused-by-trainer", ("trainer", *_meant(plan, message)), message=message) from error


def _meant(plan: Plan, message: str) -> tuple[str, ...]:
    """The argument that a message of the Trainer is about, by its name or its value; none where that is open."""
    node = plan.document.find(("trainer",))
    written = [] if node is None else [(str(name), child.value) for name, child in node.children()]
    by_name = [name for name, _ in written if name in message]
    by_value = [name for name, value in written if isinstance(value, str) and value in message]
    return tuple((by_name or by_value)[:1])


def _own_callbacks(plan: Plan, directory: RunDirectory) -> list[Callback]:
    own: list[Callback] = []
    if plan.blueprint.early_stopping is not None:
        own.append(RunEarlyStopping(**plan.blueprint.early_stopping))
    if (checkpoint := plan.blueprint.checkpoint) is not None:
        own.append(checkpoint_callback(checkpoint, directory.path / checkpoint.dirpath))
    return own


class RunEarlyStopping(EarlyStopping):
    """Lightning's EarlyStopping; a run that goes on may be more patient than it was."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what has been seen, not the patience."""
        super().load_state_dict(state_dict | {"patience": self.patience})


def try_optimizer(plan: Plan, parameters: Iterable[nn.Parameter]) -> None:
    """Let optimizer and scheduler refuse their fields before a run begins; what is built here is not used.

    Raises:
        BlueprintError: one of them does.
    """
    if plan.style == "module" or plan.optimizer is None:
        return
    optimizer = _built(plan, plan.optimizer, params=[each for each in parameters if each.requires_grad])
    if plan.scheduler is not None:
        _built(plan, plan.scheduler, optimizer=optimizer)


def loggers(plan: Plan, directory: RunDirectory) -> list[Logger]:
    """The blueprint's loggers; metrics.csv is among them whether it says so or not."""
    built: list[Logger] = [_built(plan, each, directory) for each in plan.loggers.values()]
    if not any(isinstance(each, MetricsCsv) for each in built):
        built.append(MetricsCsv(directory.path))
    return built


def facts_of(plan: Plan, data: LightningDataModule) -> Facts:
    """What a plan's data states; none where it states nothing.

    Raises:
        BlueprintError: the data cannot be read, or refuses its fields.
    """
    state = getattr(data, "facts", None)
    if state is None:
        return Facts()
    try:
        facts: Facts = state()
    except Exception as error:
        raise _refused(plan, plan.data, error) from error
    return facts


def build_model(plan: Plan) -> LightningModule:
    """The model of a plan that the data's facts have completed, with its loss and metrics, and the weights of its seed.

    Raises:
        BlueprintError: a component refuses its fields.
    """
    seed_everything(plan.blueprint.seed, workers=True, verbose=False)
    model = unwired(plan)
    if isinstance(model, Model):
        model.wire(wired(plan, plan.loss), {stage: _metrics(plan) for stage in STAGES})
    return model


def unwired(plan: Plan) -> LightningModule:
    """The model of a plan, without the blueprint's loss and metrics.

    Raises:
        BlueprintError: it cannot be built.
    """
    if plan.style == "module":
        module: LightningModule = _built(plan, plan.model)
        return module
    return _composition(plan) if plan.style == "network" else _own_model(plan)


def _composition(plan: Plan) -> Model[Any]:
    return Composition(_groups(plan), _built(plan, plan.model))


def _own_model(plan: Plan) -> Model[Any]:
    groups = _groups(plan)
    component = plan.model
    if isinstance(component.hparams, ModelHparams):
        hparams = component.hparams.model_copy(update=dict(groups.items()))
        component = dataclasses.replace(component, hparams=hparams)
    model: Model[Any] = _built(plan, component)
    if not isinstance(component.hparams, ModelHparams):
        model.groups = groups
    return model


def _groups(plan: Plan) -> ModelHparams:
    assert plan.optimizer is not None  # the plan has one for every style that is built here
    blueprint = plan.blueprint
    kept = {} if blueprint.checkpoint is None else {"checkpoint": blueprint.checkpoint}
    return ModelHparams(
        optimizer=OptimizerHparams.of(plan.optimizer),
        scheduler=None if plan.scheduler is None else SchedulerHparams.of(plan.scheduler),
        early_stopping=blueprint.early_stopping,
        matmul_precision=blueprint.matmul_precision,
        **kept,
    )


def _metrics(plan: Plan) -> dict[str, Wired]:
    return {label: made for label, each in plan.metrics.items() if (made := wired(plan, each)) is not None}


def wired(plan: Plan, component: Component[Any] | None) -> Wired | None:
    """A loss or metric with the keys that it reads; None for None.

    Raises:
        BlueprintError: it cannot be built.
    """
    if component is None:
        return None
    wiring: Mapping[str, Any] = component.wiring or {}
    return Wired(_built(plan, component), wiring.get("input"), wiring.get("target"))


def _built(plan: Plan, component: Component[Any], directory: RunDirectory | None = None, **supplied: Any) -> Any:
    if directory is not None:
        supplied |= {
            "run_dir": directory.path,
            "run_name": plan.name,
            "run_id": directory.id,
            "run_group": directory.group,
            "save_dir": directory.path,
            "dirpath": directory.path / "checkpoints",
        }
    try:
        return component.build(**supplied)
    except Exception as error:  # a component may raise anything; its code is not the person's to read
        raise _refused(plan, component, error) from error


def _refused(plan: Plan, component: Component[Any], error: Exception) -> BlueprintError:
    """The component's own refusal, at the line of the blueprint that caused it."""
    if isinstance(error, BlueprintError):
        return error
    if isinstance(error, InvalidField):
        path = component.places.get(error.field, (*component.path, error.field))
        return plan.refuse("refused-field", path, message=_from_here(error.message))
    is_refusal = isinstance(error, HydranticError | ValueError | TypeError | OSError)
    message = _from_here(str(error) if is_refusal and str(error) else f"{type(error).__name__}: {error}")
    return plan.refuse("refused", component.path, owner=component.name, kind=component.kind, message=message)


def _from_here(message: str) -> str:
    """The message with paths as a person standing in the working directory would write them."""
    return message.replace(f"{Path.cwd()}{os.sep}", "")


class BestMetrics(Callback):
    """Keeps the metrics of the validation at which the objective was best.

    Arguments:
        objective: logged name and mode, or None to keep the latest.
    """

    def __init__(self, objective: tuple[str, str] | None) -> None:
        self._monitor: str | None = objective[0] if objective else None
        self._mode = objective[1] if objective else "min"
        self._best: float | None = None
        self.values: dict[str, float] = {}
        self.latest: dict[str, float] = {}
        """Every metric as it was after the latest validation."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare with the best validation so far."""
        if trainer.sanity_checking:
            return
        self.latest = {name: float(value) for name, value in trainer.callback_metrics.items()}
        value = None if self._monitor is None else self.latest.get(self._monitor)
        if value is not None and not self._improves(value):
            return
        logged = {name: value for name, value in self.latest.items() if name.startswith("validation/")}
        self.values = {"epoch": float(trainer.current_epoch)} | logged

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps, so that a run that goes on knows what was best before."""
        return {"best": self._best, "values": self.values, "latest": self.latest}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what a checkpoint has kept."""
        self._best, self.values, self.latest = (state_dict[name] for name in ("best", "values", "latest"))

    def _improves(self, value: float) -> bool:
        better = self._best is None or (value < self._best if self._mode == "min" else value > self._best)
        if better:
            self._best = value
        return better

"""Opening a run or a checkpoint: its blueprint, planned anew, and the model with the weights that it kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import Tensor

from hydrantic.build import build_data, build_model
from hydrantic.checking import Overrides, override_texts, prepare
from hydrantic.checkpoints import CheckpointError
from hydrantic.contents import KEY, Contents, read
from hydrantic.continuity import changed_values
from hydrantic.data import InMemoryData
from hydrantic.errors import BlueprintError
from hydrantic.facts import Facts
from hydrantic.finding import Found, find_run
from hydrantic.identity import changes, identities
from hydrantic.plan import Plan
from hydrantic.problems import Problem
from hydrantic.process import Restore, random_states, random_states_as_they_were, settings_as_they_were
from hydrantic.project import Project, shelf_beside
from hydrantic.rundir import plain_json
from hydrantic.source import IN_CHECKPOINT, display
from hydrantic.texts import cut
from hydrantic.yaml_text import to_inline_yaml

Which = Literal["best", "last"]
"""Which of a run's checkpoints is meant where none is named."""


@dataclass(frozen=True)
class Opened:
    """A run or a checkpoint, ready for use; its data is not read before somebody asks for it."""

    found: Found
    checkpoint: Path
    """The file of the weights."""
    plan: Plan
    """The plan of its blueprint with the overrides, completed by the facts of the data that it was trained on."""
    model: LightningModule = field(repr=False)
    """The model with these weights, in evaluation mode."""
    data: LightningDataModule = field(repr=False)
    """The data module of the plan, with what training fitted: preprocessing, categories, classes."""
    facts: Facts
    """What the data that it was trained on stated."""
    state: Mapping[str, Any] = field(repr=False)
    """All that the checkpoint holds."""
    notes: tuple[str, ...] = ()
    """What has changed of its components since, a line each."""
    overrides: tuple[str, ...] = ()
    """The values that differ from the run's, as on the command line."""
    project: Path | None = None
    """The root of the project whose components are used."""
    drawn: Sequence[Restore] = field(default=(), repr=False)
    """The random states once the model was built, from which the run's data module drew."""

    @property
    def blueprint(self) -> Mapping[str, Any]:
        """The resolved blueprint that was trained, without the overrides."""
        blueprint: Mapping[str, Any] = self.state[KEY]["blueprint"]
        return blueprint


def open_run(
    named: str | Path, overrides: Overrides = (), *, project: str | Path | None = None, weights: Which = "best"
) -> Opened:
    """Open a run from its directory or from a checkpoint alone; no other file is needed.

    Arguments:
        named: a run's directory, a checkpoint file, or a folder of runs, which means the latest of them.
        overrides: values that differ from the run's, such as `data.path=new.csv`.
        project: whose components may be used; by default the project that holds the working directory.
        weights: which checkpoint is meant where none is named.

    Raises:
        UsageError: there is no such run, or it kept no weights.
        CheckpointError: the checkpoint is damaged, foreign, or of another model.
        BlueprintError: its blueprint cannot be built here, such as for a component that is missing.
    """
    found = find_run(named)
    file = found.best if weights == "best" else found.last
    state, contents = read(file)
    if found.named is None:
        _refuse_foreign(found, contents, file)
    home = Project.find(explicit=None if project is None else Path(project))
    texts = override_texts(overrides)
    plan = _plan(contents, texts, home, _Origin(file, found.recorded))
    with settings_as_they_were(), random_states_as_they_were():
        data = build_data(plan)
        model = build_model(plan)
        drawn = random_states()
        _load_fitted(data, contents, file)
        notes = changes(contents.components, identities(plan))
        _load_weights(model, state, _Whence(file, texts, notes))
    return Opened(found, file, plan, model.eval(), data, contents.facts, state, notes, texts, home.root, drawn)


def _refuse_foreign(found: Found, contents: Contents, file: Path) -> None:
    """Refuse a checkpoint that came into a run's directory from another run.

    Raises:
        CheckpointError: it is such a one.
    """
    recorded = found.recorded.get("blueprint")
    if not isinstance(recorded, Mapping):
        return
    own, present = (_telling(each) for each in (recorded, contents.blueprint))
    if differing := changed_values(plain_json(own), plain_json(present)):
        before, after = (cut(to_inline_yaml(each), 40) for each in (differing[0].before, differing[0].after))
        raise CheckpointError(
            f"{display(file)} is of another run: it was trained with {differing[0].key} {after}, and run.json tells of "
            f"{before}; copied elsewhere it can be used as a checkpoint alone"
        )


def _telling(blueprint: Mapping[str, Any]) -> dict[str, Any]:
    """What of a blueprint stays as it is as long as a run goes on; its data may be moved."""
    data = blueprint.get("data")
    kind = data.get("name") if isinstance(data, Mapping) else data
    return {"name": blueprint.get("name"), "model": blueprint.get("model"), "data": kind}


@dataclass(frozen=True)
class _Origin:
    """Where a blueprint comes from."""

    file: Path
    """The checkpoint."""
    record: Mapping[str, Any]
    """That of its run; empty where it is not there."""

    def told(self, error: BlueprintError, contents: Contents, home: Project) -> BlueprintError:
        """The same problems; where a component is missing, with the shelf beside the file, or else what it was from."""
        shelf = shelf_beside(self.file.absolute(), home)
        if shelf is not None:
            return error.pointing_to(shelf.parent)
        return BlueprintError(tuple(self._told(each, contents) for each in error.problems))

    def _told(self, problem: Problem, contents: Contents) -> Problem:
        facts = problem.facts
        identity = contents.components.get(f"{facts.get('kind')}/{facts.get('name')}")
        if problem.code != "unknown-name" or not isinstance(identity, Mapping):
            return problem
        modules = self.record.get("modules")
        hashes = modules.items() if isinstance(modules, Mapping) else ()
        file = next((name for name, sha in hashes if sha == identity.get("source")), None)
        return replace(problem, facts={**facts, "trained": {**identity, "file": file}})


def _plan(contents: Contents, overrides: Overrides, home: Project, origin: _Origin) -> Plan:
    """The plan of a checkpoint's blueprint.

    Raises:
        BlueprintError: it has problems here.
    """
    label = f"{IN_CHECKPOINT}{display(origin.file)}"
    try:
        plan = prepare(contents.blueprint, overrides, project=home, label=label)
    except BlueprintError as error:
        if any(each.path[:1] != ("loggers",) for each in error.problems):
            raise origin.told(error, contents, home) from None
        # Nothing is logged any more: a logger that is not installed here, or its password, is not missed.
        plan = prepare({**contents.blueprint, "loggers": {}}, overrides, project=home, label=label)
    facts = contents.facts
    if isinstance(plan.trainer["val_check_interval"], int):  # a matter of training, which batches may not suit any more
        facts = replace(facts, train_size=None)
    return plan.supplied_with(facts)


def _load_fitted(data: LightningDataModule, contents: Contents, file: Path) -> None:
    """Give a data module what training fitted; another one than in training takes over what both know of.

    Raises:
        CheckpointError: it cannot be taken over.
    """
    is_other = type(data).__qualname__ != contents.data_key
    if contents.data is None or (is_other and not isinstance(data, InMemoryData)):
        return
    try:
        data.load_state_dict(dict(contents.data))
    except Exception as error:  # a data module may raise anything
        what = f"the data module {type(data).__name__}"
        of = f"of {contents.data_key}, which the model was trained with" if is_other else "that it kept itself"
        raise CheckpointError(f"{display(file)}: {what} cannot take over the state {of}: {error!r}") from error


@dataclass(frozen=True)
class _Whence:
    """Where weights come from, and what may be why they do not fit."""

    file: Path
    overrides: tuple[str, ...]
    notes: tuple[str, ...]

    def refuse(self, reason: str) -> CheckpointError:
        """The error that they do not fit."""
        changed = "".join(f"\n  {note}" for note in self.notes)
        model = [each for each in self.overrides if each.lstrip("+~").startswith("model")]
        said = f"\n  {' '.join(model)}: its weights are those of the model that it was trained with" if model else ""
        return CheckpointError(f"{display(self.file)} does not fit the model: {reason}{said}{changed}")


def _load_weights(model: LightningModule, state: dict[str, Any], whence: _Whence) -> None:
    """Give a model its weights as Lightning does, whose hooks a model may use.

    Raises:
        CheckpointError: they are of another model.
    """
    try:
        model.configure_model()
        model.on_load_checkpoint(state)
        _take_type(model, state["state_dict"])
        model.load_state_dict(state["state_dict"], strict=model.strict_loading)
    except Exception as error:  # a model may raise anything in its hooks
        lines = [line.strip() for line in str(error).splitlines()]
        raise whence.refuse(" ".join(lines[1:4]) or (lines or [type(error).__name__])[0]) from error


def _take_type(model: LightningModule, weights: Mapping[str, Tensor]) -> None:
    """Let a model compute in the type that its weights were kept in, which `trainer.precision` has chosen."""
    kept, built = _types(weights.values()), _types(model.parameters())
    if len(kept) == 1 and kept != built:
        model.to(*kept)


def _types(tensors: Iterable[Tensor]) -> set[torch.dtype]:
    return {each.dtype for each in tensors if isinstance(each, Tensor) and each.is_floating_point()}

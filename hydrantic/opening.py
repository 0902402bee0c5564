"""Opening a run or a checkpoint: its blueprint, planned anew, and the model with the weights that it kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import LightningDataModule, LightningModule

from hydrantic.build import build_data, build_model
from hydrantic.checking import Overrides, prepare
from hydrantic.checkpoints import CheckpointError
from hydrantic.contents import read
from hydrantic.facts import Facts
from hydrantic.finding import Found, find_run
from hydrantic.identity import changes, identities
from hydrantic.plan import Plan
from hydrantic.process import settings_as_they_were
from hydrantic.project import Project
from hydrantic.source import display

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
    home = Project.find(explicit=None if project is None else Path(project))
    plan = prepare(contents.blueprint, overrides, project=home, label=display(file))
    plan = plan.supplied_with(contents.facts)
    with settings_as_they_were():
        data = build_data(plan)
        model = build_model(plan)
    if contents.data is not None:
        data.load_state_dict(dict(contents.data))
    notes = changes(contents.components, identities(plan))
    _load_weights(model, state, file, notes)
    return Opened(found, file, plan, model.eval(), data, contents.facts, state, notes)


def _load_weights(model: LightningModule, state: Mapping[str, Any], file: Path, notes: tuple[str, ...]) -> None:
    try:
        model.load_state_dict(state["state_dict"])
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:4]]
        changed = "".join(f"\n  {note}" for note in notes)
        raise CheckpointError(f"{display(file)} does not fit the model: {' '.join(lines) or error}{changed}") from error

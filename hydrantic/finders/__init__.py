"""Short trainings that find out something before a run: a learning rate, a batch size, where the time goes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hydrantic.checking import Blueprintlike, Overrides, prepare
from hydrantic.errors import UsageError
from hydrantic.finding import find_run
from hydrantic.plan import Plan
from hydrantic.project import Project
from hydrantic.rundir import RunDirectory


def planned(blueprint: Blueprintlike, overrides: Overrides, project: str | Path | None) -> Plan:
    """The plan of a blueprint, or of the one behind a run or a checkpoint.

    Raises:
        BlueprintError: the blueprint has problems, in the words of `fit`.
        UsageError: there is no such run, or the checkpoint has left it.
    """
    home = Project.find(explicit=None if project is None else Path(project))
    return prepare(behind(blueprint), overrides, project=home)


def behind(named: Blueprintlike) -> Blueprintlike:
    """The blueprint that is meant: of a run or a checkpoint, the one that it was trained from.

    Raises:
        UsageError: there is no such run, or the checkpoint has left it.
    """
    if isinstance(named, Mapping) or not (Path(named).is_dir() or Path(named).suffix == ".ckpt"):
        return named
    found = find_run(named)
    if found.directory is None:
        raise UsageError(f"{found.label} has left its run's directory, and with it the blueprint; name a BLUEPRINT")
    return RunDirectory(found.directory).blueprint_file

"""Checking a blueprint: composed and planned, everything in it looked up and validated, nothing built or written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hydrantic.blueprint import groups, kind_of
from hydrantic.compose import compose
from hydrantic.errors import BlueprintError
from hydrantic.imports import import_lightning
from hydrantic.plan import Plan
from hydrantic.planning import make_plan
from hydrantic.problems import Problems
from hydrantic.project import Project, shelf_beside
from hydrantic.registries import registry


class _ConfigGroups:
    """The registries as Hydra config groups."""

    def sections(self) -> Mapping[str, bool]:
        return groups()

    def names(self, section: str) -> tuple[str, ...]:
        return registry(kind_of(section)).lookups()


def check(blueprint: str | Path, overrides: Sequence[str] = (), *, project: Project | None = None) -> Plan:
    """The plan of a blueprint, made of what is known of its components without importing them.

    Arguments:
        blueprint: the YAML file.
        overrides: `key=value` and the like, as on the command line.
        project: whose components may be used; by default the project that holds the working directory.

    Raises:
        BlueprintError: the blueprint has problems; all of them are listed.
        UsageError: the project cannot be used.
    """
    return prepare(blueprint, overrides, project=project)


def prepare(blueprint: str | Path, overrides: Sequence[str] = (), *, project: Project | None = None) -> Plan:
    """The plan of a blueprint whose components are imported, ready to be built; otherwise as `check`."""
    project = (project or Project.find()).open()
    try:
        problems = Problems()
        document = compose(Path(blueprint), overrides, _ConfigGroups(), problems=problems)
        import_lightning()  # not before it is needed: a file that cannot be read is told at once
        return make_plan(document, project, problems)
    except BlueprintError as error:
        shelf = shelf_beside(Path(blueprint), project)
        raise error if shelf is None else error.pointing_to(shelf.parent) from None

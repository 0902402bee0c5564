"""Checking a blueprint: composed and planned, everything in it looked up and validated, nothing built or written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from hydrantic.compose import compose
from hydrantic.document import Document
from hydrantic.errors import BlueprintError
from hydrantic.imports import import_lightning
from hydrantic.manifest import current, fresh
from hydrantic.plan import Plan
from hydrantic.planning import make_plan
from hydrantic.problems import Problems
from hydrantic.project import Project, shelf_beside
from hydrantic.registries import reading, registry
from hydrantic.sections import groups, kind_of


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
    project = (project or Project.find()).open()
    with reading(current(project)), _pointing_beside(Path(blueprint), project):
        document, problems = composed(blueprint, overrides)
        return make_plan(document, project, problems)


def prepare(blueprint: str | Path, overrides: Sequence[str] = (), *, project: Project | None = None) -> Plan:
    """The plan of a blueprint whose components are imported, ready to be built; otherwise as `check`."""
    project = (project or Project.find()).open()
    manifest = fresh(project)
    with _pointing_beside(Path(blueprint), project):
        with nullcontext() if manifest is None else reading(manifest):
            document, problems = composed(blueprint, overrides)
            if manifest is not None:  # what is wrong can be told before anything heavy is imported
                make_plan(document, project, problems)
        import_lightning()
        return make_plan(document, project, problems)


def composed(blueprint: str | Path, overrides: Sequence[str]) -> tuple[Document, Problems]:
    """A blueprint composed with the registries' names as options, and the problems that this showed.

    Raises:
        BlueprintError: there is nothing that could be looked at further.
    """
    problems = Problems()
    return compose(Path(blueprint), overrides, _ConfigGroups(), problems=problems), problems


def _planned(document: Document, problems: Problems, project: Project) -> Plan:
    return make_plan(document, project, problems)


@contextmanager
def _pointing_beside(blueprint: Path, project: Project) -> Iterator[None]:
    """Where a name is unknown, say that the blueprint's own project has a shelf, if it has one."""
    try:
        yield
    except BlueprintError as error:
        shelf = shelf_beside(blueprint, project)
        raise error if shelf is None else error.pointing_to(shelf.parent) from None

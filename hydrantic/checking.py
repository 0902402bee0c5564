"""Checking a blueprint: composed and planned, everything in it looked up and validated, nothing built or written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hydrantic.compose import compose
from hydrantic.document import Document, Node
from hydrantic.errors import BlueprintError, HydranticError
from hydrantic.imports import import_lightning
from hydrantic.manifest import Manifest, current, fresh
from hydrantic.plan import Plan
from hydrantic.planning import make_plan
from hydrantic.problems import Problems
from hydrantic.project import Project, shelf_beside
from hydrantic.registries import KINDS, STOCK, reading, registry
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
    with _pointing_beside(Path(blueprint), project):
        found = _composed_as_listed(blueprint, overrides, project)
        document, problems = found or _composed_for_real(blueprint, overrides)
        import_lightning()
        return make_plan(document, project, problems)


def _composed_as_listed(
    blueprint: str | Path, overrides: Sequence[str], project: Project
) -> tuple[Document, Problems] | None:
    """A blueprint composed with what the manifest tells; None where only the components themselves can judge it.

    Raises:
        BlueprintError: what is wrong can be told before anything heavy is imported.
    """
    manifest = fresh(project)
    if manifest is None:
        return None
    with reading(manifest):
        document, problems = composed(blueprint, overrides)
        try:
            make_plan(document, project, problems)
        except BlueprintError as error:
            if _may_misinform(manifest, document, error):
                return None
            raise
    return document, problems


def _may_misinform(manifest: Manifest, document: Document, error: BlueprintError) -> bool:
    """Whether components take part that are not hydrantic's own: they may have become others since they were listed."""
    others = {name for kind in KINDS for each in manifest.all(kind) if each.shelf != STOCK for name in each.lookups}
    if any(each.code == "unknown-name" for each in error.problems):
        return bool(others) or len(manifest.parts) > 1
    return not others.isdisjoint(_words(document.root))


def _words(node: Node) -> Iterator[Any]:
    """Every text and every key in a node."""
    if isinstance(node.value, str):
        yield node.value
    for key, child in node.children():
        yield key
        yield from _words(child)


def _composed_for_real(blueprint: str | Path, overrides: Sequence[str]) -> tuple[Document, Problems]:
    document, problems = composed(blueprint, overrides)
    if all(each.code != "unknown-name" for each in problems):
        return document, problems
    import_lightning()
    for kind in KINDS:
        with suppress(HydranticError):  # looking for what is not there imports all that make names when they are run
            registry(kind).get("")
    return composed(blueprint, overrides)


def composed(blueprint: str | Path, overrides: Sequence[str]) -> tuple[Document, Problems]:
    """A blueprint composed with the registries' names as options, and the problems that this showed.

    Raises:
        BlueprintError: there is nothing that could be looked at further.
    """
    problems = Problems()
    return compose(Path(blueprint), overrides, _ConfigGroups(), problems=problems), problems


@contextmanager
def _pointing_beside(blueprint: Path, project: Project) -> Iterator[None]:
    """Where a name is unknown, say that the blueprint's own project has a shelf, if it has one."""
    try:
        yield
    except BlueprintError as error:
        shelf = shelf_beside(blueprint, project)
        raise error if shelf is None else error.pointing_to(shelf.parent) from None

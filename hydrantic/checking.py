"""Checking a blueprint: composed and planned, everything in it looked up and validated, nothing built or written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

from hydrantic.blueprint import IN_PYTHON, written
from hydrantic.components import Component, plain_value
from hydrantic.compose import Composer, override_text
from hydrantic.document import Document, Node, Whole
from hydrantic.errors import BlueprintError, HydranticError, UsageError
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


Blueprintlike: TypeAlias = str | Path | Mapping[str, Any]
"""A blueprint: its YAML file, or what was made in Python, a `Blueprint` or a mapping."""

Overrides: TypeAlias = Sequence[str] | Mapping[str, Any]
"""`key=value` and the like, as on the command line; or values by key."""


def check(blueprint: Blueprintlike, overrides: Overrides = (), *, project: Project | None = None) -> Plan:
    """The plan of a blueprint, made of what is known of its components without importing them.

    Arguments:
        blueprint: the YAML file, or a `Blueprint` or mapping made in Python.
        overrides: `key=value` and the like, as on the command line; or a mapping of keys to values.
        project: whose components may be used; by default the project that holds the working directory.

    Raises:
        BlueprintError: the blueprint has problems; all of them are listed.
        UsageError: the project cannot be used.
    """
    project = (project or Project.find()).open()
    texts = override_texts(overrides)
    with reading(current(project)), _pointing_beside(blueprint, project):
        document, problems = composed(blueprint, texts, project)
        return make_plan(document, project, problems)


def prepare(
    blueprint: Blueprintlike, overrides: Overrides = (), *, project: Project | None = None, label: str = IN_PYTHON
) -> Plan:
    """The plan of a blueprint whose components are imported, ready to be built; otherwise as `check`.

    Arguments:
        blueprint: see `check`, as for the rest.
        overrides: see there.
        project: see there.
        label: the place of every value of a mapping.
    """
    project = (project or Project.find()).open()
    texts = override_texts(overrides)
    with _pointing_beside(blueprint, project):
        found = _composed_as_listed(blueprint, texts, project, label)
        document, problems = found or _composed_for_real(blueprint, texts, project, label)
        import_lightning()
        return make_plan(document, project, problems)


def prepare_checked(blueprint: Path, project: Project) -> Plan:
    """The plan of a blueprint that was checked before, such as a job's; its components are asked right away.

    Raises:
        BlueprintError: they have become others since, and refuse it.
    """
    project.open()
    document, problems = _composed_for_real(blueprint, (), project)
    import_lightning()
    return make_plan(document, project, problems)


def override_texts(overrides: Overrides) -> tuple[str, ...]:
    """Overrides as they stand on a command line.

    Raises:
        UsageError: a value cannot be written in one.
    """
    if isinstance(overrides, str):  # one, not its letters
        return (overrides,)
    if not isinstance(overrides, Mapping):
        return tuple(overrides)
    try:
        return tuple(text for key, value in overrides.items() for text in _texts_of(key, value))
    except ValueError as error:
        raise UsageError(f"overrides: {error}") from error


def _texts_of(key: str, value: Any) -> Iterator[str]:
    """A value as overrides: one, or one for each value of a mapping that holds components."""
    if isinstance(value, Mapping) and not _is_component(value) and any(map(_is_component, value.values())):
        for name, each in value.items():
            yield from _texts_of(f"{key}.{name}", each)
    else:
        yield f"{key}={value_text(value)}"


def value_text(value: Any) -> str:
    """A value written in Python as it stands behind `key=`; a component replaces the one that stands there.

    Raises:
        ValueError: Hydra's grammar has no way to write it.
    """
    plain = plain_value(value)
    return override_text(Whole(plain) if _is_component(value) else plain)


def _is_component(value: Any) -> bool:
    return isinstance(value, Component | Whole)


def _composed_as_listed(
    blueprint: Blueprintlike, overrides: Sequence[str], project: Project, label: str
) -> tuple[Document, Problems] | None:
    """A blueprint composed with what the manifest tells; None where only the components themselves can judge it.

    Raises:
        BlueprintError: what is wrong can be told before anything heavy is imported.
    """
    manifest = fresh(project)
    if manifest is None:
        return None
    with reading(manifest):
        document, problems = composed(blueprint, overrides, project, label)
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


def _composed_for_real(
    blueprint: Blueprintlike, overrides: Sequence[str], project: Project, label: str = IN_PYTHON
) -> tuple[Document, Problems]:
    document, problems = composed(blueprint, overrides, project, label)
    if all(each.code != "unknown-name" for each in problems):
        return document, problems
    import_lightning()
    for kind in KINDS:
        with suppress(HydranticError):  # looking for what is not there imports all that make names when they are run
            registry(kind).get("")
    return composed(blueprint, overrides, project, label)


def composed(
    blueprint: Blueprintlike, overrides: Sequence[str], project: Project | None = None, label: str = IN_PYTHON
) -> tuple[Document, Problems]:
    """A blueprint composed with the registries' names as options, and the problems that this showed.

    Raises:
        BlueprintError: there is nothing that could be looked at further.
    """
    problems = Problems()
    return composer_of(blueprint, project, label).compose(overrides, problems), problems


def composer_of(blueprint: Blueprintlike, project: Project | None = None, label: str = IN_PYTHON) -> Composer:
    """What composes a blueprint, once or many times, with the registries' names as options.

    Raises:
        BlueprintError: the file cannot be read.
    """
    if not isinstance(blueprint, Mapping):
        return Composer(Path(blueprint), _ConfigGroups())
    root = project.root if project is not None and project.root is not None else Path.cwd()
    folder = root / "blueprints" if (root / "blueprints").is_dir() else root
    return Composer.of(plain_value(written(blueprint)), folder, label, _ConfigGroups())


@contextmanager
def _pointing_beside(blueprint: Blueprintlike, project: Project) -> Iterator[None]:
    """Where a name is unknown, say that the blueprint's own project has a shelf, if it has one."""
    try:
        yield
    except BlueprintError as error:
        shelf = None if isinstance(blueprint, Mapping) else shelf_beside(Path(blueprint), project)
        raise error if shelf is None else error.pointing_to(shelf.parent) from None

"""Scaffolding: a new project that trains at once, and a blueprint that suits a table of one's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hydrantic.errors import UsageError
from hydrantic.project import Project, ProjectShelf
from hydrantic.scaffold.files import Written, written
from hydrantic.scaffold.texts import (
    DIGITS,
    EXAMPLE,
    GITIGNORE,
    IN_UNITS,
    IN_UNITS_MODEL,
    PYPROJECT,
    README,
    RESIDUAL,
    TESTS,
)
from hydrantic.source import display
from hydrantic.texts import aligned

if TYPE_CHECKING:
    from hydrantic.scaffold.tables import Table

__all__ = ["Scaffold", "scaffolded"]


@dataclass(frozen=True)
class Scaffold:
    """What was written, and the commands to go on with."""

    written: Written
    blueprint: Path
    commands: tuple[str, ...]
    """Commands with what they do as a comment, for a person who stands in the project."""


@contextmanager
def scaffolded(folder: Path, table: Table | None = None) -> Iterator[Scaffold]:
    """Write a project into a folder, or a table's blueprint into one that is there; where the body fails, undo it.

    Arguments:
        folder: where the project is, or shall be.
        table: what the project's blueprint is for; by default digits, which ship with hydrantic.

    Raises:
        UsageError: the folder is a file or not writable, or everything is there already.
    """
    if folder.exists() and not folder.is_dir():
        hint = f"; did you mean --data {display(folder)}?" if folder.suffix.lower() in {".csv", ".tsv"} else ""
        raise UsageError(f"{display(folder)} is a file, no folder{hint}")
    is_new = Project.find(folder).root != folder.resolve()
    stem = EXAMPLE if table is None else blueprint_stem(table.choice.table.file)
    files: dict[str, str] = {} if table is None else _for_table(folder, table, stem)
    if is_new or table is None:
        files |= _project(folder, stem)
    with written({folder / name: text for name, text in files.items()}) as done:
        if not done.new:
            raise UsageError(f"{display(folder)} has everything already: {', '.join(files)}; name another folder")
        yield Scaffold(done, folder / "blueprints" / f"{stem}.yaml", _commands(stem, pytest="README.md" in files))


def blueprint_stem(file: Path) -> str:
    """The name of the blueprint for a table: the file's, in small letters, digits and `_`."""
    stem = re.sub(r"\W+", "_", file.stem.lower()).strip("_") or "table"
    return f"{stem}_table" if stem == EXAMPLE else stem


def _project(folder: Path, stem: str) -> dict[str, str]:
    commands = "\n".join(_commands(stem, pytest=True))
    title = folder.resolve().name or "project"
    return {
        "README.md": README.format(title=title, commands=commands, blueprint=f"blueprints/{stem}.yaml"),
        "pyproject.toml": PYPROJECT,
        ".gitignore": GITIGNORE,
        f"blueprints/{EXAMPLE}.yaml": DIGITS,
        "registry/__init__.py": '"""The components of this project, found by the names they register."""\n',
        "registry/residual.py": RESIDUAL,
        "tests/test_blueprints.py": TESTS,
    }


def _for_table(folder: Path, table: Table, stem: str) -> dict[str, str]:
    name = f"blueprints/{stem}.yaml"
    file = folder / name
    if file.exists():
        raise UsageError(
            f"{display(file)} is there already and stays as it is; remove or rename it, or rename "
            f"{display(table.choice.table.file)}, which the blueprint is named after"
        )
    from hydrantic.scaffold.blueprints import blueprint_of

    files = {name: blueprint_of(table, file.parent, f"hydrantic fit {name}")}
    return files | (_in_units(folder) if table.is_regression else {})


def _in_units(folder: Path) -> dict[str, str]:
    """The module that a regression's blueprint needs, unless the project has it."""
    name = f"registry/{IN_UNITS_MODEL}.py"
    shelf = ProjectShelf(folder / "registry", "registry")
    if (folder / "registry").is_dir() and IN_UNITS_MODEL in shelf.names("model"):
        return {}
    if (folder / name).exists():
        raise UsageError(
            f"{display(folder / name)} is there already and registers no model '{IN_UNITS_MODEL}', which the blueprint "
            "needs; rename it"
        )
    return {name: IN_UNITS}


def _commands(stem: str, *, pytest: bool) -> tuple[str, ...]:
    blueprint = f"blueprints/{stem}.yaml"
    tests = ("python -m pytest", "# do all blueprints still work?")
    further = (f"hydrantic fit {blueprint} optimizer.lr=1e-3", "# with another value")
    commands = [
        (f"hydrantic check {blueprint}", "# is everything in it right?"),
        (f"hydrantic fit {blueprint}", "# train; the run is kept in runs/"),
        tests if pytest else further,
    ]
    return tuple(aligned(commands))

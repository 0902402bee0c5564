"""Projects and blueprints small enough for a test."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from hydrantic.checking import prepare
from hydrantic.errors import BlueprintError
from hydrantic.plan import Plan
from hydrantic.project import Project

DIGITS = "data: digits\nmodel: mlp\nloss: cross_entropy\nmetrics: {accuracy: }\nloggers: {}\ntrainer: {max_epochs: 1}\n"
"""A blueprint that trains within a tenth of a second."""


def write(file: Path, text: str) -> Path:
    """A file with this text, its indentation taken out."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text), encoding="utf-8")
    return file


def project(folder: Path, **modules: str) -> Project:
    """A project whose `registry/` has these modules."""
    write(folder / "registry" / "__init__.py", "")
    for name, text in modules.items():
        write(folder / "registry" / f"{name}.py", text)
    return Project(folder)


def planned(folder: Path, text: str, *overrides: str, of: Project | None = None) -> Plan:
    """The plan of a blueprint with this text."""
    return prepare(write(folder / "a.yaml", text), overrides, project=of or Project(None))


def problems(folder: Path, text: str, *overrides: str, of: Project | None = None) -> list[str]:
    """Every problem of a blueprint as `place: code`."""
    try:
        planned(folder, text, *overrides, of=of)
    except BlueprintError as error:
        return [f"{_place(each, folder)}: {each.code}" for each in error.problems]
    return []


def _place(problem: Any, folder: Path) -> str:
    source = problem.source
    return source.label if source.file is None else f"{source.line}:{source.column}"

"""Keeping what was found as an experiment: a file beside a blueprint that changes some of its values."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hydrantic.checking import check
from hydrantic.errors import BlueprintError, UsageError
from hydrantic.finding import RECORD
from hydrantic.plan import Plan
from hydrantic.project import Project
from hydrantic.rundir import write_atomically
from hydrantic.sections import groups
from hydrantic.source import display
from hydrantic.texts import on_one_line, visible
from hydrantic.yaml_text import to_yaml

_FOLDER: Final = "experiment"
_SAYABLE: Final = re.compile("[A-Za-z0-9_.-]+")
"""What Hydra takes for a group or an option without quotes."""


@dataclass(frozen=True)
class Kept:
    """An experiment that was written."""

    file: Path
    command: str
    """What fits the blueprint with it."""


@dataclass(frozen=True)
class Experiment:
    """Where an experiment is going to lie, and what it changes."""

    file: Path
    blueprint: Path
    overrides: tuple[str, ...]
    """What else is said of the blueprint, for which it was found."""

    def keep(self, key: str, value: Any, reads: Callable[[Plan], Any], project: Project) -> Kept:
        """Write the file, and see that it has its effect.

        Arguments:
            key: the value's path as `key_in` spells it.
            value: what was found.
            reads: takes the value out of a plan.
            project: whose components the blueprint uses.

        Raises:
            UsageError: it cannot be written, or something else decides over the value.
        """
        made = [each for each in (self.file.parent, *self.file.parent.parents) if not each.exists()]
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.file, self._text(key, value))
        except OSError as error:
            raise UsageError(f"{display(self.file)} cannot be written: {error.strerror or error}") from error
        words = self._chosen(key)
        try:
            plan = check(self.blueprint, words, project=project)
            problem = "" if reads(plan) == value else f"something else sets {key}"
        except BlueprintError as error:
            problem = str(error)
        if problem:
            self._discard(made)
            raise UsageError(f"{display(self.file)} would have no effect and was not kept: {problem}")
        return Kept(self.file, shlex.join(["hydrantic", "fit", display(self.blueprint), *words]))

    def _discard(self, made: Sequence[Path]) -> None:
        self.file.unlink()
        for folder in made:
            folder.rmdir()

    def _text(self, key: str, value: Any) -> str:
        nested: Any = value
        for part in reversed(key.split(".")):
            nested = {part: nested}
        asked = visible(on_one_line(shlex.join([self.blueprint.name, *self.overrides])))
        return f"# @package _global_\n# Found for {asked}\n{to_yaml(nested)}"

    def _chosen(self, key: str) -> list[str]:
        """The overrides with the experiment among them, and without what it replaces."""
        others = [word for word in self.overrides if word.lstrip("+").partition("=")[0] != key]
        group = self.file.parent.relative_to(self.blueprint.parent.absolute()).as_posix()
        before = [word for word in others if word.startswith(f"+{group}=")]
        names = [name for word in before for name in word.partition("=")[2].strip("[]").split(",")]
        chosen = ",".join([*names, self.file.stem])
        rest = [word for word in others if word not in before]
        return [f"+{group}=[{chosen}]" if names else f"+{group}={chosen}", *rest]


def key_in(plan: Plan, key: str) -> str:
    """The path of a component's field as a plan's blueprint spells it: `optimizer.lr`, or `optimizer.kwargs.lr`."""
    section, _, field = key.partition(".")
    return key if plan.document.find((section, "kwargs")) is None else f"{section}.kwargs.{field}"


def experiment(wanted: str, blueprint: Path, overrides: Sequence[str]) -> Experiment:
    """The experiment that a person wants to be written, refused before anything is computed.

    Arguments:
        wanted: its file, in a folder beside the blueprint; or its name alone, which then lies in `experiment/`.
        blueprint: the YAML file.
        overrides: what else is said of it.

    Raises:
        UsageError: it is there already, or would lie where no blueprint finds it.
    """
    if blueprint.is_dir() or blueprint.suffix == ".ckpt" or (blueprint.parent / RECORD).exists():
        raise UsageError("-o: a run's directory stays as it is; name the BLUEPRINT to write an experiment beside it")
    beside = blueprint.parent.absolute()
    is_name = "/" not in wanted and not wanted.endswith((".yaml", ".yml"))
    file = beside / _FOLDER / f"{wanted}.yaml" if is_name else Path(wanted).absolute()
    suggestion = display(beside / _FOLDER / f"{blueprint.stem}-found.yaml")
    parts = file.parent.relative_to(beside).parts if file.is_relative_to(beside) else ()
    if not parts or parts[0] in groups() or ".." in file.parts or file.suffix != ".yaml":
        raise UsageError(f"-o {wanted}: an experiment lies in a folder beside its blueprint, such as {suggestion}")
    if not all(map(_SAYABLE.fullmatch, (*parts, file.stem))):
        raise UsageError(f"-o {wanted}: an experiment is chosen by name: use letters a to z, digits, ., - and _ alone")
    if file.exists():
        raise UsageError(f"-o {wanted}: {display(file)} is there already; remove it, or choose another name")
    return Experiment(file, blueprint, tuple(overrides))


def as_record(found: Mapping[str, Any], kept: Kept | None) -> dict[str, Any]:
    """What was found, and where it was kept, as JSON can hold it."""
    where = {"file": None, "command": None} if kept is None else {"file": str(kept.file), "command": kept.command}
    return {**found, **where}

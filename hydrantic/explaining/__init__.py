"""Explaining one value of a blueprint: what it is, who set it, what that replaced, and what it may be.

`hydrantic.explaining.telling` puts an explanation into words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from hydrantic.checking import check, composed
from hydrantic.document import Document, Node
from hydrantic.errors import BlueprintError, UsageError
from hydrantic.explaining.origins import Layer, Setting, settings_in, settings_of
from hydrantic.forms import held
from hydrantic.interpolation import references
from hydrantic.manifest import current
from hydrantic.phrases import words
from hydrantic.plan import Plan
from hydrantic.problems import Problem
from hydrantic.project import Project
from hydrantic.registries import reading
from hydrantic.source import KeyPath, Source, display, dotted
from hydrantic.suggestions import nearest
from hydrantic.texts import listed
from hydrantic.wording import message
from hydrantic.yaml_text import shortened

_NAMES: Final = 16
"""How many fields a message names."""


Planning = Callable[[Path, Sequence[str], Project], Plan]
"""Makes the plan of a blueprint."""


def _checked(blueprint: Path, overrides: Sequence[str], project: Project) -> Plan:
    return check(blueprint, overrides, project=project)


def explain(
    blueprint: str | Path,
    key: str,
    overrides: Sequence[str] = (),
    *,
    project: Project | None = None,
    planning: Planning = _checked,
) -> Explanation:
    """Explain one value of a blueprint; of one that has problems, what it says as far as it can be told.

    Arguments:
        blueprint: the YAML file.
        key: the dotted path of the value, such as `optimizer.lr`, or a section.
        overrides: `key=value` and the like, as on the command line.
        project: whose components may be used; by default the project that holds the working directory.
        planning: makes the plan; by default `check` does, which leaves to a run what the data supplies.

    Raises:
        BlueprintError: the blueprint has problems, and nothing in it is called so.
        UsageError: nothing is called so, or the project cannot be used.
    """
    project = project or Project.find()
    whole = _whole(Path(blueprint), overrides, project, planning)
    try:
        return replace(whole, setting=_found(whole.settings, key, Path(blueprint)))
    except UsageError:
        if whole.problems:
            raise BlueprintError(whole.problems) from None
        raise


def _whole(blueprint: Path, overrides: Sequence[str], project: Project, planning: Planning) -> Explanation:
    """The explanation of a blueprint as a whole."""
    try:
        plan = planning(blueprint, overrides, project)
    except BlueprintError as error:
        with reading(current(project)):
            document, _ = composed(blueprint, overrides)
        root = settings_in(document, project)
        return Explanation(root, root, document, document.root, error.problems)
    root = settings_of(plan, project)
    return Explanation(root, root, plan.document, plan.record)


def _found(root: Setting, key: str, blueprint: Path) -> Setting:
    """The setting that a key means; a part of a key may hold dots itself."""
    reached, rest = root, re.sub(r"\[(\d+)\]", r".\1", key).strip(".")
    while True:
        steps = ((part, root.find((*reached.path, part))) for part in _beginnings(rest))
        part, below = next(((part, below) for part, below in steps if below is not None), ("", None))
        if below is None:
            raise UsageError(_nowhere(root, reached, rest, blueprint))
        reached, rest = below, rest[len(part) + 1 :]
        if not rest:
            return reached


def _beginnings(text: str) -> Iterator[str]:
    """The text, and what stands before each of its dots, the longest first."""
    while text:
        yield text
        text = text.rpartition(".")[0]


def _nowhere(root: Setting, reached: Setting, rest: str, blueprint: Path) -> str:
    wanted = dotted((*reached.path, rest))
    said = f"{display(blueprint)}: there is no '{wanted}'"
    near = nearest(rest.partition(".")[0], reached.parts)
    last = rest.rpartition(".")[2]
    elsewhere = [dotted(each.path) for each in root.walk() if each.path[-1:] == (last,)]
    if near is not None:
        said += f"; did you mean '{dotted((*reached.path, near))}'?"
    elif elsewhere:
        said += f"; did you mean {' or '.join(repr(each) for each in elsewhere[:3])}?"
    if not reached.path:
        return f"{said}\nThe sections are {', '.join(reached.parts)}."
    if not reached.parts:
        is_slot = held(reached.known.get("type", "any"), "slot") is not None
        choose = f"; {dotted(reached.path)}=NAME chooses one" if is_slot else ""
        return f"{said}\n'{dotted(reached.path)}' is {shortened(reached.value)}, so there is nothing below it{choose}."
    what = "fields" if reached.entry is not None else "keys"
    return f"{said}\nThe {what} of {_title(reached)} are {listed(list(reached.parts), _NAMES)}."


def _title(setting: Setting) -> str:
    return setting.component or f"'{dotted(setting.path)}'"


@dataclass(frozen=True)
class Explanation:
    """What there is to say of one value; `problems` are those of the whole blueprint."""

    setting: Setting
    settings: Setting = field(repr=False)
    document: Document = field(repr=False)
    record: Node = field(repr=False)
    problems: tuple[Problem, ...] = ()

    @property
    def own_problems(self) -> tuple[Problem, ...]:
        """The problems that are about this value or something in it."""
        places = {layer.source for layer in self.setting.layers}
        return tuple(each for each in self.problems if each.source in places or self._is_about(each))

    def _is_about(self, problem: Problem) -> bool:
        found = self.settings.find(problem.path) if problem.path else None
        return found is not None and found.path[: len(self.setting.path)] == self.setting.path

    @property
    def referred(self) -> tuple[Setting, ...]:
        """The values that the interpolation reads by which this one was written, and those that they read."""
        found: dict[KeyPath, Setting] = {}
        open_ = [self.setting]
        while open_:
            layer = open_.pop(0).set_by
            for path in references(layer.written, layer.path, self.record) if layer and layer.written else ():
                setting = self.settings.find(path)
                if setting is not None and setting.path not in found:
                    found[setting.path] = setting
                    open_.append(setting)
        return tuple(found.values())

    @property
    def chosen_by(self) -> tuple[Source, ...]:
        """Where the file was asked for in which the value stands, and so on to the blueprint or the command line."""
        found: list[Source] = []
        layer = self.setting.set_by
        file = layer.source.file if layer is not None else None
        while file is not None and file in self.document.asked and len(found) < len(self.document.asked):
            found.append(self.document.asked[file])
            file = found[-1].file
        return tuple(found)

    def to_plain(self) -> dict[str, Any]:
        """The explanation for a program to read."""
        setting, known, entry = self.setting, self.setting.known, self.setting.entry
        plain: dict[str, Any] = {"path": dotted(setting.path), "value": setting.value, **setting.record}
        plain["chosen_by"] = [Layer(None, each, ()).record for each in self.chosen_by]
        plain["refers_to"] = [{"path": dotted(e.path), "value": e.value, **e.record} for e in self.referred]
        plain["replaced"] = [{"value": each.value, "removed": each.removes, **each.record} for each in setting.replaced]
        plain["type"] = words(known["type"]) if "type" in known else None
        plain |= {"default": known["default"]} if "default" in known else {}
        plain["meaning"] = known.get("meaning")
        if entry is not None:
            source = entry.source
            file = None if source.file is None else display(source.file)
            about = {"kind": entry.kind, "name": entry.name, "summary": entry.summary, "shelf": entry.shelf}
            plain["component"] = about | {"file": file, "line": source.line or None}
        parts = {name: {"value": each.value, **each.record} for name, each in setting.parts.items()}
        plain |= {"parts": parts} if parts else {}
        plain["problems"] = [
            {"place": str(each.source), "path": dotted(each.path), "message": message(each)}
            for each in self.own_problems
        ]
        return plain

"""Explaining one value of a blueprint: what it is, who set it, what that replaced, and what it may be."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hydrantic.checking import check, composed
from hydrantic.document import Document, Node
from hydrantic.errors import BlueprintError, UsageError
from hydrantic.interpolation import references
from hydrantic.manifest import current
from hydrantic.origins import Layer, Setting, settings_in, settings_of
from hydrantic.phrases import words
from hydrantic.problems import Problem
from hydrantic.project import Project
from hydrantic.registries import reading
from hydrantic.source import KeyPath, Source, display, dotted
from hydrantic.suggestions import nearest
from hydrantic.wording import excerpt
from hydrantic.yaml_text import to_inline_yaml

_WIDTH: Final = 100
_LABELS: Final = 12
"""The width of the column of labels."""
_VALUES: Final = 40
"""How much of a value is shown in a table."""
_NAMES: Final = 16
_ENVIRONMENT: Final = re.compile(r"\$\{oc\.env:([^,}]+)")


def explain(
    blueprint: str | Path, key: str, overrides: Sequence[str] = (), *, project: Project | None = None
) -> Explanation:
    """Explain one value of a blueprint; of one that has problems, what it says as far as it can be told.

    Arguments:
        blueprint: the YAML file.
        key: the dotted path of the value, such as `optimizer.lr`, or a section.
        overrides: `key=value` and the like, as on the command line.
        project: whose components may be used; by default the project that holds the working directory.

    Raises:
        BlueprintError: the blueprint has problems, and nothing in it is called so.
        UsageError: nothing is called so, or the project cannot be used.
    """
    project = project or Project.find()
    found = _settings(blueprint, overrides, project)
    try:
        setting = _found(found.settings, key, Path(blueprint))
    except UsageError:
        if found.error is not None:
            raise found.error from None
        raise
    problems = () if found.error is None else found.error.problems
    return Explanation(setting, found.settings, found.document, found.record, problems)


@dataclass(frozen=True)
class _Known:
    settings: Setting
    document: Document
    record: Node
    error: BlueprintError | None = None


def _settings(blueprint: str | Path, overrides: Sequence[str], project: Project) -> _Known:
    try:
        plan = check(blueprint, overrides, project=project)
    except BlueprintError as error:
        with reading(current(project)):
            document, _ = composed(blueprint, overrides)
        return _Known(settings_in(document, project), document, document.root, error)
    return _Known(settings_of(plan, project), plan.document, plan.record)


def _found(root: Setting, key: str, blueprint: Path) -> Setting:
    """The setting that a key means; a part of a key may hold dots itself."""
    rest = re.sub(r"\[(\d+)\]", r".\1", key).strip(".")
    reached = root
    if not rest:
        raise UsageError(_nowhere(root, root, key, blueprint))
    while rest:
        step = next((part for part in _beginnings(rest) if reached.find((part,)) is not None), None)
        older = rest.partition(".")[0] if step is None else step
        below = reached.find((older,)) or (root.find((*reached.path, older)) if reached.path else None)
        if below is None:
            raise UsageError(_nowhere(root, reached, rest, blueprint))
        reached, rest = below, rest[len(older) + 1 :]
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
        return f"{said}\nThe sections are {_names(reached.parts, len(reached.parts))}."
    if not reached.parts:
        type_ = reached.known.get("type")
        kind = type_.get("slot") if isinstance(type_, dict) else None
        choose = "" if kind is None else f"; {dotted(reached.path)}=NAME chooses one"
        return f"{said}\n'{dotted(reached.path)}' is {_short(reached.value)}, so there is nothing below it{choose}."
    what = "fields" if reached.entry is not None else "keys"
    return f"{said}\nThe {what} of {_title(reached)} are {_names(reached.parts, _NAMES)}."


def _names(parts: Mapping[str, Any], most: int) -> str:
    names = list(parts)
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _title(setting: Setting) -> str:
    return setting.component or f"'{dotted(setting.path)}'"


@dataclass(frozen=True)
class Explanation:
    """What there is to say of one value; `problems` are those of the whole blueprint."""

    setting: Setting
    settings: Setting
    document: Document
    record: Node
    problems: tuple[Problem, ...] = ()

    @property
    def own_problems(self) -> tuple[Problem, ...]:
        """The problems that are about this value or something in it."""
        about = {id(each) for each in self.setting.walk()}
        places = {layer.source for layer in self.setting.layers}
        return tuple(
            each
            for each in self.problems
            if (each.path and id(self.settings.find(each.path)) in about) or each.source in places
        )

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
        return plain | ({"parts": parts} if parts else {})

    def __str__(self) -> str:
        rows = [line for label, lines in self._rows() for line in _row(label, lines)]
        return "\n".join([self._headline(), "", *rows, *self._table()])

    def _headline(self) -> str:
        value = self.setting.component or self.setting.value
        shown = "" if isinstance(value, dict) and value else to_inline_yaml(value)
        return f"{dotted(self.setting.path)}: {shown}".rstrip()

    def _rows(self) -> Iterator[tuple[str, Sequence[str]]]:
        setting = self.setting
        yield "set by", self._set_by()
        yield "chosen by", [str(each) for each in self.chosen_by]
        if setting.is_supplied and setting.is_set:
            yield "supplied by", ["the data, when a run starts"]
        yield "refers to", list(self._referred_in_words())
        yield "instead of", _aligned(list(self._replaced()))
        yield "component", list(self._component())
        if "type" in setting.known and (isinstance(setting.value, list) or not setting.parts):
            yield "type", [words(setting.known["type"])]
        if setting.is_set and "default" in setting.known and setting.entry is None:
            yield "default", [_short(setting.known["default"])]
        yield "meaning", [setting.known["meaning"]] if setting.known.get("meaning") else []
        yield "note", list(self._notes())
        yield "to set it", list(self._to_set_it())

    def _set_by(self) -> Sequence[str]:
        layer = self.setting.set_by
        if layer is None:
            return [f"{self.setting.origin}, when a run starts" if self.setting.is_supplied else self._nobody()]
        return [str(layer.source), *excerpt(layer.source, self.document.texts).splitlines()[1:]]

    def _nobody(self) -> str:
        return f"nobody; it is the {self.setting.origin.removeprefix('the ')}"

    def _referred_in_words(self) -> Iterator[str]:
        for each in self.referred:
            yield f"{dotted(each.path)}: {_short(each.value)}, {_set_in_words(each)}"
        layer = self.setting.set_by
        for name in _ENVIRONMENT.findall(layer.written if layer is not None else ""):
            yield f"the environment variable {name}, whose value is not shown"

    def _replaced(self) -> Iterator[tuple[str, str]]:
        """What was there before, the newest first, down to the default."""
        for each in self.setting.replaced:
            yield "(removed)" if each.removes else _short(each.value), str(each.source)

    def _component(self) -> Iterator[str]:
        entry = self.setting.entry
        if entry is not None:
            yield f"{entry.kind} {entry.name} of {entry.shelf}, {entry.source}"
            yield from [entry.summary] if entry.summary else []

    def _notes(self) -> Iterator[str]:
        for length in range(1, len(self.setting.path)):
            above = self.settings.find(self.setting.path[:length])
            if above is not None and above.value is None:
                yield f"{dotted(above.path)} is null, so this has no effect until something in it is set"
                return

    def _to_set_it(self) -> Iterator[str]:
        setting = self.setting
        if not setting.is_set and not isinstance(setting.path[-1], int):
            above = dotted(setting.path[:-1])
            where = f"below `{above}:`" if above else "in the blueprint"
            yield f"`{dotted(setting.path)}{_assigned(setting)}` on the command line, or `{setting.path[-1]}:` {where}"

    def _table(self) -> list[str]:
        """The parts with their values and origins; nothing where a list says it all on its line."""
        parts = list(self.setting.parts.values())
        if isinstance(self.setting.value, list) and not any(_differs(each, self.setting) for each in parts):
            return []
        rows = [(str(each.path[-1]), _brief(each), each.origin) for each in parts]
        return ["", *_aligned(rows)] if rows else []


def _assigned(setting: Setting) -> str:
    """How an override of a setting goes on."""
    type_ = setting.known.get("type")
    if isinstance(type_, dict) and "slot" in type_:
        return "=NAME"
    is_mapping = isinstance(setting.value, dict) or (setting.value is None and setting.parts)
    return ".KEY=..." if is_mapping else "=..."


def _differs(element: Setting, whole: Setting) -> bool:
    """Whether an element of a list has something of its own to tell."""
    if element.parts or element.set_by is None or whole.set_by is None:
        return bool(element.parts)
    return element.set_by.source.file != whole.set_by.source.file or bool(element.set_by.written)


def _set_in_words(setting: Setting) -> str:
    layer = setting.set_by
    if layer is None:
        return setting.origin
    return f"set by {layer.source}" + (f" as {layer.written}" if layer.written else "")


def _brief(setting: Setting) -> str:
    """A value on one line; of a component, its name and the fields that somebody set."""
    if setting.component is None:
        return _short(setting.value)
    written = {name: each.value for name, each in setting.parts.items() if each.is_set and name != "name"}
    return _short({"name": setting.component} | written if written else setting.component)


def _short(value: Any) -> str:
    text = to_inline_yaml(value)
    return text if len(text) <= _VALUES else f"{text[: _VALUES - 3]}..."


def _row(label: str, lines: Sequence[str]) -> Iterator[str]:
    """A label and its lines, wrapped; an excerpt of a file stands as it does in the report of a problem."""
    for number, line in enumerate(lines):
        if number and label == "set by":
            yield line
            continue
        start = f"{label if number == 0 else '':<{_LABELS}}"
        yield from textwrap.wrap(
            line, _WIDTH, initial_indent=start, subsequent_indent=" " * _LABELS,
            break_long_words=False, break_on_hyphens=False,
        ) if label not in {"set by", "instead of"} else [start + line]  # fmt: skip


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows with their columns below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]

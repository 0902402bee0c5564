"""Putting an explanation into words: the value, rows of a label and what it says, and a table of the value's parts."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from hydrantic.explaining import Explanation
from hydrantic.explaining.origins import Layer, Setting
from hydrantic.forms import held
from hydrantic.hparams import AUTO
from hydrantic.phrases import words
from hydrantic.source import dotted
from hydrantic.texts import aligned
from hydrantic.wording import excerpt
from hydrantic.yaml_text import shortened, to_inline_yaml

_WIDTH: Final = 100
_LABELS: Final = 12
"""The width of the column of labels."""
_ENVIRONMENT: Final = re.compile(r"\$\{oc\.env:([^,}]+)")


def tell(explanation: Explanation) -> str:
    """The explanation as text for the terminal."""
    setting = explanation.setting
    value = setting.component or setting.value
    shown = "" if isinstance(value, dict) and value else to_inline_yaml(value)
    rows = [line for label, lines in _rows(explanation) for line in _row(label, lines)]
    return "\n".join([f"{dotted(setting.path)}: {shown}".rstrip(), "", *rows, *_table(setting)])


def _rows(explanation: Explanation) -> Iterator[tuple[str, Sequence[str]]]:
    setting, known = explanation.setting, explanation.setting.known
    yield "set by", _set_by(explanation)
    yield "chosen by", [str(each) for each in explanation.chosen_by]
    if setting.is_supplied and setting.is_set:
        yield "supplied by", ["the data, when a run starts"]
    yield "refers to", list(_references(explanation))
    yield "instead of", aligned([_replaced(each) for each in setting.replaced])
    yield "component", list(_component(setting))
    if "type" in known and (isinstance(setting.value, list) or not setting.parts):
        yield "type", [words(known["type"])]
    if "default" in known and setting.is_set and setting.entry is None:
        yield "default", [shortened(known["default"])]
    yield "meaning", [known["meaning"]] if known.get("meaning") else []
    yield "note", list(_note(explanation))
    yield "to set it", list(_to_set_it(setting))


def _set_by(explanation: Explanation) -> Sequence[str]:
    """Who set the value; one who wrote it in a file is shown there."""
    setting, layer = explanation.setting, explanation.setting.set_by
    if layer is not None:
        return [str(layer.source), *excerpt(layer.source, explanation.document.texts).splitlines()[1:]]
    if setting.is_supplied:
        return [f"{setting.origin}, when a run starts" if setting.value == AUTO else setting.origin]
    return [f"nobody; it is the {setting.origin.removeprefix('the ')}"]


def _references(explanation: Explanation) -> Iterator[str]:
    for each in explanation.referred:
        layer = each.set_by
        written = f" as {layer.written}" if layer is not None and layer.written else ""
        yield f"{dotted(each.path)}: {shortened(each.value)}, {'set by ' if each.is_set else ''}{each.origin}{written}"
    layer = explanation.setting.set_by
    for name in _ENVIRONMENT.findall("" if layer is None else layer.written):
        yield f"the environment variable {name}, whose value is not shown"


def _replaced(layer: Layer) -> tuple[str, str]:
    return "(removed)" if layer.removes else shortened(layer.value), str(layer.source)


def _component(setting: Setting) -> Iterator[str]:
    entry = setting.entry
    if entry is not None:
        yield f"{entry.kind} {entry.name} of {entry.shelf}, {entry.source}"
        yield from [entry.summary] if entry.summary else []


def _note(explanation: Explanation) -> Iterator[str]:
    path = explanation.setting.path
    above = [explanation.settings.find(path[:length]) for length in range(1, len(path))]
    for each in above:
        if each is not None and each.value is None:
            yield f"{dotted(each.path)} is null, so this has no effect until something in it is set"
            return


def _to_set_it(setting: Setting) -> Iterator[str]:
    if not setting.is_set and not isinstance(setting.path[-1], int):
        above = dotted(setting.path[:-1])
        where = f"below `{above}:`" if above else "in the blueprint"
        yield f"`{dotted(setting.path)}{_assigned(setting)}` on the command line, or {where}"


def _assigned(setting: Setting) -> str:
    """How an override of a setting goes on after its path."""
    if held(setting.known.get("type", "any"), "slot") is not None:
        return "=NAME"
    is_mapping = isinstance(setting.value, dict) or (setting.value is None and setting.parts)
    return ".KEY=..." if is_mapping else "=..."


def _table(setting: Setting) -> list[str]:
    """The parts with their values and origins; nothing where a list says it all on its line."""
    parts = list(setting.parts.values())
    if isinstance(setting.value, list) and not any(_differs(each, setting) for each in parts):
        return []
    rows = [(str(each.path[-1]), _brief(each), each.origin) for each in parts]
    return ["", *aligned(rows)] if rows else []


def _differs(element: Setting, whole: Setting) -> bool:
    """Whether an element of a list has something of its own to tell."""
    own, common = element.set_by, whole.set_by
    if element.parts or own is None or common is None:
        return bool(element.parts)
    return own.source.file != common.source.file or own.source.label != common.source.label or bool(own.written)


def _brief(setting: Setting) -> str:
    """A value on one line; of a component, its name and the fields that somebody set."""
    if setting.component is None:
        return shortened(setting.value)
    written = {name: each.value for name, each in setting.parts.items() if each.is_set and name != "name"}
    return shortened({"name": setting.component} | written if written else setting.component)


def _row(label: str, lines: Sequence[str]) -> Iterator[str]:
    """A label and its lines; an excerpt of a file stands as it does in the report of a problem."""
    for number, line in enumerate(lines):
        if number and label == "set by":
            yield line
            continue
        start = f"{label if number == 0 else '':<{_LABELS}}"
        yield from [start + line] if label in {"set by", "instead of"} else _wrapped(start, line)


def _wrapped(start: str, line: str) -> list[str]:
    """The line in as many as it needs, none of its words torn: they may be paths."""
    return textwrap.wrap(
        line, _WIDTH, initial_indent=start, subsequent_indent=" " * _LABELS,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip

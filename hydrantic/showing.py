"""Showing a complete blueprint as a run would record it, and beside each value where it came from."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from hydrantic.explaining.origins import Layer, Setting
from hydrantic.source import KeyPath, display, dotted
from hydrantic.texts import visible_json
from hydrantic.yaml_text import to_commented_yaml


def with_origins(values: Mapping[str, Any], settings: Setting) -> str:
    """A complete blueprint as YAML, with a comment on each line where the value came from."""
    return to_commented_yaml(values, {each.path: comment(each) for each in settings.walk()})


def records(values: Mapping[str, Any], settings: Setting) -> dict[str, dict[str, Any]]:
    """The value and the origin of everything in a complete blueprint, by its dotted path."""
    found: dict[str, dict[str, Any]] = {}
    for path, value in _leaves(values, ()):
        if (setting := settings.find(path)) is not None:
            found[dotted(path)] = {"value": value, **setting.record}
    return found


def _leaves(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _leaves(each, (*path, key))
    elif isinstance(value, list) and any(isinstance(each, dict | list) for each in value):
        for index, each in enumerate(value):
            yield from _leaves(each, (*path, index))
    else:
        yield path, value


def to_json(value: Any) -> str:
    """A value as JSON text; numbers that JSON does not have become text."""
    return visible_json(json.dumps(_strict(value), indent=2, ensure_ascii=False))


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _strict(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def comment(setting: Setting) -> str:
    """Where a value came from in a few words; of a list's elements, those that came from elsewhere."""
    layer = setting.set_by
    if layer is None:
        return str(setting.record["origin"])
    words = [_few_words(layer)]
    for index, each in setting.parts.items() if isinstance(setting.value, list) else ():
        element = each.set_by
        if element is not None and (element.written or _home(element) != _home(layer)):
            together = _home(element) == _home(layer) and element.written
            words.append(f"[{index}] {element.written if together else _few_words(element)}")
    return ", ".join(words)


def _few_words(layer: Layer) -> str:
    source = layer.source
    place = source.label.partition(": ")[0] if source.file is None else f"{display(source.file)}:{source.line}"
    return f"{place}: {layer.written}" if layer.written else place


def _home(layer: Layer) -> object:
    """What the elements of a list have in common with it where they were written together."""
    return layer.source.file, layer.source.label

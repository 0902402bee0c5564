"""Where each value of a run came from, in few words that its record keeps."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hydrantic.components import Component, auto_fields
from hydrantic.document import Document, Node
from hydrantic.hparams import AUTO
from hydrantic.plan import GROUPS, Plan
from hydrantic.sections import COMPONENTS, LABELLED
from hydrantic.source import SUPPLIED, KeyPath, Source, display, dotted

_COMMAND_LINE = "command line"


def origins(plan: Plan, directory: Path) -> dict[str, str]:
    """Where the values of a run came from, by their dotted key: `blueprints/mlp.yaml:12`, `command line` or `the data`.

    A value without an entry, and without one for what it is a part of, is a default. Where the run goes on, or was
    planned by a sweep, what its directory said before stays, but for what this command line says.

    Arguments:
        plan: completed by the data's facts.
        directory: of the run.
    """
    found = origins_in(plan)
    before = _recorded(directory)
    if not before and plan.document.file.absolute() != (directory / "blueprint.yaml").absolute():
        return found
    return before | {key: origin for key, origin in found.items() if origin in {SUPPLIED, _COMMAND_LINE}}


def origins_in(plan: Plan) -> dict[str, str]:
    """The same as far as the plan itself tells."""
    return {"name": "the file's name"} | {dotted(path): origin for path, origin in _found(plan)}


def _recorded(directory: Path) -> dict[str, str]:
    """What was noted before: by the run itself, or by the sweep that planned it."""
    for name in ("run.json", "job.json"):
        try:
            said = json.loads((directory / name).read_bytes())["origins"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if isinstance(said, dict):
            return {str(key): str(origin) for key, origin in said.items()}
    return {}


def _found(plan: Plan) -> Iterator[tuple[KeyPath, str]]:
    for path, component in plan.components.items():
        yield from _of_component(component, path, plan.document)
    for key, node in plan.document.root.children():
        if key not in {*COMPONENTS, *LABELLED}:
            yield from _of_node(node, (key,))
    model = plan.document.find(("model",))
    for group in GROUPS:  # a model's block may carry what is a section elsewhere
        carried = None if model is None else model.child(group)
        if carried is not None and group not in COMPONENTS:
            yield from _of_node(carried, (group,))


def _of_component(component: Component[Any], path: KeyPath, document: Document) -> Iterator[tuple[KeyPath, str]]:
    if document.find(component.path) is not None:
        yield (*path, "name"), _words(document.source((*component.path, "name")))
    autos = auto_fields(type(component.hparams))
    for name, value in component.hparams.items():
        place = component.places.get(name)
        inside = list(_components(value, (*path, name)))
        for below, each in inside:
            yield from _of_component(each, below, document)
        node = None if place is None else document.find(place)
        if name in autos and value != AUTO and (node is None or node.value == AUTO):
            yield (*path, name), SUPPLIED
        elif node is not None and not inside:
            yield (*path, name), _words(_place(node))


def _components(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Component[Any]]]:
    """The components in a field's value, and where each stands."""
    if isinstance(value, Component):
        yield path, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _components(each, (*path, key))
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            yield from _components(each, (*path, index))


def _of_node(node: Node, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(node.value, dict) and node.value:
        for key, child in node.value.items():
            yield from _of_node(child, (*path, key))
    else:
        yield path, _words(_place(node))


def _place(node: Node) -> Source:
    """Where a value was written; of a block below its key, the key."""
    key = node.key if isinstance(node.value, dict | list) else None
    return key if key is not None and key.file == node.source.file else node.source


def _words(source: Source) -> str:
    if source.file is not None:
        return f"{display(source.file)}:{source.line}"
    return source.label.partition(": ")[0]

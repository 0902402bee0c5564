"""A blueprint as plain data that knows where each value was written."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from hydrantic.scalars import Scalar, spelt
from hydrantic.source import DEFAULT, KeyPath, Source

CODE_KEYS = frozenset({"_target_", "_partial_", "_args_", "_recursive_", "_convert_"})
"""Keys by which Hydra would import and call what a file names; refused wherever they stand."""
MISSING = "???"
"""OmegaConf's mark of a value that is still to be given: it replaces nothing."""
REMEMBERED = 100
"""How many values that it replaced a node is followed through; a file can be written to replace without end."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a blueprint may be; whatever crosses one is refused before it costs time or memory.

    `bytes`, `depth` and `nodes` bound a file (nodes after aliases are expanded) and the composed blueprint; `steps`,
    `nodes` and `characters` bound what interpolation may evaluate and produce.
    """

    bytes: int = 1_000_000
    depth: int = 50
    nodes: int = 100_000
    steps: int = 10_000
    characters: int = 1_000_000


LIMITS = Limits()


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A value and where it stands, the place of its key, and the node that it replaced."""

    value: Scalar | dict[str, Node] | list[Node]
    source: Source
    key: Source | None = None
    was: Node | None = None

    @property
    def place(self) -> Source:
        """Where the key stands, or the value where it has none."""
        return self.key or self.source

    def child(self, part: str | int) -> Node | None:
        """The element at a key or an index, or None where there is none."""
        if isinstance(self.value, dict):
            return self.value.get(str(part))
        if isinstance(self.value, list) and (index := _as_index(part)) is not None and index < len(self.value):
            return self.value[index]
        return None

    def children(self) -> Iterator[tuple[str | int, Node]]:
        """The elements of a mapping or list with their keys or indices."""
        if isinstance(self.value, dict):
            yield from self.value.items()
        elif isinstance(self.value, list):
            yield from enumerate(self.value)

    def plain(self) -> Any:
        """The value as dicts, lists and scalars."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


class Whole(dict[str, Any]):
    """A mapping that takes the place of what stands where it is put, and is not merged into it."""


@dataclass(frozen=True, slots=True)
class Document:
    """A composed blueprint: the tree, the text of every file that it came from, and the blueprint's own file.

    `removed` holds what an override took out, by its path, in the `was` of a node that stands at the override; `asked`
    tells for every other file where it was asked for.
    """

    root: Node
    texts: Mapping[Path, str]
    file: Path
    removed: Mapping[KeyPath, Node] = dataclasses.field(default_factory=dict)
    asked: Mapping[Path, Source] = dataclasses.field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """The blueprint as dicts, lists and scalars."""
        plain: dict[str, Any] = self.root.plain()
        return plain

    def find(self, path: KeyPath) -> Node | None:
        """The node at `path`, or None where the blueprint has none."""
        node: Node | None = self.root
        for part in path:
            node = node.child(part) if node is not None else None
        return node

    def source(self, path: KeyPath) -> Source:
        """The place of the value at `path`, or of its nearest ancestor that exists."""
        return self._nearest(path).source

    def key_source(self, path: KeyPath) -> Source:
        """The place of the key at `path`, or of its nearest ancestor that exists."""
        return self._nearest(path).place

    def _nearest(self, path: KeyPath) -> Node:
        node = self.root
        for part in path:
            below = node.child(part)
            if below is None:
                break
            node = below
        return node


Shorthand: TypeAlias = Callable[[KeyPath], bool]
"""Whether a component stands at a path, so that a bare string there means `{name: string}`."""


def _as_index(part: str | int) -> int | None:
    """The list index that a part of a key path means, or None where it means none."""
    if isinstance(part, int):
        return part if part >= 0 else None
    return int(part) if part.isascii() and part.isdigit() and len(part) < 10 else None


def from_plain(value: Any, source: Source = DEFAULT) -> Node:
    """A tree of plain data in which every key and value stands at `source`; keys become strings."""
    if isinstance(value, Mapping):
        nodes = {spelt(key): from_plain(item, source) for key, item in value.items()}
        return Node({key: dataclasses.replace(node, key=source) for key, node in nodes.items()}, source)
    if isinstance(value, list | tuple):
        return Node([from_plain(item, source) for item in value], source)
    return Node(value, source)


def expanded(node: Node) -> Node:
    """The block `{name: string}` that a component's bare string stands for."""
    name = Node(node.value, node.source, node.source)
    return Node({"name": name}, node.source, node.key, node.was)


def is_reference(node: Node) -> bool:
    """Whether the value is text that holds an interpolation."""
    return isinstance(node.value, str) and "${" in node.value


def merged(base: Node | None, over: Node, shorthand: Shorthand, path: KeyPath = ()) -> Node:
    """`over` laid on `base`: mappings merge key by key, everything else replaces what was there.

    Args:
        base: what stands there already, if anything.
        over: what comes later.
        shorthand: tells where a bare string is a component, so that a mapping refines it instead of replacing it.
        path: where both stand.

    Returns:
        A new tree; a node that replaced another keeps it in `was`.
    """
    if base is None:
        return over
    if over.value == MISSING:
        return base
    if isinstance(over.value, dict) and isinstance(base.value, str) and not is_reference(base) and shorthand(path):
        base = expanded(base)
    if not (isinstance(over.value, dict) and isinstance(base.value, dict)):
        return remembering(over, base)
    items = dict(base.value)
    for key, node in over.value.items():
        items[key] = merged(items.get(key), node, shorthand, (*path, key))
    return Node(items, base.source, over.key or base.key, base.was)


def remembering(node: Node, was: Node) -> Node:
    """`node` with `was` as the oldest of what it replaced."""
    layers = [node]
    while (older := layers[-1].was) is not None and len(layers) < REMEMBERED:
        layers.append(older)
    for layer in reversed(layers):
        was = dataclasses.replace(layer, was=was)
    return was


def placed(path: KeyPath, node: Node) -> Node:
    """`node` inside new mappings, so that it stands at `path`."""
    for part in reversed(path):
        node = Node({str(part): node}, node.source)
    return node


def without(root: Node, path: KeyPath) -> Node:
    """The tree lacking what stands at `path`; the same tree where nothing stands there."""
    below = root.child(path[0])
    if below is None:
        return root
    kept = None if len(path) == 1 else without(below, path[1:])
    return with_child(root, path[0], kept)


def with_child(node: Node, part: str | int, child: Node | None) -> Node:
    """A mapping or list with another element at `part`; None takes the element out."""
    if isinstance(node.value, dict):
        items = {key: item for key, item in node.value.items() if child is not None or key != str(part)}
        return dataclasses.replace(node, value=items if child is None else {**items, str(part): child})
    elements = list(node.value) if isinstance(node.value, list) else []
    index = _as_index(part) or 0
    elements[index : index + 1] = [] if child is None else [child]
    return dataclasses.replace(node, value=elements)


def measure(root: Node) -> tuple[int, int]:
    """How many nodes a tree has and how deep its containers nest."""
    count, deepest, open_ = 0, 0, [(root, 1)]
    while open_:
        node, depth = open_.pop()
        count += 1
        if isinstance(node.value, dict | list):
            deepest = max(deepest, depth)
            open_.extend((child, depth + 1) for _, child in node.children())
    return count, deepest


def kind_of(node: Node) -> str:
    """The kind of a value in a word: mapping, list, text, number, truth value or null."""
    names: list[tuple[type | tuple[type, ...], str]] = [
        (dict, "mapping"), (list, "list"), (str, "text"), (bool, "truth value"), ((int, float), "number"),
    ]  # fmt: skip
    return next((name for kind, name in names if isinstance(node.value, kind)), "null")

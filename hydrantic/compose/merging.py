"""Merging options into one tree and applying changes to it, so that every value keeps its place."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, NoReturn

from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.types import OverrideType

from hydrantic.compose.defaults import Results
from hydrantic.compose.options import END_OF_SECTIONS, OWN, SEARCHPATH, Repository, Sections, path_of
from hydrantic.compose.overrides import Edit
from hydrantic.document import (
    CODE_KEYS,
    MISSING,
    Limits,
    Node,
    expanded,
    from_plain,
    is_reference,
    kind_of,
    measure,
    merged,
    placed,
    remembering,
    with_child,
    without,
)
from hydrantic.problems import Problems
from hydrantic.source import KeyPath, dotted


def merge_results(results: Results, repository: Repository) -> Node:
    """Merge the options' contents in order, each in its package."""
    paths = [option.config_path for option in results.options]
    end = paths.index(END_OF_SECTIONS)
    sections, others = results.options[:end], results.options[end + 1 :]
    root = Node({}, repository.body.source)
    for option in others:
        if option.is_self and option.config_path == repository.primary:
            root = _merge_sections(root, sections, results.chosen, repository)
            root = _merged_at(root, option.package, _own_body(repository, paths), repository)
        else:
            root = _merged_at(root, option.package, repository.content(option.config_path or ""), repository)
    for group, listed in repository.listed.items():
        if f"{group}/{listed.value}" not in paths:
            root = _remember(root, path_of(group), listed)
    return _in_order(root, repository.body)


def _in_order(root: Node, body: Node) -> Node:
    """The tree with its keys in the order in which the blueprint writes them, and the others after them."""
    items = dict(root.children())
    order = [*(key for key, _ in body.children() if key in items), *items]
    return dataclasses.replace(root, value={str(key): items[key] for key in order})


def _own_body(repository: Repository, paths: list[str | None]) -> Node:
    """The blueprint without the blocks that another choice replaces."""
    body = repository.body
    for section, option in repository.slots.items():
        if option is not None and f"{section}/{OWN}" not in paths:
            body = without(body, path_of(section))
    return body


def _merge_sections(root: Node, options: list[ResultDefault], chosen: frozenset[str], repository: Repository) -> Node:
    """Merge the chosen options of sections; each replaces what stood there before, which its node remembers."""
    before = {section: _replaced(root, section, repository) for section in sorted(chosen)}
    for section in before:
        root = without(root, path_of(section))
    for option in options:
        path = option.config_path or ""
        if not path.endswith("/" + OWN):
            root = _merged_at(root, option.package, repository.content(path), repository)
    for section, node in before.items():
        if node is not None:
            root = _remember(root, path_of(section), node)
    return root


def _replaced(root: Node, section: str, repository: Repository) -> Node | None:
    path, own = path_of(section), repository.own_block(section)
    node: Node | None = root
    for part in path:
        node = node.child(part) if node is not None else None
    return node if own is None else merged(node, own, repository.sections.is_component, path)


def _remember(root: Node, path: KeyPath, was: Node) -> Node:
    if not path:
        return remembering(root, was)
    below = root.child(path[0])
    return root if below is None else with_child(root, path[0], _remember(below, path[1:], was))


def _merged_at(root: Node, package: str | None, content: Node, repository: Repository) -> Node:
    path = path_of(package or "")
    return merged(root, placed(path, content), repository.sections.is_component)


class _Refused(Exception):
    """An override cannot be applied; the problem was noted."""


class Editor:
    """Applies one override to the composed tree; `removed` gathers what overrides take out, by its path."""

    def __init__(
        self, change: Edit, sections: Sections, limits: Limits, problems: Problems, removed: dict[KeyPath, Node]
    ) -> None:
        self._change = change
        self._sections = sections
        self._limits = limits
        self._problems = problems
        self._removed = removed

    def applied(self, root: Node) -> Node:
        """The changed tree; the same tree where the override is refused."""
        try:
            node = self._node()
            return self._at(root, self._change.path, node)
        except _Refused:
            return root

    def _node(self) -> Node:
        change = self._change
        node = dataclasses.replace(from_plain(change.value, change.source), key=change.source)
        nodes, depth = measure(node)
        if len(change.path) + depth > self._limits.depth:
            self._refuse("limit", what="depth", allowed=self._limits.depth)
        if nodes > self._limits.nodes:
            self._refuse("limit", what="nodes", allowed=self._limits.nodes)
        code = next((key for key in (*change.path, *_keys(node)) if key in CODE_KEYS), None)
        if code is not None:
            self._refuse("code-key", key=code)
        return node

    def _refuse(self, code: str, **facts: Any) -> NoReturn:
        self._problems.add(code, self._change.source, self._change.path, **facts)
        raise _Refused

    def _at(self, node: Node, path: KeyPath, new: Node) -> Node:
        """`node` with the change applied at `path` below it."""
        here = self._change.path[: len(self._change.path) - len(path)]
        node = self._container(node, here)
        part = path[0]
        below = node.child(part)
        if isinstance(node.value, list) and below is None:
            self._refuse("override-no-element", key=dotted(here), index=str(part), length=len(node.value))
        if len(path) == 1:
            return self._last(node, part, below, new)
        if below is None and self._change.type is OverrideType.DEL:
            self._refuse("override-nothing-to-delete", key=dotted(self._change.path))
        below = below or Node({}, self._change.source, self._change.source, self._removed.get((*here, part)))
        return with_child(node, part, self._at(below, path[1:], new))

    def _container(self, node: Node, path: KeyPath) -> Node:
        """The node as something that has elements: an empty mapping for null, a block for a component's name."""
        if isinstance(node.value, dict | list):
            return node
        if self._change.type is OverrideType.DEL:
            self._refuse("override-nothing-to-delete", key=dotted(self._change.path))
        if node.value is None:
            return dataclasses.replace(node, value={})
        shorthand = isinstance(node.value, str) and not is_reference(node) and self._sections.is_component(path)
        if not shorthand:
            self._refuse("override-through-scalar", key=dotted(path), value=node.value, kind=kind_of(node))
        return expanded(node)

    def _last(self, node: Node, part: str | int, below: Node | None, new: Node) -> Node:
        if self._change.type is OverrideType.DEL:
            return self._deleted(node, part, below)
        is_container = isinstance(new.value, dict | list)
        written = below is not None and below.value is not None
        if self._change.type is OverrideType.ADD and written and not is_container:
            self._refuse("override-exists", key=dotted(self._change.path), text=self._change.text)
        if below is None or self._change.replace:
            return with_child(node, part, dataclasses.replace(new, was=below or self._removed.get(self._change.path)))
        if self._change.type is OverrideType.ADD and self._change.path == SEARCHPATH:
            new = dataclasses.replace(new, value=[*_elements(below), *_elements(new)])
        shorthand = self._sections.is_component
        refines = new.value != MISSING
        child = merged(below, new, shorthand, self._change.path) if refines else remembering(new, below)
        return with_child(node, part, child)

    def _deleted(self, node: Node, part: str | int, below: Node | None) -> Node:
        if below is None:
            self._refuse("override-nothing-to-delete", key=dotted(self._change.path))
        if not self._change.bare and not self._is_value(below):
            self._refuse(
                "override-delete-mismatch",
                key=dotted(self._change.path), value=self._change.value, actual=below.plain(),
            )  # fmt: skip
        self._removed[self._change.path] = Node(None, self._change.source, was=below)
        return with_child(node, part, None)

    def _is_value(self, node: Node) -> bool:
        """Whether the node holds what the override says; a component may be meant by its name."""
        name = node.child("name")
        if self._change.value is None or self._change.value == node.plain():
            return True
        is_block = self._sections.is_component(self._change.path) and name is not None
        return is_block and name is not None and name.value == self._change.value


def _elements(node: Node) -> list[Node]:
    return node.value if isinstance(node.value, list) else []


def _keys(node: Node) -> Iterator[str | int]:
    for key, child in node.children():
        yield key
        yield from _keys(child)

"""The outline of a blueprint: roughly what it holds, read without composing it and whatever is wrong with it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeAlias

from hydrantic.document import LIMITS
from hydrantic.problems import Problems
from hydrantic.reading import read_page
from hydrantic.scalars import parse_scalar
from hydrantic.sections import COMPONENTS, LABELLED
from hydrantic.source import display

SUFFIXES: Final = (".yaml", ".yml")
_DEEPEST: Final = 8
"""How many files may load one another."""
_MOST: Final = 2_000
"""How many entries of a folder are looked at; a folder of data is no group."""
_OPTION: Final = re.compile(r"[\w./ -]+")

Tree: TypeAlias = dict[str, Any]
"""Plain data."""


@dataclass(frozen=True)
class Groups:
    """The folders beside a blueprint whose files are options that it can be composed of."""

    folder: Path | None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The folders that hold options."""
        if self.folder is None:
            return ()
        return tuple(
            sorted(each.name for each in _entries(self.folder) if _is_folder(each) and self.options(each.name))
        )

    def options(self, group: str) -> Mapping[str, str]:
        """The options of a group that are files, each with the file as a person would write it."""
        place = self._inside(group)
        if place is None:
            return {}
        found = dict(_files(place))
        for each in _entries(place):
            if _is_folder(each):
                found |= {f"{each.name}/{name}": file for name, file in _files(Path(each.path))}
        return {name: display(file) for name, file in sorted(found.items())}

    def content(self, group: str, option: str, depth: int = 0) -> Tree | None:
        """What an option that is a file contributes, where it stands in the blueprint; None where there is none."""
        place = self._inside(f"{group}/{option}" if group else option)
        if place is None or depth > _DEEPEST:
            return None
        written = place.name if place.suffix in SUFFIXES else None
        names = [written] if written else [f"{place.name}{suffix}" for suffix in SUFFIXES]
        file = next((file for name in names if (file := place.with_name(name)).is_file()), None)
        if file is None:
            return None
        tree, package = _read(file)
        package = group.replace("/", ".") if package in {None, "_group_"} else str(package).replace("_global_", "")
        return _placed(_composed(tree, self, group, depth + 1), package)

    def _inside(self, path: str) -> Path | None:
        parts = path.split("/")
        if self.folder is None or any(part in {"", ".", ".."} or "\0" in part for part in parts):
            return None
        return self.folder.joinpath(*parts)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(islice(entries, _MOST))
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir() and not entry.name.startswith((".", "__"))
    except OSError:
        return False


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for each in _entries(folder):
        stem, suffix = os.path.splitext(each.name)  # noqa: PTH122 -- of a name, thousands of times
        if suffix in SUFFIXES:
            yield stem, Path(each.path)


def outline(file: Path | None, overrides: Iterable[str], groups: Groups) -> Tree:
    """What a blueprint holds once overrides are applied; an empty one where its file says nothing.

    Arguments:
        file: the blueprint, if there is one.
        overrides: what stands on the command line; those that are not understood are passed over.
        groups: the options beside the blueprint.
    """
    tree = {} if file is None else _composed(_read(file)[0], groups, "", 0)
    for text in overrides:
        tree = _overridden(tree, text, groups)
    return tree


def chosen_groups(file: Path | None) -> tuple[str, ...]:
    """The groups of which a blueprint's defaults list chooses an option."""
    items = [] if file is None else _read(file)[0].get("defaults")
    return tuple(dict.fromkeys(group for group, _ in _items(items) if group is not None))


def _read(file: Path) -> tuple[Tree, str | None]:
    """The mapping in a file and the package in its header."""
    page = read_page(file, LIMITS, Problems())
    if page is None or page.root is None:
        return {}, None
    header = re.match(r"(?:\s*#[^\n]*\n)*?\s*#\s*@package\s+(\S+)", page.text)
    return page.root.plain(), None if header is None else header[1]


def _items(defaults: Any) -> Iterator[tuple[str | None, str]]:
    """The group, if any, and the option of every item of a defaults list."""
    for item in defaults if isinstance(defaults, list) else ():
        if isinstance(item, str):
            yield None, item.partition("@")[0]
        elif isinstance(item, dict) and len(item) == 1:
            ((key, value),) = item.items()
            group = str(key).split(" ")[-1].partition("@")[0].strip("/")
            for option in value if isinstance(value, list) else [value]:
                if isinstance(option, str):
                    yield group, option


def _composed(tree: Tree, groups: Groups, within: str, depth: int) -> Tree:
    """A file's own content together with what its defaults list loads."""
    own = {key: value for key, value in tree.items() if key != "defaults"}
    found: Tree = {}
    items = list(_items(tree.get("defaults")))
    for group, option in items if (None, "_self_") in items else [*items, (None, "_self_")]:
        if group is not None:
            loaded = _chosen(groups, group, option, depth)
        else:
            loaded = own if option == "_self_" else groups.content(within, option, depth + 1) or {}
        found = _merged(found, loaded)
    return found


def _chosen(groups: Groups, group: str, option: str, depth: int = 0) -> Tree:
    """What an option of a group contributes: a file's content, or a registered component."""
    content = groups.content(group, option, depth)
    if content is not None:
        return content
    if group in LABELLED:
        return {group: {option: None}}
    return {group: {"name": option}} if group in COMPONENTS else {}


def _placed(tree: Tree, package: str) -> Tree:
    for part in reversed([part for part in package.split(".") if part]):
        tree = {part: tree}
    return tree


def _merged(base: Any, over: Any) -> Any:
    if isinstance(base, str) and isinstance(over, dict):
        base = {"name": base}
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return base | {key: _merged(base[key], value) if key in base else value for key, value in over.items()}


def _overridden(tree: Tree, text: str, groups: Groups) -> Tree:
    key, assigned, value = text.lstrip("+~").partition("=")
    path = key.partition("@")[0].split(".")
    if text.startswith("~"):
        return _without(tree, path)
    if not assigned or not all(path):
        return tree
    section = path[0]
    is_group = len(path) == 1 and (section in {*COMPONENTS, *LABELLED} or section in groups.names)
    if not is_group or not _OPTION.fullmatch(value.strip("[]").replace(",", "")) or _scalar(value) is None:
        changed: Tree = _merged(tree, _placed_value(path, _scalar(value)))
        return changed
    options = value.strip("[]").split(",")
    if section in COMPONENTS or (section in LABELLED and not text.startswith("+")):
        tree = {each: value for each, value in tree.items() if each != section}
    for option in options:
        tree = _merged(tree, _chosen(groups, section, option.strip()))
    return tree


def _scalar(text: str) -> Any:
    try:
        return parse_scalar(text)
    except ValueError:
        return text


def _placed_value(path: list[str], value: Any) -> Any:
    for part in reversed(path):
        value = {part: value}
    return value


def _without(tree: Tree, path: list[str]) -> Tree:
    below = tree.get(path[0])
    if len(path) == 1:
        return {key: value for key, value in tree.items() if key != path[0]}
    return tree | {path[0]: _without(below, path[1:])} if isinstance(below, dict) else tree

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

from hydrantic.document import LIMITS, Node, from_plain, merged, placed, without
from hydrantic.problems import Problems
from hydrantic.reading import SUFFIXES, read_page
from hydrantic.scalars import parse_scalar
from hydrantic.sections import COMPONENTS, LABELLED
from hydrantic.source import display

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

    def content(self, group: str, option: str, depth: int = 0) -> Node | None:
        """What an option that is a file contributes, where it stands in the blueprint; None where there is none."""
        place = self._inside(f"{group}/{option}" if group else option)
        if place is None or depth > _DEEPEST:
            return None
        written = place.name if place.suffix in SUFFIXES else None
        names = [written] if written else [f"{place.name}{suffix}" for suffix in SUFFIXES]
        file = next((file for name in names if (file := place.with_name(name)).is_file()), None)
        if file is None:
            return None
        root, package = _read(file)
        package = group.replace("/", ".") if package in {None, "_group_"} else str(package).replace("_global_", "")
        return placed(tuple(filter(None, package.split("."))), _composed(root, self, group, depth + 1))

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
    root = from_plain({}) if file is None else _composed(_read(file)[0], groups, "", 0)
    for text in overrides:
        root = _overridden(root, text, groups)
    tree: Tree = root.plain()
    return tree


def chosen_groups(file: Path | None) -> tuple[str, ...]:
    """The groups of which a blueprint's defaults list chooses an option."""
    items = [] if file is None else _items(_read(file)[0])
    return tuple(dict.fromkeys(group for group, _ in items if group is not None))


def _read(file: Path) -> tuple[Node, str | None]:
    """The mapping in a file and the package in its header."""
    page = read_page(file, LIMITS, Problems())
    if page is None or page.root is None:
        return from_plain({}), None
    header = re.match(r"(?:\s*#[^\n]*\n)*?\s*#\s*@package\s+(\S+)", page.text)
    return page.root, None if header is None else header[1]


def _items(root: Node) -> Iterator[tuple[str | None, str]]:
    """The group, if any, and the option of every item of the defaults list."""
    defaults = root.plain().get("defaults")
    for item in defaults if isinstance(defaults, list) else ():
        if isinstance(item, str):
            yield None, item.partition("@")[0]
        elif isinstance(item, dict) and len(item) == 1:
            ((key, value),) = item.items()
            group = str(key).split(" ")[-1].partition("@")[0].strip("/")
            for option in value if isinstance(value, list) else [value]:
                if isinstance(option, str):
                    yield group, option


def _composed(root: Node, groups: Groups, within: str, depth: int) -> Node:
    """A file's own content together with what its defaults list loads."""
    own = without(root, ("defaults",))
    found = from_plain({})
    items = list(_items(root))
    for group, option in items if (None, "_self_") in items else [*items, (None, "_self_")]:
        if group is not None:
            loaded: Node | None = _chosen(groups, group, option, depth)
        else:
            loaded = own if option == "_self_" else groups.content(within, option, depth + 1)
        found = found if loaded is None else _merged(found, loaded)
    return found


def _chosen(groups: Groups, group: str, option: str, depth: int = 0) -> Node:
    """What an option of a group contributes: a file's content, or a registered component."""
    content = groups.content(group, option, depth)
    if content is not None:
        return content
    if group in LABELLED:
        return from_plain({group: {option: None}})
    return from_plain({group: {"name": option}} if group in COMPONENTS else {})


def _merged(base: Node, over: Node) -> Node:
    """`over` laid on `base`; text below a mapping can only be a component's name."""
    return merged(base, over, lambda path: True)


def _overridden(root: Node, text: str, groups: Groups) -> Node:
    key, assigned, value = text.lstrip("+~").partition("=")
    path = tuple(key.partition("@")[0].split("."))
    if text.startswith("~"):
        return without(root, path)
    if not assigned or not all(path):
        return root
    section = path[0]
    is_group = len(path) == 1 and (section in {*COMPONENTS, *LABELLED} or section in groups.names)
    if not is_group or not _OPTION.fullmatch(value.strip("[]").replace(",", "")) or _scalar(value) is None:
        return _merged(root, placed(path, from_plain(_scalar(value))))
    if section in COMPONENTS or (section in LABELLED and not text.startswith("+")):
        root = without(root, path)
    for option in value.strip("[]").split(","):
        root = _merged(root, _chosen(groups, section, option.strip()))
    return root


def _scalar(text: str) -> Any:
    try:
        return parse_scalar(text)
    except ValueError:
        return text

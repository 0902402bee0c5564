"""The search path that a blueprint and its overrides write: further folders that hold groups of options."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from hydrantic.compose.options import SEARCHPATH
from hydrantic.compose.overrides import override_value, read_override
from hydrantic.document import Node, from_plain
from hydrantic.problems import Problems
from hydrantic.reading import Page
from hydrantic.source import Source

_OVERRIDE: Final = re.compile(r"(?P<sign>\+{0,2})hydra\.searchpath=")
_REMOVAL: Final = "~hydra.searchpath"
_ELSEWHERE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|//|\\\\")  # a scheme, or a host of a network


def further_folders(page: Page | None, folder: Path, overrides: Sequence[str], problems: Problems) -> tuple[Path, ...]:
    """The folders that are searched after the blueprint's own.

    Args:
        page: the blueprint; what it writes is seen from
        folder: its own folder.
        overrides: `hydra.searchpath=[...]` replaces what the blueprint writes, `+hydra.searchpath=[...]` adds to it;
            both are seen from the working directory.
        problems: where what is no folder is noted.
    """
    found = [] if page is None or page.root is None else list(_folders(written_path(page.root), folder, problems))
    for text in overrides:
        if text.startswith(_REMOVAL):
            found = []
        match = _OVERRIDE.match(text)
        node = None if match is None else _given(text)
        if match is None or node is None:
            continue
        added = _folders(node, Path(), problems)
        found = [*found, *added] if match["sign"] == "+" else list(added)
    return tuple(dict.fromkeys(found))


def written_path(root: Node) -> Node | None:
    """What a tree has at `hydra.searchpath`."""
    hydra = root.child(SEARCHPATH[0])
    return hydra.child(SEARCHPATH[1]) if hydra is not None else None


def _given(text: str) -> Node | None:
    try:
        value: Any = override_value(read_override(text)._value)  # noqa: SLF001 -- `value()` has lost the quotes
    except ValueError:  # noted where all overrides are read
        return None
    return from_plain(value, Source.override(text))


def _folders(node: Node | None, base: Path, problems: Problems) -> Iterator[Path]:
    if node is None or node.value is None:
        return
    if not isinstance(node.value, list) or not all(isinstance(each.value, str) for each in node.value):
        problems.add("searchpath-not-folders", node.source, SEARCHPATH)
        return
    for index, each in enumerate(node.value):
        text, path = str(each.value), (*SEARCHPATH, index)
        local = text.removeprefix("file://")
        if "${" in text or _ELSEWHERE.match(local):
            problems.add("searchpath-refused", each.source, path, folder=text)
        elif not os.path.isdir(base / local):  # noqa: PTH112 -- of a name that is too long, Path raises
            problems.add("searchpath-missing", each.source, path, folder=local)
        else:
            yield base / local

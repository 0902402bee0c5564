"""A blueprint that is no file: plain data from Python, in which every value stands at one place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydrantic.document import CODE_KEYS, Limits, from_plain
from hydrantic.problems import Problems
from hydrantic.reading import Page
from hydrantic.source import KeyPath, Source

_SCALARS = (str, int, float, bool, type(None))


def page_of(plain: Mapping[str, Any], folder: Path, label: str, limits: Limits) -> Page:
    """The page that a mapping stands for, as if it were a file in `folder`.

    Raises:
        BlueprintError: it holds something else than dicts, lists and scalars, or more than a blueprint may.
    """
    problems = Problems()
    place = Source(label=label)
    _check(plain, place, limits, problems)
    problems.raise_any()
    return Page(folder / "blueprint.yaml", "", from_plain(plain, place))


def _check(plain: Any, place: Source, limits: Limits, problems: Problems) -> None:
    open_: list[tuple[Any, KeyPath]] = [(plain, ())]
    count = 0
    while open_:
        value, path = open_.pop()
        count += 1
        if count > limits.nodes or len(path) >= limits.depth:
            what = "nodes" if count > limits.nodes else "depth"
            problems.add("limit", place, path[:1], what=what, allowed=getattr(limits, what))
            return
        if isinstance(value, Mapping):
            open_ += reversed([(each, (*path, key)) for key, each in value.items()])
            for key in CODE_KEYS.intersection(key for key in value if isinstance(key, str)):
                problems.add("code-key", place, (*path, key), key=key)
            for key in (key for key in value if not isinstance(key, _SCALARS)):
                problems.add("not-plain", place, path, type=type(key).__name__)
        elif isinstance(value, list | tuple):
            open_ += reversed([(each, (*path, index)) for index, each in enumerate(value)])
        elif not isinstance(value, _SCALARS):
            problems.add("not-plain", place, path, type=type(value).__name__)

"""Pieces of what a person reads: text that is cut or made visible, lists that break off, counted things, columns."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final

_UNSEEN: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a terminal obeys or cannot print: control characters, changes of direction, halves of characters."""


def cut(text: str, width: int) -> str:
    """The text, cut where it is longer than `width`."""
    return text if len(text) <= width else f"{text[: width - 3].rstrip()}..."


def visible(text: str) -> str:
    """The text with whatever a terminal would obey instead of print written as an escape."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def visible_json(text: str) -> str:
    """JSON text with the same written as JSON's own escapes, so that it says what it said."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def on_one_line(text: str) -> str:
    """The text with its line breaks written out."""
    return text.replace("\r", "\\r").replace("\n", "\\n")


def listed(names: Sequence[str], most: int = 12) -> str:
    """The names one after the other, the first ones where there are more than `most`."""
    return ", ".join([*names[:most], *(["..."] if len(names) > most else [])])


def counted(number: int, what: str) -> str:
    """A number with what it counts: `1 row`, `1,437 rows`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def aligned(rows: Sequence[Sequence[str]], *, numbers: Collection[int] = ()) -> list[str]:
    """The rows as lines with their columns below each other; those of `numbers` end below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_padded(row, widths, numbers)).rstrip() for row in rows]


def _padded(row: Sequence[str], widths: Sequence[int], numbers: Collection[int]) -> Iterator[str]:
    for at, (cell, width) in enumerate(zip(row, widths, strict=True)):
        yield cell.rjust(width) if at in numbers else cell.ljust(width)

"""How a sweep reads on a terminal: short names, numbers with the same digits, times, colours, what fits a line."""

from __future__ import annotations

import math
import os
import re
import shlex
import shutil
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TextIO

from hydrantic.scalars import spelt
from hydrantic.source import display
from hydrantic.sweeping.ledger import JobRecord
from hydrantic.texts import on_one_line, visible

_COLUMNS: Final = 100
_DIGITS: Final = 4
_DECADES_IN_FIXED: Final = 3
_CODES: Final = {"bold": "1", "faint": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}

STYLES: Final[Mapping[str, str]] = {
    "finished": "green", "running": "cyan", "failed": "red", "lost": "red", "interrupted": "yellow",
    "pruned": "faint", "planned": "faint", "died": "red", "broken": "red",
}  # fmt: skip
"""The colour of each state."""


def is_coloured(stream: TextIO) -> bool:
    """Whether what is written there may have colours: a terminal that knows them, and a person who wants them."""
    return stream.isatty() and os.environ.get("TERM", "") != "dumb" and not os.environ.get("NO_COLOR")


def painted(text: str, style: str) -> str:
    """The text with the codes of a colour or weight around it."""
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if style else text


def plain(text: str) -> str:
    """The text on one line, and nothing in it that a terminal would obey."""
    return visible(on_one_line(text))


def cells(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(_cells_of(char) for char in unicodedata.normalize("NFC", text))


def _cells_of(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def fitted(text: str, width: int) -> str:
    """The text, cut where it takes more than `width` columns of a terminal."""
    if cells(text) <= width:
        return text
    end = "..." if width > 8 else ""
    room, kept = width - len(end), ""
    for char in unicodedata.normalize("NFC", text):
        room -= _cells_of(char)
        if room < 0:
            break
        kept += char
    return kept.rstrip() + end


def padded(text: str, width: int, *, to_right: bool = False) -> str:
    """The text with blanks after it, or before it, up to `width` columns of a terminal."""
    blanks = " " * (width - cells(text))
    return blanks + text if to_right else text + blanks


def columns_of(stream: TextIO) -> int:
    """How wide a terminal is; a width to read well where it does not say, or where there is none."""
    if set_by_hand := os.environ.get("COLUMNS", ""):
        return max(int(set_by_hand), 1) if set_by_hand.isdecimal() else _COLUMNS
    try:
        return os.get_terminal_size(stream.fileno()).columns or _COLUMNS
    except (OSError, ValueError):
        return shutil.get_terminal_size((_COLUMNS, 24)).columns


def spoken(value: Any) -> str:
    """The value of a parameter as a person writes it."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, float) and math.isfinite(value):
        return re.sub(r"e([+-])0*", lambda found: f"e{found[1].strip('+')}", f"{value:.6g}")
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(spoken, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{plain(str(key))}: {spoken(each)}' for key, each in value.items())}}}"
    return plain(spelt(value))


def written(value: float, form: str) -> str:
    """A number in the form that `form_of` chose."""
    return f"{value:{form}}" if math.isfinite(value) else f"{value:f}"


def form_of(values: Iterable[float]) -> str:
    """The form in which numbers are told apart: four digits of the largest, or of each where they differ widely."""
    sizes = [abs(value) for value in values if math.isfinite(value) and value]
    if not sizes:
        return ".0f"
    highest = math.floor(math.log10(max(sizes)))
    spread = highest - math.floor(math.log10(min(sizes)))
    if spread > _DECADES_IN_FIXED or not -3 <= highest <= 6:
        return f".{_DIGITS}g"
    return f".{max(_DIGITS - 1 - highest, 0)}f"


def brief(value: float) -> str:
    """One number by itself, with four digits."""
    return f"{value:.{_DIGITS}g}"


def duration(seconds: float) -> str:
    """A time as a person says it: `8.3 s`, `3 min 12 s`, `2 h 05 min`, `1 d 3 h`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def clock(seconds: float) -> str:
    """A time that runs: `0:08`, `3:12`, `2:05:00`."""
    whole = int(seconds)
    minutes = f"{whole // 60 % 60}:{whole % 60:02}"
    return minutes if whole < 3600 else f"{whole // 3600}:{minutes:0>5}"


def short_names(names: Collection[str]) -> dict[str, str]:
    """Each dotted name by as few of its last parts as tell it from the others: `lr` for `optimizer.lr`."""
    return {name: _shortest(name, names) for name in names}


def _shortest(name: str, names: Collection[str]) -> str:
    parts = name.split(".")
    last = len(parts) - 1 - (parts[-1] == "name")  # alone it says nothing
    for start in range(last, 0, -1):
        tail = ".".join(parts[start:])
        if not any(other != name and f".{other}".endswith(f".{tail}") for other in names):
            return tail
    return name


def shortened(overrides: Iterable[str]) -> str:
    """Overrides on one line, each key by its last part where that tells it from the others."""
    split = [override.partition("=") for override in overrides]
    short = short_names([key for key, _, _ in split])
    return plain("  ".join(f"{short[key]}{sign}{value}" for key, sign, value in split))


def told(job: JobRecord) -> str:
    """What sets a job apart, in full."""
    return plain(" ".join(job.overrides)) or "no overrides"


def reason(job: JobRecord) -> str:
    """Why a job failed or was lost, in one line."""
    return first_line(job.error) or _UNTOLD.get(job.state, "")


_UNTOLD: Final[Mapping[str, str]] = {"failed": "log.txt may tell why", "lost": "its process has gone without a word"}


def command(action: str, directory: Path) -> str:
    """The command that does something with a sweep, as it can be copied into a shell."""
    return f"hydrantic sweep {action} {shlex.quote(plain(display(directory)))}"


def first_line(text: str) -> str:
    """The first line of a message that says something."""
    return next((plain(line.strip()) for line in text.splitlines() if line.strip()), "")

"""Folders as Hydra writes them: templates that the time, and the name, number and overrides of a job fill in."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final

from hydrantic.source import KeyPath

TEMPLATES: Final[tuple[KeyPath, ...]] = (
    ("hydra", "run", "dir"),
    ("hydra", "sweep", "dir"),
    ("hydra", "sweep", "subdir"),
)
"""Where a blueprint writes one."""

_FILLED: Final = re.compile(
    r"(?<!\\)\$\{(?:now:(?P<time>[^{}]+)|hydra[.:](?P<name>job\.(?:num|name|override_dirname)|runtime\.cwd))\}"
)
_UNSAFE: Final = re.compile(r'[\x00-\x1f/\\:*?"<>|]')


@dataclass(frozen=True)
class Place:
    """What a template is filled with."""

    name: str
    """The blueprint's name."""
    number: int = 0
    """The job's number."""
    overrides: tuple[str, ...] = ()
    """The job's overrides."""
    at: time.struct_time = field(default_factory=time.localtime)
    """When the run or sweep began; the same for all jobs of a sweep."""


def left_alone(text: str) -> str:
    """The text with everything escaped that is filled in later, so that interpolation leaves it as it is."""
    return _FILLED.sub(lambda found: "\\" + found[0], text)


def filled_in(template: str, place: Place) -> str:
    """The folder that a template means."""
    values = {
        "job.num": str(place.number),
        "job.name": place.name,
        "job.override_dirname": ",".join(sorted(place.overrides)),
    }

    def fill(found: re.Match[str]) -> str:
        if found["name"] == "runtime.cwd":
            return str(Path.cwd())
        text = values[found["name"]] if found["name"] else time.strftime(found["time"], place.at)
        return _UNSAFE.sub("_", text) if found["name"] else text

    return _FILLED.sub(fill, template)


def leads_outside(text: str) -> bool:
    """Whether a folder is not below the one that it is seen from."""
    windows = PureWindowsPath(text)
    parts = {*PurePosixPath(text).parts, *windows.parts}
    is_absolute = text.startswith(("/", "~", "\\")) or bool(windows.drive) or "runtime.cwd}" in text
    return is_absolute or ".." in parts

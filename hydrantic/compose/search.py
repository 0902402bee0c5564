"""Where options are found: the YAML files below the blueprint's folder and the folders of the search path."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from hydrantic.document import Limits
from hydrantic.problems import Problem, Problems
from hydrantic.reading import SUFFIXES, Page, read_page

_MAX_ENTRIES = 10_000  # a folder of data may lie among the groups

_RUNS = frozenset({"run.json", "job.json", "ledger.jsonl"})  # the blueprints of runs are no options


@dataclass(frozen=True, slots=True)
class SearchPath:
    """Folders that hold groups of options; where two have the same option, that of the first counts."""

    folders: tuple[Path, ...]

    def holds(self, config_path: str) -> bool:
        """Whether a path stays below at least one of the folders."""
        return any(_inside(folder, config_path) is not None for folder in self.folders)

    def file(self, config_path: str) -> Path | None:
        """The file of an option, or None where no folder has one."""
        names = [config_path] if config_path.endswith(SUFFIXES) else [config_path + suffix for suffix in SUFFIXES]
        paths = (_inside(folder, name) for folder in self.folders for name in names)
        return next((path for path in paths if path is not None and os.path.isfile(path)), None)  # noqa: PTH113 -- see below

    def is_group(self, group: str) -> bool:
        """Whether a folder with YAML files has this name; a folder of data is no group."""
        return any(next(_yaml_files(folder), None) is not None for folder in self._folders_of(group))

    def options(self, group: str) -> set[str]:
        """The files of a group as its options, those in folders below it with their way; without one, the top's."""
        if not group:
            beside = (file for folder in self.folders for suffix in SUFFIXES for file in folder.glob("*" + suffix))
            return {file.stem for file in beside}
        return {
            file.relative_to(folder).with_suffix("").as_posix()
            for folder in self._folders_of(group)
            for file in _yaml_files(folder)
        }

    def groups(self) -> tuple[str, ...]:
        """The folders that hold options, sorted: `experiment`, `experiment/cmnist`."""
        found = {file.relative_to(folder).parent.as_posix() for folder in self.folders for file in _yaml_files(folder)}
        return tuple(sorted(found - {"."}))

    def _folders_of(self, group: str) -> list[Path]:
        found = (_inside(folder, group) for folder in self.folders)
        # Of a name that is too long, Path's own methods raise.
        return [path for path in found if path is not None and os.path.isdir(path)]  # noqa: PTH112 -- see above


class Pages:
    """YAML files, each read and parsed once; what is wrong with one is told again wherever it is asked for."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._read: dict[Path, tuple[Page | None, tuple[Problem, ...]]] = {}

    def read(self, file: Path, problems: Problems) -> Page | None:
        """A file's page, or None where there is nothing to go on with."""
        if file not in self._read:
            noted = Problems()
            self._read[file] = read_page(file, self._limits, noted), tuple(noted)
        page, found = self._read[file]
        problems.extend(found)
        return page


def _inside(folder: Path, config_path: str) -> Path | None:
    """The path below a folder, or None where it would lead outside."""
    if "" in config_path.split("/") or "\\" in config_path or "\0" in config_path:
        return None
    normal = posixpath.normpath(config_path)
    if normal.split("/")[0] in {".", ".."}:
        return None
    path = folder / normal
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):
        return None
    return path if inside else None


def _yaml_files(folder: Path) -> Iterator[Path]:
    """The YAML files below a folder, as far as a look at its first entries finds them."""
    entries = (Path(place, name) for place, _, names in _walk(folder) for name in names)
    return (path for path in islice(entries, _MAX_ENTRIES) if path.name.endswith(SUFFIXES))


def _walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    for place, below, names in os.walk(folder):
        is_run = not _RUNS.isdisjoint(names)
        below[:] = [] if is_run else sorted(name for name in below if not name.startswith("."))
        yield place, below, [] if is_run else sorted(names)

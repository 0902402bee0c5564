"""Reading what the directories of many runs tell, quickly and whatever state they are in."""

from __future__ import annotations

import gc
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from hydrantic.errors import BlueprintError, UsageError
from hydrantic.liveness import has_gone
from hydrantic.source import display
from hydrantic.sweeping.ledger import FILE as LEDGER
from hydrantic.sweeping.ledger import JobRecord, read_ledger
from hydrantic.texts import on_one_line, visible

STATES: Final = ("running", "finished", "failed", "interrupted", "pruned", "planned", "died", "broken")
"""What a run may be: `died` says that it runs while its process has gone, `broken` that its record cannot be read."""

_UNRECORDED: Final[Mapping[str, str]] = {
    "planned": "planned", "running": "running", "failed": "failed", "interrupted": "interrupted", "lost": "died",
}  # fmt: skip
"""What a job is that has written no record, by what the ledger of its sweep says."""

_DEEPEST: Final = 6
"""How many folders below the one that is asked a run may lie."""


@dataclass(frozen=True)
class Record:
    """What one run's directory tells."""

    directory: Path
    label: str
    """Its place below the folder that was asked for: `mlp/2026-11-21_09-30-12-5f0c`."""
    state: str
    error: str = ""
    """Why it is broken, or why it failed."""
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Those of `run.json`."""
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The resolved blueprint, nested as in the file."""
    sweep: str | None = None
    """The label of the sweep that it is a job of."""

    @property
    def name(self) -> str:
        """The blueprint's name; the folder's where the record does not say."""
        return str(self.fields.get("name") or Path(self.label).parent.name or self.label)

    @property
    def began(self) -> str | None:
        """When it began, in local time: `2026-11-21 09:30:12`."""
        return local_time(self.fields.get("started"))

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs."""
        return seconds_of(self.fields)

    @property
    def objective(self) -> tuple[str, str] | None:
        """Logged name and mode of what counts as best."""
        said = self.values.get("objective")
        if isinstance(said, Mapping) and "metric" in said:
            return str(said["metric"]), str(said.get("mode", "min"))
        kept = self.values.get("checkpoint")
        if isinstance(kept, Mapping) and kept.get("monitor"):
            return str(kept["monitor"]), str(kept.get("mode", "min"))
        return None

    @cached_property
    def final(self) -> dict[str, float]:
        """The last value of every logged name."""
        return numbers(self.fields.get("metrics"))

    @cached_property
    def best(self) -> dict[str, float]:
        """The values at the best checkpoint; those of the test are final ones, which are the best checkpoint's."""
        return self.final | numbers(self.fields.get("best_metrics"))


def seconds_of(fields: Mapping[str, Any]) -> float | None:
    """How long a run took, as its record tells; None where that is no time."""
    seconds = _number(fields.get("seconds"))
    return seconds if seconds is not None and math.isfinite(seconds) else None


def numbers(said: Any) -> dict[str, float]:
    """The numbers in a part of a record; JSON writes some of them as text: `NaN`, `Infinity`."""
    if not isinstance(said, Mapping):
        return {}
    return {str(name): number for name, value in said.items() if (number := _number(value)) is not None}


def _number(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def local_time(said: Any) -> str | None:
    """A time of a record as the clock on the wall showed it; None where it is none."""
    try:
        return datetime.fromisoformat(said).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (TypeError, ValueError, OverflowError, OSError):
        return None


# -- finding -----------------------------------------------------------------------------------------------------------


def records_below(folder: Path) -> list[Record]:
    """Every run in a folder of runs, the jobs of sweeps too, or the one run whose directory it is.

    A directory is a run's if it holds `run.json` or `blueprint.yaml`. One that cannot be read is told as broken;
    whatever else lies there is passed over. Links are followed; a run that is reached twice is told once.

    Arguments:
        folder: of all runs, of one blueprint's runs, of a sweep, or of a run.

    Raises:
        UsageError: there is no such folder, or it cannot be listed.
    """
    found = _Found(folder)
    with without_collection():
        found.take(str(folder), folder.name or folder.absolute().name, None)
        if not found.records:
            try:
                found.look_below(str(folder), "", None, 0)
            except OSError as error:
                raise UsageError(_unlisted(folder, error)) from error
    return found.records


def _unlisted(folder: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return f"there is no folder {display(folder)}"
    return f"{display(folder)} cannot be listed: {error.strerror or error}"


@contextmanager
def without_collection() -> Iterator[None]:
    """Spare the collector the search through what thousands of records hold: it takes as long as reading them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@dataclass
class _Found:
    """The runs found so far."""

    folder: Path
    records: list[Record] = field(default_factory=list)
    linked: set[Path] = field(default_factory=set)
    """The real places of folders that links led to."""
    jobs: dict[Path, Mapping[Path, JobRecord]] = field(default_factory=dict)
    """The jobs of the sweeps whose ledgers were read."""

    def look_below(self, path: str, label: str, sweep: str | None, depth: int) -> None:
        """Take the runs that lie in a folder, or in those below it.

        Raises:
            OSError: it cannot be listed.
        """
        with os.scandir(path) as entries:
            inside = [(entry.name, entry.path, entry.is_symlink()) for entry in entries if _may_hold_runs(entry)]
        here = label if os.path.isfile(os.path.join(path, LEDGER)) else sweep  # noqa: PTH113, PTH118 -- ten times as fast
        for name, place, is_link in sorted(inside):
            if is_link and not self._is_new(place):
                continue
            told = f"{label}/{name}" if label else name
            if not self.take(place, told, here) and depth < _DEEPEST:
                self._look_further(place, told, here, depth + 1)

    def _look_further(self, path: str, label: str, sweep: str | None, depth: int) -> None:
        try:
            self.look_below(path, label, sweep, depth)
        except OSError as error:  # a folder that may not be listed
            reason = f"it cannot be listed: {error.strerror or error}"
            self.records.append(Record(Path(path), label, "broken", reason, sweep=sweep))

    def _is_new(self, place: str) -> bool:
        """Whether a link leads somewhere that is not listed anyway."""
        real, listed = Path(place).resolve(), self.folder.resolve()
        is_new = real not in self.linked and not real.is_relative_to(listed) and not listed.is_relative_to(real)
        self.linked.add(real)
        return is_new

    def take(self, path: str, label: str, sweep: str | None) -> bool:
        """Take the run whose directory this is; False where it is no run's."""
        try:
            with open(f"{path}/run.json", "rb") as file:  # noqa: PTH123 -- ten times as fast
                text, written = file.read(), os.fstat(file.fileno()).st_mtime
        except (FileNotFoundError, NotADirectoryError):
            if not os.path.isfile(f"{path}/blueprint.yaml"):  # noqa: PTH113 -- as above
                return False
            self.records.append(self._unrecorded(Path(path), label, sweep))
            return True
        except OSError as error:
            reason = f"run.json cannot be read: {error.strerror or error}"
            self.records.append(Record(Path(path), label, "broken", reason, sweep=sweep))
            return True
        self.records.append(_record(Path(path), label, text, written, sweep))
        return True

    def _unrecorded(self, directory: Path, label: str, sweep: str | None) -> Record:
        """A run that has a blueprint and no record: a job that has not begun, or one that lost it."""
        job = None if sweep is None else self._job_of(directory)
        state = "broken" if job is None else _UNRECORDED.get(job.state, "broken")
        error = "it has no run.json" if job is None or state == "broken" else job.error
        return Record(directory, label, state, error, {}, _values_of(directory / "blueprint.yaml"), sweep)

    def _job_of(self, directory: Path) -> JobRecord | None:
        """What the ledger of its sweep tells of a job."""
        sweep = next(each for each in directory.parents if (each / LEDGER).is_file())
        if sweep not in self.jobs:
            try:
                self.jobs[sweep] = {job.directory: job for job in read_ledger(sweep).jobs}
            except UsageError:
                self.jobs[sweep] = {}
        return self.jobs[sweep].get(directory)


def _may_hold_runs(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir() and not entry.name.startswith(".")
    except OSError:  # a link in a circle
        return False


def record_of(directory: Path) -> Record:
    """What the directory of one run tells.

    Raises:
        UsageError: it is no run's.
    """
    found = _Found(directory)
    sweep = directory.parent.name if (directory.parent / LEDGER).is_file() else None
    if not found.take(str(directory), str(directory), sweep):
        raise UsageError(f"{directory} is not the directory of a run: it has no run.json")
    return found.records[0]


# -- reading -----------------------------------------------------------------------------------------------------------


def _record(directory: Path, label: str, text: bytes, written: float, sweep: str | None) -> Record:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = f"run.json is not JSON: {error}" if text.strip() else "run.json is empty"
        return Record(directory, label, "broken", reason, sweep=sweep)
    if not isinstance(fields, dict) or not isinstance(fields.get("status"), str):
        return Record(directory, label, "broken", "run.json is not the record of a run", sweep=sweep)
    state = fields["status"]
    if state == "running" and has_gone(fields, written):
        state = "died"
    values = fields.get("blueprint")
    if not isinstance(values, dict):
        values = _values_of(directory / "blueprint.yaml")
    return Record(directory, label, on_one_line(visible(state)), _reason(fields.get("error")), fields, values, sweep)


def _reason(error: Any) -> str:
    if not isinstance(error, Mapping):
        return ""
    return f"{error.get('type', 'Error')}: {error.get('message', '')}".rstrip(": ")


def _values_of(file: Path) -> Mapping[str, Any]:
    """A resolved blueprint, of a run whose record does not hold it; empty where it cannot be read."""
    from hydrantic.reading import read_document

    try:
        return read_document(file).plain()
    except (BlueprintError, OSError):
        return {}

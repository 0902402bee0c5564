"""The ledger of a sweep: an append-only record of every job, sound at every moment, even on a full disk."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Final, Literal, Self

from hydrantic.errors import UsageError
from hydrantic.rundir import plain_json

JobState = Literal["planned", "running", "finished", "pruned", "failed", "interrupted", "lost"]
"""How a job stands: `lost` is one whose process went without a word, `pruned` one that a study gave up."""

ENDED: Final[frozenset[JobState]] = frozenset({"finished", "pruned"})
"""States of jobs that need not run again."""

FILE: Final = "ledger.jsonl"
_FORMAT: Final = 1
_PATIENCE: Final = 0.5
"""Seconds to wait for the lock: a reader that asks whether anybody writes holds it for an instant."""


@dataclass(frozen=True)
class JobRecord:
    """What the ledger tells of one job."""

    number: int
    directory: Path
    overrides: tuple[str, ...] = ()
    """What sets this job apart, as on the command line: `optimizer.lr=0.001`."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """The same as plain values by key."""
    state: JobState = "planned"
    attempt: int = 0
    """How many times it was started."""
    ticket: str = ""
    """Process id or cluster job id of the last attempt."""
    value: float | None = None
    """The objective; of the best checkpoint."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The last value of every logged name."""
    best_metrics: Mapping[str, float] = field(default_factory=dict)
    """The values at the objective's best."""
    seconds: float | None = None
    error: str = ""
    """Why it failed."""
    sha256: str = ""
    """Of its `blueprint.yaml`."""
    trial: int | None = None
    """Number of the study's trial that it is."""
    since: str = ""
    """When it came into its state."""

    @property
    def is_invalid(self) -> bool:
        """Whether a study proposed what cannot run, so that there never was a blueprint, nor a directory."""
        return self.state == "failed" and not self.sha256


@dataclass(frozen=True)
class SweepRecord:
    """What the ledger tells of a sweep."""

    directory: Path
    about: Mapping[str, Any]
    """What was noted when it began: `name`, `blueprint`, `overrides`, `sweeper`, `launcher`, `objective`, `jobs`, or of
    a study `trials`."""
    jobs: tuple[JobRecord, ...]
    at: str = ""
    """When the last line was written."""
    began: str = ""
    """When the first line was written."""
    seconds: float = 0.0
    """How long it has been worked at up to the last line; the pause before it was resumed does not count."""

    @property
    def name(self) -> str:
        """The blueprint's name."""
        return str(self.about.get("name", self.directory.name))

    @property
    def objective(self) -> tuple[str, str] | None:
        """Logged name and mode of what is optimised."""
        said = self.about.get("objective")
        if not isinstance(said, Mapping) or "metric" not in said:
            return None
        return str(said["metric"]), str(said.get("mode", "min"))

    def ranked(self) -> tuple[JobRecord, ...]:
        """The finished jobs with a value, the best first and those whose value is no number last."""
        valued = [job for job in self.jobs if job.value is not None and job.state == "finished"]
        sign = -1.0 if self.objective and self.objective[1] == "max" else 1.0
        return tuple(sorted(valued, key=lambda job: (job.value != job.value, sign * (job.value or 0.0))))

    @property
    def best(self) -> JobRecord | None:
        """The finished job with the best value."""
        first = next(iter(self.ranked()), None)
        return None if first is None or first.value != first.value else first

    @property
    def to_come(self) -> int:
        """How many jobs are still to be made."""
        total = self.about.get("jobs") or self.about.get("trials")
        return max(total - len(self.jobs), 0) if isinstance(total, int) else 0

    @property
    def is_over(self) -> bool:
        """Whether every job has ended in one way or another."""
        return all(job.state not in {"planned", "running"} for job in self.jobs)


class Ledger:
    """Appends to a sweep's ledger; one process at a time may.

    Arguments:
        directory: of the sweep.

    Raises:
        UsageError: another process writes it, or it cannot be written.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / FILE
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        except OSError as error:
            raise UsageError(f"{self.path} cannot be written: {error.strerror}") from error
        try:
            _lock(self._file, directory)
            _end_torn_line(self._file)
        except OSError as error:
            os.close(self._file)
            raise UsageError(f"{self.path} cannot be written: {error.strerror}") from error
        except BaseException:
            os.close(self._file)
            raise

    def begin(self, **about: Any) -> None:
        """Note what the sweep is, or that it goes on; what is not said again stays as it was."""
        self._append([{"event": "sweep", "format": _FORMAT} | about])

    def note(self, number: int, state: JobState, **fields: Any) -> None:
        """Note that a job's state has changed, and whatever else is known of it by now.

        With `planned` and `running` a new attempt begins: what the one before came to is forgotten.
        """
        self._append([{"event": "job", "job": number, "state": state} | fields])

    def note_all(self, notes: Iterable[Mapping[str, Any]]) -> None:
        """Note several jobs at once; each needs `job` and `state`.

        Raises:
            OSError: the disk is full, for instance; nothing of them is noted then.
        """
        self._append([{"event": "job"} | dict(each) for each in notes])

    def _append(self, records: Iterable[Mapping[str, Any]]) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        lines = [
            json.dumps(plain_json({"at": at} | dict(each)), ensure_ascii=False, allow_nan=False) for each in records
        ]
        data = "".join(line + "\n" for line in lines).encode("utf-8", "backslashreplace")
        before = os.fstat(self._file).st_size
        try:
            while data:
                data = data[os.write(self._file, data) :]
            os.fsync(self._file)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file, before)  # on a full disk: no half line is left
            raise OSError(error.errno, error.strerror, str(self.path)) from error

    def close(self) -> None:
        """Let another process write."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def read_ledger(directory: Path) -> SweepRecord:
    """What the ledger in a sweep's directory tells, which may be written meanwhile.

    Raises:
        UsageError: the directory is no sweep's, or a newer hydrantic wrote its ledger.
    """
    file = directory / FILE
    try:
        text = file.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"{directory} is not the directory of a sweep: it has no {FILE}") from error
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    told = _Told()
    for record in _records(text):
        told.take(record)
    if not told.about:
        raise UsageError(f"{file} is not the ledger of a sweep: nothing in it says what the sweep is")
    if not isinstance(version := told.about.pop("format", _FORMAT), int) or version > _FORMAT:
        raise UsageError(f"{file} was written by a newer hydrantic, whose format {version} this one cannot read")
    jobs = tuple(_job(number, fields, directory) for number, fields in sorted(told.jobs.items()))
    return SweepRecord(directory, told.about, jobs, told.at, told.began, told.seconds + _between(told.resumed, told.at))


def is_written(directory: Path) -> bool:
    """Whether a process holds the ledger of a sweep, so that somebody looks after its jobs."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        return False
    try:
        with (directory / FILE).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # there is none, or a file system without locks
        return False
    return False


def seconds_since(at: str) -> float:
    """How long ago a time of the ledger was."""
    return _between(at, datetime.now(UTC).isoformat())


def _between(earlier: str, later: str) -> float:
    try:
        return max((datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds(), 0.0)
    except (ValueError, TypeError):  # not known
        return 0.0


def _records(text: bytes) -> Iterator[dict[str, Any]]:
    for line in text.split(b"\n"):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):  # a line that a kill tore
            continue
        if isinstance(record, dict):
            yield record


_RESULTS: Final = ("value", "metrics", "best_metrics", "seconds", "error")
"""What an attempt comes to, which is forgotten once another begins."""


@dataclass
class _Told:
    """What the lines so far tell."""

    about: dict[str, Any] = field(default_factory=dict)
    jobs: dict[int, dict[str, Any]] = field(default_factory=dict)
    at: str = ""
    began: str = ""
    resumed: str = ""
    seconds: float = 0.0

    def take(self, record: dict[str, Any]) -> None:
        before, self.at = self.at, str(record.pop("at", self.at))
        self.began = self.began or self.at
        if record.pop("event", "") == "sweep":
            self.seconds += _between(self.resumed, before)
            self.resumed = self.at
            self.about |= record
        elif isinstance(number := record.pop("job", None), int):
            self._take_job(self.jobs.setdefault(number, {}), record)

    def _take_job(self, known: dict[str, Any], record: dict[str, Any]) -> None:
        said = {name: _READ[name](value) for name, value in record.items() if name in _READ}
        if said.get("state", known.get("state")) != known.get("state"):
            known["since"] = self.at
        if said.get("state") in {"planned", "running"}:
            for name in _RESULTS:
                known.pop(name, None)
        known |= {name: value for name, value in said.items() if value is not None}


def _job(number: int, fields: Mapping[str, Any], sweep: Path) -> JobRecord:
    return JobRecord(number, **{**fields, "directory": sweep / fields.get("directory", str(number))})


def _below(said: Any) -> str | None:
    """A job's folder, which lies in the sweep's wherever the ledger came from."""
    path = PurePosixPath(str(said))
    return None if path.is_absolute() or ".." in path.parts else str(path)


def _number(value: Any) -> float | None:
    try:
        return None if value is None else float(value)  # NaN stands as text, which JSON lacks
    except (TypeError, ValueError):
        return None


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _numbers(values: Any) -> dict[str, float] | None:
    if not isinstance(values, Mapping):
        return None
    return {name: number for name, value in values.items() if (number := _number(value)) is not None}


_READ: Final[Mapping[str, Callable[[Any], Any]]] = {
    "directory": _below,
    "overrides": lambda said: tuple(map(str, said)) if isinstance(said, list) else None,
    "params": lambda said: said if isinstance(said, Mapping) else None,
    "state": _text,
    "attempt": _integer,
    "ticket": _text,
    "value": _number,
    "metrics": _numbers,
    "best_metrics": _numbers,
    "seconds": _number,
    "error": _text,
    "sha256": _text,
    "trial": _integer,
}
"""How each field of a `JobRecord` is read; None where it says nothing that can be understood."""


def _lock(file: int, directory: Path) -> None:
    try:
        import fcntl
    except ImportError:  # not on Windows
        return
    patience = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > patience:
                raise UsageError(f"the sweep in {directory} is still running; stop it first") from None
            time.sleep(0.02)
        except OSError:  # a file system without locks
            return
        else:
            return


def _end_torn_line(file: int) -> None:
    """Cut off a line that a kill tore, or end it where only its end is missing."""
    size = os.fstat(file).st_size
    start = size
    tail = b""
    while start and b"\n" not in tail:
        length = min(start, 65536)
        start -= length
        tail = os.pread(file, length, start) + tail
    torn = tail.rpartition(b"\n")[2]
    if not torn:
        return
    try:
        json.loads(torn)
    except (ValueError, RecursionError):
        os.ftruncate(file, size - len(torn))
    else:
        os.write(file, b"\n")

"""The jobs of a sweep under way: started as the engine takes them, each end noted, until none is left."""

from __future__ import annotations

import errno
import math
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryFile
from types import FrameType
from typing import Any, Final, NoReturn

from hydrantic.errors import BlueprintError, Interrupted, RunFailed, UsageError
from hydrantic.folders import Place, filled_in, leads_outside
from hydrantic.manifest import current
from hydrantic.project import Project
from hydrantic.registries import reading
from hydrantic.rundir import write_atomically
from hydrantic.source import display
from hydrantic.sweeping.engine import Ended, Engine
from hydrantic.sweeping.ledger import JobRecord, JobState, Ledger
from hydrantic.sweeping.outcome import told_by_its_run
from hydrantic.sweeping.plans import JobFile, JobPlanner, PlannedJob
from hydrantic.sweeping.sweeper import Outcome, Study
from hydrantic.sweeping.view import View
from hydrantic.sweeping.words import command
from hydrantic.wording import paragraphs

BEST: Final = "best.yaml"
"""The blueprint of the best job, in the sweep's directory."""

_OF_JOB: Final = ("blueprint.yaml", "job.json")
"""What lies in the directory of a job before it begins."""
_RECORD: Final = 65536
"""How many bytes the records of a job come to, amply."""
_SECONDS: Final = 0.2
_GRACE: Final = 30.0
_ENDS: Final = tuple(getattr(signal, each) for each in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, each))
"""Signals that ask for an end, on this system."""
_OUTCOMES: Final[Mapping[str, Outcome]] = {"finished": "finished", "pruned": "pruned"}


@dataclass(frozen=True)
class JobFolders:
    """Makes the directories of jobs, each with what its process reads."""

    sweep: Path
    project: Project
    test: bool
    subdir: str | None = None
    """Template of a job's folder; its number by default."""
    at: time.struct_time = field(default_factory=time.localtime)
    """When the sweep began, for the template."""
    taken: set[Path] = field(default_factory=set)
    """Directories of the jobs that there are already."""

    def make(self, job: PlannedJob, report: Mapping[str, Any] | None = None) -> JobRecord:
        """Write the directory of a job; nothing is left of one that cannot be written.

        Raises:
            UsageError: its name leads elsewhere or is taken.
            OSError: it cannot be written.
        """
        directory = self.sweep / self._folder(job)
        try:
            directory.mkdir(parents=True)
        except FileExistsError:
            self._claim(directory)
        root = None if self.project.root is None else str(self.project.root)
        file = JobFile(job.number, job.overrides, self.sweep.name, root, self.test, report, origins=job.origins)
        try:
            (directory / "blueprint.yaml").write_text(job.text, "utf-8")
            (directory / "job.json").write_text(file.to_json(), "utf-8")
        except OSError:
            with suppress(OSError):
                _empty(directory)
                directory.rmdir()
            raise
        self.taken.add(directory)
        return JobRecord(job.number, directory, job.overrides, job.params, sha256=job.sha256)

    def _claim(self, directory: Path) -> None:
        """Take over the directory of a job that was never noted: a kill or a full disk came just before.

        Raises:
            UsageError: it is another job's, or holds what the sweep did not write.
        """
        folder = directory.relative_to(self.sweep)
        if any(directory.samefile(each) for each in self.taken if each.exists()):
            advice = "; write `hydra.sweep.subdir` with ${hydra.job.num} in it" if self.subdir else ""
            raise UsageError(f"two jobs would share the folder {folder}{advice}")
        is_own = directory.is_dir() and not directory.is_symlink()
        if not is_own or any(each.name not in _OF_JOB for each in directory.iterdir()):
            raise UsageError(f"{display(directory)} is in the way of a job; move it elsewhere")
        _empty(directory)

    def _folder(self, job: PlannedJob) -> str:
        folder = filled_in(self.subdir or "${hydra.job.num}", Place(job.name, job.number, job.overrides, self.at))
        if leads_outside(folder) or folder in {"", "."}:
            raise UsageError(f"the folder of job {job.number}, '{folder}', does not lie in that of the sweep")
        return folder


@dataclass
class Learning:
    """A study with what makes jobs of its proposals."""

    study: Study
    planner: JobPlanner | None
    """None where it is only told how its trials end, and proposes no further ones."""
    folders: JobFolders

    @property
    def parallel(self) -> int:
        """How many trials run at a time."""
        return self.study.parallel


@dataclass
class Running:
    """The jobs of one sweep, from the first start to the last end."""

    directory: Path
    engine: Engine
    ledger: Ledger
    view: View
    objective: tuple[str, str] | None
    queue: deque[JobRecord] = field(default_factory=deque)
    learning: Learning | None = None
    number: int = 0
    """Of the next job that a study proposes."""
    best: float | None = None
    _under_way: dict[Path, JobRecord] = field(default_factory=dict)
    _is_exhausted: bool = False
    _is_stopping: bool = False

    def run(self) -> None:
        """Run every job.

        Raises:
            Interrupted: SIGINT, SIGTERM or SIGHUP arrived; running jobs were let save their state first.
            RunFailed: the sweep's directory cannot be written, or the study or the engine not be reached any more;
                running jobs were stopped.
        """
        again = f"`{command('resume', self.directory)}` goes on"
        with _stops() as stops:
            try:
                self._run(stops)
            except OSError as error:
                self.engine.stop()
                where = display(self.directory)
                raise RunFailed(f"{where} cannot be written: {error.strerror or error}; {again}") from error
            except UsageError as error:
                self._wind_up()
                raise RunFailed(f"{error}; {again}") from error
        if stops.received is not None:
            self.view.say(f"stopped; {again}")
            raise Interrupted(stops.received)

    def _run(self, stops: _Stops) -> None:
        while self._under_way or (stops.received is None and self._start()):
            if stops.is_new():
                self._stop()
            for ended in self.engine.ended(_SECONDS):
                self._settle(ended)
            if stops.received is None:
                self._start()
            self.view.tick()

    def _wind_up(self) -> None:
        """Let the jobs under way save their state, and note what became of them."""
        self._is_stopping = True
        self.engine.stop()
        until = time.monotonic() + _GRACE
        while self._under_way and time.monotonic() < until:
            for ended in self.engine.ended(_SECONDS):
                with suppress(UsageError):  # a study that cannot be reached
                    self._settle(ended)

    def _stop(self) -> None:
        again = "killing the running jobs"
        self.view.say(again if self._is_stopping else "stopping: running jobs save their state; once more to kill them")
        self._is_stopping = True
        self.engine.stop()

    def adopt(self, job: JobRecord) -> bool:
        """Whether a job that an earlier process started is still under way; then it is waited for."""
        if not self.engine.adopt(job.directory, job.ticket):
            return False
        self._under_way[job.directory] = job
        self.view.started(job)
        return True

    def settle_earlier(self, job: JobRecord) -> JobRecord:
        """Note what became of a job that ended while no process watched."""
        job = self._note_end(job, Ended(job.directory, None))
        if job.state not in {"interrupted", "lost"}:  # those go on
            self._tell(job)
        return job

    def refuse(self, job: JobRecord, error: UsageError) -> None:
        """Note that a job cannot run again."""
        self.ledger.note(job.number, "failed", error=str(error))
        self.view.ended(replace(job, state="failed", error=str(error)))

    def _start(self) -> bool:
        """Start as many jobs as may run now; whether any is under way."""
        jobs = list(self._next_jobs())
        if jobs:
            tickets = self.engine.start([job.directory for job in jobs])
            begun = [
                replace(job, state="running", attempt=job.attempt + 1, ticket=ticket)
                for job, ticket in zip(jobs, tickets, strict=True)
            ]
            self.ledger.note_all(
                {"job": job.number, "state": "running", "attempt": job.attempt, "ticket": job.ticket} for job in begun
            )
            for job in begun:
                self._under_way[job.directory] = job
                self.view.started(job)
        return bool(self._under_way)

    def _next_jobs(self) -> Iterator[JobRecord]:
        count = len(self._under_way)
        while self.engine.capacity is None or count < self.engine.capacity:
            job = self.queue.popleft() if self.queue else self._proposed(count)
            if job is None:
                return
            count += 1
            yield job

    def _proposed(self, under_way: int) -> JobRecord | None:
        """The job of the next trial, or None where none is to be started now."""
        learning = self.learning
        if learning is None or learning.planner is None:
            return None
        while not self._is_exhausted and under_way < learning.parallel:
            proposal = learning.study.ask()
            if proposal is None:
                self._is_exhausted = True
                return None
            number, self.number = self.number, self.number + 1
            try:
                with reading(current(learning.folders.project)):
                    planned = learning.planner.plan(number, proposal.overrides)
            except BlueprintError as error:
                self._refuse(number, proposal.number, proposal.overrides, error)
                continue
            job = replace(learning.folders.make(planned, proposal.report), trial=proposal.number)
            self.ledger.note_all([planned_note(job, self.directory)])
            return job
        return None

    def _refuse(self, number: int, trial: int, overrides: tuple[str, ...], error: BlueprintError) -> None:
        """Note a combination that a study proposed and that cannot run."""
        assert self.learning is not None  # it has proposed it
        self.learning.study.tell(trial, "failed", None)
        reason = paragraphs(error.problems)
        job = JobRecord(number, self.directory / str(number), overrides, state="failed", trial=trial, error=reason)
        self.ledger.note_all([planned_note(job, self.directory)])
        self.ledger.note(number, "failed", error=job.error)
        self.view.ended(job)

    def _settle(self, ended: Ended) -> None:
        if ended.job not in self._under_way:  # an engine may tell twice
            return
        job = self._note_end(self._under_way.pop(ended.job), ended)
        if job.state != "interrupted":
            self._tell(job)
        self.view.ended(job)

    def _tell(self, job: JobRecord) -> None:
        """Say to the study how a trial ended."""
        if self.learning is not None and job.trial is not None:
            self.learning.study.tell(job.trial, _OUTCOMES.get(job.state, "failed"), job.value)

    def _note_end(self, job: JobRecord, ended: Ended) -> JobRecord:
        told = told_by_its_run(job, self.objective)
        if told is None:
            job = replace(job, state=self._untold, error=_how_it_ended(job, ended))
        else:
            job = replace(told, error=told.error or ended.reason) if told.state == "interrupted" else told
        fields = ("value", "metrics", "best_metrics", "seconds", "error")
        self.ledger.note(job.number, job.state, **{name: getattr(job, name) for name in fields})
        if job.state == "finished" and self._is_best(job):
            self.best = job.value
            self._write_best(job)
        return job

    @property
    def _untold(self) -> JobState:
        """The state of a job that left no record of its end: one that was to end may not have begun yet."""
        return "interrupted" if self._is_stopping else "lost"

    def _is_best(self, job: JobRecord) -> bool:
        if self.objective is None or job.value is None or math.isnan(job.value):
            return False
        return self.best is None or (job.value > self.best if self.objective[1] == "max" else job.value < self.best)

    def _write_best(self, job: JobRecord) -> None:
        """Keep the best blueprint where a person finds it."""
        assert self.objective is not None  # there is no best without one
        header = f"# The best of the sweep so far: {self.objective[0]} is {job.value:.6g}.\n"
        with suppress(OSError):  # the job itself has it
            write_atomically(self.directory / BEST, header + (job.directory / "blueprint.yaml").read_text("utf-8"))


def _empty(directory: Path) -> None:
    for name in _OF_JOB:
        (directory / name).unlink(missing_ok=True)


def planned_note(job: JobRecord, sweep: Path) -> dict[str, Any]:
    """What the ledger keeps of a job before it begins."""
    fields = ("overrides", "params", "sha256", "trial")
    said = {name: getattr(job, name) for name in fields}
    return {"job": job.number, "state": "planned", "directory": job.directory.relative_to(sweep).as_posix()} | said


def _how_it_ended(job: JobRecord, ended: Ended) -> str:
    words = ended.reason or _code(ended.code)
    with suppress(OSError):
        said = (job.directory / "stderr.txt").read_text("utf-8", "replace").strip().splitlines()
        words = "; ".join([words, *said[:1]])
    return f"{words}; the disk is full" if _is_full(job.directory) else words


def _is_full(directory: Path) -> bool:
    """Whether a job cannot have written its last record; a quota shows where one writes, and nowhere else."""
    try:
        with TemporaryFile(dir=directory) as file:
            file.write(bytes(_RECORD))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno in {errno.ENOSPC, errno.EDQUOT}
    return False


def _code(code: int | None) -> str:
    if code is None:
        return "its process is gone"
    if code < 0:
        with suppress(ValueError):
            return f"its process was killed by {signal.Signals(-code).name}"
    return f"its process ended with {code} and left no record"


class _Stops:
    """Signals that ask for an end."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._new = False

    def note(self, number: int, _: FrameType | None) -> None:
        """A signal has arrived."""
        self.received = self.received or number
        self._new = True

    def is_new(self) -> bool:
        """Whether one has arrived since this was last asked."""
        new, self._new = self._new, False
        return new


@contextmanager
def _stops() -> Iterator[_Stops]:
    """Note the signals that ask for an end instead of ending at once."""
    stops = _Stops()
    with _handled_by(stops.note):
        yield stops


@contextmanager
def interruptible() -> Iterator[None]:
    """Let a signal that asks for an end raise `Interrupted`, so that what has been begun is brought to an end.

    Raises:
        Interrupted: SIGINT, SIGTERM or SIGHUP arrived.
    """

    def stop(number: int, _: FrameType | None) -> NoReturn:
        raise Interrupted(number)

    with _handled_by(stop):
        yield


def _is_left_alone(number: int) -> bool:
    """Whether whoever started this with nohup wants no end when the terminal is closed."""
    return signal.Signals(number).name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    meant = [each for each in _ENDS if not _is_left_alone(each)]
    before = {each: signal.signal(each, handler) for each in meant}
    try:
        yield
    finally:
        for each, known in before.items():
            signal.signal(each, signal.SIG_DFL if known is None else known)

"""Going on with a sweep: what has ended stays, what was cut short goes on, what failed may be tried again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hydrantic.checking import composer_of
from hydrantic.components import choose
from hydrantic.digests import digest_of
from hydrantic.errors import BlueprintError, HydranticError, UsageError
from hydrantic.planning import without_references
from hydrantic.project import Project
from hydrantic.rundir import write_atomically
from hydrantic.source import display
from hydrantic.sweeping.engine import Launcher
from hydrantic.sweeping.ledger import ENDED, FILE, JobRecord, Ledger, SweepRecord, read_ledger
from hydrantic.sweeping.plans import JobPlanner
from hydrantic.sweeping.results import Sweep
from hydrantic.sweeping.running import JobFolders, Learning, Running, interruptible
from hydrantic.sweeping.space import Choice, Range, Space, extremes
from hydrantic.sweeping.sweeper import Sweeper
from hydrantic.sweeping.view import View
from hydrantic.sweeping.words import reason, told
from hydrantic.texts import counted


def resume(directory: Path, *, project: str | Path | None = None, retry: bool = False) -> Sweep:
    """Go on with a sweep: jobs that have ended stay as they are, interrupted ones go on from their checkpoints.

    Arguments:
        directory: of the sweep.
        project: the folder whose `registry/` may be used; by default the one that the sweep began with.
        retry: run failed jobs again, from their beginning.

    Raises:
        UsageError: the directory is no sweep's, or the sweep is still running; or its jobs have run but a study cannot
            propose further ones, because what they are composed of has changed.
        Interrupted: as for `sweep`.
    """
    record = read_ledger(directory)
    home = _home(record, project)
    _check_whole(record)
    with _legible(record):
        launcher: Launcher = _chosen("launcher", record, home)
    with interruptible(), ExitStack() as stack:
        ledger = stack.enter_context(Ledger(directory))
        view = stack.enter_context(View())
        engine = stack.enter_context(launcher.open(directory, len(record.jobs)))
        running = Running(directory, engine, ledger, view, record.objective)
        with _legible(record):
            running.learning = _learning_again(record, home, stack)
        ended = [job for job in record.jobs if job.state in ENDED]
        total = len(record.jobs) if running.learning is None else running.learning.study.total
        ledger.begin()  # the time in between does not count
        view.begin(total, engine.capacity, objective=record.objective, ended=ended)
        _take_over(running, record, home, retry=retry)
        running.run()
    done = read_ledger(directory)
    if running.learning is not None and _is_cut_short(running.learning, done):
        raise UsageError(_changed(record))
    return Sweep(directory, done)


def _home(record: SweepRecord, project: str | Path | None) -> Project:
    """The project that a person stands in or names; a sweep's directory cannot choose whose code is run.

    Raises:
        UsageError: the sweep began with another than the one that the person stands in.
    """
    home = Project.find(explicit=None if project is None else Path(project)).open()
    began_with = record.about.get("project")
    if project is None and began_with != (None if home.root is None else str(home.root)):
        began = f"in the project {began_with}" if began_with else "outside of any project"
        raise UsageError(f"this sweep began {began}; go there, or name the one to use with --project DIR")
    return home


def _check_whole(record: SweepRecord) -> None:
    """Refuse a sweep that was killed while its jobs were written, so that none has begun."""
    jobs = record.about.get("jobs")
    if isinstance(jobs, int) and len(record.jobs) < jobs:
        raise UsageError(
            f"{display(record.directory)} was cut off while its {counted(jobs, 'job')} were being written, before any "
            "began; start the sweep anew"
        )


@contextmanager
def _legible(record: SweepRecord) -> Iterator[None]:
    """Tell in words where what the ledger says of the sweep cannot be understood, or names what there is no more.

    Raises:
        UsageError: so it is.
    """
    try:
        yield
    except HydranticError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        said = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise UsageError(f"{display(record.directory / FILE)} cannot be obeyed: {said}") from error


def _chosen(kind: str, record: SweepRecord, project: Project) -> Any:
    """The sweeper or launcher of a sweep, built again."""
    return choose(kind, without_references(record.about[kind], project)).build()


def _take_over(running: Running, record: SweepRecord, project: Project, *, retry: bool) -> None:
    """Sort a sweep's jobs into those that have ended, those still under way and those to be run."""
    ranked = record.best
    running.best = None if ranked is None else ranked.value
    running.number = max((job.number for job in record.jobs), default=-1) + 1
    for job in record.jobs:
        known = job
        if job.state == "running":
            if running.adopt(job):
                continue
            known = running.settle_earlier(job)
        if known.state in ENDED or (known.state == "failed" and not retry):
            continue
        if known.is_invalid:
            running.view.say(f"job {known.number} cannot run and is left as it is: {told(known)}\n  {reason(known)}")
            continue
        try:
            _make_ready(known, record.directory, project)
        except UsageError as error:
            running.refuse(known, error)
        else:
            running.queue.append(known)


def _make_ready(job: JobRecord, sweep: Path, project: Project) -> None:
    """Prepare another attempt of a job.

    Raises:
        UsageError: its directory is not there, leads elsewhere or cannot be written.
    """
    if not _lies_below(sweep, job.directory):
        raise UsageError(f"{display(job.directory)} does not lie in the sweep's directory")
    try:
        if job.state == "failed":
            _set_aside(job)
        _give_to(job, project)
    except OSError as error:
        raise UsageError(f"{display(job.directory)} cannot be used: {error.strerror or error}") from error


def _lies_below(folder: Path, directory: Path) -> bool:
    try:
        return folder.resolve() in directory.resolve().parents
    except (OSError, ValueError):  # links in a circle, or no name at all
        return False


def _give_to(job: JobRecord, project: Project) -> None:
    """Let a job use the project of whoever goes on with it, whatever its directory says."""
    file = job.directory / "job.json"
    try:
        said = json.loads(file.read_text("utf-8"))
        said["project"] = None if project.root is None else str(project.root)
        write_atomically(file, json.dumps(said, ensure_ascii=False, indent=2) + "\n")
    except (ValueError, TypeError) as error:
        raise UsageError(f"{display(file)} cannot be read: {error}") from error


def _set_aside(job: JobRecord) -> None:
    """Keep what an attempt left, so that the next one begins anew."""
    folder = job.directory / f"attempt-{job.attempt}"
    if not job.directory.is_dir():
        return
    folder.mkdir(exist_ok=True)
    for each in list(job.directory.iterdir()):
        if each.name not in {"blueprint.yaml", "job.json"} and not each.name.startswith("attempt-"):
            each.replace(folder / each.name)


def _learning_again(record: SweepRecord, project: Project, stack: ExitStack) -> Learning | None:
    """The study of a sweep that learns, opened again; None where the sweep has none."""
    about = record.about
    sweeper: Sweeper = _chosen("sweeper", record, project)
    if not sweeper.learns or record.objective is None:
        return None
    goes_on = [job.trial for job in record.jobs if job.trial is not None and job.state not in {*ENDED, "failed"}]
    name = str(about.get("folder", ""))
    study = sweeper.study(_space_of(about["space"]), record.objective, record.directory, goes_on, name)
    stack.callback(study.close)
    taken = {job.directory for job in record.jobs}
    folders = JobFolders(record.directory, project, bool(about["test"]), about["subdir"], taken=taken)
    return Learning(study, _planner_again(record, project), folders)


def _planner_again(record: SweepRecord, project: Project) -> JobPlanner | None:
    """What plans further trials; None where they would not be like the first."""
    about, ends = record.about, extremes(_space_of(record.about["space"]))
    try:
        planner = JobPlanner(composer_of(about["blueprint"], project), tuple(about["fixed"]), project)
        is_alike = not _changed_files(record) or planner.digest(ends) == about.get("composed")
    except BlueprintError:
        return None
    return planner if is_alike else None


def _changed_files(record: SweepRecord) -> list[str]:
    return [file for file, known in record.about["sources"].items() if digest_of(Path(file)) != known]


def _is_cut_short(learning: Learning, record: SweepRecord) -> bool:
    """Whether trials are missing that can be proposed no more."""
    total = learning.study.total
    return learning.planner is None and (total is None or len(record.jobs) < total)


def _changed(record: SweepRecord) -> str:
    what = next((display(Path(file)) for file in _changed_files(record)), "the blueprint")
    return (
        f"no further trials were proposed: {what} has changed since the study began, so that they would not be like "
        "the first; put back what it said, or start a new sweep, with the same study_name and storage to go on with "
        "what was found"
    )


def _space_of(plain: Mapping[str, Mapping[str, Any]]) -> Space:
    return {key: Choice(tuple(each["values"])) if "values" in each else Range(**each) for key, each in plain.items()}

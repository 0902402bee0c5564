"""A sweep from its first moment to its last: planned whole, run by an engine, kept in a ledger."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydrantic.blueprint import written
from hydrantic.checking import Blueprintlike, Overrides, composer_of, override_texts
from hydrantic.components import choose, plain_value
from hydrantic.digests import digest_of
from hydrantic.errors import HydranticError, UsageError
from hydrantic.planning import without_references
from hydrantic.project import Project
from hydrantic.rundir import runs_root, write_atomically
from hydrantic.source import display
from hydrantic.sweeping.drafts import Draft, Order, drafted
from hydrantic.sweeping.engine import Launcher
from hydrantic.sweeping.ledger import ENDED, FILE, JobRecord, JobState, Ledger, SweepRecord, read_ledger
from hydrantic.sweeping.plans import JobPlanner
from hydrantic.sweeping.running import JobFolders, Learning, Running, interruptible, planned_note
from hydrantic.sweeping.space import Choice, Range, Space
from hydrantic.sweeping.sweeper import Sweeper
from hydrantic.sweeping.view import View
from hydrantic.texts import counted

if TYPE_CHECKING:
    import polars
    from lightning.pytorch import LightningModule


@dataclass(frozen=True)
class Job:
    """One job of a sweep, as it stands."""

    record: JobRecord = field(repr=False)

    @property
    def number(self) -> int:
        """Its number in the sweep."""
        return self.record.number

    @property
    def path(self) -> Path:
        """Its directory, which is that of its run."""
        return self.record.directory

    @property
    def overrides(self) -> tuple[str, ...]:
        """What sets it apart, as on the command line: `("optimizer.lr=0.001", "seed=1")`."""
        return self.record.overrides

    @property
    def params(self) -> Mapping[str, Any]:
        """The same as values by key."""
        return self.record.params

    @property
    def state(self) -> JobState:
        """How it ended."""
        return self.record.state

    @property
    def value(self) -> float | None:
        """The objective's value at its best; None where it has none."""
        return self.record.value

    @property
    def metrics(self) -> Mapping[str, float]:
        """The last value of every logged name."""
        return self.record.metrics

    def model(self) -> LightningModule:
        """The model with the weights of the best checkpoint, in evaluation mode.

        Raises:
            UsageError: the job kept no weights.
        """
        from hydrantic.run import load_model

        return load_model(self.path)

    def __repr__(self) -> str:
        return f"<job {self.number}: {' '.join(self.overrides)}, {self.state}>"


@dataclass(frozen=True)
class Sweep:
    """A sweep that has come to its end: its jobs are its elements."""

    path: Path
    """Its directory."""
    record: SweepRecord = field(repr=False)
    """What its ledger tells."""

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The jobs in their order."""
        return tuple(map(Job, self.record.jobs))

    @property
    def best(self) -> Job | None:
        """The job with the best value of the objective; None where no job has one."""
        best = self.record.best
        return None if best is None else Job(best)

    def table(self) -> polars.DataFrame:
        """The results: a row per job with its swept values, its objective and its metrics."""
        from hydrantic.sweeping.table import frame

        return frame(self.record)

    @property
    def exit_code(self) -> int:
        """0 where every job has done what it should, else 1."""
        return int(any(job.state not in ENDED for job in self.record.jobs))

    def summary(self) -> str:
        """What a person wants to know of a sweep that has just ended."""
        best, objective = self.best, self.record.objective
        if best is None or objective is None:
            lines = [f"{self.record.name}: no job has a best value"]
        else:
            lines = [f"{self.record.name}: job {best.number} is the best, {objective[0]} {best.value:.4g}"]
            lines.append(f"  {' '.join(best.overrides)}")
        return "\n".join([*lines, f"sweep: {display(self.path)}"])

    def __iter__(self) -> Iterator[Job]:
        return iter(self.jobs)

    def __len__(self) -> int:
        return len(self.jobs)

    def __getitem__(self, number: int) -> Job:
        return self.jobs[number]


def sweep(
    blueprint: Blueprintlike,
    overrides: Overrides = (),
    *,
    project: str | Path | None = None,
    runs: str | Path | None = None,
    test: bool = True,
    skip_invalid: bool = False,
) -> Sweep:
    """Run variants of a blueprint, each in a process of its own; all are planned before the first begins.

    Arguments:
        blueprint: the YAML file, or a `Blueprint` or mapping made in Python.
        overrides: as for `fit`; those with several values (`seed=1,2,3`, `model=mlp,cnn`) are swept, and so is what the
            blueprint's section `sweep` says. In a mapping, a list holds the values to be swept.
        project: the folder whose `registry/` may be used; by default the project that holds the working directory.
        runs: the folder of all runs; by default HYDRANTIC_RUNS, or `runs/` in the project.
        test: whether each job evaluates its best checkpoint on the test split.
        skip_invalid: leave out combinations that cannot run, instead of starting none.

    Returns:
        The sweep with the results of its jobs; failed ones are among them.

    Raises:
        BlueprintError: what is swept, or what all jobs have in common, has problems; nothing was written.
        InvalidJobs: combinations have problems; nothing was written.
        UsageError: the project, the folder of the runs or the launcher cannot be used.
        Interrupted: SIGINT, SIGTERM or SIGHUP arrived; running jobs were let save their state first.
    """
    home = Project.find(explicit=None if project is None else Path(project)).open()
    root = runs_root(None if runs is None else Path(runs), home.root)
    draft = drafted(Order(blueprint, _texts(overrides), home, root, test, skip_invalid))
    directory = draft.directory()
    with interruptible(), ExitStack() as stack:
        view = stack.enter_context(View())
        # An engine that takes long to open does so while the jobs are planned.
        count = None if draft.sweeper.learns else len(draft.combinations())
        early = stack.enter_context(draft.launcher.open(directory, count)) if draft.launcher.warm else None
        begun = _begin(draft, directory, view, stack)
        engine = early or stack.enter_context(draft.launcher.open(directory, len(begun.jobs) or None))
        running = Running(directory, engine, begun.ledger, view, begun.objective, learning=begun.learning)
        running.queue.extend(begun.jobs)
        view.begin(_count(begun.jobs, begun.learning), engine.capacity, objective=begun.objective)
        running.run()
    return Sweep(directory, read_ledger(directory))


def resume(directory: Path, *, project: str | Path | None = None, retry: bool = False) -> Sweep:
    """Go on with a sweep: jobs that have ended stay as they are, interrupted ones go on from their checkpoints.

    Arguments:
        directory: of the sweep.
        project: the folder whose `registry/` may be used; by default the one that the sweep began with.
        retry: run failed jobs again, from their beginning.

    Raises:
        UsageError: the directory is no sweep's, the sweep is still running, or a file that a study's further jobs are
            composed of has changed.
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
    return Sweep(directory, read_ledger(directory))


def _texts(overrides: Overrides) -> tuple[str, ...]:
    """Overrides as they stand on a command line; a list in a mapping holds values to be swept."""
    if not isinstance(overrides, Mapping):
        return override_texts(overrides)
    swept = {key: value for key, value in overrides.items() if isinstance(value, list | tuple)}
    if empty := [key for key, values in swept.items() if not values]:
        raise UsageError(f"'{empty[0]}' is to be swept over an empty list: give it values, or leave it out")
    fixed = override_texts({key: value for key, value in overrides.items() if key not in swept})
    texts = {key: [each.partition("=")[2] for each in _single(key, values)] for key, values in swept.items()}
    return (*fixed, *(f"{key}=choice({','.join(values)})" for key, values in texts.items()))


def _single(key: str, values: Sequence[Any]) -> tuple[str, ...]:
    return tuple(text for value in values for text in override_texts({key: value}))


@dataclass(frozen=True)
class _Begun:
    """A sweep that is written."""

    ledger: Ledger
    jobs: list[JobRecord]
    objective: tuple[str, str] | None
    learning: Learning | None


def _begin(draft: Draft, directory: Path, view: View, stack: ExitStack) -> _Begun:
    """Plan and write a sweep; nothing is left of one that cannot begin."""
    folders = JobFolders(directory, draft.order.project, draft.order.test, draft.settings.hydra.sweep.subdir)
    jobs = [] if draft.sweeper.learns else draft.jobs(view)
    with _made(directory):
        learning, objective, sources = None, jobs[0].objective if jobs else None, set[Path]()
        if draft.sweeper.learns:
            study, objective, sources = draft.study(directory, view)
            stack.callback(study.close)
            learning = Learning(study, draft.planner, folders)
        ledger = stack.enter_context(Ledger(directory))
        ledger.begin(**_about(draft, directory, len(jobs) or None, objective, sources))
        records = [folders.make(job) for job in jobs]
        ledger.note_all(planned_note(each, directory) for each in records)
    return _Begun(ledger, records, objective, learning)


def _count(jobs: Sequence[JobRecord], learning: Learning | None) -> int | None:
    return len(jobs) if learning is None else learning.study.total


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
    changed = [file for file, known in about["sources"].items() if digest_of(Path(file)) != known]
    if changed:
        raise UsageError(
            f"{display(Path(changed[0]))} has changed since the study began, so that further jobs would not be like "
            "the first; start a new sweep, with the same study_name and storage to go on with what was found"
        )
    goes_on = [job.trial for job in record.jobs if job.trial is not None and job.state not in {*ENDED, "failed"}]
    name = str(about.get("folder", ""))
    study = sweeper.study(_space_of(about["space"]), record.objective, record.directory, goes_on, name)
    stack.callback(study.close)
    planner = JobPlanner(composer_of(about["blueprint"], project), tuple(about["fixed"]), project)
    return Learning(study, planner, JobFolders(record.directory, project, bool(about["test"]), about["subdir"]))


def _space_of(plain: Mapping[str, Mapping[str, Any]]) -> Space:
    return {key: Choice(tuple(each["values"])) if "values" in each else Range(**each) for key, each in plain.items()}


def _about(
    draft: Draft, directory: Path, jobs: int | None, objective: tuple[str, str] | None, sources: Collection[Path]
) -> dict[str, Any]:
    """What a ledger notes of a sweep."""
    order = draft.order
    return {
        "name": draft.name,
        "folder": directory.name,
        "blueprint": _recorded(order.blueprint),
        "overrides": order.overrides,
        "fixed": draft.planner.fixed,
        "project": None if order.project.root is None else str(order.project.root),
        "test": order.test,
        **draft.settings.blocks,
        "subdir": draft.settings.hydra.sweep.subdir,
        "space": {key: asdict(each) for key, each in draft.space.items()},
        "sources": {str(file.absolute()): digest_of(file) for file in sources if file.is_file()},
        "objective": None if objective is None else {"metric": objective[0], "mode": objective[1]},
        "jobs": jobs,
    }


def _recorded(blueprint: Blueprintlike) -> Any:
    """A blueprint as the ledger keeps it: its file's path, or what was made in Python."""
    return plain_value(written(blueprint)) if isinstance(blueprint, Mapping) else str(Path(blueprint).absolute())


@contextmanager
def _made(directory: Path) -> Iterator[None]:
    """The directory of a sweep, gone again where the sweep cannot begin.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        directory.mkdir(parents=True)
    except OSError as error:
        raise UsageError(
            f"cannot write the sweep to {display(directory.parent)}: {error.strerror or error}; "
            "choose another folder with --runs DIR or the environment variable HYDRANTIC_RUNS"
        ) from error
    try:
        yield
    except OSError as error:
        shutil.rmtree(directory, ignore_errors=True)
        raise UsageError(f"cannot write the sweep to {display(directory)}: {error.strerror or error}") from error
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        with suppress(OSError):
            directory.parent.rmdir()
        raise

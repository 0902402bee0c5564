"""A sweep from its first moment to its last: planned whole, run by an engine, kept in a ledger."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from hydrantic.blueprint import written
from hydrantic.checking import Blueprintlike, Overrides, override_texts, value_text
from hydrantic.components import plain_value
from hydrantic.compose import MAX_VALUES, is_sweep
from hydrantic.digests import digest_of
from hydrantic.errors import UsageError
from hydrantic.project import Project
from hydrantic.rundir import runs_root
from hydrantic.source import display
from hydrantic.sweeping.drafts import Draft, Order, drafted
from hydrantic.sweeping.engine import Engine
from hydrantic.sweeping.ledger import JobRecord, Ledger, read_ledger
from hydrantic.sweeping.results import Sweep
from hydrantic.sweeping.running import JobFolders, Learning, Running, interruptible, planned_note
from hydrantic.sweeping.space import extremes
from hydrantic.sweeping.sweeper import Study
from hydrantic.sweeping.view import View


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
            blueprint's section `sweep` says. In a mapping, a list, a range, an array or another iterable holds the
            values to be swept, and a text such as `interval(1e-3,1e-2)` or `1,2,3` means what it means on the command
            line; `["1,2,3"]` is that text itself.
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
    draft = drafted(Order(blueprint, swept_texts(overrides), home, root, test, skip_invalid))
    directory = draft.directory()
    with interruptible(), ExitStack() as stack:
        view = stack.enter_context(View())
        # An engine that takes long to open does so while the jobs are planned.
        count = None if draft.sweeper.learns else len(draft.combinations)
        early = stack.enter_context(draft.launcher.open(directory, count)) if draft.launcher.warm else None
        begun = _begin(draft, directory, view, stack)
        engine = early or stack.enter_context(_opened(draft, directory, len(begun.jobs) or None))
        running = Running(directory, engine, begun.ledger, view, begun.objective, learning=begun.learning)
        running.queue.extend(begun.jobs)
        view.begin(_count(begun.jobs, begun.learning), engine.capacity, objective=begun.objective)
        running.run()
    return Sweep(directory, read_ledger(directory))


def swept_texts(overrides: Overrides) -> tuple[str, ...]:
    """Overrides as they stand on a command line; what gives several values in a mapping is swept.

    Raises:
        UsageError: a value cannot be swept, or not be written in an override.
    """
    if not isinstance(overrides, Mapping):
        return override_texts(overrides)
    return tuple(text for key, value in overrides.items() for text in _texts_of(key, value))


def _texts_of(key: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str) and is_sweep(text := f"{key}={value}"):
        return (text,)
    values = _values(key, value)
    if values is None:
        return override_texts({key: value})
    if not values:
        raise UsageError(f"'{key}' is to be swept over nothing: give it values, or leave it out")
    try:
        return (f"{key}=choice({','.join(map(value_text, values))})",)
    except ValueError as error:
        raise UsageError(f"overrides: {key}: {error}") from error


def _values(key: str, value: Any) -> list[Any] | None:
    """The values that one written in Python gives; None where it is one itself."""
    if isinstance(value, set | frozenset):
        raise UsageError(f"'{key}' is to be swept over a set, which has no order: give a list, such as sorted(...)")
    if hasattr(value, "tolist"):  # an array, which may be a single number
        value = value.tolist()
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        return None
    values = list(islice(value, MAX_VALUES + 1))
    if len(values) > MAX_VALUES:
        raise UsageError(f"'{key}' is to be swept over more than {MAX_VALUES:,} values")
    return values


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
        learning, objective, of_study = None, jobs[0].objective if jobs else None, dict[str, Any]()
        if draft.sweeper.learns:
            study, objective, sources = draft.study(directory, view)
            stack.callback(study.close)
            learning = Learning(study, draft.planner, folders)
            of_study = _about_study(draft, study, sources)
        ledger = stack.enter_context(Ledger(directory))
        ledger.begin(**_about(draft, directory, len(jobs) or None, objective), **of_study)
        records = [folders.make(job) for job in jobs]
        ledger.note_all(planned_note(each, directory) for each in records)
    return _Begun(ledger, records, objective, learning)


def _opened(draft: Draft, directory: Path, jobs: int | None) -> Engine:
    """The engine; nothing is left of a sweep that has none.

    Raises:
        UsageError: it cannot be used here.
    """
    try:
        return draft.launcher.open(directory, jobs)
    except UsageError:
        _remove(directory)
        raise


def _count(jobs: Sequence[JobRecord], learning: Learning | None) -> int | None:
    return len(jobs) if learning is None else learning.study.total


def _about(draft: Draft, directory: Path, jobs: int | None, objective: tuple[str, str] | None) -> dict[str, Any]:
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
        "objective": None if objective is None else {"metric": objective[0], "mode": objective[1]},
        "jobs": jobs,
    }


def _about_study(draft: Draft, study: Study, sources: Collection[Path]) -> dict[str, Any]:
    """What a ledger notes of a study, so that it is known whether further trials would be like the first."""
    return {
        "trials": study.total,
        "sources": {str(file.absolute()): digest_of(file) for file in sources if file.is_file()},
        "composed": draft.planner.digest(extremes(draft.space)),
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
        _remove(directory)
        raise UsageError(f"cannot write the sweep to {display(directory)}: {error.strerror or error}") from error
    except BaseException:
        _remove(directory)
        raise


def _remove(directory: Path) -> None:
    """Remove the directory of a sweep, and the folder of its blueprint's runs where it holds no others."""
    shutil.rmtree(directory, ignore_errors=True)
    with suppress(OSError):
        directory.parent.rmdir()

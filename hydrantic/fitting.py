"""Fitting: from a blueprint to a run, with a directory that holds everything about it."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hydrantic.checking import Blueprintlike, Overrides, prepare
from hydrantic.errors import BlueprintError, HydranticError, Interrupted, Pruned, RunFailed, UsageError
from hydrantic.finding import find_run
from hydrantic.folders import Place, filled_in
from hydrantic.plan import Plan
from hydrantic.processes import launched
from hydrantic.project import Project
from hydrantic.requeueing import has_been_requeued, requeue, run_of_this_job, slurm_job
from hydrantic.run import Run
from hydrantic.rundir import (
    RunDirectory,
    RunRecord,
    Status,
    folder_name,
    recording,
    refuse_taken,
    runs_root,
    source_hashes,
    swap_contents,
)
from hydrantic.secrets import hide
from hydrantic.source import display
from hydrantic.texts import on_one_line, visible
from hydrantic.yaml_text import to_yaml

if TYPE_CHECKING:
    from hydrantic.build import Draft
    from hydrantic.processes import Order, Team
    from hydrantic.training import Terms, Training


_TIME_TO_SPEAK: Final = 2.0


def fit(
    blueprint: Blueprintlike,
    overrides: Overrides = (),
    *,
    project: str | Path | None = None,
    runs: str | Path | None = None,
    directory: str | Path | None = None,
    test: bool = True,
) -> Run:
    """Train the model of a blueprint, and evaluate the best checkpoint once on the test split.

    Arguments:
        blueprint: the YAML file, or a `Blueprint` or mapping made in Python.
        overrides: `key=value` and the like, as on the command line; or a mapping of keys to values.
        project: the folder whose `registry/` may be used; by default the project that holds the working directory.
        runs: the folder of all runs; by default HYDRANTIC_RUNS, or `runs/` in the project.
        directory: the run's own directory, in place of a new one among all runs; by default what the blueprint says as
            `hydra.run.dir`, if anything.
        test: whether to evaluate on the test split.

    Returns:
        The finished run.

    Where torchrun or srun has started several processes, all of them call this and train together; those that follow
    write and print nothing, and leave with an exit code where the leading one raises an error.

    Raises:
        BlueprintError: the blueprint has problems, or contradicts the data; nothing was written.
        UsageError: the project or the folder of the runs cannot be used, or the directory holds a run.
        RunFailed: training raised an error; the run directory records it.
        Interrupted: SIGINT or SIGTERM arrived; the state was saved.
    """
    with silent_if_following():
        if directory is not None and not has_been_requeued():
            refuse_taken(Path(directory))
        home = Project.find(explicit=None if project is None else Path(project))
        plan = prepare(blueprint, overrides, project=home)
        root = runs_root(None if runs is None else Path(runs), home.root)
        said = _said_directory(plan, root) if directory is None else Path(directory)
        if has_been_requeued():
            before = run_of_this_job(_own_folders(plan, root, said), plan.resolved())
            if before is not None:
                return _resumed(before, (), home)
        if said is not None:
            refuse_taken(said)
        return _fit(plan, home, root, said, test=test)


def resume(run: str | Path, overrides: Overrides = (), *, project: str | Path | None = None) -> Run:
    """Go on with a run that was interrupted, killed, failed, or is to be trained for longer, in its own directory.

    It goes on from its last checkpoint, bit for bit as if it had never stopped, or starts anew where there is none.
    Only what `hydrantic.continuity` lists may be changed.

    Arguments:
        run: the run's directory, or a folder of runs, which means the latest of them.
        overrides: values that differ from the run's, such as `trainer.max_epochs=40`.
        project: the folder whose `registry/` may be used; by default the project that holds the working directory.

    Returns:
        The finished run.

    Raises:
        BlueprintError: an override has problems, or components have become others.
        UsageError: there is no such run, it is still running or finished, or something differs with which it would
            become another run.
        RunFailed: training raised an error; the run directory records it.
        Interrupted: a signal arrived; the state was saved.
    """
    with silent_if_following():
        found = find_run(run)
        if found.directory is None or (found.named is not None and found.named.name != "last.ckpt"):
            raise UsageError(f"{found.label} is a checkpoint; name the directory of its run to go on with it")
        home = Project.find(explicit=None if project is None else Path(project))
        if found.note is not None:
            print(found.note, file=sys.stderr)
        return _resumed(found.directory, overrides, home)


def _resumed(path: Path, overrides: Overrides, home: Project) -> Run:
    earlier = RunRecord.read(path / "run.json").fields
    directory = RunDirectory.again(path, earlier)
    plan = prepare(directory.blueprint_file, overrides, project=home)
    from hydrantic.build import draft
    from hydrantic.continuation import Continuation, refuse_alive
    from hydrantic.continuity import forgets_stop
    from hydrantic.process import settings_as_they_were
    from hydrantic.resuming import attempt_after
    from hydrantic.training import Terms

    refuse_alive(directory, earlier)
    again = Continuation.of(directory, earlier, plan)
    terms = Terms(test=earlier.get("test") is not False, noted=again.noted)
    with settings_as_they_were(), gathered(plan, threads=earlier.get("threads")) as team:
        drafted = draft(plan)
        again.refuse_other(drafted, team)
        if not team.place.leads:
            return follow(drafted, terms, team)
        with directory.held():
            _refuse_moved_on(directory, earlier)
            attempt = attempt_after(directory, earlier, again.folder, again.found, again.notes)
            attempt = replace(attempt, forgets_stop=forgets_stop(again.changes))
            try:
                return execute(drafted, directory, home, replace(terms, attempt=attempt), team)
            except NotBegun as error:
                raise error.reason from error.reason.__cause__


def _refuse_moved_on(directory: RunDirectory, earlier: Mapping[str, Any]) -> None:
    """Refuse to go on from what a record said, where another process has gone on with the run since."""
    present = RunRecord.read(directory.record_file).fields
    if any(repr(present.get(name)) != repr(earlier.get(name)) for name in ("attempt", "pid", "status")):
        raise UsageError(f"{display(directory.path)} is a run that another process has just gone on with")


def _own_folders(plan: Plan, root: Path, said: Path | None) -> list[Path]:
    """Where a run of a plan may lie."""
    return sorted((root.absolute() / folder_name(plan.name)).glob("*")) if said is None else [said.absolute()]


def _said_directory(plan: Plan, root: Path) -> Path | None:
    """The directory that `hydra.run.dir` names: below all runs, or wherever the command line says."""
    hydra = plan.blueprint.hydra
    template = None if hydra is None else hydra.run.dir
    if template is None:
        return None
    folder = Path(filled_in(template, Place(plan.name))).expanduser()
    on_command_line = plan.document.source(("hydra", "run", "dir")).on_command_line
    return (folder if on_command_line else root / folder).absolute()


def _fit(plan: Plan, home: Project, root: Path, directory: Path | None, *, test: bool) -> Run:
    from hydrantic.build import draft
    from hydrantic.process import settings_as_they_were
    from hydrantic.training import Terms

    terms = Terms(test=test)
    with settings_as_they_were(), gathered(plan) as team:
        drafted = draft(plan)
        if not team.place.leads:
            return follow(drafted, terms, team)
        place = RunDirectory.create(root, plan.name) if directory is None else RunDirectory.at(directory)
        try:
            with place.held():
                return execute(drafted, place, home, terms, team)
        except NotBegun as error:
            place.discard()
            raise error.reason from error.reason.__cause__


@contextmanager
def gathered(plan: Plan, *, threads: object = None) -> Iterator[Team]:
    """The processes that are to train a plan; those that this one has started end with the block.

    Arguments:
        plan: which says how many they are.
        threads: on how many the run computed, as its record says, which is to come out the same.

    Raises:
        BlueprintError: there cannot be as many as it asks for.
    """
    from hydrantic.build import count_processes
    from hydrantic.process import share_threads
    from hydrantic.processes import gather, parted_afterwards
    from hydrantic.training import without_chatter

    with without_chatter():
        count = count_processes(plan)
    with parted_afterwards(), gather(count) as team:
        share_threads(team.place.local_world, recorded=threads)
        yield team


class NotBegun(Exception):
    """A run could not begin, for `reason`: what is in its directory tells nothing of training."""

    def __init__(self, reason: HydranticError) -> None:
        super().__init__(str(reason))
        self.reason = reason


def execute(drafted: Draft, directory: RunDirectory, project: Project, terms: Terms, team: Team) -> Run:
    """Train what was drafted, in a directory, as the process that leads.

    Arguments:
        drafted: the data and the model.
        directory: where the run is kept.
        project: whose components it uses.
        terms: how it is carried out.
        team: the processes that take part.

    Raises:
        NotBegun: a callback or logger refuses its fields, or the directory cannot be written.
        RunFailed: training raised an error; the run directory records it.
        Pruned: a study has given it up; the run directory records it.
        Interrupted: SIGINT or SIGTERM arrived; the state was saved.
    """
    return _Execution(drafted, directory, project, terms, team).run()


def follow(drafted: Draft, terms: Terms, team: Team) -> Run:
    """Train what was drafted as a process that follows: it prints nothing and writes no record.

    Raises:
        Interrupted: SIGINT or SIGTERM arrived in one of the processes; the state was saved.
    """
    from hydrantic.resuming import Attempt
    from hydrantic.training import Training, without_chatter

    began = time.monotonic()
    order = team.hear()
    attempt = Attempt(checkpoint=order.checkpoint, forgets_stop=order.forgets_stop)
    directory = RunDirectory(order.directory)
    with without_chatter():
        training = Training.prepare(drafted, directory, replace(terms, attempt=attempt, told=None), team)
        try:
            with training.signals:
                team.wait()
                training.run()
        except Exception as error:
            raise team.reason(error) from error
        training.load_best_weights()
    return Run(directory.path, drafted.plan, training.metrics, time.monotonic() - began, training.assembly.model)


@contextmanager
def silent_if_following() -> Iterator[None]:
    """Leave it to the leading process to say what went wrong, if others than it were started too."""
    place = launched()
    if place is None or place.leads:
        yield
        return
    try:
        with _in_silence():
            yield
    except HydranticError as error:
        time.sleep(_TIME_TO_SPEAK)  # when one process ends, the others are ended
        raise SystemExit(1 if isinstance(error, RunFailed) else 2) from error


@contextmanager
def _in_silence() -> Iterator[None]:
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


@dataclass
class _Execution:
    """One run from its first moment to its last."""

    drafted: Draft
    directory: RunDirectory
    project: Project
    terms: Terms
    team: Team
    began: float = field(default_factory=time.monotonic)
    has_begun: bool = False

    def run(self) -> Run:
        from hydrantic.training import without_chatter

        try:
            record = self._record()
            self.team.tell(self._order())
            with recording(self.directory.log_file, self._hidden), without_chatter():
                return self._run(record)
        except BlueprintError as error:
            if not self.has_begun:  # a callback or logger refused its fields
                raise NotBegun(error) from error
            raise
        except OSError as error:
            if self.has_begun:
                raise RunFailed(f"{display(self.directory.path)} cannot be written: {error.strerror}") from error
            raise NotBegun(self._unwritable(error)) from error

    def _unwritable(self, error: OSError) -> UsageError:
        refusal = UsageError(
            f"cannot write the run to {display(self.directory.path.parent)}: {error.strerror or error}; "
            "choose another folder with --runs DIR or the environment variable HYDRANTIC_RUNS"
        )
        refusal.__cause__ = error
        return refusal

    def _record(self) -> RunRecord:
        from hydrantic.identity import components_of, files_of, own_modules
        from hydrantic.process import threads
        from hydrantic.provenance import origins

        plan, attempt = self.drafted.plan, self.terms.attempt
        header = "# The complete blueprint of this run: `hydrantic fit` on it repeats the run.\n"
        swap_contents(self.directory.blueprint_file, header + to_yaml(plan.resolved()))
        record = RunRecord(self.directory.record_file)
        further = {} if attempt is None or attempt.started is None else {"started": attempt.started}
        record.start(
            name=plan.name,
            seed=plan.blueprint.seed,
            project=self.project.root,
            sources=files_of(components_of(plan)),
            modules=source_hashes(own_modules()),
            origins=origins(plan, self.directory.path),
            blueprint=plan.resolved(),  # once more, for those who list thousands of runs: JSON is read quickly
            data=self.drafted.facts.fingerprint,
            threads=threads(),
            id=self.directory.id,
            group=self.directory.group,
            test=self.terms.test,
            slurm_job=slurm_job(),
            attempt=1 if attempt is None else attempt.number,
            resumed_from_step=None if attempt is None else attempt.step,
            seconds_before=0.0 if attempt is None else attempt.seconds,
            **further,
            **self.terms.noted,
        )
        return record

    def _order(self) -> Order:
        from hydrantic.process import threads
        from hydrantic.processes import Order
        from hydrantic.resuming import Attempt

        path, root, attempt = self.directory.path, self.project.root, self.terms.attempt or Attempt()
        return Order(path, root, self.terms.test, attempt.checkpoint, threads(), attempt.forgets_stop)

    def _run(self, record: RunRecord) -> Run:
        from hydrantic.interrupts import MACHINES
        from hydrantic.training import Training

        training = Training.prepare(self.drafted, self.directory, self.terms, self.team)
        self.has_begun = True
        with training.signals.only_noting(*MACHINES):  # how the run ended is written in peace
            self._train(training, record)
            return self._finished(training)

    def _train(self, training: Training, record: RunRecord) -> None:
        device = str(training.assembly.trainer.strategy.root_device)
        status: Status = "failed"
        failure: Exception | None = None
        is_requeued = False
        try:
            record.update(device=device, processes=self.team.place.world)
            for note in () if self.terms.attempt is None else self.terms.attempt.notes_on(device):
                print(visible(on_one_line(note)), file=sys.stderr)
            with training.signals:
                self.team.wait()
                training.run()
            status = "finished"
        except (Interrupted, KeyboardInterrupt) as stop:
            status = "interrupted"
            where = shlex.quote(display(self.directory.path))
            print(f"interrupted; `hydrantic resume {where}` goes on with it", file=sys.stderr)
            is_requeued = isinstance(stop, Interrupted) and stop.signal == getattr(signal, "SIGUSR1", None)
            raise
        except Pruned as reason:
            status = "pruned"
            print(f"given up: {reason}", file=sys.stderr)
            raise
        except Exception as error:  # noqa: BLE001 -- a component may raise anything
            failure = self.team.reason(error)
            raise self._failed(failure, error) from failure
        finally:
            try:
                self._end(training, record, status, failure)
            finally:
                if is_requeued:
                    requeue()

    def _end(self, training: Training, record: RunRecord, status: Status, failure: Exception | None) -> None:
        """Tell the loggers and the record how the run ended; the record also where a logger fails or takes too long."""
        ended = {"interrupted", "pruned"}
        try:
            with self._said_if_unwritten(failure):
                for logger in training.assembly.trainer.loggers:
                    logger.finalize(status)
        except Exception as error:
            status, failure = "failed", error
            raise self._failed(error, error) from error
        finally:
            with self._said_if_unwritten(failure), training.signals.only_noting(signal.SIGINT):
                record.finish(
                    status, error=failure, rewrite=self._hidden,
                    best_checkpoint=_relative(training.best, self.directory.path),
                    best_metrics=training.tracker.values,
                    metrics=training.metrics or (training.tracker.latest if status in ended else {}),
                )  # fmt: skip

    @contextmanager
    def _said_if_unwritten(self, failure: Exception | None) -> Iterator[None]:
        """Where the run has failed already, only say what of it cannot be written."""
        from hydrantic.metrics_csv import MetricsError

        try:
            yield
        except (OSError, MetricsError) as error:
            if failure is None:
                raise
            if str(error) != str(failure):
                print(f"{display(self.directory.path)}: {error}", file=sys.stderr)

    def _finished(self, training: Training) -> Run:
        training.load_best_weights()
        seconds = time.monotonic() - self.began
        plan, model = self.drafted.plan, training.assembly.model
        run = Run(self.directory.path, plan, training.metrics, seconds, model, project=self.project.root)
        print(run.summary())
        return run

    def _hidden(self, text: str) -> str:
        """The text without what the environment supplied."""
        return hide(text, self.drafted.plan.secrets)

    def _failed(self, reason: Exception, error: Exception) -> RunFailed:
        with suppress(OSError), self.directory.log_file.open("a", encoding="utf-8") as log:
            log.write(self._hidden("".join(traceback.format_exception(error))))
        words = str(reason) if isinstance(reason, HydranticError) else f"{type(reason).__name__}: {reason}"
        where = f"\n  at {_place(error)}" if reason is error else ""  # it may lie in another process
        return RunFailed(
            f"the run failed: {self._hidden(words)}{where}\n"
            f"run: {display(self.directory.path)} (log.txt has the traceback)"
        )


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    # The last place in a person's own code says more than the depths of a library.
    own = [frame for frame in frames if "site-packages" not in frame.filename and "<frozen" not in frame.filename]
    where = (own or frames)[-1]
    return f"{display(Path(where.filename))}:{where.lineno}"


def _relative(file: Path | None, folder: Path) -> str | None:
    # Lightning tells the files of checkpoints with every link followed.
    return None if file is None else str(file.resolve().relative_to(folder.resolve()))

"""Fitting: from a blueprint to a run, with a directory that holds everything about it."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hydrantic.checking import Blueprintlike, Overrides, prepare
from hydrantic.errors import BlueprintError, HydranticError, Interrupted, Pruned, RunFailed, UsageError
from hydrantic.folders import Place, filled_in
from hydrantic.plan import Plan
from hydrantic.processes import launched
from hydrantic.project import Project
from hydrantic.run import Run
from hydrantic.rundir import (
    RunDirectory,
    RunRecord,
    Status,
    recording,
    refuse_taken,
    runs_root,
    swap_contents,
)
from hydrantic.secrets import hide
from hydrantic.source import display
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
        if directory is not None:
            refuse_taken(Path(directory))
        home = Project.find(explicit=None if project is None else Path(project))
        plan = prepare(blueprint, overrides, project=home)
        root = runs_root(None if runs is None else Path(runs), home.root)
        return _fit(plan, home, root, _said_directory(plan, root) if directory is None else Path(directory), test=test)


def _said_directory(plan: Plan, root: Path) -> Path | None:
    """The directory that `hydra.run.dir` names: below all runs, or wherever the command line says.

    Raises:
        UsageError: it holds a run.
    """
    hydra = plan.blueprint.hydra
    template = None if hydra is None else hydra.run.dir
    if template is None:
        return None
    folder = Path(filled_in(template, Place(plan.name))).expanduser()
    on_command_line = plan.document.source(("hydra", "run", "dir")).on_command_line
    directory = (folder if on_command_line else root / folder).absolute()
    refuse_taken(directory)
    return directory


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
            return execute(drafted, place, home, terms, team)
        except NotBegun as error:
            place.discard()
            raise error.reason from error.reason.__cause__


@contextmanager
def gathered(plan: Plan) -> Iterator[Team]:
    """The processes that are to train a plan; those that this one has started end with the block.

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
        share_threads(team.place.local_world)
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
    attempt = Attempt(checkpoint=order.checkpoint)
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
        from hydrantic.process import threads

        plan, attempt = self.drafted.plan, self.terms.attempt
        header = "# The complete blueprint of this run: `hydrantic fit` on it repeats the run.\n"
        swap_contents(self.directory.blueprint_file, header + to_yaml(plan.resolved()))
        files = {f"{each.kind}/{each.name}": each.entry.file for each in plan.components.values()}
        record = RunRecord(self.directory.record_file)
        further = {} if attempt is None or attempt.started is None else {"started": attempt.started}
        record.start(
            name=plan.name,
            seed=plan.blueprint.seed,
            project=self.project.root,
            sources={name: file for name, file in files.items() if file is not None},
            data=self.drafted.facts.fingerprint,
            threads=threads(),
            attempt=1 if attempt is None else attempt.number,
            resumed_from_step=None if attempt is None else attempt.step,
            seconds_before=0.0 if attempt is None else attempt.seconds,
            **further,
        )
        return record

    def _order(self) -> Order:
        from hydrantic.process import threads
        from hydrantic.processes import Order

        checkpoint = None if self.terms.attempt is None else self.terms.attempt.checkpoint
        return Order(self.directory.path, self.project.root, self.terms.test, checkpoint, threads())

    def _run(self, record: RunRecord) -> Run:
        from hydrantic.training import Training

        training = Training.prepare(self.drafted, self.directory, self.terms, self.team)
        self.has_begun = True
        trainer = training.assembly.trainer
        status: Status = "failed"
        failure: Exception | None = None
        try:
            record.update(device=str(trainer.strategy.root_device), processes=self.team.place.world)
            for note in () if self.terms.attempt is None else self.terms.attempt.notes:
                print(note, file=sys.stderr)
            with training.signals:
                self.team.wait()
                training.run()
            status = "finished"
        except (Interrupted, KeyboardInterrupt):
            status = "interrupted"
            print(f"interrupted; its state is kept: {display(self.directory.path)}", file=sys.stderr)
            raise
        except Pruned as reason:
            status = "pruned"
            print(f"given up: {reason}", file=sys.stderr)
            raise
        except Exception as error:  # noqa: BLE001 -- a component may raise anything
            failure = self.team.reason(error)
            raise self._failed(failure, error) from failure
        finally:
            for logger in trainer.loggers:
                logger.finalize(status)
            ended = {"interrupted", "pruned"}
            record.finish(
                status, error=failure, rewrite=self._hidden,
                best_checkpoint=_relative(training.best, self.directory.path), best_metrics=training.tracker.values,
                metrics=training.metrics or (training.tracker.latest if status in ended else {}),
            )  # fmt: skip
        return self._finished(training)

    def _finished(self, training: Training) -> Run:
        training.load_best_weights()
        seconds = time.monotonic() - self.began
        run = Run(self.directory.path, self.drafted.plan, training.metrics, seconds, training.assembly.model)
        print(run.summary())
        return run

    def _hidden(self, text: str) -> str:
        """The text without what the environment supplied."""
        return hide(text, self.drafted.plan.secrets)

    def _failed(self, reason: Exception, error: Exception) -> RunFailed:
        with self.directory.log_file.open("a", encoding="utf-8") as log:
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

"""What a sweep will do, before anything is written: what is swept, what chooses the jobs, and what runs them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from hydrantic.checking import Blueprintlike, composer_of
from hydrantic.components import Component
from hydrantic.compose import dimension, split_sweep
from hydrantic.document import Document
from hydrantic.errors import BlueprintError, InvalidField, InvalidJobs, UsageError
from hydrantic.folders import Place, filled_in
from hydrantic.manifest import current
from hydrantic.planning import SweepSettings, plan_sweep
from hydrantic.problems import Problem, Problems
from hydrantic.project import Project
from hydrantic.registries import reading
from hydrantic.rundir import folder_name
from hydrantic.secrets import with_references
from hydrantic.sections import OF_SWEEPS
from hydrantic.source import KeyPath, Source, display
from hydrantic.sweeping.engine import Launcher
from hydrantic.sweeping.ledger import FILE
from hydrantic.sweeping.plans import JobPlanner, PlannedJob, without_empty_sweeps
from hydrantic.sweeping.space import Dimension, Space, bare, extremes, overlaid
from hydrantic.sweeping.sweeper import Combination, Study, Sweeper
from hydrantic.sweeping.view import View
from hydrantic.sweeping.words import command
from hydrantic.texts import counted


@dataclass(frozen=True)
class Order:
    """What a person asked for."""

    blueprint: Blueprintlike
    overrides: tuple[str, ...]
    project: Project
    runs: Path
    """The folder of all runs."""
    test: bool = True
    """Whether jobs evaluate their best checkpoint on the test split."""
    skip_invalid: bool = False
    """Whether combinations that cannot run are left out."""


@dataclass(frozen=True)
class Draft:
    """A sweep before it is written."""

    order: Order
    settings: SweepSettings
    planner: JobPlanner
    sweeper: Sweeper
    launcher: Launcher
    written: Space
    """What the blueprint sweeps."""
    given: Space
    """What the command line sweeps."""

    @property
    def space(self) -> Space:
        """Everything that is swept; what the command line says takes the place of what the blueprint does."""
        return overlaid(self.written, self.given)

    @property
    def name(self) -> str:
        """The blueprint's name, by which its runs are kept."""
        node = self.settings.document.find(("name",))
        said = node.value if node is not None and isinstance(node.value, str) and "${" not in node.value else None
        return said or self.settings.document.file.stem

    def directory(self) -> Path:
        """Where the sweep will be kept; nothing is made.

        Raises:
            UsageError: the directory that was chosen holds a sweep already.
        """
        hydra = self.settings.hydra
        if hydra.sweep.dir is None:
            stamp = f"sweep-{time.strftime('%Y-%m-%d_%H-%M-%S')}-{secrets.token_hex(2)}"
            return (self.order.runs / folder_name(self.name) / stamp).absolute()
        folder = Path(filled_in(hydra.sweep.dir, Place(self.name))).expanduser()
        path: KeyPath = ("hydra", "sweep", "dir")
        on_command_line = self.settings.document.source(path).on_command_line
        directory = (folder if on_command_line else self.order.runs / folder).absolute()
        if (directory / FILE).exists():
            raise UsageError(
                f"{display(directory)} holds a sweep already; `{command('resume', directory)}` goes on with it"
            )
        return directory

    @cached_property
    def combinations(self) -> Sequence[Combination]:
        """The overrides of every job, of a sweeper that does not learn; those that are drawn are drawn once.

        Raises:
            BlueprintError: the space cannot be gone through.
        """
        with self._sweeper_refusing():
            return self.sweeper.combinations(self.written, self.given)

    def jobs(self, view: View) -> list[PlannedJob]:
        """Every job of a sweeper that does not learn, planned.

        Raises:
            BlueprintError: the space cannot be gone through.
            InvalidJobs: combinations have problems.
        """
        jobs = self._planned(self.combinations, view)
        _check_objectives(jobs, tests=self.order.test)
        return jobs

    def check(self, view: View) -> int:
        """Plan every job, or of a study the combinations at the borders of its space; how many there are.

        Raises:
            BlueprintError: see `jobs` and `study`.
            InvalidJobs: combinations have problems.
        """
        return len(self._planned(extremes(self.space), view) if self.sweeper.learns else self.jobs(view))

    def study(self, directory: Path, view: View) -> tuple[Study, tuple[str, str], set[Path]]:
        """Open the study of a sweeper that learns; with its objective, and every file that its jobs are composed of.

        Raises:
            BlueprintError: a field of the sweeper contradicts the objective, the space or what is stored.
            InvalidJobs: values at the space's borders have problems.
            UsageError: there is no objective, or the study cannot be opened.
        """
        jobs = self._planned(extremes(self.space), view)
        _check_objectives(jobs, tests=self.order.test)
        objective = jobs[0].objective
        if objective is None:
            raise UsageError(
                "a study needs to know what to optimise: write `objective: {metric: validation/loss, mode: min}`"
            )
        with self._sweeper_refusing():
            study = self.sweeper.study(self.space, objective, directory)
        return study, objective, {file for job in jobs for file in job.sources}

    def _planned(self, combinations: Sequence[Combination], view: View) -> list[PlannedJob]:
        jobs: list[PlannedJob] = []
        invalid: list[tuple[int, Combination, tuple[Problem, ...]]] = []
        view.planning(len(combinations))
        with reading(current(self.order.project)):
            for number, overrides in enumerate(combinations):
                try:
                    jobs.append(self.planner.plan(number, overrides))
                except BlueprintError as error:
                    invalid.append((number, overrides, tuple(self._placed(overrides, error.problems))))
                view.planned(number + 1)
        if invalid and not (self.order.skip_invalid and jobs):
            raise _worded(len(combinations), invalid)
        if invalid:
            view.say(f"{counted(len(invalid), 'combination')} that cannot run left out")
        return [replace(job, number=number) for number, job in enumerate(jobs)]

    def _placed(self, overrides: Combination, problems: Sequence[Problem]) -> Iterator[Problem]:
        """The problems of a job; those with a value that the blueprint sweeps are told where the blueprint says so."""
        given = {bare(key) for key in self.given}
        written = {bare(key): key for key in self.written if bare(key) not in given}
        places = {Source.override(each): written.get(bare(each.partition("=")[0])) for each in overrides}
        for each in problems:
            key = places.get(each.source)
            path = (*self.settings.sweeper_at, "params", key or "")
            yield each if key is None else replace(each, source=self.settings.document.source(path))

    @contextmanager
    def _sweeper_refusing(self) -> Iterator[None]:
        """What the sweeper says of one of its fields is told at its place, or at that of the key that it names."""
        try:
            yield
        except InvalidField as error:
            key = next((each for each in self.given if error.message.startswith(f"{each}: ")), None)
            text = next((each for each in self.order.overrides if key and each.startswith(f"{key}=")), None)
            place = None if text is None else Source.override(text)
            raise _refused(self.settings, self.settings.sweeper_at, error, place) from error


def drafted(order: Order) -> Draft:
    """Compose what all jobs of a sweep have in common, and choose what makes and what runs them.

    Raises:
        BlueprintError: what is swept, or what is said of sweeps, has problems.
        UsageError: nothing is swept.
    """
    problems = Problems()
    with reading(current(order.project)):
        composer = composer_of(order.blueprint, order.project)

        def options(group: str) -> Sequence[str]:
            return composer.options(group, order.overrides)

        fixed, given = split_sweep(order.overrides, options, problems)
        document = without_empty_sweeps(composer.compose(fixed, problems))
        settings = plan_sweep(document, order.project, problems)
    sweeper = _built(settings.sweeper, settings, settings.sweeper_at)
    launcher = _built(settings.hydra.launcher, settings, ("hydra", "launcher"))
    with reading(current(order.project)):
        written = _written(sweeper, settings, options)
    if not written and not given:
        raise UsageError(
            "nothing is swept: give a key several values, as in `optimizer.lr=1e-3,1e-2 seed=1,2,3`, "
            'in Python also {"seed": [1, 2, 3]}, or write a section `sweep:` into the blueprint; '
            "`seed=choice(1)` is a sweep of one job"
        )
    planner = JobPlanner(composer, fixed, order.project)
    return Draft(order, settings, planner, sweeper, launcher, written, given)


def _built(component: Component[Any], settings: SweepSettings, at: KeyPath) -> Any:
    try:
        return component.build()
    except InvalidField as error:
        raise _refused(settings, at, error) from error


def _refused(settings: SweepSettings, at: KeyPath, error: InvalidField, place: Source | None = None) -> BlueprintError:
    path = (*at, error.field)
    problem = Problem("refused-field", place or settings.document.source(path), path, {"message": error.message})
    return BlueprintError((problem,))


def _written(sweeper: Sweeper, settings: SweepSettings, options: Callable[[str], Sequence[str]]) -> Space:
    problems = Problems()
    found: dict[str, Dimension] = {}
    for key, value in sweeper.space().items():
        path = (*settings.sweeper_at, "params", key)
        source = settings.document.source(path)
        if (section := key.lstrip("+~").partition(".")[0].partition("/")[0]) in OF_SWEEPS:
            problems.add("sweep-of-sweeps", source, path, section=section)
            continue
        try:
            found[key] = dimension(key, _for_records(value, settings, path), options, source, path)
        except BlueprintError as error:
            problems.extend(error.problems)
    problems.raise_any()
    return found


def _for_records(value: Any, settings: SweepSettings, path: KeyPath) -> Any:
    """Values to be swept with references in place of what the environment supplied: overrides stand in every record."""
    node, reference = settings.document.find(path), Document(settings.record, {}, settings.document.file).find(path)
    return value if node is None or reference is None else with_references(value, node, reference)


def _worded(count: int, invalid: Sequence[tuple[int, Combination, tuple[Problem, ...]]]) -> Exception:
    """What is wrong with jobs; where it is the same with all of them, it is not the combinations that are."""
    first = invalid[0][2]
    if len(invalid) == count and all(problems == first for _, _, problems in invalid):
        return BlueprintError(first)
    return InvalidJobs(count, invalid)


def _check_objectives(jobs: Sequence[PlannedJob], *, tests: bool) -> None:
    found = sorted({str(job.objective and " ".join(job.objective)) for job in jobs})
    if len(found) > 1:
        raise UsageError(
            f"the jobs optimise different things ({', '.join(found)}), so that none is the best; write what counts as "
            "`objective: {metric: validation/loss, mode: min}`"
        )
    if not tests and found and found[0].startswith("test/"):
        raise UsageError(f"the objective is {found[0].split()[0]}, which is not measured without a test (--no-test)")

"""Hyperparameter search with Optuna: each trial's values follow from what the earlier ones found."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from pydantic import JsonValue, PositiveInt

from hydrantic import (
    Choice,
    Component,
    Hparam,
    InvalidField,
    Proposal,
    PrunerSlot,
    Range,
    SamplerSlot,
    Space,
    Study,
    Sweeper,
    named,
    register_sweeper,
)
from hydrantic.sweeping.sweeper import Outcome

from .params import ParamsHparams
from .quietly import imported, quietly
from .storages import Place, StorageText, closed, opened, reaching

if TYPE_CHECKING:
    import optuna
    from lightning.pytorch import Callback
    from optuna.distributions import BaseDistribution
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

SWEEP: Final = "hydrantic:sweep"
"""Attribute of a trial: the folder's name of the sweep that asked for it."""
LOST: Final = "hydrantic:lost"
"""Attribute of a trial that never ended."""
METRIC: Final = "hydrantic:metric"
"""Attribute of a study: the logged name that it optimises."""

Direction = Literal["minimize", "maximize"]
_MODES: Final[Mapping[str, str]] = {"minimize": "min", "maximize": "max"}
_EXAMPLES: Final[Mapping[str, str]] = {
    "minimize": "objective: {metric: validation/loss, mode: min}",
    "maximize": "objective: {metric: validation/accuracy, mode: max}",
}


class OptunaHparams(ParamsHparams):
    """How Optuna searches; the names are those of Hydra's own plugin."""

    params: dict[str, JsonValue] = Hparam(default_factory=dict)
    """What to search, by key: `interval(0, 1)`, `tag(log, interval(1e-5, 1e-1))`, `range(1, 4)`, `choice(a, b)`."""
    n_trials: PositiveInt = 20
    """Number of trials of this sweep, each a job."""
    n_jobs: PositiveInt = 2
    """How many trials run at a time, at most."""
    direction: Direction | tuple[Direction, ...] | None = None
    """Where the best value lies; by default the `mode` of the blueprint's `objective` says so."""
    study_name: str | None = Hparam(default=None, min_length=1)
    """Name of the study in its storage; sweeps with one name go on with one study. By default each has its own."""
    storage: StorageText | None = None
    """`FILE.journal` or `sqlite:///FILE.db` below the folder of the blueprint's runs, or the address of a postgresql or
    mysql database, a password in it as ${oc.env:NAME}; by default a journal in the sweep's folder."""
    sampler: SamplerSlot = named("tpe")
    """How the next values are found."""
    pruner: PrunerSlot | None = None
    """When a trial is given up that falls behind; by default none is."""


@register_sweeper("optuna")
class Optuna(Sweeper):
    """Searches with Optuna: proposes the next values from what the earlier trials found, and gives up hopeless ones.

    Optuna: a next-generation hyperparameter optimization framework, Akiba et al., KDD (2019).

    Arguments:
        hparams: what to search, and how.

    Raises:
        InvalidField: `direction` names several objectives.
    """

    learns: ClassVar[bool] = True

    def __init__(self, hparams: OptunaHparams) -> None:
        self._hparams = hparams
        given = hparams.direction
        directions = (given,) if isinstance(given, str) else given
        if directions is not None and len(directions) != 1:
            raise InvalidField("direction", f"a sweep has one objective, so one direction, not {len(directions)}")
        self._direction = None if directions is None else directions[0]

    def space(self) -> Mapping[str, Any]:
        """What the blueprint writes to be searched."""
        return self._hparams.params

    def study(
        self, space: Space, objective: tuple[str, str], folder: Path, under_way: Collection[int] = (), name: str = ""
    ) -> OptunaStudy:
        """Open a study, or go on with one that is stored; see `hydrantic.Sweeper`."""
        imported()
        metric, mode = objective
        sweep = name or folder.name
        self._check_objective(metric, mode)
        with quietly():
            distributions = {key: distribution(key, each) for key, each in _some(space).items()}
            pruner = _built("pruner", self._hparams.pruner)
        place = Place.of(self._hparams.storage, folder)
        storage = opened(place)
        try:
            with reaching(place), quietly():
                study = self._loaded(storage, sweep, objective, pruner)
                _check_same_space(study, distributions)
                _end_lost(study, sweep, under_way)
                taken = len(study.get_trials(deepcopy=False))
                study.sampler = _built("sampler", self._hparams.sampler, trials=taken)
                done = sum(LOST not in each.user_attrs for each in _of_sweep(study, sweep))
        except BaseException:
            closed(storage)
            raise
        return OptunaStudy(
            study,
            storage,
            place,
            space,
            distributions,
            sweep=sweep,
            left=self._hparams.n_trials - done,
            parallel=self._hparams.n_jobs,
            total=self._hparams.n_trials,
            report=self._report(place, study.study_name, metric),
            warns=bool(self._hparams.sampler.hparams.get("warn_independent_sampling")),
        )

    def _check_objective(self, metric: str, mode: str) -> None:
        if self._direction is not None and _MODES[self._direction] != mode:
            raise InvalidField(
                "direction",
                f"'{self._direction}' contradicts the objective, the {mode}imum of {metric}; without a section "
                "`objective` that is what `checkpoint` monitors, by default the minimum of validation/loss; "
                f"write what to {self._direction}, as in `{_EXAMPLES[self._direction]}`",
            )
        if self._hparams.pruner is not None and metric.startswith("test/"):
            raise InvalidField("pruner", f"prunes nothing: {metric} is not known before the training has ended")

    def _loaded(self, storage: BaseStorage, sweep: str, objective: tuple[str, str], pruner: Any) -> optuna.study.Study:
        metric, mode = objective
        name = self._hparams.study_name or sweep
        study: optuna.study.Study = imported().create_study(
            study_name=name, storage=storage, direction=f"{mode}imize", load_if_exists=True,
            pruner=pruner or imported().pruners.NopPruner(), sampler=imported().samplers.RandomSampler(),
        )  # fmt: skip
        before = {METRIC: metric} | study.user_attrs
        found = [each.name.lower() for each in study.directions], before[METRIC]
        if found != ([f"{mode}imize"], metric):
            raise InvalidField(
                "study_name",
                f"the stored study '{name}' {' and '.join(found[0])}s {found[1]}, not {mode}imizes {metric}; "
                "choose another study_name",
            )
        if METRIC not in study.user_attrs:
            study.set_user_attr(METRIC, metric)
        return study

    def _report(self, place: Place, study: str, metric: str) -> Mapping[str, Any] | None:
        pruner = self._hparams.pruner
        if pruner is None:
            return None
        where = {"storage": place.storage, "folder": str(place.folder), "study": study}
        return {"sweeper": "optuna", **where, "metric": metric, "pruner": pruner.to_plain()}

    @staticmethod
    def reporter(report: Mapping[str, Any]) -> Callback:
        """A callback by which a job reports its validation values, and is stopped where the pruner says so.

        Arguments:
            report: of the job's `Proposal`.
        """
        from .optuna_reporter import Reporter

        return Reporter(report)


@dataclass
class OptunaStudy(Study):
    """A study in its storage; `hydrantic.Study` says what it does."""

    study: optuna.study.Study
    """Optuna's own."""
    storage: BaseStorage
    place: Place
    """Where the storage is."""
    space: Space
    distributions: dict[str, BaseDistribution]
    """The space in Optuna's terms."""
    sweep: str
    """Name of the sweep's folder."""
    left: int
    """How many trials are still to be asked for."""
    parallel: int
    total: int | None
    report: Mapping[str, Any] | None = None
    """What the reporter of every trial needs; None where nothing is reported."""
    warns: bool = False
    """Whether Optuna's own warnings are shown."""

    @contextmanager
    def _using(self) -> Iterator[optuna.study.Study]:
        level = imported().logging.WARNING if self.warns else None
        with reaching(self.place), quietly(level):
            yield self.study

    def ask(self) -> Proposal | None:
        """The next trial, or None where there are enough."""
        if self.left <= 0:
            return None
        mark = {SWEEP: self.sweep}
        with self._using() as study:
            # A trial that waits is this sweep's from its first moment, so that after a kill it is known whose it was.
            # Another machine may be the one to take it, as this one may take another's.
            study.enqueue_trial({}, user_attrs=mark)
            trial = study.ask(self.distributions)
            if trial.user_attrs != mark:
                trial.set_user_attr(SWEEP, self.sweep)
        self.left -= 1
        overrides = tuple(f"{key}={_text(each, trial.params[key])}" for key, each in self.space.items())
        report = None if self.report is None else {**self.report, "trial": trial.number}
        return Proposal(trial.number, overrides, report)

    def tell(self, number: int, outcome: Outcome, value: float | None) -> None:
        """Say how a trial ended; a value that is no number makes it a failed one."""
        state = imported().trial.TrialState
        with self._using() as study:
            if outcome == "finished" and value is not None and not math.isnan(value):
                study.tell(number, value, skip_if_finished=True)
            else:
                study.tell(number, state=state.PRUNED if outcome == "pruned" else state.FAIL, skip_if_finished=True)

    def close(self) -> None:
        """Let go of the storage."""
        closed(self.storage)


def distribution(key: str, dimension: Choice | Range) -> BaseDistribution:
    """What Optuna samples the values of a key from.

    Raises:
        InvalidField: there is nothing to sample from.
    """
    made = imported().distributions
    if isinstance(dimension, Choice):
        if not dimension.values:
            raise InvalidField("params", f"{key}: there is no value to choose from")
        choices: BaseDistribution = made.CategoricalDistribution(dimension.texts())
        return choices
    low, high, step = dimension.low, dimension.last, dimension.step
    if low > high:
        raise InvalidField("params", f"{key}: the range from {low:g} to {high:g} holds no value")
    if dimension.log and low <= 0:
        raise InvalidField("params", f"{key}: a logarithmic range must begin above 0, not at {low:g}")
    if dimension.log and step is not None and not (dimension.integer and step == 1):
        raise InvalidField("params", f"{key}: a logarithmic range cannot have steps; use an interval")
    numbers: BaseDistribution
    if dimension.integer:
        numbers = made.IntDistribution(round(low), round(high), log=dimension.log, step=round(step or 1))
    else:
        numbers = made.FloatDistribution(low, high, log=dimension.log, step=step)
    return numbers


def _some(space: Space) -> Space:
    if not space:
        raise InvalidField("params", "nothing is searched: write keys with ranges or choices")
    return space


def _text(dimension: Choice | Range, value: Any) -> str:
    return str(value) if isinstance(dimension, Choice) else dimension.text(value)


def _built(field: str, component: Component[Any] | None, **supplied: Any) -> Any:
    try:
        return None if component is None else component.build(**supplied)
    except InvalidField as error:
        raise InvalidField(field, f"{error.field} {error.message}") from error


def _of_sweep(study: optuna.study.Study, sweep: str) -> list[FrozenTrial]:
    """The trials that a sweep has asked for."""
    waiting = imported().trial.TrialState.WAITING
    trials = [each for each in study.get_trials(deepcopy=False) if each.user_attrs.get(SWEEP) == sweep]
    return [each for each in trials if each.state != waiting]


def _end_lost(study: optuna.study.Study, sweep: str, under_way: Collection[int]) -> None:
    """Let the trials fail whose sweep was killed; those of other machines that share the study go on."""
    state = imported().trial.TrialState
    for each in _of_sweep(study, sweep):
        if each.state == state.RUNNING and each.number not in under_way:
            imported().trial.Trial(study, each._trial_id).set_user_attr(LOST, True)  # noqa: SLF001 -- there is no other way
            study.tell(each.number, state=state.FAIL, skip_if_finished=True)


def _check_same_space(study: optuna.study.Study, now: Mapping[str, BaseDistribution]) -> None:
    """Refuse a study whose trials searched another space: what they found says nothing of this one."""
    trials = [each for each in study.get_trials(deepcopy=False) if each.distributions]
    before = trials[-1].distributions if trials else now
    changes = [f"{key} is new" for key in now if key not in before]
    changes += [f"{key} is gone" for key in before if key not in now]
    changes += [
        f"{key} was {_told(before[key])} and is {_told(now[key])}"
        for key in now
        if key in before and before[key] != now[key]
    ]
    if changes:
        raise InvalidField(
            "params",
            f"the stored study '{study.study_name}' searched another space: {'; '.join(changes)}; "
            "choose another study_name, or search what it did",
        )


def _told(distribution: Any) -> str:
    if (choices := getattr(distribution, "choices", None)) is not None:
        return f"choice({', '.join(map(str, choices))})"
    kind = "integers" if isinstance(distribution.low, int) else "numbers"
    told = f"{kind} from {distribution.low:g} to {distribution.high:g}"
    step = distribution.step
    told += f" in steps of {step:g}" if step is not None and step != 1 else ""
    return f"{told}, logarithmic" if distribution.log else told

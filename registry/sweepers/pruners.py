"""Optuna's pruners: when a trial is given up because its validation values fall behind those of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt

from hydrantic import Hparam, InvalidField, PrunerSlot, register_pruner

from .quietly import imported

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

Percent: TypeAlias = Annotated[float, Hparam(ge=0, le=100)]
Reduction: TypeAlias = Annotated[int, Hparam(ge=2)]


@register_pruner("median", aliases=["optuna.pruners.MedianPruner"])
def median(
    n_startup_trials: NonNegativeInt = 5,
    n_warmup_steps: NonNegativeInt = 0,
    interval_steps: PositiveInt = 1,
    n_min_trials: PositiveInt = 1,
) -> BasePruner:
    """Gives up a trial whose best value so far is worse than the median of the others at the same epoch.

    Arguments:
        n_startup_trials: trials that must have finished before any is given up.
        n_warmup_steps: epochs of a trial in which it is left alone.
        interval_steps: epochs from one judgement to the next.
        n_min_trials: other trials that must have a value at an epoch.
    """
    return _pruner("MedianPruner", n_startup_trials, n_warmup_steps, interval_steps, n_min_trials=n_min_trials)


@register_pruner("percentile", aliases=["optuna.pruners.PercentilePruner"])
def percentile(
    percentile: Percent = 25.0,
    n_startup_trials: NonNegativeInt = 5,
    n_warmup_steps: NonNegativeInt = 0,
    interval_steps: PositiveInt = 1,
    n_min_trials: PositiveInt = 1,
) -> BasePruner:
    """Keeps a trial as long as its best value so far is among the best percentage of the others at the same epoch.

    Arguments:
        percentile: percentage of the trials to keep.
        n_startup_trials: trials that must have finished before any is given up.
        n_warmup_steps: epochs of a trial in which it is left alone.
        interval_steps: epochs from one judgement to the next.
        n_min_trials: other trials that must have a value at an epoch.
    """
    steps = (n_startup_trials, n_warmup_steps, interval_steps)
    return _pruner("PercentilePruner", percentile, *steps, n_min_trials=n_min_trials)


@register_pruner("successive_halving", aliases=["optuna.pruners.SuccessiveHalvingPruner"])
def successive_halving(
    min_resource: PositiveInt | Literal["auto"] = "auto",
    reduction_factor: Reduction = 4,
    min_early_stopping_rate: NonNegativeInt = 0,
    bootstrap_count: NonNegativeInt = 0,
) -> BasePruner:
    """Asynchronous successive halving: at each rung only the best part of the trials goes on, for longer.

    A system for massively parallel hyperparameter tuning, Li et al., MLSys (2020).

    Arguments:
        min_resource: epochs up to the first rung; `auto` takes them from the first finished trial.
        reduction_factor: one trial of so many passes a rung.
        min_early_stopping_rate: rungs that are left out at the beginning.
        bootstrap_count: trials that must have reached a rung before any is given up at it.
    """
    if min_resource == "auto" and bootstrap_count:
        raise InvalidField("bootstrap_count", "needs a number for `min_resource`")
    arguments = (min_resource, reduction_factor, min_early_stopping_rate, bootstrap_count)
    return _pruner("SuccessiveHalvingPruner", *arguments)


@register_pruner("hyperband", aliases=["optuna.pruners.HyperbandPruner"])
def hyperband(
    min_resource: PositiveInt = 1,
    max_resource: PositiveInt | Literal["auto"] = "auto",
    reduction_factor: Reduction = 3,
    bootstrap_count: NonNegativeInt = 0,
) -> BasePruner:
    """Hyperband: several runs of successive halving, each as strict as another; wants many trials.

    Hyperband: a novel bandit-based approach to hyperparameter optimization, Li et al., JMLR 18 (2018).

    Arguments:
        min_resource: epochs up to the first rung of the strictest.
        max_resource: epochs of the longest trial; `auto` takes them from the first finished one.
        reduction_factor: one trial of so many passes a rung.
        bootstrap_count: trials that must have reached a rung before any is given up at it.
    """
    if max_resource == "auto" and bootstrap_count:
        raise InvalidField("bootstrap_count", "needs a number for `max_resource`")
    if max_resource != "auto" and max_resource < min_resource:
        raise InvalidField("max_resource", f"must be at least `min_resource`, which is {min_resource}")
    return _pruner("HyperbandPruner", min_resource, max_resource, reduction_factor, bootstrap_count)


@register_pruner("threshold", aliases=["optuna.pruners.ThresholdPruner"])
def threshold(
    lower: float | None = None,
    upper: float | None = None,
    n_warmup_steps: NonNegativeInt = 0,
    interval_steps: PositiveInt = 1,
) -> BasePruner:
    """Gives up a trial whose value leaves the bounds, or is no number.

    Arguments:
        lower: least value that goes on.
        upper: greatest value that goes on.
        n_warmup_steps: epochs of a trial in which it is left alone.
        interval_steps: epochs from one judgement to the next.
    """
    if lower is None and upper is None:
        raise InvalidField("lower", "needs a number here or for `upper`")
    if lower is not None and upper is not None and lower > upper:
        raise InvalidField("lower", f"must not be greater than `upper`, which is {upper:g}")
    return _pruner("ThresholdPruner", lower, upper, n_warmup_steps, interval_steps)


@register_pruner("patient", aliases=["optuna.pruners.PatientPruner"])
def patient(
    patience: NonNegativeInt, pruner: PrunerSlot | None = None, min_delta: NonNegativeFloat = 0.0
) -> BasePruner:
    """Gives up a trial only when it has not improved for some epochs, and another pruner would give it up.

    Arguments:
        patience: epochs without an improvement.
        pruner: the other pruner; without one, those epochs are reason enough.
        min_delta: what counts as an improvement.
    """
    return _pruner("PatientPruner", None if pruner is None else pruner.build(), patience, min_delta)


def _pruner(name: str, *arguments: Any, **further: Any) -> BasePruner:
    pruner: BasePruner = getattr(imported().pruners, name)(*arguments, **further)
    return pruner

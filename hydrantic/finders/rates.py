"""The learning-rate range test: the rate grows from step to step, and the loss tells which rates are of use.

Source: L. N. Smith, "Cyclical Learning Rates for Training Neural Networks" (WACV 2017), section 3.3. The rate grows
exponentially, as is common since; Lightning's `Tuner.lr_find` does the same to models with an attribute `lr`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hydrantic.checking import Blueprintlike, Overrides
from hydrantic.errors import UsageError
from hydrantic.finders import planned
from hydrantic.finders.divergence import Divergence
from hydrantic.plan import Plan

Numbers = NDArray[np.float64]

LOWEST: Final = 1e-8
HIGHEST: Final = 1.0
STEPS: Final = 100
_FEWEST: Final = 10
_CLEARLY: Final = 3.0
"""How many standard errors of the smoothed loss a fall has to measure."""


@dataclass(frozen=True)
class RateTest:
    """What a range test has shown."""

    rates: tuple[float, ...]
    """The learning rate of each step."""
    losses: tuple[float, ...]
    """The training loss of each step, before its update."""
    smoothed: tuple[float, ...]
    """The losses, each averaged with its neighbours."""
    suggestion: float | None
    """The rate at which the loss falls fastest, over the rate's logarithm; None where it does not clearly fall."""
    lowest_at: float | None
    """The rate at which the smoothed loss is lowest; None where it does not clearly fall."""
    diverged_at: float | None
    """The rate at which the loss grew beyond measure and the test stopped; None where it went through."""
    present: float | None
    """The rate that the blueprint says."""
    notes: tuple[str, ...] = ()
    """What a person should know of it."""

    def to_plain(self) -> dict[str, Any]:
        """The result as JSON can hold it."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}


def lr_find(
    blueprint: Blueprintlike,
    overrides: Overrides = (),
    *,
    project: str | Path | None = None,
    lowest: float = LOWEST,
    highest: float = HIGHEST,
    steps: int = STEPS,
) -> RateTest:
    """Try learning rates on the model and the training data of a blueprint, in one short training.

    Groups of parameters keep their rates' proportions. There is no schedule, validation, checkpoint or logger
    meanwhile, and nothing is left behind.

    Arguments:
        blueprint: the YAML file, a `Blueprint` or mapping made in Python, or the directory of a run.
        overrides: `key=value` and the like, as on the command line; or a mapping of keys to values.
        project: the folder whose `registry/` may be used; by default the project that holds the working directory.
        lowest: the rate of the first step.
        highest: the rate of the last step.
        steps: number of optimizer steps.

    Raises:
        BlueprintError: the blueprint has problems, or contradicts the data.
        UsageError: the range is none, or the model has an optimizer of its own making.
        RunFailed: training raised an error, or the loss is no number from the first step on.
    """
    _refuse_range(lowest, highest, steps)
    plan = planned(blueprint, overrides, project)
    present = rate_in(plan)
    from hydrantic.finders.range_test import losses_at  # not before: `prepare` imports Lightning the quick way

    rates = np.geomspace(lowest, highest, steps)
    losses, notes = losses_at(plan, rates.tolist(), present)
    return judged(rates[: len(losses)], np.array(losses), present, notes)


def rate_in(plan: Plan) -> float:
    """The learning rate of a plan's optimizer.

    Raises:
        UsageError: it has none that could be set.
    """
    if plan.style == "module" or plan.optimizer is None:
        raise UsageError(
            f"the model '{plan.model.name}' is a LightningModule with an optimizer of its own making: there is no "
            "`optimizer:` section whose lr could be found"
        )
    rate = plan.optimizer.hparams.get("lr")
    if isinstance(rate, bool) or not isinstance(rate, int | float):
        raise UsageError(f"the optimizer '{plan.optimizer.name}' has no field lr that is a number")
    return float(rate)


def _refuse_range(lowest: float, highest: float, steps: int) -> None:
    if not (0 < lowest < highest < math.inf):
        raise UsageError(f"learning rates from {lowest:g} to {highest:g} are no range: 0 < min < max is needed")
    if steps < _FEWEST:
        raise UsageError(f"{steps} steps show nothing: take {_FEWEST} or more")


# -- what the losses tell ----------------------------------------------------------------------------------------------


def judged(rates: Numbers, losses: Numbers, present: float | None = None, notes: tuple[str, ...] = ()) -> RateTest:
    """What the losses of a range test tell of its rates.

    Arguments:
        rates: shape `(steps,)`, growing.
        losses: shape `(steps,)`; the last may be NaN or infinite.
        present: the rate that the blueprint says.
        notes: what else a person should know.
    """
    known = losses[np.isfinite(losses)]
    smoothed = _smoothed(known)
    end = int(smoothed.argmin())
    suggestion = lowest_at = None
    divergence = Divergence()
    pairs = zip(rates.tolist(), losses.tolist(), strict=True)
    diverged_at = next((rate for rate, loss in pairs if divergence.shows_in(loss)), None)
    if not _falls_clearly(known, smoothed, end):
        notes = (*notes, _UNCLEAR)
    else:
        slopes = np.gradient(smoothed, np.log10(rates[: len(known)]))[: end + 1]
        suggestion, lowest_at = _rounded(float(rates[int(slopes.argmin())])), _rounded(float(rates[end]))
        if end >= len(known) - 2 and diverged_at is None:
            notes = (*notes, f"the loss still falls at the largest rate, {rates[end]:.2g}: try a larger --max")
    return RateTest(
        rates=tuple(rates.tolist()), losses=tuple(losses.tolist()), smoothed=tuple(smoothed.tolist()),
        suggestion=suggestion, lowest_at=lowest_at, diverged_at=diverged_at, present=present, notes=notes,
    )  # fmt: skip


_UNCLEAR: Final = "the loss does not clearly fall at any of these rates: try another range, or more --steps"


def _smoothed(losses: Numbers) -> Numbers:
    """Each loss averaged with its neighbours, the nearer the more (a triangle); the ends with fewer."""
    reach = max(1, len(losses) // 12)
    weights = np.bartlett(2 * reach + 3)[1:-1]
    total = np.convolve(losses, weights, mode="full")[reach : reach + len(losses)]
    share = np.convolve(np.ones_like(losses), weights, mode="full")[reach : reach + len(losses)]
    return total / share


def _falls_clearly(losses: Numbers, smoothed: Numbers, end: int) -> bool:
    """Whether the fall to the lowest loss is more than the losses' noise."""
    if end < 2:
        return False
    noise = float(np.std(losses[: end + 1] - smoothed[: end + 1]))
    began = float(losses[: max(3, end // 3)].mean())
    averaged = max(1, len(losses) // 12)
    return began - float(smoothed[end]) > _CLEARLY * noise / math.sqrt(averaged) + 1e-3 * abs(began)


def _rounded(rate: float) -> float:
    """The rate with two significant digits; a test cannot tell more."""
    return float(f"{rate:.1e}")

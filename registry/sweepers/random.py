"""Random search: combinations drawn at random, from intervals too."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from pydantic import PositiveInt

from hydrantic import Choice, Combination, InvalidField, Range, Space, Sweeper, register_sweeper
from hydrantic.sweeping.space import overlaid

from .params import ParamsHparams


class RandomHparams(ParamsHparams):
    """What is drawn, and how often."""

    n_trials: PositiveInt = 20
    """Number of jobs."""
    seed: int = 0
    """The same seed draws the same combinations."""


@register_sweeper("random")
class RandomSearch(Sweeper):
    """Combinations drawn at random, none of them twice.

    Random search for hyper-parameter optimization, Bergstra and Bengio, JMLR 13 (2012).

    Arguments:
        hparams: what is drawn, and how often.
    """

    def __init__(self, hparams: RandomHparams) -> None:
        self._hparams = hparams

    def space(self) -> Mapping[str, Any]:
        """What the blueprint writes to be swept."""
        return self._hparams.params

    def combinations(self, written: Space, given: Space) -> Sequence[Combination]:
        """Every job's overrides; see `hydrantic.Sweeper`."""
        space, trials = overlaid(written, given), self._hparams.n_trials
        counts = [_count(key, each) for key, each in space.items()]
        if not space:
            raise InvalidField("params", "nothing is swept: write keys with values or ranges to draw from")
        known = [count for count in counts if count is not None]
        if len(known) == len(counts) and trials > math.prod(known):
            raise InvalidField("n_trials", f"there are only {math.prod(known)} different combinations, not {trials}")
        source = Random(self._hparams.seed)  # noqa: S311 -- nothing secret is drawn
        drawn: dict[Combination, None] = {}
        while len(drawn) < trials:
            drawn[tuple(f"{key}={_draw(each, source)}" for key, each in space.items())] = None
        return list(drawn)


def _count(key: str, dimension: Choice | Range) -> int | None:
    """How many different values there are; None for those of an interval."""
    if isinstance(dimension, Range) and dimension.log and dimension.low <= 0:
        raise InvalidField("params", f"{key}: a logarithmic range must begin above 0, not at {dimension.low:g}")
    count = len(dimension.texts()) if isinstance(dimension, Choice) else dimension.count
    if count == 0:
        raise InvalidField("params", f"{key}: there is no value to choose from")
    if isinstance(dimension, Range) and dimension.low > dimension.high:
        raise InvalidField("params", f"{key}: {dimension.low:g} is greater than {dimension.high:g}")
    return count


def _draw(dimension: Choice | Range, source: Random) -> str:
    if isinstance(dimension, Choice):
        return source.choice(dimension.values)
    step = dimension.step or (1 if dimension.integer else 0)
    # Half a step beyond both ends, so that these are as likely as any other value.
    low, high = dimension.low - step / 2, dimension.last + step / 2
    if dimension.log:
        number = math.exp(source.uniform(math.log(max(low, dimension.low / 2)), math.log(high)))
    else:
        number = source.uniform(low, high)
    return dimension.text(min(max(number, dimension.low), dimension.last))

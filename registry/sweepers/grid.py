"""Grid search: every combination of the values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from hydrantic import Combination, Space, Sweeper, register_sweeper
from hydrantic.sweeping.space import overlaid

from .params import ParamsHparams, listed


class GridHparams(ParamsHparams):
    """Which combinations a grid has."""


@register_sweeper("grid", aliases=["basic"])
class Grid(Sweeper):
    """Every combination of the values, the first key changing slowest.

    Arguments:
        hparams: which keys have which values.
    """

    def __init__(self, hparams: GridHparams) -> None:
        self._params = hparams.params

    def space(self) -> Mapping[str, Any]:
        """What the blueprint writes to be swept."""
        return self._params

    def combinations(self, written: Space, given: Space) -> Sequence[Combination]:
        """Every job's overrides; see `hydrantic.Sweeper`."""
        values = listed(overlaid(written, given))
        overrides = [[f"{key}={value}" for value in each] for key, each in values.items()]
        return list(product(*overrides))

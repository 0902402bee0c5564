"""Lists that go together: the first values of all, then the second of all, and so on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from hydrantic import Combination, InvalidField, Space, Sweeper, register_sweeper
from hydrantic.sweeping.space import overlaid

from .params import ParamsHparams, listed


class ZipHparams(ParamsHparams):
    """Which lists go together."""


@register_sweeper("zip")
class Zip(Sweeper):
    """The first value of every list, the second of every list, and so on; each with all that the command line sweeps.

    Arguments:
        hparams: the lists, all of one length.
    """

    def __init__(self, hparams: ZipHparams) -> None:
        self._params = hparams.params

    def space(self) -> Mapping[str, Any]:
        """What the blueprint writes to be swept."""
        return self._params

    def combinations(self, written: Space, given: Space) -> Sequence[Combination]:
        """Every job's overrides; see `hydrantic.Sweeper`."""
        values = listed(overlaid(written, given))
        together = {key: each for key, each in values.items() if key not in given}
        if len({len(each) for each in together.values()}) > 1:
            lengths = ", ".join(f"{key} has {len(each)}" for key, each in together.items())
            raise InvalidField("params", f"lists that go together must be of one length: {lengths}")
        rows = list(zip(*(_overrides(key, each) for key, each in together.items()), strict=True)) or [()]
        others = product(*(_overrides(key, values[key]) for key in given))
        return [row + other for row, other in product(rows, others)]


def _overrides(key: str, values: Sequence[str]) -> list[str]:
    return [f"{key}={value}" for value in values]

"""Lists that go together: the first values of all, then the second of all, and so on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from pydantic import JsonValue

from hydrantic import Combination, Hparam, InvalidField, Space, Sweeper, register_sweeper
from hydrantic.sweeping.space import overlaid

from .params import ParamsHparams, listed


class ZipHparams(ParamsHparams):
    """Which lists go together."""

    params: dict[str, JsonValue] = Hparam(default_factory=dict)
    """Lists of one length by key, as in `optimizer.lr: [1e-3, 1e-4]`, or text such as `1,2,3` or `range(1, 10, 3)`.
    Each row goes with every combination that the command line sweeps besides. Where none are written, the lists of the
    command line go together."""


@register_sweeper("zip")
class Zip(Sweeper):
    """The first value of every list, the second of every list, and so on.

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
        together = {key: each for key, each in values.items() if key not in given} or values
        if len({len(each) for each in together.values()}) > 1:
            lengths = ", ".join(f"{key} has {len(each)}" for key, each in together.items())
            raise InvalidField("params", f"lists that go together must be of one length: {lengths}")
        rows = list(zip(*(_overrides(key, each) for key, each in together.items()), strict=True))
        others = product(*(_overrides(key, values[key]) for key in values if key not in together))
        return [row + other for row, other in product(rows, others)]


def _overrides(key: str, values: Sequence[str]) -> list[str]:
    return [f"{key}={value}" for value in values]

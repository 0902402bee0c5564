"""The space that a sweep goes through: each key with the values, or the range of values, that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

MOST_VALUES = 100_000
"""More values of one key than these are not listed."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Values to choose from, each as it stands behind `key=` in an override."""

    values: tuple[str, ...]

    def texts(self) -> tuple[str, ...]:
        """Every value, each once."""
        return tuple(dict.fromkeys(self.values))

    def ends(self) -> tuple[str, ...]:
        """The values that stand for all: every one."""
        return self.texts()


@dataclass(frozen=True, slots=True)
class Range:
    """All numbers between two bounds, both included where steps reach them."""

    low: float
    high: float
    log: bool = False
    """Whether equal ratios are equally likely."""
    integer: bool = False
    """Whether only integers are meant."""
    step: float | None = None
    """Distance between neighbouring values; None for none, which is 1 between integers."""

    @property
    def count(self) -> int | None:
        """How many values there are; None for those of an interval."""
        step = self.step or (1 if self.integer else None)
        if step is None:
            return 1 if self.low == self.high else None
        return int((_exact(self.high) - _exact(self.low)) / _exact(step)) + 1 if self.low <= self.high else 0

    @property
    def last(self) -> float:
        """The greatest value."""
        count = self.count
        return self.high if not count or self.step is None else float(self._nth(count - 1))

    def texts(self) -> tuple[str, ...] | None:
        """Every value as an override writes it; None where there are too many to list."""
        count = self.count
        return None if count is None or count > MOST_VALUES else tuple(self._nth(index) for index in range(count))

    def ends(self) -> tuple[str, ...]:
        """The values that stand for all: the least and the greatest."""
        return tuple(dict.fromkeys((self.text(self.low), self.text(self.last))))

    def text(self, value: float) -> str:
        """How an override writes a number of this range, the nearest that there is."""
        if self.step is not None:
            return self._nth(round((_exact(value) - _exact(self.low)) / _exact(self.step)))
        return str(round(value)) if self.integer else repr(float(value))

    def _nth(self, index: int) -> str:
        # In decimals, as the steps are written: 0.1, 0.2, 0.3 and not 0.30000000000000004.
        value = _exact(self.low) + index * _exact(self.step or 1)
        return str(int(value)) if self.integer else repr(float(value))


def _exact(number: float) -> Decimal:
    return Decimal(repr(number))


Dimension: TypeAlias = Choice | Range

Space: TypeAlias = Mapping[str, Dimension]
"""The dimensions by their key as an override writes it, such as `optimizer.lr` or `+vars.x`."""


def overlaid(written: Space, given: Space) -> Space:
    """Two spaces as one; of a key that both have, in whatever spelling, the given dimension in the written place."""
    spelt = {bare(key): key for key in given}
    kept = {spelt.get(bare(key), key): given.get(spelt.get(bare(key), ""), each) for key, each in written.items()}
    return kept | dict(given)


def bare(key: str) -> str:
    """A key without the signs that say how it is set."""
    return key.lstrip("+")


def extremes(space: Space) -> tuple[tuple[str, ...], ...]:
    """Overrides whose soundness promises that of all: both ends of each range and every choice, others at their first.

    Of every key each value that matters occurs in one combination at least.
    """
    ends = {key: ends for key, each in space.items() if (ends := each.ends())}
    first = {key: values[0] for key, values in ends.items()}
    changed = (first | {key: value} for key, values in ends.items() for value in values[1:])
    return tuple(tuple(f"{key}={value}" for key, value in each.items()) for each in (first, *changed))

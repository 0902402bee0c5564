"""The axis of a hyperparameter or of an objective: numbers by their size or their decade, anything else by name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from hydrantic.reporting.scales import exactly, ticks
from hydrantic.sweeping.words import spoken
from hydrantic.texts import cut

_FEW: Final = 8
"""So many different values each have a mark of their own."""
_LONGEST: Final = 16
_SPREAD: Final = 30
"""So many times larger is the largest of values that lie on an axis of decades."""


@dataclass(frozen=True)
class Axis:
    """Where values lie between 0 and 1."""

    name: str
    kind: str
    """`linear`, `log` or `names`."""
    low: float = 0.0
    high: float = 1.0
    names: tuple[str, ...] = ()
    values: tuple[float, ...] = ()
    """The different values, of numbers."""

    @classmethod
    def of(cls, name: str, values: Sequence[Any]) -> Axis:
        """The axis that suits the values; None among them has a name of its own."""
        if not values or not all(_is_finite(value) for value in values):
            return cls(name, "names", names=tuple(dict.fromkeys(map(_called, values))))
        there = tuple(sorted({float(value) for value in values}))
        is_log = there[0] > 0 and there[-1] / there[0] >= _SPREAD
        return cls(name, "log" if is_log else "linear", there[0], there[-1], values=there)

    def at(self, value: Any) -> float:
        """Where a value lies; values beyond an end lie at it."""
        if self.kind == "names":
            return _share(self.names.index(_called(value)), 0, len(self.names) - 1)
        if self.kind == "log":
            return _share(math.log(max(value, self.low)), math.log(self.low), math.log(self.high))
        return _share(value, self.low, self.high)

    @property
    def marks(self) -> list[tuple[float, str]]:
        """Places with what stands at them, none too near to another."""
        if self.kind == "names":
            found = [(self.at_name(name), cut(name, _LONGEST)) for name in self.names]
        elif len(self.values) <= _FEW:
            found = [(self.at(value), spoken(value)) for value in self.values]
        elif self.kind == "log":
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            powers = [10.0**power for power in range(first, last + 1)]
            found = [(self.at(value), spoken(value)) for value in powers if self.low <= value <= self.high]
        else:
            found = [(self.at(value), exactly(value)) for value in ticks(self.low, self.high)]
        return _apart(found)

    def at_name(self, name: str) -> float:
        """Where a name lies."""
        return _share(self.names.index(name), 0, len(self.names) - 1)


def _share(value: float, low: float, high: float) -> float:
    return min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.5


def _called(value: Any) -> str:
    return "\N{EN DASH}" if value is None else spoken(value)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _apart(marks: Sequence[tuple[float, str]], least: float = 0.05) -> list[tuple[float, str]]:
    kept: list[tuple[float, str]] = []
    for mark in sorted(marks):
        if not kept or mark[0] - kept[-1][0] >= least:
            kept.append(mark)
    return kept

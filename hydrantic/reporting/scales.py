"""Numbers on an axis: where they lie, which of them get a mark, and how they are written."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

_DIGITS: Final = 4
_LARGEST: Final = 1e300
_SMALLEST: Final = 1e-300
_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)


def number(value: float | None, digits: int = _DIGITS) -> str:
    """A number as a person reads it: `0.9944`, `1,240`, `3.2e-5`; a dash for none."""
    if value is None:
        return "\N{EN DASH}"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("\N{INFINITY}" if value > 0 else "\N{MINUS SIGN}\N{INFINITY}")
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value):,}"
    if 1e-3 <= abs(value) < 1e6:
        text = f"{value:,.{max(digits - 1 - math.floor(math.log10(abs(value))), 0)}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return _in_powers(value, digits)


def _in_powers(value: float, digits: int) -> str:
    return re.sub(r"\.?0*e([+-])0*", lambda found: f"e{found[1].strip('+')}", f"{value:.{digits - 1}e}")


def exactly(value: float) -> str:
    """A number beside an axis, with all its digits: those of its neighbours may differ in the last of them."""
    plain, short = f"{value:,.12g}", _in_powers(value, 12)
    return plain if 1e-3 <= abs(value) < 1e6 or not value or len(plain) <= len(short) else short


def alike(values: Sequence[float | None]) -> list[str]:
    """Numbers that are compared with each other: with as many decimals each, where they are of like size."""
    known = [abs(value) for value in values if value is not None and math.isfinite(value)]
    largest, least = max(known, default=0.0), min(filter(None, known), default=0.0)
    if all(value == int(value) for value in known) or not 1e-3 <= largest < 1e6 or least < largest * 1e-4:
        return [number(value) for value in values]
    decimals = max(_DIGITS - max(math.floor(math.log10(largest)), 0), 0)
    is_plain = [value is not None and math.isfinite(value) for value in values]
    return [f"{value:,.{decimals}f}" if plain else number(value) for value, plain in zip(values, is_plain, strict=True)]


def rounded(value: float, digits: int = 8) -> float | None:
    """The number with so many digits, as it is written into a page; None for what is no number."""
    return float(f"{value:.{digits}g}") if is_drawable(value) else None


def is_drawable(value: float) -> bool:
    """Whether a value is a number that has a place in a picture; differences of larger ones overflow."""
    return math.isfinite(value) and abs(value) <= _LARGEST


@dataclass(frozen=True)
class Scale:
    """A linear axis."""

    low: float
    high: float
    first: float
    """Where `low` lies, in units of the picture,"""
    last: float
    """and `high`."""

    def at(self, value: float) -> float:
        """Where a value lies."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(self.first + share * (self.last - self.first), 1)

    @property
    def ticks(self) -> list[float]:
        """Round values on it, about five."""
        return ticks(self.low, self.high)

    @classmethod
    def around(cls, values: Iterable[float], first: float, last: float) -> Scale:
        """An axis on which all finite values lie, with a little room at both ends."""
        known = [value for value in values if is_drawable(value)]
        low, high = (min(known), max(known)) if known else (0.0, 1.0)
        room = (high - low) * 0.04 or abs(low) * 0.1 or 1.0
        return cls(low - room, high + room, first, last)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round values between two numbers, about so many."""
    raw = (high - low) / about
    if not _SMALLEST < raw < math.inf:
        return [low]
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(each for each in _STEPS if each * power >= raw * 0.999) * power
    start, end = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{index * step:.12g}") for index in range(start, end + 1)]


def thinned(points: Sequence[tuple[float, ...]], most: int) -> list[tuple[float, ...]]:
    """The points of a curve, at most about `most`: of each stretch the first, the lowest, the highest and the last.

    Arguments:
        points: in order; the last number of each is its height.
        most: how many to keep.
    """
    if len(points) <= most:
        return list(points)
    size = math.ceil(len(points) / max(most // 4, 1))
    kept: list[tuple[float, ...]] = []
    for start in range(0, len(points), size):
        kept += _corners(points[start : start + size])
    return kept


def _corners(stretch: Sequence[tuple[float, ...]]) -> list[tuple[float, ...]]:
    there = [at for at, point in enumerate(stretch) if is_drawable(point[-1])]
    heights = {at: stretch[at][-1] for at in there}
    chosen = {0, len(stretch) - 1} | (
        {min(there, key=heights.__getitem__), max(there, key=heights.__getitem__)} if there else set()
    )
    return [stretch[at] for at in sorted(chosen)]

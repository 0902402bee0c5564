"""Rules that values obey beside their types; they are known by name, so that a value can be judged by data alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, TypeAlias

from pydantic import GetCoreSchemaHandler, NonNegativeFloat, NonNegativeInt
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from hydrantic.paths import PathRule

ROUNDING: Final = 1e-6
"""How far fractions may miss their sum for the way computers add."""


@dataclass(frozen=True)
class Rule:
    """Metadata of a type: a value of it has to pass `check`, which raises a `PydanticCustomError` otherwise."""

    name: str
    check: Callable[[Any], None] = field(repr=False, compare=False)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._passed, handler(source))

    def _passed(self, value: Any) -> Any:
        self.check(value)
        return value


def _leads_nowhere_else(name: Any) -> None:
    if isinstance(name, str):
        PathRule("output").check(name)


def _rises(ends: tuple[float, float]) -> None:
    if not ends[0] < ends[1]:
        raise PydanticCustomError("interval", "must go from a smaller to a larger number")


def _splits(parts: Sequence[float]) -> None:
    if parts[0] == 0:
        raise PydanticCustomError("split", "must leave samples for training: the first number is 0")
    if not are_lengths(parts) and sum(parts) > 1 + ROUNDING:
        raise PydanticCustomError(
            "split", "must be fractions that sum to at most 1, or three whole numbers; these sum to {total}",
            {"total": f"{sum(parts):g}"},
        )  # fmt: skip


def _is_a_share(amount: Any) -> None:
    if isinstance(amount, float) and not 0 <= amount <= 1:
        raise PydanticCustomError("share", "must be a number of batches, or a fraction from 0.0 to 1.0")


def _is_a_part(amount: Any) -> None:
    if isinstance(amount, int | float) and amount <= 0:
        raise PydanticCustomError("part", "must be greater than 0")
    _is_a_share(amount)


def _are_devices(devices: Any) -> None:
    if isinstance(devices, int) and devices < 1 and devices != -1:
        raise PydanticCustomError("devices", "must be at least 1, or -1 for all there are")


def _is_a_duration(time: Any) -> None:
    if isinstance(time, str) and re.fullmatch(r"\d+(:\d{1,2}){3}", time) is None:
        raise PydanticCustomError("duration", "must be days:hours:minutes:seconds, as in 00:12:00:00")


def are_lengths(parts: Sequence[float]) -> bool:
    """Whether a split gives numbers of samples and not fractions."""
    # [1, 0, 0] are whole numbers too, but a training part of one sample is not what anybody means.
    return all(isinstance(part, int) for part in parts) and sum(parts) > 1


_INTERVAL: Final = Rule("interval", _rises)
_SPLIT: Final = Rule("split", _splits)

INSIDE_THE_RUN: Final = Rule("inside", _leads_nowhere_else)
"""Text that a component joins to the run's directory to write there."""

SHARE: Final = Rule("share", _is_a_share)
"""A number of batches, or a fraction of them."""

PART: Final = Rule("part", _is_a_part)
"""The same, and not none of them."""

DEVICES: Final = Rule("devices", _are_devices)
"""A number of devices, or -1 for all."""

DURATION: Final = Rule("duration", _is_a_duration)
"""A time as text: days, hours, minutes and seconds."""

Interval: TypeAlias = Annotated[tuple[float, float], _INTERVAL]
"""A smaller and a larger number."""

Split: TypeAlias = Annotated[
    tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt] | tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat],
    _SPLIT,
]
"""Shares of training, validation and test: fractions that sum to at most 1, or numbers of samples."""

RULES: Final[Mapping[str, Rule]] = {
    each.name: each for each in (INSIDE_THE_RUN, SHARE, PART, DEVICES, DURATION, _INTERVAL, _SPLIT)
}
"""Every rule by its name."""

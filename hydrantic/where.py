"""Conditions on runs as a person writes them: `optimizer.lr>1e-3`, `model=cnn`, `status=failed`, `name~mlp`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hydrantic.errors import UsageError
from hydrantic.scalars import parse_scalar
from hydrantic.sweeping.words import spoken

SIGNS: Final = ("=", "!=", "<", "<=", ">", ">=", "~", "!~")
"""What may stand between a name and a value; `~` searches for a regular expression."""

_CONDITION: Final = re.compile(r"\s*([^<>=!~]*[^<>=!~\s])\s*(<=|>=|!=|==|!~|=|<|>|~)\s*(.*?)\s*", re.DOTALL)
_ORDERS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


@dataclass(frozen=True)
class Condition:
    """What a run has to fulfil."""

    text: str
    """As it was written."""
    name: str
    """Of a hyperparameter, a metric or a column."""
    sign: str
    said: str
    """What the value is compared with, as it was written."""
    wanted: Any
    """The same as a value."""

    @property
    def is_order(self) -> bool:
        """Whether it asks for more or less."""
        return self.sign in _ORDERS

    def can_compare(self, value: Any) -> bool:
        """Whether there is an order between the value of a run and the one that was written."""
        return (_is_number(value) and _is_number(self.wanted)) or (
            isinstance(value, str) and isinstance(self.wanted, str)
        )

    def holds(self, value: Any) -> bool:
        """Whether the value of a run fulfils it; a run that has none has None."""
        if isinstance(value, Mapping):  # a component goes by its name
            value = value.get("name", value)
        if self.is_order:
            return self.can_compare(value) and _ORDERS[self.sign](value, self.wanted)
        if self.sign in {"~", "!~"}:
            has_it = value is not None and re.search(self.said, spoken(value)) is not None
            return has_it is (self.sign == "~")
        return self._is_same(value) is (self.sign == "=")

    def _is_same(self, value: Any) -> bool:
        if value is None or self.wanted is None:
            return value is self.wanted
        if _is_number(value) and _is_number(self.wanted):
            return bool(value == self.wanted) or (value != value and self.wanted != self.wanted)  # noqa: PLR0124 -- NaN
        return spoken(value).replace(" ", "") == spoken(self.wanted).replace(" ", "")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def parsed(text: str) -> Condition:
    """The condition that a person wrote.

    Arguments:
        text: a name, a sign and a value; the value is read as in a blueprint, text may stand in quotes.

    Raises:
        UsageError: it is none.
    """
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise UsageError(
            f"--where {text}: a condition is a name, one of {' '.join(SIGNS)}, and a value, in quotes because the "
            "shell takes < and > for itself: --where 'optimizer.lr>1e-3'"
        )
    name, sign, said = found[1], found[2], found[3]
    condition = Condition(text, name, "=" if sign == "==" else sign, _unquoted(said), _value(said))
    if condition.is_order and not said:
        raise UsageError(f"--where {text}: there is no value after {sign}")
    if sign in {"~", "!~"}:
        _check_pattern(condition)
    return condition


def _check_pattern(condition: Condition) -> None:
    try:
        re.compile(condition.said)
    except re.error as error:
        raise UsageError(f"--where {condition.text}: no regular expression: {error}") from error


def _unquoted(said: str) -> str:
    return said[1:-1] if len(said) > 1 and said[0] == said[-1] and said[0] in "'\"" else said


def _value(said: str) -> Any:
    unquoted = _unquoted(said)
    if unquoted != said:
        return unquoted
    try:
        return parse_scalar(said)
    except ValueError as error:
        raise UsageError(f"--where ...{said[:20]}...: {error}") from error

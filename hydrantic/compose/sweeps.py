"""Values to be swept, in Hydra's grammar: `a,b`, `choice`, `range`, `interval`, `glob`, `tag`, `sort`, `shuffle`."""

from __future__ import annotations

import dataclasses
import math
import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import DecimalException
from itertools import islice
from typing import Any, Final, NoReturn

from hydra._internal.grammar.utils import escape_special_characters
from hydra.core.override_parser.types import ChoiceSweep, Glob, IntervalSweep, Override, Quote, QuotedString, RangeSweep
from hydra.errors import HydraException

from hydrantic.compose.options import path_of
from hydrantic.compose.overrides import QuotedText, override_value, read_override
from hydrantic.document import Whole
from hydrantic.problems import Problems
from hydrantic.scalars import parse_scalar, spelt
from hydrantic.sections import OF_SWEEPS
from hydrantic.source import KeyPath, Source
from hydrantic.sweeping.space import Choice, Dimension, Range

MAX_VALUES: Final = 10_000
"""How many values one key may be swept over."""

Options = Callable[[str], Sequence[str]]
"""The options of a group, by its name; none where there is no such group."""

_WORD: Final = re.compile(r"[A-Za-z0-9_./+-]+")
_INTERPOLATION: Final = re.compile(r"(\$\{[^{}]+\})")


def split_sweep(
    overrides: Sequence[str], options: Options, problems: Problems | None = None
) -> tuple[tuple[str, ...], dict[str, Dimension]]:
    """Part the overrides that all jobs have from those that give several values.

    Args:
        overrides: as on the command line.
        options: the options of a group, for `glob(...)`.
        problems: collects what is wrong with the swept ones; without it, that is raised. What is wrong with the others
            is left to `Composer.compose`.

    Returns:
        The overrides with one value, in order, and the dimensions by their key, signs such as `+` included. Where a key
        is given twice, the later counts.

    Raises:
        BlueprintError: a swept value cannot be meant, such as an empty range.
    """
    noted = Problems() if problems is None else problems
    fixed: list[tuple[str, str]] = []
    dimensions: dict[str, Dimension] = {}
    for text in overrides:
        override = _read(text)
        key = text if override is None else override.get_key_element()
        if override is None or not override.is_sweep_override():
            dimensions.pop(key, None)
            fixed.append((key, text))
            continue
        path, place = path_of(override.key_or_group), Source.override(text)
        if not path:
            noted.add("override-syntax", place, text=text, reason="no key")
            continue
        if path[0] in OF_SWEEPS:
            noted.add("sweep-of-sweeps", place, path, section=path[0])
            continue
        swept = _Swept(override, options, noted, place, path).dimension()
        if swept is not None:
            fixed = [each for each in fixed if each[0] != key]
            dimensions[key] = swept
    if problems is None:
        noted.raise_any()
    return tuple(text for _, text in fixed), dimensions


def is_sweep(text: str) -> bool:
    """Whether an override gives several values."""
    override = _read(text)
    return override is not None and override.is_sweep_override()


def dimension(
    key: str, value: Any, options: Options = lambda _: (), place: Source | None = None, path: KeyPath = ()
) -> Dimension:
    """What a blueprint's `sweep: params:` writes behind a key.

    Args:
        key: as an override writes it, such as `optimizer.lr` or `+vars.x`.
        value: a list of plain values, or a text in Hydra's grammar; anything else is the one value that there is.
        options: the options of a group, for `glob(...)`.
        place: where it is written, and
        path: in what; for what is wrong with it.

    Raises:
        BlueprintError: the key or a value cannot be written in an override, or the text cannot be meant.
    """
    problems = Problems()
    place = place or Source.override(f"{key}={value}")
    found = _dimension(key, value, options, problems, place, path or path_of(key.lstrip("+~")))
    problems.raise_any()
    assert found is not None  # without problems there is one
    return found


def _dimension(
    key: str, value: Any, options: Options, problems: Problems, place: Source, path: KeyPath
) -> Dimension | None:
    text = f"{key}={value}" if isinstance(value, str) else f"{key}=0"
    try:
        override = read_override(text)
    except ValueError as error:
        problems.add("override-syntax", place, path, text=text, reason=str(error))
        return None
    if not path_of(override.key_or_group):
        problems.add("override-syntax", place, path, text=text, reason="no key")
        return None
    if isinstance(value, str) and override.is_sweep_override():
        return _Swept(override, options, problems, place, path).dimension()
    if isinstance(value, str):
        return Choice((_element_text(override._value),))  # noqa: SLF001 -- `value()` has lost the quotes
    values = value if isinstance(value, list | tuple) else [value]
    try:
        texts = tuple(override_text(each) for each in values)
    except ValueError as error:
        problems.add("sweep-value", place, path, reason=str(error))
        return None
    if not texts:
        problems.add("sweep-empty", place, path, what="the list")
        return None
    return Choice(texts)


def override_text(value: Any) -> str:
    """A plain value as it stands behind `key=` in an override, so that it is read as the same value again.

    Raises:
        ValueError: Hydra's grammar has no way to write it.
    """
    marked = _marked(value)
    text = _element_text(marked)
    try:
        again = override_value(read_override(f"k={text}")._value)  # noqa: SLF001 -- `value()` has lost the quotes
    except ValueError:
        again = None
    if repr(again) != repr(override_value(marked)):  # unlike ==, it tells 1 from true, and nan is like itself
        raise ValueError(f"{value!r} has a key that cannot be written in an override")
    return text


def _marked(value: Any) -> Any:
    """A plain value as Hydra's grammar reads it, with its texts quoted where they would mean something else."""
    if isinstance(value, Mapping):
        marked = {spelt(key): _marked(each) for key, each in value.items()}
        return Whole(marked) if isinstance(value, Whole) else marked
    if isinstance(value, list | tuple):
        return [_marked(each) for each in value]
    if not isinstance(value, str):
        if value is None or isinstance(value, bool | int | float):
            return value
        raise ValueError(f"a value of the type {type(value).__name__} cannot be written in an override")
    if any((ord(sign) < 32 and sign != "\t") or ord(sign) == 127 for sign in value):
        raise ValueError("text with line breaks or control characters cannot be written in an override")
    return value if _means_itself(value) else QuotedString(value, Quote.single)


def _means_itself(text: str) -> bool:
    return bool(_WORD.fullmatch(text)) and parse_scalar(text) == text


def _element_text(value: Any) -> str:
    """A value that Hydra's grammar has read, as text that it reads as the same."""
    if isinstance(value, QuotedText):
        value = QuotedString(str(value), Quote.single)
    if isinstance(value, QuotedString):
        return value.with_quotes()
    if isinstance(value, list):
        return "[" + ",".join(map(_element_text, value)) + "]"
    if isinstance(value, dict):
        text = "{" + ",".join(f"{_element_text(key)}:{_element_text(each)}" for key, each in value.items()) + "}"
        return f"replace({text})" if isinstance(value, Whole) else text
    if isinstance(value, str):
        parts = _INTERPOLATION.split(value)
        return "".join(part if index % 2 else str(escape_special_characters(part)) for index, part in enumerate(parts))
    return spelt(value)


def _read(text: str) -> Override | None:
    try:
        return read_override(text)
    except ValueError:  # told where the override is composed
        return None


class _Refused(Exception):
    """A swept value cannot be meant; the problem was noted."""


@dataclass(frozen=True, slots=True)
class _Swept:
    """An override that gives several values."""

    override: Override
    options: Options
    problems: Problems
    place: Source
    path: KeyPath

    def dimension(self) -> Dimension | None:
        """The values, or None where something is wrong with them, which is noted."""
        try:
            return self._dimension(self.override._value)  # noqa: SLF001 -- `value()` has lost the quotes
        except _Refused:
            return None

    def _refuse(self, code: str, **facts: Any) -> NoReturn:
        self.problems.add(code, self.place, self.path, **facts)
        raise _Refused

    def _dimension(self, value: Any) -> Dimension:
        tags: set[str] = getattr(value, "tags", set())
        if unknown := sorted(tags - {"log"}):
            self._refuse("sweep-tag", tag=unknown[0])
        if isinstance(value, IntervalSweep):
            return self._interval(value)
        if isinstance(value, RangeSweep) and "log" in tags:
            return self._logarithmic(value)
        if tags:
            self._refuse("sweep-tag", tag="log")
        if isinstance(value, RangeSweep):
            return self._range(value)
        if isinstance(value, Glob):
            return self._matching(value)
        assert isinstance(value, ChoiceSweep)  # there is no other kind
        return self._choice(value.list, value.shuffle, what="the choice")

    def _interval(self, interval: IntervalSweep) -> Range:
        low, high = interval.start, interval.end
        assert low is not None  # the grammar wants both
        assert high is not None
        if not (math.isfinite(low) and math.isfinite(high)):
            self._refuse("sweep-bounds", reason="the bounds of an interval must be finite numbers")
        integer = isinstance(low, int) and isinstance(high, int)
        if low > high or (low == high and not integer):
            self._refuse("sweep-empty", what="the interval")
        log = "log" in interval.tags
        if log and low <= 0:
            self._refuse("sweep-bounds", reason="a logarithmic interval must begin above 0")
        return Range(low, high, log=log, integer=integer)

    def _logarithmic(self, value: RangeSweep) -> Range:
        numbers = self._numbers(value)
        if not numbers:
            self._refuse("sweep-empty", what="the range")
        if value.step != 1 or not isinstance(numbers[0], int) or numbers[0] <= 0:
            reason = "a logarithmic range goes from one integer above 0 to another in steps of 1"
            self._refuse("sweep-bounds", reason=reason)
        return Range(numbers[0], numbers[-1], log=True, integer=True)

    def _range(self, value: RangeSweep) -> Dimension:
        """Rising integers stay a range, whose values a study may compare; others are listed."""
        numbers = self._numbers(value)
        if value.shuffle or len(numbers) < 2 or not all(isinstance(each, int) for each in numbers):
            return self._choice(numbers, value.shuffle, what="the range")
        step = numbers[1] - numbers[0]
        if step < 0:
            return self._choice(numbers, value.shuffle, what="the range")
        return Range(numbers[0], numbers[-1], integer=True, step=None if step == 1 else step)

    def _numbers(self, value: RangeSweep) -> list[float]:
        try:
            found = list(islice(_fresh(value), MAX_VALUES + 1))
        except (HydraException, ValueError, TypeError, DecimalException):
            self._refuse("sweep-bounds", reason="a range needs finite bounds and a step that is not 0")
        if len(found) > MAX_VALUES:
            self._refuse("limit", what="values of one key", allowed=MAX_VALUES)
        return found

    def _matching(self, glob: Glob) -> Choice:
        include, exclude = ([_unquoted(each) for each in some] for some in (glob.include, glob.exclude))
        beside = [each for each in self.options(self.override.key_or_group) if "/" not in each]
        names = Glob(include, exclude).filter(beside)
        if not names:
            self._refuse("sweep-nothing-matches", key=self.override.key_or_group, include=tuple(include))
        return Choice(tuple(override_text(name) for name in names))

    def _choice(self, values: Sequence[Any], shuffled: bool, what: str) -> Choice:
        if not values:
            self._refuse("sweep-empty", what=what)
        texts = tuple(_element_text(each) for each in values)
        return Choice(tuple(random.sample(texts, len(texts))) if shuffled else texts)


def _unquoted(value: Any) -> str:
    return value.text if isinstance(value, QuotedString) else str(value)


def _fresh(value: RangeSweep) -> Iterable[float]:
    """The numbers of a range from its beginning; Hydra's own iterator of floats can be gone through once."""
    return iter(dataclasses.replace(value).range())

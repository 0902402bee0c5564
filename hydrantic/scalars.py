"""The one grammar of unquoted scalars, shared by blueprint files and command-line overrides."""

from __future__ import annotations

import re
from typing import Any, TypeAlias

Scalar: TypeAlias = str | int | float | bool | None
"""A value without parts."""

_NULLS = frozenset({"", "~", "null"})
_BOOLS = {"true": True, "false": False}
_UNSIGNED = r"(?:0|[1-9](?:_?[0-9])*)"
_DIGITS = r"[0-9](?:_?[0-9])*"
_POINT = rf"(?:{_UNSIGNED}?\.{_DIGITS}|{_UNSIGNED}\.)"
_INT = re.compile(rf"[+-]?{_UNSIGNED}")
_FLOAT = re.compile(rf"[+-]?(?:(?:{_POINT}|{_UNSIGNED})[eE][+-]?{_DIGITS}|{_POINT}|(?i:inf|nan))")
_DOTTED = re.compile(r"[+-]?\.inf|\.nan", re.IGNORECASE)


def parse_scalar(text: str) -> Scalar:
    """Read unquoted `text` as null, a truth value, a number or, where it is none of these, as text.

    Numbers are those of Hydra's override grammar (`1_0`, `1e-3`, `.5`, `inf`) and YAML's `.inf` and `.nan`. What YAML
    1.1 reads in surprising ways stays text: `off`, `yes`, `012`, `0x1F`, `12:30`, `2024-01-01`.

    Args:
        text: what was written, without quotes and without space around it.

    Returns:
        The value; for text the same string.

    Raises:
        ValueError: a whole number has more digits than Python converts (4,300).
    """
    lowered = text.lower()
    if lowered in _NULLS:
        return None
    if lowered in _BOOLS:
        return _BOOLS[lowered]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _DOTTED.fullmatch(text):
        return float(lowered.replace(".", ""))
    return text


def spelt(value: Any) -> str:
    """A scalar as YAML spells it, text without quotes; anything else as Python writes it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)

"""The scalar grammar is the same in files and in overrides."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydrantic.compose import override_value, read_override
from hydrantic.scalars import parse_scalar, spelt

PLAIN = "abeEfiInNlLoOtruTsSyx0123456789_+-./~%*@?|:$ "


def same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    return type(left) is type(right) and left == right


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("null", None), ("NULL", None), ("true", True), ("False", False),
        ("0", 0), ("-12", -12), ("+3", 3), ("1_0", 10), ("1_000_000", 1_000_000),
        ("1e-3", 1e-3), ("1.", 1.0), (".5", 0.5), ("1_0.2_5", 10.25), ("-1E+2", -100.0), ("inf", math.inf),
        ("-inf", -math.inf), (".inf", math.inf), ("-.Inf", -math.inf),
    ],
)  # fmt: skip
def test_a_literal_has_its_value(text: str, value: Any) -> None:
    assert same(parse_scalar(text), value)


@pytest.mark.parametrize("text", ["nan", "NaN", ".nan", ".NaN"])
def test_nan_is_a_float(text: str) -> None:
    value = parse_scalar(text)
    assert isinstance(value, float)
    assert math.isnan(value)


@pytest.mark.parametrize(
    "text",
    ["off", "on", "yes", "No", "y", "012", "00", "0x1F", "0b1", "0o7", "12:30", "2024-01-01", "1__0", "_1", "1_", "1e",
     "e3", "1.2.3", "+", "-", ".", "infinity", "\u0661", "1 2", " 1", "None", "<<", "="],
)  # fmt: skip
def test_everything_else_stays_text(text: str) -> None:
    assert parse_scalar(text) == text


@pytest.mark.parametrize("value", [None, True, False, 1, 0, 1.0, -2.5, 1e-5, "text"])
def test_what_is_spelt_reads_as_the_same_value(value: Any) -> None:
    assert same(parse_scalar(spelt(value)), value)


def test_a_number_too_long_to_convert_is_refused() -> None:
    with pytest.raises(ValueError, match="digit"):
        parse_scalar("9" * 5_000)


literals = st.one_of(
    st.text(PLAIN, min_size=0, max_size=12),
    st.integers().map(str),
    st.floats().map(str),
    st.from_regex(r"\A[+-]?[0-9_]{0,4}\.?[0-9_]{0,4}([eE][+-]?[0-9_]{0,3})?\Z"),
    st.sampled_from(["null", "~", "true", "TRUE", ".inf", "-.inf", ".NaN", "inf", "off", "012", "12:30", "1_0"]),
)


@settings(derandomize=True, max_examples=1_000, deadline=None)
@given(literals.map(str.strip).filter(bool))  # nothing is null in a file, and an empty text to Hydra
def test_a_text_means_the_same_in_a_file_and_on_the_command_line(text: str) -> None:
    try:
        override = read_override(f"k={text}")
    except ValueError:
        return
    assert same(override_value(override._value), parse_scalar(text))

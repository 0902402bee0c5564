"""How a sweep reads: times, short names, values, what fits a line."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrantic.sweeping.words import (
    cells,
    clock,
    columns_of,
    duration,
    first_line,
    fitted,
    form_of,
    is_coloured,
    padded,
    painted,
    short_names,
    shortened,
    spoken,
    written,
)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0.0 s"), (8.25, "8.2 s"), (59.96, "1 min 00 s"), (192, "3 min 12 s"), (3599.7, "1 h 00 min"),
        (7500, "2 h 05 min"), (97200, "1 d 3 h"),
    ],
)  # fmt: skip
def test_times_are_said_as_a_person_says_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(("seconds", "said"), [(0, "0:00"), (68.9, "1:08"), (3600, "1:00:00"), (36065, "10:01:05")])
def test_a_running_time_is_a_clock(seconds: float, said: str) -> None:
    assert clock(seconds) == said


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["optimizer.lr", "seed"], ["lr", "seed"]),
        (["optimizer.lr", "scheduler.lr"], ["optimizer.lr", "scheduler.lr"]),
        (["a.x.lr", "b.x.lr", "c"], ["a.x.lr", "b.x.lr", "c"]), (["a.x.lr", "a.y.lr"], ["x.lr", "y.lr"]),
        (["model.activation.name", "data.name"], ["activation.name", "data.name"]), (["lr", "a.lr"], ["lr", "a.lr"]),
        (["name"], ["name"]),
    ],
)  # fmt: skip
def test_keys_are_as_short_as_they_stay_clear(names: list[str], short: list[str]) -> None:
    assert list(short_names(names).values()) == short


def test_overrides_are_shortened_by_their_keys() -> None:
    assert shortened(["optimizer.lr=0.1", "+vars.x=[a.b, c]", "~model.dropout"]) == "lr=0.1  x=[a.b, c]  dropout"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1e-5, "1e-5"), (1e22, "1e22"), (0.1 + 0.2, "0.3"), (float("nan"), "nan"), (True, "true"), (None, "null"),
        ([1, "a", [None]], "[1, a, [null]]"), ({"a": 0.5}, "{a: 0.5}"), ("a\x1b\nb", "a\\x1b\\nb"),
        (12345678, "12345678"),
    ],
)  # fmt: skip
def test_values_are_written_as_in_a_blueprint(value: Any, said: str) -> None:
    assert spoken(value) == said


@given(st.text(max_size=60), st.integers(1, 40))
def test_what_is_fitted_is_never_wider(text: str, width: int) -> None:
    assert cells(fitted(text, width)) <= width
    assert cells(padded(fitted(text, width), width)) == width


@given(st.lists(st.floats(-1e300, 1e300) | st.sampled_from([float("nan"), float("inf")]), max_size=8))
def test_any_numbers_can_be_written_in_one_form(values: list[float]) -> None:
    form, largest = form_of(values), max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    for value in values:
        assert float(written(value, form)) == pytest.approx(value, rel=1e-3, abs=largest * 1e-3, nan_ok=True)


def test_letters_take_the_columns_that_they_take() -> None:
    assert (cells("größe"), cells("数"), cells("o\u0308")) == (5, 2, 1)


@pytest.mark.parametrize(("columns", "width"), [("120", 120), ("0", 1), ("x", 100)])
def test_columns_set_by_hand_count(columns: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert columns_of(io.StringIO()) == width


def test_what_is_no_terminal_has_no_colours_and_a_good_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert not is_coloured(io.StringIO())
    assert columns_of(io.StringIO()) >= 80


def test_paint_ends_behind_the_text() -> None:
    assert painted("a", "red") == "\x1b[31ma\x1b[0m"
    assert painted("a", "") == "a"


def test_the_first_line_is_the_first_that_says_something() -> None:
    assert first_line("\n  \n  one\x1b\ntwo") == "one\\x1b"
    assert first_line("") == ""

"""Numbers on axes and in tables."""

from __future__ import annotations

import math

import pytest

from hydrantic.reporting.scales import Scale, alike, exactly, number, rounded, thinned, ticks


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.99444, "0.9944"), (1.0, "1"), (0.5, "0.5"), (2890.86, "2,891"), (1234567.0, "1,234,567"), (0.00004, "4e-5"),
        (3.2e12, "3.2e12"), (-0.25, "-0.25"), (math.nan, "NaN"), (math.inf, "\N{INFINITY}"), (None, "\N{EN DASH}"),
        (0.0, "0"), (-1.5e-7, "-1.5e-7"), (1e300, "1e300"), (5e-324, "4.941e-324"),
    ],
)  # fmt: skip
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert number(value) == text


def test_numbers_that_are_compared_have_as_many_decimals() -> None:
    assert alike([1.0, 0.98, None]) == ["1.0000", "0.9800", "\N{EN DASH}"]
    assert alike([2890.86, 12.5]) == ["2,890.9", "12.5"]
    assert alike([3.0, 4.0]) == ["3", "4"]
    assert alike([1.0, 1e-7]) == ["1", "1e-7"]
    assert alike([0.5, math.nan]) == ["0.5000", "NaN"]
    assert alike([]) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.99992, "0.99992"), (-2e7, "-2e7"), (1_234_570.0, "1,234,570"), (1e-12, "1e-12"), (0.25, "0.25")],
)
def test_marks_keep_the_digits_that_tell_them_apart(value: float, text: str) -> None:
    assert exactly(value) == text


def test_marks_are_round_and_inside() -> None:
    assert ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(0.13, 0.19) == [0.14, 0.16, 0.18]
    assert ticks(5, 5) == [5]
    assert ticks(-math.inf, 1) == [-math.inf]
    assert ticks(0, math.nan) == [0]


@pytest.mark.parametrize(
    ("low", "high"), [(1.0, math.nextafter(1.0, 2)), (0, 5e-324), (-1e308, 1e308), (1e300, 1.1e300)]
)
def test_marks_of_strange_ends_are_finite(low: float, high: float) -> None:
    assert all(map(math.isfinite, ticks(low, high)))


def test_a_scale_has_room_for_every_finite_value() -> None:
    scale = Scale.around([1.0, 3.0, math.nan, math.inf], 100, 0)
    assert 100 > scale.at(1.0) > scale.at(2.0) > scale.at(3.0) > 0
    assert Scale.around([], 0, 10).at(0.5) == 5
    assert 0 < Scale.around([7.0, 7.0], 0, 10).at(7.0) < 10


def test_a_thinned_curve_keeps_its_ends_and_its_peaks() -> None:
    points = [(float(at), math.sin(at / 500)) for at in range(20_000)]
    points[7777] = (7777.0, 9.0)
    kept = thinned(points, 200)
    assert len(kept) <= 205
    assert kept[0] == points[0]
    assert kept[-1] == points[-1]
    assert (7777.0, 9.0) in kept
    assert kept == sorted(kept)


def test_a_short_curve_stays_and_no_number_does_no_harm() -> None:
    assert thinned([(0.0, 1.0)], 10) == [(0.0, 1.0)]
    assert len(thinned([(float(at), math.nan) for at in range(100)], 20)) <= 20


def test_what_is_no_number_is_nothing_in_a_page() -> None:
    assert [rounded(each) for each in (0.123456789, math.nan, -math.inf, 1e308)] == [0.12345679, None, None, None]

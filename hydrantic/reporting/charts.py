"""Curves as inline SVG that shows everything by itself; with JavaScript it answers to pointer and keys."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hydrantic.metrics_table import Curve
from hydrantic.reporting.markup import Html, joined, tag
from hydrantic.reporting.scales import Scale, exactly, is_drawable, number, rounded, thinned

WIDTH: Final = 480
HEIGHT: Final = 260
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 12, 34
COLOURS: Final = 8
"""How many colours the style sheet has."""
_DASHES: Final = 4
_MOST_POINTS: Final = 240
_LEAST_POINTS: Final = 40


@dataclass(frozen=True)
class Series:
    """One curve of a chart."""

    name: str
    curve: Curve
    number: int
    """Which colour and dashes it has."""

    @property
    def look(self) -> str:
        """The classes of its line."""
        return f"c{self.number % COLOURS} d{self.number // COLOURS % _DASHES}"


@dataclass(frozen=True)
class Chart:
    """Curves over the epochs of training, or over its steps."""

    title: str
    series: Sequence[Series]
    mark: float | None = None
    """The epoch of the best checkpoint."""
    note: str = ""
    has_legend: bool = True
    """Whether its own buttons show and hide curves; those of a table do otherwise."""

    @property
    def by_epoch(self) -> bool:
        """Whether every value is told by its epoch: the curves have no more than one in each."""
        return all(len(set(map(math.ceil, each.curve.epochs))) == len(each.curve.epochs) for each in self.series)

    @property
    def unit(self) -> str:
        """What the horizontal axis counts."""
        return "epoch" if self.by_epoch else "step"


def drawn(chart: Chart) -> Html:
    """A chart as a figure."""
    most = max(_LEAST_POINTS, min(_MOST_POINTS, 3000 // max(len(chart.series), 1)))
    points = [_points(each.curve, most, by_epoch=chart.by_epoch) for each in chart.series]
    mark = chart.mark if chart.by_epoch else None
    return tag(
        "figure",
        tag("figcaption", tag("span", chart.title, class_="title"), tag("span", chart.note, class_="note"), _tools()),
        _legend(chart) if chart.has_legend else None,
        tag("div", _svg(chart, points, mark), class_="plot"),
        tag("p", class_="readout", aria_live="polite"),
        _data(chart, points, mark),
        class_="chart", data_chart=True,
    )  # fmt: skip


def _points(curve: Curve, most: int, *, by_epoch: bool) -> list[tuple[float, float, float]]:
    """Where each value stands, its step, and the value."""
    places = curve.epochs if by_epoch else curve.steps
    return [(x, step, y) for x, step, y in thinned(list(zip(places, curve.steps, curve.values, strict=True)), most)]


def _tools() -> Html:
    logarithmic = tag("button", "log scale", type="button", class_="log", aria_pressed="false")
    whole = tag("button", "whole range", type="button", class_="whole", hidden=True)
    return tag("span", logarithmic, whole, class_="tools")


def _legend(chart: Chart) -> Html:
    buttons = (
        tag(
            "button", swatch(each.look), f" {each.name} ", tag("b", number(each.curve.values[-1])),
            type="button", aria_pressed="true", data_series=str(at), title="show or hide",
        )
        for at, each in enumerate(chart.series)
    )  # fmt: skip
    return tag("div", buttons, class_="legend")


def swatch(look: str) -> Html:
    """A piece of a curve's line, for legends and tables."""
    line = tag("line", x1=0, y1=5, x2=22, y2=5, class_=f"curve {look}")
    return tag("svg", line, class_="swatch", width=22, height=10, aria_hidden="true")


def _svg(chart: Chart, points: Sequence[Sequence[tuple[float, float, float]]], mark: float | None) -> Html:
    xs = Scale.around([x for each in points for x, _, _ in each], LEFT, WIDTH - RIGHT)
    ys = Scale.around([y for each in points for _, _, y in each], HEIGHT - BOTTOM, TOP)
    lines = [
        _line(each, [(xs.at(x), ys.at(y)) if is_drawable(y) else None for x, _, y in found], at)
        for at, (each, found) in enumerate(zip(chart.series, points, strict=True))
    ]
    return tag(
        "svg", frame(xs, ys, chart.unit), _best(xs, mark), lines,
        viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=_spoken(chart), tabindex="0",
    )  # fmt: skip


def frame(xs: Scale, ys: Scale, unit: str = "", height: int = HEIGHT, width: int = WIDTH) -> Html:
    """Grid, numbers and the name of the horizontal axis."""
    base = height - BOTTOM
    across = [
        joined(
            tag("line", x1=LEFT, x2=width - RIGHT, y1=ys.at(each), y2=ys.at(each), class_="rule"),
            tag("text", exactly(each), x=LEFT - 6, y=ys.at(each) + 4, class_="at-end"),
        )
        for each in ys.ticks
    ]
    marks = [each for each in xs.ticks if unit not in {"epoch", "step"} or each == int(each)]
    below = [
        joined(
            tag("line", x1=xs.at(each), x2=xs.at(each), y1=base, y2=base + 4, class_="axis"),
            tag("text", exactly(each), x=xs.at(each), y=base + 16, class_="at-middle"),
        )
        for each in marks
    ]
    axis = tag("line", x1=LEFT, x2=width - RIGHT, y1=base, y2=base, class_="axis")
    name = tag("text", unit, x=(LEFT + width - RIGHT) / 2, y=height - 3, class_="at-middle name")
    return tag("g", across, axis, below, name, class_="frame", aria_hidden="true")


def _best(xs: Scale, mark: float | None) -> Html | None:
    if mark is None:
        return None
    return tag("line", x1=xs.at(mark), x2=xs.at(mark), y1=TOP, y2=HEIGHT - BOTTOM, class_="best")


def _line(series: Series, places: Sequence[tuple[float, float] | None], at: int) -> Html:
    there = [place for place in places if place is not None]
    if len(there) == 1:
        (x, y) = there[0]
        return tag("circle", cx=x, cy=y, r=3.5, class_=f"dot {series.look}", data_line=str(at))
    return tag("path", d=path_of(places), class_=f"curve {series.look}", data_line=str(at))


def path_of(places: Sequence[tuple[float, float] | None]) -> str:
    """The path through the places, broken where there is none."""
    return "".join(_steps(places))


def _steps(places: Sequence[tuple[float, float] | None]) -> Iterator[str]:
    is_down = False
    for place in places:
        if place is not None:
            yield f"{'L' if is_down else 'M'}{place[0]:g} {place[1]:g}"
        is_down = place is not None


def _spoken(chart: Chart) -> str:
    """What the picture shows, for who does not see it."""
    said = [_spoken_curve(each) for each in chart.series[:6]]
    rest = f"; and {len(chart.series) - 6} more curves" if len(chart.series) > 6 else ""
    return f"{chart.title} by {chart.unit}: {'; '.join(said)}{rest}"


def _spoken_curve(series: Series) -> str:
    values = [each for each in series.curve.values if math.isfinite(each)]
    if not values:
        return f"{series.name} has no number"
    first, last, low, high = (number(each) for each in (values[0], values[-1], min(values), max(values)))
    return f"{series.name} from {first} to {last}, lowest {low}, highest {high}"


def _data(chart: Chart, points: Sequence[Sequence[tuple[float, float, float]]], mark: float | None) -> Html:
    series = [
        {
            "name": each.name,
            "look": each.look,
            "run": each.number,
            "x": [rounded(x) for x, _, _ in found],
            "step": [int(step) for _, step, _ in found],
            "y": [rounded(y) for _, _, y in found],
        }
        for each, found in zip(chart.series, points, strict=True)
    ]
    return embedded({"unit": chart.unit, "mark": mark, "title": chart.title, "series": series})


def embedded(value: Any) -> Html:
    """Plain data in a page, where no text of it can end its element."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    safe = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return tag("script", Html(safe), type="application/json")

"""The report of several runs: one table, what tells them apart, and their curves over each other."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from hydrantic.listing import changed, value_of
from hydrantic.records import local_time
from hydrantic.reporting.charts import Chart, Series, drawn, swatch
from hydrantic.reporting.markup import Html, Part, joined, tag
from hydrantic.reporting.material import Material
from hydrantic.reporting.one import state
from hydrantic.reporting.page import Section, page
from hydrantic.reporting.scales import number
from hydrantic.reporting.tables import Cell, Row, names_of, table
from hydrantic.source import SUPPLIED
from hydrantic.sweeping.words import duration, spoken
from hydrantic.texts import counted, cut

MOST_CURVES: Final = 40
"""How many runs have curves: more cannot be told apart."""
_MOST_CHARTS: Final = 24
_MOST_METRICS: Final = 12
_LONGEST: Final = 32
_STAGES: Final = {"validation": 0, "test": 1, "training": 2}


def page_of_runs(runs: Sequence[Material]) -> str:
    """The page about several runs."""
    sections = [
        Section("runs", "Runs", _runs(runs)),
        Section("values", "What differs", _differences(runs)),
        Section("curves", "Curves", curves(runs[:MOST_CURVES], len(runs))),
        *([Section("problems", "Problems", _problems(runs))] if any(map(_reasons, runs)) else []),
    ]
    names = list(dict.fromkeys(each.name for each in runs))
    title = names[0] if len(names) == 1 else "Comparison"
    header = joined(
        tag("div", tag("h1", f"{title}: {counted(len(runs), 'run')}"), class_="top"),
        tag("p", ", ".join(names[:12]), class_="about") if len(names) > 1 else None,
    )
    return page(f"{title}: {counted(len(runs), 'run')}", header, sections)


# -- the table ---------------------------------------------------------------------------------------------------------


def _runs(runs: Sequence[Material]) -> Part:
    keys = _telling_apart(runs)
    names = _metric_names(runs)
    labels = labels_of(runs)
    short = names_of(keys)
    heads = ["run", "state", *(short[key] for key in keys), *names, "took", "began"]
    metrics = list(zip(*(Cell.alike([each.run.best.get(name) for each in runs]) for name in names), strict=True))
    rows = [
        Row((_named(labels[at], at), _stated(each), *_values(each, keys), *_at(metrics, at), *_times(each)), {})
        for at, each in enumerate(runs)
    ]
    hint = "Metrics are those of the best checkpoint. A click on a column's head sorts"
    curves_ = "; a click on a run shows or hides its curves." if runs else "."
    return joined(tag("p", hint, curves_, class_="only-js"), table(heads, rows))


def _telling_apart(runs: Sequence[Material]) -> list[str]:
    """The hyperparameters in which runs differ, but for those that the data has supplied."""
    return [key for key in changed([each.run for each in runs]) if any(_origin(each, key) != SUPPLIED for each in runs)]


def _origin(run: Material, key: str) -> Any:
    said = run.fields.get("origins")
    return said.get(key) if isinstance(said, Mapping) else None


def labels_of(runs: Sequence[Material]) -> list[str]:
    """A name for each run: its folder's, with the blueprint's where there are several."""
    is_mixed = len({each.name for each in runs}) > 1
    return [f"{each.name}/{each.id}" if is_mixed else each.id for each in runs]


def _named(label: str, at: int) -> Cell:
    if at >= MOST_CURVES:
        return Cell(label)
    look = Series("", _NO_CURVE, at).look
    button = tag(
        "button", swatch(look), type="button", aria_pressed="true", data_run=str(at),
        aria_label=f"show or hide {label}",
    )  # fmt: skip
    return Cell(joined(button, " ", label))


_NO_CURVE: Any = None


def _stated(run: Material) -> Cell:
    return Cell(state(run.state))


def _values(run: Material, keys: Sequence[str]) -> list[Cell]:
    return [value_cell(value_of(run.run, key)) for key in keys]


def value_cell(value: Any) -> Cell:
    """The value of a hyperparameter."""
    if isinstance(value, Mapping) and "name" in value:
        value = value["name"]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return Cell("\N{EN DASH}" if value is None else cut(spoken(value), _LONGEST), float(value) if is_number else None)


def _metric_names(runs: Sequence[Material]) -> list[str]:
    names = dict.fromkeys(name for each in runs for name in each.run.best if "/" in name)
    return sorted(names, key=lambda name: _STAGES.get(name.partition("/")[0], 3))[:_MOST_METRICS]


def _at(rows: Sequence[tuple[Cell, ...]], at: int) -> tuple[Cell, ...]:
    return rows[at] if rows else ()


def _times(run: Material) -> tuple[Cell, Cell]:
    seconds = run.run.seconds
    took = Cell("\N{EN DASH}") if seconds is None else Cell(duration(seconds), seconds)
    return took, Cell(local_time(run.fields.get("started")) or "\N{EN DASH}")


# -- what differs ------------------------------------------------------------------------------------------------------


def _differences(runs: Sequence[Material]) -> Part:
    keys = _telling_apart(runs)
    if not keys:
        return tag("p", "The runs have the same hyperparameters.")
    rows = [
        [Cell(key), Cell(counted(len(found), "value")), Cell(_told(found), is_long=True)]
        for key in keys
        if len(found := _tally([value_of(each.run, key) for each in runs])) > 1
    ]
    note = "The hyperparameters in which the runs differ, and how many runs have each value; all others are equal."
    return joined(tag("p", note), table(("hyperparameter", "values", "with the number of runs"), rows))


def _tally(values: Sequence[Any]) -> Counter[str]:
    return Counter(str(value_cell(value).shown) for value in values)


def _told(counts: Mapping[str, int]) -> str:
    shown = [f"{name} ({count})" if count > 1 else name for name, count in list(counts.items())[:12]]
    return ", ".join([*shown, *(["\N{HORIZONTAL ELLIPSIS}"] if len(counts) > 12 else [])])


# -- curves ------------------------------------------------------------------------------------------------------------


def curves(runs: Sequence[Material], total: int, names: Sequence[str] | None = None) -> Part:
    """The curves of the runs over each other, a chart for each logged name.

    Arguments:
        runs: those that have curves.
        total: how many runs there are.
        names: what each is called.
    """
    labels = names or labels_of(runs)
    logged = dict.fromkeys(name for each in runs for name in each.curves if not name.startswith("test/"))
    ordered = sorted(logged, key=lambda name: _STAGES.get(name.partition("/")[0], 3))
    if not ordered:
        return tag("p", "No run has curves.")
    charts = [_chart(name, runs, labels) for name in ordered[:_MOST_CHARTS]]
    notes = [
        f"Only the first {len(runs)} of {total:,} runs have curves here." if total > len(runs) else "",
        f"{counted(len(ordered) - _MOST_CHARTS, 'further logged name')} left out."
        if len(ordered) > _MOST_CHARTS
        else "",
    ]
    return joined([tag("p", note) for note in notes if note], tag("div", charts, class_="tiles"))


def _chart(name: str, runs: Sequence[Material], labels: Sequence[str]) -> Html:
    series = [Series(labels[at], each.curves[name], at) for at, each in enumerate(runs) if name in each.curves]
    last = [each.curve.values[-1] for each in series if math.isfinite(each.curve.values[-1])]
    note = f"last values {number(min(last))} to {number(max(last))}" if len(last) > 1 else ""
    return drawn(Chart(name, series, note=note, has_legend=False))


def _problems(runs: Sequence[Material]) -> Html:
    """What went wrong in runs that failed, died or cannot be read."""
    rows = [
        [Cell(label), Cell(state(each.state)), Cell("; ".join(said), is_long=True)]
        for label, each in zip(labels_of(runs), runs, strict=True)
        if (said := _reasons(each))
    ]
    return table(("run", "state", "what happened"), rows)


def _reasons(run: Material) -> list[str]:
    return list(dict.fromkeys(filter(None, (run.run.error, *run.faults))))

"""The curves of runs: which belong together, what the runs are called beside each other, and the figure of them."""

from __future__ import annotations

import io
import math
import statistics
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from hydrantic.errors import UsageError
from hydrantic.listing import changed, value_of
from hydrantic.metrics_table import Curve, read_curves
from hydrantic.records import Record, record_of
from hydrantic.rundir import write_atomically
from hydrantic.source import display
from hydrantic.suggestions import did_you_mean
from hydrantic.sweeping.words import fitted, plain, short_names, spoken
from hydrantic.texts import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS: Final = (".png", ".svg", ".pdf")
Axis = Literal["step", "epoch"]

PALETTE: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000", "#999999")
"""Colours that nearly everybody tells apart (Okabe and Ito, Color Universal Design, 2008)."""
_INK: Final = "#2b2b2b"
_FAINT: Final = "#8a8a8a"
_OF_STAGES: Final[Mapping[str, str]] = {"validation": PALETTE[0], "training": PALETTE[1], "test": PALETTE[2]}
_DASHES: Final[Mapping[str, Any]] = {"validation": "-", "training": (0, (3, 1.6))}
_MOST_POINTS: Final = 2000
"""So many points of a curve are drawn; more cannot be seen."""
_MOST_NAMED: Final = 10
"""So many runs are named in a legend."""
_FEW: Final = 30
"""So many points get a mark each."""
_STRETCHES: Final = 150
"""Into so many stretches a noisy curve is cut, whose means are drawn as a line."""
_NOISE: Final = 0.04
"""A curve is noisy if the values of a stretch lie this part of the whole range apart."""
_LONGEST_LABEL: Final = 60
_LARGEST: Final = 1e200
"""Values beyond it cannot be drawn: the ends of an axis that holds them overflow, most of all of a logarithmic one."""


@dataclass(frozen=True)
class Traced:
    """A run with its curves, as it is called beside the others."""

    directory: Path
    label: str
    curves: Mapping[str, Curve]


@dataclass(frozen=True)
class Line:
    """A curve as it is drawn."""

    run: int
    """Which of the runs it is of."""
    stage: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    """NaN where nothing can be drawn."""
    lost: tuple[float, ...] = ()
    """Where the value is NaN, infinite or too large to draw, or not positive on a logarithmic axis."""
    means: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    """Of many noisy values: where the means of stretches are, and the means."""

    @property
    def is_point(self) -> bool:
        """Whether there is one value alone, such as that of the test."""
        return len(self.xs) == 1


@dataclass(frozen=True)
class Panel:
    """The lines of one metric: those of training and validation, of all runs."""

    metric: str
    lines: tuple[Line, ...]

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages there are."""
        return tuple(dict.fromkeys(line.stage for line in self.lines))

    @property
    def title(self) -> str:
        """What stands above it: the metric, with its stage where there is one alone."""
        return f"{self.stages[0]}/{self.metric}" if len(self.stages) == 1 and self.stages[0] else self.metric


@dataclass(frozen=True)
class Scene:
    """Everything that is drawn."""

    runs: tuple[Traced, ...]
    panels: tuple[Panel, ...]
    x: Axis
    is_log: bool

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages of all panels."""
        return tuple(dict.fromkeys(stage for panel in self.panels for stage in panel.stages))


# -- what is drawn -----------------------------------------------------------------------------------------------------


def traced(runs: Sequence[Path]) -> tuple[Traced, ...]:
    """The curves of runs, each run called by what tells it from the others.

    Raises:
        UsageError: a directory is no run's, the record of the only one is broken, or none has logged anything yet.
    """
    records = [record_of(run) for run in runs]
    if len(records) == 1 and records[0].state == "broken":
        raise UsageError(f"{display(runs[0])} is broken: {records[0].error}")
    names = labels(records)
    found = [Traced(run, name, read_curves(run)) for run, name in zip(runs, names, strict=True)]
    with_curves = tuple(each for each in found if each.curves)
    if not with_curves:
        raise UsageError(f"{', '.join(map(display, runs[:3]))}: nothing has been logged yet")
    return with_curves


def labels(records: Sequence[Record]) -> list[str]:
    """What runs are called beside each other: the hyperparameters in which they differ, else the names of folders."""
    places = [_place_of(record) for record in records]
    keys = [key for key in changed(records) if not _follows(key, records)][:3] if len(records) > 1 else []
    short = short_names(keys)
    said = [
        "  ".join(f"{short[key].removesuffix('.name')}={_said(value_of(record, key))}" for key in keys)
        for record in records
    ]
    is_enough = keys and len(set(said)) == len(said) and max(map(len, said)) <= _LONGEST_LABEL
    return [fitted(plain(each), _LONGEST_LABEL) for each in (said if is_enough else places)]


def _said(value: Any) -> str:
    return "none" if value is None else spoken(value)


def _follows(key: str, records: Sequence[Record]) -> bool:
    """Whether a component's field only says what its name does, as those of another component do."""
    return any(value_of(record, key) is None for record in records)


def _place_of(record: Record) -> str:
    folder = record.directory.absolute()
    return f"{folder.parent.name}/{folder.name}" if record.sweep else folder.name


def scene(runs: Sequence[Path], names: Sequence[str] | None = None, *, x: Axis = "step", is_log: bool = False) -> Scene:
    """The curves of runs, those of the same metric together.

    Arguments:
        runs: directories of runs.
        names: logged names (`validation/loss`), or metrics in all their stages (`loss`); all by default.
        x: what they are drawn over.
        is_log: whether the values are drawn on a logarithmic axis.

    Raises:
        UsageError: a directory is no run's, nothing was logged, or not under such a name.
    """
    found = traced(runs)
    logged = list(dict.fromkeys(name for run in found for name in run.curves))
    wanted = _wanted(logged, names)
    metrics = dict.fromkeys(name.rpartition("/")[2] for name in wanted)
    panels = (
        _panel(metric, found, [n for n in wanted if n.rpartition("/")[2] == metric], x, is_log) for metric in metrics
    )
    return Scene(found, tuple(panel for panel in panels if panel.lines), x, is_log)


def _wanted(logged: Sequence[str], names: Sequence[str] | None) -> list[str]:
    if names is None:
        whole = [name for name in logged if not name.startswith("test/")]
        metrics = {name.rpartition("/")[2] for name in whole}
        return [name for name in logged if name in whole or name.rpartition("/")[2] in metrics] or list(logged)
    chosen: dict[str, None] = {}
    for said in names:
        meant = [name for name in logged if said in {name, name.rpartition("/")[2]}]
        if not meant:
            raise UsageError(f"nothing was logged as '{said}'{did_you_mean(said, logged)}")
        chosen |= dict.fromkeys(meant)
    return list(chosen)


_STAGES: Final = {"validation": 0, "training": 1, "test": 2}


def _panel(metric: str, runs: Sequence[Traced], names: Sequence[str], x: Axis, is_log: bool) -> Panel:
    ordered = sorted(names, key=lambda name: _STAGES.get(name.rpartition("/")[0], 3))
    curves = [(at, run.curves[name]) for at, run in enumerate(runs) for name in ordered if name in run.curves]
    return Panel(metric, tuple(_line(at, curve, x, is_log) for at, curve in curves))


def _line(run: int, curve: Curve, x: Axis, is_log: bool) -> Line:
    places = curve.steps if x == "step" else curve.epochs
    can_be_drawn = [abs(value) <= _LARGEST and (value > 0 or not is_log) for value in curve.values]
    values = [value if can else math.nan for value, can in zip(curve.values, can_be_drawn, strict=True)]
    lost = tuple(float(place) for place, can in zip(places, can_be_drawn, strict=True) if not can)
    xs, ys = thinned(places, values)
    return Line(run, curve.stage, xs, ys, lost[:: math.ceil(len(lost) / 100) or 1], averaged(places, values))


def thinned(
    xs: Sequence[float], ys: Sequence[float], most: int = _MOST_POINTS
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """At most about `most` of the points, among them the least and the greatest of each stretch.

    Arguments:
        xs: where the points are, in order.
        ys: their values; NaN is a gap.
        most: how many points may be left.
    """
    if len(xs) <= most:
        return tuple(map(float, xs)), tuple(map(float, ys))
    length = math.ceil(len(xs) / (most // 2))
    kept: list[int] = []
    for start in range(0, len(xs), length):
        stretch = [at for at in range(start, min(start + length, len(xs))) if not math.isnan(ys[at])]
        kept += sorted({min(stretch, key=ys.__getitem__), max(stretch, key=ys.__getitem__)}) if stretch else [start]
    kept = sorted({0, *kept, len(xs) - 1})
    return tuple(float(xs[at]) for at in kept), tuple(float(ys[at]) for at in kept)


def averaged(xs: Sequence[float], ys: Sequence[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The means of stretches of many noisy values, with their places; nothing where the values themselves can be read.

    Arguments:
        xs: where the points are, in order.
        ys: their values; NaN is a gap.
    """
    length = len(xs) // _STRETCHES
    if length < 2:
        return (), ()
    stretches = [range(start, min(start + length, len(xs))) for start in range(0, len(xs), length)]
    there = [[at for at in stretch if not math.isnan(ys[at])] for stretch in stretches]
    known = [stretch for stretch in there if stretch]
    if not known:
        return (), ()
    spreads = [max(ys[at] for at in stretch) - min(ys[at] for at in stretch) for stretch in known]
    whole = [ys[at] for stretch in known for at in stretch]
    if statistics.median(spreads) < _NOISE * (max(whole) - min(whole)):
        return (), ()
    places = [statistics.fmean(xs[at] for at in stretch) for stretch in stretches]
    means = [statistics.fmean(ys[at] for at in stretch) if stretch else math.nan for stretch in there]
    return tuple(places), tuple(means)


# -- the figure --------------------------------------------------------------------------------------------------------


def draw(
    runs: Sequence[Path], file: Path, names: Sequence[str] | None = None, *, x: Axis = "step", is_log: bool = False
) -> None:
    """Draw the curves of runs into a file, `.png`, `.svg` or `.pdf`; see `figure`.

    Raises:
        UsageError: there is nothing to draw, no matplotlib to draw it with, or no such kind of picture.
    """
    if file.suffix.lower() not in FORMATS:
        raise UsageError(f"a picture cannot be written as {file.name}: choose {', '.join(FORMATS)}")
    if not file.absolute().parent.is_dir():
        raise UsageError(f"{display(file)} cannot be written: there is no folder {display(file.parent)}")
    form = file.suffix.lower().removeprefix(".")
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # then a box stands for it
        drawn = figure(runs, names, x=x, is_log=is_log)
        drawn.savefig(buffer, format=form, dpi=150, metadata=None if form == "png" else _UNDATED[form])
    try:
        write_atomically(file, buffer.getvalue())
    except OSError as error:
        raise UsageError(f"{display(file)} cannot be written: {error.strerror or error}") from error


_UNDATED: Final[Mapping[str, dict[str, Any]]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


def figure(
    runs: Sequence[Path], names: Sequence[str] | None = None, *, x: Axis = "step", is_log: bool = False
) -> Figure:
    """The curves of runs as a figure of matplotlib's, a panel for each metric.

    Arguments:
        runs: directories of runs.
        names: logged names (`validation/loss`), or metrics in all their stages (`loss`); all by default.
        x: what they are drawn over.
        is_log: whether the values are drawn on a logarithmic axis.

    Raises:
        UsageError: there is nothing to draw, or no matplotlib to draw it with.
    """
    drawn = scene(runs, names, x=x, is_log=is_log)
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError as error:
        raise UsageError("a picture needs matplotlib: pip install 'hydrantic[plot]'") from error
    columns = _columns(len(drawn.panels))
    rows = math.ceil(len(drawn.panels) / columns)
    size = (7.6, 4.6) if columns == 1 else (4.4 * columns, 3.0 * rows + 0.8)
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08, wspace=0.04, hspace=0.04)
    found = Figure(figsize=size, facecolor="white", layout=layout)
    FigureCanvasAgg(found)
    for at, panel in enumerate(drawn.panels):
        axes = found.add_subplot(rows, columns, at + 1)
        _draw_panel(axes, panel, drawn, is_lowest=at + columns >= len(drawn.panels))
    _add_legend(found, drawn)
    return found


def _columns(count: int) -> int:
    """How many panels stand beside each other: as few rows as there can be, and none nearly empty."""
    return count if count < 4 else 2 if count == 4 else 3


def _draw_panel(axes: Axes, panel: Panel, drawn: Scene, *, is_lowest: bool) -> None:
    for line in panel.lines:
        _draw_line(axes, line, drawn, is_alone=len(panel.stages) == 1)
    title = axes.set_title(fitted(plain(panel.title), 40), loc="left", fontsize=11, fontweight="bold", color=_INK)
    title.set_parse_math(False)  # a name is no formula
    if drawn.is_log and any(not math.isnan(y) for line in panel.lines for y in line.ys):
        axes.set_yscale("log")
    if is_lowest:
        axes.set_xlabel(drawn.x, fontsize=9, color=_FAINT)
    _set_limits(axes, panel)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color("#c0c0c0")
    axes.tick_params(which="both", labelsize=8.5, colors=_INK, length=0)
    if said := ", ".join(_remarks(panel, drawn)):
        axes.text(1.0, 1.02, said, transform=axes.transAxes, ha="right", va="bottom", fontsize=8, color=_FAINT)


def _remarks(panel: Panel, drawn: Scene) -> Iterator[str]:
    """What the signs of a panel mean that a legend does not tell."""
    if any(line.means[0] for line in panel.lines):
        yield "running mean"
    if any(line.lost for line in panel.lines):
        yield f"\N{MULTIPLICATION SIGN} {'not positive, or ' if drawn.is_log else ''}no finite number"


def _set_limits(axes: Axes, panel: Panel) -> None:
    """Whole numbers below, and from the first value to the last; a single one has room about it."""
    from matplotlib.ticker import MaxNLocator

    places = [x for line in panel.lines for x in (*line.xs, *line.lost)]
    low, high = min(places), max(places)
    margin = (high - low) * 0.03 or 1.0
    axes.set_xlim(low - margin, high + margin)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))


def _draw_line(axes: Axes, line: Line, drawn: Scene, *, is_alone: bool) -> None:
    colour, many = _colour(line, drawn), len(drawn.runs) > 1
    is_faint = many and line.stage == "training" and not is_alone
    xs, ys = line.means if line.means[0] else (line.xs, line.ys)
    if line.means[0]:
        axes.plot(line.xs, line.ys, color=colour, alpha=0.25, linewidth=0.5, zorder=1)
    if line.is_point:
        mark = "D" if line.stage == "test" else "o"
        axes.plot(xs, ys, mark, color=colour, markersize=5.5, markeredgecolor="white", zorder=4)
    else:
        few = sum(not math.isnan(y) for y in ys) <= _FEW and len(drawn.runs) <= _MOST_NAMED
        axes.plot(
            xs, ys, color=colour, alpha=0.75 if is_faint else 1.0,
            linestyle=_DASHES.get(line.stage, "-") if many and not is_alone else "-",
            linewidth=1.2 if is_faint or len(drawn.runs) > _MOST_NAMED else 1.8,
            marker="o" if few and not is_faint else None, markersize=3.2, solid_capstyle="round",
            zorder=2 if line.stage == "training" else 3,
        )  # fmt: skip
    if line.lost:
        below = [0.02] * len(line.lost)
        axes.plot(
            line.lost, below, "x", color=colour, markersize=5, transform=axes.get_xaxis_transform(), clip_on=False
        )


def _colour(line: Line, drawn: Scene) -> Any:
    if len(drawn.runs) == 1:
        return _OF_STAGES.get(line.stage, PALETTE[0])
    return colour_of(line.run, len(drawn.runs))


def colour_of(run: int, count: int) -> Any:
    """The colour of one of so many runs."""
    if count <= len(PALETTE):
        return PALETTE[run]
    from matplotlib import colormaps

    return colormaps["viridis"](0.93 * run / (count - 1))  # its last yellow does not show on white


def _add_legend(found: Figure, drawn: Scene) -> None:
    """What the colours and lines mean, above all panels."""
    from matplotlib.lines import Line2D

    entries: list[tuple[Any, str]] = []
    if len(drawn.runs) > 1:
        named = drawn.runs if len(drawn.runs) <= _MOST_NAMED else drawn.runs[: _MOST_NAMED - 1]
        for at, run in enumerate(named):
            entries.append((Line2D([], [], color=colour_of(at, len(drawn.runs)), linewidth=2.2), run.label))
        if len(named) < len(drawn.runs):
            more = counted(len(drawn.runs) - len(named), "further run")
            entries.append((Line2D([], [], color=colour_of(len(drawn.runs) - 1, len(drawn.runs)), linewidth=2.2), more))
    stages = sorted(filter(None, drawn.stages), key=_stage_order)
    if len(stages) > 1:
        entries += [(_stage_mark(stage, drawn), stage) for stage in stages]
    if not entries:
        return
    longest = max(len(label) for _, label in entries)
    room = max(int(found.get_figwidth() * 11 / (longest + 5)), 1)
    shown = found.legend(
        *zip(*entries, strict=True), loc="outside upper left", ncols=min(room, len(entries)), frameon=False, fontsize=9,
        labelcolor=_INK, handlelength=2.0, columnspacing=1.6,
    )  # fmt: skip
    for text in shown.get_texts():
        text.set_parse_math(False)


def _stage_order(stage: str) -> int:
    return _STAGES.get(stage, 3)


def _stage_mark(stage: str, drawn: Scene) -> Any:
    from matplotlib.lines import Line2D

    colour = _FAINT if len(drawn.runs) > 1 else _OF_STAGES.get(stage, PALETTE[0])
    is_point = all(line.is_point for panel in drawn.panels for line in panel.lines if line.stage == stage)
    if is_point:
        return Line2D([], [], color=colour, marker="D" if stage == "test" else "o", linestyle="", markersize=5.5)
    return Line2D(
        [], [], color=colour, linewidth=2.0, linestyle=_DASHES.get(stage, "-") if len(drawn.runs) > 1 else "-"
    )

"""The picture of a sweep: parallel coordinates, below them the objective per parameter and over the trials."""

from __future__ import annotations

import io
import itertools
import math
import statistics
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hydrantic.errors import UsageError
from hydrantic.rundir import write_atomically
from hydrantic.sweeping.ledger import JobRecord, SweepRecord
from hydrantic.sweeping.table import keys_of, params_of
from hydrantic.sweeping.words import brief, fitted, plain, short_names, spoken
from hydrantic.texts import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

FORMATS: Final = (".png", ".svg", ".pdf")
_ACCENT: Final = "#d55e00"
"""Vermilion, which everybody tells from the colours of viridis (Okabe and Ito, Color Universal Design, 2008)."""
_INK: Final = "#2b2b2b"
_FAINT: Final = "#9a9a9a"
_RANGE_OF_COLOURS: Final = (0.0, 0.93)
"""What is taken of viridis; its last yellow does not show on white."""
_FEW: Final = 12
"""So many different values each get a tick, and their jobs are spread."""
_NOTHING: Final = "\N{EN DASH}"
_PANELS_PER_ROW: Final = 4


def draw(sweep: SweepRecord, file: Path) -> None:
    """Draw the results of a sweep into a file, `.png`, `.svg` or `.pdf`.

    Raises:
        UsageError: there is nothing to draw, no matplotlib to draw it with, or no such kind of picture.
    """
    if file.suffix.lower() not in FORMATS:
        raise UsageError(f"a picture cannot be written as {file.name}: choose {', '.join(FORMATS)}")
    if not file.parent.is_dir():
        raise UsageError(f"{file} cannot be written: there is no folder {file.parent}")
    form = file.suffix.lower().removeprefix(".")
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # then a box stands for it
        figure(sweep).savefig(buffer, format=form, dpi=150, metadata=None if form == "png" else _UNDATED[form])
    write_atomically(file, buffer.getvalue())


_UNDATED: Final[Mapping[str, dict[str, Any]]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


def figure(sweep: SweepRecord) -> Figure:
    """The results of a sweep as a figure of matplotlib's, which belongs to nobody else.

    Raises:
        UsageError: there is nothing to draw, or no matplotlib to draw it with.
    """
    scene = _scene(sweep)
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("a picture needs matplotlib: pip install 'hydrantic[plot]'") from error
    panels = _panels(scene)
    rows = math.ceil(len(panels) / _PANELS_PER_ROW)
    width = min(max(9.0, 1.9 * (len(scene.axes) + 1)), 22.0)
    heights = [4.6, *[2.7] * rows]
    drawn = Figure(figsize=(width, sum(heights) + 0.2), facecolor="white", layout="constrained")
    FigureCanvasAgg(drawn)
    parts: Any = drawn.subfigures(2, 1, height_ratios=[heights[0], sum(heights[1:])], hspace=0.02)
    _draw_lines(parts[0], scene)
    _draw_panels(parts[1], scene, panels, rows)
    return drawn


# -- what is drawn -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Scale:
    """How the values of a parameter, or of the objective, lie on an axis from 0 to 1."""

    name: str
    kind: str
    """`linear`, `log` or `names`."""
    low: float = 0.0
    high: float = 1.0
    names: tuple[str, ...] = ()
    distinct: tuple[Any, ...] = ()
    has_gaps: bool = False
    """Whether some jobs have no value; they lie below the others."""

    @property
    def is_discrete(self) -> bool:
        """Whether there are few values, each with a tick of its own."""
        return len(self.distinct) <= _FEW

    def at(self, value: Any) -> float:
        """Where a value lies."""
        if value is None and self.kind != "names":
            return self._margin
        return self._inside(min(max(self._place(value), 0.0), 1.0))

    def _inside(self, share: float) -> float:
        low = 0.2 if self.has_gaps and self.kind != "names" else self._margin
        return low + (1.0 - self._margin - low) * share

    @property
    def _margin(self) -> float:
        """Room at both ends, in which jobs with the same value can lie a little apart."""
        return 0.05 if self.is_discrete else 0.0

    def _place(self, value: Any) -> float:
        if self.kind == "names":
            return _share(self.names.index(_name_of(value)), 0, len(self.names) - 1)
        if self.kind == "log":
            return _share(math.log10(value), math.log10(self.low), math.log10(self.high)) if value > 0 else 0.0
        return _share(value, self.low, self.high)

    def ticks(self) -> list[tuple[float, str]]:
        """Places on the axis with what stands there, none too near to another."""
        if self.kind == "names":
            last = len(self.names) - 1
            marks = [(self._inside(_share(at, 0, last)), name) for at, name in enumerate(self.names)]
        else:
            values = self.distinct if self.is_discrete and len(self.distinct) <= 8 else self._round_values()
            marks = [(self.at(value), spoken(value)) for value in values]
            marks += [(self._margin, _NOTHING)] * self.has_gaps
        return _apart(marks)

    def _round_values(self) -> list[float]:
        from matplotlib.ticker import MaxNLocator

        low, high = self.low, self.high
        found: Sequence[float]
        if self.kind == "log":
            found = _powers_of_ten(low, high)
        else:
            found = MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        return [each for each in map(float, found) if low <= each <= high] or [low, high]


def _powers_of_ten(low: float, high: float) -> list[float]:
    """Round values on an axis of decades, with 2 and 5 between them where it has few."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = max(math.ceil((last - first) / 8), 1)
    within = (1, 2, 5) if last - first <= 3 else (1,)
    return [float(f"{digit}e{power}") for power in range(first, last + 1, every) for digit in within]


def _share(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) if high > low else 0.5


def _apart(marks: Sequence[tuple[float, str]], least: float = 0.045) -> list[tuple[float, str]]:
    kept: list[tuple[float, str]] = []
    for mark in sorted(marks):
        if not kept or mark[0] - kept[-1][0] >= least:
            kept.append(mark)
    return kept


def _scale(name: str, values: Sequence[Any]) -> _Scale:
    known = [value for value in values if value is not None]
    gaps = len(known) < len(values)
    if not known or not all(_is_finite(value) for value in known):
        names = tuple(dict.fromkeys(_name_of(value) for value in _in_order(values)))
        return _Scale(name, "names", names=names, distinct=names)
    kind = "log" if _spans_decades(known) else "linear"
    return _Scale(name, kind, min(known), max(known), distinct=tuple(sorted(set(known))), has_gaps=gaps)


def _name_of(value: Any) -> str:
    return _NOTHING if value is None else fitted(spoken(value), 18)


def _in_order(values: Sequence[Any]) -> list[Any]:
    """Lists of numbers by their size, anything else as it was given; what has no value comes first."""
    known = [value for value in values if value is not None]
    with suppress(TypeError):
        known.sort(key=_size)
    return [None] * (len(known) < len(values)) + known


def _size(value: Any) -> Any:
    if isinstance(value, list | tuple) and value and all(map(_is_finite, value)):
        return len(value), list(value)
    raise TypeError


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _spans_decades(values: Sequence[float]) -> bool:
    """Whether values spread more evenly over decades than over the numbers themselves."""
    low, high = min(values), max(values)
    if low <= 0 or high / low < 8:
        return False
    there = sorted(set(values))
    logs = [math.log10(value) for value in there]
    lopsided = abs(_share(statistics.median(there), low, high) - 0.5)
    lopsided_in_logs = abs(_share(statistics.median(logs), logs[0], logs[-1]) - 0.5)
    return high / low >= 1000 or lopsided_in_logs < lopsided


@dataclass(frozen=True)
class _Scene:
    """What a picture shows: jobs with a value, the best last, on axes."""

    sweep: SweepRecord
    metric: str
    mode: str
    jobs: tuple[JobRecord, ...]
    values: tuple[float, ...]
    axes: tuple[_Scale, ...]
    objective: _Scale
    clipped: bool = False
    """Whether some values are so much worse than the others that the axis ends before them."""
    given: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)

    @property
    def best(self) -> JobRecord:
        """The best job."""
        return self.jobs[-1]

    def colour(self, value: float) -> Any:
        """The colour of a value: the better, the darker."""
        from matplotlib import colormaps

        share = self.objective.at(value)
        first, last = _RANGE_OF_COLOURS
        return colormaps["viridis"](first + (last - first) * (share if self.mode == "min" else 1 - share))


def _scene(sweep: SweepRecord) -> _Scene:
    if sweep.objective is None:
        raise UsageError(f"{sweep.directory} has nothing to draw: the sweep has no objective")
    metric, mode = sweep.objective
    jobs = tuple(job for job in reversed(sweep.ranked()) if job.value is not None and math.isfinite(job.value))
    if not jobs:
        of = f"none of its {counted(len(sweep.jobs), 'job')} has" if len(sweep.jobs) != 1 else "its job has not"
        raise UsageError(f"{sweep.directory} has nothing to draw: {of} finished with a value of {metric}")
    values = tuple(job.value for job in jobs if job.value is not None)
    given = tuple(params_of(job) for job in jobs)
    shown = {job.number for job in jobs}
    in_order = [params_of(job) for job in sweep.jobs if job.number in shown]
    axes = tuple(_scale(key, [params.get(key) for params in in_order]) for key in keys_of(sweep))
    scale, clipped = _scale_of_objective(metric, values, mode)
    return _Scene(sweep, metric, mode, jobs, values, axes, scale, clipped, given)


def _scale_of_objective(name: str, values: Sequence[float], mode: str) -> tuple[_Scale, bool]:
    """The axis of the objective, which ends before values that are far off: they would press the others together."""
    scale = _scale(name, values)
    sizes = [math.log10(value) if scale.kind == "log" else value for value in values]
    fence = _fence(sizes, mode)
    is_within = [size <= fence if mode == "min" else size >= fence for size in sizes]
    found = scale if all(is_within) else _scale(name, list(itertools.compress(values, is_within)))
    return replace(found, distinct=tuple(range(_FEW + 1))), found is not scale  # its ticks are at round values


def _fence(values: Sequence[float], mode: str) -> float:
    """What only a value that is much worse than most lies beyond (Tukey, Exploratory Data Analysis, 1977)."""
    nowhere = math.inf if mode == "min" else -math.inf
    if len(values) < 8:
        return nowhere
    first, _, third = statistics.quantiles(values, n=4)
    reach = 3 * (third - first)
    if not reach:
        return nowhere
    return third + reach if mode == "min" else first - reach


# -- parallel coordinates ----------------------------------------------------------------------------------------------


def _draw_lines(part: SubFigure, scene: _Scene) -> None:
    axes = part.subplots()
    last = len(scene.axes)
    axes.set_xlim(-0.32, last + 0.42)
    axes.set_ylim(-0.07, 1.05)
    axes.axis("off")
    _say_what(part, scene)
    columns = [*(_spread(scale, scene) for scale in scene.axes), [scene.objective.at(value) for value in scene.values]]
    _draw_jobs(axes, scene, columns)
    for at, scale in enumerate(scene.axes):
        _draw_axis(axes, at, scale, length=0.003 * (last + 0.74))
    _draw_objective(axes, last, scene)
    _draw_best(axes, [column[-1] for column in columns])


def _say_what(part: SubFigure, scene: _Scene) -> None:
    head = f"{plain(scene.sweep.name)}: {plain(scene.metric)} of {counted(len(scene.jobs), 'job')}"
    best = f"best: job {scene.best.number}, {brief(scene.values[-1])}"
    room = 92 if len(scene.axes) < 5 else 150
    # Its second line keeps the room for what the best one is.
    part.suptitle(
        f"{fitted(head, room)}\n", x=0.012, ha="left", fontsize=13, fontweight="bold", color=_INK, linespacing=1.7,
        parse_math=False,
    )  # fmt: skip
    text = fitted(f"{best}:  {_best_in_words(scene)}" if scene.axes else best, room + 20)
    part.text(0.012, 0.915, text, ha="left", va="top", fontsize=9.5, color=_ACCENT, parse_math=False)


def _best_in_words(scene: _Scene) -> str:
    params = scene.given[-1]
    short = short_names(params)
    return "  ".join(f"{plain(short[key])}={spoken(value)}" for key, value in params.items())


def _spread(scale: _Scale, scene: _Scene) -> list[float]:
    """Where each job lies on an axis; those with the same value a little apart, the best highest or lowest."""
    places = [scale.at(params.get(scale.name)) for params in scene.given]
    if not scale.is_discrete:
        return places
    room = min(0.09, 0.5 * _least_gap(sorted(set(places))))
    groups: dict[float, list[int]] = {}
    for index, place in enumerate(places):
        groups.setdefault(place, []).append(index)
    for place, members in groups.items():
        by_value = sorted(members, key=lambda index: scene.objective.at(scene.values[index]))
        for rank, index in enumerate(by_value):
            places[index] = place + room * (_share(rank, 0, len(members) - 1) - 0.5)
    return places


def _least_gap(places: Sequence[float]) -> float:
    return min((later - earlier for earlier, later in itertools.pairwise(places)), default=0.4)


def _draw_jobs(axes: Axes, scene: _Scene, columns: Sequence[Sequence[float]]) -> None:
    from matplotlib.collections import PathCollection

    count = len(scene.jobs)
    paths = [_curve([column[index] for column in columns]) for index in range(count)]
    lines = PathCollection(
        paths[:-1],
        facecolors="none",
        edgecolors=[scene.colour(value) for value in scene.values[:-1]],
        linewidths=1.8 if count <= 30 else 1.2 if count <= 150 else 0.8,
        alpha=0.85 if count <= 60 else 0.55,
        zorder=2,
    )
    axes.add_collection(lines)


def _curve(heights: Sequence[float]) -> Any:
    """A line through the axes that crosses each one level, so that it can be followed (Graham and Kennedy, 2003)."""
    from matplotlib.path import Path as Curve

    points, codes = [(0.0, heights[0])], [int(Curve.MOVETO)]
    for at in range(len(heights) - 1):
        points += [(at + 0.4, heights[at]), (at + 0.6, heights[at + 1]), (at + 1.0, heights[at + 1])]
        codes += [int(Curve.CURVE4)] * 3
    return Curve(points, codes)


def _draw_best(axes: Axes, heights: Sequence[float]) -> None:
    from matplotlib.patches import PathPatch

    for colour, width in (("white", 5.5), (_ACCENT, 3.0)):
        axes.add_patch(PathPatch(_curve(heights), facecolor="none", edgecolor=colour, linewidth=width, zorder=5))
    axes.scatter(range(len(heights)), heights, s=46, color=_ACCENT, edgecolors="white", linewidths=1.4, zorder=6)


def _draw_axis(axes: Axes, at: int, scale: _Scale, *, length: float) -> None:
    axes.plot([at, at], [0, 1], color=_INK, linewidth=1.1, zorder=3)
    for place, name in scale.ticks():
        axes.plot([at - length, at], [place, place], color=_INK, linewidth=1.1, zorder=3)
        _label(axes, at - 1.6 * length, place, name, to_left=True)
    _title(axes, at, scale.name)


def _label(axes: Axes, x: float, y: float, text: str, *, to_left: bool) -> None:
    box = {"facecolor": "white", "alpha": 0.78, "edgecolor": "none", "pad": 1.2}
    side = "right" if to_left else "left"
    axes.text(x, y, text, ha=side, va="center", fontsize=8.5, color=_INK, bbox=box, zorder=7, parse_math=False)


def _title(axes: Axes, at: float, name: str) -> None:
    axes.text(
        at, 1.045, _broken(plain(name)), ha="center", va="bottom", fontsize=9.5, fontweight="bold", color=_INK,
        parse_math=False,
    )  # fmt: skip


def _broken(name: str, width: int = 16) -> str:
    """A long name on several lines, broken behind its dots and strokes."""
    lines, line = [], ""
    for piece in name.replace(".", ".\0").replace("/", "/\0").replace("_", "_\0").split("\0"):
        if line and len(line) + len(piece) > width:
            lines.append(line)
            line = ""
        line += piece
    return "\n".join([fitted(each, 24) for each in [*lines, line]][-4:])


def _draw_objective(axes: Axes, at: int, scene: _Scene) -> None:
    """The axis of the objective, which shows the colours too."""
    steps, half = 128, 0.006 * (at + 0.74)
    for step in range(steps):
        low = step / steps
        value = _value_at(scene.objective, low + 0.5 / steps)
        axes.fill_between(
            [at - half, at + half], low, low + 1.2 / steps, color=scene.colour(value), linewidth=0, zorder=3
        )
    for place, name in _ends_marked(scene):
        axes.plot([at + half, at + 1.8 * half], [place, place], color=_INK, linewidth=1.1, zorder=3)
        _label(axes, at + 2.3 * half, place, name, to_left=False)
    _title(axes, at, scene.metric)


def _value_at(scale: _Scale, share: float) -> float:
    if scale.kind == "log":
        return float(10 ** (math.log10(scale.low) + share * math.log10(scale.high / scale.low)))
    return scale.low + share * (scale.high - scale.low)


def _ends_marked(scene: _Scene) -> list[tuple[float, str]]:
    if scene.objective.low == scene.objective.high:
        return [(0.5, brief(scene.objective.low))]
    ticks = scene.objective.ticks()
    if not scene.clipped:
        return ticks
    end = (1.0, f"≥ {brief(scene.objective.high)}") if scene.mode == "min" else (0.0, f"≤ {brief(scene.objective.low)}")
    return [tick for tick in ticks if abs(tick[0] - end[0]) > 0.045] + [end]


# -- the objective per parameter ---------------------------------------------------------------------------------------

_Panel = Callable[["Axes", _Scene], None]


def _panels(scene: _Scene) -> list[_Panel]:
    """What is drawn below: the course of a study, then a panel for each parameter that varies."""
    varying = [scale for scale in scene.axes if len(scale.distinct) > 1 or scale.has_gaps] or scene.axes
    panels: list[_Panel] = [_over_trials] if any(job.trial is not None for job in scene.jobs) else []
    panels += [_per_parameter(scale) for scale in varying]
    return panels or [_over_trials]


def _draw_panels(part: SubFigure, scene: _Scene, panels: Sequence[_Panel], rows: int) -> None:
    columns = math.ceil(len(panels) / rows)
    grid = part.subplots(rows, columns, squeeze=False, sharey=True)
    places: Iterator[Any] = iter(grid.flat)
    for index, panel in enumerate(panels):
        axes = next(places)
        panel(axes, scene)
        _set_height(axes, scene)
        if index % columns == 0:
            axes.set_ylabel(plain(scene.metric), fontsize=9, color=_INK, parse_math=False)
    for axes in places:
        axes.set_visible(False)


def _set_height(axes: Axes, scene: _Scene) -> None:
    """Limits, ticks and looks of a panel, the same for all."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_FAINT)
    axes.tick_params(labelsize=8, colors=_INK, length=3)
    axes.grid(axis="y", color="#e8e8e8", linewidth=0.8)
    axes.set_axisbelow(True)
    marks = _ends_marked(scene)
    axes.set_ylim(-0.06, 1.06)
    axes.set_yticks([place for place, _ in marks], [name for _, name in marks], parse_math=False)


def _per_parameter(scale: _Scale) -> _Panel:
    """Draw the objective over the values of a parameter, with the median of each where there are few."""

    def panel(axes: Axes, scene: _Scene) -> None:
        places = [scale.at(params.get(scale.name)) for params in scene.given]
        heights = [scene.objective.at(value) for value in scene.values]
        room = min(0.16, 0.5 * _least_gap(sorted(set(places)))) if scale.is_discrete else 0.0
        if scale.is_discrete:
            _draw_medians(axes, places, heights, room)
        if len(set(places)) == len(places):
            room = 0.0
        # The golden ratio spreads the jobs evenly, and always alike.
        apart = [room * 0.8 * ((0.618034 * job.number) % 1 - 0.5) for job in scene.jobs]
        _scatter(axes, [place + offset for place, offset in zip(places, apart, strict=True)], heights, scene)
        axes.set_xlim(-0.1, 1.1)
        marks = _apart(scale.ticks(), 0.1)
        _set_names(axes, marks)
        axes.set_xlabel(fitted(plain(scale.name), 34), fontsize=9, color=_INK, parse_math=False)

    return panel


def _set_names(axes: Axes, marks: Sequence[tuple[float, str]]) -> None:
    axes.set_xticks([place for place, _ in marks], [name for _, name in marks], parse_math=False)
    if sum(len(name) + 2 for _, name in marks) > _LETTERS_PER_INCH * _inches(axes):
        for label in axes.get_xticklabels():
            label.set(rotation=28, ha="right", rotation_mode="anchor")


_LETTERS_PER_INCH: Final = 11


def _inches(axes: Axes) -> float:
    """How wide a panel will be, roughly: it is laid out later."""
    spec, whole = axes.get_subplotspec(), axes.get_figure(root=True)
    width = 9.0 if whole is None else whole.get_figwidth()
    return width if spec is None else width / spec.get_gridspec().ncols


def _scatter(axes: Axes, places: Sequence[float], heights: Sequence[float], scene: _Scene) -> None:
    count = len(places)
    size = 34 if count <= 60 else 18 if count <= 200 else 10
    colours = [scene.colour(value) for value in scene.values]
    axes.scatter(places[:-1], heights[:-1], s=size, c=colours[:-1], edgecolors="white", linewidths=0.4, zorder=3)
    axes.scatter(
        places[-1:], heights[-1:], s=90, color=_ACCENT, marker="*", edgecolors="white", linewidths=0.6, zorder=4
    )


def _draw_medians(axes: Axes, places: Sequence[float], heights: Sequence[float], room: float) -> None:
    groups: dict[float, list[float]] = {}
    for place, height in zip(places, heights, strict=True):
        groups.setdefault(place, []).append(height)
    for place, group in groups.items():
        if len(group) == 1:
            continue
        middle, half = statistics.median(group), max(room, 0.03) * 0.62
        axes.plot([place - half, place + half], [middle, middle], color=_FAINT, linewidth=2.2, zorder=2)


def _over_trials(axes: Axes, scene: _Scene) -> None:
    """Draw the objective over the trials, and the best so far."""
    from matplotlib.ticker import MaxNLocator

    numbers = [job.number if job.trial is None else job.trial for job in scene.jobs]
    heights = [scene.objective.at(value) for value in scene.values]
    ordered = sorted(zip(numbers, heights, strict=True))
    better = min if scene.mode == "min" else max
    best, so_far = ordered[0][1], list[float]()
    for _, height in ordered:
        best = better(best, height)
        so_far.append(best)
    axes.step([number for number, _ in ordered], so_far, where="post", color=_ACCENT, linewidth=1.6, zorder=2)
    _scatter(axes, numbers, heights, scene)
    axes.set_xlabel("trial (line: best so far)", fontsize=9, color=_INK)
    axes.margins(x=0.06)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))

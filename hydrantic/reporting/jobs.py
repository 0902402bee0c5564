"""Pictures of a sweep: parallel coordinates, the objective over each swept value, and over the trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hydrantic.reporting.axes import Axis
from hydrantic.reporting.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, path_of
from hydrantic.reporting.markup import Html, joined, tag
from hydrantic.reporting.scales import number
from hydrantic.reporting.tables import names_of, scrolled
from hydrantic.sweeping.ledger import JobRecord, SweepRecord
from hydrantic.sweeping.table import keys_of, params_of
from hydrantic.sweeping.words import told
from hydrantic.texts import counted, cut

MOST_LINES: Final = 500
_MOST_AXES: Final = 12
_STEP: Final = 130
_WIDEST: Final = 980
_HIGH: Final = 320
_TOP: Final = 40
_EDGE: Final = 80
_FAR: Final = 4.0
"""Values so many times the middle half's width beyond it lie at the end of the axis."""


@dataclass(frozen=True)
class Scene:
    """Jobs that have a value, the best first, on axes."""

    sweep: SweepRecord
    metric: str
    mode: str
    jobs: tuple[JobRecord, ...]
    axes: tuple[Axis, ...]
    objective: Axis
    is_clipped: bool
    total: int
    """How many jobs have a value."""

    @classmethod
    def of(cls, sweep: SweepRecord) -> Scene | None:
        """The scene of a sweep; None where nothing is to be shown."""
        ranked = [job for job in sweep.ranked() if job.value is not None and math.isfinite(job.value)]
        if sweep.objective is None or not ranked:
            return None
        metric, mode = sweep.objective
        jobs = tuple(ranked[:MOST_LINES])
        in_order = sorted(jobs, key=lambda job: job.number)
        axes = [Axis.of(key, [params_of(job).get(key) for job in in_order]) for key in keys_of(sweep)[:_MOST_AXES]]
        values = [job.value for job in jobs if job.value is not None]
        kept = _without_far(values)
        objective = Axis.of(metric, kept)
        return cls(sweep, metric, mode, jobs, tuple(axes), objective, len(kept) < len(values), len(ranked))

    @property
    def clipped(self) -> str:
        """What a person should know of values that would press the others together."""
        return "values far worse than the others lie at the end" if self.is_clipped else ""

    def height(self, job: JobRecord) -> float:
        """Where the job's value lies."""
        return self.objective.at(min(max(job.value or 0.0, self.objective.low), self.objective.high))


def _without_far(values: Sequence[float]) -> list[float]:
    """The values without those that are so much worse than the others that they would press them together."""
    ordered = sorted(values)
    low, high = ordered[len(ordered) // 4], ordered[(3 * len(ordered)) // 4]
    room = _FAR * (high - low)
    kept = [value for value in values if low - room <= value <= high + room]
    return kept if room and len(kept) > len(values) // 2 else list(values)


def pictures(scene: Scene) -> Html:
    """Everything there is to see."""
    over = [_over_axis(scene, axis) for axis in scene.axes if len(axis.names or axis.values) > 1]
    grid = tag("div", _over_trials(scene), over, class_="tiles")
    return joined(_parallel(scene), grid)


# -- parallel coordinates ----------------------------------------------------------------------------------------------


def _parallel(scene: Scene) -> Html:
    axes = (*scene.axes, scene.objective)
    step = max(_STEP, round(_WIDEST / max(len(axes) - 1, 1)))
    width = 2 * _EDGE + step * (len(axes) - 1)
    places = [_EDGE + step * at for at in range(len(axes))]
    lines = [_job(scene, job, places, rank) for rank, job in reversed(list(enumerate(scene.jobs)))]
    short = names_of([axis.name for axis in scene.axes])
    drawn = [
        _upright(axis, place, short.get(axis.name, axis.name), is_last=axis is scene.objective)
        for axis, place in zip(axes, places, strict=True)
    ]
    picture = tag(
        "svg", lines, drawn, viewBox=f"0 0 {width} {_HIGH}", class_="parallel", role="img",
        aria_label=f"Parallel coordinates of {counted(len(scene.jobs), 'job')}: swept values to the left, "
                   f"{scene.metric} to the right; the table says the same in numbers",
    )  # fmt: skip
    notes = [
        "each line is a job; the best stands out",
        scene.clipped,
        f"the best {len(scene.jobs)} of {scene.total:,}" if scene.total > len(scene.jobs) else "",
    ]
    caption = _caption("Parallel coordinates", "; ".join(filter(None, notes)))
    return tag("figure", caption, scrolled(picture, "parallel coordinates"))


def _job(scene: Scene, job: JobRecord, places: Sequence[int], rank: int) -> Html:
    params = params_of(job)
    heights = [*(axis.at(params.get(axis.name)) for axis in scene.axes), scene.height(job)]
    path = path_of([(place, _y(height)) for place, height in zip(places, heights, strict=True)])
    quarter = 4 * rank // max(len(scene.jobs), 1)
    title = tag("title", f"job {job.number}: {told(job)}, {scene.metric} {number(job.value)}")
    look = "top" if rank == 0 else f"q{quarter}"
    return tag("path", title, d=path, class_=f"job {look}", data_job=str(job.number))


def _y(share: float) -> float:
    return round(_HIGH - 24 - share * (_HIGH - 24 - _TOP - 14), 1)


def _upright(axis: Axis, place: int, name: str, *, is_last: bool) -> Html:
    marks = [
        tag("text", text, x=place + (7 if is_last else -7), y=_y(share) + 4, class_="" if is_last else "at-end")
        for share, text in axis.marks
    ]
    title = tag("text", cut(name, 22), x=place, y=_TOP - 18, class_="at-middle strong")
    return tag(
        "g", tag("line", x1=place, x2=place, y1=_y(1), y2=_y(0), class_="axis"), marks, title, aria_hidden="true"
    )


# -- the objective over one thing --------------------------------------------------------------------------------------


def _over_axis(scene: Scene, axis: Axis) -> Html:
    left, right = LEFT + 14, WIDTH - RIGHT - 14
    places = [left + (right - left) * axis.at(params_of(job).get(axis.name)) for job in scene.jobs]
    marks = [
        joined(
            tag("line", x1=_f(left + (right - left) * share), x2=_f(left + (right - left) * share), y1=HEIGHT - BOTTOM,
                y2=HEIGHT - BOTTOM + 4, class_="axis"),
            tag("text", text, x=_f(left + (right - left) * share), y=HEIGHT - BOTTOM + 16, class_="at-middle"),
        )
        for share, text in _sparse(axis.marks)
    ]  # fmt: skip
    drawn = tag(
        "svg", _sides(scene, axis.name), marks, _dots(scene, places), viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img",
        aria_label=f"{scene.metric} of each job over {axis.name}",
    )  # fmt: skip
    scale = "on a scale of decades" if axis.kind == "log" else ""
    notes = filter(None, ("the best job stands out", scale, scene.clipped))
    return tag("figure", _caption(f"{scene.metric} over {axis.name}", "; ".join(notes)), drawn)


def _sparse(marks: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Marks of which no text runs into another."""
    kept: list[tuple[float, str]] = []
    end = -1.0
    for share, text in marks:
        half = len(text) * 0.0085
        if share - half > end:
            kept.append((share, text))
            end = share + half
    return kept


def _over_trials(scene: Scene) -> Html:
    numbers = [job.number if job.trial is None else job.trial for job in scene.jobs]
    low, high = min(numbers), max(numbers)
    left, right = LEFT + 10, WIDTH - RIGHT - 10
    places = [_f(left + (right - left) * ((each - low) / (high - low) if high > low else 0.5)) for each in numbers]
    better = min if scene.mode == "min" else max
    steps: list[tuple[float, float]] = []
    best: float | None = None
    for place, job in sorted(zip(places, scene.jobs, strict=True), key=lambda pair: pair[0]):
        height = scene.height(job)
        if steps:
            steps.append((place, steps[-1][1]))
        best = height if best is None else better(best, height)
        steps.append((place, _v(best)))
    marks = [
        tag("text", str(each), x=place, y=HEIGHT - BOTTOM + 16, class_="at-middle")
        for each, place in ((low, min(places)), (high, max(places)))
    ]
    drawn = tag(
        "svg", _sides(scene, "job"), marks, tag("path", d=path_of(steps), class_="so-far"), _dots(scene, places),
        viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=f"{scene.metric} of each job in their order",
    )  # fmt: skip
    notes = filter(None, ("the line is the best so far", scene.clipped))
    return tag("figure", _caption(f"{scene.metric} over the jobs", "; ".join(notes)), drawn)


def _sides(scene: Scene, name: str) -> Html:
    across = [
        joined(
            tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=_v(share), y2=_v(share), class_="rule"),
            tag("text", text, x=LEFT - 6, y=_v(share) + 4, class_="at-end"),
        )
        for share, text in _heights(scene.objective)
    ]
    base = tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=HEIGHT - BOTTOM, y2=HEIGHT - BOTTOM, class_="axis")
    title = tag("text", cut(name, 40), x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 3, class_="at-middle name")
    return tag("g", across, base, title, aria_hidden="true")


def _heights(objective: Axis) -> list[tuple[float, str]]:
    """Round values on the objective's axis, also where there are few jobs."""
    few = Axis(objective.name, objective.kind, objective.low, objective.high, values=tuple(float(n) for n in range(99)))
    marks = few.marks
    return marks if len(marks) > 1 else [(0.0, number(objective.low)), (1.0, number(objective.high))]


def _v(share: float) -> float:
    return round(HEIGHT - BOTTOM - 8 - share * (HEIGHT - BOTTOM - TOP - 16), 1)


def _f(value: float) -> float:
    return round(value, 1)


def _dots(scene: Scene, places: Sequence[float]) -> list[Html]:
    dots = [
        tag("circle", tag("title", f"job {job.number}: {number(job.value)}"), cx=_f(place), cy=_v(scene.height(job)),
            r=5.5 if rank == 0 else 3.5, class_="star" if rank == 0 else "point")
        for rank, (job, place) in enumerate(zip(scene.jobs, places, strict=True))
    ]  # fmt: skip
    return dots[::-1]


def _caption(title: str, note: str) -> Html:
    return tag("figcaption", tag("span", title, class_="title"), tag("span", note, class_="note"))

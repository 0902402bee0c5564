"""The report of a sweep: how its jobs stand, the best of them, the table, the pictures, and the curves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from hydrantic.errors import UsageError
from hydrantic.records import local_time
from hydrantic.reporting.jobs import Scene, pictures
from hydrantic.reporting.markup import Html, Part, joined, tag
from hydrantic.reporting.material import Material, material_of
from hydrantic.reporting.one import state
from hydrantic.reporting.page import Section, page
from hydrantic.reporting.scales import number
from hydrantic.reporting.several import MOST_CURVES, curves, value_cell
from hydrantic.reporting.tables import Cell, Row, names_of, pairs, table
from hydrantic.sweeping.ledger import JobRecord, SweepRecord
from hydrantic.sweeping.status import standing
from hydrantic.sweeping.table import JOB, SECONDS, STATE, keys_of, params_of, results
from hydrantic.sweeping.words import brief, duration, spoken, told
from hydrantic.texts import counted

_MOST_ROWS: Final = 1000


def page_of_sweep(directory: Path) -> str:
    """The page about a sweep.

    Raises:
        UsageError: the directory is no sweep's.
    """
    sweep = standing(directory)
    scene = Scene.of(sweep)
    runs = _runs(sweep)
    failed = [job for job in sweep.jobs if job.error]
    sections = [
        Section("best", "Best job", _best(sweep)),
        Section("pictures", "Pictures", _nothing_to_draw(sweep) if scene is None else pictures(scene)),
        Section("jobs", "Jobs", _jobs(sweep)),
        *([Section("problems", "Problems", _problems(failed))] if failed else []),
        Section("curves", "Curves", curves([run for _, run in runs], len(sweep.jobs), [f"job {n}" for n, _ in runs])),
        Section("about", "About the sweep", _about(sweep)),
    ]
    return page(f"{sweep.name}: a sweep of {counted(len(sweep.jobs), 'job')}", _header(sweep), sections)


def _header(sweep: SweepRecord) -> Html:
    counts = Counter(job.state for job in sweep.jobs)
    states = [tag("span", f"{count} {word}", class_=f"state {word}") for word, count in counts.items()]
    said = [
        ("sweep", sweep.directory.absolute().name),
        ("began", local_time(sweep.began)),
        ("took", duration(sweep.seconds) if sweep.seconds else None),
        ("objective", _objective(sweep)),
    ]
    return joined(
        tag("div", tag("h1", f"{sweep.name}: {counted(len(sweep.jobs), 'job')}"), states, class_="top"),
        tag("ul", [tag("li", f"{name} ", tag("b", each)) for name, each in said if each], class_="facts"),
    )


def _objective(sweep: SweepRecord) -> str:
    if sweep.objective is None:
        return ""
    metric, mode = sweep.objective
    return f"{metric}, {_MODES.get(mode, mode)}"


_MODES: Final = {"min": "the smaller the better", "max": "the larger the better"}


def _best(sweep: SweepRecord) -> Part:
    best = sweep.best
    if best is None or sweep.objective is None:
        return tag("p", "No job has finished with a value of the objective.")
    short = names_of(list(params_of(best)))
    cards = [(sweep.objective[0], number(best.value)), *((short[key], spoken(v)) for key, v in params_of(best).items())]
    shown = [tag("div", tag("dt", name), tag("dd", said)) for name, said in cards[:12]]
    others = [value for job in sweep.jobs if (value := job.value) is not None and job.state == "finished"]
    among = f"among {len(others)} finished jobs, from {brief(min(others))} to {brief(max(others))}"
    return joined(
        tag("dl", shown, class_="cards"),
        tag("p", f"Job {best.number} is the best {among}. Its overrides: ", tag("code", told(best))),
    )


def _nothing_to_draw(sweep: SweepRecord) -> Html:
    why = "the sweep has no objective" if sweep.objective is None else "no job has finished with a value"
    return tag("p", f"There is nothing to draw: {why}.")


# -- the table ---------------------------------------------------------------------------------------------------------


def _jobs(sweep: SweepRecord) -> Part:
    found = results(sweep)
    keys = keys_of(sweep)
    short = names_of(keys)
    best = None if sweep.best is None else sweep.best.number
    names = sorted(found.columns, key=lambda name: (name != JOB, name != STATE))
    columns = [_column(name, found.column(name)[:_MOST_ROWS], set(keys)) for name in names]
    heads = [short.get(name, name) for name in names]
    numbers = found.column(JOB)
    rows = [
        Row(cells, {"data_job": str(numbers[at])} | ({"class_": "best-job"} if numbers[at] == best else {}))
        for at, cells in enumerate(zip(*columns, strict=True))
    ]
    rest = len(found.rows) - len(rows)
    more = tag("p", f"{counted(rest, 'further job')} left out.") if rest else None
    note = tag("p", "The best first; a click on a column's head sorts otherwise.", class_="only-js")
    return joined(note, table(heads, rows), more)


def _column(name: str, values: Sequence[Any], keys: set[str]) -> list[Cell]:
    if name == STATE:
        return [Cell(state(str(value))) for value in values]
    if name == SECONDS:
        return [Cell("\N{EN DASH}") if value is None else Cell(duration(value), value) for value in values]
    if name in keys or not all(value is None or isinstance(value, int | float) for value in values):
        return [value_cell(value) for value in values]
    return Cell.alike(values)


def _problems(jobs: Sequence[JobRecord]) -> Html:
    rows = [
        [
            Cell(f"job {job.number}", job.number),
            Cell(state(job.state)),
            Cell(told(job), is_long=True),
            Cell(job.error, is_long=True),
        ]
        for job in jobs
    ]
    return table(("job", "state", "overrides", "what happened"), rows)


# -- curves and the rest -----------------------------------------------------------------------------------------------


def _runs(sweep: SweepRecord) -> list[tuple[int, Material]]:
    """The jobs that have curves, the best first, with their numbers."""
    begun = (job for job in sweep.jobs if job.state != "planned")
    ranked = {job.number: job for job in (*sweep.ranked(), *begun)}
    found = []
    for job in list(ranked.values())[:MOST_CURVES]:
        try:
            found.append((job.number, material_of(job.directory)))
        except UsageError:  # it has not begun
            continue
    return found


def _about(sweep: SweepRecord) -> Part:
    about = sweep.about
    overrides = about.get("overrides")
    rows: list[tuple[str, Part]] = [
        ("directory", tag("code", str(sweep.directory))),
        ("blueprint", tag("code", str(about["blueprint"])) if about.get("blueprint") else ""),
        ("overrides", tag("code", " ".join(map(str, overrides))) if isinstance(overrides, list) and overrides else ""),
        ("sweeper", _spoken(about.get("sweeper"))),
        ("launcher", _spoken(about.get("launcher"))),
        ("swept", ", ".join(keys_of(sweep))),
    ]
    return pairs(rows)


def _spoken(said: Any) -> str:
    return "" if said is None else spoken(said)

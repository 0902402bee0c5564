"""How a sweep stands: where it lies, what became of its jobs, and the page that tells a person."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final, get_args

from hydrantic.errors import UsageError
from hydrantic.liveness import has_gone
from hydrantic.rundir import plain_json
from hydrantic.source import display
from hydrantic.sweeping.ledger import (
    ENDED,
    FILE,
    JobRecord,
    JobState,
    SweepRecord,
    is_written,
    read_ledger,
    seconds_since,
)
from hydrantic.sweeping.outcome import told_by_its_run
from hydrantic.sweeping.table import STATE, Table, as_text, keys_of, params_of, results
from hydrantic.sweeping.words import STYLES, brief, command, duration, fitted, painted, plain, reason, told

_STATES: Final[tuple[str, ...]] = get_args(JobState)
_SHOWN: Final = ("finished", "pruned", "running", "failed", "lost", "interrupted", "planned")
_OVER: Final = (*sorted(ENDED), "failed")
_BAR: Final = 24


def find_sweep(place: Path) -> Path:
    """The directory of a sweep: the place itself, the sweep of a job that lies there, or the latest sweep below it.

    Arguments:
        place: a sweep's directory, its ledger, a job's directory, or a folder of runs.

    Raises:
        UsageError: there is no sweep.
    """
    if place.name == FILE and place.is_file():
        return place.parent
    for folder in (place, place.parent):
        if (folder / FILE).is_file():
            return folder
    if not place.is_dir():
        raise UsageError(f"there is no directory {place}")
    found = [file for pattern in (f"*/{FILE}", f"*/*/{FILE}") for file in place.glob(pattern)]
    if not found:
        raise UsageError(f"{place} holds no sweep: no {FILE} lies in it or in the folders below it")
    return max(found, key=lambda file: (_began(file), file.parent.name)).parent


def _began(file: Path) -> str:
    try:
        with file.open("rb") as lines:
            return str(json.loads(lines.readline())["at"])
    except (OSError, ValueError, KeyError, TypeError):  # torn, or not ours
        return ""


def standing(directory: Path) -> SweepRecord:
    """What the ledger tells, and what has become of the jobs that it calls running.

    A job may have gone on after whoever wrote the ledger was killed, or may have died without a word.
    """
    sweep = read_ledger(directory)
    jobs = tuple(_seen(job, sweep) if job.state == "running" else job for job in sweep.jobs)
    return replace(sweep, jobs=jobs)


def _seen(job: JobRecord, sweep: SweepRecord) -> JobRecord:
    try:
        fields = json.loads((job.directory / "run.json").read_bytes())
    except (OSError, ValueError):  # it has not begun
        return job
    if isinstance(fields, dict) and fields.get("status") == "running":
        return replace(job, state="lost") if has_gone(fields) else job
    return told_by_its_run(job, sweep.objective) or job


def exit_code(sweep: SweepRecord) -> int:
    """0 while the sweep is under way and once every job is finished or pruned; 1 otherwise."""
    states = {job.state for job in sweep.jobs}
    if states & {"failed", "lost"}:
        return 1
    if states <= {"finished", "pruned"} and not sweep.to_come:
        return 0
    return 0 if is_under_way(sweep) else 1


def is_under_way(sweep: SweepRecord) -> bool:
    """Whether jobs run, or somebody is there who will start them."""
    return is_written(sweep.directory) or any(job.state == "running" for job in sweep.jobs)


def as_record(sweep: SweepRecord) -> dict[str, Any]:
    """How a sweep stands, for a program to read."""
    counts = Counter(str(job.state) for job in sweep.jobs)
    best = sweep.best
    record = {
        "directory": str(sweep.directory),
        "about": dict(sweep.about),
        "under_way": is_under_way(sweep),
        "began": sweep.began,
        "seconds": _elapsed(sweep),
        "counts": {state: counts.get(state, 0) for state in dict.fromkeys([*_STATES, *counts])},
        "to_come": sweep.to_come,
        "best": None if best is None else best.number,
        "jobs": [_job_record(job) for job in sweep.jobs],
    }
    plain_: dict[str, Any] = plain_json(record)
    return plain_


def _job_record(job: JobRecord) -> dict[str, Any]:
    return asdict(job) | {"directory": str(job.directory), "params": dict(params_of(job))}


def _elapsed(sweep: SweepRecord) -> float:
    return sweep.seconds + (seconds_since(sweep.at) if is_written(sweep.directory) else 0.0)


def tell(sweep: SweepRecord, width: int, *, most: int | None = None, is_coloured: bool = False) -> str:
    """How a sweep stands, for a person.

    Arguments:
        sweep: as `standing` found it.
        width: columns of the terminal.
        most: how many jobs get a line; all where None.
        is_coloured: whether colours may be used.
    """

    def paint(text: str, style: str) -> str:
        return painted(text, style) if is_coloured else text

    parts = [
        [
            paint(plain(sweep.name), "bold"),
            *(f"  {fitted(line, width - 2)}" for line in _about(sweep)),
            f"  {plain(display(sweep.directory))}",
        ],
        [_bar(sweep, width, is_coloured=is_coloured)],
        [fitted(line, width) for line in _best(sweep)],
        _jobs(sweep, width, most, is_coloured=is_coloured),
        list(_failures(sweep, most, is_coloured=is_coloured)),
        _what_next(sweep),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _about(sweep: SweepRecord) -> Iterator[str]:
    """What the sweep is; its directory is never cut, for it is copied."""
    blueprint = sweep.about.get("blueprint")
    said = [plain(display(Path(str(blueprint))))] if blueprint else []
    blocks = ((what, _named(sweep.about.get(what))) for what in ("sweeper", "launcher"))
    said += [f"{what} {name}" for what, name in blocks if name]
    if sweep.objective:
        said.append(f"{'maximise' if sweep.objective[1] == 'max' else 'minimise'} {plain(sweep.objective[0])}")
    if said:
        yield ", ".join(said)


def _named(block: Any) -> str:
    """The name of a component's block, which may be the name alone."""
    return plain(str(block.get("name", "") if isinstance(block, Mapping) else block or ""))


def _bar(sweep: SweepRecord, width: int, *, is_coloured: bool) -> str:
    """How many jobs have come to what, and how long that took."""
    counts = Counter(job.state for job in sweep.jobs)
    counts.update({"planned": sweep.to_come})
    total = sum(counts.values())
    done = sum(counts[state] for state in _OVER)
    known = [*_SHOWN, *(state for state in counts if state not in _SHOWN)]
    said = [(f"{counts[state]:,} {state}", state) for state in known if counts[state]]
    text = "  ".join(part for part, _ in said)
    head = f"  {done:,}/{total:,} " if total else "  no jobs yet"
    filled = round(_BAR * done / total) if total else 0
    bar = f"[{'=' * filled}{' ' * (_BAR - filled)}]  " if width >= 70 and total else " "
    time = f"  in {duration(_elapsed(sweep))}"
    if is_coloured and len(head + bar + text + time) <= width:
        return head + bar + "  ".join(painted(part, STYLES.get(state, "")) for part, state in said) + time
    return fitted(head + bar + text + time, width)


def _best(sweep: SweepRecord) -> list[str]:
    best = sweep.best
    if best is None or sweep.objective is None or best.value is None:
        return []
    return [f"  best: job {best.number}, {plain(sweep.objective[0])} {brief(best.value)}", f"    {told(best)}"]


def _jobs(sweep: SweepRecord, width: int, most: int | None, *, is_coloured: bool) -> list[str]:
    """A line for each job; where there are too many, those under way and the best."""
    table = _table(sweep)
    rows = table.rows if most is None else table.rows[:most]
    shown = replace(table, rows=rows)
    lines = ["  " + line for line in as_text(shown, width - 2, styles=STYLES if is_coloured else None)]
    left = len(table.rows) - len(rows)
    return [*lines, f"  ... and {left:,} more (--all)"] if left > 0 else lines


_ORDER: Final = {"running": 0, "finished": 1, "pruned": 2}


def _table(sweep: SweepRecord) -> Table:
    """Job, state, objective, time and what sets it apart; the running jobs first, then the best."""
    objective = [sweep.objective[0]] if sweep.objective else []
    table = results(sweep, columns=["job", STATE, *objective, "seconds", *keys_of(sweep)])
    at = table.columns.index(STATE)
    rows = sorted(table.rows, key=lambda row: _ORDER.get(row[at], 3))
    return replace(table, rows=tuple(rows), is_chosen=False)


def _failures(sweep: SweepRecord, most: int | None, *, is_coloured: bool) -> Iterator[str]:
    failed = [job for job in sweep.jobs if job.state in {"failed", "lost"}]
    for job in failed if most is None else failed[:most]:
        head = f"  job {job.number} {job.state}: {told(job)}"
        yield painted(head, STYLES[job.state]) if is_coloured else head
        yield f"    {reason(job)}"
        if not job.is_invalid:
            yield f"    {plain(display(job.directory))}"
    if most is not None and len(failed) > most:
        yield f"  ... and {len(failed) - most:,} more (--all)"


def _what_next(sweep: SweepRecord) -> list[str]:
    counts = Counter(job.state for job in sweep.jobs)
    waiting = counts["planned"] + counts["interrupted"] + counts["lost"] + counts["running"] + sweep.to_come
    if waiting and not is_written(sweep.directory):
        return [f"  nobody looks after it any more; to go on: {command('resume', sweep.directory)}"]
    if any(job.state == "failed" and not job.is_invalid for job in sweep.jobs) and not is_under_way(sweep):
        return [f"  to run the failed jobs again: {command('retry', sweep.directory)}"]
    return []

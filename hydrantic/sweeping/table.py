"""The results of a sweep as a table: a row per job or per group of jobs, for a terminal, a paper or a program."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from hydrantic.errors import UsageError
from hydrantic.rundir import plain_json
from hydrantic.scalars import parse_scalar
from hydrantic.suggestions import nearest
from hydrantic.sweeping.ledger import JobRecord, SweepRecord
from hydrantic.sweeping.words import (
    cells,
    fitted,
    form_of,
    padded,
    painted,
    plain,
    short_names,
    spoken,
    written,
)
from hydrantic.texts import listed

if TYPE_CHECKING:
    import polars


@dataclass(frozen=True, slots=True)
class Spread:
    """What several jobs came to in one metric."""

    mean: float
    deviation: float | None
    """The sample's standard deviation (n - 1); None of a single job."""


Cell: TypeAlias = Any
"""A value of a parameter, a number, a `Spread`, text, or None."""

JOB, STATE, SECONDS, COUNT, MISSING = "job", "state", "seconds", "n", "missing"
_FURTHER: Final = ("attempt", "trial", "directory", "error", "overrides", "sha256")
"""What `columns` may ask for besides."""
_NARROWEST_TEXT: Final = 12


@dataclass(frozen=True)
class Table:
    """Named columns, rows of cells, and what of it matters most."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    keys: tuple[str, ...] = ()
    """The columns that are swept keys."""
    objective: str | None = None
    """The column of the objective."""
    is_chosen: bool = False
    """Whether a person chose the columns, so that none may be left out."""
    ranks: Mapping[str, int] = field(default_factory=dict)
    """How soon further columns are left out where a terminal is too narrow; the objective has 0, swept keys 2."""

    def column(self, name: str) -> list[Cell]:
        """The cells of a column."""
        at = self.columns.index(name)
        return [row[at] for row in self.rows]


def params_of(job: JobRecord) -> Mapping[str, Any]:
    """What sets a job apart as plain values by key."""
    if job.params:
        return job.params
    split = (override.partition("=") for override in job.overrides)
    return {key.lstrip("+~"): _scalar(value) for key, _, value in split}


def _scalar(text: str) -> Any:
    try:
        return parse_scalar(text)
    except ValueError:  # too many digits for a number
        return text


def keys_of(sweep: SweepRecord) -> tuple[str, ...]:
    """The swept keys, in the order in which they were given."""
    return tuple(dict.fromkeys(key for job in sweep.jobs for key in params_of(job)))


def results(
    sweep: SweepRecord,
    *,
    by: Sequence[str] = (),
    sort: str | None = None,
    descending: bool | None = None,
    columns: Sequence[str] = (),
) -> Table:
    """The results of a sweep, the best first.

    Arguments:
        sweep: what the ledger tells.
        by: swept keys whose values are averaged over, such as `seed`; a row is then a group of jobs.
        sort: the column to sort by; the objective by default.
        descending: whether the largest comes first; by default only where the objective is maximised.
        columns: the columns to show, in order; all that matter by default.

    Raises:
        UsageError: there is no such key or column.
    """
    keys = keys_of(sweep)
    averaged = [found_name(each, keys, "swept key") for each in by]
    records = _groups(sweep, keys, averaged) if averaged else _jobs(sweep, keys)
    shown = tuple(dict.fromkeys(name for record in records for name in record if name not in _FURTHER))
    shown = shown or (JOB, *_metric_names(sweep), STATE, SECONDS)
    known = (*shown, *(name for name in _FURTHER if not averaged))
    objective = sweep.objective[0] if sweep.objective and sweep.objective[0] in shown else None
    chosen = tuple(found_name(each, known, "column") for each in columns)
    rows = _sorted(records, sweep, None if sort is None else found_name(sort, known, "column"), descending)
    names = chosen or shown
    left = tuple(key for key in keys if key not in averaged and key in names)
    return Table(names, tuple(tuple(row.get(name) for name in names) for row in rows), left, objective, bool(chosen))


def found_name(said: str, names: Sequence[str], what: str) -> str:
    """The name that a person means, who may leave out its first parts where the last ones tell it from the others.

    Raises:
        UsageError: no name is meant, or more than one.
    """
    if said in names:
        return said
    meant = [name for name in names if name.replace("/", ".").endswith("." + said.replace("/", "."))]
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise UsageError(f"'{said}' may mean {' or '.join(meant)}; write it in full")
    lasts = {re.split("[./]", name)[-1]: name for name in reversed(names)}
    near = nearest(said, names) or lasts.get(nearest(said, lasts) or "")
    there = f"did you mean '{near}'?" if near else f"there are {listed(names)}" if names else "there are none"
    raise UsageError(f"there is no {what} '{said}'; {there}")


def _jobs(sweep: SweepRecord, keys: Sequence[str]) -> list[dict[str, Cell]]:
    metrics = _metric_names(sweep)
    return [_record(job, sweep, keys, metrics) for job in sweep.jobs]


def _record(job: JobRecord, sweep: SweepRecord, keys: Sequence[str], metrics: Sequence[str]) -> dict[str, Cell]:
    params = params_of(job)
    return {
        JOB: job.number,
        **{key: params.get(key) for key in keys},
        **{name: _result(job, name, sweep) for name in metrics},
        STATE: job.state,
        SECONDS: job.seconds,
        **{name: getattr(job, name) for name in ("attempt", "trial", "error", "sha256")},
        "directory": str(job.directory),
        "overrides": " ".join(job.overrides),
    }


def _result(job: JobRecord, name: str, sweep: SweepRecord) -> float | None:
    if sweep.objective and name == sweep.objective[0]:
        return job.value
    return job.metrics.get(name)


_STAGES: Final = {"validation": 0, "test": 1, "training": 3}


def _metric_names(sweep: SweepRecord) -> tuple[str, ...]:
    """The objective, then the logged names by their stage."""
    logged = dict.fromkeys(name for job in sweep.jobs for name in job.metrics)
    by_stage = sorted(logged, key=lambda name: _STAGES.get(name.partition("/")[0], 2))
    first = [sweep.objective[0]] if sweep.objective else []
    return tuple(dict.fromkeys([*first, *by_stage]))


# -- groups of jobs ----------------------------------------------------------------------------------------------------


def _groups(sweep: SweepRecord, keys: Sequence[str], averaged: Sequence[str]) -> list[dict[str, Cell]]:
    left = [key for key in keys if key not in averaged]
    groups: dict[str, list[dict[str, Cell]]] = {}
    for record in _jobs(sweep, keys):
        groups.setdefault(json.dumps(plain_json([record[key] for key in left])), []).append(record)
    metrics = _metric_names(sweep)
    rows = [_group(records, left, metrics) for records in groups.values()]
    return rows if any(row[MISSING] for row in rows) else [_without(row, MISSING) for row in rows]


def _group(records: Sequence[Mapping[str, Cell]], left: Sequence[str], metrics: Sequence[str]) -> dict[str, Cell]:
    finished = [record for record in records if record[STATE] == "finished"]
    return {
        **{key: records[0][key] for key in left},
        **{name: _spread(record[name] for record in finished) for name in metrics},
        COUNT: len(finished),
        MISSING: len(records) - len(finished),
        SECONDS: _spread(record[SECONDS] for record in finished),
    }


def _spread(values: Iterable[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    if not all(map(math.isfinite, known)):
        return Spread(math.fsum(known) / len(known) if _is_one_sided(known) else math.nan, math.nan)
    return Spread(statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None)


def _is_one_sided(values: Sequence[float]) -> bool:
    """Whether an average exists: not of NaN, nor of both infinities."""
    return not any(math.isnan(value) for value in values) and not {math.inf, -math.inf} <= set(values)


def _without(row: Mapping[str, Cell], name: str) -> dict[str, Cell]:
    return {key: cell for key, cell in row.items() if key != name}


# -- order -------------------------------------------------------------------------------------------------------------


def _sorted(
    records: Sequence[dict[str, Cell]], sweep: SweepRecord, sort: str | None, descending: bool | None
) -> list[dict[str, Cell]]:
    by = sort or (sweep.objective[0] if sweep.objective else None)
    if by is None:
        return list(records)
    if descending is None:
        descending = sweep.objective == (by, "max")
    is_ranking = sweep.objective is not None and by == sweep.objective[0]
    there = [record for record in records if _is_there(record.get(by), record, is_ranking)]
    rest = [record for record in records if not _is_there(record.get(by), record, is_ranking)]
    there.sort(key=lambda record: _order(record[by]), reverse=descending)
    return there + sorted(rest, key=lambda record: _RANKS.get(record.get(STATE, ""), 0))


_RANKS: Final = {"finished": 0, "pruned": 1, "running": 2, "interrupted": 3, "planned": 4, "failed": 5, "lost": 5}


def _is_there(cell: Cell, record: Mapping[str, Cell], is_ranking: bool) -> bool:
    """Whether a row takes part in the order: not NaN, and not what an unfinished job had come to so far."""
    if is_ranking and record.get(STATE, "finished") != "finished":
        return False
    value = cell.mean if isinstance(cell, Spread) else cell
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def _order(cell: Cell) -> tuple[int, Any]:
    """Numbers before text, and each among its kind."""
    value = cell.mean if isinstance(cell, Spread) else cell
    return (0, value) if isinstance(value, int | float) else (1, spoken(value))


# -- for programs ------------------------------------------------------------------------------------------------------


def as_csv(table: Table) -> str:
    """The table as CSV; a `Spread` takes two columns, `NAME mean` and `NAME std`."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    records = records_of(table)
    names = list(dict.fromkeys(name for record in records for name in record)) or list(table.columns)
    writer.writerow(names)
    writer.writerows([_as_text(record.get(name)) for name in names] for record in records)
    return buffer.getvalue()


def _as_text(cell: Cell) -> Cell:
    """A cell as CSV holds it: numbers in full, lists as JSON, nothing for None."""
    if isinstance(cell, bool | list | tuple | Mapping):
        return json.dumps(plain_json(cell), ensure_ascii=False)
    return cell


def as_json(table: Table) -> str:
    """The table as JSON records; a `Spread` takes two fields, `NAME mean` and `NAME std`."""
    return json.dumps([plain_json(record) for record in records_of(table)], indent=2, ensure_ascii=False)


def records_of(table: Table) -> list[dict[str, Cell]]:
    """The rows by column, a `Spread` as two columns."""
    spreads = _spread_columns(table)
    return [_flat(zip(table.columns, row, strict=True), spreads) for row in table.rows]


def _spread_columns(table: Table) -> set[str]:
    return {name for name in table.columns if any(isinstance(cell, Spread) for cell in table.column(name))}


def _flat(cells_: Iterable[tuple[str, Cell]], spreads: set[str]) -> dict[str, Cell]:
    flat: dict[str, Cell] = {}
    for name, cell in cells_:
        if name in spreads:
            flat[f"{name} mean"] = None if cell is None else cell.mean
            flat[f"{name} std"] = None if cell is None else cell.deviation
        else:
            flat[name] = cell
    return flat


def frame(sweep: SweepRecord) -> polars.DataFrame:
    """The jobs of a sweep as a DataFrame, one row per job in the order of their numbers.

    Columns: `job`, one per swept key, the objective, the other final metrics, `state`, `seconds` and `directory`.
    """
    import polars

    records = _jobs(sweep, keys_of(sweep))
    names = list(dict.fromkeys(name for record in records for name in record if name not in _FURTHER))
    columns = {name: _of_one_type([record[name] for record in records]) for name in [*names, "directory"]}
    return polars.DataFrame([polars.Series(name, values) for name, values in columns.items()])


def _of_one_type(values: Sequence[Cell]) -> list[Cell]:
    """The values as a column can hold them: whole numbers among others become floats, any other mixture text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {str} or (len(kinds) == 1 and not kinds & {list, tuple, dict}):
        return list(values)
    convert = float if kinds <= {int, float} else spoken
    return [None if value is None else convert(value) for value in values]


# -- for people --------------------------------------------------------------------------------------------------------


def as_markdown(table: Table) -> str:
    """The table as Markdown, numbers to the right."""
    written_ = [_written(table, name) for name in table.columns]
    heads = [plain(name).replace("|", "\\|") for name in table.columns]
    columns = [[cell.replace("|", "\\|") for cell in column] for column in written_]
    widths = [max(3, cells(head), *map(cells, column)) for head, column in zip(heads, columns, strict=True)]
    right = [_is_numeric(table.column(name)) for name in table.columns]
    rule = ["-" * (width - 1) + ":" if is_right else "-" * width for width, is_right in zip(widths, right, strict=True)]
    rows = [heads, rule, *zip(*columns, strict=True)] if table.rows else [heads, rule]
    lines = (
        (padded(cell, width, to_right=is_right) for cell, width, is_right in zip(row, widths, right, strict=True))
        for row in rows
    )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_text(table: Table, width: int, *, styles: Mapping[str, str] | None = None) -> list[str]:
    """The table as lines no wider than a terminal, the objective and the swept keys kept longest.

    Arguments:
        table: what to write.
        width: columns of the terminal.
        styles: colour of the rows by their `state`; none by default. The best row is then emphasised.
    """
    full = {name: _written(table, name) for name in table.columns}
    heads = _heads(table, full, width)
    shown = _shown(table, full, heads, width)
    widths = _widths(shown, full, heads, width)
    right = {name: _is_numeric(table.column(name)) for name in shown}

    def line(row: Mapping[str, str]) -> str:
        return "  ".join(padded(fitted(row[name], widths[name]), widths[name], to_right=right[name]) for name in shown)

    most = 10**6 if table.is_chosen else width  # what a person asked for is never cut off
    head = fitted(line(heads).rstrip(), most)
    lines = [head if styles is None else painted(head, "faint")]
    looks = _looks(table, styles or {})
    for at, look in enumerate(looks):
        text = fitted(line({name: full[name][at] for name in shown}).rstrip(), most)
        lines.append(text if styles is None else painted(text, look))
    left_out = [name for name in table.columns if name not in shown]
    return lines + _said_of(left_out, width)


def _looks(table: Table, styles: Mapping[str, str]) -> list[str]:
    """The style of each row: that of its state where it has not finished, and bold for the best."""
    states = table.column(STATE) if STATE in table.columns else ["finished"] * len(table.rows)
    looks = ["" if state == "finished" else styles.get(state, "") for state in states]
    if table.objective and "finished" in states:
        looks[states.index("finished")] = "bold"
    return looks


def _said_of(names: Sequence[str], width: int) -> list[str]:
    if not names:
        return []
    told = [plain(name) for name in names]
    for kept in range(len(told), 0, -1):
        more = f" and {len(told) - kept} more" if kept < len(told) else ""
        said = f"not shown: {', '.join(told[:kept])}{more} (--columns NAME ...)"
        if cells(said) <= width:
            return ["", said]
    return ["", fitted(f"not shown: {', '.join(told)}", width)]


def _written(table: Table, name: str) -> list[str]:
    """The cells of a column in words: of a metric with digits alike, of a parameter as it was given."""
    column = table.column(name)
    form = _form(name, column)
    if any(isinstance(cell, Spread) for cell in column):
        return _even([_spread_written(cell, form) for cell in column])
    if name not in table.keys and any(isinstance(cell, float) for cell in column) and _is_numeric(column):
        return ["" if cell is None else written(cell, form) for cell in column]
    return ["" if cell is None else spoken(cell) for cell in column]


def _form(name: str, column: Sequence[Cell]) -> str:
    if name == SECONDS:
        return ".1f"
    means = (cell.mean if isinstance(cell, Spread) else cell for cell in column)
    return form_of(float(mean) for mean in means if isinstance(mean, int | float))


def _spread_written(cell: Spread | None, form: str) -> tuple[str, str]:
    if cell is None:
        return "", ""
    return written(cell.mean, form), "" if cell.deviation is None else written(cell.deviation, form)


def _even(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Means and deviations with their signs below each other."""
    widths = [max(len(pair[at]) for pair in pairs) for at in (0, 1)]
    if not widths[1]:
        return [mean for mean, _ in pairs]
    return [
        f"{mean:>{widths[0]}} {'±' if deviation else ' '} {deviation:>{widths[1]}}" if mean else ""
        for mean, deviation in pairs
    ]


def _is_number(cell: Cell) -> bool:
    return cell is None or (isinstance(cell, int | float) and not isinstance(cell, bool))


def _is_numeric(column: Sequence[Cell]) -> bool:
    return all(isinstance(cell, Spread) or _is_number(cell) for cell in column)


def _heads(table: Table, full: Mapping[str, Sequence[str]], width: int) -> dict[str, str]:
    """The columns' names; those of swept keys without their first parts where the table is wider than the terminal."""
    heads = {name: plain(name) for name in table.columns}
    wide = sum(_natural(full[name], heads[name]) + 2 for name in table.columns) - 2
    return heads if wide <= width else heads | {key: plain(name) for key, name in short_names(table.keys).items()}


def _natural(column: Sequence[str], head: str) -> int:
    return max([cells(head), *map(cells, column)])


def _shown(table: Table, full: Mapping[str, Sequence[str]], heads: Mapping[str, str], width: int) -> list[str]:
    """The columns that fit, taken by their importance and left in their order."""
    if table.is_chosen:
        return list(table.columns)
    least = {name: min(_natural(full[name], heads[name]), _least(table, name, heads[name])) for name in table.columns}
    room, kept = width + 2, set[str]()
    for name in sorted(table.columns, key=lambda name: _importance(table, name)):
        room -= least[name] + 2
        if room < 0 and kept:
            break
        kept.add(name)
    return [name for name in table.columns if name in kept]


def _least(table: Table, name: str, head: str) -> int:
    """How narrow a column may become: text may be cut, numbers not."""
    is_text = name in table.keys and not _is_numeric(table.column(name))
    return max(_NARROWEST_TEXT, min(cells(head), 20)) if is_text else 10**6


def _importance(table: Table, name: str) -> int:
    ranks: dict[str | None, int] = {table.objective: 0, JOB: 1, COUNT: 3, MISSING: 3, SECONDS: 6}
    ranks.update(table.ranks)
    if name in ranks:
        return ranks[name]
    if name in table.keys:
        return 2
    if name == STATE:
        return 7 if {*table.column(STATE)} == {"finished"} else 3
    return 4 + _STAGES.get(name.partition("/")[0], 2)


def _widths(
    shown: Sequence[str], full: Mapping[str, Sequence[str]], heads: Mapping[str, str], width: int
) -> dict[str, int]:
    """The columns' widths; the widest are cut until the line fits."""
    widths = {name: _natural(full[name], heads[name]) for name in shown}
    while sum(widths.values()) + 2 * (len(widths) - 1) > width and max(widths.values()) > _NARROWEST_TEXT:
        widest = max(widths, key=lambda name: widths[name])
        widths[widest] -= 1
    return widths

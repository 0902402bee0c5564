"""Many runs as a table: how each stands, which hyperparameters tell them apart, and what they came to."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from hydrantic.errors import UsageError
from hydrantic.records import STATES, Record
from hydrantic.source import KeyPath, dotted
from hydrantic.suggestions import did_you_mean
from hydrantic.sweeping.table import SECONDS, STATE, Cell, Table, found_name
from hydrantic.sweeping.words import duration
from hydrantic.where import Condition

RUN, NAME, BEGAN, ERROR, DIRECTORY = "run", "name", "began", "error", "directory"
FINAL: Final = "final."
"""What stands before a logged name whose last value is meant, not the one at the best checkpoint."""

_COLUMNS: Final[Mapping[str, Callable[[Record], Cell]]] = {
    RUN: lambda record: record.label,
    STATE: lambda record: record.state,
    BEGAN: lambda record: record.began,
    SECONDS: lambda record: record.seconds,
    NAME: lambda record: record.name,
    "sweep": lambda record: record.sweep,
    ERROR: lambda record: record.error or None,
    DIRECTORY: lambda record: str(record.directory),
    "commit": lambda record: at(record.fields, ("git", "commit")),
    **{
        name: lambda record, name=name: record.fields.get(name)  # type: ignore[misc]  # mypy sees no type of a default
        for name in ("host", "device", "processes", "attempt", "best_checkpoint", "rerun_of")
    },
}
"""What a column may be besides a hyperparameter and a metric."""
_TIME: Final = "time"
_OTHER_WORDS: Final = {"status": STATE, _TIME: SECONDS}
_NO_HYPERPARAMETERS: Final = ("name", "description", "requires", "loggers")
"""Sections that tell runs apart without changing what is learnt."""
_STAGES: Final = {"validation": 0, "test": 1, "training": 3}
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d")


@dataclass(frozen=True)
class Listing:
    """The runs that were chosen, in their order, and the table that tells of them."""

    records: tuple[Record, ...]
    table: Table
    total: int
    """How many there are where only the first are shown."""


def listing(
    records: Sequence[Record],
    *,
    where: Sequence[Condition] = (),
    states: Sequence[str] = (),
    sort: str | None = None,
    descending: bool | None = None,
    columns: Sequence[str] = (),
    most: int | None = None,
) -> Listing:
    """The runs that fulfil all conditions, as a table; the latest first.

    Arguments:
        records: the runs.
        where: the conditions.
        states: how a run may stand; in any way by default.
        sort: the column to sort by; when they began by default.
        descending: whether the largest comes first; by default only of an objective that is maximised.
        columns: what to show, in order; by default what tells the runs apart and what they came to.
        most: how many rows there may be.

    Raises:
        UsageError: there is no such name or state, or a condition compares what has no order.
    """
    if not records:
        return Listing((), table_of(()), 0)
    names = _Names(records)
    chosen = selected(records, where, states, names)
    ordered = _sorted(chosen, None if sort is None else names.meant(sort, "--sort"), descending)
    shown = ordered if most is None else ordered[:most]
    table = table_of(shown, tuple(names.meant(each, "--columns") for each in columns))
    if sort is None or names.meant(sort, "--sort") != table.objective:  # then the first is not the best
        table = replace(table, objective=None)
    return Listing(tuple(shown), table, len(ordered))


def selected(
    records: Sequence[Record], where: Sequence[Condition], states: Sequence[str], names: _Names
) -> list[Record]:
    """The runs that fulfil all conditions.

    Raises:
        UsageError: there is no such name or state, or a condition compares what has no order.
    """
    for state in (*states, *(each.said for each in where if _asks_for_state(each))):
        if state not in STATES:
            raise UsageError(f"a run cannot be '{state}'{did_you_mean(state, STATES)}")
    chosen = [record for record in records if not states or record.state in states]
    for condition in where:
        name = names.meant(condition.name, f"--where {condition.text}")
        known = [(record, value_of(record, name)) for record in records]
        _check_order(condition, name, [value for _, value in known if value is not None])
        kept = {id(record) for record, value in known if condition.holds(value)}
        chosen = [record for record in chosen if id(record) in kept]
    return chosen


def _asks_for_state(condition: Condition) -> bool:
    return _OTHER_WORDS.get(condition.name, condition.name) == STATE and condition.sign in {"=", "!="}


def _check_order(condition: Condition, name: str, values: Sequence[Any]) -> None:
    if condition.is_order and values and not any(map(condition.can_compare, values)):
        kind = "text" if isinstance(condition.wanted, str) else "a number"
        example = next(value for value in values if value is not None)
        raise UsageError(f"--where {condition.text}: {name} is such as {example!r}, which {kind} has no order with")


# -- names -------------------------------------------------------------------------------------------------------------


class _Names:
    """The names that conditions and columns may have; they are gathered where one is not plainly there.

    Arguments:
        records: the runs.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records

    def meant(self, said: str, where: str) -> str:
        """The name that a person means, who may leave out its first parts where the last ones tell it from others.

        Raises:
            UsageError: no name is meant, or more than one.
        """
        said = _OTHER_WORDS.get(said, said)
        if said in _COLUMNS or any(value_of(record, said) is not None for record in self._records):
            return said
        known = self._all()
        if said in known:
            return said
        if said.startswith(FINAL):
            return FINAL + self._found(said.removeprefix(FINAL), self._logged(), where)
        return self._found(said, known, where)

    def _found(self, said: str, known: Sequence[str], where: str) -> str:
        try:
            return found_name(said, known, "hyperparameter, metric or column")
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None

    def _all(self) -> list[str]:
        keys = dict.fromkeys(dotted(path) for path in leaves([record.values for record in self._records]))
        return [*self._logged(), *_COLUMNS, *keys]

    def _logged(self) -> list[str]:
        return list(dict.fromkeys(name for record in self._records for name in record.best))


def value_of(record: Record, name: str) -> Any:
    """What a run has under a name, such as `optimizer.lr`, `validation/loss` or `state`; None where it has nothing."""
    if name in _COLUMNS:
        return _COLUMNS[name](record)
    if name.startswith(FINAL):
        return record.final.get(name.removeprefix(FINAL))
    if "/" in name and (metric := record.best.get(name)) is not None:
        return metric
    value: Any = at(record.values, tuple(name.split(".")))
    return record.best.get(name) if value is None else value


def at(values: Any, path: KeyPath) -> Any:
    """The part of nested mappings at a path; None where there is none."""
    for part in path:
        if not isinstance(values, Mapping):
            return None
        values = values.get(part)
    return values


def leaves(many: Sequence[Any], path: KeyPath = ()) -> Iterator[KeyPath]:
    """The path of every value in many nested mappings, each once."""
    below = _distinct([each for each in many if isinstance(each, Mapping)])
    if any(not isinstance(each, Mapping) for each in many) and path:
        yield path
    for key in dict.fromkeys(key for each in below for key in each):
        yield from leaves(_distinct([each[key] for each in below if key in each]), (*path, key))


def _distinct(values: Sequence[Any]) -> list[Any]:
    """The values, those left out that are like the one before: in most runs a section is."""
    return [value for at, value in enumerate(values) if not at or value != values[at - 1]]


# -- what tells runs apart ---------------------------------------------------------------------------------------------


def changed(records: Sequence[Record]) -> list[str]:
    """The hyperparameters in which runs differ, in the order of the blueprint.

    Where runs have different components, that is one difference: the component's name. Its fields count where runs that
    have them differ in them.
    """
    values = [record.values for record in records if record.values]
    found = differing(values, ()) if values else []
    return [dotted(path) for path in found if path[0] not in _NO_HYPERPARAMETERS]


def differing(many: Sequence[Any], path: KeyPath) -> Iterator[KeyPath]:
    """The paths at which nested mappings differ.

    Arguments:
        many: the values of runs that have one here.
        path: where `here` is.
    """
    first = many[0]
    if all(each is first or each == first for each in many):
        return
    blocks = [each for each in many if isinstance(each, Mapping)]
    if not blocks:
        yield path
        return
    if len(blocks) < len(many):  # a component, and none
        yield (*path, "name") if all("name" in each for each in blocks) else path
    keys = dict.fromkeys(key for each in blocks for key in each)
    is_replaced = len({str(each.get("name")) for each in blocks}) > 1
    for key in keys:
        there = [each[key] for each in blocks if key in each]
        if key == "name" and len(blocks) < len(many):
            continue
        if len(there) < len(blocks) and not is_replaced:
            yield (*path, key)
        else:
            yield from differing(there, (*path, key))


# -- order -------------------------------------------------------------------------------------------------------------


def _sorted(records: Sequence[Record], sort: str | None, descending: bool | None) -> list[Record]:
    by = sort or BEGAN
    if descending is None:
        descending = sort is None or _is_maximised(records, by)
    valued = [(record, value_of(record, by)) for record in records]
    there = [(record, value) for record, value in valued if not _is_nothing(value)]
    there.sort(key=lambda pair: (_order(pair[1]), pair[0].label), reverse=descending)
    return [record for record, _ in there] + [record for record, value in valued if _is_nothing(value)]


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _order(value: Any) -> tuple[int, Any]:
    """Numbers before text, and each among its kind."""
    if isinstance(value, Mapping):
        value = value.get("name", value)
    return (0, value) if isinstance(value, int | float) else (1, str(value))


def _is_maximised(records: Sequence[Record], name: str) -> bool:
    modes = {record.objective[1] for record in records if record.objective and record.objective[0] == name}
    return modes == {"max"}


# -- the table ---------------------------------------------------------------------------------------------------------


def table_of(records: Sequence[Record], columns: Sequence[str] = ()) -> Table:
    """The runs as a table, in their order.

    Arguments:
        records: the runs.
        columns: what to show; by default what tells the runs apart and what they came to.
    """
    keys = changed(records)
    objective = _objective(records)
    names = tuple(columns) or (RUN, STATE, BEGAN, SECONDS, *keys, *_metrics(records, objective))
    rows = tuple(tuple(_cell(value_of(record, name)) for name in names) for record in records)
    left = tuple(name for name in names if name in keys or not (name in _COLUMNS or _is_logged(name, records)))
    ranks = {RUN: 0, STATE: 0, SECONDS: 0, BEGAN: 3, **{key: 1 for key in keys if key.endswith(".name")}}
    if all(_DATE.search(record.label) for record in records):  # which tells when it began
        ranks[BEGAN] = 8
    if objective is not None:
        ranks[objective] = 0
    return Table(names, rows, left, objective if objective in names else None, bool(columns), ranks)


def _is_logged(name: str, records: Sequence[Record]) -> bool:
    return any(name.removeprefix(FINAL) in record.best for record in records)


def _cell(value: Any) -> Cell:
    return value.get("name", value) if isinstance(value, Mapping) else value


def _objective(records: Sequence[Record]) -> str | None:
    """What most of the runs optimise."""
    said = Counter(record.objective[0] for record in records if record.objective)
    return said.most_common(1)[0][0] if said else None


def _metrics(records: Sequence[Record], objective: str | None) -> list[str]:
    """The objective, then the logged names by their stage."""
    logged = dict.fromkeys(name for record in records for name in record.best if name != "epoch")
    by_stage = sorted(logged, key=lambda name: _STAGES.get(name.partition("/")[0], 2))
    return list(dict.fromkeys([*([objective] if objective in logged else []), *by_stage]))


def for_people(table: Table) -> Table:
    """The table with times as a person says them."""
    if SECONDS not in table.columns:
        return table
    place = table.columns.index(SECONDS)
    rows = tuple(
        tuple(duration(cell) if at == place and cell is not None else cell for at, cell in enumerate(row))
        for row in table.rows
    )
    columns = tuple(_TIME if name == SECONDS else name for name in table.columns)
    return replace(table, columns=columns, rows=rows, ranks={**table.ranks, _TIME: table.ranks[SECONDS]})


_REASONS: Final = 5


def reasons(records: Sequence[Record]) -> list[str]:
    """Why runs have failed or cannot be read, a line for each of the first ones."""
    said = [
        f"{record.label} {_HOW.get(record.state, record.state)}: {record.error}" for record in records if record.error
    ]
    left = len(said) - _REASONS
    return [*said[:_REASONS], *([f"... and {left:,} more (--columns run error)"] if left > 0 else [])]


_HOW: Final = {"broken": "is broken"}

"""The traces of two runs, their `metrics.csv`, compared row by row to the last bit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from hydrantic.metrics_table import counted_in, rows_in

Row: TypeAlias = Mapping[str, str]
"""What was logged at a step, by column, as it is written: a number's shortest text that reads back as that number."""

_WHEN: Final = ("step", "epoch")


@dataclass(frozen=True)
class Departure:
    """The first value of a trace that was not repeated."""

    row: int
    """How many rows were alike before."""
    step: int | None
    epoch: int | None
    column: str
    """The logged name, or `step` where a row is missing, new, or of another step."""
    recorded: str | None
    """The value that was logged; None where there was none."""
    present: str | None
    """The value that is logged now; None where there is none."""

    @property
    def relative(self) -> float | None:
        """How much the values differ, as a share of the recorded one; None where that is no number."""
        if self.recorded is None or self.present is None or self.column in _WHEN:
            return None
        before, after = _number(self.recorded), _number(self.present)
        if before is None or after is None or before == 0:
            return None
        share = abs((after - before) / before)
        return share if math.isfinite(share) else None

    def to_plain(self) -> dict[str, Any]:
        """The departure as a record for a program."""
        return {
            "rows_before": self.row,
            "step": self.step,
            "epoch": self.epoch,
            "column": self.column,
            "recorded": self.recorded,
            "present": self.present,
            "relative": self.relative,
        }

    def __str__(self) -> str:
        at = f"step {self.step}" if self.epoch is None else f"step {self.step} (epoch {self.epoch})"
        if self.column in _WHEN:
            return self._of_a_row(at)
        if self.recorded is None:
            return f"{at}: {self.column} was not logged, and is {self.present} now"
        if self.present is None:
            return f"{at}: {self.column} was {self.recorded}, and is not logged now"
        share = "" if self.relative is None else f" (relative difference {self.relative:.1e})"
        return f"{at}: {self.column} was {self.recorded}, and is {self.present} now{share}"

    def _of_a_row(self, at: str) -> str:
        if self.recorded is None:
            return f"{at}: nothing was logged there, and something is now"
        if self.present is None:
            return f"{at}: nothing is logged there now"
        return f"{at}: the {self.column} of row {self.row + 1} was {self.recorded}, and is {self.present} now"


@dataclass(frozen=True)
class Comparison:
    """How much of a trace was repeated."""

    rows: int
    """How many rows were recorded."""
    values: int
    """How many values were compared and are the same."""
    departure: Departure | None
    """Where the traces part first; None where they do not."""


def read_trace(run: Path, *, without: tuple[str, ...] = ()) -> list[Row]:
    """The rows of a run's `metrics.csv`; none where there is no such file. What a kill tore is left out.

    Arguments:
        run: the run's directory.
        without: beginnings of logged names that are left out.

    Raises:
        UsageError: the file is no table.
    """
    try:
        columns, *rows = rows_in(run / "metrics.csv") or [[]]
    except OSError:
        return []
    kept = [name for name in columns if not name.startswith(without)] if without else columns
    whole = (dict(zip(columns, row, strict=True)) for row in rows if len(row) == len(columns))
    cells = ({name: row[name] for name in kept if row[name]} for row in whole)
    return [row for row in cells if row.keys() - _WHEN]


def compared(recorded: Sequence[Row], present: Sequence[Row], *, to_the_end: bool = True) -> Comparison:
    """Two traces, value by value.

    Arguments:
        recorded: the rows of the first run.
        present: those of its repetition.
        to_the_end: whether the first came to its end; otherwise the second may have more, in its last row too.
    """
    values = 0
    for number, before in enumerate(recorded):
        after = present[number] if number < len(present) else {}
        is_torn = not to_the_end and number == len(recorded) - 1
        columns = before if is_torn else {**before, **after}
        parting = next((name for name in _in_order(columns) if before.get(name) != after.get(name)), None)
        if parting is not None:
            return Comparison(len(recorded), values, _departure(number, parting, before, after))
        values += len(before.keys() - _WHEN)
    if to_the_end and len(present) > len(recorded):
        return Comparison(len(recorded), values, _departure(len(recorded), "step", {}, present[len(recorded)]))
    return Comparison(len(recorded), values, None)


def _in_order(columns: Mapping[str, str]) -> Iterator[str]:
    """The columns, those first that tell which row it is."""
    yield from (name for name in _WHEN if name in columns)
    yield from (name for name in columns if name not in _WHEN)


def _departure(number: int, column: str, before: Row, after: Row) -> Departure:
    where = before or after
    step, epoch = (counted_in(where.get(name, "")) for name in _WHEN)
    return Departure(number, step, epoch, column, before.get(column), after.get(column))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None

"""Reading the `metrics.csv` of a run, whole or as one curve for each logged name."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hydrantic.errors import UsageError
from hydrantic.source import display

FIRST_COLUMNS: Final = ("step", "epoch")
"""The columns that say when; every other one is a logged name."""

Row = dict[str, int | float]
"""The values of one step by their column."""


def read_metrics(path: Path) -> list[Row]:
    """The rows of a `metrics.csv`; a value that was not logged in a step is missing from its row."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: _parsed(text) for name, text in row.items() if text} for row in csv.DictReader(file)]


def rows_in(file: Path) -> list[list[str]]:
    """The cells of a `metrics.csv`, its columns first; a line that a kill tore is left out.

    Raises:
        OSError: it cannot be read.
        UsageError: it is no table.
    """
    text = file.read_text("utf-8", errors="replace")
    try:
        return list(csv.reader(io.StringIO(text[: text.rfind("\n") + 1], newline="")))
    except csv.Error as error:
        raise UsageError(f"{display(file)} cannot be read: {error}") from error


def _parsed(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


@dataclass(frozen=True)
class Curve:
    """The values of one logged name over the steps of a run, in their order."""

    name: str
    steps: tuple[int, ...]
    """The step of each value."""
    epochs: tuple[float, ...]
    """How many epochs had passed by then: 0.5 in the middle of the first, 1 at its end."""
    values: tuple[float, ...]
    """They may be NaN or infinite."""

    @property
    def stage(self) -> str:
        """`training`, `validation` or `test`; empty where the name has no stage."""
        return self.name.rpartition("/")[0]

    @property
    def metric(self) -> str:
        """The name without its stage: `loss` of `validation/loss`."""
        return self.name.rpartition("/")[2]


def read_curves(run: Path) -> dict[str, Curve]:
    """The curve of every name that a run has logged, in the order of the columns of its `metrics.csv`.

    A line that a kill tore is left out; where there is no file yet, there are no curves.

    Arguments:
        run: the run's directory.

    Raises:
        UsageError: the file is no table.
    """
    file = run / "metrics.csv"
    if not file.is_file():
        return {}
    columns, *every = rows_in(file) or [[]]
    if columns[:1] != ["step"]:
        return {}
    rows = [row for row in every if len(row) == len(columns)]
    points = {name: _points(rows, at) for at, name in enumerate(columns) if name not in FIRST_COLUMNS}
    epoch_of = _epochs(rows, columns.index("epoch")) if "epoch" in columns else {}
    return {name: _curve(name, found, epoch_of) for name, found in points.items() if found}


def _points(rows: list[list[str]], at: int) -> dict[int, float]:
    """The values of a column by their step."""
    found: dict[int, float] = {}
    for row in rows:
        if row[at] and (step := counted_in(row[0])) is not None:
            try:
                found[step] = float(row[at])
            except ValueError:  # torn
                continue
    return found


def _epochs(rows: list[list[str]], at: int) -> dict[int, int]:
    pairs = ((counted_in(row[0]), counted_in(row[at])) for row in rows)
    return {step: epoch for step, epoch in pairs if step is not None and epoch is not None}


def counted_in(text: str) -> int | None:
    """The number of a step or an epoch; None where a text is none, or one of more digits than any can have."""
    return int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else None


_MOST_DIGITS: Final = 18


def _curve(name: str, points: Mapping[int, float], epoch_of: Mapping[int, int]) -> Curve:
    steps = list(points)
    # What is logged after training bears the number of the epoch that would have come next.
    is_after = name.startswith("test/")
    passed = tuple(float(epoch_of.get(step, 0)) for step in steps) if is_after else _passed(steps, epoch_of)
    return Curve(name, tuple(steps), passed, tuple(points.values()))


def _passed(steps: list[int], epoch_of: Mapping[int, int]) -> tuple[float, ...]:
    """How many epochs had passed at each step, the values of an epoch spread over it evenly."""
    epochs: list[int] = []
    for step in steps:
        epochs.append(epoch_of.get(step, epochs[-1] if epochs else 0))
    counts: dict[int, int] = {}
    for epoch in epochs:
        counts[epoch] = counts.get(epoch, 0) + 1
    seen: dict[int, int] = {}
    passed = []
    for epoch in epochs:
        seen[epoch] = seen.get(epoch, 0) + 1
        passed.append(epoch + seen[epoch] / counts[epoch])
    return tuple(passed)

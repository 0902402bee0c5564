"""How a CSV file can be trained on: which column is predicted, and from which others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from hydrantic.components import Component, choose
from hydrantic.errors import InvalidField, UsageError
from hydrantic.facts import Facts
from hydrantic.scaffold.survey import Column, Marks, Survey, refuse_other_files, shown, survey
from hydrantic.scaffold.texts import TABLE_DATA
from hydrantic.source import display
from hydrantic.suggestions import did_you_mean
from hydrantic.texts import listed

_FEWEST_ROWS: Final = 10
"""Fewer cannot be split into a training, a validation and a test part that mean anything."""

_MUCH_MISSING: Final = 0.2


@dataclass(frozen=True)
class Choice:
    """How a table is used: each column's part in it."""

    table: Survey
    target: str
    is_default_target: bool
    id: str | None
    left_out: Mapping[str, str]
    """Columns that are no inputs, with the reason."""
    categorical: tuple[str, ...]
    missing: Literal["error", "drop", "mean"]
    missing_values: tuple[str, ...] | None
    """All marks of a missing value, where there are others than usual."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the input columns."""
        no_inputs = {self.target, self.id, *self.left_out}
        return tuple(name for name in self.table.names if name not in no_inputs)

    def fields(self, path: str, usual_separator: str) -> dict[str, Any]:
        """The fields of the data component that differ from its defaults."""
        chosen: dict[str, Any] = {"path": path, "target": self.target}
        if self.id is not None:
            chosen["id"] = self.id
        if self.left_out:
            chosen["features"] = list(self.features)
        if self.categorical:
            chosen["categorical"] = list(self.categorical)
        if self.missing != "error":
            chosen["missing"] = self.missing
        if self.missing_values is not None:
            chosen["missing_values"] = list(self.missing_values)
        if self.table.separator != usual_separator:
            chosen["separator"] = self.table.separator
        return chosen


@dataclass(frozen=True)
class Table:
    """A table that can be trained on: how it is used, and what the data component says of it."""

    choice: Choice
    facts: Facts
    mean: float
    """Mean of the training part's targets, for a regression."""
    std: float
    """Their standard deviation."""
    usual_separator: str = field(repr=False)

    @property
    def is_regression(self) -> bool:
        """Whether a number is predicted."""
        return self.facts.task == "regression"

    @property
    def rows(self) -> int:
        """Number of rows that are used."""
        return sum(each or 0 for each in (self.facts.train_size, self.facts.validation_size, self.facts.test_size))


def read_table(file: Path, target: str | None) -> Table:
    """Find out how a CSV file can be trained on, and let the data component that will read it confirm it.

    Arguments:
        file: the CSV file.
        target: name of the column to predict; by default the last.

    Raises:
        UsageError: the file cannot be read, or nothing can be predicted from it; the message says what to do.
    """
    refuse_other_files(file)
    defaults = choose("data", {"name": TABLE_DATA, "path": str(file.absolute()), "target": ""}).hparams
    marks = Marks(frozenset(defaults["missing_values"]), defaults["max_categories"])
    choice = _choose_columns(survey(file, marks), target, defaults["missing_values"])
    fields = choice.fields(str(file.absolute()), defaults["separator"])
    return _confirmed(choice, choose("data", {"name": TABLE_DATA, **fields}), defaults["separator"])


def _confirmed(choice: Choice, component: Component[Any], separator: str) -> Table:
    try:
        data = component.build()
        facts = data.facts()
        targets = data.samples.targets[data.indices[0]].double()
    except InvalidField as error:
        raise UsageError(_refused(choice.table.file, error.message)) from error
    except (MemoryError, RuntimeError) as error:  # torch's way to say that a table is too large
        raise UsageError(f"{display(choice.table.file)} cannot be read: {error}") from error
    table = Table(choice, facts, float(targets.mean()), float(targets.std()), separator)
    if table.rows < _FEWEST_ROWS:
        without = " without a missing value" if choice.missing == "drop" else ""
        raise UsageError(_too_few(choice.table, f"{table.rows} rows{without}"))
    return table


def _refused(file: Path, message: str) -> str:
    said = message.replace(str(file.absolute()), display(file))
    return said if said.startswith(display(file)) else f"{display(file)}: {said}"


def _too_few(table: Survey, rows: str) -> str:
    return f"{display(table.file)}: {rows} are too few to train, validate and test; it takes {_FEWEST_ROWS} at least"


def _choose_columns(table: Survey, target: str | None, marks: Sequence[str]) -> Choice:
    """Each column's part in a table.

    Arguments:
        table: what the columns hold.
        target: name of the column to predict; by default the last.
        marks: what usually stands for a missing value.

    Raises:
        UsageError: there is no such target, it cannot be predicted, or nothing is left to predict it from.
    """
    if target is not None and target not in table.names:
        raise UsageError(
            f"--target {target}: {display(table.file)} has no such column"
            f"{did_you_mean(target, [shown(name) for name in table.names])}"
        )
    if table.rows < _FEWEST_ROWS:
        raise UsageError(_too_few(table, f"{table.rows} rows"))
    _refuse_decimal_commas(table)
    predicted = table.column(target or table.names[-1])
    _refuse_target(table, predicted, is_default=target is None)
    others = [each for each in table.columns if each is not predicted]
    named = next((each.name for each in others if each.is_id), None)
    reasons = {each.name: _reason(each, table, drops=predicted.missing > 0) for each in others if each.name != named}
    left_out = {name: reason for name, reason in reasons.items() if reason}
    inputs = [each for each in others if each.name != named and each.name not in left_out]
    if not inputs:
        why = "".join(f"\n  {shown(name)}: {reason}" for name, reason in left_out.items())
        raise UsageError(f"{display(table.file)} has no column to predict '{shown(predicted.name)}' from{why}")
    used = [*inputs, predicted]
    return Choice(
        table=table,
        target=predicted.name,
        is_default_target=target is None,
        id=named,
        left_out=left_out,
        categorical=tuple(each.name for each in used if each.kind == "mixed" and not each.placeholders),
        missing="drop" if predicted.missing else "mean" if any(each.missing for each in inputs) else "error",
        missing_values=_marks(used, marks),
    )


def _marks(columns: Sequence[Column], usual: Sequence[str]) -> tuple[str, ...] | None:
    found = sorted({mark for each in columns for mark in (*each.placeholders, *each.spaced)} - set(usual))
    return (*usual, *found) if found else None


def _refuse_decimal_commas(table: Survey) -> None:
    column = next((each for each in table.columns if each.kind == "decimal comma"), None)
    if column is None:
        return
    raise UsageError(
        f"{display(table.file)}: column '{shown(column.name)}' holds numbers with a comma, such as {column.example}; "
        f"write them with a decimal point and nothing between thousands{_with_points(table, column)}"
    )


def _with_points(table: Survey, column: Column) -> str:
    """The command that writes a table without thousands anew."""
    if any("." in each for each in column.odd):
        return ""
    file, to = table.file.name, f"{table.file.stem}-points.csv"
    code = f"import polars; polars.read_csv({file!r}, separator={table.separator!r}, decimal_comma=True)"
    return f'. In the file\'s folder, this does so:\n  python -c "{code}.write_csv({to!r})"'


def _refuse_target(table: Survey, column: Column, *, is_default: bool) -> None:
    reason = _no_target(column)
    if reason is None and is_default and column.is_id:
        reason = "names the rows"
    if reason is None:
        return
    possible = [shown(each.name) for each in table.columns if _no_target(each) is None and not each.is_id]
    which = ", which is the last column," if is_default else ""
    raise UsageError(
        f"{display(table.file)}: '{shown(column.name)}'{which} cannot be predicted: it {reason}; "
        + (f"choose another with --target NAME: {listed(possible)}" if possible else "nor can any other column")
    )


def _no_target(column: Column) -> str | None:
    """Why a column cannot be predicted."""
    if column.kind != "empty" and column.is_constant:
        return "has the same value in every row"
    return _no_values(column)


def _no_values(column: Column) -> str | None:
    """Why a column's values cannot be made numbers or categories."""
    if column.kind == "empty":
        return "has no values at all"
    if column.kind == "dates":
        return f"holds dates such as {shown(column.example)}"
    if column.kind == "text" and column.is_unique and column.present > 1:
        return "is text, and different in every row"
    if column.kind == "text" and not column.has_few_values:
        return f"is text with more than {column.marks.categories} different values"
    if column.kind == "mixed" and not column.placeholders and not column.has_few_values:
        return f"holds numbers, but also '{shown(column.example)}'"
    return None


def _reason(column: Column, table: Survey, *, drops: bool) -> str | None:
    """Why a column is no input."""
    if column.is_id:
        return "names the rows"
    reason = _no_values(column)
    share = column.missing / table.rows
    if reason is None and drops and share > _MUCH_MISSING:
        return f"is missing in {share:.0%} of the rows, and rows with missing values are dropped"
    return reason


def said_of_task(table: Table) -> str:
    """What is predicted, in words."""
    facts = table.facts
    if table.is_regression:
        return "a number, so this is a regression"
    names = [shown(each) for each in facts.class_names or ()]
    return f"{len(names)} classes: {listed(names, 5)}"

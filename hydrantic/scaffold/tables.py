"""A blueprint that suits a CSV file: which column is predicted from which, by what, and how it is scored."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from hydrantic.components import Component, choose
from hydrantic.errors import InvalidField, UsageError
from hydrantic.facts import Facts
from hydrantic.scaffold.survey import Column, Marks, Survey, refuse_other_files, shown, survey
from hydrantic.scaffold.texts import IN_UNITS_MODEL, SCHEMA_LINE, TABLE_DATA
from hydrantic.source import display
from hydrantic.suggestions import did_you_mean
from hydrantic.yaml_text import to_yaml

Missing: TypeAlias = Literal["error", "drop", "mean"]

FEWEST_ROWS: Final = 10
"""Fewer cannot be split into a training, a validation and a test part that mean anything."""

_MUCH_MISSING: Final = 0.2
_COMMENT_AT: Final = 34


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
    missing: Missing
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
    choice = choose_columns(survey(file, marks), target, defaults["missing_values"])
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
    if table.rows < FEWEST_ROWS:
        raise UsageError(f"{display(choice.table.file)}: {_too_few(table.rows, choice)}")
    return table


def _refused(file: Path, message: str) -> str:
    said = message.replace(str(file.absolute()), display(file))
    return said if said.startswith(display(file)) else f"{display(file)}: {said}"


def _too_few(rows: int, choice: Choice) -> str:
    used = f"{rows} rows without a missing value" if choice.missing == "drop" else f"{rows} rows"
    return f"{used} are too few to train, validate and test; it takes {FEWEST_ROWS} at least"


def choose_columns(table: Survey, target: str | None, marks: Sequence[str]) -> Choice:
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
    if table.rows < FEWEST_ROWS:
        raise UsageError(
            f"{display(table.file)}: {table.rows} rows are too few to train, validate and test; it takes "
            f"{FEWEST_ROWS} at least"
        )
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
    others = ", ".join(possible[:12]) + (", ..." if len(possible) > 12 else "")
    which = ", which is the last column," if is_default else ""
    raise UsageError(
        f"{display(table.file)}: '{shown(column.name)}'{which} cannot be predicted: it {reason}; "
        + (f"choose another with --target NAME: {others}" if possible else "nor can any other column")
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


def blueprint_of(table: Table, folder: Path, command: str) -> str:
    """The text of a blueprint for a table.

    Arguments:
        table: how the table is used.
        folder: where the blueprint will lie.
        command: the words that fit it.
    """
    name = shown(table.choice.table.file.name)
    parts = [
        SCHEMA_LINE,
        f"# Written by hydrantic init for {name}. Try it, then change it:\n",
        f"#   {command} optimizer.lr=1e-3 trainer.max_epochs=20\n",
        to_yaml({"description": _literal(f"{shown(table.choice.target)}, predicted from other columns of {name}")}),
        "seed: 42                          # the same blueprint and seed give the same numbers\n\n",
        _data(table, folder), "\n", _model(table), "\n", _scores(table), "\n", _training(table),
    ]  # fmt: skip
    return "".join(parts)


def _line(key: str, value: Any, comment: str = "", *, indent: int = 2) -> str:
    """`key: value` with a comment behind it, or above it where the value is long."""
    lines = to_yaml({key: value}).splitlines()
    margin = " " * indent
    text = "".join(f"{margin}{line}\n" for line in lines)
    if not comment:
        return text
    if len(lines) == 1 and len(text) < _COMMENT_AT:
        return f"{text.rstrip():<{_COMMENT_AT}}# {comment}\n"
    return f"{margin}# {comment}\n{text}"


def _data(table: Table, folder: Path) -> str:
    fields = table.choice.fields(path_from(folder, table.choice.table.file), table.usual_separator)
    rows = table.facts.train_size or 1
    lines = [_line(key, _literal(value), _meaning(key, table)) for key, value in fields.items()]
    return "".join([
        f"data:\n  name: {TABLE_DATA}\n", *lines,
        _line("split", [0.7, 0.15, 0.15], "training, validation, test"),
        _line("batch_size", batch_size(rows), f"{steps(rows)} steps in an epoch"),
        _line("standardize", True, "numbers get mean 0 and standard deviation 1"),
    ])  # fmt: skip


def _literal(value: Any) -> Any:
    """The value with `${` written so that it is no interpolation."""
    if isinstance(value, list):
        return [_literal(each) for each in value]
    return value.replace("${", "\\${") if isinstance(value, str) else value


def _meaning(key: str, table: Table) -> str:
    choice = table.choice
    out = "; ".join(f"{shown(name)} {reason}" for name, reason in list(choice.left_out.items())[:3])
    more = f"; and {len(choice.left_out) - 3} more" if len(choice.left_out) > 3 else ""
    filled = "a column's mean stands in; or drop, which leaves such rows out"
    meanings = {
        "path": "relative to this file",
        "target": said_of_task(table),
        "id": "names the rows; it is no input",
        "features": f"all but: {out}{more}",
        "categorical": "categories, although some look like numbers",
        "missing": "rows with a missing value are left out" if choice.missing == "drop" else filled,
        "missing_values": "what stands for a missing value, besides an empty one",
        "separator": "the character between two values",
    }
    return meanings[key]


def said_of_task(table: Table) -> str:
    """What is predicted, in words."""
    facts = table.facts
    if table.is_regression:
        return "a number, so this is a regression"
    names = [shown(each) for each in facts.class_names or ()]
    listed = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"{len(names)} classes: {listed}"


def path_from(folder: Path, file: Path) -> str:
    """A file as seen from a folder; absolute where it lies on another drive."""
    try:
        return Path(os.path.relpath(file.resolve(), folder.resolve())).as_posix()
    except ValueError:  # another drive
        return file.resolve().as_posix()


def batch_size(rows: int) -> int:
    """A power of two near the square root of the number of training rows, from 16 to 1024."""
    return int(min(1024, max(16, 2 ** round(math.log2(max(rows, 1)) / 2))))


def steps(rows: int) -> int:
    """Number of batches in an epoch."""
    return math.ceil(rows / batch_size(rows))


def epochs(rows: int) -> int:
    """As many epochs as make some thousand steps, from 10 to 100."""
    return min(100, max(10, round(5000 / steps(rows))))


def _network(rows: int) -> str:
    width = 32 if rows < 500 else 64 if rows < 20_000 else 128
    return f"name: mlp, hidden_dims: [{width}, {width}], dropout: 0.1"


def _model(table: Table) -> str:
    network = _network(table.facts.train_size or 1)
    if not table.is_regression:
        return f"model: {{{network}}}   # its input and output sizes follow from the data\n"
    return "".join([
        f"model:\n  name: {IN_UNITS_MODEL}                  # shifts and scales what the network puts out\n",
        f"  network: {{{network}}}\n",
        _line("mean", _rounded(table.mean), "of the target, over the training part"),
        _line("std", _rounded(table.std) or 1.0),
    ])  # fmt: skip


def _rounded(number: float) -> float:
    return float(f"{number:.4g}")


_SCORES: Final = {
    "binary": "loss: bce_with_logits             # one output decides between the two classes\n"
    "metrics: {accuracy: , f1: , auroc: }\n",
    "multiclass": "loss: cross_entropy\nmetrics:\n  accuracy:\n"
    "  f1: {average: macro}            # the mean over the classes, each counting alike\n",
    "regression": "loss: mse                         # in the target's unit squared\n"
    "metrics: {mae: , r2: }            # mae is in the target's unit; r2 is 1 at best, 0 for predicting the mean\n",
}  # fmt: skip


_ABSOLUTE: Final = "loss: l1                          # absolute: squares of such numbers exceed 32-bit floats\n"
_TOO_LARGE_TO_SQUARE: Final = 1e8


def _scores(table: Table) -> str:
    if table.is_regression and table.std > _TOO_LARGE_TO_SQUARE:
        return _ABSOLUTE + _SCORES["regression"].partition("\n")[2]
    return _SCORES[str(table.facts.task)]


def _training(table: Table) -> str:
    # With small targets the squared errors' gradients are no longer large beside Adam's default of 1e-8.
    eps = f", eps: {1e-8 * table.std**2:.0e}" if table.is_regression and table.std < 1e-2 else ""
    return (
        f"optimizer: {{name: adamw, lr: 3e-3, weight_decay: 0.01{eps}}}\n"
        "checkpoint: {monitor: validation/loss, mode: min}\n"
        "early_stopping: {monitor: validation/loss, patience: 15}\n"
        f"trainer: {{max_epochs: {epochs(table.facts.train_size or 1)}}}\n"
    )

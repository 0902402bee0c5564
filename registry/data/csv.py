"""A table in a CSV file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Literal

import torch
from pydantic import PositiveInt, StringConstraints
from torch import Tensor

from hydrantic import InMemoryData, InputPath, InvalidField, Samples, register_data

from .columns import TRUTHS, Column, describe, few_whole_numbers, number_classes
from .shipped import TableHparams
from .text_table import ROW, TextTable, read_text_table, text_table

CLASSES = {"multiclass", "binary"}


class CsvHparams(TableHparams):
    """Which columns of which file are inputs and targets, and how the rows are split and batched."""

    path: InputPath
    """The file: comma-separated values in UTF-8, with a header."""
    target: str | tuple[str, ...]
    """Name of the column to predict, or a list of several."""
    features: tuple[str, ...] | None = None
    """Names of the input columns; by default all others."""
    categorical: tuple[str, ...] = ()
    """Names of columns whose values are categories although they look like numbers."""
    id: str | None = None
    """Name of a column that names the rows; it is no input."""
    task: Literal["auto", "classification", "regression"] = "auto"
    """What is predicted. By default, text, truth values and few different whole numbers are classes."""
    missing: Literal["error", "drop", "mean"] = "error"
    """What becomes of missing values: an error that says where they are, rows dropped, or numbers replaced by the mean
    over the training part, and categories by none."""
    missing_values: tuple[str, ...] = ("NA", "N/A", "NaN", "nan", "null")
    """What stands for a missing value, besides an empty one."""
    max_categories: PositiveInt = 50
    """How many different values a column of text may have."""
    separator: Annotated[str, StringConstraints(min_length=1, max_length=1)] = ","
    """The character between two values."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the columns to predict."""
        return (self.target,) if isinstance(self.target, str) else self.target


@register_data("csv")
class Csv(InMemoryData[CsvHparams]):
    """A table from a CSV file; text becomes categories and these one-hot inputs, by types that are found out.

    Inputs `(rows, values)`; targets `(rows,)` classes, or `(rows, columns)` numbers or labels. A checkpoint keeps
    categories, classes, means and standard deviations, and with it a file without targets can be predicted.

    Raises:
        InvalidField: the file or a column does not fit; the message says which and what to do.
    """

    _known: Mapping[str, Any] | None = None
    _columns: Mapping[str, Any] | None = None

    def load(self) -> Samples:
        """Read the file and encode its columns."""
        hparams = self.thparams
        table = read_text_table(hparams.path, hparams.separator, hparams.missing_values)
        targets = self._targets(table)
        features = self._features(table)
        table = self._without_missing(table, features, targets)
        inputs = self._describe_inputs(table, features)
        target = self._describe_target(table, targets)
        self._columns = {"inputs": [each.to_plain() for each in inputs], "target": target.to_plain()}
        return _samples(table, inputs, target, labelled=bool(targets), ids=hparams.id)

    def state_dict(self) -> dict[str, Any]:
        """Categories and classes, besides what every data module keeps."""
        return super().state_dict() | {"columns": self._columns}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over categories and classes, besides what every data module does."""
        super().load_state_dict(state_dict)
        self._known = state_dict["columns"]

    def row_fields(self) -> dict[str, Any]:
        """The type of each value of a row by its column's name; None too where missing values are filled in."""
        fills = self.thparams.missing == "mean"
        numbers = fills and self.preprocessing.means is not None
        return {each.name: _type_of(each, numbers if each.kind != "category" else fills) for each in self._inputs()}

    def encode_rows(self, rows: Sequence[Mapping[str, Any]]) -> Tensor:
        """Inputs `(rows, values)` before preprocessing, of rows as `row_fields` describes them."""
        columns = self._inputs()
        table = text_table([each.name for each in columns], rows)
        return torch.cat([each.encode(table) for each in columns], dim=1).float()

    def _inputs(self) -> list[Column]:
        if self._known is None and self._columns is None:
            self.setup()
        known = self._known or self._columns
        assert known is not None  # else there would have been nothing to set up
        return [Column.from_plain(each) for each in known["inputs"]]

    def _targets(self, table: TextTable) -> tuple[str, ...]:
        targets = self.thparams.targets
        if not targets or len(set(targets)) < len(targets):
            raise InvalidField("target", "must name at least one column, and each once")
        there = set(targets) & set(table.columns)
        if self._known is not None and all(table.frame[name].null_count() == len(table.frame) for name in there):
            return ()
        _refuse_unknown(table, "target", targets)
        return targets

    def _features(self, table: TextTable) -> tuple[str, ...]:
        hparams = self.thparams
        if hparams.id is not None:
            _refuse_unknown(table, "id", [hparams.id])
        others = tuple(name for name in table.columns if name not in {*hparams.targets, hparams.id})
        features = others if hparams.features is None else hparams.features
        if self._known is not None and hparams.features is None:
            features = tuple(each["name"] for each in self._known["inputs"])
        _refuse_unknown(table, "features", features)
        _refuse_unknown(table, "categorical", hparams.categorical)
        if both := [name for name in features if name in hparams.targets]:
            raise InvalidField("features", f"column '{both[0]}' is the target and cannot be an input too")
        if not features or len(set(features)) < len(features):
            raise InvalidField("features", "must name at least one column, and each once")
        return features

    def _without_missing(self, table: TextTable, features: Sequence[str], targets: Sequence[str]) -> TextTable:
        frame, how = table.frame, self.thparams.missing
        for name in [] if how == "drop" else targets if how == "mean" else [*features, *targets]:
            if frame[name].null_count():
                rows = frame.filter(frame[name].is_null())[ROW]
                field = "target" if name in targets else "missing"
                ways = "missing: drop leaves such rows out" + ("" if field == "target" else ", missing: mean fills in")
                shown = table.lines(rows[:3]) + (", ..." if len(rows) > 3 else "")
                count = "a missing value" if len(rows) == 1 else f"{len(rows)} missing values"
                raise InvalidField(field, f"column '{name}' has {count} ({shown}); {ways}")
        if how != "drop":
            return table
        kept = TextTable(table.path, table.separator, frame.drop_nulls([*features, *targets]))
        if kept.frame.is_empty():
            raise InvalidField("missing", "every row has a missing value; dropping them leaves none")
        return kept

    def _describe_inputs(self, table: TextTable, features: Sequence[str]) -> list[Column]:
        if self._known is not None:
            return [Column.from_plain(each) for each in self._known["inputs"]]
        return [self._describe(table, name, "features") for name in features]

    def _describe(self, table: TextTable, name: str, field: str) -> Column:
        hparams = self.thparams
        category = name in hparams.categorical
        return describe(table, name, field=field, category=category, max_categories=hparams.max_categories)

    def _describe_target(self, table: TextTable, targets: Sequence[str]) -> Target:
        if self._known is not None:
            return Target.from_plain(self._known["target"])
        columns = [self._describe(table, name, "target") for name in targets]
        for name in targets:
            if table.frame[name].n_unique() == 1:
                raise InvalidField("target", f"column '{name}' has the same value in every row")
        return describe_target(table, columns, self.thparams.task)


def _type_of(column: Column, may_be_missing: bool) -> Any:
    kinds: dict[str, Any] = {"number": float, "truth": bool}
    kind = kinds.get(column.kind) or Literal[column.categories]
    return kind | None if may_be_missing else kind


class Target:
    """The columns to predict, and as what."""

    def __init__(self, task: Any, columns: Sequence[Column]) -> None:
        self.task = task
        self.columns = tuple(columns)

    def encode(self, table: TextTable) -> Tensor:
        """Classes `(rows,)`, or numbers or labels `(rows, columns)`."""
        if self.task in CLASSES:
            return self.columns[0].classes(table)
        return torch.cat([column.encode(table) for column in self.columns], dim=1).float()

    def unknown(self, rows: int) -> Tensor:
        """Targets that no loss accepts or counts as right, for a file that has none."""
        if self.task in CLASSES:
            return torch.full((rows,), -1)
        return torch.full((rows, len(self.columns)), torch.nan)

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the classes, for classification."""
        return self.columns[0].categories if self.task in CLASSES else None

    def to_plain(self) -> dict[str, Any]:
        """Plain types, which a checkpoint can hold."""
        return {"task": self.task, "columns": [each.to_plain() for each in self.columns]}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Target:
        """What `to_plain` returned."""
        return cls(plain["task"], [Column.from_plain(each) for each in plain["columns"]])


def describe_target(table: TextTable, columns: Sequence[Column], task: str) -> Target:
    """What is predicted of the target columns.

    Raises:
        InvalidField: the columns do not suit the task, or each other.
    """
    if len(columns) > 1:
        return _several(table, columns, task)
    column = columns[0]
    is_number = column.kind == "number"
    if task == "regression" and column.kind == "category":
        raise InvalidField("task", f"column '{column.name}' is text, which is classified, not regressed")
    if task == "regression" or (is_number and task == "auto" and not few_whole_numbers(table, column.name)):
        return Target("regression", columns)
    categories = _class_names(table, column)
    return Target("binary" if len(categories) == 2 else "multiclass", [Column(column.name, column.kind, categories)])


def _class_names(table: TextTable, column: Column) -> tuple[str, ...]:
    if column.kind == "number":
        return number_classes(table, column.name)
    return TRUTHS if column.kind == "truth" else column.categories


def _several(table: TextTable, columns: Sequence[Column], task: str) -> Target:
    if any(column.kind == "category" for column in columns):
        raise InvalidField("target", "several targets must all be numbers, or all be truth values")
    if task != "regression" and all(_is_label(table, column) for column in columns):
        return Target("multilabel", columns)
    if task == "classification":
        raise InvalidField("task", "several targets can be classified only where each is 0 or 1, or true or false")
    return Target("regression", columns)


def _is_label(table: TextTable, column: Column) -> bool:
    return column.kind == "truth" or set(table.frame[column.name].unique()) <= {"0", "1"}


def _samples(table: TextTable, inputs: Sequence[Column], target: Target, *, labelled: bool, ids: str | None) -> Samples:
    encoded = [(column, column.encode(table)) for column in inputs]
    scalable = torch.cat([torch.full((part.shape[1],), column.kind != "category") for column, part in encoded])
    nothing = torch.empty(0, dtype=torch.int64)
    return Samples(
        inputs=torch.cat([part for _, part in encoded], dim=1).float(),
        targets=target.encode(table) if labelled else target.unknown(len(table.frame)),
        task=target.task,
        class_names=target.class_names,
        feature_names=tuple(name for column in inputs for name in column.names),
        target_names=tuple(column.name for column in target.columns),
        ids=None if ids is None else tuple(table.frame[ids].fill_null("")),
        rows=torch.from_numpy(table.frame[ROW].to_numpy().astype("int64")),
        parts=None if labelled else (nothing, nothing, nothing),
        scalable=scalable,
    )


def _refuse_unknown(table: TextTable, field: str, names: Sequence[str]) -> None:
    columns = table.columns
    for name in sorted(set(names).difference(columns), key=list(names).index):
        near = get_close_matches(name, columns, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"there is {', '.join(columns)}"
        other = next((mark for mark in ";\t|" if len(columns) == 1 and mark in columns[0]), None)
        if other is not None:
            hint = f"its values seem to be separated by {other!r}, so set separator: {other!r}"
        raise InvalidField(field, f"{table.path.name} has no column '{name}'; {hint}")

"""Turning columns of text into numbers: what a column holds, and how it is encoded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from hydrantic import InvalidField

from .text_table import ROW, TextTable

Kind: TypeAlias = Literal["number", "truth", "category"]

TRUTHS = ("false", "true")
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([T ].*)?|\d{1,2}[./]\d{1,2}[./]\d{2,4}( .*)?")
_LARGEST = torch.finfo(torch.float32).max
_WHOLE = re.compile(r"[+-]?\d+")


@dataclass(frozen=True)
class Column:
    """What a column holds."""

    name: str
    kind: Kind
    categories: tuple[str, ...] = ()
    """The different values of a category, sorted."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the input values that the column becomes."""
        return tuple(f"{self.name}={each}" for each in self.categories) or (self.name,)

    def encode(self, table: TextTable) -> Tensor:
        """The column as numbers `(rows, values)`: a category is one-hot, a missing one all zero, a missing number NaN.

        Raises:
            InvalidField: a value is none of the column's kind or categories.
        """
        if self.kind == "number":
            return _numbers(table, self.name).reshape(-1, 1)
        if self.kind == "truth":
            codes = _codes(table, self.name, TRUTHS, lower=True).reshape(-1, 1)
            return codes.masked_fill(codes < 0, torch.nan)
        codes = _codes(table, self.name, self.categories)
        return (codes.reshape(-1, 1) == torch.arange(len(self.categories))).double()

    def classes(self, table: TextTable) -> Tensor:
        """The column as indices into its categories, `(rows,)` int64.

        Raises:
            InvalidField: a value is none of the categories.
        """
        return _codes(table, self.name, self.categories, lower=self.kind == "truth").long()

    def to_plain(self) -> dict[str, Any]:
        """Plain types, which a checkpoint can hold."""
        return {"name": self.name, "kind": self.kind, "categories": list(self.categories)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Column:
        """What `to_plain` returned."""
        return cls(plain["name"], plain["kind"], tuple(plain["categories"]))


def describe(table: TextTable, name: str, *, field: str, category: bool, max_categories: int) -> Column:
    """What a column of a file holds.

    Arguments:
        table: the file.
        name: the column.
        field: which field of the blueprint chose the column.
        category: whether its values are categories whatever they look like.
        max_categories: how many categories a column may have.

    Raises:
        InvalidField: the column is empty, or holds dates, text and numbers mixed, or too many different texts.
    """
    present = table.frame[name].drop_nulls()
    if present.is_empty():
        raise InvalidField(field, f"column '{name}' has no values at all; {_leave_out(field)}")
    if not category:
        numbers = _as_numbers(present)
        if numbers.null_count() == 0:
            _refuse_too_large(table, name, field, numbers)
            return Column(name, "number")
        if set(present.str.to_lowercase().unique()) <= set(TRUTHS):
            return Column(name, "truth")
        if numbers.null_count() < len(present):
            _refuse_mixture(table, name, field)
    return Column(name, "category", _categories(present, name, field, max_categories))


def _categories(present: Any, name: str, field: str, max_categories: int) -> tuple[str, ...]:
    values = sorted(present.unique())
    if all(_DATE.fullmatch(value) for value in values):
        raise InvalidField(
            field, f"column '{name}' holds dates such as {values[0]}; turn them into numbers, or {_leave_out(field)}"
        )
    if len(values) > max_categories:
        raise InvalidField(
            field,
            f"column '{name}' is text with {len(values)} different values, more than max_categories={max_categories}; "
            f"{_leave_out(field)}, make it the 'id', or raise max_categories",
        )
    return tuple(values)


def _leave_out(field: str) -> str:
    return "choose another target" if field == "target" else "leave it out by listing the others under 'features'"


def _refuse_mixture(table: TextTable, name: str, field: str) -> None:
    present = table.where(table.frame[name].is_not_null()).frame
    odd = present.filter(_as_numbers(present[name]).is_null())
    example, row = odd[name][0], odd[ROW][0]
    raise InvalidField(
        field,
        f"column '{name}' holds numbers, but also {example!r} ({table.lines([row])}"
        f"{f' and {len(odd) - 1} more' if len(odd) > 1 else ''}); correct it, list it under 'missing_values', or list "
        "the column under 'categorical'",
    )


def _refuse_too_large(table: TextTable, name: str, field: str, numbers: Any) -> None:
    """Refuse what would be infinite in the 32-bit floats that networks compute with."""
    if numbers.abs().max() > _LARGEST:
        row = table.frame.filter(table.frame[name].is_not_null())[ROW][numbers.abs().arg_max()]
        raise InvalidField(field, f"column '{name}' holds numbers too large for 32-bit floats ({table.lines([row])})")


def _as_numbers(text: Any) -> Any:
    """The series as finite numbers, null where it holds something else."""
    import polars

    numbers = text.cast(polars.Float64, strict=False)
    return numbers.set(~numbers.is_finite(), None)


def _numbers(table: TextTable, name: str) -> Tensor:
    import polars

    text = table.frame[name]
    numbers = _as_numbers(text)
    if numbers.null_count() > text.null_count():
        _refuse_mixture(table, name, "path")
    return torch.from_numpy(numbers.cast(polars.Float64).fill_null(float("nan")).to_numpy().copy())


def _codes(table: TextTable, name: str, categories: tuple[str, ...], *, lower: bool = False) -> Tensor:
    """Index of each value among the categories as float64, -1 where it is missing."""
    import polars

    text = table.frame[name].str.to_lowercase() if lower else table.frame[name]
    unknown = text.filter(text.is_not_null() & ~text.is_in(list(categories)))
    if len(unknown):
        raise InvalidField(
            "path", f"column '{name}' holds {unknown[0]!r}, which was not in the training data: {', '.join(categories)}"
        )
    positions = {value: float(position) for position, value in enumerate(categories)}
    codes = text.replace_strict(positions, default=-1.0, return_dtype=polars.Float64)
    return torch.from_numpy(codes.fill_null(-1.0).to_numpy().copy())


def few_whole_numbers(table: TextTable, name: str) -> bool:
    """Whether a column of numbers looks like classes: whole numbers, at most twenty different ones, each repeated."""
    present = table.frame[name].drop_nulls()
    values = present.unique()
    return len(values) <= min(20, len(present) // 2) and all(_WHOLE.fullmatch(value) for value in values)


def number_classes(table: TextTable, name: str) -> tuple[str, ...]:
    """The different texts of a column of numbers, sorted by number."""
    return tuple(sorted(table.frame[name].drop_nulls().unique(), key=float))

"""What the rows of a request hold, by the facts of the data, and how they become a model's inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Annotated, Any, Final

import torch
from lightning.pytorch import LightningDataModule
from pydantic import BaseModel, ConfigDict, Field, create_model
from torch import Tensor

from hydrantic.errors import UsageError
from hydrantic.facts import Facts
from hydrantic.portable import Fitted, preprocessing_of

MOST_ROWS: Final = 100_000
"""How many rows one request may have."""
_STRICT: Final = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, populate_by_name=False)


@dataclass(frozen=True)
class Rows:
    """The rows of a request."""

    request: type[BaseModel]
    """What a request is checked against; its `rows` are what `encode` takes."""
    encode: Callable[[Sequence[Any]], Tensor]
    """From checked rows to inputs `(rows, ...)` as the data has them before preprocessing."""
    example: Any
    """A row, for people and for trying the model."""

    def encode_example(self) -> Tensor:
        """The example's inputs, a batch of one."""
        checked: Any = self.request.model_validate({"rows": [self.example]})
        return self.encode(checked.rows)


def rows_of(data: LightningDataModule, facts: Facts) -> Rows:
    """What a data module's rows are.

    A data module may say so itself, with two methods: `row_fields() -> dict[str, type]`, the type of each value of a
    row by its name, and `encode_rows(rows) -> Tensor`, which makes inputs `(rows, ...)` of such mappings, before
    preprocessing. Else a row maps the names of the data's features to numbers, or is an array of the shape of an input.

    Raises:
        UsageError: the data neither has these methods nor states the shape of its inputs.
    """
    if hasattr(data, "row_fields") and hasattr(data, "encode_rows"):
        return _named(data.row_fields(), data.encode_rows)
    if facts.input_shape is None:
        raise UsageError(
            "the data of this run does not say what its inputs are: its data module needs facts() with an input_shape, "
            "or row_fields() and encode_rows()"
        )
    number = float | None if _fills_missing(data) else float
    names = facts.feature_names
    if names is not None and facts.input_shape == (len(names),):
        return _named(
            dict.fromkeys(names, number), lambda rows: _tensor([[row[name] for name in names] for row in rows])
        )
    return _arrays(facts.input_shape, number)


def _fills_missing(data: LightningDataModule) -> bool:
    fitted = preprocessing_of(data)
    return isinstance(fitted, Fitted) and fitted.means is not None


def _named(types: Mapping[str, Any], encode: Callable[[Sequence[Mapping[str, Any]]], Tensor]) -> Rows:
    """Rows that are mappings; a value that may be missing is None, but not left out, as in a table."""
    fields: dict[str, Any] = {
        f"value_{index}": (kind, Field(alias=name, title=name)) for index, (name, kind) in enumerate(types.items())
    }
    row = create_model("Row", __config__=_STRICT, **fields)

    def encode_models(rows: Sequence[Any]) -> Tensor:
        return encode([dict(zip(types, each.__dict__.values(), strict=True)) for each in rows])

    return Rows(_request(row), encode_models, {name: _example(kind) for name, kind in types.items()})


def _example(kind: Any) -> Any:
    if kind is bool:
        return True
    options = [each for each in getattr(kind, "__args__", ()) if each is not type(None)]
    if not options:
        return 0.5
    return _example(options[0]) if len(options) == 1 and not isinstance(options[0], str) else options[0]


def _arrays(shape: tuple[int, ...], number: Any) -> Rows:
    """Rows that are nested arrays of one shape."""
    kind = number
    for size in reversed(shape):
        kind = Annotated[list[kind], Field(min_length=size, max_length=size)]  # type: ignore[valid-type]  # for pydantic
    return Rows(_request(kind), _tensor, torch.full(shape, 0.5).tolist())


def _request(row: Any) -> type[BaseModel]:
    rows = Annotated[list[row], Field(min_length=1, max_length=MOST_ROWS)]
    request: type[BaseModel] = create_model("Request", __config__=_STRICT, rows=(rows, ...))
    return request


def _tensor(rows: Sequence[Any]) -> Tensor:
    """Numbers as float32, None as NaN."""
    return torch.tensor(_with_nan(list(rows)), dtype=torch.float64).float()


def _with_nan(values: Any) -> Any:
    if isinstance(values, list):
        return [_with_nan(each) for each in values]
    return torch.nan if values is None else values


def too_large(inputs: Tensor) -> int | None:
    """The first row that has a number too large for its type; None where there is none."""
    rows = (inputs.abs() == inf).flatten(1).any(1)
    return int(rows.int().argmax()) if bool(rows.any()) else None

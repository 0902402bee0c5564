"""Rows that come one at a time to what a table has trained."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
import torch
from hydrantic.registry.data.csv import Csv

from tests.projects import write

TABLE = """
    size,colour,wet,price
    1.5,red,true,10.5
    2.5,blue,false,11.25
    0.1,red,false,9.75
    4.0,blue,true,8.5
"""


def table(folder: Path, **fields: object) -> Csv:
    file = write(folder / "t.csv", TABLE.replace("\n    ", "\n").strip() + "\n")
    return Csv({"path": str(file), "target": "price", "split": [4, 0, 0], **fields})


def test_rows_are_encoded_as_those_of_the_file(tmp_path: Path) -> None:
    data = table(tmp_path)
    rows = [{"size": 0.1, "colour": "red", "wet": False}, {"size": 4, "colour": "blue", "wet": True}]
    assert torch.equal(data.preprocessing(data.encode_rows(rows)), data.samples.inputs[[2, 3]])


def test_the_types_of_a_row_are_those_of_the_columns(tmp_path: Path) -> None:
    assert table(tmp_path).row_fields() == {"size": float, "colour": Literal["blue", "red"], "wet": bool}


@pytest.mark.parametrize("standardize", [True, False])
def test_values_may_be_missing_where_something_replaces_them(tmp_path: Path, standardize: bool) -> None:
    data = table(tmp_path, missing="mean", standardize=standardize)
    number = float | None if standardize else float  # without missing values in training there are no means
    assert data.row_fields()["size"] == number
    assert data.row_fields()["colour"] == Literal["blue", "red"] | None
    [row] = data.encode_rows([{"size": 1.0, "colour": None, "wet": True}])
    assert row.tolist() == [1.0, 0.0, 0.0, 1.0]


def test_what_a_checkpoint_kept_is_enough(tmp_path: Path) -> None:
    state = table(tmp_path).state_dict()
    (tmp_path / "t.csv").unlink()
    data = Csv({"path": str(tmp_path / "t.csv"), "target": "price"})
    data.load_state_dict(state)
    assert data.encode_rows([{"size": 1.5, "colour": "red", "wet": True}]).tolist() == [[1.5, 0.0, 1.0, 1.0]]

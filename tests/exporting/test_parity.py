"""The comparison of an exported model with the model that it was made of."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from hydrantic.data import Preprocessing
from hydrantic.exporting.formats import ExportFailed
from hydrantic.exporting.parity import compare, compare_weights
from hydrantic.portable import Inputs, Portable

INPUTS = Inputs(("input",), (torch.linspace(-100, 100, 16).reshape(8, 2),))


class Summing(LightningModule):
    """Sums what it gets."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.sum(1)


def portable(means: Tensor | None = None) -> Portable:
    data: Any = SimpleNamespace(preprocessing=Preprocessing(means))
    return Portable(Summing(), data, INPUTS)


def test_a_difference_of_rounding_is_told_and_accepted() -> None:
    model = portable()
    assert compare(lambda batch: (model(*batch) + 1e-3,), model, INPUTS) == pytest.approx(1e-3, rel=0.1)


def test_a_difference_that_is_more_is_refused_with_its_size() -> None:
    model = portable()
    with pytest.raises(ExportFailed, match=r"differ from the model's by up to 0\.5 for a batch of 1, of values up to"):
        compare(lambda batch: (model(*batch) + 0.5,), model, INPUTS)


def test_other_shapes_are_refused() -> None:
    model = portable()
    with pytest.raises(ExportFailed, match=r"other shapes for a batch of 1: \(1, 1\) instead of \(1,\)"):
        compare(lambda batch: (model(*batch).reshape(-1, 1),), model, INPUTS)


def test_a_model_that_works_for_one_size_of_batch_only_is_refused() -> None:
    model = portable()

    def of_one(batch: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if len(batch[0]) > 1:
            raise RuntimeError("Expected a batch of 1\nand more")
        return (model(*batch),)

    with pytest.raises(ExportFailed, match=r"does not run for a batch of 2: Expected a batch of 1$"):
        compare(of_one, model, INPUTS)


def test_nan_where_the_model_has_a_number_is_refused() -> None:
    model = portable()
    with pytest.raises(ExportFailed, match="differ from the model's by up to inf"):
        compare(lambda batch: (model(*batch) * torch.nan,), model, INPUTS)


def test_missing_values_are_compared_where_training_replaced_them() -> None:
    model = portable(torch.zeros(2, dtype=torch.float64))
    with pytest.raises(ExportFailed, match="up to inf"):
        compare(lambda batch: (batch[0].sum(1),), model, INPUTS)
    assert compare(lambda batch: (batch[0].sum(1),), portable(), INPUTS) == 0


def test_written_weights_are_compared_to_the_last_bit() -> None:
    layer = nn.Linear(2, 2)
    weights = {name: value.clone() for name, value in layer.state_dict().items()}
    assert compare_weights(weights, layer) == 0
    weights["bias"] = weights["bias"].nextafter(torch.tensor(9.0))
    with pytest.raises(ExportFailed, match="differ from the model's in bias"):
        compare_weights(weights, layer)
    with pytest.raises(ExportFailed, match="not the model's"):
        compare_weights({}, layer)

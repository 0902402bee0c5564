"""A model behind its preprocessing, and what it takes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import nn

from hydrantic.data import Preprocessing
from hydrantic.errors import UsageError
from hydrantic.facts import Facts
from hydrantic.portable import Fitted, Inputs, inputs_of, preprocessing_of

MEANS = torch.tensor([10.0, -1.0], dtype=torch.float64)
STDS = torch.tensor([3.0, 0.1], dtype=torch.float64)


class Doubling(LightningModule):
    """Doubles its input, or an entry of it."""

    def forward(self, inputs: Any) -> Any:
        return 2 * (inputs["x"] if isinstance(inputs, dict) else inputs)


class Batches(LightningDataModule):
    """States nothing, but has one batch."""

    def __init__(self, batch: Any) -> None:
        super().__init__()
        self.batch = batch

    def train_dataloader(self) -> Any:
        return [self.batch]


@pytest.mark.parametrize("scalable", [None, torch.tensor([True, False])])
@pytest.mark.parametrize("stds", [None, STDS])
def test_fitted_preprocessing_as_a_module_does_the_same(stds: Any, scalable: Any) -> None:
    fitted = Preprocessing(MEANS, stds, scalable)
    inputs = torch.tensor([[1.0, torch.nan], [torch.nan, 2.0]])
    assert torch.equal(Fitted(fitted)(inputs), fitted(inputs))


def test_preprocessing_that_was_not_fitted_changes_nothing() -> None:
    inputs = torch.tensor([[1.0, torch.nan]])
    assert Fitted(Preprocessing())(inputs) is inputs


def test_a_data_module_may_preprocess_by_a_module_of_its_own() -> None:
    data = Batches(None)
    assert isinstance(preprocessing_of(data), nn.Identity)
    data.preprocessing = nn.Flatten()  # type: ignore[assignment]
    assert preprocessing_of(data) is data.preprocessing


def test_the_shape_that_the_data_states_is_filled_as_the_training_data_was() -> None:
    data = SimpleNamespace(preprocessing=Preprocessing(MEANS, STDS))
    inputs = inputs_of(Doubling(), data, Facts(input_shape=(2,)))  # type: ignore[arg-type]
    assert inputs.names == ("input",)
    [samples] = inputs.of_size(3)
    assert (samples.shape, samples.dtype) == ((3, 2), torch.float32)
    assert ((samples - MEANS) / STDS).abs().max() < 6


def test_an_example_of_the_model_goes_before_what_the_data_states() -> None:
    model = Doubling()
    model.example_input_array = torch.arange(6).reshape(2, 3)
    [samples] = inputs_of(model, Batches(None), Facts(input_shape=(7,))).of_size(5)
    assert samples[:, 0].tolist() == [0, 3, 0, 3, 0]
    assert samples.dtype == torch.int64


def test_of_a_batch_only_what_the_model_reads_is_an_input() -> None:
    batch = {"x": torch.ones(4, 2), "label": torch.zeros(4)}
    inputs = inputs_of(Doubling(), Batches(batch), Facts())
    assert (inputs.names, inputs.is_mapping) == (("x",), True)
    assert list(inputs.given(inputs.of_size(1))) == ["x"]


def test_the_targets_of_a_batch_are_no_input() -> None:
    [samples] = inputs_of(Doubling(), Batches((torch.ones(4, 2), torch.zeros(4))), Facts()).samples
    assert samples.shape == (4, 2)


def test_inputs_of_another_kind_are_refused() -> None:
    with pytest.raises(UsageError, match="takes a str, not a tensor"):
        Inputs.of_batch("text")

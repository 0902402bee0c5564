"""A multilayer perceptron."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Literal

from pydantic import PositiveInt
from torch import Tensor, nn

from hydrantic import AUTO, Auto, Hparam, Hparams, LayerSlot, named, register_model


class MLPHparams(Hparams):
    """Hyperparameters of a multilayer perceptron."""

    in_features: Auto[int] = AUTO
    """Number of values in one input."""
    out_features: Auto[int] = AUTO
    """Number of values to put out."""
    hidden_dims: tuple[PositiveInt, ...] = (128, 128)
    """Width of each hidden layer, input side first."""
    activation: LayerSlot = named("relu")
    """Function after each hidden layer."""
    dropout: float = Hparam(default=0.0, ge=0, lt=1)
    """Probability with which each hidden value is set to 0 in training."""
    normalization: Literal["batch", "layer"] | None = None
    """Normalization of each hidden layer before its activation: over the batch, or over the layer's values."""


@register_model("mlp")
class MLP(nn.Module):
    """Fully connected layers with an activation after each but the last.

    Arguments:
        hparams: sizes, activation and regularisation.
    """

    def __init__(self, hparams: MLPHparams) -> None:
        super().__init__()
        dims = (hparams.in_features, *hparams.hidden_dims)
        hidden = [layer for pair in pairwise(dims) for layer in _hidden_layer(*pair, hparams)]
        self.layers = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(dims[-1], hparams.out_features))

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs `(batch, ...)` of `in_features` values each to outputs `(batch, out_features)`."""
        outputs: Tensor = self.layers(inputs)
        return outputs


def _hidden_layer(inputs: int, width: int, hparams: MLPHparams) -> Iterator[nn.Module]:
    yield nn.Linear(inputs, width)
    if hparams.normalization is not None:
        yield nn.BatchNorm1d(width) if hparams.normalization == "batch" else nn.LayerNorm(width)
    yield hparams.activation.build()
    if hparams.dropout:
        yield nn.Dropout(hparams.dropout)

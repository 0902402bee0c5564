"""A sum of sigmoids that can approximate any continuous function."""

from __future__ import annotations

from pydantic import PositiveInt
from torch import Tensor, nn

from hydrantic import AUTO, Auto, Hparams, LayerSlot, named, register_model


class UniversalFunctionHparams(Hparams):
    """Hyperparameters of a universal function approximator."""

    in_features: Auto[int] = AUTO
    """Number of values in one input."""
    out_features: Auto[int] = AUTO
    """Number of values to put out."""
    num_neurons: PositiveInt = 10
    """Number of terms in the sum."""
    activation: LayerSlot = named("sigmoid")
    """Function of each term."""


@register_model("universal_function")
class UniversalFunction(nn.Module):
    """y = sum over i of v_i sigmoid(w_i x + b_i), for N neurons.

    Source: G. Cybenko, Approximation by Superpositions of a Sigmoidal Function, 1989, equation 1.

    Arguments:
        hparams: the number of neurons and their function.
    """

    def __init__(self, hparams: UniversalFunctionHparams) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(hparams.in_features, hparams.num_neurons),
            hparams.activation.build(),
            nn.Linear(hparams.num_neurons, hparams.out_features, bias=False),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs `(batch, ...)` of `in_features` values each to outputs `(batch, out_features)`."""
        outputs: Tensor = self.layers(inputs)
        return outputs

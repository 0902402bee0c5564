"""A linear model."""

from __future__ import annotations

from torch import Tensor, nn

from hydrantic import AUTO, Auto, Hparams, register_model


class LinearHparams(Hparams):
    """Sizes of a linear model."""

    in_features: Auto[int] = AUTO
    """Number of values in one input."""
    out_features: Auto[int] = AUTO
    """Number of values to put out."""
    bias: bool = True
    """Whether a constant is added to each output."""


@register_model("linear")
class Linear(nn.Module):
    """A weighted sum of the inputs for each output; with cross entropy, multinomial logistic regression.

    Arguments:
        hparams: the sizes.
    """

    def __init__(self, hparams: LinearHparams) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(hparams.in_features, hparams.out_features, hparams.bias))

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs `(batch, ...)` of `in_features` values each to outputs `(batch, out_features)`."""
        outputs: Tensor = self.layers(inputs)
        return outputs

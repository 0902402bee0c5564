"""Functions of one number that torch.nn has no layer for: activations, and functions to sample or to learn."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hydrantic import register_layer


@register_layer("cos")
class Cos(nn.Module):
    """The cosine of each value, in radians; keeps the shape."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Cos x."""
        return torch.cos(inputs)


@register_layer("sin")
class Sin(nn.Module):
    """The sine of each value times a frequency; keeps the shape.

    As an activation: V. Sitzmann et al., Implicit Neural Representations with Periodic Activation Functions, 2020,
    section 3.

    Args:
        frequency: factor before the sine is taken.
    """

    def __init__(self, frequency: float = 1.0) -> None:
        super().__init__()
        self.frequency = frequency

    def forward(self, inputs: Tensor) -> Tensor:
        """sin(frequency x)."""
        return torch.sin(self.frequency * inputs)


@register_layer("sinc")
class Sinc(nn.Module):
    """The normalised cardinal sine of each value, sin(pi x) / (pi x); keeps the shape."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Sinc x."""
        return torch.sinc(inputs)


@register_layer("exp")
class Exp(nn.Module):
    """The exponential of each value; keeps the shape."""

    def forward(self, inputs: Tensor) -> Tensor:
        """E to the power of x."""
        return torch.exp(inputs)


@register_layer("square")
class Square(nn.Module):
    """The square of each value; keeps the shape."""

    def forward(self, inputs: Tensor) -> Tensor:
        """X times x."""
        return torch.square(inputs)


@register_layer("absolute")
class Absolute(nn.Module):
    """The absolute value of each value; keeps the shape."""

    def forward(self, inputs: Tensor) -> Tensor:
        """|x|."""
        return torch.abs(inputs)


@register_layer("gaussian")
class Gaussian(nn.Module):
    """The bell curve exp(-x^2 / 2) of each value; keeps the shape."""

    def forward(self, inputs: Tensor) -> Tensor:
        """exp(-x^2 / 2)."""
        return torch.exp(-inputs.square() / 2)

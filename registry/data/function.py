"""Samples of a function of one variable."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import NonNegativeFloat

from hydrantic import (
    Hparam,
    InMemoryData,
    InMemoryDataHparams,
    Interval,
    InvalidField,
    LayerSlot,
    Samples,
    named,
    register_data,
)


class FunctionHparams(InMemoryDataHparams):
    """Which function is sampled, where, and how the samples are split and batched."""

    function: LayerSlot = named("cos")
    """The function: any registered layer that maps numbers to numbers, such as `cos`, `sin`, `exp` or `tanh`."""
    domain: Interval = (-6.283185307179586, 6.283185307179586)
    """First and last point; [-2 pi, 2 pi] by default."""
    steps: int = Hparam(default=1000, ge=3)
    """Number of points, evenly spaced."""
    noise: NonNegativeFloat = 0.0
    """Standard deviation of the normal noise that is added to the function's values."""


@register_data("function")
class Function(InMemoryData[FunctionHparams]):
    """A function of one variable at evenly spaced points, a regression.

    Inputs `(steps, 1)`, targets `(steps, 1)`. The noise is drawn with `split_seed`.

    Raises:
        InvalidField: the function does not map each number to one finite number.
    """

    task: ClassVar = "regression"

    def load(self) -> Samples:
        """Sample the function."""
        hparams = self.thparams
        points = torch.linspace(*hparams.domain, hparams.steps).reshape(-1, 1)
        values = self._values(points)
        if hparams.noise:
            generator = torch.Generator().manual_seed(hparams.split_seed)
            values = values + hparams.noise * torch.randn(values.shape, generator=generator)
        return Samples(inputs=points, targets=values, task="regression", feature_names=("x",), target_names=("y",))

    def _values(self, points: torch.Tensor) -> torch.Tensor:
        function: Any = self.thparams.function.build()
        with torch.no_grad():
            values: torch.Tensor = function.eval()(points)
        if values.shape != points.shape or not bool(values.isfinite().all()):
            name = self.thparams.function.name
            raise InvalidField("function", f"'{name}' does not map each number of the domain to one finite number")
        return values

"""Handwritten digits as small images."""

from __future__ import annotations

from typing import ClassVar

import torch

from hydrantic import InMemoryData, InMemoryDataHparams, Samples, register_data

from .shipped import load_labelled


@register_data("digits")
class Digits(InMemoryData[InMemoryDataHparams]):
    """1,797 handwritten digits as grey images of 8 x 8 pixels in [0, 1]; ten classes.

    Inputs `(samples, 1, 8, 8)`, targets `(samples,)`. Models of flat inputs flatten them: `in_features` is 64.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998
    (its test set, as scikit-learn ships it).
    """

    task: ClassVar = "multiclass"

    def load(self) -> Samples:
        """Read the images that scikit-learn ships and scale them from 0..16 to 0..1."""
        pixels, digits = load_labelled("digits")
        return Samples(
            inputs=(torch.from_numpy(pixels).float() / 16).reshape(-1, 1, 8, 8),
            targets=torch.from_numpy(digits).long(),
            task="multiclass",
            class_names=tuple("0123456789"),
        )

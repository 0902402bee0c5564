"""Progression of diabetes, a regression."""

from __future__ import annotations

from typing import ClassVar

import torch

from hydrantic import InMemoryData, Samples, register_data

from .shipped import TableHparams, load_diabetes


@register_data("diabetes")
class Diabetes(InMemoryData[TableHparams]):
    """442 patients by age, sex, body mass index, blood pressure and six serum measures.

    Inputs `(samples, 10)`; targets `(samples, 1)`, a measure of the disease's progression after one year (25 to 346).

    Source: B. Efron, T. Hastie, I. Johnstone and R. Tibshirani, Least Angle Regression, 2004, table 1.
    """

    task: ClassVar = "regression"

    def load(self) -> Samples:
        """Read the table that scikit-learn ships."""
        inputs, targets = load_diabetes()
        return Samples(
            inputs=torch.from_numpy(inputs).float(),
            targets=torch.from_numpy(targets).float(),
            task="regression",
            feature_names=("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"),
            target_names=("progression",),
        )

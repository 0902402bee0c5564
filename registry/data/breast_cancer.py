"""Breast tumours."""

from __future__ import annotations

from typing import ClassVar

from hydrantic import InMemoryData, Samples, register_data

from .shipped import TableHparams, labelled_samples

MEASURES = (
    "radius", "texture", "perimeter", "area", "smoothness",
    "compactness", "concavity", "concave points", "symmetry", "fractal dimension",
)  # fmt: skip
FEATURES = (
    *(f"mean {each}" for each in MEASURES),
    *(f"{each} error" for each in MEASURES),
    *(f"worst {each}" for each in MEASURES),
)


@register_data("breast_cancer")
class BreastCancer(InMemoryData[TableHparams]):
    """569 breast tumours, malignant (class 0) or benign (class 1), by thirty measures of their cells' nuclei.

    Inputs `(samples, 30)`, targets `(samples,)`.

    Source: W. Wolberg, O. Mangasarian, N. Street and W. Street, Breast Cancer Wisconsin (Diagnostic), UCI Machine
    Learning Repository, 1993.
    """

    task: ClassVar = "binary"

    def load(self) -> Samples:
        """Read the table that scikit-learn ships."""
        return labelled_samples("breast_cancer", ("malignant", "benign"), FEATURES)

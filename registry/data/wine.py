"""Wines of three growers."""

from __future__ import annotations

from typing import ClassVar

from hydrantic import InMemoryData, Samples, register_data

from .shipped import TableHparams, labelled_samples

FEATURES = (
    "alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids",
    "nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue", "od280/od315_of_diluted_wines", "proline",
)  # fmt: skip


@register_data("wine")
class Wine(InMemoryData[TableHparams]):
    """178 wines from three growers, by thirteen chemical measures.

    Inputs `(samples, 13)`, targets `(samples,)`.

    Source: S. Aeberhard and M. Forina, Wine, UCI Machine Learning Repository, 1992.
    """

    task: ClassVar = "multiclass"

    def load(self) -> Samples:
        """Read the table that scikit-learn ships."""
        return labelled_samples("wine_data", ("class_0", "class_1", "class_2"), FEATURES)

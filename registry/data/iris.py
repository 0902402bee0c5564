"""Iris flowers."""

from __future__ import annotations

from typing import ClassVar

from hydrantic import InMemoryData, Samples, register_data

from .shipped import TableHparams, labelled_samples


@register_data("iris")
class Iris(InMemoryData[TableHparams]):
    """150 iris flowers of three species, by four measures in cm.

    Inputs `(samples, 4)`, targets `(samples,)`.

    Source: R. A. Fisher, The use of multiple measurements in taxonomic problems, 1936, table 1.
    """

    task: ClassVar = "multiclass"

    def load(self) -> Samples:
        """Read the table that scikit-learn ships."""
        return labelled_samples(
            "iris",
            ("setosa", "versicolor", "virginica"),
            ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"),
        )

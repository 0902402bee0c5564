"""What a data module states about its data, so that models, losses and metrics need not be told."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, TypeAlias

Task: TypeAlias = Literal["multiclass", "binary", "multilabel", "regression"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The sizes, classes, names and task of a data set, and a fingerprint of its content.

    Every field that is not None supplies the `auto` fields of the same name.
    """

    task: Task | None = None
    """What is predicted: one of several classes, one of two, several labels at once, or numbers."""
    input_shape: tuple[int, ...] | None = None
    """Shape of one input, without the batch dimension: `(64,)`, `(1, 8, 8)`."""
    in_features: int | None = None
    """Number of values in one input."""
    in_channels: int | None = None
    """First dimension of an image-like input."""
    out_features: int | None = None
    """Number of values that a model has to put out for one input."""
    num_classes: int | None = None
    """Number of classes, for classification."""
    num_labels: int | None = None
    """Number of labels, for multilabel classification."""
    class_names: tuple[str, ...] | None = None
    """Names of the classes, in the order of their indices."""
    feature_names: tuple[str, ...] | None = None
    """Names of the input's columns."""
    target_names: tuple[str, ...] | None = None
    """Names of the predicted columns, for regression and multilabel classification."""
    class_counts: tuple[int, ...] | None = None
    """Number of training samples of each class."""
    train_size: int | None = None
    """Number of training samples."""
    validation_size: int | None = None
    """Number of validation samples; 0 where there is no validation."""
    test_size: int | None = None
    """Number of test samples; 0 where there is no test."""
    fingerprint: str | None = None
    """A hash of the data's content: the same data, the same fingerprint."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Further facts, which supply `auto` fields of their names."""

    def get(self, name: str) -> Any:
        """The fact called `name`, or None where the data does not state it."""
        if name in FACT_NAMES:
            return getattr(self, name)
        return self.extra.get(name)

    def stated(self) -> dict[str, Any]:
        """Every fact that is stated, by name."""
        known = {name: value for name in FACT_NAMES if (value := getattr(self, name)) is not None}
        return known | self.extra


FACT_NAMES: Final[tuple[str, ...]] = tuple(each.name for each in fields(Facts) if each.name != "extra")
"""The names under which data supplies `auto` fields; a required argument of such a name is `auto` by itself."""

"""Losses: called with a model's outputs and the batch's targets, they return the mean over the batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar, Literal, TypeAlias

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor, nn
from torch.nn import functional

from hydrantic import AUTO, Auto, Facts, Hparam, InvalidField, register_loss

Weight: TypeAlias = tuple[NonNegativeFloat, ...] | Literal["balanced"] | None


def paired(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs and targets in one shape and the outputs' type: `(batch,)` and `(batch, 1)` pair, nothing is broadcast.

    Raises:
        ValueError: the shapes differ; the message names both.
    """
    if outputs.shape != targets.shape:
        if outputs.shape != (*targets.shape, 1) and targets.shape != (*outputs.shape, 1):
            raise ValueError(f"outputs {tuple(outputs.shape)} and targets {tuple(targets.shape)} must have one shape")
        targets = targets.reshape(outputs.shape)
    return outputs, targets.to(outputs.dtype)


def _refuse_other_than_classes(outputs: Tensor, targets: Tensor) -> None:
    if (
        targets.ndim != outputs.ndim - 1
        or outputs.shape[0] != targets.shape[0]
        or outputs.shape[2:] != targets.shape[1:]
    ):
        raise ValueError(
            f"outputs {tuple(outputs.shape)} must be (batch, classes) and targets {tuple(targets.shape)} class indices "
            "(batch,)"
        )


class _OfClasses(nn.Module):
    """What losses over class indices share: the weight of each class."""

    tasks: ClassVar[tuple[str, ...]] = ("multiclass", "binary")
    weight: Tensor | None

    def __init__(self, weight: Weight, class_counts: object) -> None:
        super().__init__()
        # Not in the checkpoint: the blueprint and the data's facts say it anew.
        self.register_buffer("weight", _weights(weight, class_counts), persistent=False)


def _weights(weight: Weight, class_counts: object) -> Tensor | None:
    if weight is None:
        return None
    counts = class_counts if isinstance(class_counts, list | tuple) else None
    if weight == "balanced":
        if counts is None:
            raise InvalidField("weight", "'balanced' needs class_counts, which this data does not state")
        return _balanced(torch.tensor(counts, dtype=torch.float64)).float()
    if counts is not None and len(weight) != len(counts):
        raise InvalidField("weight", f"must have one number per class: {len(counts)}, not {len(weight)}")
    return torch.tensor(weight)


def _balanced(counts: Tensor) -> Tensor:
    """Samples / (classes * samples of the class); 0 for a class without samples."""
    weights = counts.sum() / (len(counts) * counts)
    return weights.masked_fill(counts == 0, 0.0)


@register_loss("cross_entropy")
class CrossEntropy(_OfClasses):
    """Cross entropy of raw outputs `(batch, classes)`, one per class, and class indices `(batch,)`, in nats.

    Args:
        label_smoothing: probability that is spread evenly over all classes; C. Szegedy et al., Rethinking the
            Inception Architecture, 2016, section 7.
        weight: factor for each class; `balanced` makes all classes count alike, by the training samples they have.
        class_counts: number of training samples of each class.
    """

    def __init__(
        self,
        label_smoothing: Annotated[float, Hparam(ge=0, le=1)] = 0.0,
        weight: Weight = None,
        class_counts: Auto[tuple[int, ...] | None] = AUTO,
    ) -> None:
        super().__init__(weight, class_counts)
        self.label_smoothing = label_smoothing

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean over the batch, weighted by class where weights are set."""
        _refuse_other_than_classes(outputs, targets)
        return functional.cross_entropy(outputs, targets, weight=self.weight, label_smoothing=self.label_smoothing)


@register_loss("nll")
class NLL(_OfClasses):
    """Negative log-likelihood of log-probabilities `(batch, classes)` and class indices `(batch,)`, in nats.

    For a model that ends in a log-softmax; for raw outputs take `cross_entropy`.

    Args:
        weight: factor for each class; `balanced` makes all classes count alike, by the training samples they have.
        class_counts: number of training samples of each class.
    """

    def __init__(
        self,
        weight: Weight = None,
        class_counts: Auto[tuple[int, ...] | None] = AUTO,
    ) -> None:
        super().__init__(weight, class_counts)

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean over the batch, weighted by class where weights are set."""
        _refuse_other_than_classes(outputs, targets)
        return functional.nll_loss(outputs, targets, weight=self.weight)


@register_loss("bce_with_logits")
class BCEWithLogits(nn.Module):
    """Binary cross entropy of raw outputs and 0/1 targets, both `(batch,)`, `(batch, 1)` or `(batch, labels)`, in nats.

    On binary data the model needs one output, not two.

    Args:
        pos_weight: factor for the targets that are 1; one number, or one for each label.
    """

    tasks: ClassVar[tuple[str, ...]] = ("binary", "multilabel")
    pos_weight: Tensor | None

    def __init__(self, pos_weight: PositiveFloat | tuple[PositiveFloat, ...] | None = None) -> None:
        super().__init__()
        weight = None if pos_weight is None else torch.tensor(pos_weight, dtype=torch.float32)
        self.register_buffer("pos_weight", weight, persistent=False)

    @staticmethod
    def adapt(facts: Facts) -> Facts:
        """One output decides between two classes."""
        return replace(facts, out_features=1) if facts.task == "binary" else facts

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean over the batch and the labels."""
        outputs, targets = paired(outputs, targets)
        return functional.binary_cross_entropy_with_logits(outputs, targets, pos_weight=self.pos_weight)


@register_loss("mse")
class MSE(nn.Module):
    """Mean squared error of outputs and targets, both `(batch,)` or `(batch, values)`, in the target's unit squared."""

    tasks: ClassVar[tuple[str, ...]] = ("regression",)

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean over the batch and the values."""
        return functional.mse_loss(*paired(outputs, targets))


@register_loss("l1")
class L1(nn.Module):
    """Mean absolute error of outputs and targets, both `(batch,)` or `(batch, values)`, in the target's unit."""

    tasks: ClassVar[tuple[str, ...]] = ("regression",)

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean over the batch and the values."""
        return functional.l1_loss(*paired(outputs, targets))


@register_loss("huber")
class Huber(nn.Module):
    """Squared error for small differences, absolute for large ones; both `(batch,)` or `(batch, values)`.

    Source: P. J. Huber, Robust Estimation of a Location Parameter, 1964, section 1.

    Args:
        delta: difference at which the one becomes the other, in the target's unit.
    """

    tasks: ClassVar[tuple[str, ...]] = ("regression",)

    def __init__(self, delta: PositiveFloat = 1.0) -> None:
        super().__init__()
        self.delta = delta

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean over the batch and the values."""
        return functional.huber_loss(*paired(outputs, targets), delta=self.delta)

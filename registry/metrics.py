"""Metrics: updated with raw outputs and targets in chunks of any size, computed once over the whole epoch.

Outputs are what a loss sees: one raw value per class, label or number. They are turned into decisions here, by the
task and never by a guess from their range. Updating waits for no device.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from pydantic import PositiveInt
from torch import Tensor
from torchmetrics import Metric

from hydrantic import AUTO, Auto, InvalidField, register_metric

ClassTask: TypeAlias = Literal["multiclass", "binary", "multilabel"]
Average: TypeAlias = Literal["micro", "macro", "weighted"]
CLASS_TASKS = ("multiclass", "binary", "multilabel")


def decisions(outputs: Tensor, targets: Tensor, task: ClassTask) -> tuple[Tensor, Tensor]:
    """The predicted and the true class of each sample `(samples,)`, or 0/1 of each label `(samples, labels)`.

    Arguments:
        outputs: raw values `(batch, classes, ...)`; for binary also `(batch,)` or `(batch, 1)`, positive for class 1.
        targets: class indices `(batch, ...)`, or labels `(batch, labels)`.
        task: what is predicted.
    """
    if task == "multiclass":
        return outputs.argmax(1).flatten(), targets.flatten().long()
    if task == "binary":
        return (margin(outputs) > 0).long(), targets.flatten().long()
    return (outputs > 0).long(), targets.long()


def margin(outputs: Tensor) -> Tensor:
    """How much more binary outputs speak for class 1 than for class 0, as `(batch,)` log-odds."""
    if outputs.ndim > 1 and outputs.shape[1] == 2:
        return (outputs[:, 1] - outputs[:, 0]).flatten()
    return outputs.flatten()


def _size(task: ClassTask, num_classes: object, num_labels: object) -> int:
    if task == "binary":
        return 2
    field, size = ("num_labels", num_labels) if task == "multilabel" else ("num_classes", num_classes)
    if not isinstance(size, int):
        raise InvalidField(field, f"must be set: the data does not state it, and the task is {task}")
    return size


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """Part of whole, 0 where the whole is 0."""
    return torch.where(whole == 0, 0.0, part / whole)


class _OverEpoch(Metric):
    # States are replaced, never changed in place: a validation makes them in inference mode.
    full_state_update = False
    is_differentiable = False


@register_metric("accuracy")
class Accuracy(_OverEpoch):
    """The part of the samples whose class is predicted; for multilabel, of the labels.

    Args:
        top_k: how many of the highest outputs may hold the class; above 1 only with more than two classes.
        average: `micro` counts every sample alike, `macro` every class (balanced accuracy).
        task: what is predicted.
        num_classes: number of classes.
        num_labels: number of labels.
    """

    tasks: ClassVar[tuple[str, ...]] = CLASS_TASKS
    higher_is_better = True
    hits: Tensor
    totals: Tensor

    def __init__(
        self,
        top_k: PositiveInt = 1,
        average: Literal["micro", "macro"] = "micro",
        task: Auto[ClassTask] = AUTO,
        num_classes: Auto[int | None] = AUTO,
        num_labels: Auto[int | None] = AUTO,
    ) -> None:
        super().__init__()
        size = _size(task, num_classes, num_labels)
        if top_k > 1 and (task != "multiclass" or top_k >= size):
            raise InvalidField(
                "top_k", f"must be below the number of classes, {size}, and 1 unless these are exclusive"
            )
        self.top_k = top_k
        self.average = average
        self.task: ClassTask = task
        self.add_state("hits", torch.zeros(size, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("totals", torch.zeros(size, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Count a chunk; shapes as for `decisions`."""
        if self.top_k > 1:
            truth = targets.flatten().long()
            hit = (outputs.topk(self.top_k, dim=1).indices == targets.unsqueeze(1)).any(1).flatten()
        else:
            predicted, truth = decisions(outputs, targets, self.task)
            hit = predicted == truth
        if self.task == "multilabel":
            self.hits = self.hits + hit.sum(0)
            self.totals = self.totals + len(hit)
        else:
            self.hits = self.hits.index_add(0, truth, hit.long())
            self.totals = self.totals.index_add(0, truth, torch.ones_like(truth))

    def compute(self) -> Tensor:
        """The accuracy over all chunks, between 0 and 1."""
        if self.average == "micro":
            return _ratio(self.hits.sum(), self.totals.sum())
        return _ratio(_ratio(self.hits, self.totals).sum(), (self.totals > 0).sum())


class _OfConfusion(_OverEpoch):
    """A metric that follows from how often each class was taken for each other."""

    tasks: ClassVar[tuple[str, ...]] = CLASS_TASKS
    higher_is_better = True
    confusion: Tensor
    """Counts `(classes, classes)`, true by predicted; for multilabel `(labels, 2, 2)`."""

    def __init__(self, task: ClassTask, num_classes: object, num_labels: object) -> None:
        super().__init__()
        size = _size(task, num_classes, num_labels)
        shape = (size, 2, 2) if task == "multilabel" else (size, size)
        self.task: ClassTask = task
        self.add_state("confusion", torch.zeros(shape, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Count a chunk; shapes as for `decisions`."""
        predicted, truth = decisions(outputs, targets, self.task)
        cells = truth * self.confusion.shape[-1] + predicted
        if self.task == "multilabel":
            cells = (cells + 4 * torch.arange(cells.shape[1], device=cells.device)).flatten()
        # Not bincount: on a GPU that waits for the largest value.
        counted = self.confusion.flatten().index_add(0, cells, torch.ones_like(cells))
        self.confusion = counted.reshape(self.confusion.shape)

    def counts(self) -> tuple[Tensor, Tensor, Tensor]:
        """Rightly predicted, predicted and true samples of each class or label."""
        if self.task == "multilabel":
            return self.confusion[:, 1, 1], self.confusion[:, :, 1].sum(1), self.confusion[:, 1].sum(1)
        return self.confusion.diagonal(), self.confusion.sum(0), self.confusion.sum(1)


class _PerClass(_OfConfusion):
    """A ratio for each class, averaged over them.

    Args:
        average: `macro` counts every class alike, `weighted` by its samples, `micro` counts every sample alike. By
            default the ratio of class 1 for two classes, and `macro` for more.
        task: what is predicted.
        num_classes: number of classes.
        num_labels: number of labels.
    """

    def __init__(
        self,
        average: Average | None = None,
        task: Auto[ClassTask] = AUTO,
        num_classes: Auto[int | None] = AUTO,
        num_labels: Auto[int | None] = AUTO,
    ) -> None:
        super().__init__(task, num_classes, num_labels)
        self.average = average

    @abstractmethod
    def parts(self, right: Tensor, predicted: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
        """Numerator and denominator of each class."""

    def compute(self) -> Tensor:
        """The ratio over all chunks, between 0 and 1."""
        right, predicted, true = self.counts()
        part, whole = self.parts(right, predicted, true)
        if self.average == "micro":
            return _ratio(part.sum(), whole.sum())
        ratios = _ratio(part, whole)
        if self.average is None and self.task == "binary":
            return ratios[1]
        # A class that is neither in the data nor predicted says nothing.
        weights = true if self.average == "weighted" else ((true + predicted) > 0).long()
        return _ratio((ratios * weights).sum(), weights.sum())


@register_metric("precision")
class Precision(_PerClass):
    """The part of what is predicted as a class that is of the class.

    Args:
        average: `macro` counts every class alike, `weighted` by its samples, `micro` counts every sample alike. By
            default the precision of class 1 for two classes, and `macro` for more.
        task: what is predicted.
        num_classes: number of classes.
        num_labels: number of labels.
    """

    def parts(self, right: Tensor, predicted: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
        """Right of predicted."""
        return right, predicted


@register_metric("recall")
class Recall(_PerClass):
    """The part of a class that is predicted as the class.

    Args:
        average: `macro` counts every class alike, `weighted` by its samples, `micro` counts every sample alike. By
            default the recall of class 1 for two classes, and `macro` for more.
        task: what is predicted.
        num_classes: number of classes.
        num_labels: number of labels.
    """

    def parts(self, right: Tensor, predicted: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
        """Right of true."""
        return right, true


@register_metric("f1")
class F1(_PerClass):
    """The harmonic mean of precision and recall.

    Args:
        average: `macro` counts every class alike, `weighted` by its samples, `micro` counts every sample alike. By
            default the F1 of class 1 for two classes, and `macro` for more.
        task: what is predicted.
        num_classes: number of classes.
        num_labels: number of labels.
    """

    def parts(self, right: Tensor, predicted: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
        """Twice right of predicted and true."""
        return 2 * right, predicted + true


@register_metric("confusion_matrix")
class ConfusionMatrix(_OfConfusion):
    """What the confusion matrix says in a few numbers; the matrix itself is `confusion`, true by predicted.

    - `balanced_accuracy`: mean recall of the classes that occur.
    - `worst_recall`: the lowest recall of a class that occurs.
    - `kappa`: J. Cohen, A Coefficient of Agreement for Nominal Scales, 1960.
    - `mcc`: J. Gorodkin, Comparing two K-category assignments by a K-category correlation coefficient, 2004.

    Args:
        task: what is predicted.
        num_classes: number of classes.
    """

    tasks: ClassVar[tuple[str, ...]] = ("multiclass", "binary")

    def __init__(self, task: Auto[Literal["multiclass", "binary"]] = AUTO, num_classes: Auto[int] = AUTO) -> None:
        super().__init__(task, num_classes, None)

    def compute(self) -> dict[str, Tensor]:
        """The numbers over all chunks, each at most 1."""
        right, predicted, true = (each.double() for each in self.counts())
        occurs = true > 0
        recalls = _ratio(right, true)
        total, by_chance = true.sum(), (true * predicted).sum()
        spread = ((total**2 - predicted.square().sum()) * (total**2 - true.square().sum())).sqrt()
        numbers = {
            "balanced_accuracy": _ratio(recalls.sum(), occurs.sum()),
            "worst_recall": recalls.masked_fill(~occurs, 1.0).min(),
            "kappa": _ratio(right.sum() * total - by_chance, total**2 - by_chance),
            "mcc": _ratio(right.sum() * total - by_chance, spread),
        }
        return {name: number.float() for name, number in numbers.items()}


@register_metric("auroc")
class AUROC(_OverEpoch):
    """Area under the receiver operating characteristic: how often a sample of a class gets a higher score than another.

    With several classes, each against the rest; classes without samples, or without others, are left out. It keeps
    all scores of an epoch.

    Source: J. A. Hanley and B. J. McNeil, The Meaning and Use of the Area under a ROC Curve, 1982, equation 1.

    Args:
        average: `macro` counts every class alike, `weighted` by its samples.
        task: what is predicted.
    """

    tasks: ClassVar[tuple[str, ...]] = CLASS_TASKS
    higher_is_better = True
    scores: list[Tensor]
    truths: list[Tensor]

    def __init__(self, average: Literal["macro", "weighted"] = "macro", task: Auto[ClassTask] = AUTO) -> None:
        super().__init__()
        self.average = average
        self.task: ClassTask = task
        self.add_state("scores", [], dist_reduce_fx="cat")
        self.add_state("truths", [], dist_reduce_fx="cat")

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Keep a chunk; shapes as for `decisions`."""
        if self.task == "binary":
            self.scores.append(margin(outputs))
            self.truths.append(targets.flatten())
        else:
            self.scores.append(outputs)
            self.truths.append(targets)

    def compute(self) -> Tensor:
        """The area over all chunks, between 0 and 1; NaN where no class has both samples and others."""
        scores, truths = _joined(self.scores).float(), _joined(self.truths)
        if self.task == "binary":
            return area(scores, truths == 1)
        if self.task == "multiclass":
            # Scores of different samples compare only after normalization; the logarithm keeps those near 1 apart.
            classes = scores.shape[1]
            scores = scores.log_softmax(1).movedim(1, -1).reshape(-1, classes)
            truths = truths.reshape(-1, 1) == torch.arange(classes, device=truths.device)
        areas = torch.stack([area(scores[:, each], truths[:, each] == 1) for each in range(scores.shape[1])])
        weights = truths.float().sum(0) if self.average == "weighted" else torch.ones_like(areas)
        weights = weights.masked_fill(areas.isnan(), 0.0)
        return (areas.nan_to_num(0.0) * weights).sum() / weights.sum()


def _joined(chunks: Any) -> Tensor:
    # After a synchronisation between processes torchmetrics holds one tensor.
    joined: Tensor = torch.cat(chunks) if isinstance(chunks, list) else chunks
    return joined


def area(scores: Tensor, positive: Tensor) -> Tensor:
    """The area under the ROC curve of scores `(samples,)`, equal ones counting half; NaN without both kinds."""
    _, level, counts = torch.unique(scores, return_inverse=True, return_counts=True)
    ranks = (counts.cumsum(0) - (counts - 1) / 2)[level].double()
    right = positive.sum().double()
    above = ranks[positive].sum() - right * (right + 1) / 2
    found: Tensor = above / (right * (len(scores) - right))
    return found.float()


class _OfNumbers(_OverEpoch):
    """A metric of predicted numbers `(batch,)` or `(batch, values)`."""

    tasks: ClassVar[tuple[str, ...]] = ("regression",)


def _columns(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    if outputs.numel() != targets.numel() or outputs.shape[0] != targets.shape[0]:
        raise ValueError(f"outputs {tuple(outputs.shape)} and targets {tuple(targets.shape)} must have one shape")
    return outputs.reshape(len(outputs), -1).float(), targets.reshape(len(targets), -1).float()


class _MeanOfErrors(_OfNumbers):
    higher_is_better = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    @abstractmethod
    def error(self, difference: Tensor) -> Tensor:
        """The error of each difference."""

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Add the errors of a chunk."""
        outputs, targets = _columns(outputs, targets)
        self.total = self.total + self.error(outputs - targets).sum()
        self.count = self.count + outputs.numel()

    def compute(self) -> Tensor:
        """The mean over all values of all chunks."""
        return self.total / self.count


@register_metric("mse")
class MeanSquaredError(_MeanOfErrors):
    """Mean squared error, in the target's unit squared."""

    def error(self, difference: Tensor) -> Tensor:
        """The square."""
        return difference.square()


@register_metric("mae")
class MeanAbsoluteError(_MeanOfErrors):
    """Mean absolute error, in the target's unit."""

    def error(self, difference: Tensor) -> Tensor:
        """The absolute value."""
        return difference.abs()


@register_metric("r2")
class R2(_OfNumbers):
    """Coefficient of determination: 1 for perfect predictions, 0 for predicting the mean; averaged over the values.

    Chunks are merged by T. F. Chan, G. H. Golub and R. J. LeVeque, Updating Formulae and a Pairwise Algorithm for
    Computing Sample Variances, 1979, equation 2.1.

    Args:
        out_features: number of predicted values.
    """

    higher_is_better = True
    errors: Tensor
    moments: Tensor

    def __init__(self, out_features: Auto[int] = AUTO) -> None:
        super().__init__()
        self.add_state("errors", torch.zeros(out_features), dist_reduce_fx="sum")
        # Count, mean and sum of squared deviations of the targets; processes are merged as chunks are.
        self.add_state("moments", torch.zeros(3, out_features), dist_reduce_fx=None)

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Add a chunk."""
        outputs, targets = _columns(outputs, targets)
        self.errors = self.errors + (outputs - targets).square().sum(0)
        mean = targets.mean(0)
        count = torch.full_like(mean, len(targets))
        self.moments = _merged(self.moments, torch.stack([count, mean, (targets - mean).square().sum(0)]))

    def compute(self) -> Tensor:
        """The coefficient over all chunks, at most 1; 0 where the targets are constant."""
        moments = self.moments
        if moments.ndim == 3:
            moments, *others = moments.unbind()
            for other in others:
                moments = _merged(moments, other)
        deviations = moments[2]
        return torch.where(deviations == 0, 0.0, 1 - self.errors / deviations).mean()


def _merged(one: Tensor, other: Tensor) -> Tensor:
    (count, mean, deviations), (added, added_mean, added_deviations) = one, other
    total = count + added
    step = (added_mean - mean) * _ratio(added, total)
    return torch.stack([total, mean + step, deviations + added_deviations + (added_mean - mean) * step * count])

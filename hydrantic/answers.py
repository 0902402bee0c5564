"""What a model's outputs say about the target: classes with probabilities, labels, or numbers."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hydrantic.errors import UsageError
from hydrantic.facts import Facts, Task
from hydrantic.model.tally import pick


@dataclass(frozen=True)
class Answers:
    """What a model says about some samples, in the terms of their data."""

    task: Task | None
    """What is predicted; None where the data does not state it, and `values` are the outputs."""
    values: Tensor
    """Class indices `(samples,)` int64, labels 0/1 `(samples, labels)` int64, or numbers `(samples, values)`."""
    probabilities: Tensor | None = None
    """Of each class `(samples, classes)` or of each label `(samples, labels)`; None for numbers."""
    names: tuple[str, ...] = ()
    """Names of the classes, labels or numbers, in the order of their index; the index as text where none is stated."""

    @property
    def classes(self) -> list[str] | None:
        """The name of each sample's class; None where no classes are predicted."""
        return [self.names[index] for index in self.values.tolist()] if self.task in _OF_CLASSES else None


_OF_CLASSES = ("multiclass", "binary")


def answers(outputs: Any, facts: Facts, key: str | None = None) -> Answers:
    """What outputs mean, by the data's task.

    Outputs are raw, as the stock losses and metrics take them: probabilities of classes are their softmax, of labels
    their sigmoid. Log-probabilities, which a softmax leaves alone, and probabilities that add up to 1 stay what they
    are.
    One output of a binary task is that of the second class.

    Arguments:
        outputs: what the model returned: a tensor whose first dimension counts the samples, or several.
        facts: what the data that the model was trained on states.
        key: which of several outputs answers; see `answering`.

    Raises:
        UsageError: nothing says which output is meant, or it does not suit the task.
    """
    chosen = _chosen(outputs, key).detach()
    if facts.task in _OF_CLASSES:
        return _classes(chosen, facts)
    values = chosen.reshape(-1, 1) if chosen.ndim == 1 else chosen
    names = _names(facts.target_names, values, facts.num_labels)
    if facts.task == "multilabel":
        _warn_of_shares(values)
        return Answers(facts.task, (values > 0).long(), _precise(values).sigmoid(), names)
    return Answers(facts.task, values, names=names)


def answering(model: nn.Module) -> str | None:
    """Which of a model's outputs is the prediction: the one that the loss reads, or None for all there is."""
    key: str | None = getattr(getattr(model, "loss", None), "input", None)
    return key


def _chosen(outputs: Any, key: str | None) -> Tensor:
    chosen = pick(outputs, key, "input")
    if isinstance(chosen, Mapping) and len(chosen) == 1:
        chosen = next(iter(chosen.values()))
    if isinstance(chosen, Tensor) and chosen.ndim > 0:
        return chosen
    parts = ", ".join(map(str, chosen)) if isinstance(chosen, Mapping) else type(chosen).__name__
    raise UsageError(f"the model returns {parts}, and the loss has no `input:` that says which is the prediction")


def _classes(outputs: Tensor, facts: Facts) -> Answers:
    outputs = outputs if outputs.is_floating_point() else outputs.float()  # votes, say, or bits
    if facts.num_classes in {2, None} and (outputs.ndim == 1 or outputs.shape[1] == 1):  # one decides between two
        margin = _precise(outputs.reshape(-1))
        _warn_of_shares(margin)
        probabilities = torch.stack([-margin, margin], 1).sigmoid()
        return Answers(facts.task, (margin > 0).long(), probabilities, _names(facts.class_names, probabilities))
    if outputs.ndim != 2:
        raise UsageError(f"outputs of shape {tuple(outputs.shape)} are not one value for each class")
    names = _names(facts.class_names, outputs, facts.num_classes)
    return Answers(facts.task, outputs.argmax(1), _shares(outputs), names)


def _shares(outputs: Tensor) -> Tensor:
    """The probability of each class; of a network that ends in a softmax, its outputs."""
    total = outputs.sum(1, dtype=torch.float64)
    precision = max(1e-5, torch.finfo(outputs.dtype).eps)
    are_shares = bool((outputs >= 0).all()) and bool(((total - 1).abs() < precision).all())
    return _precise(outputs) if are_shares else _precise(outputs).softmax(1)


def _precise(outputs: Tensor) -> Tensor:
    """Outputs of a model that computes in 16 bits in 32, so that probabilities add up to 1."""
    return outputs.float() if outputs.dtype in {torch.bfloat16, torch.float16} else outputs


_ENOUGH = 20
"""How many samples' raw outputs would hardly all lie between 0 and 1."""


def _warn_of_shares(outputs: Tensor) -> None:
    if len(outputs) >= _ENOUGH and bool(((outputs >= 0) & (outputs <= 1)).all()):
        warnings.warn(
            "all outputs lie between 0 and 1. If the model ends in a sigmoid, the predictions are wrong: outputs are "
            "taken as raw, as losses and metrics take them, so let it return what comes before the sigmoid",
            stacklevel=4,
        )


def _names(stated: tuple[str, ...] | None, values: Tensor, count: int | None = None) -> tuple[str, ...]:
    """A name for each column, for which the data may state how many there are."""
    expected = len(stated) if stated else count
    if expected is not None and (values.ndim != 2 or values.shape[1] != expected):
        raise UsageError(f"outputs of shape {tuple(values.shape)} do not suit {expected} names of the data's target")
    return stated or tuple(str(index) for index in range(values.shape[1]))

"""What the best checkpoint of a run says of samples that it was not trained on, counted for a report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor

from hydrantic.answers import Answers, answers
from hydrantic.build import facts_of
from hydrantic.errors import HydranticError, RunFailed, UsageError
from hydrantic.model.tally import pick
from hydrantic.opening import Opened, open_run
from hydrantic.process import settings_as_they_were
from hydrantic.secrets import hide
from hydrantic.source import display
from hydrantic.suiting import refuse_gone, refuse_unlike
from hydrantic.training import without_chatter

MOST_POINTS: Final = 600
"""How many samples a scatter shows."""
_BINS: Final = 10
_BARS: Final = 24
_MOST_TARGETS: Final = 6
_OF_CLASSES: Final = ("multiclass", "binary")


@dataclass(frozen=True)
class Bin:
    """Samples of like confidence."""

    low: float
    high: float
    count: int
    confidence: float
    """The mean probability of the class that was chosen,"""
    accuracy: float
    """and how often it was right."""


@dataclass(frozen=True)
class OfClasses:
    """Which classes were taken for which."""

    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    """Number of samples by their true class, then by the class that was predicted."""
    bins: tuple[Bin, ...]

    @property
    def calibration_error(self) -> float:
        """The mean gap between confidence and accuracy, weighted by samples.

        M. Pakdaman Naeini et al., Obtaining Well Calibrated Probabilities Using Bayesian Binning, 2015.
        """
        total = sum(each.count for each in self.bins)
        return sum(each.count * abs(each.accuracy - each.confidence) for each in self.bins) / max(total, 1)


@dataclass(frozen=True)
class OfLabels:
    """How often each label was given rightly."""

    names: tuple[str, ...]
    right: tuple[int, ...]
    """Samples that have the label and got it;"""
    extra: tuple[int, ...]
    """got it without having it;"""
    missed: tuple[int, ...]
    """have it and did not get it."""


@dataclass(frozen=True)
class OfNumbers:
    """How far one predicted number was off."""

    name: str
    mae: float
    rmse: float
    r2: float
    bias: float
    """The mean of predicted minus true."""
    points: tuple[tuple[float, float], ...]
    """True and predicted value of some samples."""
    edges: tuple[float, ...]
    """The borders of the bars over the residuals, predicted minus true,"""
    bars: tuple[int, ...]
    """and how many samples lie in each."""


@dataclass(frozen=True)
class Evaluation:
    """What a checkpoint says of one split."""

    split: str
    """`test` or `validation`."""
    samples: int
    checkpoint: str
    classes: OfClasses | None = None
    labels: OfLabels | None = None
    numbers: tuple[OfNumbers, ...] = ()
    left_out: int = 0
    """How many further numbers are predicted."""
    notes: tuple[str, ...] = ()
    """What has changed of the components since."""


def evaluate(run: Path, project: Path | None = None) -> Evaluation:
    """What the best checkpoint of a run says of its test split, or of the validation split where there is no test.

    Raises:
        HydranticError: the checkpoint, the components or the data are not to be had here, or a component has failed.
    """
    with settings_as_they_were(), without_chatter():
        opened = open_run(run, project=project)
        with _telling_no_secrets(opened):
            split, loaders = _split(opened)
            said, true = _answered(opened, loaders)
    plain = Evaluation(split, len(said.values), display(opened.checkpoint), notes=opened.notes)
    if said.task in _OF_CLASSES:
        return replace(plain, classes=_of_classes(said, true.reshape(-1).long()))
    if said.task == "multilabel":
        return replace(plain, labels=_of_labels(said, true.long()))
    predicted, true = said.values.double().flatten(1), true.double().reshape(said.values.shape).flatten(1)
    width = predicted.shape[1]
    names = said.names if len(said.names) == width else tuple(f"output {at}" for at in range(width))
    shown = [_of_numbers(names[at], predicted[:, at], true[:, at]) for at in range(min(width, _MOST_TARGETS))]
    return replace(plain, numbers=tuple(shown), left_out=width - len(shown))


@contextmanager
def _telling_no_secrets(opened: Opened) -> Iterator[None]:
    """Whatever a component raises becomes an error in whose words nothing stands that the environment supplied."""
    try:
        yield
    except Exception as error:
        words = str(error) if isinstance(error, HydranticError) else f"{type(error).__name__}: {error}"
        raise RunFailed(hide(words, opened.plan.secrets)) from error


def _split(opened: Opened) -> tuple[str, list[Any]]:
    refuse_gone(opened)
    found = facts_of(opened.plan, opened.data)
    refuse_unlike(opened, found)
    has_test = found.test_size != 0 and is_overridden("test_dataloader", opened.data)
    opened.data.setup("test" if has_test else "validate")
    loaders = opened.data.test_dataloader() if has_test else opened.data.val_dataloader()
    listed = list(loaders) if isinstance(loaders, list | tuple) else [] if loaders is None else [loaders]
    if not listed:
        raise UsageError("the data has neither a test nor a validation split")
    return ("test" if has_test else "validation"), listed


def _answered(opened: Opened, loaders: list[Any]) -> tuple[Answers, Tensor]:
    """What the model says of all samples, and what is true."""
    wiring: Mapping[str, Any] = (opened.plan.loss.wiring if opened.plan.loss is not None else None) or {}
    outputs, targets = [], []
    with torch.inference_mode():
        for inputs, true in _batches(opened.model, loaders):
            outputs.append(answers(opened.model(inputs), opened.facts, wiring.get("input")))
            targets.append(_tensor(pick(true, wiring.get("target"), "target")))
    if not outputs:
        raise UsageError("the split has no sample")
    first = outputs[0]
    probabilities = None if first.probabilities is None else torch.cat([_known(each) for each in outputs])
    return Answers(first.task, torch.cat([each.values for each in outputs]), probabilities, first.names), torch.cat(
        targets
    )


def _batches(model: LightningModule, loaders: list[Any]) -> Iterator[tuple[Any, Any]]:
    unpack: Any = getattr(model, "unpack", None)
    for loader in loaders:
        for batch in loader:
            inputs, true = unpack(batch) if unpack is not None else batch
            yield inputs, true


def _tensor(true: Any) -> Tensor:
    if not isinstance(true, Tensor):
        raise UsageError("the batch's target has several parts, of which the loss's 'target' names none")
    return true


def _known(said: Answers) -> Tensor:
    assert said.probabilities is not None  # as of the first batch
    return said.probabilities


def _of_classes(said: Answers, true: Tensor) -> OfClasses:
    assert said.probabilities is not None  # answers has them for classes
    classes = said.probabilities.shape[1]
    counts = torch.bincount(true * classes + said.values, minlength=classes * classes).reshape(classes, classes)
    names = said.names if len(said.names) == classes else tuple(map(str, range(classes)))
    confidence = said.probabilities.max(1).values.double()
    return OfClasses(names, tuple(map(tuple, counts.tolist())), _bins(confidence, said.values == true))


def _bins(confidence: Tensor, is_right: Tensor) -> tuple[Bin, ...]:
    which = (confidence * _BINS).long().clamp(0, _BINS - 1)
    found = []
    for at in range(_BINS):
        inside = which == at
        if count := int(inside.sum()):
            mean, right = confidence[inside].mean().item(), is_right[inside].double().mean().item()
            found.append(Bin(at / _BINS, (at + 1) / _BINS, count, mean, right))
    return tuple(found)


def _of_labels(said: Answers, true: Tensor) -> OfLabels:
    given, has = said.values.bool(), true.bool()
    names = said.names if len(said.names) == given.shape[1] else tuple(map(str, range(given.shape[1])))
    right, extra, missed = (given & has), (given & ~has), (~given & has)
    return OfLabels(names, *(tuple(each.sum(0).tolist()) for each in (right, extra, missed)))


def _of_numbers(name: str, predicted: Tensor, true: Tensor) -> OfNumbers:
    residuals = predicted - true
    spread = (true - true.mean()).square().sum().item()
    r2 = 1 - residuals.square().sum().item() / spread if spread else math.nan
    low, high = residuals.min().item(), residuals.max().item()
    if not high > low:
        low, high = low - 0.5, high + 0.5
    edges = torch.linspace(low, high, _BARS + 1, dtype=torch.float64)
    bars = torch.histc(residuals, bins=_BARS, min=low, max=high)
    every = math.ceil(len(true) / MOST_POINTS)
    points = zip(true[::every].tolist(), predicted[::every].tolist(), strict=True)
    return OfNumbers(
        name, residuals.abs().mean().item(), residuals.square().mean().sqrt().item(), r2, residuals.mean().item(),
        tuple(points), tuple(edges.tolist()), tuple(int(each) for each in bars.tolist()),
    )  # fmt: skip

"""What the best checkpoint of a run says of samples that it was not trained on, counted for a report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor

from hydrantic.answers import Answers, answers
from hydrantic.build import evaluator, facts_of
from hydrantic.errors import HydranticError, RunFailed, UsageError
from hydrantic.evaluating import as_it_was, workplace
from hydrantic.facts import Task
from hydrantic.interrupts import StopSignals
from hydrantic.model.model import Model
from hydrantic.model.tally import pick
from hydrantic.opening import Opened, open_run
from hydrantic.secrets import hide
from hydrantic.source import display
from hydrantic.suiting import refuse_gone, refuse_unlike

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
        Interrupted: SIGINT or SIGTERM arrived.
    """
    opened = open_run(run, project=project)
    with as_it_was(opened), _telling_no_secrets(opened):
        split, loaders = _split(opened)
        told = _told(opened, loaders)
        plain = Evaluation(split, len(told.values), display(opened.checkpoint), notes=opened.notes)
        return _counted(plain, told)


def _counted(plain: Evaluation, told: Told) -> Evaluation:
    if told.task in _OF_CLASSES:
        return replace(plain, classes=_of_classes(told))
    if told.task == "multilabel":
        return replace(plain, labels=_of_labels(told))
    predicted = told.values.double().flatten(1)
    true = told.targets.double().reshape(told.values.shape).flatten(1)
    width = predicted.shape[1]
    names = told.names if len(told.names) == width else tuple(f"output {at}" for at in range(width))
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


@dataclass(frozen=True)
class Told:
    """What the model says of all samples, and what is true."""

    task: Task | None
    names: tuple[str, ...]
    values: Tensor
    """Class indices, labels or numbers, as in `Answers`."""
    targets: Tensor
    confidences: Tensor | None = None
    """The probability of the class that was chosen."""


def _told(opened: Opened, loaders: list[Any]) -> Told:
    kept = _Kept(opened)
    signals = StopSignals()
    with workplace() as directory, signals, _answering_by_forward(opened.model):
        trainer = evaluator(opened.plan, directory, (signals, kept))
        trainer.predict(opened.model, dataloaders=loaders, return_predictions=False)
    first = kept.first
    if first is None:
        raise UsageError("the split has no sample")
    values, targets = (torch.cat(each) for each in (kept.values, kept.targets))
    confidences = torch.cat(kept.confidences) if kept.confidences else None
    return Told(first.task, first.names, values, targets, confidences)


@contextmanager
def _answering_by_forward(model: LightningModule) -> Iterator[None]:
    """Let the trainer ask for what the loss reads: a module's own `predict_step` may return something else."""

    def predict_step(batch: Any, *_: Any) -> Any:
        return model(_parts(model, batch)[0])

    object.__setattr__(model, "predict_step", predict_step)
    try:
        yield
    finally:
        object.__delattr__(model, "predict_step")


def _parts(model: LightningModule, batch: Any) -> tuple[Any, Any]:
    """Inputs and targets of a batch."""
    inputs, true = model.unpack(batch) if isinstance(model, Model) else batch
    return inputs, true


class _Kept(Callback):
    """Keeps of each batch what a report counts, in the CPU's memory."""

    def __init__(self, opened: Opened) -> None:
        self._facts = opened.facts
        self._wiring: Mapping[str, Any] = (opened.plan.loss.wiring if opened.plan.loss is not None else None) or {}
        self.first: Answers | None = None
        self.values: list[Tensor] = []
        self.targets: list[Tensor] = []
        self.confidences: list[Tensor] = []

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Keep what a batch came to."""
        said = answers(outputs, self._facts, self._wiring.get("input"))
        true = _tensor(pick(_parts(pl_module, batch)[1], self._wiring.get("target"), "target"))
        self.first = self.first or said
        self.values.append(said.values.cpu())
        self.targets.append(true.cpu())
        if said.task in _OF_CLASSES and said.probabilities is not None:
            self.confidences.append(said.probabilities.max(1).values.double().cpu())


def _tensor(true: Any) -> Tensor:
    if not isinstance(true, Tensor):
        raise UsageError("the batch's target has several parts, of which the loss's 'target' names none")
    return true


def _of_classes(told: Told) -> OfClasses:
    assert told.confidences is not None  # each batch has them, for classes
    classes, true = len(told.names), told.targets.reshape(-1).long()
    known = (true >= 0) & (true < classes)  # others have no class, as -100 where the loss leaves a sample out
    true, said = true[known], told.values[known]
    counts = torch.bincount(true * classes + said, minlength=classes * classes).reshape(classes, classes)
    return OfClasses(told.names, tuple(map(tuple, counts.tolist())), _bins(told.confidences[known], said == true))


def _bins(confidence: Tensor, is_right: Tensor) -> tuple[Bin, ...]:
    which = (confidence * _BINS).long().clamp(0, _BINS - 1)
    found = []
    for at in range(_BINS):
        inside = which == at
        if count := int(inside.sum()):
            mean, right = confidence[inside].mean().item(), is_right[inside].double().mean().item()
            found.append(Bin(at / _BINS, (at + 1) / _BINS, count, mean, right))
    return tuple(found)


def _of_labels(told: Told) -> OfLabels:
    given, has = told.values.bool(), told.targets.reshape(told.values.shape).bool()
    right, extra, missed = (given & has), (given & ~has), (~given & has)
    return OfLabels(told.names, *(tuple(each.sum(0).tolist()) for each in (right, extra, missed)))


def _of_numbers(name: str, predicted: Tensor, true: Tensor) -> OfNumbers:
    residuals = predicted - true
    spread = (true - true.mean()).square().sum().item()
    r2 = 1 - residuals.square().sum().item() / spread if spread else math.nan
    is_drawable = residuals.isfinite()
    drawn, predicted, true = residuals[is_drawable], predicted[is_drawable], true[is_drawable]
    low, high = (drawn.min().item(), drawn.max().item()) if len(drawn) else (0.0, 0.0)
    if not high > low:
        low, high = low - 0.5, high + 0.5
    edges = torch.linspace(low, high, _BARS + 1, dtype=torch.float64)
    bars = torch.histc(drawn, bins=_BARS, min=low, max=high)
    every = max(1, math.ceil(len(true) / MOST_POINTS))
    points = zip(true[::every].tolist(), predicted[::every].tolist(), strict=True)
    return OfNumbers(
        name, residuals.abs().mean().item(), residuals.square().mean().sqrt().item(), r2, residuals.mean().item(),
        tuple(points), tuple(edges.tolist()), tuple(int(each) for each in bars.tolist()),
    )  # fmt: skip

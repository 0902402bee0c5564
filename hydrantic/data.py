"""Data that fits into memory: split once, preprocessed by its training part, and batched without copying it per sample.

Any `LightningDataModule` can be registered with `register_data`. If it has a method `facts() -> Facts`, models, losses
and metrics can leave what it states as `auto`; without one, the blueprint writes those fields itself. `InMemoryData`
is the short way: a subclass writes `load` and gets everything else. Where several processes train together, each takes
its share of its batches, so that the same blueprint trains alike in any number of processes. Of a `DataLoader` that a
data module makes itself, Lightning gives every process batches of its own (`DistributedSampler`): its `batch_size` is
then that of one process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, cast

import torch
from lightning.pytorch import LightningDataModule
from pydantic import PositiveInt
from torch import Tensor

from hydrantic.batches import Batch, BatchLoader, Share
from hydrantic.components import generic_hparams
from hydrantic.errors import InvalidField
from hydrantic.facts import Facts, Task
from hydrantic.hparams import Hparams
from hydrantic.rules import ROUNDING, Split, are_lengths

__all__ = ["InMemoryData", "InMemoryDataHparams", "Preprocessing", "Samples"]


@dataclass(frozen=True, kw_only=True)
class Samples:
    """A whole data set as tensors, as `load` reads it."""

    inputs: Tensor
    """Shape `(samples, ...)`, floating point; a NaN is a missing value."""
    targets: Tensor
    """Class indices `(samples,)` int64, or numbers or 0/1 labels `(samples, values)` float32."""
    task: Task
    """What is predicted."""
    class_names: tuple[str, ...] | None = None
    """Names of the classes, in the order of their indices."""
    feature_names: tuple[str, ...] | None = None
    """Names of the values of one input."""
    target_names: tuple[str, ...] | None = None
    """Names of the predicted values."""
    ids: tuple[str, ...] | None = None
    """A name for each sample, to tell predictions apart."""
    rows: Tensor | None = None
    """Which row of its source each sample is, counted from 0; its position by default."""
    parts: tuple[Tensor, Tensor, Tensor] | None = None
    """Indices of the training, validation and test samples where the source has split them itself."""
    scalable: Tensor | None = None
    """Mask of one input's values that `standardize` may change; all of them by default."""

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def fingerprint(self) -> str:
        """A hash of the tensors and names: 16 hexadecimal digits."""
        digest = hashlib.sha256(repr((self.task, self.class_names, self.feature_names, self.target_names)).encode())
        for tensor in (self.inputs, self.targets):
            digest.update(repr((tensor.dtype, tuple(tensor.shape))).encode())
            digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()[:16]


class InMemoryDataHparams(Hparams):
    """How data in memory is split and batched."""

    batch_size: PositiveInt = 64
    """Number of samples in a batch, over all processes that train together."""
    split: Split = (0.8, 0.1, 0.1)
    """Training, validation and test part: fractions such as `[0.8, 0.1, 0.1]`, or lengths such as `[1000, 200, 100]`.
    What they leave over is not used, and a part may be 0."""
    split_seed: int = 42
    """Which random split is drawn. It does not follow the training's seed, so that runs share their test samples."""
    stratify: bool = True
    """Whether each part gets its share of every class, for classification."""
    shuffle: bool = True
    """Whether the training samples come in a new order in each epoch."""
    drop_last: bool = False
    """Whether the last training batch is left out where it is smaller than the others."""
    standardize: bool = False
    """Whether each input value is shifted and scaled to mean 0 and standard deviation 1 over the training part."""


H = TypeVar("H", bound=InMemoryDataHparams)


def part_sizes(split: Sequence[float], samples: int) -> tuple[int, int, int]:
    """Number of training, validation and test samples.

    Arguments:
        split: three fractions or three lengths.
        samples: number of samples there are.

    Raises:
        InvalidField: there are fewer samples than `split` asks for, or none for a part that should have some.
    """
    if are_lengths(split):
        train, validation, test = (int(part) for part in split)
        if train + validation + test > samples:
            raise InvalidField(
                "split", f"asks for {train} + {validation} + {test} samples, but the data has only {samples}"
            )
        return train, validation, test
    ends = [round(samples * sum(split[: count + 1]) + ROUNDING) for count in range(3)]
    sizes = ends[0], ends[1] - ends[0], ends[2] - ends[1]
    for part, size, name in zip(split, sizes, ("training", "validation", "test"), strict=True):
        if part > 0 and size == 0:
            raise InvalidField("split", f"leaves no {name} sample: {part:g} of {samples} samples")
    return sizes


def split_indices(sizes: Sequence[int], samples: int, seed: int, classes: Tensor | None = None) -> tuple[Tensor, ...]:
    """Random, disjoint indices for each part, always the same for the same arguments.

    Arguments:
        sizes: number of samples in each part.
        samples: number of samples there are.
        seed: which split is drawn.
        classes: class of each sample `(samples,)`; with it, each part gets its share of every class.

    Returns:
        One int64 tensor of indices per part.
    """
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(seed))
    if classes is not None:
        order = order[_spread(classes[order]).argsort(stable=True)]
    return torch.split(order[: sum(sizes)], list(sizes))


def _spread(classes: Tensor) -> Tensor:
    """A position in (0, 1) for each sample, such that the samples of every class lie evenly apart."""
    by_class = classes.argsort(stable=True)
    counts = classes.bincount()
    starts = counts.cumsum(0) - counts
    ranks = torch.empty_like(classes)
    ranks[by_class] = torch.arange(len(classes)) - starts[classes[by_class]]
    return (ranks.double() + 0.5) / counts[classes]


@dataclass(frozen=True)
class Preprocessing:
    """What the training part says about each input value; applied alike to every part."""

    means: Tensor | None = None
    """Mean of each value, which replaces missing ones; None where nothing is missing or standardized."""
    stds: Tensor | None = None
    """Standard deviation of each value, where inputs are standardized."""
    scalable: Tensor | None = None
    """Mask of the values that are standardized; all of them by default."""

    @classmethod
    def fit(cls, train: Samples, *, standardize: bool) -> Preprocessing:
        """Mean and, to `standardize`, population standard deviation of each training input value."""
        inputs = train.inputs.double()
        means = inputs.nanmean(0).nan_to_num(0.0)
        if not standardize:
            return cls(means)
        stds = (inputs - means).square().nanmean(0).nan_to_num(0.0).sqrt()
        constant = stds <= means.abs() * torch.finfo(train.inputs.dtype).eps
        return cls(means, stds.masked_fill(constant, 1.0), train.scalable)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Inputs `(samples, ...)` without missing values and, where that was fitted, standardized.

        Raises:
            InvalidField: values are missing, but the training data has no means to replace them.
            ValueError: the inputs are of another shape than those of the training data.
        """
        if self.means is None:
            if has_missing(inputs):
                raise InvalidField("missing", "values are missing, and the training data had none missing")
            return inputs
        if self.means.shape != inputs.shape[1:]:
            expected = f"{tuple(self.means.shape)}, those of the training data"
            raise ValueError(f"inputs have the shape {tuple(inputs.shape[1:])}, not {expected}")
        filled = torch.where(inputs.isnan(), self.means.to(inputs.dtype), inputs)
        if self.stds is None:
            return filled
        scaled = ((filled - self.means) / self.stds).to(inputs.dtype)
        return scaled if self.scalable is None else torch.where(self.scalable, scaled, filled)

    def to_plain(self) -> dict[str, Any]:
        """Nested lists of numbers, which a checkpoint can hold."""
        fields = {"means": self.means, "stds": self.stds, "scalable": self.scalable}
        return {name: None if value is None else value.tolist() for name, value in fields.items()}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Preprocessing:
        """What `to_plain` returned."""
        types = {"means": torch.float64, "stds": torch.float64, "scalable": torch.bool}
        return cls(*(None if plain[name] is None else torch.tensor(plain[name], dtype=types[name]) for name in types))


def has_missing(inputs: Tensor) -> bool:
    """Whether any value is NaN."""
    return bool(inputs.isnan().any())


@dataclass(frozen=True)
class _Prepared:
    """The data set as it is trained on: preprocessed samples, and which of them each part has."""

    samples: Samples
    parts: tuple[Batch, ...]
    indices: tuple[Tensor, ...]
    preprocessing: Preprocessing
    facts: Facts


class InMemoryData(LightningDataModule, Generic[H]):
    """A data module whose samples fit into memory: `class Mine(InMemoryData[MineHparams])`.

    A subclass writes `load`. The base splits what it returns, fits the preprocessing to the training part, states the
    facts and makes the loaders. A checkpoint keeps the fitted preprocessing, so that data that is loaded later is
    transformed exactly as in training.

    Arguments:
        hparams: the hyperparameters, or a mapping that is validated into them.

    Raises:
        pydantic.ValidationError: a `ValueError` that lists every wrong field.
        InvalidField: the data does not suit a field; raised by everything that needs the data.
    """

    allow_zero_length_dataloader_with_multiple_devices = True

    thparams: H
    """The validated hyperparameters."""
    seed: int
    """Seed of the training order; a run sets it to its own before training."""

    def __init__(self, hparams: H | Mapping[str, Any] | None = None) -> None:
        super().__init__()
        declared = cast("type[H]", generic_hparams(type(self)) or InMemoryDataHparams)
        self.thparams = hparams if isinstance(hparams, declared) else declared.from_dict(hparams or {})
        self.seed = 0
        self._prepared: _Prepared | None = None
        self._fitted: Preprocessing | None = None
        self._trained_on: str | None = None

    def load(self) -> Samples:
        """Read the whole data set, without random choices and without looking at the split.

        Raises:
            InvalidField: a field does not suit the data, such as the path of a file that is not there.
        """
        raise NotImplementedError(f"{type(self).__name__} has no load()")

    def setup(self, stage: str | None = None) -> None:
        """Load, split and preprocess the data, once."""
        self._ready()

    def facts(self) -> Facts:
        """What the data states about itself; loads it if that has not been done."""
        return self._ready().facts

    @property
    def samples(self) -> Samples:
        """All samples, preprocessed, in the order of their source."""
        return self._ready().samples

    @property
    def indices(self) -> tuple[Tensor, ...]:
        """Indices into `samples` of the training, validation and test part."""
        return self._ready().indices

    @property
    def preprocessing(self) -> Preprocessing:
        """What is done to inputs before a model sees them; reads the data where no checkpoint has told it."""
        return self._fitted or self._ready().preprocessing

    def train_dataloader(self) -> BatchLoader:
        """Batches `(inputs, targets)` of the training part, in a new order in each epoch."""
        inputs, targets = self._ready().parts[0]
        if len(inputs) == 0:
            raise InvalidField("split", "there is nothing to train on: the checkpoint was trained on other data")
        hparams = self.thparams
        return BatchLoader(
            inputs, targets, hparams.batch_size,
            shuffle=hparams.shuffle, drop_last=hparams.drop_last, seed=self.seed, trains=True,
        )  # fmt: skip

    def val_dataloader(self) -> BatchLoader:
        """Batches of the validation part in a fixed order; none where it has no samples."""
        return self._in_order(1)

    def test_dataloader(self) -> BatchLoader:
        """Batches of the test part in a fixed order; none where it has no samples."""
        return self._in_order(2)

    def predict_dataloader(self) -> BatchLoader:
        """Batches of all samples, in the order of their source."""
        samples = self._ready().samples
        return BatchLoader(samples.inputs, samples.targets, self.thparams.batch_size)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """The batch on the device; where it is there already, as it is."""
        if isinstance(batch, tuple) and all(isinstance(each, Tensor) and each.device == device for each in batch):
            return batch
        if isinstance(batch, Share):
            return batch.moved(super().transfer_batch_to_device(tuple(batch), device, dataloader_idx))
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def _in_order(self, part: int) -> BatchLoader:
        inputs, targets = self._ready().parts[part]
        return BatchLoader(inputs, targets, self.thparams.batch_size)

    def state_dict(self) -> dict[str, Any]:
        """The fitted preprocessing, the sizes of the parts and the fingerprint, as plain types."""
        ready = self._ready()
        return {
            "preprocessing": ready.preprocessing.to_plain(),
            "sizes": [len(part) for part in ready.indices],
            "fingerprint": ready.facts.fingerprint,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over the preprocessing that another run fitted; what is loaded already is prepared anew.

        Data that is not what that run was trained on, by its fingerprint, is not split: none of it is for training, and
        all of it is for validation and for the test.
        """
        if self._prepared is not None and self.state_dict() == state_dict:
            return
        self._fitted = Preprocessing.from_plain(state_dict["preprocessing"])
        self._trained_on = state_dict["fingerprint"]
        self._prepared = None

    def _ready(self) -> _Prepared:
        if self._prepared is None:
            self._prepared = self._prepare(self.load())
        return self._prepared

    def _prepare(self, raw: Samples) -> _Prepared:
        hparams, fingerprint = self.thparams, raw.fingerprint
        indices = raw.parts or self._split(raw, fingerprint)
        if hparams.drop_last and 0 < len(indices[0]) < hparams.batch_size:
            raise InvalidField(
                "drop_last", f"leaves no batch: {len(indices[0])} training samples and batches of {hparams.batch_size}"
            )
        train = replace(raw, inputs=raw.inputs[indices[0]], targets=raw.targets[indices[0]])
        preprocessing = self._fitted or self._fit(train, missing=has_missing(raw.inputs))
        samples = replace(raw, inputs=preprocessing(raw.inputs))
        parts = tuple((samples.inputs[each], samples.targets[each]) for each in indices)
        facts = replace(
            state_facts(raw, train.targets),
            validation_size=len(indices[1]),
            test_size=len(indices[2]),
            fingerprint=fingerprint,
        )
        return _Prepared(samples, parts, indices, preprocessing, facts)

    def _fit(self, train: Samples, *, missing: bool) -> Preprocessing:
        standardize = self.thparams.standardize
        return Preprocessing.fit(train, standardize=standardize) if standardize or missing else Preprocessing()

    def _split(self, raw: Samples, fingerprint: str) -> tuple[Tensor, ...]:
        if self._trained_on not in {None, fingerprint}:
            everything = torch.arange(len(raw))
            return everything[:0], everything, everything
        hparams = self.thparams
        stratified = hparams.stratify and raw.task in {"multiclass", "binary"}
        sizes = part_sizes(hparams.split, len(raw))
        return split_indices(sizes, len(raw), hparams.split_seed, raw.targets if stratified else None)


def state_facts(samples: Samples, train_targets: Tensor) -> Facts:
    """The facts of a data set, except for its fingerprint.

    Arguments:
        samples: all samples, as they were loaded.
        train_targets: the targets of the training part.
    """
    shape = tuple(samples.inputs.shape[1:])
    classes = _count_classes(samples)
    values = classes or samples.targets.shape[1]
    return Facts(
        task=samples.task,
        input_shape=shape,
        in_features=samples.inputs[0].numel(),
        in_channels=shape[0] if len(shape) > 1 else None,
        out_features=values,
        num_classes=classes,
        num_labels=values if samples.task == "multilabel" else None,
        class_names=samples.class_names,
        feature_names=samples.feature_names,
        target_names=samples.target_names,
        class_counts=tuple(train_targets.bincount(minlength=classes).tolist()) if classes else None,
        train_size=len(train_targets),
    )


def _count_classes(samples: Samples) -> int | None:
    if samples.task not in {"multiclass", "binary"}:
        return None
    return len(samples.class_names) if samples.class_names else max(2, int(samples.targets.max()) + 1)

"""A trained model behind its fitted preprocessing, from raw inputs to outputs, without the data it learnt from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import Tensor, nn

from hydrantic.data import Preprocessing
from hydrantic.errors import UsageError
from hydrantic.facts import Facts
from hydrantic.model.model import Model


@dataclass(frozen=True)
class Inputs:
    """What a model takes: for each input its name and some samples of it, without preprocessing."""

    names: tuple[str, ...]
    samples: tuple[Tensor, ...]
    """One tensor for each name, the first dimension counts the samples."""
    is_mapping: bool = False
    """Whether the model takes them as one mapping."""

    def of_size(self, batch: int) -> tuple[Tensor, ...]:
        """A batch of these samples, which come again where there are too few."""
        return tuple(each[torch.arange(batch) % len(each)] for each in self.samples)

    def given(self, tensors: tuple[Tensor, ...]) -> Any:
        """The tensors as the model takes them."""
        return dict(zip(self.names, tensors, strict=True)) if self.is_mapping else tensors[0]

    @classmethod
    def of_batch(cls, batch: Any) -> Self:
        """What a batch holds.

        Raises:
            UsageError: that is neither a tensor nor a mapping of such.
        """
        if isinstance(batch, Tensor):
            return cls(("input",), (batch,))
        if isinstance(batch, list | tuple) and len(batch) == 1:
            return cls.of_batch(batch[0])
        if isinstance(batch, Mapping) and batch and all(isinstance(each, Tensor) for each in batch.values()):
            return cls(tuple(map(str, batch)), tuple(batch.values()), is_mapping=True)
        raise UsageError(f"the model takes a {type(batch).__name__}, not a tensor or a mapping of tensors")


class Portable(nn.Module):
    """A model behind the preprocessing that its training fitted.

    Arguments:
        model: in evaluation mode; its loss and metrics are taken off.
        data: the data module, with its fitted state; what its `preprocessing` does to inputs, this does.
        inputs: what the model takes.
    """

    def __init__(self, model: LightningModule, data: LightningDataModule, inputs: Inputs) -> None:
        super().__init__()
        if isinstance(model, Model):
            model.wire(None, {})
        self.preprocessing = preprocessing_of(data)
        self.model = model
        self._inputs = inputs

    def forward(self, *inputs: Tensor) -> Any:
        """The model's outputs for raw inputs, one tensor for each of their names."""
        return self.model(self.preprocessing(self._inputs.given(inputs)))


class Fitted(nn.Module):
    """`Preprocessing` as a part of a network, so that it goes where the network goes."""

    means: Tensor | None
    stds: Tensor | None
    scalable: Tensor | None

    def __init__(self, fitted: Preprocessing) -> None:
        super().__init__()
        self.register_buffer("means", fitted.means)
        self.register_buffer("stds", fitted.stds)
        self.register_buffer("scalable", fitted.scalable)

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs `(samples, ...)` without missing values and, where that was fitted, standardized."""
        if self.means is None:  # then it only looks for missing values, which no exported graph can refuse
            return inputs
        return Preprocessing(self.means, self.stds, self.scalable)(inputs)


def preprocessing_of(data: LightningDataModule) -> nn.Module:
    """What a data module does to inputs, by its attribute `preprocessing`: a `Preprocessing` or a module of torch."""
    fitted = getattr(data, "preprocessing", None)
    if isinstance(fitted, Preprocessing):
        return Fitted(fitted)
    return fitted if isinstance(fitted, nn.Module) else nn.Identity()


_SAMPLES = 8


def inputs_of(model: LightningModule, data: LightningDataModule, facts: Facts) -> Inputs:
    """What a model takes: by its `example_input_array`, else the data's `input_shape`, else a batch of the data.

    Raises:
        UsageError: none of these can be had.
    """
    example = getattr(model, "example_input_array", None)
    if example is not None:
        return Inputs.of_batch(example)
    if facts.input_shape is not None:
        return Inputs(("input",), (_drawn(facts.input_shape, preprocessing_of(data)),))
    return Inputs.of_batch(_read(model, _batch_of(model, data)))


def _read(model: LightningModule, batch: Any) -> Any:
    """Of a batch that is a mapping, the entries that the model reads."""
    if not isinstance(batch, Mapping):
        return batch
    noted = _Noted(batch)
    with torch.inference_mode():
        model(noted)
    return {name: batch[name] for name in batch if name in noted.read}


class _Noted(dict[str, Any]):
    """A mapping that notes which of its entries are read."""

    def __init__(self, entries: Mapping[str, Any]) -> None:
        super().__init__(entries)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(name)
        return super().get(name, default)

    def __iter__(self) -> Iterator[str]:
        self.read.update(self.keys())
        return super().__iter__()

    def values(self) -> Any:
        self.read.update(self.keys())
        return super().values()

    def items(self) -> Any:
        self.read.update(self.keys())
        return super().items()


def _drawn(shape: tuple[int, ...], fitted: nn.Module) -> Tensor:
    """Random samples, spread as the training's values were where that is known."""
    drawn = torch.randn(_SAMPLES, *shape, generator=torch.Generator().manual_seed(0))
    if isinstance(fitted, Fitted) and fitted.means is not None:
        stds = 1.0 if fitted.stds is None else fitted.stds
        return (drawn * stds + fitted.means).to(drawn.dtype)
    return drawn


def _batch_of(model: LightningModule, data: LightningDataModule) -> Any:
    try:
        data.prepare_data()
        data.setup("fit")
        batch = next(iter(data.train_dataloader()))
    except Exception as error:  # a data module may raise anything
        raise UsageError(
            "what the model takes is not known: its data states no input_shape, the model has no example_input_array, "
            f"and the data cannot be read here: {str(error) or type(error).__name__}"
        ) from error
    if isinstance(model, Model):
        return model.unpack(batch)[0]
    return batch[0] if isinstance(batch, list | tuple) else batch

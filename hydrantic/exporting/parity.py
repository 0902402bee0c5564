"""Whether an exported model says what the model says that it was made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import torch
from torch import Tensor

from hydrantic.exporting.formats import ExportFailed, Loaded, flat
from hydrantic.portable import Fitted, Inputs, Portable

BATCHES: Final = (1, 2, 7)
"""Sizes of the batches that are compared."""
TOLERANCE: Final = 1e-4
"""How far outputs may be apart, as a part of the largest of them, or of 1 where all are smaller."""


def compare(exported: Loaded, model: Portable, inputs: Inputs) -> float:
    """The largest difference of an exported model's outputs from the model's own, over several sizes of a batch.

    Raises:
        ExportFailed: it is more than rounding, or the exported model does not run.
    """
    return max(_difference(exported, model, batch) for batch in _batches(model, inputs))


def _batches(model: Portable, inputs: Inputs) -> Iterator[tuple[Tensor, ...]]:
    for size in BATCHES:
        batch = inputs.of_size(size)
        yield batch
        if isinstance(model.preprocessing, Fitted) and model.preprocessing.means is not None:
            yield tuple(_with_missing(each) for each in batch)


def _with_missing(values: Tensor) -> Tensor:
    """The values with every third missing."""
    return torch.where(torch.arange(values.numel()).reshape(values.shape) % 3 == 0, torch.nan, values)


def _difference(exported: Loaded, model: Portable, batch: tuple[Tensor, ...]) -> float:
    size = f"for a batch of {len(batch[0])}"
    with torch.inference_mode():
        expected = flat(model(*batch))
        try:
            found = exported(tuple(each.clone() for each in batch))
        except Exception as error:  # every runtime has errors of its own
            first = next(iter(str(error).splitlines()), type(error).__name__)
            raise ExportFailed(f"the exported model does not run {size}: {first}") from error
    if [each.shape for each in found] != [each.shape for each in expected]:
        raise ExportFailed(f"the exported model's outputs have other shapes {size}: {_shapes(found)} instead of "
                           f"{_shapes(expected)}")  # fmt: skip
    return max(_apart(ours, theirs, size) for ours, theirs in zip(expected, found, strict=True))


def _apart(expected: Tensor, found: Tensor, size: str) -> float:
    ours, theirs = expected.double(), found.double()
    same = (ours == theirs) | (ours.isnan() & theirs.isnan())
    apart = torch.where(same, 0.0, (ours - theirs).abs())
    largest = max(1.0, float(ours.nan_to_num(0.0, 0.0, 0.0).abs().max())) if ours.numel() else 1.0
    worst = float(apart.nan_to_num(torch.inf).max()) if ours.numel() else 0.0
    if worst > TOLERANCE * largest:
        raise ExportFailed(
            f"the exported model's outputs differ from the model's by up to {worst:.3g} {size}, of values up to "
            f"{largest:.3g}; nothing was written"
        )
    return worst


def _shapes(tensors: tuple[Tensor, ...]) -> str:
    return ", ".join(str(tuple(each.shape)) for each in tensors)


def compare_weights(written: Mapping[str, Tensor], model: torch.nn.Module) -> float:
    """Nothing, where the weights that were written are the model's to the last bit.

    Raises:
        ExportFailed: they are not.
    """
    weights = model.state_dict()
    if weights.keys() != written.keys():
        raise ExportFailed("the written weights are not the model's: nothing was written")
    for name, value in weights.items():
        if not torch.equal(_bits(value), _bits(written[name])):
            raise ExportFailed(f"the written weights differ from the model's in {name}; nothing was written")
    return 0.0


def _bits(value: Tensor) -> Tensor:
    return value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)

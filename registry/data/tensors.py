"""Tensors from a file."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from hydrantic import InMemoryData, InMemoryDataHparams, InputPath, InvalidField, Samples, register_data


class TensorsHparams(InMemoryDataHparams):
    """Which file the tensors come from, and how they are split and batched."""

    path: InputPath
    """File of named tensors: `.npz` as `numpy.savez` writes it, or `.pt` as `torch.save` writes a dictionary."""
    inputs: str = "inputs"
    """Name of the tensor that holds the inputs, `(samples, ...)`."""
    targets: str = "targets"
    """Name of the tensor that holds the targets: class indices `(samples,)`, or numbers `(samples, values)`."""
    task: Literal["auto", "multiclass", "binary", "multilabel", "regression"] = "auto"
    """What is predicted; by default told from the targets: whole numbers are classes, others are a regression."""


@register_data("tensors")
class Tensors(InMemoryData[TensorsHparams]):
    """Inputs and targets from a `.npz` or `.pt` file; a file that holds anything but tensors is refused, not run.

    A checkpoint keeps the task, and with it a file without targets can be predicted.

    Raises:
        InvalidField: the file or a tensor in it is missing or does not fit.
    """

    _known: Mapping[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        """The task and the number of target values, besides what every data module keeps."""
        samples = self.samples
        values = samples.targets.shape[1] if samples.targets.ndim > 1 else None
        return super().state_dict() | {"target": {"task": samples.task, "values": values}}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over the task, besides what every data module does."""
        super().load_state_dict(state_dict)
        self._known = state_dict.get("target")

    def load(self) -> Samples:
        """Read the file."""
        hparams = self.thparams
        content = read_tensors(hparams.path)
        inputs = _chosen(content, "inputs", hparams.inputs, hparams.path)
        if self._known is not None and hparams.targets not in content:
            return _unlabelled(_as_inputs(inputs), self._known["task"], self._known["values"])
        targets = _chosen(content, "targets", hparams.targets, hparams.path)
        if inputs.ndim == 0 or targets.ndim == 0 or len(inputs) != len(targets):
            raise InvalidField(
                "targets", f"inputs {tuple(inputs.shape)} and targets {tuple(targets.shape)} do not pair"
            )
        if len(inputs) == 0:
            raise InvalidField("path", f"{hparams.path} holds no samples")
        task = hparams.task if hparams.task != "auto" else task_of(targets)
        return Samples(inputs=_as_inputs(inputs), targets=_as_targets(targets, task), task=task)


def read_tensors(path: Path) -> Mapping[str, Tensor]:
    """The named tensors of a `.npz` or `.pt` file.

    Raises:
        InvalidField: it is not there, is damaged, or holds something else.
    """
    if not path.is_file():
        raise InvalidField("path", f"there is no file {path}")
    if path.suffix not in {".npz", ".pt", ".pth"}:
        raise InvalidField("path", f"{path.name} is neither .npz nor .pt")
    try:
        return _read_npz(path) if path.suffix == ".npz" else _read_pt(path)
    except pickle.UnpicklingError as error:
        raise InvalidField("path", f"{path} holds more than tensors, which is not loaded") from error
    except (OSError, ValueError, RuntimeError, EOFError, KeyError, TypeError) as error:
        raise InvalidField(
            "path", f"{path} cannot be read: {next(iter(str(error).splitlines()), type(error).__name__)}"
        ) from error


def _read_npz(path: Path) -> Mapping[str, Tensor]:
    import numpy as np

    with np.load(path, allow_pickle=False) as archive:
        return {name: torch.from_numpy(archive[name]) for name in archive.files}


def _read_pt(path: Path) -> Mapping[str, Tensor]:
    content: Any = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, dict):
        raise TypeError(f"it holds a {type(content).__name__}, not a dictionary of tensors")
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def _chosen(content: Mapping[str, Tensor], field: str, name: str, path: Path) -> Tensor:
    if name not in content:
        raise InvalidField(field, f"{path.name} has no tensor '{name}'; it has {', '.join(content) or 'none'}")
    return content[name]


def _refuse_not_finite(values: Tensor, field: str) -> None:
    if not bool(values.isfinite().all()):
        raise InvalidField(field, "some values are NaN or infinite")


def _as_inputs(values: Tensor) -> Tensor:
    inputs = values.float().reshape(len(values), *(values.shape[1:] or (1,)))
    _refuse_not_finite(inputs, "inputs")
    return inputs


def _unlabelled(inputs: Tensor, task: Any, values: int | None) -> Samples:
    """Samples without targets: none is in any part, and theirs are such as no loss accepts or counts as right."""
    nothing = torch.empty(0, dtype=torch.int64)
    targets = torch.full((len(inputs),), -1) if values is None else torch.full((len(inputs), values), torch.nan)
    return Samples(inputs=inputs, targets=targets, task=task, parts=(nothing, nothing, nothing))


def task_of(targets: Tensor) -> Any:
    """Whole numbers in one column are classes, two of them binary; everything else is a regression."""
    if targets.is_floating_point() or targets.numel() != len(targets):
        return "regression"
    return "binary" if int(targets.max()) <= 1 else "multiclass"


def _as_targets(targets: Tensor, task: str) -> Tensor:
    if task not in {"multiclass", "binary"}:
        _refuse_not_finite(targets.float(), "targets")
        return targets.float().reshape(len(targets), -1)
    classes = targets.reshape(-1).long()
    if len(classes) != len(targets) or bool((classes != targets.reshape(-1)).any()) or int(classes.min()) < 0:
        raise InvalidField("targets", "classes must be whole numbers from 0, one for each sample")
    if task == "binary" and int(classes.max()) > 1:
        raise InvalidField("targets", f"binary classes must be 0 and 1, but there is a {int(classes.max())}")
    return classes

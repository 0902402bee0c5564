"""What an exported file says of its model: task, names, shapes, and the blueprint that trained it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from hydrantic.answers import answering
from hydrantic.exporting.formats import BATCH
from hydrantic.opening import Opened
from hydrantic.rundir import versions

Shapes = Mapping[str, tuple[str | int, ...]]
"""Shape of each input or output by its name; `batch` stands for any number of samples."""


def shape_of(samples: Tensor) -> tuple[str | int, ...]:
    """The shape of a batch of any size."""
    return (BATCH, *samples.shape[1:])


def names_of(outputs: Any, count: int) -> list[str]:
    """A name for each of a model's `count` output tensors: its key in a mapping, else `output` or `output_0`, ..."""
    if isinstance(outputs, Mapping) and len(outputs) == count:
        return [str(key) for key in outputs]
    return ["output"] if count == 1 else [f"output_{index}" for index in range(count)]


def metadata_of(opened: Opened, inputs: Shapes, outputs: Shapes) -> dict[str, Any]:
    """Plain types that say what the model is and how its outputs are read."""
    facts, plan = opened.facts, opened.plan
    known = versions()
    return {
        "name": plan.name,
        "task": facts.task,
        "class_names": _listed(facts.class_names),
        "target_names": _listed(facts.target_names),
        "feature_names": _listed(facts.feature_names),
        "inputs": {name: list(shape) for name, shape in inputs.items()},
        "outputs": {name: list(shape) for name, shape in outputs.items()},
        "answer": answering(opened.model) or next(iter(outputs), None),
        "run": None if opened.found.directory is None else opened.found.directory.resolve().name,
        "checkpoint": opened.checkpoint.name,
        "data_fingerprint": facts.fingerprint,
        "versions": {name: known.get(name) for name in ("hydrantic", "torch")},
        "blueprint": plan.resolved(),
    }


def _listed(names: tuple[str, ...] | None) -> list[str] | None:
    return None if names is None else list(names)

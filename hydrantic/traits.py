"""What planning has to know of a component besides its hyperparameters."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from hydrantic.components import hparams_of
from hydrantic.model.hparams import ModelHparams
from hydrantic.registries import Entry

Style: TypeAlias = Literal["network", "model", "module"]
"""What is registered as the model: a plain network, a `hydrantic.Model`, or a `LightningModule` of its own making."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What a component is for planning, read from its class or from the manifest."""

    style: Style = "network"
    """How a model takes part in training."""
    computes_loss: bool = False
    """Whether a model computes its own loss."""
    carries_groups: bool = False
    """Whether a model's own Hparams carry optimizer, scheduler and the like."""
    tasks: tuple[str, ...] | None = None
    """The tasks that a loss or metric is for; None is every task."""
    task: str | None = None
    """The task that a data module always has."""
    watches: bool = False
    """Whether a scheduler's steps depend on a logged value."""


def traits_of(entry: Entry) -> Traits:
    """The traits of a registered component; imports it unless the manifest describes it."""
    if entry.description is not None:
        traits: Traits = entry.description.traits
        return traits
    component, style = entry.component, style_of(entry.component)
    tasks = getattr(component, "tasks", None)
    return Traits(
        style=style,
        computes_loss=style == "module" or (style == "model" and _overrides(component, "compute_metrics")),
        carries_groups=entry.kind == "model" and issubclass(hparams_of(entry), ModelHparams),
        tasks=None if tasks is None else tuple(tasks),
        task=getattr(component, "task", None) if entry.kind == "data" else None,
        watches=entry.kind == "scheduler" and "metrics" in _arguments_of(getattr(component, "step", None)),
    )


def _arguments_of(method: Any) -> tuple[str, ...]:
    return tuple(inspect.signature(method).parameters) if callable(method) else ()


def style_of(component: Any) -> Style:
    """How a registered model takes part in training."""
    names = [f"{base.__module__}.{base.__name__}" for base in getattr(component, "__mro__", ())]
    if "hydrantic.model.model.Model" in names:
        return "model"
    return "module" if any(name.endswith(".LightningModule") for name in names) else "network"


def _overrides(component: Any, method: str) -> bool:
    for base in component.__mro__:
        if method in vars(base):
            return str(base.__module__) != "hydrantic.model.model"
    return False

"""The sections of a blueprint that hold components."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

COMPONENTS: Final[Mapping[str, str]] = {
    "data": "data",
    "model": "model",
    "loss": "loss",
    "optimizer": "optimizer",
    "scheduler": "scheduler",
    "sweep": "sweeper",
}
"""Sections that hold one component, with its kind."""

OF_SWEEPS: Final = ("sweep", "hydra")
"""Sections that say how many runs of a blueprint are made; no part of the record of one run."""

LABELLED: Final[Mapping[str, str]] = {"metrics": "metric", "callbacks": "callback", "loggers": "logger"}
"""Sections that hold components by label, with their kind."""


WITHIN_HYDRA: Final[Mapping[str, str]] = {"hydra/launcher": "launcher", "hydra/sweeper": "sweeper"}
"""Config groups of Hydra's own, with the kind of their components; they stand in the section `hydra`."""


def groups() -> Mapping[str, bool]:
    """The config groups that hold components, and whether each holds them by label."""
    return dict.fromkeys((*COMPONENTS, *WITHIN_HYDRA), False) | dict.fromkeys(LABELLED, True)


def kind_of(section: str) -> str:
    """The kind of the components in a section or config group."""
    return {**COMPONENTS, **LABELLED, **WITHIN_HYDRA}[section]

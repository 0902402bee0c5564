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
}
"""Sections that hold one component, with its kind."""

LABELLED: Final[Mapping[str, str]] = {"metrics": "metric", "callbacks": "callback", "loggers": "logger"}
"""Sections that hold components by label, with their kind."""


def groups() -> Mapping[str, bool]:
    """The sections that are config groups, and whether each holds components by label."""
    return dict.fromkeys(COMPONENTS, False) | dict.fromkeys(LABELLED, True)


def kind_of(section: str) -> str:
    """The kind of the components in a section."""
    return {**COMPONENTS, **LABELLED}[section]

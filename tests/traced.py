"""Tracing blueprints of a scratch project, for the tests of tracing and of what it consists of."""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path

import pytest

from hydrantic.errors import BlueprintError
from hydrantic.tracing import Trace, trace
from tests.projects import planned, project

IMPORTS = """
import lightning.pytorch as pl
import torch
import torchmetrics
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from hydrantic import (
    Hparams, LayerSlot, Model, ModelHparams, register_data, register_loss, register_metric, register_model,
)

class StackHparams(Hparams):
    layers: tuple[LayerSlot, ...]

@register_model("stack")
class Stack(nn.Module):
    def __init__(self, hparams: StackHparams) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(each.build() for each in hparams.layers))

    def forward(self, inputs):
        return self.layers(inputs)

@register_model("chain")
class Chain(nn.Module):
    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, inputs):
        return self.layers(inputs)
"""
"""What every shelf begins with: models that are a sequence of layers."""

DIGITS = "data: digits\nloss: cross_entropy\nloggers: {}\n"
"""All but the model: images (64, 1, 8, 8), ten classes."""


def traced(folder: Path, text: str, *overrides: str, shelf: str = "") -> Trace:
    """The trace of a blueprint; `shelf` is code of the project."""
    with chdir(folder):
        return trace(planned(folder, text, *overrides, of=project(folder, parts=IMPORTS + shelf)))


def refused(folder: Path, text: str, *overrides: str, shelf: str = "") -> list[str]:
    """Place and words of every problem that tracing finds."""
    with chdir(folder):
        plan = planned(folder, text, *overrides, of=project(folder, parts=IMPORTS + shelf))
        with pytest.raises(BlueprintError) as caught:
            trace(plan)
        report = str(caught.value)
    return [line for line in report.splitlines() if line.startswith(("a.yaml:", "command line:"))]

"""An application of LightningCLI."""

from __future__ import annotations

from lightning.pytorch.cli import LightningCLI
from parts import Classifier, Samples

LightningCLI(Classifier, Samples)

"""A LightningModule small enough to be trained within a test, and data for it."""

from __future__ import annotations

from pathlib import Path

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

Batch = list[Tensor]

LIGHTNING_WARNINGS = (
    "ignore:.*LeafSpec.*:Warning",  # lightning 2.6 with torch 2.13: nothing a user of either can change
    "ignore:.*does not have many workers.*:Warning",  # says so wherever there are more than two cores
    "ignore:.*smaller than the logging interval.*:Warning",  # tiny epochs
    "ignore:The `srun` command is available:Warning",  # wherever Slurm is installed
)


class Tiny(pl.LightningModule):
    """A linear regression that logs its loss in every stage."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def _loss(self, batch: Batch) -> Tensor:
        features, targets = batch
        return nn.functional.mse_loss(self.layer(features), targets)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Log the loss once per epoch."""
        loss = self._loss(batch)
        self.log("training/loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the loss."""
        self.log("validation/loss", self._loss(batch))

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the loss."""
        self.log("test/loss", self._loss(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Plain gradient descent."""
        return torch.optim.SGD(self.parameters(), lr=0.05)


def batches(count: int = 4) -> DataLoader[tuple[Tensor, ...]]:
    """A loader with this many batches of two samples."""
    features = torch.linspace(-1, 1, count * 4).reshape(-1, 2)
    return DataLoader(TensorDataset(features, features.sum(1, keepdim=True)), batch_size=2)


def quiet_trainer(**arguments: object) -> pl.Trainer:
    """A trainer on the CPU that shows and writes nothing by itself."""
    quiet = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return pl.Trainer(**(quiet | {"enable_checkpointing": False, "num_sanity_val_steps": 0} | arguments))  # type: ignore[arg-type]


def names(folder: Path) -> list[str]:
    """The names in a folder, sorted."""
    return sorted(path.name for path in folder.iterdir())

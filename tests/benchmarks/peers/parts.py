"""A network and data as a LightningCLI or Hydra user writes them."""

from __future__ import annotations

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


class Classifier(pl.LightningModule):
    """A multilayer perceptron with cross entropy.

    Args:
        in_features: number of inputs.
        num_classes: number of classes.
        hidden: number of hidden values.
        dropout: probability of dropping one.
        lr: learning rate.
    """

    def __init__(
        self, in_features: int = 64, num_classes: int = 10, hidden: int = 128, dropout: float = 0.1, lr: float = 1e-3
    ) -> None:
        super().__init__()
        self.lr = lr
        self.network = nn.Sequential(
            nn.Linear(in_features, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, num_classes)
        )

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """The loss of a batch."""
        inputs, targets = batch
        return nn.functional.cross_entropy(self.network(inputs), targets)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.parameters(), lr=self.lr)


class Samples(pl.LightningDataModule):
    """Random samples.

    Args:
        batch_size: number of samples in a batch.
        samples: number of samples.
    """

    def __init__(self, batch_size: int = 64, samples: int = 1797) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.samples = samples

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Batches of inputs and classes."""
        data = TensorDataset(torch.rand(self.samples, 64), torch.randint(10, (self.samples,)))
        return DataLoader(data, batch_size=self.batch_size)

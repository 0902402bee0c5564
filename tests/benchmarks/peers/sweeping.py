"""An application of Hydra that fits the digits, as its template projects write it: one job, or many with `-m`."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import hydra
import lightning.pytorch as pl
import torch
import torchmetrics
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from omegaconf import DictConfig
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset, random_split

warnings.filterwarnings("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

Batch = tuple[Tensor, Tensor]


class Classifier(pl.LightningModule):
    """A multilayer perceptron with cross entropy and accuracy."""

    def __init__(self, hidden: int, lr: float) -> None:
        super().__init__()
        self.lr = lr
        self.network = nn.Sequential(nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10))
        of = {"task": "multiclass", "num_classes": 10}
        self.accuracy = nn.ModuleDict({name: torchmetrics.Accuracy(**of) for name in ("train_", "val_", "test_")})

    def _step(self, stage: str, batch: Batch) -> Tensor:
        inputs, targets = batch
        outputs = self.network(inputs)
        loss = nn.functional.cross_entropy(outputs, targets)
        self.accuracy[f"{stage}_"](outputs, targets)
        self.log(f"{stage}/loss", loss, on_step=False, on_epoch=True)
        self.log(f"{stage}/accuracy", self.accuracy[f"{stage}_"], on_step=False, on_epoch=True)
        return loss

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of a batch."""
        return self._step("train", batch)

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of a batch."""
        return self._step("val", batch)

    def test_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of a batch."""
        return self._step("test", batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.parameters(), lr=self.lr)


@hydra.main(version_base="1.3", config_path="conf", config_name="sweeping")
def main(config: DictConfig) -> None:
    """Train, then test the best checkpoint."""
    pl.seed_everything(config.seed, verbose=False)
    digits = load_digits()
    samples = TensorDataset(torch.tensor(digits.data / 16, dtype=torch.float32), torch.tensor(digits.target))
    parts = random_split(samples, [0.8, 0.1, 0.1], torch.Generator().manual_seed(42))
    train, validation, test = (DataLoader(each, config.batch_size, shuffle=each is parts[0]) for each in parts)
    folder = Path(HydraConfig.get().runtime.output_dir)
    trainer = pl.Trainer(
        max_epochs=config.max_epochs,
        callbacks=[ModelCheckpoint(folder / "checkpoints", monitor="val/loss", save_last=True)],
        logger=CSVLogger(folder, name=None),
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    model = Classifier(config.hidden, config.lr)
    trainer.fit(model, train, validation)
    trainer.test(model, test, ckpt_path="best", verbose=False, weights_only=False)


main()

"""What the blueprints of the benchmark describe, written by hand with plain Lightning as its documentation shows it."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import torch
import torchmetrics
from lightning import pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

sys.path.insert(0, str(Path(__file__).parent / "project" / "registry"))
from stopwatch import Stopwatch

CASE, EPOCHS = os.environ["BENCHMARK_CASE"], int(os.environ["BENCHMARK_EPOCHS"])
CLASSES = 10


def metrics() -> torchmetrics.MetricCollection:
    """The metrics of the case."""
    of = {"task": "multiclass", "num_classes": CLASSES}
    chosen: dict[str, torchmetrics.Metric] = {"accuracy": torchmetrics.Accuracy(**of)}
    if CASE == "mlp":
        chosen["f1"] = torchmetrics.F1Score(average="macro", **of)
        chosen["top3"] = torchmetrics.Accuracy(top_k=3, **of)
    if CASE.endswith("five"):
        chosen["f1"] = torchmetrics.F1Score(average="macro", **of)
        chosen["precision"] = torchmetrics.Precision(average="macro", **of)
        chosen["recall"] = torchmetrics.Recall(average="macro", **of)
        chosen["auroc"] = torchmetrics.AUROC(**of)
    return torchmetrics.MetricCollection(chosen)


def network(features: int) -> nn.Module:
    """The network of the case."""
    width, drop, norm = (256, 0.2, True) if CASE == "mlp" else (128, 0.1, False)
    layers: list[nn.Module] = []
    for inputs in (features, width):
        layers += [nn.Linear(inputs, width), *([nn.BatchNorm1d(width)] if norm else []), nn.ReLU(), nn.Dropout(drop)]
    return nn.Sequential(*layers, nn.Linear(width, CLASSES))


class LitMLP(pl.LightningModule):
    """A multilayer perceptron that logs its loss and metrics once per epoch."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.net = network(features)
        self.loss = nn.CrossEntropyLoss(label_smoothing=0.1 if CASE == "mlp" else 0.0)
        self.of_stage = nn.ModuleDict({f"{name}_": metrics().clone(f"{name}/") for name in ("training", "validation")})

    def _step(self, stage: str, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        x, y = batch
        logits = self.net(x)
        loss = self.loss(logits, y)
        of_stage = self.of_stage[f"{stage}_"]
        of_stage(logits, y)
        self.log(f"{stage}/loss", loss, on_step=False, on_epoch=True)
        self.log_dict(of_stage, on_step=False, on_epoch=True)
        return loss

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> torch.Tensor:
        return self._step("training", batch)

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> torch.Tensor:
        return self._step("validation", batch)

    def configure_optimizers(self) -> dict[str, object]:
        optimizer = torch.optim.AdamW(self.parameters(), lr=3e-3, weight_decay=0.01)
        if CASE != "mlp":
            return {"optimizer": optimizer}
        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)}


def data() -> TensorDataset:
    """The digits, or the table that the benchmark wrote."""
    if CASE.startswith("large"):
        import numpy as np

        arrays = np.load(os.environ["BENCHMARK_TABLE"])
        return TensorDataset(torch.from_numpy(arrays["inputs"]), torch.from_numpy(arrays["targets"]))
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return TensorDataset(torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y))


def logger() -> Logger:
    """The logger of the case."""
    if os.environ.get("BENCHMARK_WANDB"):
        from lightning.pytorch.loggers import WandbLogger

        return WandbLogger(project="benchmark", offline=True, save_dir="runs")
    return CSVLogger("runs")


def main() -> None:
    """Train."""
    warnings.filterwarnings("ignore")
    pl.seed_everything(42, verbose=False)
    samples = data()
    train, validation, _ = random_split(samples, [0.8, 0.1, 0.1], generator=torch.Generator().manual_seed(42))
    batch = 256 if CASE.startswith("large") else 64
    trainer = pl.Trainer(
        max_epochs=EPOCHS, logger=logger(), accelerator="cpu",
        callbacks=[ModelCheckpoint(monitor="validation/loss"), Stopwatch()],
    )  # fmt: skip
    model = LitMLP(samples.tensors[0].shape[1])
    trainer.fit(model, DataLoader(train, batch, shuffle=True), DataLoader(validation, batch))


if __name__ == "__main__":
    main()

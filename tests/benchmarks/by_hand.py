"""What the blueprint of the benchmark describes, written by hand with plain Lightning, as its documentation shows it."""

from __future__ import annotations

import os
import sys
import warnings

import torch
import torchmetrics
from lightning import pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger
from sklearn.datasets import load_digits, make_classification
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "project", "registry"))
from stopwatch import Stopwatch  # noqa: E402

ROWS, EPOCHS, METRICS, WANDB = (os.environ[f"BENCHMARK_{name}"] for name in ("ROWS", "EPOCHS", "METRICS", "WANDB"))


class LitMLP(pl.LightningModule):
    """A multilayer perceptron that logs a loss and torchmetrics once per epoch."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(features, 128), nn.ReLU(), nn.Dropout(0.1), nn.Linear(128, 128), nn.ReLU(), nn.Dropout(0.1),
            nn.Linear(128, classes),
        )  # fmt: skip
        of = {"task": "multiclass", "num_classes": classes}
        chosen = {"accuracy": torchmetrics.Accuracy(**of)}
        if int(METRICS) == 5:
            chosen |= {
                "f1": torchmetrics.F1Score(average="macro", **of),
                "precision": torchmetrics.Precision(average="macro", **of),
                "recall": torchmetrics.Recall(average="macro", **of),
                "auroc": torchmetrics.AUROC(**of),
            }
        metrics = torchmetrics.MetricCollection(chosen)
        self.stages = nn.ModuleDict({f"{stage}_": metrics.clone(f"{stage}/") for stage in ("training", "validation")})

    def _step(self, stage: str, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        x, y = batch
        logits = self.net(x)
        loss = nn.functional.cross_entropy(logits, y)
        metrics = self.stages[f"{stage}_"]
        metrics(logits, y)
        self.log(f"{stage}/loss", loss, on_step=False, on_epoch=True)
        self.log_dict(metrics, on_step=False, on_epoch=True)
        return loss

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> torch.Tensor:
        return self._step("training", batch)

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> torch.Tensor:
        return self._step("validation", batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=1e-3, weight_decay=0.01)


def main() -> None:
    warnings.filterwarnings("ignore")
    pl.seed_everything(42, verbose=False)
    if int(ROWS):
        x, y = make_classification(int(ROWS), 100, n_informative=50, n_classes=10, random_state=0)
    else:
        x, y = load_digits(return_X_y=True)
        x = x / 16
    data = TensorDataset(torch.tensor(x, dtype=torch.float32), torch.tensor(y))
    split = torch.Generator().manual_seed(42)
    train, validation, _ = random_split(data, [0.8, 0.1, 0.1], generator=split)
    batch = 256 if int(ROWS) else 64
    logger: Logger = CSVLogger("runs")
    if int(WANDB):
        from lightning.pytorch.loggers import WandbLogger

        logger = WandbLogger(project="benchmark", offline=True, save_dir="runs")
    trainer = pl.Trainer(
        max_epochs=int(EPOCHS), logger=logger, accelerator="cpu",
        callbacks=[ModelCheckpoint(monitor="validation/loss"), Stopwatch()],
    )  # fmt: skip
    model = LitMLP(data.tensors[0].shape[1], 10)
    trainer.fit(model, DataLoader(train, batch, shuffle=True), DataLoader(validation, batch))


if __name__ == "__main__":
    main()

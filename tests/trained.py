"""Trained runs that several test modules open, and what a person's own shelf makes of them."""

from __future__ import annotations

from pathlib import Path

from hydrantic.fitting import fit
from hydrantic.run import Run
from tests.projects import write

COLOURS = ("red", "blue")
KINDS = ("big", "mid", "small")

TABLE = """
data: {name: csv, path: ../plants.csv, target: kind, id: plant, batch_size: 16}
model: {name: mlp, hidden_dims: [8]}
loss: {name: cross_entropy, weight: balanced}
metrics: {accuracy: , f1: }
loggers: {}
trainer: {max_epochs: 2, enable_progress_bar: false}
"""
"""A blueprint that classifies the rows of `plants.csv`."""

SHELF = """
    import torch
    from lightning.pytorch import Callback, LightningDataModule, LightningModule
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset
    from hydrantic import register_callback, register_data, register_model

    def numbers(count):
        generator = torch.Generator().manual_seed(count)
        return torch.rand(count, 4, generator=generator)

    @register_model("two_headed")
    class TwoHeaded(nn.Module):
        def __init__(self, width: int = 8) -> None:
            super().__init__()
            self.body, self.digit, self.parity = nn.Linear(4, width), nn.Linear(width, 3), nn.Linear(width, 1)

        def forward(self, image):
            hidden = self.body(image).relu()
            return {"logits": self.digit(hidden), "parity": self.parity(hidden).squeeze(1)}

    class Pairs(torch.utils.data.Dataset):
        def __len__(self):
            return 24

        def __getitem__(self, index):
            label = torch.tensor(index % 3)
            return {"image": numbers(index + 1)[-1], "label": label, "even": (label % 2).float()}

    @register_data("pairs")
    class PairsData(LightningDataModule):
        def _loader(self):
            return DataLoader(Pairs(), batch_size=8)

        train_dataloader = val_dataloader = test_dataloader = _loader

    @register_data("columns")
    class Columns(LightningDataModule):
        def __init__(self, rows: int = 12) -> None:
            super().__init__()
            self.rows = rows

        def setup(self, stage):
            inputs = numbers(self.rows)
            self.dataset = TensorDataset(inputs, inputs.sum(1, keepdim=True))

        def train_dataloader(self):
            return DataLoader(self.dataset, batch_size=5)

        test_dataloader = train_dataloader

    @register_data("drawn")
    class Drawn(LightningDataModule):
        def setup(self, stage):
            inputs = numbers(30)
            whole = TensorDataset(inputs, inputs.sum(1, keepdim=True))
            self.parts = torch.utils.data.random_split(whole, [20, 10])

        def train_dataloader(self):
            return DataLoader(self.parts[0], batch_size=5)

        def val_dataloader(self):
            return DataLoader(self.parts[1], batch_size=5)

    @register_model("own")
    class Own(LightningModule):
        def __init__(self, explodes: bool = False) -> None:
            super().__init__()
            self.layer, self.explodes = nn.Linear(4, 1), explodes

        def forward(self, inputs):
            return self.layer(inputs)

        def training_step(self, batch, batch_idx):
            return nn.functional.mse_loss(self(batch[0]), batch[1])

        def test_step(self, batch, batch_idx):
            if self.explodes:
                raise RuntimeError("it exploded")
            self.log("test/error", nn.functional.mse_loss(self(batch[0]), batch[1]))
            self.logger.log_metrics({"by hand": 1.0})

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    @register_callback("diary")
    class Diary(Callback):
        def __init__(self, run_dir) -> None:
            self.file = run_dir / "diary.txt"

        def on_test_start(self, trainer, pl_module):
            self.file.write_text("tested")

        def on_test_end(self, trainer, pl_module):
            trainer.callback_metrics["diary"] = torch.tensor(1.0)
"""

PAIRS = """
data: pairs
model: two_headed
loss: {name: cross_entropy, input: logits, target: label}
metrics: {accuracy: {input: logits, target: label, num_classes: 3, task: multiclass}}
loggers: {}
trainer: {max_epochs: 1, enable_progress_bar: false}
"""
OWN = """
data: columns
model: own
checkpoint: {monitor: null}
callbacks: {diary: }
loggers: {}
trainer: {max_epochs: 1, enable_progress_bar: false}
"""


def plants(rows: int = 60, first: int = 0) -> str:
    """The text of a table of plants, a third of them of each kind."""
    lines = (
        f"p{row},{(row * 7) % 11},{(row * 5) % 13}.5,{COLOURS[row % 2]},{KINDS[row % 3]}"
        for row in range(first, first + rows)
    )
    return "\n".join(["plant,height,width,colour,kind", *lines, ""])


def column(text: str, *names: str) -> str:
    """The table with only these columns."""
    rows = [line.split(",") for line in text.splitlines()]
    return "\n".join(",".join(row[rows[0].index(name)] for name in names) for row in rows) + "\n"


def fit_table(folder: Path, *overrides: str) -> Run:
    """A run that has learnt `plants.csv` in a folder, `blueprints/plants.yaml` beside it."""
    write(folder / "plants.csv", plants())
    blueprint = write(folder / "blueprints" / "plants.yaml", TABLE)
    return fit(blueprint, overrides, runs=folder / "runs")

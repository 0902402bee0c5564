"""Models and data of a project's shelf that a finder meets."""

from __future__ import annotations

from pathlib import Path

from hydrantic.project import Project
from tests.projects import project

_SHELF = """
    import torch
    from lightning.pytorch import Callback, LightningDataModule, LightningModule
    from torch import nn
    from torch.utils.data import DataLoader, IterableDataset, TensorDataset

    from hydrantic import Facts, Model, ModelHparams, register_callback, register_data, register_model

    @register_model("own")
    class Own(LightningModule):
        def __init__(self, width: int = 16) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, 10))

        def training_step(self, batch, batch_idx):
            return nn.functional.cross_entropy(self.layers(batch[0]), batch[1])

        def validation_step(self, batch, batch_idx):
            self.log("validation/loss", nn.functional.cross_entropy(self.layers(batch[0]), batch[1]))

        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": "validation/loss"}}

    class GroupedHparams(ModelHparams):
        width: int = 16

    SEEN = []

    @register_model("grouped")
    class Grouped(Model[GroupedHparams]):
        def __init__(self, hparams: GroupedHparams) -> None:
            super().__init__(hparams)
            self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 16))
            self.head = nn.Linear(16, 10)

        def forward(self, inputs):
            SEEN.append([group["lr"] for group in self.optimizers().param_groups] if self.training else [])
            return self.head(self.body(inputs))

        def compute_metrics(self, outputs, targets):
            return {"loss": nn.functional.cross_entropy(outputs, targets)}

        def configure_optimizers(self):
            lr = self.groups.optimizer.kwargs["lr"]
            return torch.optim.SGD([
                {"params": self.body.parameters(), "lr": lr / 10}, {"params": self.head.parameters(), "lr": lr}
            ])

    @register_model("hollow")
    class Hollow(nn.Module):
        def __init__(self, out_features: int) -> None:
            super().__init__()
            self.layer = nn.Linear(64, out_features)

        def forward(self, inputs):
            return self.layer(inputs.flatten(1)) * float("nan")

    @register_model("broken")
    class Broken(nn.Module):
        def __init__(self, out_features: int) -> None:
            super().__init__()
            self.layer = nn.Linear(64, out_features)

        def forward(self, inputs):
            raise KeyError("this model has a fault")

    @register_model("greedy")
    class Greedy(nn.Module):
        def __init__(self, out_features: int, most: int = 100, says: str = "gpu") -> None:
            super().__init__()
            self.layer = nn.Linear(64, out_features)
            self.most, self.says = most, says

        def forward(self, inputs):
            if len(inputs) > self.most and self.says == "gpu":
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            if len(inputs) > self.most and self.says == "cpu":
                raise RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory")
            if len(inputs) > self.most:
                raise MemoryError
            return self.layer(inputs.flatten(1))

    @register_model("square")
    class Square(nn.Module):
        # As an attention over the whole batch would, it takes memory by the square of the batch's size.
        def __init__(self, out_features: int, factor: int = 256) -> None:
            super().__init__()
            self.layer = nn.Linear(64, out_features)
            self.factor = factor

        def forward(self, inputs):
            count = len(inputs)
            table = torch.zeros(count * self.factor, count * self.factor)
            return self.layer(inputs.flatten(1)) + table[0, 0]

    @register_data("sizeless")
    class Sizeless(LightningDataModule):
        def __init__(self, samples: int = 12) -> None:
            super().__init__()
            self.samples = samples

        def facts(self):
            return Facts(task="multiclass", in_features=64, out_features=10, num_classes=10)

        def train_dataloader(self):
            inputs, targets = torch.rand(self.samples, 64), torch.arange(self.samples) % 10
            return DataLoader(TensorDataset(inputs, targets), batch_size=4)

    @register_data("silent")
    class Silent(Sizeless):
        # It has a batch size, and does not state how many samples there are.
        def __init__(self, batch_size: int = 4) -> None:
            super().__init__(samples=50)
            self.size = batch_size

        def train_dataloader(self):
            inputs, targets = torch.rand(self.samples, 64), torch.arange(self.samples) % 10
            return DataLoader(TensorDataset(inputs, targets), batch_size=self.size)

    @register_data("whole_batches")
    class WholeBatches(Silent):
        def train_dataloader(self):
            return DataLoader(super().train_dataloader().dataset, batch_size=self.size, drop_last=True)

    class Stream(IterableDataset):
        def __iter__(self):
            yield from ((torch.rand(64), at % 10) for at in range(50))

    @register_data("stream")
    class Streamed(Silent):
        def train_dataloader(self):
            return DataLoader(Stream(), batch_size=self.size, drop_last=True)

    @register_callback("loud")
    class Loud(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            print("a step")

    @register_callback("interrupting")
    class Interrupting(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            import signal

            if trainer.global_step == 3:
                signal.raise_signal(signal.SIGINT)
"""


def shelf(folder: Path) -> Project:
    """A project with all of them."""
    return project(folder, finders=_SHELF)

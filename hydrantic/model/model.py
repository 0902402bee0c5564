"""The model that Lightning trains: typed hyperparameters, one training loop, metrics once per epoch."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from hydrantic.batches import Share
from hydrantic.components import generic_hparams
from hydrantic.errors import Diverged
from hydrantic.hparams import Hparams
from hydrantic.model.hparams import ModelHparams
from hydrantic.model.tally import Tally, Wired

__all__ = ["Composition", "Model", "ModelHparams"]

H = TypeVar("H", bound=Hparams)

STAGES = ("training", "validation", "test")


class Model(LightningModule, Generic[H]):
    """A `LightningModule` whose hyperparameters are typed: `class Mine(Model[MineHparams])`.

    A subclass writes `forward` and `compute_metrics`. Everything that `compute_metrics` returns is logged as
    `<stage>/<name>` for the stages training, validation and test, as the mean over the epoch's samples, computed
    once per epoch.

    Arguments:
        hparams: the hyperparameters, or a mapping that is validated into them.

    Raises:
        pydantic.ValidationError: a `ValueError` that lists every wrong field.
    """

    thparams: H
    """The validated hyperparameters."""
    groups: ModelHparams
    """Optimizer, schedule, checkpoints and early stopping: of the hyperparameters, or a blueprint's sections."""

    def __init__(self, hparams: H | Mapping[str, Any] | None = None) -> None:
        super().__init__()
        declared = cast("type[H]", generic_hparams(type(self)) or ModelHparams)
        self.thparams = hparams if isinstance(hparams, declared) else declared.from_dict(hparams or {})
        # What a checkpoint keeps has to be loadable with weights_only=True: plain types, no pydantic objects.
        self._set_hparams(self.thparams.to_plain())
        self._hparams_name = "hparams"
        self._log_hyperparams = False
        self.groups = self.thparams if isinstance(self.thparams, ModelHparams) else ModelHparams()
        self.loss: Wired | None = None
        self.metrics = nn.ModuleList()
        self._tallies: dict[str, Tally] = {stage: Tally({}) for stage in STAGES}

    def wire(self, loss: Wired | None, metrics: Mapping[str, Mapping[str, Wired]]) -> None:
        """Attach a blueprint's loss, and for each stage its metrics by label."""
        self.loss = loss
        # A list, since a label may be called like anything that a module has already.
        self.metrics = nn.ModuleList(wired for of_stage in metrics.values() for wired in of_stage.values())
        self._tallies = {stage: Tally(metrics.get(stage, {})) for stage in STAGES}

    def compute_metrics(self, outputs: Any, targets: Any) -> dict[str, Tensor]:
        """The scalar values of one batch; `"loss"` is minimised.

        Arguments:
            outputs: what `forward` returned for the batch.
            targets: the batch's targets.
        """
        if self.loss is None:
            raise NotImplementedError(f"{type(self).__name__} has no loss: write compute_metrics, or set `loss:`")
        return {"loss": self.loss(outputs, targets)}

    def unpack(self, batch: Any) -> tuple[Any, Any]:
        """Inputs and targets of a batch: a pair, a mapping (which serves as both), or a tensor (likewise)."""
        if isinstance(batch, list | tuple):
            inputs, targets = batch
            return inputs, targets
        return batch, batch

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """One step of training."""
        return self._step("training", batch)

    def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
        """One step of validation."""
        return self._step("validation", batch)

    def test_step(self, batch: Any, batch_idx: int) -> Tensor:
        """One step of the test."""
        return self._step("test", batch)

    # Lightning asks for the signature in every step; found here, it need not be worked out each time.
    for _of_stage in (training_step, validation_step, test_step):
        _of_stage.__signature__ = inspect.signature(_of_stage)  # type: ignore[attr-defined]  # functions may have it
    del _of_stage

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        """The model's output for a batch."""
        return self(self.unpack(batch)[0])

    def _step(self, stage: str, batch: Any) -> Tensor:
        inputs, targets = self.unpack(batch)
        outputs = self(inputs)
        values = self.compute_metrics(outputs, targets)
        share = batch if isinstance(batch, Share) else None
        if share is None:
            self._tallies[stage].add(batch_size(targets), values, outputs, targets)
        else:
            self._tallies[stage].add(share.weight, values, outputs, targets, counted=share.counted)
        return values["loss"]

    def on_train_epoch_start(self) -> None:
        """Start the sums of a training epoch."""
        self._tallies["training"].reset()

    def on_train_epoch_end(self) -> None:
        """Log the training epoch.

        Raises:
            Diverged: its loss is NaN or infinite.
        """
        loss = self._log("training").get("loss")
        if loss is not None and not loss.isfinite():
            raise Diverged(
                f"the training loss is {loss.item()} after epoch {self.current_epoch + 1}; a smaller optimizer.lr or "
                "trainer.gradient_clip_val may help"
            )

    def on_validation_epoch_start(self) -> None:
        """Start the sums of a validation."""
        self._tallies["validation"].reset()

    def on_validation_epoch_end(self) -> None:
        """Log the validation."""
        self._log("validation")

    def on_test_epoch_start(self) -> None:
        """Start the sums of a test."""
        self._tallies["test"].reset()

    def on_test_epoch_end(self) -> None:
        """Log the test."""
        self._log("test")

    def epoch_state(self) -> dict[str, Any]:
        """The sums of the training epoch at hand, for a checkpoint."""
        return self._tallies["training"].state()

    def load_epoch_state(self, state: Mapping[str, Any]) -> None:
        """Go on with the sums of a training epoch."""
        self._tallies["training"].load_state(state, self.device)

    def _log(self, stage: str) -> dict[str, Tensor]:
        values = self._tallies[stage].compute()
        self.log_dict({f"{stage}/{name}": value for name, value in values.items()})
        self._tallies[stage].reset()
        return values

    def __setattr__(self, name: str, value: Any) -> None:
        # Lightning notes the current hook some fifty times in a step; torch would look for parameters each time.
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def setup(self, stage: str) -> None:
        """Set the precision of matrix products."""
        if self.groups.matmul_precision is not None:
            torch.set_float32_matmul_precision(self.groups.matmul_precision)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimizer and scheduler of the hyperparameters."""
        component = self.groups.optimizer.component
        if self._may_fuse(component.hparams):
            component = component.with_fields(fused=True)
        optimizer = component.build(params=[p for p in self.parameters() if p.requires_grad])
        if self.groups.scheduler is None:
            return cast("OptimizerLRScheduler", optimizer)
        chosen = self.groups.scheduler
        schedule = {
            "scheduler": chosen.component.build(optimizer=optimizer),
            "interval": chosen.interval,
            "frequency": chosen.frequency,
            "monitor": chosen.monitor,
            "name": "lr",
        }
        return cast("OptimizerLRScheduler", {"optimizer": optimizer, "lr_scheduler": schedule})

    def _may_fuse(self, optimizer: Hparams) -> bool:
        """Whether torch's fused kernel does the same update in one call."""
        if optimizer.get("fused", True) is not None or optimizer.get("foreach") or optimizer.get("differentiable"):
            return False
        scaled = self._trainer is not None and str(self._trainer.precision).startswith("16")
        return not scaled and all(
            p.is_floating_point() and p.device.type in {"cpu", "cuda", "mps"} for p in self.parameters()
        )

    def configure_callbacks(self) -> Sequence[Callback]:
        """The checkpoints and early stopping of the hyperparameters, where the Trainer has none of its own.

        Lightning replaces a Trainer's callback by one of the same type from here, so what the Trainer was given stays.
        """
        if self._trainer is None:
            return []
        given = self._trainer.callbacks  # type: ignore[attr-defined]  # a Trainer
        wanted: list[Callback] = []
        if self.groups.early_stopping is not None and not any(isinstance(each, EarlyStopping) for each in given):
            wanted.append(EarlyStopping(**self.groups.early_stopping))
        checkpoints = [each for each in given if isinstance(each, ModelCheckpoint)]
        if len(checkpoints) == 1 and _is_lightnings_default(checkpoints[0]):
            from hydrantic.checkpoints import checkpoint_callback

            folder = Path(self._trainer.default_root_dir) / self.groups.checkpoint.dirpath
            wanted.append(checkpoint_callback(self.groups.checkpoint, folder))
        return wanted

    @property
    def num_params(self) -> int:
        """Number of trainable parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    @property
    def num_params_by_module(self) -> dict[str, int]:
        """Number of trainable parameters of each direct child that has any."""
        counts = {
            name: sum(p.numel() for p in child.parameters() if p.requires_grad) for name, child in self.named_children()
        }
        return {name: count for name, count in counts.items() if count}


class Composition(Model[ModelHparams]):
    """The stock model: a network of any registered class, composed with a blueprint's loss and metrics.

    Arguments:
        hparams: optimizer, schedule, checkpoints and early stopping.
        network: maps a batch's inputs to outputs. From a batch that is a mapping it gets the entries that its
            `forward` names.
    """

    def __init__(self, hparams: ModelHparams, network: nn.Module) -> None:
        super().__init__(hparams)
        self.network = network
        self._names = tuple(inspect.signature(network.forward).parameters)

    def forward(self, inputs: Any) -> Any:
        """The network's output."""
        if isinstance(inputs, Mapping):
            return self.network(**{name: inputs[name] for name in self._names if name in inputs})
        return self.network(inputs)


def batch_size(targets: Any) -> int:
    """Number of samples in a batch, by its first tensor."""
    if isinstance(targets, Tensor):
        return targets.shape[0] if targets.ndim else 1
    parts = targets.values() if isinstance(targets, Mapping) else targets
    return next((len(part) for part in parts if isinstance(part, Tensor) and part.ndim), 1)


def _is_lightnings_default(checkpoint: ModelCheckpoint) -> bool:
    return checkpoint.monitor is None and checkpoint.filename is None and checkpoint.dirpath is None

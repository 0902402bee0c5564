"""The hyperparameters of training: optimizer, schedule, checkpoints and early stopping."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import JsonValue, NonNegativeInt, PositiveInt, model_validator

from hydrantic.components import Component, choose
from hydrantic.hparams import Hparam, Hparams
from hydrantic.paths import OutputPath

__all__ = ["CheckpointHparams", "EarlyStoppingHparams", "ModelHparams", "OptimizerHparams", "SchedulerHparams"]

Precision = Literal["highest", "high", "medium"]


class _ChosenHparams(Hparams):
    """A registered component in the form `module_name` and `kwargs`."""

    module_name: str
    """Registered name, or the dotted path under which a stock torch class is registered too; never imported."""
    kwargs: dict[str, JsonValue] = Hparam(default_factory=dict)
    """Hyperparameters of the chosen component."""

    @classmethod
    def of(cls, component: Component[Any]) -> Self:
        """The same choice as a planned component."""
        wiring = {} if component.wiring is None else dict(component.wiring.items())
        return cls.model_validate({"module_name": component.name, "kwargs": component.hparams.to_plain()} | wiring)

    def _choose(self, kind: str) -> Component[Any]:
        return choose(kind, {"module_name": self.module_name, "kwargs": self.kwargs})


class OptimizerHparams(_ChosenHparams):
    """Which optimizer updates the parameters."""

    module_name: str = "torch.optim.Adam"
    """Registered name of the optimizer, such as `adamw` or `torch.optim.AdamW`."""

    @property
    def component(self) -> Component[Any]:
        """The chosen optimizer; build it with `params`."""
        return self._choose("optimizer")

    @model_validator(mode="after")
    def _exists(self) -> Self:
        self._choose("optimizer")
        return self


class SchedulerWiring(Hparams):
    """When a learning-rate scheduler steps."""

    interval: Literal["epoch", "step"] = "epoch"
    """Whether the scheduler steps after each epoch or after each optimizer step."""
    frequency: PositiveInt = 1
    """Every how many intervals it steps."""
    monitor: str = "validation/loss"
    """Logged name that a scheduler such as `plateau` watches."""


class SchedulerHparams(_ChosenHparams, SchedulerWiring):
    """Which scheduler changes the learning rate, and when."""

    @property
    def component(self) -> Component[Any]:
        """The chosen scheduler; build it with `optimizer`."""
        return self._choose("scheduler")

    @model_validator(mode="after")
    def _exists(self) -> Self:
        self._choose("scheduler")
        return self


class CheckpointHparams(Hparams):
    """Which states of the training are kept."""

    dirpath: OutputPath = Path("checkpoints")
    """Folder of the checkpoints, below the run's directory."""
    filename: str | None = None
    """File name pattern, such as `{epoch:02d}-{validation/loss:.4f}`; by default epoch and monitored value."""
    monitor: str | None = "validation/loss"
    """Logged name by which checkpoints are ranked; null keeps the latest."""
    mode: Literal["min", "max"] = "min"
    """Whether a smaller or a larger monitored value is better."""
    save_top_k: int = Hparam(default=1, ge=-1)
    """How many of the best checkpoints are kept; -1 keeps all, 0 none."""
    save_last: bool = True
    """Whether `last.ckpt` holds the latest state."""
    every_n_epochs: PositiveInt = 1
    """Every how many epochs a checkpoint may be saved."""
    every_n_steps: PositiveInt | None = None
    """Every how many steps `last.ckpt` is renewed within an epoch, so that less is lost to a crash; null for never."""
    save_weights_only: bool = False
    """Whether only the weights are saved: smaller, but training cannot be resumed from it."""
    on_error: Literal["stop", "warn"] = "stop"
    """What a run does when a checkpoint cannot be written: stop as failed, or say so and go on; older ones stay."""


class EarlyStoppingHparams(Hparams):
    """When training stops for lack of improvement."""

    monitor: str = "validation/loss"
    """Logged name that has to improve."""
    patience: NonNegativeInt = 3
    """How many validations without an improvement are tolerated."""
    mode: Literal["min", "max"] = "min"
    """Whether a smaller or a larger monitored value is better."""
    min_delta: float = Hparam(default=0.0, ge=0)
    """Smallest change that counts as an improvement."""
    check_finite: bool = True
    """Whether training stops when the monitored value becomes NaN or infinite."""
    stopping_threshold: float | None = None
    """Value that is good enough to stop at once."""
    divergence_threshold: float | None = None
    """Value that is bad enough to stop at once."""


class ModelHparams(Hparams):
    """Everything about training that a model carries with it; subclass it to add a model's own hyperparameters."""

    optimizer: OptimizerHparams = Hparam(default_factory=OptimizerHparams)
    """The optimizer; Adam by default."""
    scheduler: SchedulerHparams | None = None
    """The learning-rate scheduler; none by default."""
    checkpoint: CheckpointHparams = CheckpointHparams()
    """Which states of the training are kept."""
    early_stopping: EarlyStoppingHparams | None = None
    """When training stops early; never by default."""
    matmul_precision: Precision | None = None
    """Precision of float32 matrix products, as in `torch.set_float32_matmul_precision`; null leaves it alone."""

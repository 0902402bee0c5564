"""Training while the learning rate grows from step to step, and the losses that come of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from tqdm import tqdm

from hydrantic.errors import RunFailed, UsageError
from hydrantic.finders.divergence import Divergence
from hydrantic.finders.rehearsal import Enough, bare, rehearse
from hydrantic.plan import Plan


def losses_at(plan: Plan, rates: Sequence[float], present: float) -> tuple[list[float], tuple[str, ...]]:
    """Train with one optimizer step at each rate, until the loss diverges.

    Arguments:
        plan: what is trained.
        rates: the rates in their order.
        present: the rate that the plan says, to which the rates of its groups of parameters relate.

    Returns:
        The loss of each step that was taken, and what a person should know.
    """
    rehearsed = bare(replace(plan, metrics={}))
    with tqdm(total=len(rates), desc="learning rates", delay=2, leave=False, disable=None) as bar:
        test = _RangeTest(rates, present, bar)
        rehearse(rehearsed, [test])
    return test.losses, rehearsed.notes


class _RangeTest(Callback):
    """Sets the rate of each optimizer step, and notes its loss until it diverges."""

    def __init__(self, rates: Sequence[float], present: float, bar: Any) -> None:
        self._rates = rates
        self._present = present
        self._bar = bar
        self._scales: list[tuple[dict[str, Any], float]] = []
        self._of_step: list[float] = []
        self._stepped = 0
        self._divergence = Divergence()
        self.losses: list[float] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note how the rates of the groups of parameters relate."""
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        base = self._present or next((float(group["lr"]) for group in groups if group["lr"]), 0.0)
        self._scales = [(group, float(group["lr"]) / base if base else 1.0) for group in groups]

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Set the rate of the step that this batch belongs to."""
        rate = self._rates[len(self.losses)]
        for group, scale in self._scales:
            group["lr"] = rate * scale

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the loss; of a step over several batches their mean."""
        self._of_step.append(_loss_in(outputs) * trainer.accumulate_grad_batches)
        if trainer.global_step == self._stepped and math.isfinite(self._of_step[-1]):
            return
        self._stepped = trainer.global_step
        loss = sum(self._of_step) / len(self._of_step)
        self._of_step.clear()
        self._note(loss)

    def _note(self, loss: float) -> None:
        if not self.losses and not math.isfinite(loss):
            raise RunFailed(
                f"the loss is {loss} at the first step, before any learning rate has had an effect: "
                "look at the data, the model and the loss"
            )
        self.losses.append(loss)
        self._bar.update()
        if self._divergence.shows_in(loss) or len(self.losses) == len(self._rates):
            raise Enough


def _loss_in(outputs: Any) -> float:
    loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
    if loss is None:
        raise UsageError("the model's training step returns no loss, so that no learning rate can be judged by it")
    return float(loss)

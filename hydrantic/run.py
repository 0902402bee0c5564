"""A run as a person holds it: where it is, its metrics, and the trained model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hydrantic.plan import Plan
from hydrantic.rundir import RunRecord
from hydrantic.source import display
from hydrantic.texts import aligned

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule


@dataclass(frozen=True)
class Run:
    """A finished run: where it is, its metrics, and the trained model."""

    path: Path
    """The run's directory."""
    plan: Plan = field(repr=False)
    """The plan that was run, completed by the data's facts."""
    metrics: Mapping[str, float]
    """The last value of every logged name; those of the test are the best checkpoint's."""
    seconds: float
    """How long the run took, from its first moment."""
    model: LightningModule = field(repr=False)
    """The model with the weights of the best checkpoint, or of the last step where none was kept."""

    @property
    def checkpoint(self) -> Path | None:
        """The best checkpoint, or None where none was kept."""
        best = RunRecord.read(self.path / "run.json").fields.get("best_checkpoint")
        return self.path / best if best else None

    def summary(self) -> str:
        """What a person wants to know of a run that has just ended."""
        tested = {name: value for name, value in self.metrics.items() if name.startswith("test/")}
        shown = tested or {n: v for n, v in self.metrics.items() if n.startswith("validation/")} or self.metrics
        lines = [f"  {line}" for line in aligned([(name, f"{value:.4g}") for name, value in shown.items()])]
        return "\n".join([f"{self.plan.name}: done in {self.seconds:.1f} s", *lines, f"run: {display(self.path)}"])

"""What a job tells a study of itself while it trains, and how it learns that it is given up."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch import Callback, LightningModule, Trainer

from hydrantic.components import choose
from hydrantic.errors import Pruned

from .quietly import quietly
from .storages import Place, closed, explained, opened

if TYPE_CHECKING:
    from optuna.trial import Trial


class Reporter(Callback):
    """Reports each validation value of the objective, and ends the training where the study's pruner says so.

    A study that cannot be reached is no reason to stop: it is said once, and the training goes on.

    Arguments:
        report: what the sweep wrote down: `storage`, `folder`, `study`, `trial`, `metric` and `pruner`.
    """

    def __init__(self, report: Mapping[str, Any]) -> None:
        self._report = report
        self._place = Place(report["storage"], Path(report["folder"]))
        self._trial: Trial | None = None
        self._storage: Any = None
        self._is_lost = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the value of this epoch.

        Raises:
            Pruned: the trial is given up.
        """
        metric = str(self._report["metric"])
        if trainer.sanity_checking or (value := trainer.callback_metrics.get(metric)) is None:
            return
        # Only one process asks, and all of them stop.
        decided = trainer.is_global_zero and self._is_hopeless(float(value), trainer.current_epoch)
        if trainer.strategy.broadcast(decided):
            raise Pruned(f"the study gave it up after epoch {trainer.current_epoch}, with {metric} {float(value):.4g}")

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Let go of the storage."""
        if self._storage is not None:
            closed(self._storage)
        self._trial = self._storage = None

    def _is_hopeless(self, value: float, epoch: int) -> bool:
        if self._is_lost:
            return False
        try:
            with quietly():
                self._trial = trial = self._trial or self._opened()
                trial.report(value, epoch)
                return bool(trial.should_prune())
        except Exception as error:  # noqa: BLE001 -- whatever a storage raises, the training is worth more
            self._is_lost = True
            reason = explained(error, self._place)
            warnings.warn(f"the study is not told of this trial any more: {reason}", stacklevel=2)
            return False

    def _opened(self) -> Trial:
        self._storage = opened(self._place)
        with quietly() as optuna:
            study = optuna.load_study(
                study_name=self._report["study"],
                storage=self._storage,
                sampler=optuna.samplers.RandomSampler(),  # nothing is sampled here
                pruner=choose("pruner", self._report["pruner"]).build(),
            )
            of_study = self._storage.get_study_id_from_name(self._report["study"])
            number = self._storage.get_trial_id_from_study_id_trial_number(of_study, self._report["trial"])
            trial: Trial = optuna.trial.Trial(study, number)
            return trial

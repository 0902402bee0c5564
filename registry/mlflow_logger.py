"""MLflow's logger, which also knows that a run can be interrupted, and goes on with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import MLFlowLogger
from lightning.pytorch.loggers.logger import rank_zero_experiment  # type: ignore[attr-defined]  # public by its use
from lightning.pytorch.utilities import rank_zero_only

_STATUS = {"interrupted": "KILLED", "pruned": "FINISHED"}


class RunLogger(MLFlowLogger):
    """Lightning's MLFlowLogger for a run of hydrantic.

    Arguments:
        note: the file that keeps MLflow's own id of the run, by which it is found where it goes on.
        arguments: see MLFlowLogger.
    """

    def __init__(self, note: Path, **arguments: Any) -> None:
        super().__init__(run_id=note.read_text("utf-8") if note.is_file() else None, **arguments)
        self._note = note

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """MLflow's client; the first use begins the run."""
        client = super().experiment
        if not self._note.is_file():
            self._note.parent.mkdir(parents=True, exist_ok=True)
            self._note.write_text(str(self._run_id), encoding="utf-8")
        return client

    @rank_zero_only
    def finalize(self, status: str = "success") -> None:
        """Tell MLflow how the run ended."""
        super().finalize(_STATUS.get(status, status))

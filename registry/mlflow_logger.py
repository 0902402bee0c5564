"""MLflow's logger, which also knows that a run can be interrupted."""

from __future__ import annotations

from lightning.pytorch.loggers import MLFlowLogger
from lightning.pytorch.utilities import rank_zero_only

_STATUS = {"interrupted": "KILLED", "pruned": "FINISHED"}


class RunLogger(MLFlowLogger):
    """Lightning's MLFlowLogger for a run of hydrantic."""

    @rank_zero_only
    def finalize(self, status: str = "success") -> None:
        """Tell MLflow how the run ended."""
        super().finalize(_STATUS.get(status, status))

"""The W&B logger of a run: keeps what it is given until the run has started, and ends it with the run's status."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.loggers.logger import rank_zero_experiment  # type: ignore[attr-defined]  # public by its use
from lightning.pytorch.utilities import rank_zero_only

if TYPE_CHECKING:
    from .wandb_start import Start

_EXIT_CODES: Final = {"finished": 0, "pruned": 0, "failed": 1, "interrupted": 130}
_STEP: Final = "trainer/global_step"


class RunLogger(WandbLogger):
    """Lightning's WandbLogger on a run that starts in the background.

    Arguments:
        start: the run that was begun.
    """

    def __init__(self, start: Start) -> None:
        super().__init__(project=start.arguments["project"], id=start.arguments["id"], save_dir=str(start.run_dir))
        self._start = start
        self._waiting: list[Callable[[Any], object]] = [_define_step]
        self._has_hyperparams = False
        self._ended = False

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The W&B run; while it is starting, a stand-in that waits for it when it is used."""
        return self._start.run.result() if self._start.run.done() else _Pending(self)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """Set the run's config; only the first call counts, so that nothing but the framework's record gets there."""
        if self._has_hyperparams:
            return
        self._has_hyperparams = True
        config = vars(params) if isinstance(params, Namespace) else dict(params)
        self._send(lambda run: run.config.update(config, allow_val_change=True))

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log the metrics of a step."""
        row = dict(metrics) if step is None else {**metrics, _STEP: step}
        self._send(lambda run: run.log(row))

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """End the run if `status` is that of a run; Lightning's `success` ends only a stage."""
        if status in _EXIT_CODES and not self._ended:
            run = self.wait()
            self._ended = True
            run.finish(exit_code=_EXIT_CODES[status])

    def wait(self) -> Any:
        """The W&B run, once it has started and got everything that was kept for it."""
        run = self._start.run.result()
        self._deliver(run)
        return run

    def _send(self, call: Callable[[Any], object]) -> None:
        if self._ended:
            return
        self._waiting.append(call)
        if self._start.run.done():
            self._deliver(self._start.run.result())

    def _deliver(self, run: Any) -> None:
        self._start.say()
        while self._waiting:
            self._waiting.pop(0)(run)


class _Pending:
    """Stands for a W&B run that is still starting."""

    def __init__(self, logger: RunLogger) -> None:
        self._logger = logger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logger.wait(), name)


def _define_step(run: Any) -> None:
    run.define_metric(_STEP)
    run.define_metric("*", step_metric=_STEP, step_sync=True)

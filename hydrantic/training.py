"""Training what was assembled: fit, then one test of the best checkpoint; alike in every process that takes part."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lightning.pytorch import seed_everything
from lightning.pytorch.utilities.model_helpers import is_overridden

from hydrantic.build import Assembly, BestMetrics, Draft, assemble
from hydrantic.checkpoints import AtomicCheckpointIO, RunCheckpoint, read_checkpoint, step_of
from hydrantic.exact import Exact
from hydrantic.interrupts import StopSignals

if TYPE_CHECKING:
    from lightning.pytorch import Callback

    from hydrantic.processes import Team
    from hydrantic.resuming import Attempt
    from hydrantic.rundir import RunDirectory


@dataclass(frozen=True)
class Terms:
    """How a run is carried out, beyond what its blueprint says."""

    test: bool = True
    """Whether the best checkpoint is evaluated on the test split."""
    callbacks: tuple[Callback, ...] = ()
    """Callbacks besides the blueprint's, of the leading process."""
    attempt: Attempt | None = None
    """Which attempt it is; the first by default."""
    told: int | None = 2
    """The file descriptor on which a person is told that a signal has arrived; None where nobody is there."""
    noted: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the run's record, such as what it repeats."""


@dataclass
class Training:
    """One process's part in a run's training; `metrics` and `best` tell what has come of it so far."""

    assembly: Assembly
    signals: StopSignals
    tracker: BestMetrics
    terms: Terms
    test_size: int | None
    metrics: dict[str, float] = field(default_factory=dict)
    has_best_weights: bool = False

    @classmethod
    def prepare(cls, drafted: Draft, directory: RunDirectory, terms: Terms, team: Team) -> Training:
        """Assemble what was drafted.

        Raises:
            BlueprintError: a component refuses its fields.
        """
        plan = drafted.plan
        kept = plan.blueprint.checkpoint
        last = None if kept is None else directory.path / kept.dirpath / "last.ckpt"
        signals, tracker = StopSignals(last, told=terms.told), BestMetrics(plan.objective)
        callbacks = (signals, tracker, *terms.callbacks)
        return cls(
            assemble(drafted, directory, callbacks, team.place), signals, tracker, terms, drafted.facts.test_size
        )

    @property
    def best(self) -> Path | None:
        """The best checkpoint of `checkpoint:`, else of another callback, or the last one where none is ranked.

        Where some could not be written, the last one counts only if it is of the latest state.
        """
        trainer = self.assembly.trainer
        own = [each for each in trainer.checkpoint_callbacks if isinstance(each, RunCheckpoint)]
        callback = own[0] if own else trainer.checkpoint_callback
        best, last = (getattr(callback, name, "") for name in ("best_model_path", "last_model_path"))
        if best and Path(best).is_file():
            return Path(best)
        if not last or not Path(last).is_file():
            return None
        return Path(last) if not self._has_lost or step_of(Path(last)) == trainer.global_step else None

    @property
    def _has_lost(self) -> bool:
        """Whether a checkpoint could not be written."""
        io = self.assembly.trainer.strategy.checkpoint_io
        return isinstance(io, AtomicCheckpointIO) and io.has_failed

    def run(self) -> None:
        """Fit, then test; inside `signals`.

        Raises:
            Interrupted: a signal arrived; the state was saved.
        """
        self._log_hyperparameters()
        self._fit()
        self.signals.raise_if_received()
        # Where the state it went on from was that of the end already, nothing was logged any more.
        self.metrics = self.tracker.latest | numbers(self.assembly.trainer.callback_metrics)
        if self.terms.test and self._can_test():
            self._test()
            self.signals.raise_if_received()

    def load_best_weights(self) -> None:
        """Give the model the weights of the best checkpoint, and leave it ready for use."""
        best, model = self.best, self.assembly.model
        if best is not None and not self.has_best_weights:
            model.load_state_dict(read_checkpoint(best)["state_dict"])
        model.eval()

    def _log_hyperparameters(self) -> None:
        resolved = self.assembly.plan.resolved()
        for logger in self.assembly.trainer.loggers:
            logger.log_hyperparams(resolved)

    def _fit(self) -> None:
        attempt, assembly = self.terms.attempt, self.assembly
        if attempt is None or attempt.checkpoint is None:
            assembly.trainer.fit(assembly.model, datamodule=assembly.data)
            return
        with warnings.catch_warnings():
            for words in _OF_GOING_ON:
                warnings.filterwarnings("ignore", words)
            exact = next(each for each in assembly.trainer.callbacks if isinstance(each, Exact))  # type: ignore[attr-defined]  # a list
            exact.forgets_stop = attempt.forgets_stop
            checkpoint = str(attempt.checkpoint)
            assembly.trainer.fit(assembly.model, datamodule=assembly.data, ckpt_path=checkpoint, weights_only=True)

    def _can_test(self) -> bool:
        has_step = is_overridden("test_step", self.assembly.model)
        has_loader = is_overridden("test_dataloader", self.assembly.data)
        is_rehearsal = bool(getattr(self.assembly.trainer, "fast_dev_run", False))
        return has_step and has_loader and self.test_size != 0 and not is_rehearsal

    def _test(self) -> None:
        assembly = self.assembly
        # What a test draws at random depends on the seed alone, however training came to its end.
        seed_everything(assembly.plan.blueprint.seed, workers=True, verbose=False)
        best = assembly.trainer.strategy.broadcast(self.best)  # a model may log another value in each process
        if self._has_lost:
            weights = "those at the end of training" if best is None else best.name
            print(f"note: checkpoints could not be written: the weights that are tested are {weights}", file=sys.stderr)
        results = assembly.trainer.test(
            assembly.model, datamodule=assembly.data, verbose=False,
            ckpt_path=None if best is None else str(best), weights_only=True,
        )  # fmt: skip
        self.has_best_weights = best is not None
        self.metrics |= {name: value for each in results for name, value in numbers(each).items()}


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The metrics as numbers of Python."""
    return {name: float(value) for name, value in metrics.items()}


@contextmanager
def without_chatter() -> Iterator[None]:
    """Keep from the person what Lightning says to every run, and what is not theirs to mend."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [each.level for each in loggers]
    with warnings.catch_warnings():
        for words, category in _BESIDE_THE_POINT:
            warnings.filterwarnings("ignore", words, category)
        for each in loggers:
            each.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for each, level in zip(loggers, levels, strict=True):
                each.setLevel(level)


_BESIDE_THE_POINT: Final[tuple[tuple[str, type[Warning]], ...]] = (
    ("The '.*_dataloader' does not have many workers", UserWarning),  # data in memory needs none
    ("The number of training batches .* is smaller than the logging interval", UserWarning),  # logged once per epoch
    ("`isinstance\\(treespec, LeafSpec\\)` is deprecated", Warning),  # Lightning's own call of torch
    ("Checkpoint directory .* exists and is not empty", UserWarning),  # the run's own
    ("The `srun` command is available on your system but is not used", UserWarning),  # nor need it be
    ("It is recommended to use .* when logging on epoch level in distributed setting", UserWarning),  # it is the same
)
_OF_GOING_ON: Final = (
    "You're resuming from a checkpoint that ended before the epoch ended",  # the loaders know where
    "Be aware that when using `ckpt_path`, callbacks used to create the checkpoint",  # one was taken away on purpose
)

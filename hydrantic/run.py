"""A run: from a blueprint to a directory that holds everything about it."""

from __future__ import annotations

import logging
import shutil
import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hydrantic.checking import prepare
from hydrantic.errors import BlueprintError, HydranticError, Interrupted, RunFailed, UsageError
from hydrantic.plan import Plan
from hydrantic.project import Project
from hydrantic.rundir import RunDirectory, RunRecord, Status, recording, runs_root, write_atomically
from hydrantic.secrets import hide
from hydrantic.source import display
from hydrantic.texts import aligned
from hydrantic.yaml_text import to_yaml

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule

    from hydrantic.build import Assembly, Draft
    from hydrantic.interrupts import StopSignals


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


def fit(
    blueprint: str | Path,
    overrides: Sequence[str] = (),
    *,
    project: str | Path | None = None,
    runs: str | Path | None = None,
    test: bool = True,
) -> Run:
    """Train the model of a blueprint, and evaluate the best checkpoint once on the test split.

    Arguments:
        blueprint: the YAML file.
        overrides: `key=value` and the like, as on the command line.
        project: the folder whose `registry/` may be used; by default the project that holds the working directory.
        runs: the folder of all runs; by default HYDRANTIC_RUNS, or `runs/` in the project.
        test: whether to evaluate on the test split.

    Returns:
        The finished run.

    Raises:
        BlueprintError: the blueprint has problems, or contradicts the data; nothing was written.
        UsageError: the project or the folder of the runs cannot be used.
        RunFailed: training raised an error; the run directory records it.
        Interrupted: SIGINT or SIGTERM arrived; the state was saved.
    """
    home = Project.find(explicit=None if project is None else Path(project))
    plan = prepare(blueprint, overrides, project=home)
    from hydrantic.build import draft
    from hydrantic.process import settings_as_they_were

    with settings_as_they_were():
        drafted = draft(plan)
        directory = RunDirectory.create(runs_root(None if runs is None else Path(runs), home.root), plan.name)
        return _Execution(drafted, directory, home).run(test=test)


@dataclass
class _Execution:
    """One run from its first moment to its last."""

    drafted: Draft
    directory: RunDirectory
    project: Project
    began: float = field(default_factory=time.monotonic)
    has_begun: bool = False

    def run(self, *, test: bool) -> Run:
        try:
            record = self._record()
            with recording(self.directory.log_file, self._hidden), _without_chatter():
                return self._run(record, test=test)
        except BlueprintError:
            if not self.has_begun:  # a callback or logger refused its fields
                self._leave_nothing()
            raise
        except OSError as error:
            if self.has_begun:
                raise RunFailed(f"{display(self.directory.path)} cannot be written: {error.strerror}") from error
            self._leave_nothing()
            raise UsageError(
                f"cannot write the run to {display(self.directory.path.parent)}: {error.strerror or error}; "
                "choose another folder with --runs DIR or the environment variable HYDRANTIC_RUNS"
            ) from error

    def _leave_nothing(self) -> None:
        shutil.rmtree(self.directory.path, ignore_errors=True)
        with suppress(OSError):  # it holds other runs
            self.directory.path.parent.rmdir()

    def _record(self) -> RunRecord:
        plan = self.drafted.plan
        header = "# The complete blueprint of this run: `hydrantic fit` on it repeats the run.\n"
        write_atomically(self.directory.blueprint_file, header + to_yaml(plan.resolved()))
        files = {f"{each.kind}/{each.name}": each.entry.file for each in plan.components.values()}
        record = RunRecord(self.directory.record_file)
        record.start(
            name=plan.name,
            seed=plan.blueprint.seed,
            project=self.project.root,
            sources={name: file for name, file in files.items() if file is not None},
            data=self.drafted.facts.fingerprint,
        )
        return record

    def _run(self, record: RunRecord, *, test: bool) -> Run:
        from hydrantic.build import BestMetrics, assemble
        from hydrantic.interrupts import StopSignals

        signals, tracker = StopSignals(self._last()), BestMetrics(self.drafted.plan.objective)
        assembly = assemble(self.drafted, self.directory, (signals, tracker))
        self.has_begun = True
        status: Status = "failed"
        failure: Exception | None = None
        metrics: dict[str, float] = {}
        try:
            record.update(device=str(assembly.trainer.strategy.root_device))
            with signals:
                metrics |= self._train(assembly, signals, test=test)
            status = "finished"
        except (Interrupted, KeyboardInterrupt):
            status = "interrupted"
            print(f"interrupted; its state is kept: {display(self.directory.path)}", file=sys.stderr)
            raise
        except Exception as error:
            failure = error
            raise self._failed(error) from error
        finally:
            for logger in assembly.trainer.loggers:
                logger.finalize(status)
            best = _relative(best_checkpoint(assembly), self.directory.path)
            record.finish(
                status, error=failure, rewrite=self._hidden, best_checkpoint=best, best_metrics=tracker.values,
                metrics=metrics,
            )  # fmt: skip
        return self._finished(assembly, metrics)

    def _last(self) -> Path | None:
        checkpoint = self.drafted.plan.blueprint.checkpoint
        return None if checkpoint is None else self.directory.path / checkpoint.dirpath / "last.ckpt"

    def _train(self, assembly: Assembly, signals: StopSignals, *, test: bool) -> dict[str, float]:
        resolved = self.drafted.plan.resolved()
        for logger in assembly.trainer.loggers:
            logger.log_hyperparams(resolved)
        assembly.trainer.fit(assembly.model, datamodule=assembly.data)
        signals.raise_if_received()
        metrics = _numbers(assembly.trainer.callback_metrics)
        if not test or not self._can_test(assembly):
            return metrics
        best = best_checkpoint(assembly)
        results = assembly.trainer.test(
            assembly.model, datamodule=assembly.data, verbose=False,
            ckpt_path=None if best is None else str(best), weights_only=True,
        )  # fmt: skip
        signals.raise_if_received()
        return metrics | {name: value for each in results for name, value in _numbers(each).items()}

    def _can_test(self, assembly: Assembly) -> bool:
        from lightning.pytorch.utilities.model_helpers import is_overridden

        has_loader = is_overridden("test_dataloader", assembly.data)
        is_rehearsal = bool(getattr(assembly.trainer, "fast_dev_run", False))
        return has_loader and self.drafted.facts.test_size != 0 and not is_rehearsal

    def _finished(self, assembly: Assembly, metrics: dict[str, float]) -> Run:
        _load_weights(assembly.model, best_checkpoint(assembly))
        run = Run(self.directory.path, self.drafted.plan, metrics, time.monotonic() - self.began, assembly.model)
        print(run.summary())
        return run

    def _hidden(self, text: str) -> str:
        """The text without what the environment supplied."""
        return hide(text, self.drafted.plan.secrets)

    def _failed(self, error: Exception) -> RunFailed:
        with self.directory.log_file.open("a", encoding="utf-8") as log:
            log.write(self._hidden("".join(traceback.format_exception(error))))
        frames = traceback.extract_tb(error.__traceback__)
        # The last place in a person's own code says more than the depths of a library.
        own = [frame for frame in frames if "site-packages" not in frame.filename and "<frozen" not in frame.filename]
        where = (own or frames)[-1]
        words = str(error) if isinstance(error, HydranticError) else f"{type(error).__name__}: {error}"
        return RunFailed(
            f"the run failed: {self._hidden(words)}\n  at {display(Path(where.filename))}:{where.lineno}\n"
            f"run: {display(self.directory.path)} (log.txt has the traceback)"
        )


def _relative(file: Path | None, folder: Path) -> str | None:
    return None if file is None else str(file.relative_to(folder))


@contextmanager
def _without_chatter() -> Iterator[None]:
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
)


def best_checkpoint(assembly: Assembly) -> Path | None:
    """The best checkpoint of a run, or the last one where none is ranked."""
    callback = assembly.trainer.checkpoint_callback
    for name in ("best_model_path", "last_model_path"):
        path = getattr(callback, name, "")
        if path and Path(path).is_file():
            return Path(path)
    return None


def _load_weights(model: LightningModule, best: Path | None) -> None:
    if best is not None:
        from hydrantic.checkpoints import read_checkpoint

        model.load_state_dict(read_checkpoint(best)["state_dict"])
    model.eval()


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items()}

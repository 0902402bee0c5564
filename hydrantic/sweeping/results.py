"""What a sweep hands back: its jobs with their values, metrics and models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydrantic.source import display
from hydrantic.sweeping.ledger import ENDED, JobRecord, JobState, SweepRecord

if TYPE_CHECKING:
    import polars
    from lightning.pytorch import LightningModule

    from hydrantic.run import Run


@dataclass(frozen=True)
class Job:
    """One job of a sweep, as it stands."""

    record: JobRecord = field(repr=False)
    project: Path | None = field(default=None, repr=False)
    """Whose components it uses; None for the project that holds the working directory."""

    @property
    def number(self) -> int:
        """Its number in the sweep."""
        return self.record.number

    @property
    def path(self) -> Path:
        """Its directory, which is that of its run."""
        return self.record.directory

    @property
    def overrides(self) -> tuple[str, ...]:
        """What sets it apart, as on the command line: `("optimizer.lr=0.001", "seed=1")`."""
        return self.record.overrides

    @property
    def params(self) -> Mapping[str, Any]:
        """The same as values by key."""
        return self.record.params

    @property
    def state(self) -> JobState:
        """How it ended."""
        return self.record.state

    @property
    def value(self) -> float | None:
        """The objective's value at its best; None where it has none."""
        return self.record.value

    @property
    def metrics(self) -> Mapping[str, float]:
        """The last value of every logged name."""
        return self.record.metrics

    def model(self) -> LightningModule:
        """The model with the weights of the best checkpoint, in evaluation mode.

        Raises:
            UsageError: the job kept no weights.
        """
        return self.run().model

    def run(self) -> Run:
        """The job's run, with all that it holds.

        Raises:
            UsageError: it has not begun.
        """
        from hydrantic.run import load

        return load(self.path, project=self.project)

    def __repr__(self) -> str:
        return f"<job {self.number}: {' '.join(self.overrides)}, {self.state}>"


@dataclass(frozen=True)
class Sweep:
    """A sweep that has come to its end: its jobs are its elements."""

    path: Path
    """Its directory."""
    record: SweepRecord = field(repr=False)
    """What its ledger tells."""

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The jobs in their order."""
        return tuple(self._job(each) for each in self.record.jobs)

    @property
    def best(self) -> Job | None:
        """The job with the best value of the objective; None where no job has one."""
        best = self.record.best
        return None if best is None else self._job(best)

    def _job(self, record: JobRecord) -> Job:
        """A job with the project that the sweep was made in, where that is still there."""
        said = self.record.about.get("project")
        return Job(record, Path(said) if isinstance(said, str) and Path(said).is_dir() else None)

    def table(self) -> polars.DataFrame:
        """The results: a row per job with its swept values, its objective and its metrics."""
        from hydrantic.sweeping.table import frame

        return frame(self.record)

    @property
    def exit_code(self) -> int:
        """0 where every job has done what it should, else 1."""
        return int(any(job.state not in ENDED for job in self.record.jobs))

    def summary(self) -> str:
        """What a person wants to know of a sweep that has just ended."""
        best, objective = self.best, self.record.objective
        if best is None or objective is None:
            lines = [f"{self.record.name}: no job has a best value"]
        else:
            lines = [f"{self.record.name}: job {best.number} is the best, {objective[0]} {best.value:.4g}"]
            lines.append(f"  {' '.join(best.overrides)}")
        return "\n".join([*lines, f"sweep: {display(self.path)}"])

    def __iter__(self) -> Iterator[Job]:
        return iter(self.jobs)

    def __len__(self) -> int:
        return len(self.jobs)

    def __getitem__(self, number: int) -> Job:
        return self.jobs[number]

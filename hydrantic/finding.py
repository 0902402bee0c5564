"""What a person means by RUN on a command line: a run's directory, a checkpoint, or a folder whose latest run it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from hydrantic.errors import UsageError
from hydrantic.rundir import RunRecord
from hydrantic.source import display

RECORD: Final = "run.json"
_ABOVE: Final = 3
"""How many folders above a checkpoint the directory of its run may be."""


@dataclass(frozen=True)
class Found:
    """A run, or a checkpoint that may have left its run's directory."""

    directory: Path | None
    """The run's directory; None for a checkpoint alone."""
    named: Path | None = None
    """The checkpoint that was named; None leaves it to the run's record."""

    @property
    def label(self) -> str:
        """What a person calls it."""
        return display(self.named or self.directory or Path())

    @cached_property
    def record(self) -> Mapping[str, Any]:
        """The fields of `run.json`.

        Raises:
            UsageError: there is none, or it is broken.
        """
        if self.directory is None:
            raise UsageError(f"{self.label} is a checkpoint alone: there is no {RECORD} of its run")
        return RunRecord.read(self.directory / RECORD).fields

    @property
    def best(self) -> Path:
        """The checkpoint that was named, else the run's best one.

        Raises:
            UsageError: the run kept no weights.
        """
        return self._kept(str(self.record.get("best_checkpoint") or "")) if self.named is None else self.named

    @property
    def last(self) -> Path:
        """The checkpoint that was named, else that of the run's latest state.

        Raises:
            UsageError: the run kept none.
        """
        return self._kept("checkpoints/last.ckpt") if self.named is None else self.named

    def _kept(self, name: str) -> Path:
        assert self.directory is not None  # else a checkpoint was named
        folder = self.directory.resolve()
        file = self.directory / name
        if not name or not file.is_file() or not file.resolve().is_relative_to(folder):
            raise UsageError(f"the run in {self.label} kept no weights")
        return file


def find_run(named: str | Path) -> Found:
    """The run or checkpoint that a person names.

    Arguments:
        named: a run's directory, a checkpoint file, or a folder of runs, which means the latest of them.

    Raises:
        UsageError: it is none of these.
    """
    path = Path(named)
    if path.is_file():
        if path.name == RECORD:
            return Found(path.parent)
        return Found(_around(path), path)
    if not path.is_dir():
        raise UsageError(f"there is no run {display(path)}")
    if (path / RECORD).is_file():
        return Found(path)
    runs = runs_below(path)
    if not runs:
        hint = "; name a checkpoint in it" if any(path.glob("checkpoints/*.ckpt")) else ""
        raise UsageError(f"{display(path)} is not the directory of a run: it has no {RECORD}{hint}")
    return Found(max(runs, key=lambda each: (each.name, each)))


def runs_below(folder: Path) -> list[Path]:
    """The directories of the runs in a folder of runs: `<name>/<run>`, or `<run>` itself; jobs of sweeps are not."""
    return [record.parent for depth in ("*", "*/*") for record in folder.glob(f"{depth}/{RECORD}")]


def _around(checkpoint: Path) -> Path | None:
    above = checkpoint.absolute().parents[:_ABOVE]
    found = next((folder for folder in above if (folder / RECORD).is_file()), None)
    return found if found is None or checkpoint.is_absolute() else _as_written(found)


def _as_written(folder: Path) -> Path:
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder

"""What a person means by RUN on a command line: a run's directory, a checkpoint, or a folder whose latest run it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from hydrantic.errors import UsageError
from hydrantic.rundir import RunRecord
from hydrantic.source import display
from hydrantic.texts import cut

RECORD: Final = "run.json"
_LEDGER: Final = "ledger.jsonl"
_FOLDER: Final = "checkpoints"
_OF_RUNS: Final = (".csv", ".yaml", ".yml")
"""Endings of what no checkpoint is."""
_ABOVE: Final = 3
"""How many folders above a checkpoint the directory of its run may be."""


@dataclass(frozen=True)
class Found:
    """A run, or a checkpoint that may have left its run's directory."""

    directory: Path | None
    """The run's directory; None for a checkpoint alone."""
    named: Path | None = None
    """The checkpoint that was named; None leaves it to the run's record."""
    latest_in: Path | None = None
    """The folder of runs that was named, of which this is the latest."""

    @property
    def label(self) -> str:
        """What a person calls it."""
        return display(self.named or self.directory or Path())

    @property
    def note(self) -> str | None:
        """Which run was taken, where a person left that open."""
        return None if self.latest_in is None else f"the latest run in {display(self.latest_in)}: {self.label}"

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
    def recorded(self) -> Mapping[str, Any]:
        """The same, as far as it can be read; nothing of a run without a sound record."""
        try:
            return self.record
        except UsageError:
            return {}

    @property
    def best(self) -> Path:
        """The checkpoint that was named, else the run's best one.

        Raises:
            UsageError: the run kept no weights, or its record cannot be read.
        """
        if self.named is not None:
            return self.named
        try:
            said = str(self.record.get("best_checkpoint") or "")
        except UsageError as error:
            raise UsageError(f"{error}{self._hint()}") from error
        return self._kept(said)

    @property
    def last(self) -> Path:
        """The checkpoint that was named, else that of the run's latest state.

        Raises:
            UsageError: the run kept none.
        """
        return self._kept(f"{checkpoint_folder(self.recorded)}/last.ckpt") if self.named is None else self.named

    def _kept(self, name: str) -> Path:
        assert self.directory is not None  # else a checkpoint was named
        file = file_below(self.directory, name)
        if file is not None:
            return file
        status = self.recorded.get("status")
        state = f", which is recorded as {status}," if status not in {None, "finished"} else ""
        gone = f": {cut(name, 80)} is not there" if name and status == "finished" else ""
        raise UsageError(f"the run in {self.label}{state} kept no weights{gone}{self._hint()}")

    def _hint(self) -> str:
        assert self.directory is not None  # else a checkpoint was named
        there = checkpoints_in(self.directory / checkpoint_folder(self.recorded))
        return f"; name a checkpoint instead: {display(there[-1])}" if there else ""


def file_below(directory: Path, name: str) -> Path | None:
    """The file that a run's record names; None where there is none, or it lies outside of the run's directory."""
    file = directory / name
    try:
        is_there = bool(name) and file.is_file() and file.resolve().is_relative_to(directory.resolve())
    except (OSError, ValueError):  # no file can have that name
        return None
    return file if is_there else None


def find_run(named: str | Path) -> Found:
    """The run or checkpoint that a person names.

    Arguments:
        named: a run's directory, its `run.json`, a checkpoint file, or a folder of runs, which means the latest of
            them. Jobs of sweeps are runs, but a folder of runs does not mean one of them.

    Raises:
        UsageError: it is none of these.
    """
    path = Path(named)
    if "://" in str(named):
        raise UsageError(f"{named} is an address; a run has to be a local folder or file, so download it first")
    if path.is_file():
        _refuse_other_files(path)
        return Found(path.parent) if path.name == RECORD else Found(_around(path), path)
    if not path.is_dir():
        raise UsageError(f"there is no run {display(path)}")
    if (path / RECORD).is_file():
        return Found(path)
    if (path / _LEDGER).is_file():
        raise UsageError(_of_sweep(path))
    runs = runs_below(path)
    if not runs:
        raise UsageError(_why_none(path))
    return Found(max(runs, key=_began), latest_in=path)


def _refuse_other_files(path: Path) -> None:
    """Refuse what a person may take for a run by mistake; whether a checkpoint is one, its reader says."""
    if path.name == RECORD or path.suffix not in _OF_RUNS:
        return
    if (path.parent / RECORD).is_file():
        raise UsageError(f"{display(path)} is a file of a run; name its directory, {display(path.parent)}")
    if path.suffix != ".csv":
        raise UsageError(f"{display(path)} is a blueprint, not a run; name the directory of a run that it has made")


def runs_below(folder: Path) -> list[Path]:
    """The directories of the runs in a folder of runs: `<name>/<run>`, or `<run>` itself; jobs of sweeps are not."""
    records = (record for depth in ("*", "*/*") for record in folder.glob(f"{depth}/{RECORD}"))
    return [record.parent for record in records if not (record.parent.parent / _LEDGER).is_file()]


def checkpoint_folder(record: Mapping[str, Any]) -> str:
    """Where in its directory a run keeps its checkpoints, as far as its record tells."""
    blueprint = record.get("blueprint")
    said = blueprint.get("checkpoint") if isinstance(blueprint, Mapping) else None
    folder = said.get("dirpath") if isinstance(said, Mapping) else None
    return folder if isinstance(folder, str) and folder.isprintable() and folder else _FOLDER


def checkpoints_in(folder: Path) -> list[Path]:
    """The checkpoints in a folder, the latest one last."""
    return sorted(folder.glob("*.ckpt"), key=lambda file: (file.stat().st_mtime_ns, file.name == "last.ckpt"))


def _began(run: Path) -> tuple[str, str, Path]:
    """By what runs are ordered: when they began, as far as that can be told."""
    try:
        said = json.loads((run / RECORD).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        said = None
    return str(said.get("started") or "") if isinstance(said, dict) else "", run.name, run


def _of_sweep(folder: Path) -> str:
    jobs = sorted(record.parent for record in folder.glob(f"*/{RECORD}"))
    example = f", such as {display(jobs[0])} (`hydrantic runs {display(folder)}` lists them)" if jobs else ""
    return f"{display(folder)} is a sweep of many runs; name one of its jobs{example}"


def _why_none(folder: Path) -> str:
    why = f"{display(folder)} is not the directory of a run: it has no {RECORD}"
    if (folder.parent / RECORD).is_file():
        return f"{why}; the run is {display(folder.parent)}"
    if there := checkpoints_in(folder / _FOLDER):
        return f"{why}; name a checkpoint instead: {display(there[-1])}"
    ledgers = sorted(ledger.parent for depth in ("*", "*/*") for ledger in folder.glob(f"{depth}/{_LEDGER}"))
    if ledgers:
        return _of_sweep(ledgers[-1])
    return f"{why}, and no folder in it has one"


def _around(checkpoint: Path) -> Path | None:
    above = checkpoint.absolute().parents[:_ABOVE]
    found = next((folder for folder in above if (folder / RECORD).is_file()), None)
    return found if found is None or checkpoint.is_absolute() else _as_written(found)


def _as_written(folder: Path) -> Path:
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder

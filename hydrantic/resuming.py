"""Where a run that was cut short goes on: at its last checkpoint that can be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hydrantic.checkpoints import CheckpointError, read_checkpoint
from hydrantic.errors import UsageError
from hydrantic.metrics_csv import forget_rows
from hydrantic.rundir import RunDirectory, RunRecord

CUT_SHORT: Final = frozenset({"interrupted", "running"})
"""What the record of a run says that did not come to its end; of one that was killed, that it is running."""


@dataclass(frozen=True)
class Attempt:
    """One attempt at a run, which may follow others in the same directory."""

    number: int = 1
    started: str | None = None
    """When the first attempt began; None if this is the first."""
    seconds: float = 0.0
    """How long the earlier attempts took, as far as they could tell."""
    checkpoint: Path | None = None
    """Where it goes on, or None to start anew."""
    step: int | None = None
    """The optimizer step at which it goes on."""
    notes: tuple[str, ...] = ()
    """What a person should know of this."""


def next_attempt(directory: RunDirectory, checkpoints: Path) -> Attempt:
    """The attempt that comes next in a directory: what was cut short goes on, everything else starts anew.

    What the earlier attempts have written of steps that are still to come is removed.

    Arguments:
        directory: the run's directory.
        checkpoints: the folder of its checkpoints.
    """
    try:
        earlier = RunRecord.read(directory.record_file).fields
    except UsageError:  # there was none, or it got no further
        return Attempt()
    notes: list[str] = []
    found = _checkpoint(checkpoints, notes) if earlier.get("status") in CUT_SHORT else None
    _forget_later(directory, checkpoints, found)
    return Attempt(
        number=int(earlier.get("attempt") or 1) + 1,
        started=earlier.get("started"),
        seconds=float(earlier.get("seconds") or 0.0),
        checkpoint=None if found is None else found[0],
        step=None if found is None else int(found[1]["global_step"]),
        notes=tuple(notes),
    )


def _checkpoint(folder: Path, notes: list[str]) -> tuple[Path, Mapping[str, Any]] | None:
    """The latest checkpoint from which training can go on, and its state; `notes` says of others why not."""
    for file in _latest_first(folder):
        try:
            state = read_checkpoint(file)
        except CheckpointError as error:
            notes.append(f"{error}; going on from an earlier state")
            continue
        if "optimizer_states" in state:
            notes.append(f"going on from {file.name}, after step {state['global_step']}")
            return file, state
        notes.append(f"{file.name} holds only weights, from which training cannot go on")
    notes.append("there is no checkpoint to go on from: starting anew")
    return None


def _latest_first(folder: Path) -> Iterator[Path]:
    last = folder / "last.ckpt"
    if last.is_file():
        yield last
    others = [file for file in folder.glob("*.ckpt") if file != last]
    yield from sorted(others, key=lambda file: file.stat().st_mtime_ns, reverse=True)


def _forget_later(directory: RunDirectory, folder: Path, found: tuple[Path, Mapping[str, Any]] | None) -> None:
    """Remove the rows and checkpoints of steps that come after a checkpoint; all of them where there is none."""
    written = 0 if found is None else found[0].stat().st_mtime_ns
    for file in folder.glob("*.ckpt"):
        if file.stat().st_mtime_ns > written:
            file.unlink()
    if found is None:
        directory.metrics_file.unlink(missing_ok=True)
    else:
        forget_rows(directory.metrics_file, _next_row(found[1]))


def _next_row(state: Mapping[str, Any]) -> int:
    """The first step, as loggers count, that comes after a checkpoint."""
    steps = int(state["global_step"])
    # Where several optimizers step, loggers count less than Lightning does.
    logged = state["loops"]["fit_loop"]["epoch_loop.state_dict"].get("_batches_that_stepped", steps)
    return steps if logged in {steps, steps - 1} else int(logged) + 1

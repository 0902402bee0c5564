"""Where a run that was cut short goes on: at its last checkpoint that can be read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from hydrantic.checkpoints import CheckpointError, read_checkpoint, step_of
from hydrantic.errors import UsageError
from hydrantic.exact import KEY as EXACT
from hydrantic.metrics_csv import cut_back
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
    forgets_stop: bool = False
    """Whether training goes on where it had been told to stop."""
    notes: tuple[str, ...] = ()
    """What a person should know of this."""
    device: str | None = None
    """What the attempt before computed on."""

    def notes_on(self, device: str) -> tuple[str, ...]:
        """What a person should know, given the device of this attempt."""
        if self.device in {None, device} or self.checkpoint is None:
            return self.notes
        return (*self.notes, f"it ran on {self.device} and runs on {device} now; the numbers may differ from here on")


Resumable: TypeAlias = tuple[Path, Mapping[str, Any]]
"""A checkpoint from which training can go on, and what it holds."""


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
    found = latest_checkpoint(checkpoints, notes) if earlier.get("status") in CUT_SHORT else None
    return attempt_after(directory, earlier, checkpoints, found, notes)


def attempt_after(
    directory: RunDirectory, earlier: Mapping[str, Any], checkpoints: Path, found: Resumable | None, notes: list[str]
) -> Attempt:
    """The attempt that follows an earlier one; what that has written of steps that are still to come is removed.

    Arguments:
        directory: the run's directory.
        earlier: what its record says.
        checkpoints: the folder of its checkpoints.
        found: where it goes on, or None to start anew.
        notes: what a person should know.
    """
    _forget_later(directory, checkpoints, found)
    return Attempt(
        number=int(_number(earlier.get("attempt"), 1)) + 1,
        started=earlier.get("started"),
        seconds=float(_number(earlier.get("seconds"), 0.0)),
        checkpoint=None if found is None else found[0],
        step=None if found is None else int(found[1]["global_step"]),
        notes=tuple(notes),
        device=earlier.get("device"),
    )


def _number(said: Any, otherwise: float) -> float:
    """A number of a record, which anybody may have edited."""
    return said if isinstance(said, int | float) and math.isfinite(said) else otherwise


def latest_checkpoint(folder: Path, notes: list[str]) -> Resumable | None:
    """The latest checkpoint from which training can go on, and its state; `notes` says of others why not."""
    for file in _latest_first(folder):
        try:
            state = read_checkpoint(file)
        except CheckpointError as error:
            notes.append(f"{error}; going on from an earlier state")
            continue
        if EXACT in state:
            notes.append(f"going on from {file.name}, after step {state['global_step']}")
            return file, state
        if "optimizer_states" not in state:
            notes.append(f"{file.name} holds only weights, from which training cannot go on")
    notes.append("there is no checkpoint to go on from: starting anew")
    return None


def _latest_first(folder: Path) -> Iterator[Path]:
    """The checkpoints, the one of the latest step first; those that cannot be read come before, to be told of."""
    steps = {file: step_of(file) for file in folder.glob("*.ckpt")}
    of_last = [(file.name == "last.ckpt", file.name) for file in steps]
    ranks = {
        file: (math.inf if step is None else step, *names)
        for (file, step), names in zip(steps.items(), of_last, strict=True)
    }
    yield from sorted(steps, key=ranks.__getitem__, reverse=True)


def _forget_later(directory: RunDirectory, folder: Path, found: Resumable | None) -> None:
    """Remove the rows and checkpoints of steps that come after a checkpoint; all of them where there is none."""
    for torn in (*folder.glob(".*.ckpt.*"), *directory.path.glob(".*.tmp")):  # of what was being written
        torn.unlink(missing_ok=True)
    kept = set() if found is None else _known(found[1])
    for file in folder.glob("*.ckpt"):
        if file.name not in kept and _is_later(file, None if found is None else int(found[1]["global_step"])):
            file.unlink()
    rows = None if found is None else found[1][EXACT]["metrics_file"]
    if rows is None:
        directory.metrics_file.unlink(missing_ok=True)
    else:
        cut_back(directory.metrics_file, rows)


def _known(state: Mapping[str, Any]) -> set[str]:
    """The names of the best checkpoints that a state knows."""
    rankings = [each for each in state["callbacks"].values() if isinstance(each, Mapping)]
    return {name for each in rankings for name in (*each.get("best_k_models", ()), each.get("best_model_path"))}


def _is_later(file: Path, step: int | None) -> bool:
    """Whether a checkpoint comes after a step, or after the beginning; of one that cannot be read nobody knows."""
    own = step_of(file)
    if own is None:
        return step is None or file.name == "last.ckpt"
    return step is None or own > step

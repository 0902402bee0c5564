"""Jobs of Slurm: a run that is told that its time is up queues its job again, and goes on in its own directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from hydrantic.errors import UsageError
from hydrantic.rundir import RunRecord

_PATIENCE: Final = 30.0
_taken: set[Path] = set()


def slurm_job(environment: Mapping[str, str] = os.environ) -> str | None:
    """The job of Slurm that this process is a part of, as `scontrol` takes it; None outside of one."""
    array, task = (environment.get(f"SLURM_ARRAY_{name}_ID") for name in ("JOB", "TASK"))
    return f"{array}_{task}" if array and task else environment.get("SLURM_JOB_ID")


def has_been_requeued(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this job of Slurm ran before, and was queued again."""
    return slurm_job(environment) is not None and environment.get("SLURM_RESTART_COUNT", "0") not in {"", "0"}


def run_of_this_job(folders: list[Path], blueprint: Mapping[str, Any]) -> Path | None:
    """The run that this job of Slurm began before it was queued again, if it began one.

    Where the job carries out several, they are found in the order in which they began.

    Arguments:
        folders: where it may be.
        blueprint: what is to be run, resolved but for what the data supplies.
    """
    found = [each for each in folders if each not in _taken and _is_of_this_job(each, blueprint)]
    if not found:
        return None
    run = min(found, key=lambda each: (str(_fields(each).get("started")), each))
    _taken.add(run)
    return run


def requeue() -> None:
    """Queue the job of this process again, which ends it."""
    job, program = slurm_job(), shutil.which("scontrol")
    if job is None or program is None or not job.replace("_", "").isdecimal():
        return
    problem = _refused(program, job)
    words = "is queued again" if problem is None else f"cannot be queued again: {problem}"
    print(f"the job {job} of Slurm {words}", file=sys.stderr)


def _refused(scontrol: str, job: str) -> str | None:
    """Ask for a job to be queued again; why it is not, or None where it is."""
    try:
        done = subprocess.run(  # noqa: S603 -- an absolute path and a number
            [scontrol, "requeue", job], capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return f"scontrol did not answer within {_PATIENCE:g} seconds"
    except OSError as error:
        return f"scontrol cannot be started: {error.strerror or error}"
    return None if done.returncode == 0 else done.stderr.strip()


def _is_of_this_job(run: Path, blueprint: Mapping[str, Any]) -> bool:
    fields = _fields(run)
    return fields.get("slurm_job") == slurm_job() and _agrees(blueprint, fields.get("blueprint"))


def _fields(run: Path) -> Mapping[str, Any]:
    try:
        return RunRecord.read(run / "run.json").fields
    except UsageError:
        return {}


def _agrees(asked: Any, recorded: Any) -> bool:
    """Whether a recorded blueprint is the one that is asked for, whatever the data has supplied to it."""
    if asked == "auto":
        return True
    if isinstance(asked, Mapping) and isinstance(recorded, Mapping):
        return asked.keys() == recorded.keys() and all(_agrees(asked[key], recorded[key]) for key in asked)
    if isinstance(asked, list | tuple) and isinstance(recorded, list | tuple):
        return len(asked) == len(recorded) and all(map(_agrees, asked, recorded))
    return bool(asked == recorded)

"""What a task of a Slurm job does: runs the job of a sweep, and lets it save its state before Slurm ends it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final

from .child import JobProcess, write_note
from .machine import thread_variables

_LOOK: Final = 0.1
_PATIENCE: Final = 5.0
_STOPPED: Final = frozenset({128 + signal.SIGTERM, -signal.SIGTERM})


def note_of(folder: Path, ticket: str) -> Path:
    """The file in which a job leaves its exit code."""
    return folder / f"{ticket}.code"


@dataclass
class Task:
    """Called by submitit on a node; pickled on the way there.

    Arguments:
        job: the job's directory.
        folder: the one of Slurm's files.
    """

    job: Path
    folder: Path
    _process: JobProcess | None = field(default=None, repr=False)
    _is_told: bool = False
    _hears_itself: bool = False
    """Whether Slurm's signals reach the job's own processes as well."""

    def __call__(self) -> int:
        """Run the job as a process of this one; its exit code."""
        note = note_of(self.folder, _ticket())
        if _is_first():
            note.unlink(missing_ok=True)  # from before it was queued again
        self._hears_itself = _reaches_all()  # not in a handler, which the next signal would interrupt
        signal.signal(signal.SIGTERM, self._pass_on)
        if not _is_first():  # submitit has nothing to do there
            signal.signal(signal.SIGUSR2, self._tell)
        # Slurm may send its signals to every process below this one.
        self._process = JobProcess(self.job, _threads(), ignored=(signal.SIGUSR2,))
        if self._is_told:  # while there was nothing to stop yet
            self._process.stop()
        while (code := self._process.poll()) is None:
            time.sleep(_LOOK)
        if not _is_first():
            return code
        if code in _STOPPED:
            time.sleep(_PATIENCE)  # Slurm gives way to another in two steps: the second one queues this job again
        write_note(note, code)
        return code

    def checkpoint(self) -> Any:
        """Let the job save its state; called by submitit, which then queues it again."""
        from submitit.helpers import DelayedSubmission

        self._tell()
        while self._process is not None and not _has_ended(self._process.id):
            time.sleep(_LOOK)
        return DelayedSubmission(Task(self.job, self.folder))

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        if self._hears_itself:
            self._is_told = True  # a second signal could disturb what it writes at its end
        self._tell()

    def _tell(self, *_: Any) -> None:
        if not self._is_told and self._process is not None:
            self._process.stop()
        self._is_told = True


def _ticket() -> str:
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]


def _is_first() -> bool:
    return os.environ.get("SLURM_PROCID", "0") == "0"


def _threads() -> dict[str, str]:
    """As many threads as the task has cores."""
    cpus = os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE", "")
    return thread_variables(int(cpus)) if cpus.isdigit() else {}


def _has_ended(process: int) -> bool:
    # `Popen.wait` would wait for itself here: the handler of a signal interrupts the one that holds its lock.
    with contextlib.suppress(ChildProcessError):
        return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return True


def _reaches_all() -> bool:
    """Whether Slurm's signals reach every process of a job; with most settings only the first one gets them."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ("scontrol", "show", "config")
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603 -- Slurm's own
        return any(line.startswith("ProctrackType") and "linuxproc" in line for line in answer.stdout.splitlines())
    return False

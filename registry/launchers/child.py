"""A job in a fresh interpreter, as a process of whoever starts it, and what its end means."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from hydrantic import Ended
from hydrantic.sweeping.engine import ERRORS, JOB, environment_of_python, job_command

_PARENT_DEATH: Final = 1  # PR_SET_PDEATHSIG of prctl(2)
FAILED: Final = 1
GRACE: Final = 30.0
"""Seconds that a job has to save its state when nobody is left to wait for it."""
_LOOK: Final = 0.5
POLL: Final = 0.05
"""Seconds between two looks at something that cannot be waited for."""
ENDS: Final = tuple(getattr(signal, each) for each in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, each))
"""Signals that ask for an end, on this system."""
_FOLLOWING: Final = threading.Lock()


def ended(job: Path, code: int, stops: int) -> Ended:
    """What there is to say of a job's end.

    Arguments:
        job: its directory.
        code: its exit code.
        stops: how often the engine had been told to stop.
    """
    if stops and code == -signal.SIGTERM:  # a job that has begun saves its state and ends with 143
        return Ended(job, code, "it was stopped before it had begun")
    return Ended(job, code, "it was killed, as asked for" if stops > 1 and code < 0 else "")


class JobProcess:
    """A job that was started in a fresh interpreter, in a session of its own: Ctrl-C on the terminal does not reach it.

    Arguments:
        job: its directory.
        environment: variables to set for it.
        ignored: signals that are not meant for it.
    """

    def __init__(
        self, job: Path, environment: Mapping[str, str] = MappingProxyType({}), ignored: tuple[int, ...] = ()
    ) -> None:
        self._errors = job / ERRORS
        with self._errors.open("ab") as written:
            self._process = subprocess.Popen(  # noqa: S603 -- this interpreter, and a directory that hydrantic has made
                job_command(job),
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment_of_python(), **environment},
                start_new_session=True,
                preexec_fn=_before_start(ignored) if sys.platform != "win32" else None,  # noqa: PLW1509 -- takes no lock
            )

    @property
    def id(self) -> int:
        """The process's number."""
        return self._process.pid

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        code = self._process.poll()
        if code is not None:
            self._sweep_up()
        return code

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait for the end; None where it has not come by then."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self.poll()

    def stop(self) -> None:
        """Ask it to save its state and to end."""
        self._process.terminate()

    def kill(self) -> None:
        """End it and whatever it has started."""
        if self._process.poll() is None:
            kill_group(self._process.pid)
            self._process.kill()

    def _sweep_up(self) -> None:
        kill_group(self._process.pid)  # what it has left behind, such as the workers of a loader
        forget_empty(self._errors)


def forget_empty(file: Path) -> None:
    """Remove a file that nothing was written to."""
    with contextlib.suppress(OSError):
        if not file.stat().st_size:
            file.unlink()


def kill_group(process: int) -> None:
    """Kill a job by its process id, and everything that it has started."""
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process, signal.SIGKILL)


def ask_to_end(process: int) -> None:
    """Ask a job, by its process id, to save its state and to end."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGTERM)


def _before_start(ignored: tuple[int, ...]) -> Callable[[], None]:
    prctl = getattr(ctypes.CDLL(None), "prctl", None)

    def prepare() -> None:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
        if prctl is not None:  # Linux: whoever waits for the job does not leave it behind when it dies
            prctl(_PARENT_DEATH, signal.SIGTERM)

    return prepare


def let_end(ticket: str, job: Path) -> None:
    """Wait until a job that a sweep left behind when it was killed has saved its state; such a job is ending.

    Arguments:
        ticket: its process id.
        job: its directory; no other process is waited for that has got the number since.
    """
    until = time.monotonic() + GRACE
    while ticket.isdigit() and is_under_way(int(ticket), job):
        if time.monotonic() > until:
            kill_group(int(ticket))
        time.sleep(POLL)


def is_under_way(process: int, job: Path) -> bool:
    """Whether a process runs the job in a directory; known on Linux."""
    return _is_job(process) and _writes_to(job, process)


def _is_job(process: int) -> bool:
    """Whether the process is a job, and not another that has got its number since."""
    try:
        command = Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False
    return JOB.rpartition(".")[0].encode() in command


def _writes_to(job: Path, process: int) -> bool:
    """Whether a process has a job's directory for its last words."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/fd/2").readlink().parent == job.resolve()
    return False


class Follower:
    """Runs a job as a process of this one, and ends it when whoever asked for it is gone.

    Arguments:
        parent: the process that asked for it; by default the one that started this one.
    """

    def __init__(self, parent: int | None = None) -> None:
        self._parent = os.getppid() if parent is None else parent
        self._process: JobProcess | None = None

    def begin(self, job: Path, environment: Mapping[str, str] = MappingProxyType({})) -> int:
        """Start a job; its process id."""
        self._process = JobProcess(job, environment)
        return self._process.id

    def wait(self) -> int:
        """Wait for the end; the exit code."""
        assert self._process is not None
        while (code := self._process.wait(_LOOK)) is None:
            if os.getppid() != self._parent:
                return self._abandoned()
        return code

    def wait_after(self, begun: int) -> int:
        """As `wait`, where what `begin` has returned is at hand only when it has been called."""
        return self.wait()

    def _abandoned(self) -> int:
        assert self._process is not None
        self._process.stop()
        if (code := self._process.wait(GRACE)) is not None:
            return code
        self._process.kill()
        return self._process.wait() or FAILED

    def stop(self, kill: bool) -> None:
        """Ask the job to save its state and to end, or kill it."""
        if self._process is not None:
            (self._process.kill if kill else self._process.stop)()


def follow(job: Path, environment: Mapping[str, str], note: Path, parent: int) -> int:
    """Run a job as a process of this one; `note` gets its process id.

    Arguments:
        job: its directory.
        environment: variables to set for it.
        note: the file that gets its process id.
        parent: the process that asks for it.

    Returns:
        The exit code.
    """
    with _FOLLOWING:
        follower = Follower(parent)
        write_note(note, follower.begin(job, environment))
        return follower.wait()


def belong_to(parent: int) -> None:
    """Make this process a worker of another: it ends when that one is gone, and leaves signals and the terminal to it.

    Arguments:
        parent: the process that has started this one, with the signals of `ENDS` blocked.
    """
    with Path(os.devnull).open("wb") as nowhere:
        for output in (1, 2):  # a pipe that the sweep is read from closes with the sweep
            os.dup2(nowhere.fileno(), output)
    for number in ENDS:
        signal.signal(number, _leave_to_parent)  # not ignored, as the jobs would inherit that
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _leave_to_parent(*_: object) -> None:
    """The parent does what a signal to the whole group asks for."""


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK)
    with _FOLLOWING:  # until the job that this process runs has saved its state
        os._exit(FAILED)


def write_note(note: Path, number: int) -> None:
    """Keep a number in a file, whole or not at all."""
    unfinished = note.with_suffix(f".{os.getpid()}")
    unfinished.write_text(str(number), "utf-8")
    unfinished.replace(note)


def read_note(note: Path) -> int | None:
    """The number in a file, or None where there is none yet."""
    try:
        return int(note.read_text("utf-8"))
    except (OSError, ValueError):
        return None

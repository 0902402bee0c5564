"""The launcher for this machine: as many jobs as there are cores, forked from a process that has imported all."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

from hydrantic import Ended, Engine, Hparams, Launcher, UsageError, register_launcher
from hydrantic.sweeping.engine import ERRORS, environment_of_python, python

from .child import POLL, JobProcess, ended, forget_empty, let_end
from .machine import Count, Slots, at_most, cores, gpus, thread_variables

_WARM: Final = "hydrantic.sweeping.warm"
_GRACE: Final = 40.0  # a little more than the warm process gives its jobs
_LIVES: Final = 2


class LocalHparams(Hparams):
    """How many jobs share this machine, and how."""

    processes: Count = "auto"
    """How many jobs run at a time; `auto`: one per GPU where there are any, else one per core that may be used."""
    threads: Count = "auto"
    """How many threads each job computes with; `auto` shares the cores out among the jobs."""
    fork: bool = True
    """Fork each job from a process that has imported everything; otherwise each is a fresh interpreter."""


@register_launcher("local", aliases=("basic",))
class Local(Launcher):
    """Runs the jobs on this machine, each in a process of its own, and each with GPUs of its own where there are any.

    Arguments:
        hparams: how many jobs share the machine, and how.
    """

    warm = True

    def __init__(self, hparams: LocalHparams) -> None:
        self.hparams = hparams

    def open(self, sweep: Path, jobs: int | None) -> Engine:
        """Start the warm process, or nothing yet where jobs start afresh."""
        devices = gpus()
        said = self.hparams.processes
        processes = at_most(jobs, len(devices) or cores() if said == "auto" else said)
        threads = thread_variables(self.hparams.threads, processes)
        forks = self.hparams.fork and hasattr(os, "fork")
        engine = WarmEngine if forks else FreshEngine
        return engine(processes, devices, threads)


class FreshEngine(Engine):
    """Starts a fresh interpreter for each job.

    Arguments:
        processes: how many jobs run at a time.
        devices: the GPUs, which the jobs share out.
        threads: variables that every job gets.
    """

    def __init__(self, processes: int, devices: tuple[str, ...], threads: Mapping[str, str]) -> None:
        self.capacity = processes
        self._threads = threads
        self._slots = Slots(devices, processes)
        self._running: dict[Path, JobProcess] = {}
        self._stops = 0

    def start(self, jobs: Sequence[Path]) -> Sequence[str]:
        """Start jobs; their tickets are process ids."""
        for job in jobs:
            variables = {**self._threads, **self._slots.take(job)}
            self._running[job] = JobProcess(job, variables)
        return [str(self._running[job].id) for job in jobs]

    def adopt(self, job: Path, ticket: str) -> bool:
        """Wait for the end of a job that was left behind; none is taken over."""
        let_end(ticket, job)
        return False

    def ended(self, seconds: float) -> Sequence[Ended]:
        """Look until one has ended, or the time is over."""
        until = time.monotonic() + seconds
        while not (over := self._over()) and time.monotonic() < until:
            time.sleep(POLL)
        return over

    def _over(self) -> list[Ended]:
        codes = {job: code for job, process in self._running.items() if (code := process.poll()) is not None}
        for job in codes:
            self._slots.give_back(job)
            del self._running[job]
        return [ended(job, code, self._stops) for job, code in codes.items()]

    def stop(self) -> None:
        """Ask all to stop, or kill them the second time."""
        self._stops += 1
        for process in self._running.values():
            if self._stops > 1:
                process.kill()
            else:
                process.stop()

    def close(self) -> None:
        """End what still runs."""
        for process in self._running.values():
            process.stop()
        try:
            until = time.monotonic() + _GRACE
            for process in self._running.values():
                process.wait(max(0.0, until - time.monotonic()))
        finally:
            for process in self._running.values():
                process.kill()
            self._running.clear()


class WarmEngine(Engine):
    """Has a warm process fork the jobs; see `hydrantic.sweeping.warm`.

    Arguments:
        processes: how many jobs run at a time.
        devices: the GPUs, which the jobs share out.
        threads: variables that every job gets.
    """

    def __init__(self, processes: int, devices: tuple[str, ...], threads: Mapping[str, str]) -> None:
        self.capacity = processes
        self._threads = threads
        self._slots = Slots(devices, processes)
        self._running: dict[Path, int] = {}
        self._tickets: dict[Path, int] = {}
        self._over: list[Ended] = []
        self._stops = 0
        self._lives = _LIVES
        self._warm = self._revived()

    def _revived(self) -> _Warm:
        self._lives -= 1
        return _Warm({**os.environ, **environment_of_python(), **self._threads})

    def start(self, jobs: Sequence[Path]) -> Sequence[str]:
        """Have jobs forked; their tickets are process ids.

        Raises:
            UsageError: the warm process does not survive.
        """
        return [str(self._start(job)) for job in jobs]

    def _start(self, job: Path) -> int:
        variables = self._slots.take(job)
        self._tell(start=str(job), environment=variables)
        self._tickets.pop(job, None)
        while job not in self._tickets:
            if not self._hear(None):
                self._tell(start=str(job), environment=variables)
        return self._tickets[job]

    def _tell(self, **request: Any) -> None:
        if not self._warm.tell(request):
            self._bury()
            self._warm.tell(request)

    def adopt(self, job: Path, ticket: str) -> bool:
        """Wait for the end of a job that was left behind; none is taken over."""
        let_end(ticket, job)
        return False

    def ended(self, seconds: float) -> Sequence[Ended]:
        """Listen until one has ended, or the time is over."""
        until = time.monotonic() + seconds
        while not self._over and (left := until - time.monotonic()) > 0:
            self._hear(left)
        if self._lives >= 0:
            self._hear(0)
        over, self._over = self._over, []
        return over

    def _hear(self, seconds: float | None) -> bool:
        """Take in what the warm process answers in this time; False where it has died."""
        answers = self._warm.answers(seconds)
        for answer in answers or ():
            if "started" in answer:
                job = Path(answer["started"])
                self._running[job] = self._tickets[job] = answer["process"]
            else:
                self._end(Path(answer["ended"]), answer["code"])
        if answers is None:
            self._bury()
        return answers is not None

    def _end(self, job: Path, code: int) -> None:
        forget_empty(job / ERRORS)
        self._over.append(ended(job, code, self._stops))
        self._forget(job)

    def _forget(self, job: Path) -> None:
        self._running.pop(job, None)
        self._slots.give_back(job)

    def _bury(self) -> None:
        """The warm process has died: so have its jobs, which nobody could wait for; another takes its place, once."""
        why = self._warm.last_words()
        for job, process in list(self._running.items()):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process, signal.SIGKILL)
            self._over.append(Ended(job, None, f"the process that had forked it died: {why}"))
            self._forget(job)
        if not self._lives:
            self._lives = -1  # nobody is left to be heard
            raise UsageError(f"the process that forks the jobs has died again: {why}; `fork: false` does without it")
        self._warm = self._revived()

    def stop(self) -> None:
        """Ask all to stop, or kill them the second time."""
        self._stops += 1
        for job in self._running:
            self._warm.tell({"signal": int(signal.SIGTERM if self._stops == 1 else signal.SIGKILL), "job": str(job)})

    def close(self) -> None:
        """End what still runs, then the warm process."""
        try:
            self._warm.end(_GRACE if self._running else 0.0)
        finally:
            for process in self._running.values():
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process, signal.SIGKILL)
            self._running.clear()


class _Warm:
    """The warm process as its parent sees it.

    Arguments:
        environment: what it and all jobs get.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 -- lives as long as the process
        self._process = subprocess.Popen(  # noqa: S603 -- this interpreter, and a module of hydrantic's
            [*python(), "-m", _WARM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=dict(environment),
            start_new_session=True,
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout
        self._unread = b""

    def tell(self, request: Mapping[str, Any]) -> bool:
        """Write it a request; False where nobody reads any more."""
        try:
            self._requests.write(json.dumps(request).encode() + b"\n")
        except BrokenPipeError:
            return False
        return True

    def answers(self, seconds: float | None) -> list[dict[str, Any]] | None:
        """What it has answered, after waiting up to `seconds` for it; None where it has died."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            if not selector.select(seconds):
                return []
        if not (data := os.read(self._answers.fileno(), 65536)):
            return None
        *lines, self._unread = (self._unread + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def last_words(self) -> str:
        """How it died, and the last line that it wrote."""
        self._process.kill()
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").split("\n")
        words = next((line.strip() for line in reversed(lines) if line.strip()), "")
        self._let_go()
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return words or f"exit code {code}"

    def end(self, seconds: float) -> None:
        """Let it end its jobs and itself in this time."""
        with suppress(BrokenPipeError):
            self._requests.close()
        try:
            if seconds:
                self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self._process.kill()
            self._process.wait()
            self._let_go()

    def _let_go(self) -> None:
        for each in (self._requests, self._answers, self._errors):
            with suppress(BrokenPipeError):
                each.close()

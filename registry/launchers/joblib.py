"""The launcher that has joblib's worker processes start the jobs and wait for them."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Annotated, Any

from hydrantic import Ended, Engine, Hparam, Hparams, Launcher, UsageError, register_launcher

from .child import (
    ENDS,
    GRACE,
    POLL,
    ask_to_end,
    belong_to,
    ended,
    follow,
    is_under_way,
    kill_group,
    let_end,
    read_note,
)
from .machine import Count, Slots, at_most, cores, gpus, thread_variables


class JoblibHparams(Hparams):
    """How many jobs joblib runs."""

    n_jobs: Annotated[int, Hparam(ge=-1024, le=1024)] = -1
    """How many jobs run at a time; -1: one per core that may be used, -2: one fewer, and so on."""
    threads: Count = "auto"
    """How many threads each job computes with; `auto` shares the cores out among the jobs."""


@register_launcher("joblib")
class Joblib(Launcher):
    """Runs the jobs on this machine through the worker processes of joblib's loky, each in a fresh interpreter.

    Arguments:
        hparams: how many jobs run at a time.
    """

    def __init__(self, hparams: JoblibHparams) -> None:
        self.hparams = hparams

    def open(self, sweep: Path, jobs: int | None) -> Engine:
        """Open the pool of workers.

        Raises:
            UsageError: joblib is not installed.
        """
        try:
            from joblib.externals.loky import ProcessPoolExecutor
        except ImportError as error:
            raise UsageError(
                "the launcher 'joblib' needs joblib, which is not installed: pip install joblib"
            ) from error
        said = self.hparams.n_jobs
        processes = at_most(jobs, said if said > 0 else max(1, cores() + 1 + said))
        slots = Slots(gpus(), processes)
        return JoblibEngine(ProcessPoolExecutor, slots, thread_variables(self.hparams.threads, processes))


@dataclass(slots=True)
class _Begun:
    """A job under way."""

    over: Any
    """The future of its exit code."""
    process: int
    until: float | None = None
    """How long it may take to save its state once the worker that waited for it has died."""


class JoblibEngine(Engine):
    """Has workers of joblib's loky start the jobs and wait for them.

    Arguments:
        pool: the class of the pool.
        slots: how many jobs run at a time, and with which GPUs.
        threads: variables that every job gets.
    """

    def __init__(self, pool: Any, slots: Slots, threads: dict[str, str]) -> None:
        self.capacity = slots.number
        self._new_pool = partial(pool, slots.number, initializer=belong_to, initargs=(os.getpid(),))
        self._pool = self._new_pool()
        self._slots = slots
        self._threads = threads
        self._notes = tempfile.TemporaryDirectory(prefix="hydrantic-")
        self._running: dict[Path, _Begun] = {}
        self._stops = 0
        self._count = 0

    def start(self, jobs: Sequence[Path]) -> Sequence[str]:
        """Hand the jobs to workers; their tickets are process ids.

        Raises:
            UsageError: no worker of joblib can start them.
        """
        return [str(self._start(job)) for job in jobs]

    def _start(self, job: Path) -> int:
        self._count += 1
        note = Path(self._notes.name) / str(self._count)
        variables = {**self._threads, **self._slots.take(job)}
        over = self._submitted(job, variables, note)
        while (process := read_note(note)) is None:
            if over.done():
                raise UsageError(f"joblib could not start {job}: {_first_line(over.exception())}")
            time.sleep(POLL)
        self._running[job] = _Begun(over, process)
        return process

    def _submitted(self, job: Path, variables: dict[str, str], note: Path) -> Any:
        from joblib.externals.loky.process_executor import BrokenProcessPool

        work = follow, job, variables, note, os.getpid()
        with _signals_blocked():
            try:
                return self._pool.submit(*work)
            except BrokenProcessPool:  # a worker has died
                self._pool = self._new_pool()
                return self._pool.submit(*work)

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
        done = [job for job, begun in self._running.items() if begun.over.done() and not _is_left_behind(job, begun)]
        return [self._end(job, self._running.pop(job)) for job in done]

    def _end(self, job: Path, begun: _Begun) -> Ended:
        self._slots.give_back(job)
        if (error := begun.over.exception()) is None:
            return ended(job, begun.over.result(), self._stops)
        kill_group(begun.process)  # or what it has left behind
        return Ended(job, None, f"the worker of joblib that waited for it died: {_first_line(error)}")

    def stop(self) -> None:
        """Ask all to stop, or kill them the second time."""
        self._stops += 1
        for begun in self._running.values():
            if self._stops > 1:
                kill_group(begun.process)
            else:
                ask_to_end(begun.process)

    def close(self) -> None:
        """End what still runs, then the workers."""
        try:
            self._stops = 0
            self.stop()
            until = time.monotonic() + GRACE
            while self._running and time.monotonic() < until:
                self.ended(POLL)
        finally:
            for begun in self._running.values():
                kill_group(begun.process)
            self._pool.shutdown(wait=True, kill_workers=True)
            self._notes.cleanup()


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Start workers that no signal ends before they leave signals to this process: they inherit what is blocked."""
    if sys.platform == "win32":
        yield
        return
    resource_tracker.ensure_running()  # whose start, with that of the first worker, would let them through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _is_left_behind(job: Path, begun: _Begun) -> bool:
    """Whether a job still saves its state that is to end because the worker that waited for it has died."""
    if begun.over.exception() is None:
        return False
    if begun.until is None:
        begun.until = time.monotonic() + GRACE
        ask_to_end(begun.process)
    return is_under_way(begun.process, job) and time.monotonic() < begun.until


def _first_line(error: BaseException | None) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__

"""The launcher that has a cluster of Ray run the jobs; one of its own on this machine, or one that is there."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from hydrantic import Ended, Engine, Hparam, Hparams, Launcher, UsageError, register_launcher
from hydrantic.sweeping.engine import environment_of_python

from .child import GRACE, Follower, ended
from .machine import cores

_PATIENCE: Final = 10.0

Share = Annotated[float, Hparam(ge=0)]


class RayHparams(Hparams):
    """Where Ray runs, and what each job gets of it."""

    address: Annotated[str, Hparam(pattern=r"^(auto|local|(ray://)?[\w.-]+:\d+)$")] | None = None
    """Address of a cluster, such as `auto` or `host:6379`; by default RAY_ADDRESS, or else a cluster of its own."""
    num_cpus: Share = 1.0
    """How many cores each job gets; it computes with as many threads."""
    num_gpus: Share = 0.0
    """How many GPUs each job gets; it sees no others. 0.5 lets two jobs share one."""
    memory_gb: Annotated[float, Hparam(gt=0)] | None = None
    """How much memory each job is reckoned with, in GiB."""


@register_launcher("ray")
class Ray(Launcher):
    """Runs the jobs on a cluster of Ray, whose queue they wait in; the cluster has to share the sweep's folder.

    Arguments:
        hparams: where Ray runs, and what each job gets of it.
    """

    def __init__(self, hparams: RayHparams) -> None:
        self.hparams = hparams

    def open(self, sweep: Path, jobs: int | None) -> Engine:
        """Connect to the cluster, or start one.

        Raises:
            UsageError: Ray is not installed, or the cluster cannot be reached or lacks what a job needs.
        """
        try:
            import ray
        except ImportError as error:
            hint = "the launcher 'ray' needs Ray, which is not installed: pip install 'hydrantic[ray]'"
            raise UsageError(hint) from error
        was_there = ray.is_initialized()
        if not was_there:
            _connect(ray, self.hparams.address)
        engine = RayEngine(ray, sweep.name, _resources(self.hparams), owns=not was_there)
        if (missing := _missing(ray, self.hparams)) is not None:
            engine.close()
            raise UsageError(f"no job could ever start: {missing}")
        return engine


def _connect(ray: Any, address: str | None) -> None:
    place = address or os.environ.get("RAY_ADDRESS") or "local"
    _require_answer(place)
    own = {"num_cpus": cores(), "include_dashboard": False} if place == "local" else {}
    try:
        with _quiet(), _own_signals():
            ray.init(
                address=place,
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env={"env_vars": environment_of_python()},
                **own,
            )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UsageError(f"Ray cannot reach {place}: {str(error).strip().partition(chr(10))[0]}") from error


def _require_answer(place: str) -> None:
    """Ray itself would try for ten minutes."""
    host, _, port = place.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()):
        return
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
    except OSError as error:
        raise UsageError(f"Ray cannot reach {place}: {error.strerror or error}") from error


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep the handler of SIGTERM, in whose place Ray puts one of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _resources(hparams: RayHparams) -> dict[str, float]:
    memory = {} if hparams.memory_gb is None else {"memory": hparams.memory_gb * 2**30}
    return {"num_cpus": hparams.num_cpus, "num_gpus": hparams.num_gpus, **memory}


def _missing(ray: Any, hparams: RayHparams) -> str | None:
    there = ray.cluster_resources()
    wanted = {"CPU": hparams.num_cpus, "GPU": hparams.num_gpus}
    for name, number in wanted.items():
        if number > there.get(name, 0.0):
            return f"each needs num_{name.lower()}s: {number:g}, and the cluster has {there.get(name, 0.0):g}"
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what Ray says of its future from the person."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@dataclass(frozen=True, slots=True)
class _Begun:
    """A job that is queued or under way."""

    actor: Any
    process: Any
    """Reference to its process id: it is there once the job has started."""
    code: Any
    """Reference to its exit code."""


class RayEngine(Engine):
    """Has an actor of Ray start each job, as a process of its own, and wait for it.

    Arguments:
        ray: the module.
        sweep: the sweep's name.
        resources: what each job gets.
        owns: whether the connection ends with the engine.
    """

    capacity = None

    def __init__(self, ray: Any, sweep: str, resources: dict[str, float], *, owns: bool) -> None:
        self._ray = ray
        self._sweep = sweep
        # One thread waits for the job, another can stop it.
        self._actor = ray.remote(max_concurrency=2, max_restarts=0, **resources)(Follower)
        self._owns = owns
        self._running: dict[Path, _Begun] = {}
        self._stops = 0

    def start(self, jobs: Sequence[Path]) -> Sequence[str]:
        """Queue jobs; their tickets are the names of their actors."""
        tickets = []
        for job in jobs:
            ticket = f"{self._sweep}/{job.name}/{time.time_ns():x}"
            with _quiet():
                actor = self._actor.options(name=ticket).remote()
            process = actor.begin.remote(job)
            self._running[job] = _Begun(actor, process, actor.wait_after.remote(process))
            tickets.append(ticket)
        return tickets

    def ended(self, seconds: float) -> Sequence[Ended]:
        """Wait until one has ended, or the time is over."""
        if not self._running:
            return []
        jobs = {begun.code: job for job, begun in self._running.items()}
        over, _ = self._ray.wait(list(jobs), num_returns=1, timeout=seconds)
        if over:
            over, _ = self._ray.wait(list(jobs), num_returns=len(jobs), timeout=0)
        return [self._end(jobs[code]) for code in over]

    def _end(self, job: Path) -> Ended:
        begun = self._running.pop(job)
        try:
            code = self._ray.get(begun.code)
        except self._ray.exceptions.RayError as error:
            if self._stops and not self._has_begun(begun):
                return Ended(job, None, "it was stopped before it had begun")
            words = str(error).strip().partition("\n")[0]
            return Ended(job, None, f"the worker of Ray that waited for it died: {words}")
        finally:
            self._ray.kill(begun.actor)
        return ended(job, code, self._stops)

    def _has_begun(self, begun: _Begun) -> bool:
        ready, _ = self._ray.wait([begun.process], timeout=0)
        if not ready:
            return False
        with suppress(self._ray.exceptions.RayError):
            self._ray.get(begun.process)
            return True
        return False

    def stop(self) -> None:
        """Ask all to stop, or kill them the second time; those that wait in the queue leave it."""
        self._stops += 1
        for begun in self._running.values():
            if self._has_begun(begun):
                begun.actor.stop.remote(self._stops > 1)
            else:
                self._ray.kill(begun.actor)

    def close(self) -> None:
        """End what still runs, then the connection."""
        try:
            if self._running:
                self._stops = 0
                self.stop()
            until = time.monotonic() + GRACE
            while self._running and (left := until - time.monotonic()) > 0:
                self.ended(left)
        finally:
            for begun in self._running.values():
                self._ray.kill(begun.actor)
            self._running.clear()
            if self._owns:
                self._ray.shutdown()

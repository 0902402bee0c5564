"""The processes that train one run together: which of them this one is, and the further ones that it starts.

A run of several processes has one that leads: it makes the run's directory and writes everything. The others follow:
they train the same blueprint, and write and print nothing. Where torchrun or srun has started them all, the leader
tells the others through the store of their rendezvous; else it starts them itself, `hydrantic.rank`, and tells them
through their standard input, whose end also tells them that it is gone.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime
import itertools
import json
import os
import re
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from hydrantic.errors import RunFailed

VARIABLES: Final = (
    "RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
    "TORCHELASTIC_USE_AGENT_STORE",
)  # fmt: skip
"""The environment variables that tell a process which one it is, as torchrun sets them."""

_PROGRAM: Final = "import sys; sys.path.append({root!r}); from hydrantic.rank import main; sys.exit(main())"
_GRACE: Final = 5.0
_REASON: Final = 3.0
_TOLD_WITHIN: Final = datetime.timedelta(hours=2)
_calls = itertools.count()


@dataclass(frozen=True)
class Place:
    """Which of the processes that train together a process is."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1
    """How many of them run on this machine."""

    @property
    def leads(self) -> bool:
        """Whether it is the one that writes."""
        return self.rank == 0

    @property
    def nodes(self) -> int:
        """On how many machines they run."""
        return self.world // self.local_world


@dataclass(frozen=True)
class Order:
    """What the others need to know to follow."""

    directory: Path
    project: Path | None
    test: bool
    checkpoint: Path | None = None
    threads: int | None = None
    forgets_stop: bool = False
    """Whether training goes on though it had been told to stop."""
    evaluation: Mapping[str, Any] | None = None
    """What is to be evaluated, where nothing is to be trained; see `hydrantic.evaluating`."""

    def to_json(self) -> str:
        """The order as one line."""
        fields = {name: str(value) if isinstance(value, Path) else value for name, value in vars(self).items()}
        return json.dumps(fields)

    @classmethod
    def from_json(cls, line: str | bytes) -> Order:
        """What `to_json` returned."""
        fields = json.loads(line)
        for name in ("directory", "project", "checkpoint"):
            fields[name] = None if fields[name] is None else Path(fields[name])
        return cls(**fields)


# Which one this is.


def launched(environment: Mapping[str, str] = os.environ) -> Place | None:
    """Where torchrun, srun or the like have put this process; None where they have not started several."""
    if {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"} <= environment.keys():
        world = int(environment["WORLD_SIZE"])
        local = int(environment.get("LOCAL_WORLD_SIZE", world))
        return Place(int(environment["RANK"]), world, int(environment["LOCAL_RANK"]), local) if world > 1 else None
    if int(environment.get("SLURM_STEP_NUM_TASKS", 1)) > 1 and "SLURM_PROCID" in environment:
        return _launched_by_slurm(environment)
    return None


def _launched_by_slurm(environment: Mapping[str, str]) -> Place:
    world = int(environment["SLURM_STEP_NUM_TASKS"])
    nodes = int(environment.get("SLURM_STEP_NUM_NODES", 1))
    return Place(int(environment["SLURM_PROCID"]), world, int(environment["SLURM_LOCALID"]), world // nodes)


def slurm_variables(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables that torchrun would set, made of those of srun; none where it has not started several."""
    if "MASTER_PORT" in environment or int(environment.get("SLURM_STEP_NUM_TASKS", 1)) < 2:
        return {}
    place = _launched_by_slurm(environment)
    hosts = environment.get("SLURM_STEP_NODELIST", "127.0.0.1")
    job = int(environment.get("SLURM_JOB_ID", 0)) * 100 + int(environment.get("SLURM_STEP_ID", 0)) % 100
    return _variables(place, _first_host(hosts), 15000 + job % 20000) | {
        "NODE_RANK": environment.get("SLURM_NODEID", "0")
    }


def _first_host(hosts: str) -> str:
    """The first of hosts in Slurm's short form: `node[07-09,11],login` begins with `node07`."""
    found = re.match(r"([^,\[]+)(?:\[([^\],-]+)[^\]]*\])?", hosts)
    return hosts if found is None else found[1] + (found[2] or "")


def _variables(place: Place, address: str, port: int) -> dict[str, str]:
    return {
        "RANK": str(place.rank),
        "LOCAL_RANK": str(place.local_rank),
        "WORLD_SIZE": str(place.world),
        "LOCAL_WORLD_SIZE": str(place.local_world),
        "NODE_RANK": str(place.rank // place.local_world),
        "MASTER_ADDR": address,
        "MASTER_PORT": str(port),
    }


# The team.


class Team:
    """The processes of a run as one of them sees the others; by itself a team of one."""

    def __init__(self, place: Place | None = None) -> None:
        self.place = place or Place()

    def tell(self, order: Order) -> None:
        """Tell the others what to train, which they have been waiting for."""

    def hear(self) -> Order:
        """What the leader tells."""
        raise NotImplementedError

    def wait(self) -> None:
        """Wait until the others are ready to train.

        Raises:
            RunFailed: one of them has died, or cannot train.
        """

    def reason(self, error: Exception) -> Exception:
        """What is behind an error of the communication: the error of another process, where one has ended."""
        return error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Part; whoever still runs is ended by the leader."""


def gather(count: int) -> Team:
    """The team of a run with that many processes on this machine, not counting machines beside it."""
    place = launched()
    if place is not None:
        return Launched(place)
    return Team() if count == 1 else Started(count)


class Launched(Team):
    """A team that torchrun or srun has started."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        os.environ.update(slurm_variables())
        self._key = f"hydrantic/{next(_calls)}"
        self._has_told = False
        self._store = self._rendezvous()

    def _rendezvous(self) -> Any:
        import torch.distributed as dist

        store, _, _ = next(dist.rendezvous("env://", timeout=_TOLD_WITHIN))  # type: ignore[attr-defined]  # public by its docs
        return store

    def tell(self, order: Order) -> None:
        """Put the order into the store."""
        self._has_told = True
        self._store.set(self._key, order.to_json())

    def hear(self) -> Order:
        """Get the order from the store; waits for it.

        Raises:
            RunFailed: nothing came of the run.
        """
        try:
            self._store.wait([self._key], _TOLD_WITHIN)
            told = self._store.get(self._key)
        except RuntimeError as error:
            raise RunFailed("the leading process has ended") from error
        if not told:
            raise RunFailed("the leading process could not begin")
        return Order.from_json(told)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.place.leads and not self._has_told:
            with contextlib.suppress(RuntimeError):
                self._store.set(self._key, "")

    def reason(self, error: Exception) -> Exception:
        """The error that another process has left in the store."""
        if not is_of_communication(error):
            with contextlib.suppress(RuntimeError):  # the store may be gone
                words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
                self._store.set(f"{self._key}/failed", f"process {self.place.rank} of {self.place.world}: {words}")
            return error
        with contextlib.suppress(RuntimeError):
            self._store.wait([f"{self._key}/failed"], datetime.timedelta(seconds=_REASON))
            return RunFailed(self._store.get(f"{self._key}/failed").decode())
        return error


class Started(Team):
    """A team whose leader starts the other processes itself.

    Arguments:
        count: number of processes, this one included.
    """

    def __init__(self, count: int) -> None:
        super().__init__(Place(0, count, 0, count))
        self._followers: list[_Follower] = []

    def __enter__(self) -> Self:
        port = _free_port()
        os.environ.update(_variables(self.place, "127.0.0.1", port))
        os.environ.pop("TORCHELASTIC_USE_AGENT_STORE", None)  # the leader has a store of its own
        for rank in range(1, self.place.world):
            place = Place(rank, self.place.world, rank, self.place.world)
            self._followers.append(_Follower.start(rank, _variables(place, "127.0.0.1", port)))
        return self

    def tell(self, order: Order) -> None:
        """Write the order to every process."""
        for each in self._followers:
            each.write(order.to_json())

    def wait(self) -> None:
        """Read from every process that it is ready."""
        with selectors.DefaultSelector() as selector:
            for each in self._followers:
                selector.register(each.answers, selectors.EVENT_READ, each)
            while selector.get_map():
                for key, _ in selector.select():
                    follower: _Follower = key.data
                    if not follower.is_ready():
                        raise self._lost(follower)
                    selector.unregister(key.fileobj)

    def reason(self, error: Exception) -> Exception:
        """The error of the process that has ended first, if one has while this one could not reach it."""
        if not is_of_communication(error):
            return error
        until = time.monotonic() + _REASON
        while time.monotonic() < until:
            for each in self._followers:
                if each.process.poll() is not None:
                    return self._lost(each)
            time.sleep(0.02)
        return error

    def _lost(self, follower: _Follower) -> RunFailed:
        return RunFailed(f"process {follower.rank} of {self.place.world} {follower.ending()}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for each in self._followers:
            each.end(_GRACE if error is None else 0.0)
        self._followers.clear()


@dataclass
class _Follower:
    """A process that this one has started."""

    rank: int
    process: subprocess.Popen[bytes]
    errors: IO[bytes]
    _code: int | None = field(default=None)

    @classmethod
    def start(cls, rank: int, variables: Mapping[str, str]) -> _Follower:
        errors = tempfile.TemporaryFile()  # noqa: SIM115 -- closed in `end`
        # Not `-m`, which would put the working directory on the path.
        command = [sys.executable, "-P", "-c", _PROGRAM.format(root=str(Path(__file__).parent.parent))]
        process = subprocess.Popen(  # noqa: S603 -- this program
            command, env=os.environ | variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
        )
        return cls(rank, process, errors)

    @property
    def answers(self) -> IO[bytes]:
        assert self.process.stdout is not None  # a pipe
        return self.process.stdout

    def write(self, line: str) -> None:
        assert self.process.stdin is not None  # a pipe
        with contextlib.suppress(BrokenPipeError):  # it has died, which `wait` tells
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()

    def is_ready(self) -> bool:
        return self.answers.readline() == b"ready\n"

    def ending(self) -> str:
        """How it has ended, with its last words."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_GRACE)
        self.process.kill()
        code = self.process.wait()
        self.errors.seek(0)
        words = self.errors.read().decode("utf-8", "replace").strip().splitlines()
        how = f"was ended by signal {-code}" if code < 0 else "failed"
        return f"{how}: {words[-1]}" if words else how

    def end(self, grace: float) -> None:
        assert self.process.stdin is not None  # a pipe
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(grace)
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.answers.close()
        self.errors.close()


def is_of_communication(error: Exception) -> bool:
    """Whether an error says only that another process could not be reached."""
    import torch.distributed as dist

    if isinstance(error, getattr(dist, "DistError", ())):
        return True
    words = ("gloo", "NCCL", "Connection closed", "Connection reset", "Broken pipe", "Socket Timeout")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# Agreement.


def largest(number: int) -> int:
    """The largest of the numbers that the processes of a training give, which all have to call this; on the CPU."""
    import torch
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return number
    found = torch.tensor([number])
    dist.all_reduce(found, dist.ReduceOp.MAX, group=_on_the_cpu())
    return int(found)


_groups: dict[Any, Any] = {}


def _on_the_cpu() -> Any:
    """A group of all processes that can reduce what lies in the CPU's memory; None for the default one."""
    import torch.distributed as dist

    if dist.get_backend() == "gloo":
        return None
    default = dist.group.WORLD
    if default not in _groups:
        _groups.clear()
        _groups[default] = dist.new_group(backend="gloo")
    return _groups[default]


@contextlib.contextmanager
def parted_afterwards() -> Iterator[None]:
    """Leave the group of processes that was joined meanwhile, and forget which process this was."""
    import torch.distributed as dist

    before = {name: os.environ.get(name) for name in VARIABLES}
    # Processes that were launched together stay together: they may train once more.
    excepthook = sys.excepthook
    are_launched = launched() is not None
    stays = are_launched or not dist.is_available() or dist.is_initialized()
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        if not stays and dist.is_initialized():
            dist.destroy_process_group()
            sys.excepthook = excepthook  # torch has put one of its own in its place
        elif are_launched:
            # Left to the end of the interpreter, its threads could outlive what they use.
            atexit.unregister(_leave_group)
            atexit.register(_leave_group)


def _leave_group() -> None:
    import torch.distributed as dist

    _groups.clear()
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()

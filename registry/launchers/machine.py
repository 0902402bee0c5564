"""What this machine lets a process use: its cores and its GPUs, counted without waking any of them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

from hydrantic import Hparam

Count: TypeAlias = Annotated[int, Hparam(ge=1)] | Literal["auto"]
"""A number of processes or threads, or `auto`."""

_GPUS: Final = "CUDA_VISIBLE_DEVICES"
_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")


def cores(quota: Path = _QUOTA) -> int:
    """How many cores this process may use: not those of others on a shared machine, nor beyond a container's share.

    Arguments:
        quota: the file in which Linux says what share of time a container has.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        share, period = quota.read_text().split()
        allowed = min(allowed, round(int(share) / int(period)))
    except (OSError, ValueError):  # there is none, or `max`
        pass
    return max(1, allowed)


def gpus(devices: Path = Path("/dev")) -> tuple[str, ...]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    said = os.environ.get(_GPUS)
    if said is not None:
        return tuple(each.strip() for each in said.split(",") if each.strip() not in {"", "-1"})
    return tuple(str(number) for number, _ in enumerate(devices.glob("nvidia[0-9]*")))


@dataclass
class Slots:
    """Who uses which share of the machine."""

    devices: tuple[str, ...]
    number: int
    _taken: dict[Path, int] = field(default_factory=dict)

    def take(self, job: Path) -> dict[str, str]:
        """Give a job a share; the variables that tell it so."""
        self._taken[job] = min(set(range(self.number)) - set(self._taken.values()))
        return _visible(self.devices, self._taken[job], self.number)

    def give_back(self, job: Path) -> None:
        """The job has ended."""
        self._taken.pop(job, None)


def _visible(all_gpus: tuple[str, ...], slot: int, slots: int) -> dict[str, str]:
    """The variables that let a job see its own GPUs alone; with more jobs than GPUs, several share one."""
    if not all_gpus:
        return {}
    each = max(1, len(all_gpus) // slots)
    first = slot * each % len(all_gpus)
    return {_GPUS: ",".join(all_gpus[first : first + each])}


def at_most(jobs: int | None, processes: int) -> int:
    """How many processes are of use for so many jobs."""
    return processes if jobs is None else max(1, min(jobs, processes))


def thread_variables(threads: Count, processes: int = 1) -> dict[str, str]:
    """The variables that set how many threads numerical libraries compute with.

    Arguments:
        threads: the number; `auto` shares the cores out among the processes, unless a person has set it already.
        processes: how many run at a time.
    """
    if threads == "auto" and "OMP_NUM_THREADS" in os.environ:
        return {}
    number = max(1, cores() // processes) if threads == "auto" else threads
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(number))

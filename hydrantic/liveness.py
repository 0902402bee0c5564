"""Whether the process of a run that says it is running is still there."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

_SLACK: Final = 5.0
"""Seconds by which a clock may have been set since: a process that began so much after its record is another one."""


def has_gone(fields: Mapping[str, Any], written: float | None = None) -> bool:
    """Whether the process of a run, which was on this machine, is no more; of other machines nothing is known.

    Arguments:
        fields: those of `run.json`.
        written: when that file was last written, in seconds since 1970: a process that has begun since has only the
            number of the run's.
    """
    pid = fields.get("pid")
    if fields.get("host") != socket.gethostname() or not isinstance(pid, int) or pid <= 0 or os.name != "posix":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OverflowError:
        return False
    except PermissionError:  # another user's
        pass
    told = _told_of(pid)
    if told[:1] == ["Z"]:  # it has ended, and nobody has asked how
        return True
    began = None if written is None else _began(told)
    return began is not None and written is not None and began > written + _SLACK


def _told_of(pid: int) -> list[str]:
    """What the system tells of a process from its state on; nothing where it tells nothing."""
    with suppress(OSError):
        # What stands in brackets is the program's name, which may hold anything.
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    return []


def _began(told: list[str]) -> float | None:
    """When a process began, in seconds since 1970; None where the system does not tell."""
    boot = _booted()
    if boot is None:
        return None
    with suppress(ValueError, IndexError):
        return boot + int(told[19]) / os.sysconf("SC_CLK_TCK")  # `starttime` of proc(5)
    return None


@cache
def _booted() -> float | None:
    """When this machine was started, in seconds since 1970; None where the system does not tell."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/stat").read_text("utf-8").splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith("btime ")))
    return None

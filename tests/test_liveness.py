"""Whether the process of a run is still there."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hydrantic.liveness import has_gone


def fields(pid: object, host: str | None = None) -> dict[str, object]:
    return {"pid": pid, "host": host or socket.gethostname()}


@pytest.fixture(scope="module")
def gone() -> int:
    """The id of a process that is no more."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_a_process_that_is_there_has_not_gone() -> None:
    assert not has_gone(fields(os.getpid()))
    assert not has_gone(fields(os.getpid()), time.time())


def test_a_process_that_is_no_more_has_gone(gone: int) -> None:
    assert has_gone(fields(gone))


def test_nothing_is_known_of_another_machine(gone: int) -> None:
    assert not has_gone(fields(gone, "elsewhere"))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not tell when a process began")
def test_a_process_that_began_after_the_record_was_written_is_another_one() -> None:
    assert has_gone(fields(os.getpid()), written=0.0)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not tell how a process stands")
def test_a_process_that_has_ended_unnoticed_has_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert has_gone(fields(process.pid))


@pytest.mark.parametrize("pid", [None, "12", 0, -1, 2**70])
def test_a_record_without_a_sound_number_tells_nothing(pid: object) -> None:
    assert not has_gone(fields(pid))

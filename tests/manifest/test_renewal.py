"""Renewing the manifest in the background."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import pytest

from hydrantic.manifest import cache_folder, current, fresh, renewal
from hydrantic.manifest.renewal import AGAIN, renew
from hydrantic.project import Project
from tests.projects import project, write

pytestmark = pytest.mark.usefixtures("scratch")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that is empty."""
    monkeypatch.setenv("HYDRANTIC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Project]:
    """The projects that a process would have been started for."""
    found: list[Project] = []
    monkeypatch.setattr(renewal, "_detach", lambda project, lock: found.append(project))
    return found


@pytest.mark.slow
def test_a_process_of_its_own_renews_it(cache: Path) -> None:
    nowhere = Project(None)
    assert renew(nowhere)
    assert not renew(nowhere)
    end = time.monotonic() + 120
    while fresh(nowhere) is None:
        assert time.monotonic() < end
        time.sleep(0.1)


def test_one_process_at_a_time_renews_it(cache: Path, started: list[Project]) -> None:
    lock = write(cache / "renewal.lock", "")
    with lock.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert not renew(Project(None))
    assert renew(Project(None))
    assert len(started) == 1


def test_what_came_to_nothing_is_not_tried_again_at_once(cache: Path, started: list[Project], tmp_path: Path) -> None:
    assert renew(Project(None))
    assert not renew(Project(None))
    long_ago = time.time() - AGAIN - 1
    os.utime(cache / "renewal.lock", (long_ago, long_ago))
    assert renew(Project(None))


def test_a_project_whose_code_no_command_has_run_is_not_run_by_a_key(
    cache: Path, started: list[Project], tmp_path: Path
) -> None:
    of = project(tmp_path, own="raise SystemError")
    assert renew(of)
    assert started == [Project(None)]


def test_a_project_that_was_described_is_described_anew_once_it_changes(started: list[Project], tmp_path: Path) -> None:
    of = project(tmp_path, own="")
    current(of)
    write(tmp_path / "registry" / "own.py", "x = 1")
    (cache_folder() / "renewal.lock").unlink(missing_ok=True)
    assert renew(of)
    assert started == [of]


def test_a_cache_that_cannot_be_written_is_not_renewed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HYDRANTIC_CACHE", str(write(tmp_path / "file", "") / "below"))
    assert not renew(Project(None))

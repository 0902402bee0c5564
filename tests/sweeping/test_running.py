"""The jobs of a sweep under way: the directory of each, and what is said of one that left no record."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, NoReturn

import pytest

from hydrantic.errors import UsageError
from hydrantic.project import Project
from hydrantic.sweeping import running
from hydrantic.sweeping.engine import Ended, Engine
from hydrantic.sweeping.ledger import Ledger, read_ledger
from hydrantic.sweeping.plans import PlannedJob
from hydrantic.sweeping.running import JobFolders, Running
from hydrantic.sweeping.view import View
from tests.projects import write
from tests.sweeping.sweeps import LOSS, job, written


def planned(number: int = 4) -> PlannedJob:
    """A job that may begin."""
    return PlannedJob(number, ("seed=1",), {"seed": 1}, "digits", None, "name: digits\n")


def folders(sweep: Path, **further: Any) -> JobFolders:
    """What makes the directories of a sweep."""
    return JobFolders(sweep, Project(None), test=True, **further)


def full(*_: Any, **__: Any) -> NoReturn:
    """What a full disk says."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("names", [[], ["blueprint.yaml"], ["blueprint.yaml", "job.json"]])
def test_a_directory_that_no_job_was_noted_for_is_used(tmp_path: Path, names: list[str]) -> None:
    (tmp_path / "4").mkdir()
    for name in names:
        write(tmp_path / "4" / name, "torn")
    made = folders(tmp_path, taken={tmp_path / "3"}).make(planned())
    assert made.directory == tmp_path / "4"
    assert (tmp_path / "4" / "blueprint.yaml").read_text() == "name: digits\n"


def test_a_file_that_is_in_the_way_is_kept(tmp_path: Path) -> None:
    theirs = write(tmp_path / "4" / "run.json", "{}")
    ours = write(tmp_path / "4" / "job.json", "{}")
    with pytest.raises(UsageError, match="4 is in the way of a job; move it elsewhere"):
        folders(tmp_path).make(planned())
    assert (theirs.read_text(), ours.read_text()) == ("{}", "{}")


def test_a_link_that_is_in_the_way_is_kept(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside" / "job.json", "{}")
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "4").symlink_to(outside.parent)
    with pytest.raises(UsageError, match="in the way"):
        folders(tmp_path / "sweep").make(planned())
    assert outside.read_text() == "{}"


def test_a_template_is_to_blame_only_where_there_is_one(tmp_path: Path) -> None:
    for subdir, advice in (("same", r"; write `hydra\.sweep\.subdir`"), (None, "$")):
        made = folders(tmp_path, subdir=subdir)
        made.make(planned())
        with pytest.raises(UsageError, match=f"two jobs would share the folder (same|4){advice}"):
            made.make(planned())


def test_nothing_is_left_of_a_directory_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "ledger.jsonl", "")
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        folders(tmp_path).make(planned())
    assert [each.name for each in tmp_path.iterdir()] == ["ledger.jsonl"]


class Ending(Engine):
    """An engine whose jobs end at once without a record."""

    capacity = 1

    def start(self, jobs: Any) -> list[str]:
        self.jobs = jobs
        return ["1"]

    def ended(self, seconds: float) -> list[Ended]:
        return [Ended(each, 1) for each in self.jobs]

    def stop(self) -> None:
        """Nothing runs."""


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_where_a_job_left_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refusing(*_: Any, **__: Any) -> NoReturn:
        raise OSError(number, os.strerror(number))

    written(tmp_path, job(0, state="planned"), job(1, state="planned"))
    (tmp_path / "0").mkdir()
    sweep = Running(tmp_path, Ending(), Ledger(tmp_path), View(), (LOSS["metric"], LOSS["mode"]))
    first, second = read_ledger(tmp_path).jobs
    sweep.queue.append(second)
    sweep.run()
    monkeypatch.setattr(running, "TemporaryFile", refusing)
    sweep.queue.append(first)
    sweep.run()
    said = [each.error for each in read_ledger(tmp_path).jobs]
    assert said[1] == "its process ended with 1 and left no record"
    assert said[0] == f"{said[1]}; the disk is full"

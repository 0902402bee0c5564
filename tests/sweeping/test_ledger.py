"""The ledger: whatever happens while it is written, what stood in it before can be read."""

from __future__ import annotations

import errno
import json
import math
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrantic.errors import UsageError
from hydrantic.sweeping.ledger import FILE, JobRecord, Ledger, SweepRecord, is_written, read_ledger, seconds_since

CHECKOUT = Path(__file__).parent.parent.parent


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger that has begun."""
    with Ledger(tmp_path) as opened:
        opened.begin(name="größe", objective={"metric": "validation/loss", "mode": "min"}, jobs=2)
        yield opened


def small(folder: Path) -> bytes:
    """A ledger with a job in each state, as it lies on the disk."""
    with Ledger(folder) as opened:
        opened.begin(name="ü", objective={"metric": "loss", "mode": "max"})
        opened.note_all({"job": at, "state": "planned", "overrides": [f"model.name=grün{at}"]} for at in range(3))
        opened.note(0, "running", attempt=1, ticket="17")
        opened.note(0, "finished", value=0.5, metrics={"loss": math.nan}, seconds=1.0)
        opened.note(1, "failed", error="ValueError: schön\nnicht")
    return (folder / FILE).read_bytes()


def test_what_is_noted_is_read(ledger: Ledger, tmp_path: Path) -> None:
    ledger.note_all([{"job": 0, "state": "planned", "overrides": ["a.b=1"], "params": {"a.b": 1}, "directory": "x"}])
    ledger.note(0, "running", attempt=1, ticket="17")
    ledger.note(0, "finished", value=0.25, metrics={"validation/loss": 0.3}, best_metrics={}, seconds=2.5)
    sweep = read_ledger(tmp_path)
    (job,) = sweep.jobs
    assert (sweep.name, sweep.objective, sweep.about["jobs"]) == ("größe", ("validation/loss", "min"), 2)
    assert (job.number, job.state, job.attempt, job.ticket, job.value) == (0, "finished", 1, "17", 0.25)
    assert (job.overrides, job.params, job.directory) == (("a.b=1",), {"a.b": 1}, tmp_path / "x")
    assert (job.metrics, job.seconds) == ({"validation/loss": 0.3}, 2.5)
    assert job.since == sweep.at


def test_a_kill_at_any_byte_loses_the_last_line_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # hundreds of times
    whole = small(tmp_path)
    first = whole.index(b"\n")
    for length in range(first, len(whole) + 1):
        (tmp_path / FILE).write_bytes(whole[:length])
        lines = whole[:length].count(b"\n") + (length < len(whole) and whole[length : length + 1] == b"\n")
        jobs = {line["job"]: line["state"] for line in map(json.loads, whole.splitlines()[1:lines])}
        assert {job.number: job.state for job in read_ledger(tmp_path).jobs} == jobs
        with Ledger(tmp_path) as opened:
            opened.note(2, "running")
        assert {job.number: job.state for job in read_ledger(tmp_path).jobs} == jobs | {2: "running"}
        assert all(json.loads(line) for line in (tmp_path / FILE).read_bytes().splitlines())


@pytest.mark.parametrize("length", [0, 1, 20])
def test_a_ledger_that_tells_nothing_is_no_sweep(length: int, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(small(tmp_path)[:length])
    with pytest.raises(UsageError, match="nothing in it says what the sweep is"):
        read_ledger(tmp_path)


def test_zeros_that_a_power_cut_left_are_passed_over(tmp_path: Path) -> None:
    whole = small(tmp_path)
    (tmp_path / FILE).write_bytes(whole + b"\0" * 5000)
    assert len(read_ledger(tmp_path).jobs) == 3
    with Ledger(tmp_path) as opened:
        opened.note(2, "finished")
    assert (tmp_path / FILE).read_bytes().startswith(whole)
    assert b"\0" not in (tmp_path / FILE).read_bytes()
    assert read_ledger(tmp_path).jobs[2].state == "finished"


def test_a_torn_line_that_is_long_is_cut_off(tmp_path: Path) -> None:
    whole = small(tmp_path)
    (tmp_path / FILE).write_bytes(whole + b'{"event": "job", "error": "' + b"x" * 200_000)
    Ledger(tmp_path).close()
    assert (tmp_path / FILE).read_bytes() == whole


@given(st.binary(max_size=200))
def test_no_bytes_at_the_end_make_it_unreadable(tmp_path_factory: pytest.TempPathFactory, rubbish: bytes) -> None:
    folder = tmp_path_factory.mktemp("sweep")
    small(folder)
    with (folder / FILE).open("ab") as file:
        file.write(rubbish)
    states = {job.number: job.state for job in read_ledger(folder).jobs}
    assert {0: "finished", 1: "failed", 2: "planned"}.items() <= states.items()


@pytest.mark.parametrize(
    "line",
    [
        '{"job": 0}', '{"job": "0", "state": "failed"}', '{"job": null}', "[1]", '"text"', "null", "[" * 5000,
        '{"event": "job", "job": 0, "metrics": 3, "best_metrics": {"a": "b"}, "value": "much", "overrides": "a=1"}',
        '{"event": "job", "job": 0, "params": [], "attempt": "x", "seconds": [], "error": null, "trial": {}}',
        '{"event": "later", "what": 1}', '{"event": "job", "job": 0, "of_the_future": {"a": [1]}}',
    ],
)  # fmt: skip
def test_what_cannot_be_understood_changes_nothing(line: str, tmp_path: Path) -> None:
    small(tmp_path)
    before = read_ledger(tmp_path)
    with (tmp_path / FILE).open("a") as file:
        file.write(line + "\n")
    after = read_ledger(tmp_path).jobs[0]
    assert (after.state, after.overrides, after.params) == ("finished", before.jobs[0].overrides, {})
    assert isinstance(after, JobRecord)


def test_a_state_of_the_future_is_told_as_it_is(ledger: Ledger, tmp_path: Path) -> None:
    ledger.note(0, "queued")  # type: ignore[arg-type]  # what a later hydrantic may write
    assert read_ledger(tmp_path).jobs[0].state == "queued"


def test_a_format_of_the_future_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    ledger.begin(format=2)
    with pytest.raises(UsageError, match="newer hydrantic, whose format 2"):
        read_ledger(tmp_path)


@pytest.mark.parametrize("folder", ["../other", "/tmp", "a/../../b"])
def test_a_job_lies_in_the_folder_of_its_sweep(folder: str, ledger: Ledger, tmp_path: Path) -> None:
    ledger.note_all([{"job": 3, "state": "planned", "directory": folder}])
    assert read_ledger(tmp_path).jobs[0].directory == tmp_path / "3"


def test_numbers_that_json_lacks_come_back(ledger: Ledger, tmp_path: Path) -> None:
    metrics = {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 1e-300}
    ledger.note(0, "finished", value=math.nan, metrics=metrics, best_metrics=metrics)
    (job,) = read_ledger(tmp_path).jobs
    assert job.value is not None
    assert math.isnan(job.value)
    assert str(job.metrics) == str(metrics)
    for line in (tmp_path / FILE).read_text("utf-8").splitlines():
        json.loads(line, parse_constant=pytest.fail)


@pytest.mark.parametrize("text", ["größe", "数", "a\nb\r\u2028c", "\ud800", '"\\', "\x1b[31m"])
def test_any_text_comes_back_on_one_line(text: str, ledger: Ledger, tmp_path: Path) -> None:
    before = (tmp_path / FILE).read_bytes().count(b"\n")
    ledger.note(0, "failed", error=text, overrides=[text])
    (job,) = read_ledger(tmp_path).jobs
    assert (job.error, job.overrides) == (text, (text,))
    assert (tmp_path / FILE).read_bytes().count(b"\n") == before + 1


def test_another_attempt_forgets_what_the_one_before_came_to(ledger: Ledger, tmp_path: Path) -> None:
    ledger.note_all([{"job": 0, "state": "planned", "overrides": ["a=1"], "sha256": "s"}])
    ledger.note(0, "failed", error="it broke", value=3.0, metrics={"a": 1.0}, seconds=1.0, attempt=1)
    ledger.note(0, "running", attempt=2)
    (job,) = read_ledger(tmp_path).jobs
    assert (job.error, job.value, job.metrics, job.seconds) == ("", None, {}, None)
    assert (job.overrides, job.sha256, job.attempt) == (("a=1",), "s", 2)


def ranked(*values: float | None, mode: str = "min") -> list[int]:
    jobs = tuple(JobRecord(at, Path(str(at)), state="finished", value=value) for at, value in enumerate(values))
    sweep = SweepRecord(Path(), {"objective": {"metric": "a", "mode": mode}}, jobs)
    return [job.number for job in sweep.ranked()]


def test_the_best_comes_first_and_nan_last() -> None:
    assert ranked(3.0, math.nan, 1.0, None, 2.0) == [2, 4, 0, 1]
    assert ranked(3.0, math.nan, 1.0, None, 2.0, mode="max") == [0, 4, 2, 1]


def test_nan_is_never_the_best() -> None:
    job = JobRecord(0, Path(), state="finished", value=math.nan)
    assert SweepRecord(Path(), {}, (job,)).best is None
    assert SweepRecord(Path(), {}, ()).best is None


def test_the_pause_before_a_sweep_was_resumed_does_not_count(tmp_path: Path) -> None:
    events = [(0, "sweep"), (10, "job"), (600, "sweep"), (605, "job")]
    lines = [{"at": f"2026-01-01T00:{s // 60:02}:{s % 60:02}Z", "event": e, "job": 0, "name": "a"} for s, e in events]
    (tmp_path / FILE).write_text("".join(json.dumps(line) + "\n" for line in lines))
    sweep = read_ledger(tmp_path)
    assert (sweep.seconds, sweep.began) == (15.0, "2026-01-01T00:00:00Z")


def test_a_time_that_is_none_was_just_now() -> None:
    assert seconds_since("") == seconds_since("yesterday") == seconds_since("2026-01-01T00:00:00") == 0.0


# -- who writes --------------------------------------------------------------------------------------------------------


def test_a_second_writer_is_told_that_the_sweep_runs(ledger: Ledger, tmp_path: Path) -> None:
    assert is_written(tmp_path)
    with pytest.raises(UsageError, match="is still running; stop it first"):
        Ledger(tmp_path)
    ledger.close()
    assert not is_written(tmp_path)
    with Ledger(tmp_path) as second:
        second.note(0, "planned")
    assert len(read_ledger(tmp_path).jobs) == 1


def test_who_asks_whether_anybody_writes_does_not_keep_a_writer_out(tmp_path: Path) -> None:
    small(tmp_path)
    assert not is_written(tmp_path)
    Ledger(tmp_path).close()
    assert not is_written(tmp_path / "missing")


def test_a_folder_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written: No such file"):
        Ledger(tmp_path / "missing")
    with pytest.raises(UsageError, match=f"not the directory of a sweep: it has no {FILE}"):
        read_ledger(tmp_path)


WRITER = """
import sys, itertools
from pathlib import Path
from hydrantic.sweeping.ledger import Ledger

ledger = Ledger(Path(sys.argv[1]))
ledger.begin(name="a")
print("begun", flush=True)
for number in itertools.count():
    ledger.note(number % 50, "running", attempt=number, error="ö" * 300)
"""


def test_it_can_be_read_while_it_is_written_and_after_a_kill(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "begun\n"
        attempts = []
        while not attempts or attempts[-1] < 50:
            jobs = read_ledger(tmp_path).jobs
            attempts.append(sum(job.attempt for job in jobs))
            assert {job.error for job in jobs} <= {"ö" * 300}
        assert attempts == sorted(attempts)
        assert is_written(tmp_path)
        writer.send_signal(signal.SIGKILL)
    with Ledger(tmp_path) as opened:
        opened.note(1, "finished")
    assert read_ledger(tmp_path).jobs[1].state == "finished"


# -- disks -------------------------------------------------------------------------------------------------------------


def test_a_full_disk_leaves_whole_lines(ledger: Ledger, tmp_path: Path) -> None:
    ledger.note(0, "running")
    before = (tmp_path / FILE).read_bytes()
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 50, limits[1]))
    try:
        with pytest.raises(OSError, match=FILE):
            ledger.note(0, "finished", error="x" * 500)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert (tmp_path / FILE).read_bytes() == before
    ledger.note(0, "finished")
    assert read_ledger(tmp_path).jobs[0].state == "finished"


def _mounted(folder: Path) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    return os.name == "posix" and os.geteuid() == 0 and subprocess.run(command, check=False).returncode == 0


def _filled(ledger: Ledger) -> int:
    """Note jobs until the disk is full; how many were noted."""
    for number in range(1000):
        try:
            ledger.note(number, "failed", error="x" * 1000)
        except OSError as error:
            assert error.errno == errno.ENOSPC
            return number
    raise AssertionError("the disk is never full")


def test_a_disk_that_is_really_full_leaves_whole_lines(tmp_path: Path) -> None:
    if not _mounted(tmp_path):
        pytest.skip("a file system can be mounted by root alone")
    try:
        with Ledger(tmp_path) as opened:
            opened.begin(name="a")
            noted = _filled(opened)
        assert len(read_ledger(tmp_path).jobs) == noted
        assert (tmp_path / FILE).read_bytes().endswith(b"\n")
        with (tmp_path / FILE).open("ab") as file:
            file.write(b'{"torn')
        with Ledger(tmp_path):
            assert (tmp_path / FILE).read_bytes().endswith(b"\n")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


# -- many jobs ---------------------------------------------------------------------------------------------------------


def test_thousands_of_jobs_are_noted_with_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    with Ledger(tmp_path) as opened:
        opened.begin(name="a")
        monkeypatch.setattr(os, "fsync", synced.append)
        opened.note_all({"job": at, "state": "planned", "overrides": [f"seed={at}"]} for at in range(5000))
    assert len(synced) == 1
    assert [job.number for job in read_ledger(tmp_path).jobs] == list(range(5000))


@pytest.mark.slow
def test_ten_thousand_jobs_are_read_within_a_second(tmp_path: Path) -> None:
    metrics = {f"{stage}/{name}": 0.123456 for stage in ("training", "validation", "test") for name in "abc"}
    with Ledger(tmp_path) as opened:
        opened.begin(name="a")
        opened.note_all(
            {"job": at, "state": "planned", "overrides": [f"seed={at}", "model=mlp"], "params": {"seed": at}}
            for at in range(10_000)
        )
        opened.note_all({"job": at, "state": "running", "attempt": 1, "ticket": "1"} for at in range(10_000))
        opened.note_all({"job": at, "state": "finished", "value": 1.0, "metrics": metrics} for at in range(10_000))
    began = time.process_time()
    assert len(read_ledger(tmp_path).jobs) == 10_000
    assert time.process_time() - began < 1

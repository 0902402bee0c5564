"""Tests of the run's directory, its record and its log."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import pytest

from hydrantic import rundir
from hydrantic.errors import UsageError
from hydrantic.rundir import RunDirectory, RunRecord, git_state, recording, runs_root, terminal, write_atomically
from tests.tiny import names

WRITE_FOR_EVER = """
import sys
from pathlib import Path
from hydrantic.rundir import RunRecord
record = RunRecord(Path(sys.argv[1]))
record.start(name="killed", seed=1)
print("started", flush=True)
for turn in range(10**9):
    record.update(turn=turn, filler="x" * (turn % 50_000))
"""

SPEAK = """
import logging, sys, warnings
from pathlib import Path
from hydrantic.rundir import recording
logging.basicConfig(format="%(message)s")
with recording(Path(sys.argv[1])):
    print("printed")
    print("to stderr", file=sys.stderr)
    logging.warning("logged")
    warnings.warn("warned")
print("afterwards")
logging.warning("logged afterwards")
"""


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    write_atomically(file, "first")
    write_atomically(file, b"second")
    assert file.read_text("utf-8") == "second"
    assert names(tmp_path) == ["file.txt"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    file = tmp_path / "file.txt"
    write_atomically(file, "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(file, "new")
    assert file.read_text("utf-8") == "old"
    assert names(tmp_path) == ["file.txt"]


def test_a_record_is_whole_whenever_its_writer_is_killed(tmp_path: Path) -> None:
    for turn in range(5):
        file = tmp_path / f"{turn}.json"
        with subprocess.Popen([sys.executable, "-c", WRITE_FOR_EVER, str(file)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(0.03 + 0.013 * turn)
            writer.send_signal(signal.SIGKILL)
        assert json.loads(file.read_text("utf-8"))["status"] == "running"


def test_a_run_gets_a_directory_named_after_the_blueprint_and_the_time(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path / "runs", "Große Zahlen")
    assert directory.path.parent == tmp_path / "runs" / "Große Zahlen"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d-[0-9a-f]{4}", directory.id)
    assert directory.path.is_dir()


def test_runs_of_the_same_second_get_directories_of_their_own(tmp_path: Path) -> None:
    assert len({RunDirectory.create(tmp_path, "same").path for _ in range(50)}) == 50


def test_a_taken_directory_is_not_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digits = iter(["aaaa", "aaaa", "aaaa", "bbbb"])
    monkeypatch.setattr("hydrantic.rundir.secrets.token_hex", lambda _: next(digits))
    first, second = RunDirectory.create(tmp_path, "same"), RunDirectory.create(tmp_path, "same")
    assert first.path != second.path


@pytest.mark.parametrize("name", ["", "  ", "..", "."])
def test_a_name_that_is_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be named"):
        RunDirectory.create(tmp_path, name)


@pytest.mark.parametrize("name", ["../../etc", "a/b\\c", "new\nline", "nul\0", "ä" * 300])
def test_a_name_never_leaves_its_folder(tmp_path: Path, name: str) -> None:
    directory = RunDirectory.create(tmp_path, name)
    assert directory.path.parent.parent == tmp_path


def test_a_root_that_cannot_be_written_names_the_way_out_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UsageError, match=r"file/runs.*--runs DIR.*HYDRANTIC_RUNS"):
        RunDirectory.create(tmp_path / "file" / "runs", "name")
    assert names(tmp_path) == ["file"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_root_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="Permission denied"):
        RunDirectory.create(tmp_path, "name")


def test_the_root_is_the_explicit_one_then_the_environment_then_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYDRANTIC_RUNS", "/elsewhere")
    assert runs_root(Path("mine"), tmp_path) == Path("mine")
    assert runs_root(None, tmp_path) == Path("/elsewhere")
    monkeypatch.delenv("HYDRANTIC_RUNS")
    assert runs_root(None, tmp_path) == tmp_path / "runs"


def test_a_record_tells_how_the_run_went(tmp_path: Path) -> None:
    record = RunRecord(tmp_path / "run.json")
    record.start(name="digits", seed=42, sources={"model/mlp": Path(__file__)}, device="cpu")
    record.update(best_checkpoint="checkpoints/best.ckpt")
    record.finish("finished", metrics={"test/accuracy": 0.97})
    fields = RunRecord.read(tmp_path / "run.json").fields
    assert fields["status"] == "finished"
    assert (fields["name"], fields["seed"], fields["device"]) == ("digits", 42, "cpu")
    assert fields["metrics"] == {"test/accuracy": 0.97}
    assert fields["best_checkpoint"] == "checkpoints/best.ckpt"
    assert re.fullmatch(r"[0-9a-f]{64}", fields["components"]["model/mlp"])
    assert fields["started"].endswith("Z")
    assert fields["seconds"] >= 0
    assert fields["pid"] == os.getpid()
    assert fields["versions"].keys() == {"python", "torch", "lightning", "hydrantic", "numpy"}


def test_a_failed_run_records_its_error(tmp_path: Path) -> None:
    record = RunRecord(tmp_path / "run.json")
    record.start(name="x", seed=None)
    record.finish("failed", error=ZeroDivisionError("by zero"))
    assert RunRecord.read(record.path).fields["error"] == {"type": "ZeroDivisionError", "message": "by zero"}


def test_numbers_that_json_lacks_are_written_as_strings(tmp_path: Path) -> None:
    record = RunRecord(tmp_path / "run.json")
    record.start(name="x", seed=None, metrics={"a": math.nan, "b": [math.inf, -math.inf]})

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    fields = json.loads(record.path.read_text("utf-8"), parse_constant=refuse)
    assert fields["metrics"] == {"a": "NaN", "b": ["Infinity", "-Infinity"]}


def test_a_folder_without_git_has_no_commit(tmp_path: Path) -> None:
    assert git_state(tmp_path) == {}


def test_a_commit_and_local_changes_are_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):
        monkeypatch.delenv(name, raising=False)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "core.hooksPath="]
    (tmp_path / "file").write_text("1")
    for command in (["init", "-q"], ["add", "file"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    clean = git_state(tmp_path)
    (tmp_path / "file").write_text("2")
    assert re.fullmatch(r"[0-9a-f]{40}", clean["commit"])
    assert (clean["dirty"], git_state(tmp_path)["dirty"]) == (False, True)


def test_starting_a_record_does_not_wait_for_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "bin"
    slow.mkdir()
    (slow / "git").write_text("#!/bin/sh\nsleep 1\n")
    (slow / "git").chmod(0o700)
    monkeypatch.setenv("PATH", str(slow), prepend=os.pathsep)
    record = RunRecord(tmp_path / "run.json")
    started = time.monotonic()
    record.start(name="x", seed=None)
    assert time.monotonic() - started < 0.5


def test_the_log_holds_what_was_printed_logged_and_warned(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    done = subprocess.run([sys.executable, "-c", SPEAK, str(log)], capture_output=True, text=True, check=True)
    text = log.read_text("utf-8")
    assert all(word in text for word in ("printed\n", "to stderr\n", "logged\n", "UserWarning: warned"))
    assert "afterwards" not in text
    assert done.stdout == "printed\nafterwards\n"
    assert all(word in done.stderr for word in ("to stderr\n", "logged\n", "warned", "logged afterwards\n"))


def test_the_log_is_written_line_by_line(tmp_path: Path) -> None:
    with recording(tmp_path / "log.txt"):
        print("a line")
        assert (tmp_path / "log.txt").read_text("utf-8") == "a line\n"


def test_what_is_drawn_on_the_terminal_is_not_in_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with recording(tmp_path / "log.txt"):
        terminal().write("\r 10%")
    assert (tmp_path / "log.txt").read_text("utf-8") == ""
    assert "10%" in capsys.readouterr().err


def test_the_redraws_of_another_progress_bar_are_not_in_the_log(tmp_path: Path) -> None:
    with recording(tmp_path / "log.txt"):
        for percent in (10, 20):
            sys.stderr.write(f"\r {percent}%")
        print("done")
    assert (tmp_path / "log.txt").read_text("utf-8") == "done\n"


def test_the_streams_are_restored_when_the_run_fails(tmp_path: Path) -> None:
    before = sys.stdout, sys.stderr
    with pytest.raises(KeyError), recording(tmp_path / "log.txt"):
        raise KeyError
    assert (sys.stdout, sys.stderr) == before
    assert terminal() is sys.stderr


def test_a_run_directory_is_made_without_torch() -> None:
    code = "import sys, hydrantic.rundir; sys.exit(bool({'torch', 'lightning', 'wandb'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_lock_that_its_holder_has_removed_meanwhile_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(file: IO[str]) -> bool:
        (tmp_path / ".lock").unlink()
        (tmp_path / ".lock").touch()  # by a third one, who holds it now
        return True

    monkeypatch.setattr(rundir, "_locked", locked)
    with pytest.raises(UsageError, match="another process is carrying out"), RunDirectory(tmp_path).held():
        pass
    assert (tmp_path / ".lock").exists()

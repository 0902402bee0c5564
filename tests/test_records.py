"""Reading the directories of many runs, whatever state they are in."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hydrantic.errors import UsageError
from hydrantic.records import record_of, records_below
from tests.runs_on_disk import blueprint, run
from tests.sweeping.sweeps import job, written


def states(folder: Path) -> dict[str, str]:
    return {record.label: record.state for record in records_below(folder)}


# -- which runs there are ----------------------------------------------------------------------------------------------


def test_runs_are_found_in_folders_of_blueprints_and_of_sweeps(tmp_path: Path) -> None:
    run(tmp_path / "mlp" / "one")
    sweep = written(tmp_path / "mlp" / "sweep-1", job(0), job(1))
    run(sweep / "0")
    run(sweep / "1")
    found = {record.label: record.sweep for record in records_below(tmp_path)}
    assert found == {"mlp/one": None, "mlp/sweep-1/0": "mlp/sweep-1", "mlp/sweep-1/1": "mlp/sweep-1"}


def test_the_directory_of_a_run_is_a_list_of_one(tmp_path: Path) -> None:
    assert states(run(tmp_path / "one")) == {"one": "finished"}


def test_whatever_else_lies_there_is_passed_over(tmp_path: Path) -> None:
    run(tmp_path / "mlp" / "one")
    (tmp_path / "notes.txt").write_text("run")
    (tmp_path / "mlp" / "empty").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "broken-link").symlink_to(tmp_path / "nowhere")
    assert states(tmp_path) == {"mlp/one": "finished"}


def test_links_are_followed_and_no_run_is_told_twice(tmp_path: Path) -> None:
    run(tmp_path / "elsewhere" / "mlp" / "far")
    runs = tmp_path / "runs"
    run(runs / "mlp" / "one")
    (runs / "latest").symlink_to(runs / "mlp" / "one")
    (runs / "circle").symlink_to(runs)
    (runs / "above").symlink_to(tmp_path)
    (runs / "others").symlink_to(tmp_path / "elsewhere")
    assert states(runs) == {"mlp/one": "finished", "others/mlp/far": "finished"}


@pytest.mark.parametrize("place", ["nowhere", "file"])
def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="there is no folder "):
        records_below(tmp_path / place)


# -- how they stand ----------------------------------------------------------------------------------------------------


def test_a_run_whose_process_has_gone_has_died(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    run(tmp_path / "here", status="running", pid=process.pid)
    run(tmp_path / "elsewhere", status="running", pid=process.pid, host="another")
    run(tmp_path / "alive", status="running", pid=os.getpid())
    assert states(tmp_path) == {"alive": "running", "elsewhere": "running", "here": "died"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "run.json is empty"),
        ('{"status": "runn', "run.json is not JSON"),
        ("[1]", "run.json is not the record of a run"),
        ("{}", "run.json is not the record of a run"),
        ("\xff\xfe", "run.json is not JSON"),
        ("[" * 100_000, "run.json is not JSON"),
    ],
)
def test_a_run_with_a_broken_record_is_told_as_broken(tmp_path: Path, text: str, reason: str) -> None:
    (run(tmp_path / "one") / "run.json").write_text(text, "latin-1")
    run(tmp_path / "two")
    one, two = records_below(tmp_path)
    assert (one.state, two.state) == ("broken", "finished")
    assert one.error.startswith(reason)


def test_a_run_without_a_record_is_broken_unless_its_sweep_knows_better(tmp_path: Path) -> None:
    (run(tmp_path / "lost") / "run.json").unlink()
    told = {0: "planned", 1: "failed", 2: "lost", 3: "finished"}
    sweep = written(tmp_path / "sweep", *(job(at, state=state, error="why") for at, state in told.items()))
    for at in told:
        (run(sweep / str(at)) / "run.json").unlink()
    found = {record.label: (record.state, record.error) for record in records_below(tmp_path)}
    assert found == {
        "lost": ("broken", "it has no run.json"),
        "sweep/0": ("planned", ""),
        "sweep/1": ("failed", "why"),
        "sweep/2": ("died", "why"),
        "sweep/3": ("broken", "it has no run.json"),
    }


def test_a_record_that_is_a_folder_is_broken(tmp_path: Path) -> None:
    (tmp_path / "one" / "run.json").mkdir(parents=True)
    (record,) = records_below(tmp_path)
    assert (record.state, record.error) == ("broken", "run.json cannot be read: Is a directory")


def test_a_state_that_a_stranger_wrote_stays_on_its_line(tmp_path: Path) -> None:
    assert states(run(tmp_path / "one", status="done\n\x1b[2Jfinished")) == {"one": "done\\n\\x1b[2Jfinished"}


# -- what they tell ----------------------------------------------------------------------------------------------------


def test_a_record_tells_its_values_metrics_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = record_of(run(tmp_path / "one", best_metrics={"epoch": 1.0, "validation/loss": 0.2}))
    assert record.name == "digits"
    assert record.values["optimizer"] == {"name": "adamw", "lr": 0.001}
    assert record.final["validation/loss"] == 0.5
    assert record.best["validation/loss"] == 0.2
    assert record.best["test/loss"] == 0.6
    assert record.objective == ("validation/loss", "min")
    assert record.seconds == 1.5
    assert record.began is not None
    assert record.began[:14] == "2026-11-21 12:" or record.began[-6:] == ":00:00"


def test_numbers_that_json_lacks_are_read(tmp_path: Path) -> None:
    record = record_of(run(tmp_path / "one", loss=math.nan))
    assert math.isnan(record.final["validation/loss"])


@pytest.mark.parametrize(
    "seconds", [math.inf, math.nan, 10**400, "long", [1]], ids=["inf", "nan", "digits", "text", "list"]
)
def test_a_time_that_is_none_is_not_told(tmp_path: Path, seconds: Any) -> None:
    [record] = records_below(run(tmp_path / "a", seconds=seconds, metrics={"loss": 10**400, "b": 1}))
    assert record.seconds is None
    assert record.final == {"b": 1.0}


def test_a_record_without_the_blueprint_takes_it_from_its_file(tmp_path: Path) -> None:
    values = blueprint(optimizer__lr=1e-05)
    assert record_of(run(tmp_path / "one", values=values, blueprint=None)).values == values


def test_a_failed_run_tells_why(tmp_path: Path) -> None:
    record = record_of(run(tmp_path / "one", status="failed", error={"type": "ValueError", "message": "no"}))
    assert record.error == "ValueError: no"


def test_what_is_no_directory_of_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no run.json"):
        record_of(tmp_path)

"""How a sweep stands: which one is meant, what has become of its jobs, and the page about it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hydrantic.errors import UsageError
from hydrantic.sweeping.ledger import FILE, JobRecord, Ledger
from hydrantic.sweeping.status import as_record, exit_code, find_sweep, standing, tell
from hydrantic.sweeping.words import cells
from tests.sweeping.sweeps import job, written


def run_json(sweep: Path, number: int, **fields: Any) -> None:
    """What the run of a job wrote of itself."""
    (sweep / str(number)).mkdir()
    here = {"status": "running", "host": socket.gethostname(), "pid": os.getpid()}
    (sweep / str(number) / "run.json").write_text(json.dumps(here | fields))


@pytest.fixture(scope="module")
def gone() -> int:
    """The id of a process that is no more."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def states(sweep: Path) -> list[str]:
    return [each.state for each in standing(sweep).jobs]


# -- which sweep is meant ----------------------------------------------------------------------------------------------


def test_a_sweep_is_found_from_its_folder_its_ledger_a_job_and_the_folders_above(tmp_path: Path) -> None:
    sweep = written(tmp_path / "runs" / "digits" / "sweep-1", job(0))
    (sweep / "0").mkdir()
    for place in (sweep, sweep / FILE, sweep / "0", sweep.parent, sweep.parent.parent):
        assert find_sweep(place) == sweep


def test_the_sweep_that_began_last_is_meant(tmp_path: Path) -> None:
    for name, at in (("a/sweep-9", "2026-01-01T00:00:00Z"), ("b/sweep-1", "2026-01-02T00:00:00Z"), ("a/torn", "")):
        (tmp_path / name).mkdir(parents=True)
        line = json.dumps({"at": at, "event": "sweep", "name": "a"}) if at else "{"
        (tmp_path / name / FILE).write_text(line + "\n")
    assert find_sweep(tmp_path) == tmp_path / "b" / "sweep-1"
    assert find_sweep(tmp_path / "a") == tmp_path / "a" / "sweep-9"


def test_where_there_is_no_sweep_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no sweep: no ledger\.jsonl lies in it"):
        find_sweep(tmp_path)
    with pytest.raises(UsageError, match="there is no directory"):
        find_sweep(tmp_path / "missing")


# -- what has become of the jobs ---------------------------------------------------------------------------------------


def test_a_job_whose_process_has_gone_is_lost(tmp_path: Path, gone: int) -> None:
    sweep = written(tmp_path / "s", *(job(at, state="running") for at in range(6)))
    run_json(sweep, 0)
    run_json(sweep, 1, pid=gone)
    run_json(sweep, 2, pid=gone, host="another")
    run_json(sweep, 3, pid="x")
    (sweep / "4").mkdir()
    (sweep / "4" / "run.json").write_text("[")
    assert states(sweep) == ["running", "lost", "running", "running", "running", "running"]


def test_a_job_that_ended_after_the_sweep_was_killed_tells_its_result(tmp_path: Path) -> None:
    sweep = written(tmp_path / "s", *(job(at, state="running") for at in range(3)))
    best = {"validation/loss": 0.25, "validation/a": "NaN"}
    run_json(sweep, 0, status="finished", metrics={"validation/loss": 0.5, "b": 1}, best_metrics=best, seconds=2.0)
    run_json(sweep, 1, status="failed", error={"type": "ValueError", "message": "no"})
    run_json(sweep, 2, status="interrupted", error=None, metrics=None)
    first, second, third = standing(sweep).jobs
    assert (first.state, first.value, first.metrics["b"], first.seconds) == ("finished", 0.25, 1.0, 2.0)
    assert (second.state, second.error) == ("failed", "ValueError: no")
    assert (third.state, third.error, third.value) == ("interrupted", "", None)


@pytest.mark.parametrize(
    ("all_states", "code"),
    [
        (["finished"], 0), (["finished", "pruned"], 0), (["finished", "failed"], 1), (["lost"], 1),
        (["finished", "interrupted"], 1), (["finished", "planned"], 1), (["running", "planned"], 0),
        (["running", "failed"], 1), ([], 0),
    ],
)  # fmt: skip
def test_the_exit_code_tells_whether_all_is_well(all_states: list[str], code: int, tmp_path: Path) -> None:
    sweep = written(tmp_path / "s", *(job(at, state=state) for at, state in enumerate(all_states)))
    assert exit_code(standing(sweep)) == code


def test_jobs_that_are_planned_are_well_while_somebody_is_there(tmp_path: Path) -> None:
    sweep = written(tmp_path / "s", job(0, state="planned"))
    with Ledger(sweep):
        assert exit_code(standing(sweep)) == 0
    assert exit_code(standing(sweep)) == 1


def test_jobs_that_a_study_has_still_to_propose_are_not_done(tmp_path: Path) -> None:
    sweep = written(tmp_path / "s", job(0, 1.0), jobs=5)
    assert exit_code(standing(sweep)) == 1
    assert as_record(standing(sweep))["to_come"] == 4
    assert "1/5" in tell(standing(sweep), 80)
    study = written(tmp_path / "study", job(0, 1.0), jobs=None, trials=6)
    assert exit_code(standing(study)) == 1
    assert "1/6 [====  " in tell(standing(study), 80)


def test_jobs_that_go_on_are_not_over(tmp_path: Path) -> None:
    states_ = ("finished", "failed", "pruned", "interrupted", "lost", "planned")
    sweep = written(tmp_path / "s", *(job(at, state=state) for at, state in enumerate(states_)))
    assert "3/6 [============            ]" in tell(standing(sweep), 100)


# -- the page ----------------------------------------------------------------------------------------------------------


def page(sweep: Path, width: int = 100, **further: Any) -> str:
    found = standing(sweep)
    return tell(replace(found, seconds=192.0), width, **further)


def some(folder: Path, *further: JobRecord) -> Path:
    jobs = (
        job(0, 0.5, lr=0.1, model="mlp"), job(1, 0.25, lr=0.01, model="größe"),
        job(2, state="planned", lr=0.001, model="x"),
        job(3, state="failed", lr=10, model="mlp", error="\nDiverged: the loss is NaN\nfar down", seconds=3.25),
    )  # fmt: skip
    about = {"blueprint": "mlp.yaml", "sweeper": {"name": "grid"}, "launcher": "local"}
    return written(folder, *jobs, *further, **about)


def test_the_page_tells_what_a_person_wants_to_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert page(some(Path("s"))).splitlines() == [
        "digits",
        "  mlp.yaml, sweeper grid, launcher local, minimise validation/loss",
        "  s",
        "",
        "  3/4 [==================      ]  2 finished  1 failed  1 planned  in 3 min 12 s",
        "",
        "  best: job 1, validation/loss 0.25",
        "    lr=0.01 model=größe",
        "",
        "  job  state     validation/loss  seconds     lr  model",
        "    1  finished           0.2500      1.5   0.01  größe",
        "    0  finished           0.5000      1.5    0.1  mlp",
        "    2  planned                             0.001  x",
        "    3  failed                         3.2     10  mlp",
        "",
        "  job 3 failed: lr=10 model=mlp",
        "    Diverged: the loss is NaN",
        "    s/3",
        "",
        "  nobody looks after it any more; to go on: hydrantic sweep resume s",
    ]


def test_the_page_ends_with_how_to_run_failed_jobs_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = written(Path("s"), job(0, 1.0), job(1, state="failed"))
    assert page(sweep).splitlines()[-1] == "  to run the failed jobs again: hydrantic sweep retry s"
    assert "retry" not in page(written(Path("t"), job(0, 1.0)))


def test_a_combination_that_cannot_run_is_not_to_be_tried_again(tmp_path: Path) -> None:
    text = page(written(tmp_path / "s", job(0, 1.0), job(1, state="failed", sha256="", error="must be less than 1")))
    assert text.splitlines()[-2:] == ["  job 1 failed: no overrides", "    must be less than 1"]


def test_many_jobs_get_lines_up_to_a_limit_the_running_and_the_best_first(tmp_path: Path) -> None:
    jobs = [job(at, 1.0 / (at + 1), state="finished" if at < 50 else "running", a=at) for at in range(60)]
    sweep = written(tmp_path / "s", *jobs)
    lines = page(sweep, most=12).splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith("  job  state"))
    shown = [int(line.split()[0]) for line in lines[at + 1 : at + 13]]
    assert shown == [*range(50, 60), 49, 48]
    assert lines[at + 13] == "  ... and 48 more (--all)"
    assert "(--all)" not in page(sweep)


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_the_page_is_as_wide_as_the_terminal_but_for_paths(width: int, tmp_path: Path) -> None:
    sweep = some(tmp_path / "s", job(4, 0.1, lr=1, model="数" * 60))
    lines = page(sweep, width).splitlines()
    told = [line for line in lines if str(sweep) not in line and "job 3 failed" not in line and "Diverged" not in line]
    assert max(map(cells, told)) <= width


def test_a_sweep_without_an_objective_or_jobs_has_a_page(tmp_path: Path) -> None:
    sweep = written(tmp_path / "s", objective=None)
    assert "no jobs yet" in page(sweep)
    assert exit_code(standing(sweep)) == 0


def test_colours_change_no_word(tmp_path: Path) -> None:
    sweep = some(tmp_path / "s")
    coloured = page(sweep, is_coloured=True)
    assert "\x1b[31m" in coloured
    for code in ("\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m"):
        coloured = coloured.replace(code, "")
    assert coloured == page(sweep)


def test_nothing_in_a_ledger_steers_the_terminal(tmp_path: Path) -> None:
    about = {"name": "\x1b[2J", "blueprint": "\x9b1m", "sweeper": {"name": "\x07"}, "launcher": "\n1 problem"}
    sweep = written(tmp_path / "s", job(0, state="failed", error="\x1b[2J", **{"a\x1b": "\x1b\nb"}), **about)
    text = page(sweep)
    assert not {"\x1b", "\x07", "\x9b"} & set(text)
    assert "\n1 problem" not in text


def test_the_record_is_json_with_every_job(tmp_path: Path) -> None:
    record = as_record(standing(some(tmp_path / "s", job(4, float("nan"), lr=1))))
    again = json.loads(json.dumps(record, allow_nan=False))
    assert again["counts"] | {"finished": 3, "failed": 1, "planned": 1, "running": 0} == again["counts"]
    assert again["best"] == 1
    assert again["jobs"][1]["params"] == {"lr": 0.01, "model": "größe"}
    assert again["jobs"][4]["value"] == "NaN"
    assert again["under_way"] is False

"""`hydrantic diff`: what differs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hydrantic.cli.main import main
from tests.projects import DIGITS, write
from tests.runs_on_disk import blueprint, run
from tests.sweeping.sweeps import job, written


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with three runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "blueprints").mkdir()
    run(tmp_path / "runs" / "mlp" / "a", number=1)
    run(tmp_path / "runs" / "mlp" / "b", number=2, values=blueprint(optimizer__lr=0.1), loss=0.25)
    run(tmp_path / "runs" / "mlp" / "c", number=3)
    return tmp_path


def test_two_runs_differ_in_values_and_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "runs/mlp/a", "runs/mlp/b"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["optimizer.lr", "0.001", "0.1"] in lines
    assert ["validation/loss", "0.5", "0.25", "-0.25"] in lines


def test_the_exit_code_says_whether_something_differs_where_that_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "runs/mlp/a", "runs/mlp/b", "--exit-code"]) == 1
    assert main(["diff", "runs/mlp/a", "runs/mlp/c", "--exit-code"]) == 0
    assert capsys.readouterr().out.endswith("nothing differs\n")


def test_a_program_reads_a_record(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "runs/mlp/a", "runs/mlp/b", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["values"] == [{"key": "optimizer.lr", "a": 0.001, "b": 0.1}]
    assert record["same"] is False
    assert record["a"]["label"] == "runs/mlp/a"


def test_more_than_two_are_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "runs/mlp/a", "runs/mlp/b", "runs/mlp/c"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "optimizer.lr" in lines[0]
    assert len(lines) >= 4
    assert main(["diff", "runs/mlp/a", "runs/mlp/b", "runs/mlp/c", "--json"]) == 0
    assert [row["optimizer.lr"] for row in json.loads(capsys.readouterr().out)] == [0.001, 0.1, 0.001]


@pytest.mark.parametrize("words", [["SWEEP"], ["SWEEP/*"], ["SWEEP", "runs/mlp/a"]])
def test_a_sweep_means_its_jobs_that_have_begun(
    words: list[str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = written(here / "runs" / "mlp" / "sweep-1", *(job(at) for at in range(4)))
    for at in range(3):
        run(sweep / str(at), values=blueprint(optimizer__lr=10.0**-at))
    run(sweep / "3").joinpath("run.json").unlink()
    write(sweep / "best.yaml", DIGITS)
    named = [str(each) for word in words for each in sorted(here.glob(word.replace("SWEEP", "runs/mlp/sweep-1")))]
    assert main(["diff", *named, "--json"]) == 0
    rates = [row["optimizer.lr"] for row in json.loads(capsys.readouterr().out)]
    assert rates == [1.0, 0.1, 0.01, *([0.001] if len(words) > 1 else [])]


def test_a_pattern_in_the_directory_of_a_sweep_means_its_jobs(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = written(here / "sweep-1", job(0), job(1))
    for at in range(2):
        run(sweep / str(at), values=blueprint(seed=at))
    monkeypatch.chdir(sweep)
    assert main(["diff", *sorted(each.name for each in sweep.iterdir()), "--json"]) == 0
    assert [each["key"] for each in json.loads(capsys.readouterr().out)["values"]] == ["seed"]


def test_the_best_blueprint_of_a_sweep_is_compared_where_it_is_named(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = written(here / "sweep-1", job(0))
    write(sweep / "best.yaml", DIGITS)
    assert main(["diff", "sweep-1/best.yaml", str(run(sweep / "0"))]) == 0
    assert "sweep-1/best.yaml" in capsys.readouterr().out


def test_a_sweep_that_has_not_begun_has_nothing_to_compare(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(here / "sweep-1", job(0, state="planned"))
    assert main(["diff", "sweep-1"]) == 2
    assert capsys.readouterr().err == "sweep-1 is a sweep of which no job has begun\n"


def test_a_folder_of_runs_says_which_one_was_taken(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "runs/mlp/a", "runs/mlp"]) == 0
    assert "runs/mlp/c" in capsys.readouterr().err


def test_a_blueprint_with_problems_is_reported_as_everywhere(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here / "blueprints" / "bad.yaml", DIGITS.replace("mlp", "mpl"))
    assert main(["diff", "blueprints/bad.yaml", "runs/mlp/a"]) == 2
    assert "did you mean 'mlp'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "which two?"),
        (["runs/mlp/a"], "which two?"),
        (["runs/mlp/a", "runs/nowhere"], "there is no run runs/nowhere"),
        (["runs/mlp/a", "blueprints"], "is not the directory of a run"),
    ],
)
def test_a_mistake_is_told_in_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", *words]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1

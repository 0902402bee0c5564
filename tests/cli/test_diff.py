"""`hydrantic diff`: what differs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hydrantic.cli.main import main
from tests.projects import DIGITS, write
from tests.runs_on_disk import blueprint, run


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

"""`hydrantic runs`: a table of runs."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from hydrantic.cli.completion import answer
from hydrantic.cli.main import main
from hydrantic.completion.candidates import Files
from tests.runs_on_disk import blueprint, run
from tests.sweeping.sweeps import job, written


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with four runs, two of them jobs of a sweep."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("HYDRANTIC_RUNS", raising=False)
    (tmp_path / "blueprints").mkdir()
    sweep = written(tmp_path / "runs" / "mlp" / "sweep-1", job(0), job(1))
    run(tmp_path / "runs" / "mlp" / "a", number=1, loss=0.4)
    run(tmp_path / "runs" / "Übung" / "b", number=2, loss=0.3, values=blueprint(optimizer__lr=0.1), status="failed")
    run(sweep / "0", number=3, loss=0.2, values=blueprint(seed=1))
    run(sweep / "1", number=4, loss=0.1, values=blueprint(seed=2))
    return tmp_path


def printed(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main(["runs", *words]) == code
    return capsys.readouterr().out


def names(text: str) -> list[str]:
    return [line.split()[0] for line in text.split("\n\n", maxsplit=1)[0].splitlines()[1:]]


def test_the_runs_of_the_project_are_listed_the_latest_first(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys)
    heads = text.splitlines()[0].split()
    assert heads == ["run", "state", "began", "time", "seed", "optimizer.lr", "validation/loss", "test/loss"]
    assert names(text) == ["mlp/sweep-1/1", "mlp/sweep-1/0", "Übung/b", "mlp/a"]
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--where", "validation/loss<0.35", "status=finished"], ["mlp/sweep-1/1", "mlp/sweep-1/0"]),
        (["--where", "optimizer.lr>1e-2"], ["Übung/b"]),
        (["--where", "lr>1e-2", "--where", "seed=1"], []),
        (["--where", "sweep~sweep-1"], ["mlp/sweep-1/1", "mlp/sweep-1/0"]),
        (["--status", "failed"], ["Übung/b"]),
        (["--sort", "validation/loss", "-n", "2"], ["mlp/sweep-1/1", "mlp/sweep-1/0"]),
        (["--sort", "validation/loss", "--descending", "--where", "validation/loss>0.3"], ["mlp/a"]),
        (["runs/mlp/sweep-1"], ["1", "0"]),
        (["--where", "seed>0", "runs/mlp/sweep-1"], ["1", "0"]),
    ],
)
def test_runs_are_chosen_and_sorted(words: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, *words)
    assert (names(text) if expected else text) == (expected or "none of 4 runs\n")


def test_columns_can_be_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "--columns", "run,lr", "commit", "--where", "name=digits", "seed=1").splitlines()
    assert lines[0].split() == ["run", "optimizer.lr", "commit"]
    assert lines[1].split() == ["mlp/sweep-1/0", "0.001", "0123456789abcdef"]


def test_few_rows_are_shown_unless_all_are_wanted(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hydrantic.cli.runs._MOST", 3)
    assert "... and 1 more (--all)" in printed(capsys)
    assert len(names(printed(capsys, "--all"))) == 4
    assert len(json.loads(printed(capsys, "--json"))) == 4


def test_programs_read_json_and_csv(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = json.loads(printed(capsys, "--json"))
    assert records[0]["optimizer.lr"] == 0.001
    assert records[0]["seconds"] == 1.5
    assert records[0]["directory"] == str(here / "runs" / "mlp" / "sweep-1" / "1")
    assert records[0]["error"] is None
    rows = list(csv.DictReader(io.StringIO(printed(capsys, "--csv"))))
    assert [row["validation/loss"] for row in rows] == ["0.1", "0.2", "0.3", "0.4"]
    assert printed(capsys, "-o", "all.md") == ""
    assert (here / "all.md").read_text("utf-8").startswith("| run")


def test_a_broken_run_is_listed_with_the_reason(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "runs" / "mlp" / "a" / "run.json").write_text("{")
    text = printed(capsys)
    assert "mlp/a is broken: run.json is not JSON" in text
    assert "broken" in printed(capsys, "--columns", "run", "state")


def test_a_record_cannot_speak_to_the_terminal(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(here / "runs" / "evil", values=blueprint(seed="\x1b[31mred\n"), status="\x1b[2Jgone", number=9)
    for words in ([], ["--csv"], ["--json"], ["--markdown"], ["--columns", "run", "state", "seed"]):
        assert "\x1b" not in printed(capsys, *words)


def test_a_project_without_runs_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HYDRANTIC_RUNS", str(tmp_path / "none"))
    assert printed(capsys) == "no runs in none\n"
    assert json.loads(printed(capsys, "--json")) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "there is no folder nowhere"),
        (["--where", "optimizer.lr"], "--where 'optimizer.lr>1e-3'"),
        (["--where", "optimzer.lr=1"], "did you mean 'optimizer.lr'?"),
        (["--sort", "validaton/loss"], "did you mean 'validation/loss'?"),
        (["--status", "fialed"], "did you mean 'failed'?"),
        (["-n", "0"], "at least one row"),
        (["-o", "a.xlsx"], "give it the ending .csv, .md or .json"),
    ],
)
def test_a_mistake_is_told_in_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", *words]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_the_shell_completes_folders_of_runs() -> None:
    assert answer(["hydrantic", "runs", ""]) == Files()
    assert answer(["hydrantic", "diff", "runs/a", ""]) == Files()

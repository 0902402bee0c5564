"""`hydrantic plot`: curves in the terminal and in files."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from hydrantic.cli.main import main
from tests.runs_on_disk import blueprint, run, trained
from tests.sweeping.sweeps import job, written


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two runs and a sweep."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "90")
    trained(tmp_path / "runs" / "mlp" / "a", number=1)
    trained(tmp_path / "runs" / "mlp" / "b", number=2, values=blueprint(optimizer__lr=0.1))
    sweep = written(tmp_path / "runs" / "mlp" / "sweep-1", job(0), job(1), job(2))
    for at in range(2):
        trained(sweep / str(at), values=blueprint(seed=at))
    return tmp_path


def test_curves_are_drawn_in_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", "runs/mlp/a"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("loss\n")
    assert "validation  0.1625" in out
    assert "\x1b" not in out


@pytest.mark.parametrize(
    "words",
    [
        ["runs/mlp/a", "runs/mlp/b", "--metrics", "validation/loss"],
        ["--metrics", "validation/loss", "runs/mlp/a", "runs/mlp/b"],
        ["--metrics=validation/loss", "--x", "epoch", "runs/mlp/a", "runs/mlp/b", "--log"],
    ],
)
def test_several_runs_share_a_panel(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", *words]) == 0
    out = capsys.readouterr().out
    assert "lr=0.001  validation" in out
    assert "lr=0.1  validation" in out
    assert "training" not in out


def test_a_sweep_means_its_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", "runs/mlp/sweep-1", "--metrics", "validation/loss"]) == 0
    out = capsys.readouterr().out
    assert "seed=0  validation" in out
    assert "seed=1  validation" in out


def test_a_folder_of_runs_means_the_latest_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", "runs/mlp", "--metrics", "loss"]) == 0
    assert "runs/mlp/b" in capsys.readouterr().err


def test_a_broken_run_is_refused_alone_and_noted_among_others(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "runs" / "mlp" / "a" / "run.json").write_text("[]")
    said = "runs/mlp/a is broken: run.json is not the record of a run\n"
    assert main(["plot", "runs/mlp/a"]) == 2
    assert capsys.readouterr().err == said
    assert main(["plot", "runs/mlp/a", "runs/mlp/b"]) == 0
    assert capsys.readouterr().err == f"note: {said}"


def test_curves_are_drawn_into_a_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", "runs/mlp/a", "-o", "Kurven.svg"]) == 0
    assert (here / "Kurven.svg").stat().st_size > 1000
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "picture: Kurven.svg\n")


def test_a_terminal_without_the_signs_is_told_to_draw_into_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert main(["plot", "runs/mlp/a"]) == 2
    assert "-o curves.png" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "which run?"),
        (["nowhere"], "there is no run nowhere"),
        (["runs/mlp/a", "--metrics", "lss"], "nothing was logged as 'lss'"),
        (["runs/mlp/a", "-o", "a.jpg"], "choose .png, .svg, .pdf"),
        (["runs/empty"], "nothing has been logged yet"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    here: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(here / "runs" / "empty")
    assert main(["plot", *words]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1

"""`hydrantic report`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hydrantic.cli.main import main
from tests.runs_on_disk import trained

CHECKOUT = Path(__file__).parent.parent.parent


def test_it_says_where_the_page_lies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trained(Path("runs/mlp/one"), number=1)
    trained(Path("runs/mlp/two"), number=2)
    assert main(["report", "runs/mlp", "--no-evaluation"]) == 0
    assert capsys.readouterr().out == "report: runs/mlp/two/report.html\n"
    assert main(["report", "runs/mlp/one", "runs/mlp/two", "-o", "both.html"]) == 0
    assert capsys.readouterr().out == "report: both.html\n"
    assert Path("both.html").read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("words", [[], ["nowhere"], ["runs", "-o", "no/such/folder.html"]])
def test_what_is_wrong_is_said_in_a_line(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trained(Path("runs/mlp/one"))
    assert main(["report", *words, "--no-evaluation"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("contents", "why"),
    [("", "is empty"), ("{", "is not JSON: Expecting"), ("[]", "is not the record"), ("{}", "is not the record")],
)
def test_a_run_whose_record_is_broken_is_refused_alone(
    contents: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trained(Path("one"))
    (trained(Path("two")) / "run.json").write_text(contents)
    assert main(["report", "two"]) == 2
    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 1)
    assert said.err.startswith(f"two is broken: run.json {why}")
    assert not Path("two/report.html").exists()
    assert main(["report", "one", "two"]) == 0
    assert f"run.json {why}" in Path("report.html").read_text("utf-8")


def test_what_a_page_lacks_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = trained(tmp_path / "one", best_checkpoint="checkpoints/gone.ckpt")
    assert main(["report", str(folder)]) == 0
    said = capsys.readouterr()
    assert said.err.startswith("note: the page has no predictions:\n  ")
    assert "gone.ckpt" in said.err
    assert said.out.endswith("report.html\n")


def test_it_opens_the_page_where_that_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert main(["report", str(trained(tmp_path / "one")), "--no-evaluation", "--open"]) == 0
    assert opened == [(tmp_path / "one" / "report.html").as_uri()]


def test_without_an_evaluation_nothing_heavy_is_loaded(tmp_path: Path) -> None:
    trained(tmp_path / "one")
    code = (
        f"import sys\nsys.path.insert(0, {str(CHECKOUT)!r})\nfrom hydrantic.cli.main import main\n"
        "main(['report', 'one', '--no-evaluation'])\nprint(' '.join(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in found.stdout.split()}
    assert loaded & {"torch", "lightning", "pydantic", "numpy", "hydra", "polars", "sklearn", "matplotlib"} == set()

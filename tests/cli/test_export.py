"""`hydrantic export` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from hydrantic.cli.main import main
from hydrantic.fitting import fit
from tests.projects import DIGITS, write


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scratch: None) -> Path:
    """A run, below the folder in which a person stands."""
    monkeypatch.chdir(tmp_path)
    return fit(write(tmp_path / "a.yaml", DIGITS), ["data.split=[100, 50, 50]"]).path


def test_a_run_is_exported_to_its_directory_as_onnx(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["export", "runs"]) == 0
    file, *lines = capsys.readouterr().out.splitlines()
    assert file.startswith(f"{run.relative_to(Path.cwd())}/model.onnx: onnx, ")
    assert lines[:2] == ["  inputs     input (batch, 1, 8, 8)", "  outputs    output (batch, 10)"]
    assert lines[2].startswith("  compared   differ by at most ")
    assert (run / "model.onnx").is_file()


def test_the_ending_of_the_file_says_the_format(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["export", str(run), "-o", "m.pt2", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["file"], said["format"], said["outputs"]) == ("m.pt2", "torch_export", {"output": ["batch", 10]})
    assert torch.export.load("m.pt2").module()(torch.rand(2, 1, 8, 8)).shape == (2, 10)


def test_a_mistake_is_one_line_with_exit_code_two(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    for words, said in [
        (["none"], "there is no run none\n"),
        ([str(run), "--format", "onx"], "there is no format 'onx'; did you mean 'onnx'?\n"),
        (
            [str(run), "-o", "m.bin"],
            "which format is m.bin to have? --format onnx|torch_export|torchscript|safetensors\n",
        ),
        (
            [str(run), "-o", "m.onnx", "--format", "torchscript"],
            (
                "m.onnx would be taken for onnx, and the format is to be torchscript: name a file that ends in .ts, "
                "or choose the format onnx\n"
            ),
        ),
        ([str(run), "-o", "no/m.onnx"], "there is no folder no\n"),
    ]:
        assert main(["export", *words]) == 2
        assert capsys.readouterr().err == said


def test_an_export_that_fails_has_exit_code_one(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hydrantic.exporting.parity.TOLERANCE", -1.0)
    capsys.readouterr()
    assert main(["export", str(run), "--format", "torch_export"]) == 1
    assert "nothing was written" in capsys.readouterr().err
    assert not (run / "model.pt2").exists()


def test_the_latest_run_of_a_folder_is_named_and_the_last_weights_may_be_asked_for(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = run.parent / "last.safetensors"
    assert main(["export", str(run.parent), "--weights", "last", "-o", str(file), "-f"]) == 0
    assert run.name in capsys.readouterr().err
    with safe_open(file, "pt") as opened:
        assert json.loads(opened.metadata()["hydrantic"])["checkpoint"] == "last.ckpt"

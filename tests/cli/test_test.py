"""`hydrantic test` and `hydrantic validate`: a table of metrics, or JSON, of a run at hand or a checkpoint alone."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from hydrantic import rundir
from hydrantic.cli.main import main
from hydrantic.run import Run
from tests.projects import write
from tests.trained import column, fit_table, plants

pytestmark = pytest.mark.usefixtures("scratch")

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that has learnt a table."""
    return fit_table(tmp_path_factory.mktemp("table"))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's folder, in which they stand."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRANTIC_RUNS", raising=False)
    return tmp_path


def test_the_metrics_are_printed_and_said_to_be_those_recorded(run: Run, capsys: Capture) -> None:
    assert main(["test", str(run.path)]) == 0
    shown = capsys.readouterr()
    head, *rows, last = shown.out.splitlines()
    assert head == f"plants: test of 6 samples, weights of {run.checkpoint}"
    assert [row.split() for row in rows] == [
        [name, f"{value:.4g}"] for name, value in run.metrics.items() if name.startswith("test/")
    ]
    assert last == "as the run recorded, to the last bit"
    assert shown.err == ""


def test_validate_does_the_same_with_the_validation(run: Run, capsys: Capture) -> None:
    assert main(["validate", str(run.path), "--weights", "best"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("plants: validation of 6 samples")
    assert "validation/loss" in shown
    assert "to the last bit" in shown


def test_the_latest_run_of_a_folder_is_named_on_stderr(run: Run, capsys: Capture) -> None:
    assert main(["test", str(run.path.parent)]) == 0
    assert capsys.readouterr().err == f"the latest run in {run.path.parent}: {run.path}\n"


def test_json_tells_a_program_the_same(run: Run, here: Path, capsys: Capture) -> None:
    write(here / "new.csv", plants(9, first=80))
    assert main(["test", str(run.path), "data.path=new.csv", "--json", "-o", "out.json"]) == 0
    printed = capsys.readouterr().out
    assert (here / "out.json").read_text("utf-8") == printed
    told = json.loads(printed)
    assert (told["run"], told["stage"], told["samples"]) == (str(run.path), "test", 9)
    assert (told["overrides"], told["recorded"], told["as_recorded"]) == (["data.path=new.csv"], None, None)
    assert set(told["metrics"]) == {"test/loss", "test/accuracy", "test/f1"}


def test_where_the_record_says_otherwise_both_are_shown(run: Run, here: Path, capsys: Capture) -> None:
    copy = Path(shutil.copytree(run.path, here / "copy"))
    record = json.loads((copy / "run.json").read_text("utf-8"))
    record["metrics"]["test/loss"] += 1e-12
    record["metrics"]["test/accuracy"] = 0.123
    record["device"] = "cuda:0"
    write(copy / "run.json", json.dumps(record))
    assert main(["test", "copy"]) == 0
    _, loss, accuracy, f1, last = capsys.readouterr().out.splitlines()
    assert f"recorded {record['metrics']['test/loss']:.17g}, now " in loss
    assert accuracy.endswith("recorded 0.123")
    assert f1.endswith("as recorded")
    assert last == "not as the run recorded: device cpu, then cuda:0"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "which run? hydrantic test RUN"),
        (["data.path=x.csv"], "the run comes before the overrides"),
        (["nowhere"], "there is no run nowhere"),
        (["RUN", "data.path=new.csv"], "has no targets"),
        (["RUN", "model.hidden_dims=[3]"], "does not fit the model"),
        (["RUN", "data.pth=x"], "data.pth"),
        (["RUN", "-o", "nowhere/x.json"], "nowhere"),
        (["notes.txt"], "is not a checkpoint"),
    ],
)
def test_mistakes_are_told_without_a_traceback(
    run: Run, here: Path, capsys: Capture, words: list[str], message: str
) -> None:
    write(here / "new.csv", column(plants(), "plant", "height", "width", "colour"))
    write(here / "notes.txt", "dear diary")
    code = main(["test", *(str(run.path) if word == "RUN" else word for word in words)])
    shown = capsys.readouterr()
    assert code == 2
    assert message in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


def test_a_cut_off_checkpoint_is_told(run: Run, here: Path, capsys: Capture) -> None:
    assert run.checkpoint is not None
    (here / "half.ckpt").write_bytes(run.checkpoint.read_bytes()[:5000])
    assert main(["validate", "half.ckpt"]) == 2
    assert "half.ckpt" in capsys.readouterr().err


def test_where_the_file_cannot_be_written_the_metrics_are_printed_nevertheless(
    run: Run, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(rundir, "write_atomically", full)
    assert main(["test", str(run.path), "-o", "out.json"]) == 1
    shown = capsys.readouterr()
    assert "test/loss" in shown.out
    assert shown.err == "out.json cannot be written: No space left on device\n"

"""`hydrantic predict`: a file of predictions that never takes the place of what a person has not named."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import polars
import pytest

from hydrantic.cli.main import main
from hydrantic.run import Run
from tests.projects import write
from tests.trained import KINDS, column, fit_table, plants

pytestmark = pytest.mark.usefixtures("scratch")

CHECKOUT = Path(__file__).parent.parent.parent
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that has learnt a table."""
    return fit_table(tmp_path_factory.mktemp("table"))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's folder, in which they stand, with a table without targets."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "new.csv", column(plants(8), "plant", "height", "width", "colour"))
    return tmp_path


def test_predictions_are_written_to_the_working_directory_once(run: Run, here: Path, capsys: Capture) -> None:
    assert main(["predict", str(run.path), "data.path=new.csv"]) == 0
    names = ", ".join(f"probability_{kind}" for kind in KINDS)
    assert capsys.readouterr().out == f"predictions.csv: 8 rows of id, prediction, {names}\n"
    before = (here / "predictions.csv").read_bytes()
    assert polars.read_csv(before)["id"].to_list() == [f"p{row}" for row in range(8)]

    assert main(["predict", str(run.path)]) == 2
    assert "say -o predictions.csv to replace it" in capsys.readouterr().err
    assert (here / "predictions.csv").read_bytes() == before
    assert main(["predict", str(run.path), "-o", "predictions.csv"]) == 0
    assert polars.read_csv(here / "predictions.csv").height == 60


def test_a_part_is_written_as_parquet(run: Run, here: Path) -> None:
    assert main(["predict", str(run.path), "--split", "validation", "-o", "a ä.parquet"]) == 0
    assert polars.read_parquet(here / "a ä.parquet").height == 6


def test_a_dash_prints_the_table(run: Run, here: Path, capsys: Capture) -> None:
    assert main(["predict", str(run.checkpoint), "data.path=new.csv", "-o", "-"]) == 0
    assert polars.read_csv(io.StringIO(capsys.readouterr().out)).height == 8
    assert [file.name for file in here.iterdir()] == ["new.csv"]


def test_whoever_reads_no_further_hears_of_no_error(run: Run) -> None:
    code = "import sys; from hydrantic.cli.main import main; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", code, "predict", str(run.checkpoint), "-o", "-"]
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(words, env=environment, stdout=closed, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "which run? hydrantic predict RUN"),
        (["RUN", "data.path=new.csv", "-o", "new.csv"], "new.csv is what the predictions are made of"),
        (["RUN", "-o", "x.xlsx"], "ends in .csv or .parquet"),
        (["RUN", "data.path=gone.csv"], "there is no file"),
        (["RUN", "data.path=renamed.csv"], "renamed.csv has no column 'width'"),
    ],
)
def test_mistakes_are_told_without_a_traceback(
    run: Run, here: Path, capsys: Capture, words: list[str], message: str
) -> None:
    write(here / "renamed.csv", plants().replace("width", "breadth"))
    files = {file.name: file.read_bytes() for file in here.iterdir()}
    assert main(["predict", *(str(run.path) if word == "RUN" else word for word in words)]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert "Traceback" not in shown.err
    assert {file.name: file.read_bytes() for file in here.iterdir()} == files

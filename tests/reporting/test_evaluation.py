"""What a report says of the predictions of a trained model."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
import torch

from hydrantic.answers import Answers
from hydrantic.fitting import fit
from hydrantic.reporting import report
from hydrantic.reporting.evaluation import _of_labels, evaluate
from hydrantic.reporting.figures import pictures
from hydrantic.run import Run
from tests.projects import DIGITS, project, write

pytestmark = pytest.mark.usefixtures("scratch")

REGRESSION = "data: diabetes\nmodel: linear\nloss: mse\nmetrics: {mae: , r2: }\nloggers: {}\ntrainer: {max_epochs: 2}\n"
TABLE = "data: {name: csv, path: table.csv, target: y, split: [0.6, 0.4, 0]}\nmodel: linear\nloss: cross_entropy\n"


@pytest.fixture(scope="module")
def classified(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("classified")
    return fit(write(folder / "digits.yaml", DIGITS), directory=folder / "run")


def test_the_confusion_matrix_agrees_with_the_test(classified: Run) -> None:
    found = evaluate(classified.path)
    assert found.classes is not None
    right = sum(found.classes.counts[at][at] for at in range(10))
    assert (found.split, found.samples) == ("test", 180)
    assert right / found.samples == pytest.approx(classified.metrics["test/accuracy"])
    assert sum(map(sum, found.classes.counts)) == sum(each.count for each in found.classes.bins) == 180
    assert 0 <= found.classes.calibration_error <= 1


def test_a_report_shows_the_predictions_and_where_values_came_from(classified: Run) -> None:
    text = report(classified.path).read_text("utf-8")
    for each in ("Confusion matrix", "Calibration", "Most confused", "Each class", "digits.yaml:6", "the data"):
        assert each in text, each
    assert len(text) < 300_000


def test_a_report_says_why_there_are_no_predictions(classified: Run, tmp_path: Path) -> None:
    copy = shutil.copytree(classified.path, tmp_path / "copy")
    file = copy / json.loads((copy / "run.json").read_text())["best_checkpoint"]
    file.write_bytes(file.read_bytes()[:1000])
    text = report(copy).read_text("utf-8")
    assert "The model could not be evaluated here:" in text
    assert "Traceback" not in text


def test_residuals_agree_with_the_test(tmp_path: Path) -> None:
    run = fit(write(tmp_path / "diabetes.yaml", REGRESSION), directory=tmp_path / "run")
    found = evaluate(run.path)
    (of,) = found.numbers
    assert of.name == "progression"
    assert of.mae == pytest.approx(run.metrics["test/mae"], rel=1e-5)
    assert of.r2 == pytest.approx(run.metrics["test/r2"], rel=1e-5)
    assert of.rmse**2 == pytest.approx(run.metrics["test/loss"], rel=1e-5)
    assert sum(of.bars) == found.samples == len(of.points)
    assert "Residuals of progression" in pictures(found)


def test_without_a_test_the_validation_is_told_and_data_that_has_gone_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{at},{at % 7},{'ab'[at % 2]}\n" for at in range(40))
    table = write(tmp_path / "table.csv", f"u,v,y\n{rows}")
    blueprint = write(tmp_path / "t.yaml", TABLE + "loggers: {}\ntrainer: {max_epochs: 1}\n")
    run = fit(blueprint, directory=tmp_path / "run")
    found = evaluate(run.path)
    assert (found.split, found.samples) == ("validation", 16)
    assert found.classes is not None
    assert found.classes.names == ("a", "b")
    table.unlink()
    assert "table.csv" in report(run.path).read_text("utf-8").partition("could not be evaluated")[2][:300]


LEAKY = """
    from pathlib import Path

    from hydrantic import register_model
    from torch import nn

    @register_model("leaky")
    class Leaky(nn.Module):
        def __init__(self, in_features: int, out_features: int, note: str = "") -> None:
            super().__init__()
            self.layers, self.note = nn.Sequential(nn.Flatten(), nn.Linear(in_features, out_features)), note

        def forward(self, inputs):
            if Path("fails").exists():
                raise ValueError(f"note {self.note}")
            return self.layers(inputs)
    """


def test_no_secret_reaches_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NOTE", "hunter22")
    project(tmp_path, leaky=LEAKY)
    write(tmp_path / "pyproject.toml", '[tool.hydrantic]\nenv = ["NOTE"]\n')
    blueprint = DIGITS.replace("model: mlp", "model: {name: leaky, note: '${oc.env:NOTE}'}")
    run = fit(write(tmp_path / "blueprints" / "a.yaml", blueprint), directory=tmp_path / "run", project=tmp_path)
    sound = report(run.path, project=tmp_path).read_text("utf-8")
    assert "Confusion matrix" in sound
    write(tmp_path / "fails", "")
    failed = report(run.path, project=tmp_path).read_text("utf-8")
    assert "ValueError: note ***" in failed
    assert "${oc.env:NOTE}" in failed
    assert "hunter22" not in sound + failed


def test_labels_are_counted_each_by_itself() -> None:
    said = Answers("multilabel", torch.tensor([[1, 0], [1, 1]]), names=("wet", "cold"))
    found = _of_labels(said, torch.tensor([[1, 1], [0, 1]]))
    assert (found.names, found.right, found.extra, found.missed) == (("wet", "cold"), (1, 1), (1, 0), (0, 1))


def test_one_value_alone_has_a_page(tmp_path: Path) -> None:
    from hydrantic.reporting.evaluation import Evaluation, _of_numbers

    of = _of_numbers("y", torch.tensor([1.0]).double(), torch.tensor([1.0]).double())
    assert math.isnan(of.r2)
    assert "NaN" in pictures(Evaluation("test", 1, "x.ckpt", numbers=(of,)))

"""What a report says of the predictions of a trained model."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule

from hydrantic.fitting import fit
from hydrantic.reporting import evaluation, report
from hydrantic.reporting.evaluation import Evaluation, Told, _of_classes, _of_labels, _of_numbers, evaluate
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
    said, true = torch.tensor([[1, 0], [1, 1]]), torch.tensor([[1, 1], [0, 1]])
    found = _of_labels(Told("multilabel", ("wet", "cold"), said, true))
    assert (found.names, found.right, found.extra, found.missed) == (("wet", "cold"), (1, 1), (1, 0), (0, 1))


def test_a_sample_without_a_class_is_left_out() -> None:
    told = Told("multiclass", ("a", "b"), torch.tensor([0, 1, 1]), torch.tensor([0, -100, 0]), torch.full((3,), 0.9))
    found = _of_classes(told)
    assert found.counts == ((1, 1), (0, 0))
    assert [each.count for each in found.bins] == [2]


@pytest.mark.parametrize("predicted", [[1.0, math.nan, 3.0], [math.nan] * 3, [math.inf] * 3])
def test_numbers_that_are_none_spoil_no_picture(predicted: list[float]) -> None:
    of = _of_numbers("y", torch.tensor(predicted).double(), torch.tensor([1.0, 2.0, 3.0]).double())
    assert sum(of.bars) == len(of.points) == sum(map(math.isfinite, predicted))
    text = pictures(Evaluation("test", 3, "x.ckpt", numbers=(of,)))
    assert not re.search('="-?(nan|inf)"', text)


DRAWN = """
    import torch
    from lightning.pytorch import LightningDataModule, LightningModule
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset, random_split
    from hydrantic import Facts, register_data, register_model

    @register_data("drawn")
    class Drawn(LightningDataModule):
        def facts(self):
            return Facts(task="multiclass", num_classes=3, class_names=("a", "b", "c"))

        def setup(self, stage):
            if hasattr(self, "parts"):
                return
            inputs = torch.arange(60).float().reshape(-1, 1)
            whole = TensorDataset(inputs, (torch.arange(60) % 3))
            self.parts = random_split(whole, [40, 20])

        def train_dataloader(self):
            return DataLoader(self.parts[0], batch_size=8)

        def test_dataloader(self):
            return DataLoader(self.parts[1], batch_size=8)

    @register_model("own")
    class Own(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(1, 3)

        def forward(self, inputs):
            return self.layer(inputs)

        def training_step(self, batch, batch_idx):
            return nn.functional.cross_entropy(self(batch[0]), batch[1])

        def test_step(self, batch, batch_idx):
            self.log("test/sum", batch[0].sum(), on_step=False, on_epoch=True, reduce_fx="sum")

        def predict_step(self, batch, batch_idx):
            return ["something", "else"]

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.001)
    """


def test_data_that_draws_its_parts_draws_those_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(tmp_path, drawn=DRAWN)
    monkeypatch.chdir(tmp_path)
    text = "data: drawn\nmodel: own\ncheckpoint: {monitor: null}\nloggers: {}\ntrainer: {max_epochs: 1}\n"
    run = fit(write(tmp_path / "blueprints" / "a.yaml", text), directory=tmp_path / "run", project=tmp_path)
    seen = _seen(run.path, monkeypatch)
    assert seen == run.metrics["test/sum"]


def _seen(run: Path, monkeypatch: pytest.MonkeyPatch) -> float:
    """The sum of the inputs that a report evaluates a run on."""
    parts = []
    original = evaluation._parts

    def kept(model: LightningModule, batch: Any) -> Any:
        parts.append(float(batch[0].sum()))
        return original(model, batch)

    monkeypatch.setattr(evaluation, "_parts", kept)
    assert evaluate(run).samples == 20
    return sum(parts) / 2  # asked for the inputs, and for the targets


def test_long_names_that_begin_alike_stay_apart() -> None:
    names = tuple(f"a rather long name of class {at}" for at in range(3))
    told = Told("multiclass", names, torch.arange(3), torch.arange(3), torch.ones(3))
    text = pictures(Evaluation("test", 3, "x.ckpt", classes=_of_classes(told)))
    assert 'title="a rather long name of class 2">a rather l\N{HORIZONTAL ELLIPSIS}me of class 2<' in text
    assert "matrix upright" in text


@pytest.mark.parametrize(("count", "said"), [(21, "<rect"), (120, "<rect"), (121, "121 classes are too many")])
def test_many_classes_are_colours_or_a_list(count: int, said: str) -> None:
    told = Told(
        "multiclass", tuple(map(str, range(count))), torch.arange(count), torch.arange(count), torch.ones(count)
    )
    assert said in pictures(Evaluation("test", count, "x.ckpt", classes=_of_classes(told)))


def test_one_value_alone_has_a_page(tmp_path: Path) -> None:
    of = _of_numbers("y", torch.tensor([1.0]).double(), torch.tensor([1.0]).double())
    assert math.isnan(of.r2)
    assert "NaN" in pictures(Evaluation("test", 1, "x.ckpt", numbers=(of,)))

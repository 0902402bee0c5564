"""Predictions as a table: what each task's columns are, which rows there are, and where they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars
import pytest
import torch
from torch.utils.data import DataLoader

from hydrantic.errors import RunFailed, UsageError
from hydrantic.fitting import fit
from hydrantic.opening import open_run
from hydrantic.predictions import SPLITS, Split, ask, predict, refuse_unwritable
from hydrantic.predictions import write as write_table
from hydrantic.run import Run
from tests.projects import project, write
from tests.trained import KINDS, OWN, PAIRS, SHELF, column, fit_table, plants

pytestmark = pytest.mark.usefixtures("scratch")

FAST = "loggers: {}\ntrainer: {max_epochs: 1, enable_progress_bar: false}\n"


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that has learnt a table."""
    return fit_table(tmp_path_factory.mktemp("table"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's folder, in which they stand."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRANTIC_RUNS", raising=False)
    return tmp_path


def predicted(run: Run | Path, *overrides: str, split: Split = "all") -> polars.DataFrame:
    return predict(open_run(run.path if isinstance(run, Run) else run, overrides), split)


def fitted(folder: Path, rows: str, data: str, model: str = "linear", loss: str = "cross_entropy") -> Run:
    write(folder / "t.csv", rows)
    text = f"data: {{name: csv, path: t.csv, {data}}}\nmodel: {model}\nloss: {loss}\n{FAST}"
    return fit(write(folder / "a.yaml", text))


# Rows


def test_the_runs_own_data_is_predicted_with_its_ids_parts_and_targets(table: Run, here: Path) -> None:
    frame = predicted(table)
    names = [f"probability_{kind}" for kind in KINDS]
    assert frame.columns == ["id", "part", "prediction", *names, "target"]
    assert frame["id"].to_list() == [f"p{row}" for row in range(60)]
    assert frame["target"].to_list() == [KINDS[row % 3] for row in range(60)]
    assert dict(frame["part"].value_counts().iter_rows()) == {"training": 48, "validation": 6, "test": 6}
    sums = frame.select(polars.sum_horizontal(names)).to_series()
    assert sums.to_list() == pytest.approx([1.0] * 60)
    likeliest = [max(KINDS, key=lambda kind: row[f"probability_{kind}"]) for row in frame.iter_rows(named=True)]
    assert frame["prediction"].to_list() == likeliest


def test_the_rows_of_a_part_come_in_the_order_of_their_source(table: Run, here: Path) -> None:
    whole = predicted(table)
    assert predicted(table, split="test")["id"].to_list() == whole.filter(whole["part"] == "test")["id"].to_list()


def test_predictions_agree_with_the_test(table: Run, here: Path) -> None:
    frame = predicted(table, split="test")
    assert frame.height == 6
    assert "part" not in frame.columns
    accuracy = (frame["prediction"] == frame["target"]).mean()
    assert accuracy == pytest.approx(table.metrics["test/accuracy"])
    assert frame["id"].is_in(predicted(table).filter(part="test")["id"].to_list()).all()


@pytest.mark.parametrize("empty", [False, True], ids=["no column", "an empty column"])
def test_a_file_without_targets_is_predicted(table: Run, here: Path, empty: bool) -> None:
    text = column(plants(10), "colour", "width", "plant", "height")
    if empty:
        head, *rows = text.splitlines()
        text = "\n".join([f"{head},kind", *(f"{row}," for row in rows)]) + "\n"
    write(here / "new.csv", text)
    frame = predicted(table, "data.path=new.csv")
    assert frame["id"].to_list() == [f"p{row}" for row in range(10)]
    assert set(frame.columns) == {"id", "prediction", *(f"probability_{kind}" for kind in KINDS)}
    assert frame["prediction"].to_list() == predicted(table)["prediction"].to_list()[:10]


def test_other_data_has_no_parts(table: Run, here: Path) -> None:
    write(here / "new.csv", plants(7, first=90))
    frame = predicted(table, "data.path=new.csv")
    assert frame.height == 7
    assert "part" not in frame.columns
    assert "target" in frame.columns
    for split in SPLITS[1:]:
        with pytest.raises(UsageError, match=f"other data than the run was trained on, which has no {split} part"):
            predicted(table, "data.path=new.csv", split=split)


@pytest.mark.parametrize("targets", [torch.arange(40) % 3, torch.rand(40, 2)], ids=["classes", "numbers"])
def test_tensors_without_targets_are_predicted(here: Path, targets: torch.Tensor) -> None:
    torch.save({"inputs": torch.rand(40, 4), "targets": targets}, here / "t.pt")
    torch.save({"inputs": torch.rand(6, 4)}, here / "new.pt")
    loss = "mse" if targets.is_floating_point() else "cross_entropy"
    run = fit(write(here / "a.yaml", f"data: {{name: tensors, path: t.pt}}\nmodel: linear\nloss: {loss}\n{FAST}"))
    frame = predicted(run, "data.path=new.pt")
    assert frame.height == 6
    assert frame.columns[:2] == ["row", "prediction_0" if loss == "mse" else "prediction"]
    assert not [name for name in frame.columns if name.startswith("target")]


def test_rows_that_were_left_out_keep_their_numbers(here: Path) -> None:
    rows = [f"{i},{'' if i == 3 else i % 4},{'yes' if i % 2 else 'no'}" for i in range(30)]
    run = fitted(here, "\n".join(["a,b,y", *rows, ""]), "target: y, missing: drop")
    frame = predicted(run)
    assert frame["row"].to_list() == [0, 1, 2, *range(4, 30)]
    assert frame["target"].to_list()[2:4] == ["no", "no"]


def test_a_part_that_is_empty_is_told(here: Path) -> None:
    run = fit_table(here, "data.split=[0.8,0.2,0]")
    with pytest.raises(UsageError, match="the data has no test part"):
        predicted(run, split="test")


# Tasks


def test_one_output_decides_between_two_classes(here: Path) -> None:
    rows = "".join(f"{i},{i % 5},{'yes' if i % 2 else 'no'}\n" for i in range(40))
    run = fitted(here, "a,b,y\n" + rows, "target: y", loss="bce_with_logits")
    frame = predicted(run)
    assert frame.columns == ["row", "part", "prediction", "probability_no", "probability_yes", "target"]
    outputs = ask(open_run(run.path), torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
    assert frame["probability_yes"].to_list()[:2] == pytest.approx(outputs.sigmoid().flatten().tolist())
    assert frame.filter(polars.col("probability_yes") > 0.5)["prediction"].unique().to_list() in (["yes"], [])


def test_labels_have_a_column_each(here: Path) -> None:
    rows = "".join(f"{i},{i % 5},{i % 2},{int(i % 3 == 0)}\n" for i in range(40))
    frame = predicted(fitted(here, "a,b,even,third\n" + rows, "target: [even, third]", loss="bce_with_logits"))
    names = [f"{what}_{label}" for what in ("prediction", "probability", "target") for label in ("even", "third")]
    assert frame.columns == ["row", "part", *names]
    assert set(frame["prediction_even"].unique()) <= {0, 1}
    assert frame["target_third"].to_list()[:4] == [1, 0, 0, 1]


@pytest.mark.parametrize(
    ("target", "names"),
    [("y", ["prediction", "target"]), ("[y, z]", ["prediction_y", "prediction_z", "target_y", "target_z"])],
)
def test_numbers_are_predicted_by_their_names(here: Path, target: str, names: list[str]) -> None:
    rows = "".join(f"{i},{i % 5},{i / 3},{i / 7}\n" for i in range(40))
    run = fitted(here, "a,b,y,z\n" + rows, f"target: {target}, features: [a, b]", loss="mse")
    frame = predicted(run)
    assert frame.columns == ["row", "part", *names]
    assert frame[names[-1]].to_list()[7] == pytest.approx(7 / 3 if target == "y" else 1.0)


def test_outputs_that_do_not_suit_the_task_stand_as_they_are(here: Path) -> None:
    project(
        here,
        parts="""
        from torch import nn
        from hydrantic import Model, ModelHparams, register_model

        @register_model("restoring")
        class Restoring(Model[ModelHparams]):
            def __init__(self, hparams: ModelHparams) -> None:
                super().__init__(hparams)
                self.layer = nn.Linear(2, 2)

            def forward(self, inputs):
                return {"restored": self.layer(inputs), "inputs": inputs, "mean": inputs.mean()}

            def compute_metrics(self, outputs, targets):
                return {"loss": nn.functional.mse_loss(outputs["restored"], outputs["inputs"])}
        """,
    )
    rows = "".join(f"{i},{i % 5},{'yes' if i % 2 else 'no'}\n" for i in range(40))
    write(here / "t.csv", "a,b,y\n" + rows)
    run = fit(write(here / "a.yaml", "data: {name: csv, path: t.csv, target: y}\nmodel: restoring\n" + FAST))
    names = ["output_restored_0", "output_restored_1", "output_inputs_0", "output_inputs_1"]
    assert predicted(run).columns == ["row", "part", *names, "target"]


# Modules of a person's own


def test_batches_that_are_mappings_are_predicted(here: Path) -> None:
    project(here, parts=SHELF)
    frame = predicted(fit(write(here / "a.yaml", PAIRS)))
    outputs = [*(f"output_logits_{number}" for number in range(3)), "output_parity"]
    assert frame.columns == ["row", "part", *outputs, "target"]
    assert set(frame["part"]) == {"test"}  # it has no predict_dataloader
    assert frame["target"].to_list() == [index % 3 for index in range(24)]


def test_a_module_of_ones_own_is_asked_with_the_inputs_alone(here: Path) -> None:
    project(here, parts=SHELF)
    run = fit(write(here / "a.yaml", OWN))
    opened = open_run(run.path)
    frame = predict(opened)
    assert frame.columns == ["row", "part", "output", "target"]
    assert frame.height == 12
    assert "predict_step" not in vars(opened.model)
    with pytest.raises(UsageError, match="'columns' has nothing to predict: it defines no val_dataloader"):
        predicted(run, split="validation")


def test_a_loader_that_shuffles_is_read_in_the_order_of_its_data_set(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(here, parts=SHELF)
    run = fit(write(here / "a.yaml", OWN))
    opened = open_run(run.path)
    before = predict(opened, "training")
    plain = opened.data.train_dataloader
    monkeypatch.setattr(
        opened.data, "train_dataloader", lambda: DataLoader(plain().dataset, batch_size=5, shuffle=True, drop_last=True)
    )
    after = predict(opened, "training")
    assert after.equals(before)
    assert after.height == 12


def test_an_error_of_a_component_is_told_with_its_place(here: Path) -> None:
    project(here, parts=SHELF)
    run = fit(write(here / "a.yaml", OWN))
    opened = open_run(run.path)
    opened.model.layer = torch.nn.Linear(9, 1)
    with pytest.raises(RunFailed, match=r"predict failed: RuntimeError: .*\n  at registry/parts\.py:\d+"):
        predict(opened)


# Raw inputs


def test_raw_inputs_are_preprocessed_as_in_training(table: Run, here: Path) -> None:
    opened = open_run(table.path)
    outputs = ask(opened, torch.tensor([[0.0, 0.5, 0.0, 1.0]], dtype=torch.float64))
    first = predicted(table).row(0, named=True)
    assert outputs.softmax(1)[0].tolist() == pytest.approx([first[f"probability_{kind}"] for kind in KINDS])
    assert not outputs.requires_grad


def test_raw_inputs_of_another_shape_are_refused(table: Run, here: Path) -> None:
    with pytest.raises(UsageError, match=r"inputs have the shape \(samples, 4\), not \(2, 5\)"):
        ask(open_run(table.path), torch.zeros(2, 5))


# Files

FRAME = polars.DataFrame({"id": ["ä", "b"], "prediction": [0.5, None]})


@pytest.mark.parametrize("name", ["a ä.csv", "a.parquet", "A.CSV"])
def test_a_file_is_written_by_its_ending(here: Path, name: str) -> None:
    write_table(FRAME, here / name)
    read: Any = polars.read_parquet if name.endswith(".parquet") else polars.read_csv
    assert read(here / name).equals(FRAME)
    assert [file.name for file in here.iterdir()] == [name]


def refused(file: Path, table: Run, *, is_chosen: bool = True) -> str:
    with pytest.raises(UsageError) as caught:
        refuse_unwritable(file, open_run(table.path), is_chosen=is_chosen)
    return str(caught.value)


def test_a_file_that_cannot_or_should_not_be_written_is_refused(table: Run, here: Path) -> None:
    write(here / "old.csv", "x")
    (here / "folder.csv").mkdir()
    assert "ends in .csv or .parquet" in refused(Path("a.json"), table)
    assert "there is no folder nowhere" in refused(Path("nowhere/a.csv"), table)
    assert "is a folder" in refused(Path("folder.csv"), table)
    assert "say -o old.csv to replace it" in refused(Path("old.csv"), table, is_chosen=False)
    assert "made of" in refused(table.path.parents[2] / "plants.csv", table)
    assert "made of" in refused(table.path / "metrics.csv", table)
    refuse_unwritable(Path("old.csv"), open_run(table.path), is_chosen=True)

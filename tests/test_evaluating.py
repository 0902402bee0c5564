"""Evaluating a run anew: the numbers that it recorded, or those of other data; and what cannot be evaluated."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from hydrantic.contents import read
from hydrantic.errors import BlueprintError, RunFailed, UsageError
from hydrantic.evaluating import Evaluation, Stage, evaluate
from hydrantic.fitting import fit
from hydrantic.opening import open_run
from hydrantic.run import Run
from tests.projects import DIGITS, project, write
from tests.trained import OWN, PAIRS, SHELF, column, fit_table, plants

pytestmark = pytest.mark.usefixtures("scratch")

STAGES: tuple[Stage, ...] = ("validation", "test")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that has learnt a table."""
    return fit_table(tmp_path_factory.mktemp("table ä"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's folder, in which they stand."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRANTIC_RUNS", raising=False)
    return tmp_path


def evaluated(run: Path, stage: Stage = "test", *overrides: str, **options: Any) -> Evaluation:
    return evaluate(open_run(run, overrides, **options), stage)


def files(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


# The run's own data


@pytest.mark.parametrize("stage", STAGES)
def test_without_overrides_the_metrics_are_those_that_fit_recorded(table: Run, here: Path, stage: Stage) -> None:
    before = files(table.path)
    done = evaluated(table.path, stage)
    record = json.loads((table.path / "run.json").read_text("utf-8"))
    recorded = record["metrics"] if stage == "test" else record["best_metrics"]
    assert done.metrics == {name: value for name, value in recorded.items() if name.startswith(f"{stage}/")}
    assert done.recorded == done.metrics
    assert done.differing == ()
    assert done.samples == 6
    assert files(table.path) == before


@pytest.mark.parametrize("stage", STAGES)
def test_a_checkpoint_alone_knows_enough(table: Run, here: Path, stage: Stage) -> None:
    assert table.checkpoint is not None
    shutil.copy(table.checkpoint, here / "sent.ckpt")
    assert evaluated(here / "sent.ckpt", stage).metrics == evaluated(table.path, stage).metrics


def test_each_of_the_checkpoints_is_compared_with_what_was_logged_at_it(here: Path) -> None:
    write(here / "a.yaml", DIGITS + "checkpoint: {save_top_k: 3}\n")
    run = fit("a.yaml", ["trainer.max_epochs=3", "data.split=[300, 50, 50]"])
    logged = run.history.drop_nulls("validation/loss")["validation/loss"].to_list()
    done = [evaluated(file, "validation") for file in sorted(run.path.glob("checkpoints/epoch=*.ckpt"))]
    assert [each.metrics["validation/loss"] for each in done] == logged
    assert all(each.recorded and not each.differing for each in done)


def test_the_test_of_other_weights_is_compared_with_nothing(table: Run, here: Path) -> None:
    copy = Path(shutil.copytree(table.path, here / "copy"))
    done = evaluated(copy, "test", weights="last")
    assert done.metrics
    assert done.recorded == {}


def test_a_person_may_ask_for_other_metrics(table: Run, here: Path) -> None:
    done = evaluated(table.path, "test", "+metrics.top2.name=accuracy", "+metrics.top2.top_k=2")
    assert done.metrics["test/top2"] >= done.metrics["test/accuracy"]
    assert done.recorded == {}


def test_another_recorded_value_is_told_apart_to_the_last_bit(table: Run, here: Path) -> None:
    copy = Path(shutil.copytree(table.path, here / "copy"))
    record = json.loads((copy / "run.json").read_text("utf-8"))
    record["metrics"]["test/loss"] = numpy.nextafter(record["metrics"]["test/loss"], 1.0)
    record["versions"]["torch"] = "1.0"
    write(copy / "run.json", json.dumps(record))
    done = evaluated(copy)
    assert done.differing == ("test/loss",)
    assert done.circumstances == (f"torch {torch.__version__}, then 1.0",)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("processes", "many"),
        ("processes", [1]),
        ("processes", 10**9),
        ("threads", 10**9),
        ("metrics", ["a"]),
        ("metrics", {"test/loss": "a"}),
        ("versions", "a"),
        ("best_checkpoint", 5),
    ],
)
def test_a_record_that_says_nonsense_stops_no_evaluation(table: Run, here: Path, field: str, value: Any) -> None:
    copy = Path(shutil.copytree(table.path, here / "copy"))
    record = json.loads((copy / "run.json").read_text("utf-8"))
    write(copy / "run.json", json.dumps(record | {field: value}))
    weights = "last" if field == "best_checkpoint" else "best"
    assert evaluated(copy, "test", weights=weights).metrics["test/loss"] == pytest.approx(table.metrics["test/loss"])


@pytest.mark.parametrize("contents", [b"\xde\xad", b"", b"step,epoch,validation/loss\n1,0,a\n1,0\nb,0,1.0\n"])
def test_metrics_that_cannot_be_read_are_compared_with_nothing(table: Run, here: Path, contents: bytes) -> None:
    copy = Path(shutil.copytree(table.path, here / "copy"))
    (copy / "metrics.csv").write_bytes(contents)
    assert evaluated(copy, "validation").recorded == {}


def test_of_limited_batches_neither_size_nor_record_is_claimed(table: Run, here: Path) -> None:
    done = evaluated(table.path, "test", "trainer.limit_test_batches=1")
    assert (done.samples, done.recorded) == (None, {})


def test_a_run_that_moved_with_its_data_is_still_compared(table: Run, here: Path) -> None:
    write(here / "moved.csv", plants())
    done = evaluated(table.path, "test", "data.path=moved.csv")
    assert done.recorded == done.metrics


def test_the_threads_of_the_run_are_used_and_given_back(
    table: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(table.path, here / "copy"))
    record = json.loads((copy / "run.json").read_text("utf-8"))
    write(copy / "run.json", json.dumps(record | {"threads": 3}))
    before, used = torch.get_num_threads(), set()
    opened = open_run(copy)
    forward = opened.model.forward

    def noting(inputs: torch.Tensor) -> torch.Tensor:
        used.add(torch.get_num_threads())
        outputs: torch.Tensor = forward(inputs)
        return outputs

    monkeypatch.setattr(opened.model, "forward", noting)
    evaluate(opened, "test")
    assert used == {3}
    assert torch.get_num_threads() == before


def test_nothing_global_is_left_behind(table: Run, here: Path) -> None:
    def states() -> tuple[Any, ...]:
        of_numpy = str(numpy.random.get_state())  # noqa: NPY002 -- the state that others draw from
        drawn = torch.get_rng_state().sum().item(), of_numpy, random.getstate()
        return (*drawn, torch.is_grad_enabled(), dict(os.environ), Path.cwd())

    before = states()
    first, again = evaluated(table.path), evaluated(table.path)
    assert first == again
    assert states() == before


# Other data


@pytest.mark.parametrize("stage", STAGES)
def test_all_of_other_data_is_evaluated(table: Run, here: Path, stage: Stage) -> None:
    write(here / "new.csv", plants(20, first=100))
    done = evaluated(table.path, stage, "data.path=new.csv")
    assert done.samples == 20
    assert set(done.metrics) == {f"{stage}/{name}" for name in ("loss", "accuracy", "f1")}
    assert done.recorded == {}


def test_other_data_of_another_size_than_training_had_is_no_contradiction(table: Run, here: Path) -> None:
    write(here / "new.csv", plants(3))
    assert evaluated(table.path, "test", "data.path=new.csv", "data.batch_size=100").samples == 3


@pytest.mark.parametrize("stage", STAGES)
def test_data_that_has_changed_is_evaluated_only_where_a_person_names_it(table: Run, here: Path, stage: Stage) -> None:
    file = Path(open_run(table.path).blueprint["data"]["path"])
    before = file.read_text("utf-8")
    try:
        write(file, plants(50, first=10))
        with pytest.raises(UsageError, match=r"any more: its fingerprint was \w+, and is \w+ now.*: .data\.path="):
            evaluated(table.path, stage)
        assert evaluated(table.path, stage, f"data.path='{file}'").samples == 50
    finally:
        write(file, before)


def test_other_parts_are_told(table: Run, here: Path) -> None:
    told = "the data is divided in another way than in training: samples that it was trained on may be among these"
    assert told in evaluated(table.path, "test", "data.split_seed=7").notes
    assert told not in evaluated(table.path, "test", "data.batch_size=7").notes


def replaced(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (replaced(plants(), "width", "breadth"), "new.csv has no column 'width'"),
        (column(plants(), "plant", "height", "width", "kind"), "new.csv has no column 'colour'"),
        (replaced(plants(), "p7,5,9.5,blue,mid", "p7,5,9.5,blue,huge"), "holds 'huge', which was not in the training"),
        (replaced(plants(), "p7,5,9.5,blue", "p7,5,9.5,green"), "holds 'green', which was not in the training"),
        (replaced(plants(), "p7,5,", "p7,tall,"), "column 'height' holds numbers, but also 'tall'"),
        (column(plants(), "plant", "height", "width", "colour"), "has no targets"),
        ("plant,height,width,colour,kind\n", "has a header and no rows"),
    ],
    ids=["renamed", "missing", "class", "category", "text", "no targets", "no rows"],
)  # fmt: skip
def test_data_that_does_not_suit_is_refused(table: Run, here: Path, text: str, message: str) -> None:
    write(here / "new.csv", text)
    with pytest.raises((UsageError, BlueprintError)) as caught:
        evaluated(table.path, "test", "data.path=new.csv")
    assert message in str(caught.value)


def test_data_that_is_not_there_is_refused_with_what_to_say(table: Run, here: Path) -> None:
    with pytest.raises(BlueprintError, match=r"data\.path=nowhere\.csv: there is no file"):
        evaluated(table.path, "test", "data.path=nowhere.csv")
    moved = Path(shutil.copytree(table.path.parents[2], here / "moved"))
    shutil.move(table.path.parents[2] / "plants.csv", here / "aside.csv")
    try:
        with pytest.raises(UsageError, match=r"is not there any more: there is no .*plants\.csv.*data\.path=FILE"):
            evaluated(next(moved.glob("runs/*/*")))
    finally:
        shutil.move(here / "aside.csv", table.path.parents[2] / "plants.csv")


def save(file: Path, inputs: torch.Tensor, targets: torch.Tensor) -> None:
    torch.save({"inputs": inputs, "targets": targets}, file)


def test_tensors_of_another_kind_are_refused_each_with_the_difference(here: Path) -> None:
    inputs = torch.rand(40, 4)
    save(here / "t.pt", inputs, torch.arange(40) % 3)
    text = (
        "data: {name: tensors, path: t.pt}\nmodel: linear\nloss: cross_entropy\nloggers: {}\ntrainer: {max_epochs: 1}\n"
    )
    run = fit(write(here / "a.yaml", text))
    save(here / "two.pt", inputs, torch.arange(40) % 2)
    assert evaluated(run.path, "test", "data.path=two.pt").samples == 40
    for other, message in (
        ((torch.rand(40, 5), torch.arange(40) % 3), r"inputs of shape \(5\), not \(4\)"),
        ((inputs, torch.arange(40) % 4), "4 classes, not 3"),
        ((inputs, torch.rand(40, 2)), "its task is regression, not multiclass"),
    ):
        save(here / "other.pt", *other)
        with pytest.raises(UsageError, match=f"does not suit the model of .*\n  {message}"):
            evaluated(run.path, "test", "data.path=other.pt")


def test_a_part_that_the_split_leaves_out_is_told(here: Path) -> None:
    run = fit(write(here / "a.yaml", DIGITS), ["data.split=[200,50,0]"])
    with pytest.raises(UsageError, match=r"has no test part: data\.split leaves no sample for it"):
        evaluated(run.path)


# Modules of a person's own


@pytest.mark.parametrize("stage", STAGES)
def test_batches_that_are_mappings_are_evaluated_as_in_fit(here: Path, stage: Stage) -> None:
    project(here, parts=SHELF)
    run = fit(write(here / "a.yaml", PAIRS))
    done = evaluated(run.path, stage)
    assert done.metrics
    assert done.recorded == done.metrics


def test_a_module_of_ones_own_logs_what_it_logs_and_callbacks_take_part(here: Path) -> None:
    project(here, parts=SHELF)
    run = fit(write(here / "a.yaml", OWN))
    (run.path / "diary.txt").unlink()
    done = evaluated(run.path)
    assert done.recorded == done.metrics
    assert set(done.metrics) == {"test/error"}
    assert done.samples is None
    assert not (run.path / "diary.txt").exists()
    assert evaluated(run.path, "test", "data.rows=7").recorded == {}
    with pytest.raises(UsageError, match="'own', defines no validation_step"):
        evaluated(run.path, "validation")


def test_a_split_that_the_seed_draws_is_drawn_again(here: Path) -> None:
    project(here, parts=SHELF)
    run = fit(write(here / "a.yaml", "data: drawn\nmodel: linear\nloss: mse\nloggers: {}\ntrainer: {max_epochs: 1}\n"),
              ["model.in_features=4", "model.out_features=1"])  # fmt: skip
    done = evaluated(run.path, "validation")
    assert done.recorded == done.metrics


def test_data_without_a_loader_for_the_stage_is_told(here: Path) -> None:
    project(here, parts=SHELF)
    run = fit(write(here / "a.yaml", PAIRS), test=False)
    with pytest.raises(UsageError, match=r"'columns' has nothing to validate .* on: it defines no val_dataloader"):
        evaluated(run.path, "validation", "data=columns")


def test_an_error_of_a_component_is_told_with_its_place(here: Path) -> None:
    project(here, parts=SHELF)
    run = fit(write(here / "a.yaml", OWN))
    with pytest.raises(RunFailed, match=r"test failed: RuntimeError: it exploded\n  at registry/parts\.py:\d+"):
        evaluated(run.path, "test", "model.explodes=true")


# Several processes


def test_a_run_of_two_processes_is_evaluated_by_two(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    run = fit_table(here, "trainer.devices=2", "trainer.accelerator=cpu", "data.batch_size=7")
    done = evaluated(run.path)
    assert done.recorded == done.metrics
    assert not torch.distributed.is_initialized()
    alone = evaluated(run.path, "test", "trainer.devices=1")
    assert alone.metrics["test/accuracy"] == done.metrics["test/accuracy"]
    assert alone.circumstances == ("processes 1, then 2",)


def test_devices_that_are_not_here_are_told(here: Path) -> None:
    run = fit_table(here)
    record = json.loads((run.path / "run.json").read_text("utf-8"))
    write(run.path / "run.json", json.dumps(record | {"processes": 2}))
    with pytest.raises(BlueprintError, match=r"trainer\.accelerator"):
        evaluated(run.path, "test", "trainer.accelerator=cuda")


def test_the_contents_of_a_checkpoint_are_its_runs(table: Run) -> None:
    assert table.checkpoint is not None
    _, contents = read(table.checkpoint)
    assert contents.blueprint == table.blueprint == open_run(table.path).blueprint

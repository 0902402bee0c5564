"""Opening runs and checkpoints without anything else at hand, and what cannot be opened."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from hydrantic.checkpoints import CheckpointError
from hydrantic.errors import BlueprintError, UsageError
from hydrantic.evaluating import evaluate
from hydrantic.fitting import fit
from hydrantic.opening import Which, open_run
from hydrantic.run import Run
from tests.projects import DIGITS, project, write
from tests.trained import PAIRS, SHELF, fit_table

pytestmark = pytest.mark.usefixtures("scratch")

HOOKED = """
    import torch
    from lightning.pytorch import LightningModule
    from torch import nn
    from hydrantic import register_model

    @register_model("hooked")
    class Hooked(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = None
            self.told = None

        def configure_model(self):
            if self.layer is None:
                self.layer = nn.Linear(3, 2)

        def on_save_checkpoint(self, checkpoint):
            checkpoint["told"] = "by the checkpoint"

        def on_load_checkpoint(self, checkpoint):
            self.told = checkpoint["told"]

        def training_step(self, batch, batch_idx):
            return self.layer(batch[0]).square().mean()

        def validation_step(self, batch, batch_idx):
            self.log("validation/loss", self.layer(batch[0]).square().mean())

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)
"""


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


def test_a_run_is_opened_with_its_weights_and_reads_no_data(table: Run, here: Path) -> None:
    copy = Path(shutil.copytree(table.path, here / "copy ä"))
    (table.path.parents[2] / "plants.csv").rename(here / "gone.csv")
    try:
        opened = open_run(copy)
        assert not opened.model.training
        assert opened.facts.class_names == ("big", "mid", "small")
        weights, others = table.model.state_dict(), opened.model.state_dict()
        assert all(torch.equal(weights[name], others[name]) for name in weights)
        assert opened.blueprint["model"]["in_features"] == 4
    finally:
        (here / "gone.csv").rename(table.path.parents[2] / "plants.csv")


def test_opening_draws_no_random_number_from_anybody(table: Run, here: Path) -> None:
    torch.manual_seed(3)
    before, of_python = torch.get_rng_state(), random.getstate()
    open_run(table.path)
    assert torch.equal(torch.get_rng_state(), before)
    assert random.getstate() == of_python


def test_what_does_not_touch_the_weights_may_be_overridden(table: Run, here: Path) -> None:
    plan = open_run(table.path, ["loss.label_smoothing=0.1", "optimizer.lr=1"]).plan
    assert plan.resolved()["loss"]["label_smoothing"] == 0.1


@pytest.mark.parametrize("override", ["model.hidden_dims=[9]", "model=linear"])
def test_another_model_is_refused_and_the_override_is_named(table: Run, here: Path, override: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        open_run(table.path, [override])
    assert "does not fit the model" in str(caught.value)
    assert override in str(caught.value)


def test_a_field_that_contradicts_the_weights_data_is_refused(table: Run, here: Path) -> None:
    with pytest.raises(BlueprintError, match=r"model\.in_features"):
        open_run(table.path, ["model.in_features=5"])


def test_a_checkpoint_with_the_weights_of_another_model_is_refused(table: Run, here: Path) -> None:
    state = torch.load(table.checkpoint or "", weights_only=True)
    state["state_dict"] = {"network.other": torch.zeros(1)}
    torch.save(state, here / "other.ckpt")
    with pytest.raises(CheckpointError, match=r"other\.ckpt does not fit the model: Missing key"):
        open_run(here / "other.ckpt")


@pytest.mark.parametrize(
    ("part", "value"), [("blueprint", "a.yaml"), ("facts", 3), ("components", [1]), ("components", None)]
)
def test_a_checkpoint_whose_contents_are_broken_is_refused(table: Run, here: Path, part: str, value: Any) -> None:
    assert table.checkpoint is not None
    state = torch.load(table.checkpoint, weights_only=True)
    state["hydrantic"][part] = value
    torch.save(state, here / "a.ckpt")
    write(here / "a.yaml", "data: iris\nmodel: linear\n")  # which a text is not taken for the name of
    with pytest.raises(CheckpointError, match=r"a\.ckpt is no checkpoint of a run, or was changed since"):
        open_run("a.ckpt")


def test_where_the_record_is_broken_the_checkpoint_still_opens(table: Run, here: Path) -> None:
    copy = Path(shutil.copytree(table.path, here / "copy"))
    write(copy / "run.json", "{")
    with pytest.raises(UsageError, match=r"name a checkpoint instead: copy/checkpoints/last\.ckpt"):
        open_run("copy")
    assert not open_run("copy/checkpoints/last.ckpt").model.training


def test_the_last_weights_are_opened_where_they_are_asked_for(table: Run, here: Path) -> None:
    assert open_run(table.path, weights="last").checkpoint.name == "last.ckpt"
    assert open_run(table.path).checkpoint == table.checkpoint


def test_a_component_of_a_project_elsewhere_is_not_imported_but_its_shelf_is_pointed_to(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = here / "mine"
    project(mine, parts=SHELF)
    monkeypatch.chdir(mine)
    run = fit(write(mine / "a.yaml", PAIRS))
    elsewhere = here / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    with pytest.raises(BlueprintError) as caught:
        open_run(run.path)
    assert f"--project {mine}" in str(caught.value)
    assert open_run(run.path, project=mine).plan.data.name == "pairs"


def test_where_a_missing_component_came_from_is_told(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = here / "mine"
    project(mine, parts=SHELF)
    monkeypatch.chdir(mine)
    run = fit(write(mine / "a.yaml", PAIRS))
    assert run.checkpoint is not None
    elsewhere = here / "elsewhere"
    shutil.copytree(run.path, elsewhere / "moved")
    shutil.copy(run.checkpoint, elsewhere / "alone.ckpt")
    monkeypatch.chdir(elsewhere)
    project_of = "of the project that the model was trained in; --project DIR names that project"
    for named, came_from in (("moved", "registry/parts.py"), ("alone.ckpt", "the registry/")):
        with pytest.raises(BlueprintError) as caught:
            open_run(named)
        assert f"no data module is called 'pairs'; it came from {came_from} {project_of}" in str(caught.value)
    with pytest.raises(BlueprintError, match=r"no model is called 'two_heded'; did you mean 'two_headed'"):
        open_run("alone.ckpt", ["model=two_heded"], project=mine)


def test_the_distribution_of_a_missing_component_is_told(table: Run, here: Path) -> None:
    state = torch.load(table.checkpoint or "", weights_only=True)
    said = state["hydrantic"]
    said["blueprint"]["model"]["name"] = "gone"
    said["components"]["model/gone"] = said["components"]["model/mlp"] | {"distribution": "gone-nets", "version": "1.2"}
    torch.save(state, here / "a.ckpt")
    with pytest.raises(BlueprintError, match=r"no model is called 'gone'; it came from gone-nets 1\.2$"):
        open_run("a.ckpt")


def test_checkpoints_that_hold_no_more_than_weights_are_opened(here: Path) -> None:
    mine = "callbacks={mine: {name: model_checkpoint, filename: mine, save_weights_only: true}}"
    run = fit_table(here, "checkpoint.save_weights_only=true", mine)
    assert open_run(run.path).checkpoint.name.startswith("epoch=")
    opened = open_run(run.path / "checkpoints" / "mine.ckpt")
    assert opened.facts.class_names == ("big", "mid", "small")
    assert evaluate(opened, "test").samples == 6


@pytest.mark.parametrize(
    ("precision", "kind"),
    [("64-true", torch.float64), ("bf16-true", torch.bfloat16), ("bf16-mixed", torch.float32)],
)
def test_weights_keep_the_precision_that_they_were_trained_in(here: Path, precision: str, kind: torch.dtype) -> None:
    run = fit_table(here, f"trainer.precision={precision}")
    opened = open_run(run.path)
    kept = opened.state["state_dict"]
    assert {each.dtype for each in opened.model.parameters()} == {kind}
    assert all(torch.equal(each, kept[name]) for name, each in opened.model.state_dict().items())
    evaluation = evaluate(opened, "test")
    assert evaluation.recorded
    assert not evaluation.differing


def test_a_model_made_late_with_hooks_of_its_own_is_opened(here: Path) -> None:
    project(here, parts=HOOKED)
    write(here / "t.csv", "a,b,c,y\n" + "".join(f"{i},{i % 5},{i % 3},{i / 7}\n" for i in range(40)))
    text = "data: {name: csv, path: t.csv, target: y}\nmodel: hooked\nloggers: {}\ntrainer: {max_epochs: 1}\n"
    text += "checkpoint: {monitor: null}\n"
    run = fit(write(here / "a.yaml", text), test=False)
    model: Any = open_run(run.path).model
    assert model.told == "by the checkpoint"
    assert model.layer.weight.shape == (2, 3)


def test_an_interval_of_validations_may_be_longer_than_other_batches_allow(here: Path) -> None:
    run = fit_table(here, "trainer.val_check_interval=2")
    assert open_run(run.path, ["data.batch_size=1000"]).plan.data.hparams["batch_size"] == 1000


def test_the_run_of_a_sweeps_job_is_opened(here: Path) -> None:
    from hydrantic.sweeping.ledger import JobRecord
    from hydrantic.sweeping.results import Job

    run = fit_table(here)
    record = json.loads((run.path / "run.json").read_text("utf-8"))
    assert record["status"] == "finished"
    model = Job(JobRecord(0, run.path)).model()
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), run.model.parameters(), strict=True))


def test_a_logger_that_cannot_be_had_here_is_not_missed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(here / "pyproject.toml", '[tool.hydrantic]\nenv = ["TEAM"]\n')
    monkeypatch.setenv("TEAM", "us")
    folder = here / "blueprints"
    folder.mkdir()
    run = fit_table(here, "loggers={wandb: {mode: disabled, entity: '${oc.env:TEAM}'}}")
    assert open_run(run.path).plan.loggers
    monkeypatch.delenv("TEAM")
    assert not open_run(run.path).plan.loggers


def test_another_data_module_takes_over_the_preprocessing(here: Path) -> None:
    inputs = torch.rand(40, 4, generator=torch.Generator().manual_seed(0)) * 10
    torch.save({"inputs": inputs, "targets": torch.arange(40) % 3}, here / "t.pt")
    run = fit_table(here)
    opened = open_run(run.path, ["data=tensors", "data.path=t.pt"])
    data: Any = opened.data
    samples = data.samples
    means = torch.tensor(opened.state["Csv"]["preprocessing"]["means"])
    stds = torch.tensor(opened.state["Csv"]["preprocessing"]["stds"])
    numbers = slice(0, 2)  # the other inputs are categories
    torch.testing.assert_close(
        samples.inputs[:, numbers], (inputs[:, numbers] - means[numbers]) / stds[numbers], check_dtype=False
    )


def test_a_data_module_that_cannot_take_over_the_state_is_told(here: Path) -> None:
    torch.save({"inputs": torch.rand(40, 4), "targets": torch.arange(40) % 3}, here / "t.pt")
    text = (
        "data: {name: tensors, path: t.pt}\nmodel: linear\nloss: cross_entropy\nloggers: {}\ntrainer: {max_epochs: 1}\n"
    )
    run = fit(write(here / "a.yaml", text))
    write(here / "t.csv", "a,b,y\n1,2,x\n3,4,z\n")
    with pytest.raises(CheckpointError, match="the data module Csv cannot take over the state of Tensors"):
        open_run(run.path, ["data=csv", "data.path=t.csv", "data.target=y"])


def test_a_component_that_has_changed_since_is_noted(here: Path) -> None:
    project(here, parts=SHELF)
    run = fit(write(here / "a.yaml", PAIRS))
    assert open_run(run.path).notes == ()
    parts = here / "registry" / "parts.py"
    write(parts, parts.read_text("utf-8").replace("width: int = 8", "width: int = 9"))
    [*notes] = open_run(run.path, project=here).notes
    assert any("two_headed" in note for note in notes)


@pytest.mark.parametrize("which", ["best", "last"])
def test_a_checkpoint_that_another_run_has_left_there_is_refused(table: Run, here: Path, which: Which) -> None:
    other = fit(write(here / "a.yaml", DIGITS), ["trainer.max_epochs=1"], directory=here / "other")
    copy = Path(shutil.copytree(table.path, here / "copy"))
    for file in (copy / "checkpoints").iterdir():
        shutil.copy(other.path / "checkpoints" / "last.ckpt", file)
    with pytest.raises(CheckpointError, match="is of another run: it was trained with name a"):
        open_run(copy, weights=which)
    assert open_run(copy / "checkpoints" / "last.ckpt").plan.name == "a"

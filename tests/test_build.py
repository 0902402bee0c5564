"""Building what a plan says: data, model, loss, metrics, then the trainer with callbacks and loggers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint, Timer
from torch import nn

from hydrantic.build import Assembly, assemble, draft
from hydrantic.errors import BlueprintError
from hydrantic.metrics_csv import MetricsCsv
from hydrantic.model.model import Composition
from hydrantic.rundir import RunDirectory
from tests.projects import DIGITS, planned, project

pytestmark = pytest.mark.usefixtures("scratch")


def assembled(folder: Path, text: str, *overrides: str) -> Assembly:
    plan = planned(folder, text, *overrides)
    return assemble(draft(plan), RunDirectory.create(folder / "runs", plan.name))


def refusal(folder: Path, text: str, shelf: str = "") -> str:
    of = project(folder, parts=shelf) if shelf else None
    plan = planned(folder, text, of=of)
    with pytest.raises(BlueprintError) as caught:
        assemble(draft(plan), RunDirectory.create(folder / "runs", plan.name))
    return str(caught.value)


def test_a_draft_writes_nothing(tmp_path: Path) -> None:
    draft(planned(tmp_path, DIGITS))
    assert [file.name for file in tmp_path.iterdir()] == ["a.yaml"]


def test_the_seed_alone_decides_the_first_weights(tmp_path: Path) -> None:
    first, again, other = (
        torch.cat([each.flatten() for each in draft(planned(tmp_path, DIGITS, f"seed={seed}")).model.parameters()])
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_first_weights_do_not_depend_on_the_random_numbers_that_data_draws(tmp_path: Path) -> None:
    weights = [
        draft(planned(tmp_path, DIGITS, f"data.split_seed={seed}")).model.state_dict()["network.layers.1.weight"]
        for seed in (1, 2)
    ]
    assert torch.equal(*weights)


def test_a_plain_network_becomes_the_network_of_the_stock_model(tmp_path: Path) -> None:
    model = draft(planned(tmp_path, DIGITS)).model
    assert isinstance(model, Composition)
    assert isinstance(model.network.layers[1], nn.Linear)


def test_the_trainer_gets_its_arguments(tmp_path: Path) -> None:
    trainer = assembled(tmp_path, DIGITS, "trainer.max_epochs=7", "trainer.gradient_clip_val=0.5").trainer
    assert (trainer.max_epochs, trainer.gradient_clip_val) == (7, 0.5)


def test_a_persons_callbacks_are_kept_besides_ours(tmp_path: Path) -> None:
    text = DIGITS + "callbacks: {watch: timer, lr: learning_rate_monitor}\nearly_stopping: {patience: 2}\n"
    callbacks = assembled(tmp_path, text).trainer.callbacks  # type: ignore[attr-defined]  # a Trainer
    for kind in (Timer, LearningRateMonitor, EarlyStopping, ModelCheckpoint):
        assert len([each for each in callbacks if isinstance(each, kind)]) == 1


def test_early_stopping_and_checkpoint_get_their_fields(tmp_path: Path) -> None:
    text = DIGITS + "early_stopping: {patience: 7, monitor: training/loss}\ncheckpoint: {save_top_k: 3, mode: max}\n"
    trainer = assembled(tmp_path, text).trainer
    stopping, checkpoint = trainer.early_stopping_callback, trainer.checkpoint_callback
    assert isinstance(stopping, EarlyStopping)
    assert isinstance(checkpoint, ModelCheckpoint)
    assert (stopping.patience, stopping.monitor) == (7, "training/loss")
    assert (checkpoint.save_top_k, checkpoint.mode) == (3, "max")


def test_without_a_checkpoint_section_nothing_is_kept(tmp_path: Path) -> None:
    assert assembled(tmp_path, DIGITS + "checkpoint:\n").trainer.checkpoint_callback is None


def test_metrics_csv_is_a_logger_whether_the_blueprint_says_so_or_not(tmp_path: Path) -> None:
    for loggers in ("{}", "{csv: {}}"):
        text = DIGITS.replace("loggers: {}", f"loggers: {loggers}")
        assert [type(each) for each in assembled(tmp_path, text).trainer.loggers] == [MetricsCsv]


def test_a_component_that_refuses_a_field_is_reported_at_the_field(tmp_path: Path) -> None:
    shelf = """
        from torch import nn
        from hydrantic import InvalidField, register_model

        @register_model("picky")
        class Picky(nn.Module):
            def __init__(self, width: int = 7) -> None:
                super().__init__()
                raise InvalidField("width", "must be even")
    """
    written = DIGITS.replace("mlp", "{name: picky, width: 9}")
    assert "a.yaml:2:29: model.width: must be even" in refusal(tmp_path, written, shelf)
    assert "a.yaml:2:8: model.width: must be even" in refusal(tmp_path, DIGITS.replace("mlp", "picky"), shelf)


@pytest.mark.parametrize("raised", ["RuntimeError('no')", "KeyError('no')", "AttributeError('no')", "ValueError('no')"])
def test_whatever_a_constructor_raises_is_a_problem_of_its_block(tmp_path: Path, raised: str) -> None:
    shelf = f"""
        from torch import nn
        from hydrantic import register_model

        @register_model("broken")
        class Broken(nn.Module):
            def __init__(self, width: int = 7) -> None:
                raise {raised}
    """
    assert "the model 'broken' cannot be built" in refusal(tmp_path, DIGITS.replace("mlp", "broken"), shelf)


def test_data_that_cannot_be_loaded_is_a_problem_of_its_block(tmp_path: Path) -> None:
    shelf = """
        from hydrantic import InMemoryData, InMemoryDataHparams, register_data

        @register_data("lost")
        class Lost(InMemoryData[InMemoryDataHparams]):
            def load(self):
                raise RuntimeError("the disk is gone")
    """
    report = refusal(tmp_path, DIGITS.replace("digits", "lost"), shelf)
    assert "a.yaml:1:7: data: the data module 'lost' cannot be built: RuntimeError: the disk is gone" in report


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("optimizer: {name: adam, betas: [2, 3]}", "optimizer: the optimizer 'adam' cannot be built: Invalid beta"),
        ("optimizer: {name: sgd, nesterov: true}", "Nesterov momentum requires a momentum"),
        ("scheduler: {name: one_cycle, max_lr: 1}", "scheduler: the scheduler 'one_cycle' cannot be built"),
        ("trainer: {fast_dev_run: -1}", "trainer.fast_dev_run: Lightning's Trainer refuses its arguments"),
    ],
)
def test_what_torch_and_lightning_refuse_is_refused_before_the_run_begins(
    tmp_path: Path, written: str, words: str
) -> None:
    text = DIGITS.replace("trainer: {max_epochs: 1}\n", "") if written.startswith("trainer") else DIGITS
    assert words in refusal(tmp_path, f"{text}{written}\n")


def test_a_refusal_shows_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")
    (tmp_path / "pyproject.toml").write_text('[tool.hydrantic]\nenv = ["TOKEN"]\n')
    shelf = """
        from torch import nn
        from hydrantic import register_model

        @register_model("door")
        class Door(nn.Module):
            def __init__(self, key: str) -> None:
                raise ValueError(f"{key} does not fit")
    """
    report = refusal(tmp_path, DIGITS.replace("mlp", "{name: door, key: '${oc.env:TOKEN}'}"), shelf)
    assert "*** does not fit" in report
    assert "hunter2" not in report

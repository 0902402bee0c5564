"""The groups of hyperparameters that belong to training."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from hydrantic.components import choose
from hydrantic.model.hparams import (
    CheckpointHparams,
    EarlyStoppingHparams,
    ModelHparams,
    OptimizerHparams,
    SchedulerHparams,
)

REFUSED: list[tuple[type[Any], dict[str, Any], str]] = [
    (OptimizerHparams, {"module_name": "torch.optim.AdmaW"}, "did you mean"),
    (OptimizerHparams, {"module_name": "os.system"}, "no optimizer is called 'os.system'"),
    (OptimizerHparams, {"kwargs": {"lrr": 1e-3}}, "adam has no field 'lrr'; did you mean 'lr'"),
    (OptimizerHparams, {"kwargs": {"lr": -1.0}}, "must be greater than 0"),
    (OptimizerHparams, {"kwargs": {"lr": "1e-3"}}, "must be a number"),
    (OptimizerHparams, {"lr": 1e-3}, "lr"),
    (SchedulerHparams, {}, "module_name"),
    (SchedulerHparams, {"module_name": "step"}, "step needs the field 'step_size'"),
    (SchedulerHparams, {"module_name": "plateau", "interval": "week"}, "interval"),
    (SchedulerHparams, {"module_name": "plateau", "frequency": 0}, "frequency"),
    (CheckpointHparams, {"dirpath": "../elsewhere"}, "below the run's directory"),
    (CheckpointHparams, {"mode": "best"}, "mode"),
    (CheckpointHparams, {"save_top_k": -2}, "save_top_k"),
    (EarlyStoppingHparams, {"patience": -1}, "patience"),
    (EarlyStoppingHparams, {"min_delta": -0.1}, "min_delta"),
    (ModelHparams, {"matmul_precision": "low"}, "matmul_precision"),
    (ModelHparams, {"optimiser": {}}, "optimiser"),
    (ModelHparams, {"optimizer": {"kwargs": {"beta": 1}}}, "adam has no field 'beta'"),
]


@pytest.mark.parametrize(("hparams", "values", "words"), REFUSED, ids=[f"{h.__name__}-{v}" for h, v, _ in REFUSED])
def test_a_wrong_group_is_refused(hparams: type[Any], values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        hparams.from_dict(values)


def test_a_name_from_a_file_is_never_imported() -> None:
    assert "turtle" not in sys.modules
    with pytest.raises(ValueError, match="no optimizer is called"):
        OptimizerHparams(module_name="turtle.Turtle")
    assert "turtle" not in sys.modules


def test_the_default_trains_with_adam_and_keeps_the_best_checkpoint() -> None:
    hparams = ModelHparams()
    assert hparams.optimizer.component.name == "adam"
    assert (hparams.scheduler, hparams.early_stopping, hparams.matmul_precision) == (None, None, None)
    assert (hparams.checkpoint.monitor, hparams.checkpoint.save_top_k) == ("validation/loss", 1)


@pytest.mark.parametrize("name", ["sgd", "torch.optim.SGD"])
def test_the_registered_name_and_the_dotted_path_choose_the_same_optimizer(name: str) -> None:
    hparams = OptimizerHparams(module_name=name, kwargs={"lr": 0.5})
    built = hparams.component.build(params=[nn.Parameter(torch.zeros(1))])
    assert isinstance(built, torch.optim.SGD)
    assert built.defaults["lr"] == 0.5


def test_a_scheduler_steps_by_epochs_unless_it_says_otherwise() -> None:
    chosen = SchedulerHparams(module_name="plateau")
    assert (chosen.interval, chosen.frequency, chosen.monitor) == ("epoch", 1, "validation/loss")


def test_a_scheduler_is_built_around_an_optimizer() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    chosen = SchedulerHparams(module_name="torch.optim.lr_scheduler.StepLR", kwargs={"step_size": 10, "gamma": 0.1})
    scheduler = chosen.component.build(optimizer=optimizer)
    assert isinstance(scheduler, torch.optim.lr_scheduler.StepLR)
    assert scheduler.step_size == 10


def test_a_planned_component_makes_the_same_group() -> None:
    component = choose("optimizer", {"name": "adamw", "lr": 0.25})
    group = OptimizerHparams.of(component)
    assert group.module_name == "adamw"
    assert group.kwargs["lr"] == 0.25
    assert group.component.hparams == component.hparams


@pytest.mark.parametrize("read", ["yaml", "config"])
def test_yaml_and_omegaconf_read_the_same_groups(read: str, tmp_path: Path) -> None:
    file = tmp_path / "aviary.yaml"
    file.write_text(
        "aviary:\n"
        "  matmul_precision: high\n"
        "  optimizer: {module_name: torch.optim.AdamW, kwargs: {lr: 1e-3, betas: [0.8, 0.9]}}\n"
        "  scheduler: {module_name: torch.optim.lr_scheduler.CosineAnnealingLR, kwargs: {T_max: 100}}\n"
        "  checkpoint: {dirpath: nests/, monitor: validation/loss, mode: min, save_top_k: 3}\n"
        "  early_stopping: {monitor: validation/loss, patience: 10, mode: min}\n"
    )
    if read == "yaml":
        hparams = ModelHparams.from_yaml(file, key="aviary")
    else:
        hparams = ModelHparams.from_config(OmegaConf.load(file).aviary)
    assert hparams.optimizer.kwargs == {"lr": 0.001, "betas": [0.8, 0.9]}
    assert hparams.optimizer.component.hparams["betas"] == (0.8, 0.9)
    assert hparams.scheduler is not None
    assert hparams.scheduler.component.hparams["T_max"] == 100
    assert hparams.checkpoint == CheckpointHparams(dirpath=Path("nests"), save_top_k=3)
    assert hparams.early_stopping == EarlyStoppingHparams(patience=10)
    assert hparams.matmul_precision == "high"

"""The Python API of the project that this one descends from, block by block, and the defects that it had."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor

from hydrantic.checking import prepare
from hydrantic.hparams import Hparam, Hparams
from hydrantic.imports import import_lightning
from hydrantic.model.hparams import (
    CheckpointHparams,
    EarlyStoppingHparams,
    ModelHparams,
    OptimizerHparams,
    SchedulerHparams,
)
from hydrantic.model.model import Model
from hydrantic.model.model import ModelHparams as ReexportedModelHparams

# -- Hyperparameters --------------------------------------------------------------------------------------------------


class OctopusHparams(Hparams):
    """Hyperparameters of an octopus."""

    ink_rate: float = Hparam(default=1e-3, gt=0.0)
    arm_length: int = Hparam(default=128, ge=1)
    num_arms: int = Hparam(default=8, ge=1, le=10)
    camouflage: float = Hparam(default=0.1, ge=0.0, lt=1.0)


FIELDS = {"ink_rate": 0.001, "arm_length": 256, "num_arms": 4, "camouflage": 0.2}


def test_hyperparameters_are_made_from_keywords() -> None:
    hparams = OctopusHparams(ink_rate=0.001, arm_length=256, num_arms=4, camouflage=0.2)
    assert hparams.arm_length == 256
    assert hparams["ink_rate"] == 0.001


def test_hyperparameters_are_made_from_a_dictionary_also_through_an_instance() -> None:
    assert OctopusHparams().from_dict(FIELDS) == OctopusHparams.from_dict(FIELDS) == OctopusHparams(**FIELDS)  # type: ignore[arg-type]


def test_hyperparameters_are_made_from_a_yaml_file_and_from_omegaconf(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("model: {ink_rate: 0.001, arm_length: 256, num_arms: 4, camouflage: 0.2}\n")
    expected = OctopusHparams.from_dict(FIELDS)
    assert OctopusHparams.from_yaml(str(file), key="model") == expected
    assert OctopusHparams.from_config(OmegaConf.load(file).model) == expected


def test_hyperparameters_are_a_mapping() -> None:
    hparams = OctopusHparams.from_dict(FIELDS)
    assert str(hparams.keys()) == "dict_keys(['ink_rate', 'arm_length', 'num_arms', 'camouflage'])"
    assert [f"{key}: {value}" for key, value in hparams.items()] == [f"{k}: {v}" for k, v in FIELDS.items()]
    assert dict(**hparams) == FIELDS


def test_a_value_out_of_range_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        OctopusHparams(ink_rate=-0.001)


# -- Models -----------------------------------------------------------------------------------------------------------


class SquidHparams(ReexportedModelHparams):
    """Hyperparameters of a squid."""

    hidden_dim: int = 4
    num_layers: int = 3


class Squid(Model[SquidHparams]):
    """A stack of layers of one width."""

    def __init__(self, hparams: SquidHparams) -> None:
        super().__init__(hparams)
        self.layers = torch.nn.ModuleList(
            [
                torch.nn.Linear(self.thparams.hidden_dim, self.thparams.hidden_dim)
                for _ in range(self.thparams.num_layers)
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.relu(layer(x))
        return x

    def compute_metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        loss = torch.nn.functional.mse_loss(outputs, targets)
        return {"loss": loss}


def test_a_model_has_typed_hyperparameters_and_counts_its_parameters() -> None:
    squid = Squid(SquidHparams())
    assert squid.thparams.num_layers == len(squid.layers) == 3
    assert squid.num_params == 3 * (4 * 4 + 4)
    assert squid.num_params_by_module == {"layers": 60}
    outputs = squid(torch.ones(2, 4))
    assert squid.compute_metrics(outputs, outputs)["loss"].item() == 0.0


def test_the_model_module_offers_the_model_hyperparameters_too() -> None:
    assert ReexportedModelHparams is ModelHparams


def test_the_groups_of_model_hyperparameters_are_made_from_keywords() -> None:
    hparams = ModelHparams(
        optimizer=OptimizerHparams(module_name="torch.optim.AdamW", kwargs={"lr": 1e-4, "weight_decay": 0.01}),
        scheduler=SchedulerHparams(
            module_name="torch.optim.lr_scheduler.StepLR", kwargs={"step_size": 10, "gamma": 0.1}
        ),
        checkpoint=CheckpointHparams(
            dirpath="checkpoints/",  # type: ignore[arg-type]  # text, as in YAML
            monitor="validation/loss", mode="min", save_top_k=3, save_last=True,
        ),
        early_stopping=EarlyStoppingHparams(monitor="validation/loss", patience=5, mode="min"),
        matmul_precision="high",
    )  # fmt: skip
    squid = Squid(SquidHparams(**dict(hparams)))
    chosen = cast("dict[str, Any]", squid.configure_optimizers())
    assert type(chosen["optimizer"]) is torch.optim.AdamW
    assert (chosen["optimizer"].defaults["lr"], chosen["optimizer"].defaults["weight_decay"]) == (1e-4, 0.01)
    assert chosen["lr_scheduler"]["scheduler"].gamma == 0.1


@pytest.mark.parametrize("group", [{}, {"scheduler": None}, {"early_stopping": None}])
def test_the_groups_are_optional(group: dict[str, None]) -> None:
    assert ModelHparams.from_dict(group) == ModelHparams()


YAML = """\
model_config:
  hidden_dim: 16
  num_layers: 2
  matmul_precision: high
  optimizer:
    module_name: torch.optim.AdamW
    kwargs:
      lr: 0.001
      weight_decay: 0.01
  scheduler:
    module_name: torch.optim.lr_scheduler.CosineAnnealingLR
    kwargs:
      T_max: 100
  checkpoint:
    dirpath: checkpoints/
    monitor: validation/loss
    mode: min
    save_top_k: 3
  early_stopping:
    monitor: validation/loss
    patience: 10
    mode: min
"""


def test_the_example_configuration_is_read_from_yaml_and_from_omegaconf(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(YAML)
    hparams = SquidHparams.from_yaml(file, key="model_config")
    assert hparams == SquidHparams.from_config(OmegaConf.load(file).model_config)
    assert (hparams.hidden_dim, hparams.matmul_precision, hparams.checkpoint.save_top_k) == (16, "high", 3)
    assert hparams.scheduler is not None
    assert hparams.scheduler.component.name == "cosine"
    assert hparams.early_stopping is not None
    assert hparams.early_stopping.patience == 10


# -- the defects; those of a training stand in model/test_model.py ----------------------------------------------------


def test_an_unknown_key_is_not_ignored(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("model: {arm_lenght: 3}\n")
    with pytest.raises(ValueError, match="arm_lenght"):
        OctopusHparams.from_yaml(file, key="model")


def test_an_exponent_without_a_point_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("ink: {ink_rate: 1e-3}\nsquid: {optimizer: {kwargs: {lr: 1e-3}}}\n")
    assert OctopusHparams.from_yaml(file, key="ink").ink_rate == 0.001
    assert ModelHparams.from_yaml(file, key="squid").optimizer.kwargs == {"lr": 0.001}


BLUEPRINT = """\
data: {name: iris, batch_size: 50}
model: {name: mlp, hidden_dims: [4]}
loss: cross_entropy
loggers: {}
"""


@pytest.fixture
def blueprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "iris.yaml"
    file.write_text(BLUEPRINT)
    return file


def test_the_split_does_not_change_from_run_to_run(blueprint: Path) -> None:
    import_lightning()
    parts = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        random.seed(seed)
        parts.append(prepare(blueprint).data.build().indices)
    assert all(torch.equal(*pair) for pair in zip(*parts, strict=True))


def test_training_has_a_seed_whether_the_blueprint_says_so_or_not(blueprint: Path) -> None:
    from hydrantic.build import draft

    torch.manual_seed(1)
    first = draft(prepare(blueprint)).model.state_dict()
    torch.manual_seed(2)
    second = draft(prepare(blueprint)).model.state_dict()
    other = draft(prepare(blueprint, ["seed=7"])).model.state_dict()
    name = "network.layers.1.weight"
    assert torch.equal(first[name], second[name])
    assert not torch.equal(first[name], other[name])


def test_the_command_line_selects_by_the_dotted_path_too(blueprint: Path) -> None:
    plan = prepare(blueprint, ["optimizer=torch.optim.AdamW"])
    assert plan.optimizer is not None
    assert plan.optimizer.entry.component is torch.optim.AdamW


def test_a_value_of_the_groups_can_be_set_in_the_form_of_the_seed(blueprint: Path) -> None:
    blueprint.write_text(BLUEPRINT + "optimizer: {module_name: torch.optim.Adam, kwargs: {lr: 1e-3}}\n")
    plan = prepare(blueprint, ["optimizer.kwargs.lr=5e-4", "data.batch_size=64"])
    assert plan.optimizer is not None
    assert (plan.optimizer.hparams["lr"], plan.data.hparams["batch_size"]) == (0.0005, 64)

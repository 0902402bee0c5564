"""The schema of a blueprint: what its sections accept and what they say where they do not."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import get_args

import pytest
from lightning.pytorch import Trainer
from pydantic import ValidationError

from hydrantic.blueprint import ELSEWHERE, Blueprint, trainer_hparams
from hydrantic.errors import BlueprintError
from hydrantic.registries import KINDS
from hydrantic.sections import COMPONENTS, LABELLED, WITHIN_HYDRA, groups, kind_of
from tests.projects import DIGITS, planned, problems

pytestmark = pytest.mark.usefixtures("scratch")


def test_the_smallest_blueprint_names_data_model_and_loss(tmp_path: Path) -> None:
    plan = planned(tmp_path, "data: digits\nmodel: mlp\nloss: cross_entropy\n")
    assert plan.blueprint.seed == 42
    assert plan.optimizer is not None
    assert (plan.optimizer.name, plan.scheduler, plan.metrics) == ("adam", None, {})
    assert tuple(plan.loggers) == ("wandb", "csv")
    assert plan.blueprint.checkpoint is not None


def test_the_name_is_the_files_stem_unless_it_is_written(tmp_path: Path) -> None:
    assert planned(tmp_path, DIGITS).name == "a"
    assert planned(tmp_path, DIGITS + "name: b\n").name == "b"


def test_without_an_end_training_takes_ten_epochs(tmp_path: Path) -> None:
    text = DIGITS.replace("trainer: {max_epochs: 1}\n", "")
    assert planned(tmp_path, text).trainer["max_epochs"] == 10
    assert planned(tmp_path, text, "trainer.max_steps=3").trainer["max_epochs"] is None


@pytest.mark.parametrize("section", ["metrics", "callbacks", "loggers", "trainer", "vars"])
def test_a_mapping_section_with_nothing_behind_it_is_empty(tmp_path: Path, section: str) -> None:
    text = "data: digits\nmodel: mlp\nloss: cross_entropy\n"
    assert problems(tmp_path, f"{text}{section}:\n") == []


@pytest.mark.parametrize("section", ["checkpoint", "early_stopping", "scheduler", "objective", "matmul_precision"])
def test_null_turns_an_optional_section_off(tmp_path: Path, section: str) -> None:
    plan = planned(tmp_path, f"{DIGITS}{section}:\n")
    assert getattr(plan.blueprint, section) is None


def test_every_section_with_components_has_a_registry() -> None:
    assert {kind_of(section) for section in groups()} < set(KINDS)
    assert set(groups()) == {*COMPONENTS, *LABELLED, *WITHIN_HYDRA}
    assert {group.partition("/")[0] for group in groups()} < set(Blueprint.model_fields)


def test_every_section_has_a_meaning() -> None:
    assert [name for name in Blueprint.model_fields if not Blueprint.meanings().get(name)] == []


def test_the_trainers_arguments_are_lightnings_own() -> None:
    theirs = set(inspect.signature(Trainer).parameters)
    ours = set(trainer_hparams().model_fields)
    assert ours < theirs
    assert set(ELSEWHERE) & ours == set()
    assert set(ELSEWHERE) <= theirs


def test_the_trainers_arguments_are_typed() -> None:
    with pytest.raises(ValidationError, match="max_epochs"):
        trainer_hparams()(max_epochs="many")
    assert trainer_hparams()(precision="bf16-mixed", devices=[0, 1])["devices"] == [0, 1]


def test_a_trainer_argument_that_is_an_object_is_no_field() -> None:
    assert all("Callable" not in str(get_args(each.annotation)) for each in trainer_hparams().model_fields.values())


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_any_seed_of_32_bits_will_do(tmp_path: Path, seed: int) -> None:
    assert planned(tmp_path, DIGITS, f"seed={seed}").blueprint.seed == seed


def test_a_larger_seed_is_refused(tmp_path: Path) -> None:
    assert problems(tmp_path, DIGITS, f"seed={2**32}") == [f"command line: seed={2**32}: value:less_than"]


def test_1e_minus_3_is_a_float(tmp_path: Path) -> None:
    optimizer = planned(tmp_path, DIGITS + "optimizer: {name: adam, lr: 1e-3}\n").optimizer
    assert optimizer is not None
    assert optimizer.hparams["lr"] == 1e-3


def test_an_integer_will_do_for_a_float(tmp_path: Path) -> None:
    optimizer = planned(tmp_path, DIGITS + "optimizer: {name: adam, lr: 1}\n").optimizer
    assert optimizer is not None
    assert optimizer.hparams["lr"] == 1.0


def test_free_values_are_kept_as_they_are(tmp_path: Path) -> None:
    plan = planned(tmp_path, DIGITS + "vars: {a: [1, {b: text}], c: null}\n")
    assert plan.blueprint.vars == {"a": [1, {"b": "text"}], "c": None}


def test_a_requirement_that_is_met_passes(tmp_path: Path) -> None:
    text = DIGITS + "requires: [hydrantic, 'torch>=2', 'no-such-package; python_version < \"3\"']\n"
    assert problems(tmp_path, text) == []


def test_a_requirement_that_is_not_met_is_refused_and_not_installed(tmp_path: Path) -> None:
    assert problems(tmp_path, DIGITS + "requires: [no-such-package]\n") == ["7:12: requirement"]


def test_one_made_in_python_tells_what_is_wrong_with_it_as_a_file_does() -> None:
    with pytest.raises(BlueprintError) as caught:
        Blueprint(data="digits", modl="mlp", seed="a", hydra={"launcher": "locl"})
    assert {each.path for each in caught.value.problems} == {("modl",), ("seed",), ("hydra", "launcher"), ("model",)}
    assert "Blueprint(...): modl: a blueprint has no section 'modl'; did you mean 'model'?" in str(caught.value)
    assert "pydantic" not in str(caught.value)

"""Composing a blueprint: options, overrides and provenance."""

from __future__ import annotations

import copy
import os
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any, Literal

import hydra
import pytest
import yaml
from hydra import version
from hydra._internal.config_repository import CachingConfigRepository
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hydrantic.compose import Composer, Groups, compose
from hydrantic.document import Document, Limits
from hydrantic.errors import BlueprintError
from hydrantic.problems import Problem, Problems
from hydrantic.source import KeyPath, Source
from tests.composed import FOLDER, Case, generated

Write = Callable[[str, str], Path]

MLP = """\
name: digits
model:
  name: mlp
  hidden_dims: [128, 128]
loss: cross_entropy
metrics:
  accuracy:
  f1: {average: macro}
trainer: {max_epochs: 20}
"""


class Shelf:
    """A few registered names."""

    def names(self, section: str) -> tuple[str, ...]:
        registered = {
            "model": ("mlp", "cnn"), "optimizer": ("adamw", "sgd", "torch.optim.SGD"), "metrics": ("accuracy", "f1"),
            "hydra/launcher": ("local", "joblib", "slurm"), "hydra/sweeper": ("grid", "optuna"), "sweep": ("grid",),
        }  # fmt: skip
        return registered.get(section, ())

    def sections(self) -> Mapping[str, bool]:
        single = ("data", "model", "loss", "optimizer", "scheduler", "sweep", "hydra/launcher", "hydra/sweeper")
        return {**dict.fromkeys(single, False), **dict.fromkeys(("metrics", "callbacks", "loggers"), True)}


SHELF = Shelf()


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    return write_file


@pytest.fixture
def mlp(write: Write) -> Path:
    write("model/big.yaml", "name: mlp\nhidden_dims: [512]\n")
    write(
        "experiment/good_run.yaml",
        "# @package _global_\ndefaults:\n  - override /model: big\ntrainer: {max_epochs: 3}\nmodel: {dropout: 0.5}\n",
    )
    write("experiment/cmnist/cnn.yaml", "# @package _global_\n---\ndefaults: [override /model: cnn]\nseed: 7\n")
    return write("mlp.yaml", MLP)


def composed(file: Path, *overrides: str) -> dict[str, Any]:
    return compose(file, overrides, SHELF).plain()


def problems_of(file: Path, *overrides: str, **settings: Any) -> tuple[Problem, ...]:
    with pytest.raises(BlueprintError) as caught:
        compose(file, overrides, SHELF, **settings)
    return caught.value.problems


def codes(file: Path, *overrides: str) -> list[str]:
    return [problem.code for problem in problems_of(file, *overrides)]


# One file


def test_a_file_alone_is_itself(mlp: Path) -> None:
    assert composed(mlp) == yaml.safe_load(MLP)
    assert list(composed(mlp)) == list(yaml.safe_load(MLP))


def test_choosing_a_component_replaces_the_whole_block(mlp: Path) -> None:
    assert composed(mlp, "model=cnn")["model"] == {"name": "cnn"}


def test_a_mapping_merges_unless_it_replaces(mlp: Path) -> None:
    assert composed(mlp, "model={name: cnn}")["model"] == {"name": "cnn", "hidden_dims": [128, 128]}
    assert composed(mlp, "model=replace({name: cnn})")["model"] == {"name": "cnn"}
    assert composed(mlp, "metrics.f1=replace({top_k: 1})")["metrics"]["f1"] == {"top_k": 1}
    assert codes(mlp, "model=replace(3)") == ["override-syntax"]


def test_a_package_that_no_defaults_list_has_must_be_added(mlp: Path) -> None:
    assert codes(mlp, "model@backbone=big") == codes(mlp, "++model@backbone=big") == ["override-unmatched"]
    assert composed(mlp, "+model@backbone=big")["backbone"] == {"name": "mlp", "hidden_dims": [512]}


def test_a_choice_remembers_the_command_line_and_what_it_replaced(mlp: Path) -> None:
    document = compose(mlp, ["model=cnn"], SHELF)
    node = document.find(("model",))
    assert node is not None
    assert node.was is not None
    assert node.was.plain() == {"name": "mlp", "hidden_dims": [128, 128]}
    assert document.source(("model", "name")) == Source.override("model=cnn")


def test_a_file_option_keeps_the_places_of_its_file(mlp: Path) -> None:
    document = compose(mlp, ["model=big"], SHELF)
    assert document.plain()["model"] == {"name": "mlp", "hidden_dims": [512]}
    assert document.source(("model", "hidden_dims", 0)) == Source(mlp.parent / "model/big.yaml", 2, 15, 3)
    assert set(document.texts) == {mlp, mlp.parent / "model/big.yaml"}


def test_a_file_option_wins_over_a_registered_name(mlp: Path, write: Write) -> None:
    write("model/cnn.yaml", "name: cnn\nchannels: 3\n")
    assert composed(mlp, "model=cnn")["model"] == {"name": "cnn", "channels": 3}


def test_a_section_that_the_file_lacks_can_be_chosen(mlp: Path) -> None:
    assert composed(mlp, "optimizer=sgd", "optimizer.lr=1e-2")["optimizer"] == {"name": "sgd", "lr": 0.01}
    assert composed(mlp, "+optimizer=torch.optim.SGD")["optimizer"] == {"name": "torch.optim.SGD"}


def test_a_bare_string_or_null_is_a_block_too(write: Write) -> None:
    file = write("b.yaml", "model: mlp\nscheduler:\n")
    assert composed(file) == {"model": "mlp", "scheduler": None}
    assert composed(file, "model=cnn")["model"] == {"name": "cnn"}


@pytest.mark.parametrize(
    ("override", "metrics"),
    [
        ("metrics=[f1]", {"f1": None}), ("metrics=accuracy", {"accuracy": None}), ("metrics=[]", {}),
        ("metrics=[f1,accuracy]", {"f1": None, "accuracy": None}), ("~metrics.f1", {"accuracy": None}),
        ("~metrics=f1", {"accuracy": None}),
        ("metrics.f1.average=micro", {"accuracy": None, "f1": {"average": "micro"}}),
        ("metrics.accuracy.top_k=3", {"accuracy": {"top_k": 3}, "f1": {"average": "macro"}}), ("metrics=null", None),
        ("metrics.top3={name: accuracy, top_k: 3}",
         {"accuracy": None, "f1": {"average": "macro"}, "top3": {"name": "accuracy", "top_k": 3}}),
    ],
)  # fmt: skip
def test_metrics_are_chosen_by_label(mlp: Path, override: str, metrics: object) -> None:
    assert composed(mlp, override)["metrics"] == metrics


def test_a_label_can_be_added(write: Write) -> None:
    file = write("b.yaml", "metrics: {accuracy: }\n")
    assert composed(file, "+metrics=f1")["metrics"] == {"accuracy": None, "f1": None}


def test_a_section_can_be_set_to_null_or_deleted(mlp: Path) -> None:
    assert composed(mlp, "model=null")["model"] is None
    assert "model" not in composed(mlp, "~model")
    assert "model" not in composed(mlp, "~model=mlp")
    assert codes(mlp, "~model=cnn") == ["override-delete-mismatch"]
    assert codes(mlp, "~optimizer") == ["override-nothing-to-delete"]


# Experiments and defaults lists


def test_an_experiment_overrides_the_choice_and_refines_it(mlp: Path) -> None:
    result = composed(mlp, "+experiment=good_run")
    assert result["model"] == {"name": "mlp", "hidden_dims": [512], "dropout": 0.5}
    assert result["trainer"] == {"max_epochs": 3}


def test_an_experiment_needs_no_plus_and_may_be_nested(mlp: Path) -> None:
    result = composed(mlp, "experiment=cmnist/cnn")
    assert (result["model"], result["seed"]) == ({"name": "cnn"}, 7)


def test_the_command_line_wins_over_an_experiment(mlp: Path) -> None:
    result = composed(mlp, "+experiment=good_run", "model=cnn", "trainer.max_epochs=1")
    assert (result["model"], result["trainer"]) == ({"name": "cnn", "dropout": 0.5}, {"max_epochs": 1})


def test_a_choice_in_a_defaults_list_keeps_its_place(write: Write) -> None:
    file = write("b.yaml", "defaults:\n  - model: cnn\nmodel: {channels: 3}\n")
    document = compose(file, (), SHELF)
    assert document.plain() == {"model": {"name": "cnn", "channels": 3}}
    assert document.source(("model", "name")).line == 2


def test_a_block_refines_the_base_it_builds_on(write: Write) -> None:
    write("base.yaml", "model: {name: mlp, width: 3}\nseed: 1\n")
    file = write("b.yaml", "defaults: [base]\nmodel: {depth: 2}\n")
    assert composed(file) == {"model": {"name": "mlp", "width": 3, "depth": 2}, "seed": 1}
    assert composed(file, "model=cnn")["model"] == {"name": "cnn"}


def test_a_block_refines_the_group_of_its_base(write: Write) -> None:
    write("model/big.yaml", "name: mlp\nwidth: 512\n")
    write("base.yaml", "defaults: [{model: big}, _self_]\nseed: 1\n")
    file = write("b.yaml", "defaults: [base, _self_]\nmodel: {depth: 2}\n")
    assert composed(file)["model"] == {"name": "mlp", "width": 512, "depth": 2}
    assert composed(file, "model=cnn")["model"] == {"name": "cnn", "depth": 2}


def test_an_experiment_that_chooses_without_override_is_refused(mlp: Path, write: Write) -> None:
    write("experiment/bare.yaml", "# @package _global_\ndefaults:\n  - /model: cnn\nseed: 1\n")
    (problem,) = problems_of(mlp, "+experiment=bare")
    assert (problem.code, problem.facts["group"], problem.source.line) == ("group-twice", "model", 3)


def test_a_mapping_refines_a_bare_string(mlp: Path, write: Write) -> None:
    write("experiment/loss.yaml", "# @package _global_\nloss: {label_smoothing: 0.1}\n")
    assert composed(mlp, "+experiment=loss")["loss"] == {"name": "cross_entropy", "label_smoothing": 0.1}


def test_options_may_have_defaults_of_their_own(write: Write) -> None:
    write("model/common.yaml", "dropout: 0.1\n")
    write("model/big.yaml", "defaults: [common]\nname: mlp\n")
    file = write("b.yaml", "defaults: [{model: big}]\n")
    assert composed(file)["model"] == {"dropout": 0.1, "name": "mlp"}


# What was replaced


def replaced(file: Path, path: KeyPath, *overrides: str) -> list[tuple[object, str, int]]:
    """The value at `path` and those before it, the newest first: value, file or override, line."""
    document = compose(file, overrides, SHELF)
    node = document.find(path) or document.removed.get(path)
    found = []
    while node is not None:
        source = node.source
        found.append((node.plain(), source.file.name if source.file else source.label, source.line))
        node = node.was
    return found


@pytest.fixture
def layered(write: Write) -> Path:
    write("data/csv.yaml", "name: csv\nbatch_size: 128\n")
    write("data/csv_small.yaml", "defaults: [csv, _self_]\nbatch_size: 64\n")
    write("experiment/quick.yaml", "# @package _global_\ndata: {batch_size: 16}\n")
    return write("a.yaml", "defaults:\n  - data: csv_small\n  - _self_\ndata:\n  batch_size: 32\n")


def test_a_value_remembers_every_file_and_override_before_it(layered: Path) -> None:
    path = ("data", "batch_size")
    assert replaced(layered, path, "+experiment=quick", "data.batch_size=9", "data.batch_size=8") == [
        (8, "command line: data.batch_size=8", 0), (9, "command line: data.batch_size=9", 0), (16, "quick.yaml", 2),
        (32, "a.yaml", 5), (64, "csv_small.yaml", 2), (128, "csv.yaml", 2),
    ]  # fmt: skip


def test_another_option_remembers_the_one_in_the_defaults_list(layered: Path, write: Write) -> None:
    write("data/other.yaml", "name: csv\n")
    assert replaced(layered, ("data",), "data=other")[1:] == [("csv_small", "a.yaml", 2)]


def test_an_experiment_that_chooses_another_option_remembers_the_first(mlp: Path, write: Write) -> None:
    write("model/small.yaml", "name: mlp\nhidden_dims: [8]\n")
    file = write("chosen.yaml", "defaults:\n  - model: small\n  - _self_\n")
    found = replaced(file, ("model",), "+experiment=good_run")
    assert found[0][0] == {"name": "mlp", "hidden_dims": [512], "dropout": 0.5}
    assert found[1:] == [("small", "chosen.yaml", 2)]


def test_a_choice_remembers_the_blueprints_block_and_what_that_replaced(write: Write) -> None:
    write("base.yaml", "model: {name: mlp, hidden_dims: [1]}\n")
    file = write("top.yaml", "defaults: [base, _self_]\nmodel: {hidden_dims: [2]}\n")
    [chosen, before] = replaced(file, ("model",), "model=cnn")
    assert (chosen[0], before[0]) == ({"name": "cnn"}, {"name": "mlp", "hidden_dims": [2]})
    block = compose(file, ["model=cnn"], SHELF).find(("model",))
    assert block is not None
    assert block.was is not None
    dims = block.was.child("hidden_dims")
    assert dims is not None
    assert dims.was is not None
    assert dims.was.plain() == [1]


def test_what_an_override_removes_is_remembered(layered: Path) -> None:
    path, removal = ("data", "batch_size"), (None, "command line: ~data.batch_size", 0)
    earlier = [(32, "a.yaml", 5), (64, "csv_small.yaml", 2), (128, "csv.yaml", 2)]
    assert replaced(layered, path, "~data.batch_size") == [removal, *earlier]
    added = (4, "command line: +data.batch_size=4", 0)
    assert replaced(layered, path, "~data.batch_size", "+data.batch_size=4") == [added, removal, *earlier]


def test_a_block_that_is_removed_and_written_anew_remembers_the_old_one(mlp: Path) -> None:
    found = replaced(mlp, ("trainer",), "~trainer", "+trainer.max_epochs=1")
    assert [value for value, _, _ in found] == [{"max_epochs": 1}, None, {"max_epochs": 20}]


def test_an_element_of_a_list_remembers_its_value(mlp: Path) -> None:
    override = "model.hidden_dims.0=64"
    assert replaced(mlp, ("model", "hidden_dims", 0), override) == [
        (64, f"command line: {override}", 0), (128, "mlp.yaml", 4),
    ]  # fmt: skip


@pytest.mark.parametrize("override", ["trainer.max_epochs=1", "++trainer.max_epochs=1", "trainer.max_epochs=???"])
def test_however_a_value_is_replaced_it_is_remembered(mlp: Path, override: str) -> None:
    [_, before] = replaced(mlp, ("trainer", "max_epochs"), override)
    assert before == (20, "mlp.yaml", 9)


def test_every_file_tells_where_it_was_asked_for(layered: Path) -> None:
    document = compose(layered, ["+experiment=quick"], SHELF)
    folder = layered.parent
    assert {file.relative_to(folder).as_posix(): source for file, source in document.asked.items()} == {
        "data/csv.yaml": Source(folder / "data/csv_small.yaml", 1, 12, 3),
        "data/csv_small.yaml": Source(layered, 2, 5),
        "experiment/quick.yaml": Source.override("+experiment=quick"),
    }


# Value overrides


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("seed=1", ("seed",), 1), ("trainer.precision=16", ("trainer", "precision"), 16), ("++seed=1", ("seed",), 1),
        ("+seed=1", ("seed",), 1), ("++name=x", ("name",), "x"), ("name=~", ("name",), None),
        ("name=null", ("name",), None),
        ("name=", ("name",), ""), ("name='~'", ("name",), "~"), ("name=off", ("name",), "off"),
        ("name=012", ("name",), "012"),
        ("name=str(1)", ("name",), "1"), ("name=.inf", ("name",), float("inf")), ("name='a,b'", ("name",), "a,b"),
        ("model.hidden_dims=[1,2e0,x]", ("model", "hidden_dims"), [1, 2.0, "x"]),
        ("model.hidden_dims.0=64", ("model", "hidden_dims"), [64, 128]),
        ("~model.hidden_dims.0", ("model", "hidden_dims"), [128]),
        ("trainer={a: {b: 1}}", ("trainer",), {"max_epochs": 20, "a": {"b": 1}}),
        ("loss.weight=2", ("loss",), {"name": "cross_entropy", "weight": 2}),
        ("vars.a.b=1", ("vars",), {"a": {"b": 1}}),
        ("name=${seed}-x", ("name",), "${seed}-x"), ("loss=${vars.loss}", ("loss",), "${vars.loss}"),
        ("~trainer.max_epochs=20", ("trainer",), {}),
    ],
)  # fmt: skip
def test_an_override_sets_its_value(mlp: Path, override: str, path: tuple[str, ...], value: object) -> None:
    node = compose(mlp, [override], SHELF).find(path)
    assert node is not None
    assert node.plain() == value


def test_a_value_on_the_command_line_says_so_throughout(mlp: Path) -> None:
    document = compose(mlp, ["trainer={a: [1]}"], SHELF)
    assert document.source(("trainer", "a", 0)) == Source.override("trainer={a: [1]}")
    assert document.source(("trainer", "max_epochs")).line == 9


def test_an_override_remembers_the_value_that_it_replaced(mlp: Path) -> None:
    node = compose(mlp, ["trainer.max_epochs=3"], SHELF).find(("trainer", "max_epochs"))
    assert node is not None
    assert node.was is not None
    assert (node.was.value, node.was.source.line) == (20, 9)


@pytest.mark.parametrize(
    ("override", "code"),
    [
        ("+name=x", "override-exists"), ("+model=cnn", "override-exists"), ("~nope.x", "override-nothing-to-delete"),
        ("~name.x", "override-nothing-to-delete"), ("~name=x", "override-delete-mismatch"),
        ("name.x=1", "override-through-scalar"), ("trainer.max_epochs.x=1", "override-through-scalar"),
        ("model.hidden_dims.5=1", "override-no-element"), ("model.hidden_dims.x=1", "override-no-element"),
        ("seed=1,2", "sweep-without-multirun"), ("model=mlp,cnn", "sweep-without-multirun"),
        ("seed=choice(1,2)", "sweep-without-multirun"), ("seed=range(3)", "sweep-without-multirun"),
        ("seed=interval(0,1)", "sweep-without-multirun"), ("seed=glob(*)", "sweep-without-multirun"),
        ("seed", "override-syntax"), ("=1", "override-syntax"), ("", "override-syntax"), ("a=[1", "override-syntax"),
        ("a=ü", "override-syntax"), ("a=" + "[" * 2000, "override-syntax"), ("a=" + "9" * 5000, "override-syntax"),
        ("a='\x1b'", "override-syntax"), ("a=unknown(1)", "override-syntax"),
        ("x._target_=os.system", "code-key"), ("x={_target_: os.system}", "code-key"),
        ("x=[{a: {_args_: 1}}]", "code-key"),
        ("model=mpl", "unknown-name"), ("model=[mlp,cnn]", "option-list"), ("model=1", "option-not-text"),
        ("metrics=[acc]", "unknown-name"), ("+metrics=acc", "unknown-name"), ("experiment=nope", "unknown-option"),
        ("foo/bar=x", "unknown-group"), ("seed@x=1", "unknown-group"), ("model=../../etc/passwd", "option-outside"),
        ("model=/etc/passwd", "option-outside"), ("hydra.searchpath=[pkg://os]", "searchpath-refused"),
        ("hydra.searchpath=pkg", "searchpath-not-folders"), ("hydra.searchpath.0=x", "searchpath-not-folders"),
        ("model=" + "a" * 300, "unknown-name"), (f"hydra.searchpath=[{'a' * 300}]", "searchpath-missing"),
        ("hydra.sweep.x=1", "hydra-node"), ("hydra/launcher=nope", "unknown-name"),
        ("hydra.job_logging={}", "hydra-node"), ("hydra.callbacks.x.y=1", "hydra-node"),
        ("hydra.run.x=1", "hydra-node"),
        ("hydra=1", "hydra-node"), ("hydra/job_logging=colorlog", "hydra-node"), ("a." * 60 + "b=1", "limit"),
    ],
)  # fmt: skip
def test_an_override_that_cannot_be_meant_is_refused_on_the_command_line(mlp: Path, override: str, code: str) -> None:
    (problem,) = problems_of(mlp, override)
    assert problem.code == code
    assert problem.source == Source.override(override)


def test_folders_sweeps_and_launchers_may_be_set(mlp: Path) -> None:
    overrides = ["hydra.run.dir=out", "hydra.sweep.dir=s", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    assert composed(mlp, *overrides)["hydra"] == {
        "run": {"dir": "out"}, "sweep": {"dir": "s"}, "launcher": {"name": "joblib", "n_jobs": 2},
    }  # fmt: skip


def test_a_launcher_is_chosen_in_a_defaults_list_as_in_hydra(write: Write) -> None:
    file = write("b.yaml", "defaults:\n  - override hydra/launcher: joblib\nseed: 1\n")
    assert composed(file) == {"seed": 1, "hydra": {"launcher": {"name": "joblib"}}}


def test_a_group_file_of_launchers_builds_on_a_registered_one(mlp: Path, write: Write) -> None:
    write("hydra/launcher/slurm/kyiv.yaml", "defaults: [slurm]\npartition: gpu\n")
    write("hydra/sweeper/fcn_params.yaml", "defaults:\n  - optuna\nn_trials: 25\nparams: {seed: 'range(1, 4)'}\n")
    overrides = ["hydra/launcher=slurm/kyiv", "hydra.launcher.partition=cpu", "hydra/sweeper=fcn_params"]
    assert composed(mlp, *overrides)["hydra"] == {
        "launcher": {"name": "slurm", "partition": "cpu"},
        "sweeper": {"name": "optuna", "n_trials": 25, "params": {"seed": "range(1, 4)"}},
    }
    assert composed(mlp, "hydra/launcher=slurm")["hydra"]["launcher"] == {"name": "slurm"}


@pytest.mark.parametrize("item", ["hydra/launcher: slurm/kyiv", "override hydra/launcher: slurm/kyiv"])
def test_a_blueprint_chooses_a_launcher_and_the_command_line_another(write: Write, item: str) -> None:
    write("hydra/launcher/slurm/kyiv.yaml", "defaults: [slurm]\npartition: gpu\n")
    file = write("b.yaml", f"defaults: [{{{item}}}, _self_]\nhydra: {{launcher: {{timeout_min: 5}}}}\n")
    chosen = {"name": "slurm", "partition": "gpu", "timeout_min": 5}
    assert composed(file)["hydra"]["launcher"] == chosen
    assert composed(file, "hydra/launcher=joblib")["hydra"]["launcher"] == {"name": "joblib", "timeout_min": 5}


def test_an_experiment_may_choose_the_sweeper(mlp: Path, write: Write) -> None:
    write("experiment/study.yaml", "# @package _global_\ndefaults:\n  - override /hydra/sweeper: optuna\n")
    assert composed(mlp, "+experiment=study")["hydra"] == {"sweeper": {"name": "optuna"}}


def test_a_blueprint_writes_its_launcher_like_any_component(write: Write) -> None:
    file = write(
        "b.yaml", "hydra: {launcher: {name: joblib, n_jobs: 2}, sweep: {dir: s, subdir: '${hydra.job.num}'}}\n"
    )
    hydra_node = composed(file)["hydra"]
    assert hydra_node == {
        "launcher": {"name": "joblib", "n_jobs": 2},
        "sweep": {"dir": "s", "subdir": "${hydra.job.num}"},
    }
    assert composed(file, "hydra/launcher=local")["hydra"]["launcher"] == {"name": "local"}


def test_the_section_sweep_is_a_group_too(mlp: Path, write: Write) -> None:
    write("sweep/seeds.yaml", "defaults: [grid]\nparams: {seed: [1, 2]}\n")
    assert composed(mlp, "sweep=seeds")["sweep"] == {"name": "grid", "params": {"seed": [1, 2]}}


# The search path


@pytest.fixture
def shared(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A blueprint in `in/`, and groups in folders beside it; a person stands above them."""
    monkeypatch.chdir(tmp_path)
    write("one/model/big.yaml", "name: mlp\nwidth: 1\n")
    write("two/model/big.yaml", "name: mlp\nwidth: 2\n")
    write("two/model/wide.yaml", "defaults: [big]\ndepth: 2\n")
    write("two/experiment/quick.yaml", "# @package _global_\ndefaults: [override /model: wide]\nseed: 1\n")
    write("in/model/own.yaml", "name: cnn\n")
    return write("in/b.yaml", "hydra: {searchpath: [../one, 'file://../two']}\nmodel: mlp\n")


def test_options_are_found_in_the_folders_of_the_search_path(shared: Path) -> None:
    assert composed(shared, "model=own")["model"] == {"name": "cnn"}
    result = composed(shared, "+experiment=quick")
    assert (result["model"], result["seed"]) == ({"name": "mlp", "width": 1, "depth": 2}, 1)
    assert Composer(shared, SHELF).options("model") == ("big", "cnn", "mlp", "own", "wide")


def test_the_blueprints_own_folder_comes_first(shared: Path, write: Write) -> None:
    write("in/model/big.yaml", "name: mlp\nwidth: 0\n")
    assert composed(shared, "model=big")["model"]["width"] == 0


def test_the_command_line_replaces_the_search_path_or_adds_to_it(shared: Path) -> None:
    replaced_path = compose(shared, ["hydra.searchpath=[two]", "model=big"], SHELF)
    assert replaced_path.plain()["model"]["width"] == 2
    added = compose(shared, ["+hydra.searchpath=[in]", "model=big"], SHELF)
    assert added.plain()["hydra"]["searchpath"] == ["../one", "file://../two", "in"]
    assert added.plain()["model"]["width"] == 1
    assert codes(shared, "~hydra.searchpath", "model=big") == ["unknown-name"]


def test_a_search_path_may_be_absolute(shared: Path, tmp_path: Path) -> None:
    text = f"hydra.searchpath=['file://{tmp_path}/two']"
    assert compose(shared, [text, "model=big"], SHELF).plain()["model"]["width"] == 2


@pytest.mark.parametrize(
    ("folders", "code"),
    [
        ("[pkg://os]", "searchpath-refused"), ("['https://x.y/conf']", "searchpath-refused"), ("one",
        "searchpath-not-folders"),
        ("['//host/share']", "searchpath-refused"), ("['file:////host/share']", "searchpath-refused"),
        ("['${oc.env:HOME}']", "searchpath-refused"), ("[nowhere]", "searchpath-missing"), ("[1]",
        "searchpath-not-folders"),
        ("[in/b.yaml]", "searchpath-missing"), ("{a: one}", "searchpath-not-folders"),
    ],
)  # fmt: skip
def test_a_search_path_has_local_folders_only(shared: Path, folders: str, code: str) -> None:
    assert codes(shared, f"hydra.searchpath={folders}") == [code]
    file = shared.with_name("c.yaml")
    file.write_text(f"hydra:\n  searchpath: {folders}\nmodel: mlp\n")
    (problem,) = problems_of(file)
    assert (problem.code, problem.source.line) == (code, 2)


def test_an_option_cannot_write_the_search_path(shared: Path, write: Write) -> None:
    write("in/experiment/lost.yaml", "# @package _global_\nhydra: {searchpath: [../one]}\n")
    (problem,) = problems_of(shared, "+experiment=lost")
    assert (problem.code, problem.source.file) == ("searchpath-elsewhere", shared.parent / "experiment/lost.yaml")


def test_an_option_of_the_search_path_stays_in_its_folder(shared: Path) -> None:
    assert codes(shared, "model=../../one/model/big") == ["option-outside"]


# One blueprint, many times


def test_a_composer_reads_its_files_once(mlp: Path, write: Write) -> None:
    composer = Composer(mlp, SHELF)
    before = composer.compose(["model=big"]).plain()
    write("mlp.yaml", "name: other\n")
    write("model/big.yaml", "name: cnn\n")
    assert composer.compose(["model=big"]).plain() == before
    assert composed(mlp, "model=big") == {"name": "other", "model": {"name": "cnn"}}


def test_what_one_composition_changes_is_not_seen_by_the_next(mlp: Path) -> None:
    composer = Composer(mlp, SHELF)
    first = composer.compose(["model.hidden_dims.0=1", "~trainer", "+metrics=f1"])
    assert composer.compose().plain() == composed(mlp)
    assert first.plain() == composed(mlp, "model.hidden_dims.0=1", "~trainer", "+metrics=f1")


SHELVED = [
    "model=cnn", "model=big", "model=mpl", "model.width=1", "~model", "+model=cnn", "optimizer=sgd",
    "optimizer.lr=1e-3",
    "metrics=[f1]", "+metrics=f1", "+metrics=nope", "~metrics.accuracy", "experiment=good_run", "+experiment=nope",
    "hydra/launcher=slurm", "hydra.launcher.n=1", "hydra.searchpath=[model]", "+hydra.searchpath=[experiment]",
    "trainer.max_epochs=1", "++vars.x=[1,2]", "seed=1,2", "x=[", "loss.weight=2", "name.x=1",
]  # fmt: skip


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from(SHELVED), max_size=5), min_size=2, max_size=6))
def test_a_composer_with_components_composes_the_same_again(variants: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = written(
            Path(folder),
            {
                "main.yaml": MLP,
                "model/big.yaml": "name: mlp\nhidden_dims: [512]\n",
                "experiment/good_run.yaml": "# @package _global_\ndefaults:\n  - override /model: big\nseed: 1\n",
            },
        )
        used = Composer(file, SHELF)
        for overrides in [*variants, *variants]:
            assert outcome(used, overrides) == outcome(Composer(file, SHELF), overrides)


def test_plain_data_composes_like_a_file(mlp: Path) -> None:
    overrides = ["+experiment=good_run", "trainer.max_epochs=2", "optimizer=sgd"]
    document = Composer.of(yaml.safe_load(MLP), mlp.parent, "hydrantic.fit", SHELF).compose(overrides)
    assert document.plain() == composed(mlp, *overrides)
    assert document.source(("metrics", "f1")) == Source(label="hydrantic.fit")
    assert set(document.texts) == {mlp.parent / "model/big.yaml", mlp.parent / "experiment/good_run.yaml"}


def test_plain_data_may_have_a_defaults_list(mlp: Path) -> None:
    plain = {"defaults": [{"model": "big"}, "_self_"], "model": {"dropout": 0.1}, "data": {"split": (8, 1, 1)}}
    assert Composer.of(plain, mlp.parent, "here", SHELF).compose().plain() == {
        "model": {"name": "mlp", "hidden_dims": [512], "dropout": 0.1}, "data": {"split": [8, 1, 1]},
    }  # fmt: skip


ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)


@pytest.mark.parametrize(
    ("plain", "code", "path"),
    [
        ({"a": {"b": [Path()]}}, "not-plain", ("a", "b", 0)), ({"a": {1, 2}}, "not-plain", ("a",)),
        ({"a": {"_target_": "os.system"}}, "code-key", ("a", "_target_")), ({"a": ENDLESS}, "limit", ("a",)),
        ({("a", "b"): 1}, "not-plain", ()), ({"a": list(range(100_001))}, "limit", ("a",)),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)  # fmt: skip
def test_plain_data_is_guarded_like_a_file(tmp_path: Path, plain: dict[Any, Any], code: str, path: KeyPath) -> None:
    with pytest.raises(BlueprintError) as caught:
        Composer.of(plain, tmp_path, "here", SHELF)
    (problem,) = caught.value.problems
    assert (problem.code, problem.path, problem.source) == (code, path, Source(label="here"))


def test_runs_beside_a_blueprint_are_no_options(mlp: Path, write: Write) -> None:
    write("runs/mlp/2026/blueprint.yaml", MLP)
    write("runs/mlp/2026/run.json", "{}")
    write("runs/mlp/2026/wandb/config.yaml", "a: 1")
    assert not any(group.startswith("runs") for group in Composer(mlp, SHELF).groups())
    assert composed(mlp, "runs=3")["runs"] == 3


def test_a_composer_tells_groups_options_and_what_was_chosen(mlp: Path) -> None:
    composer = Composer(mlp, SHELF)
    assert {"model", "experiment", "experiment/cmnist", "hydra/launcher"} <= set(composer.groups())
    assert composer.options("experiment") == ("cmnist/cnn", "good_run")
    assert composer.options("nowhere") == composer.options("") == ()
    found = [(each.option, each.package, each.file) for each in composer.chosen(["+experiment=good_run"])]
    assert found == [
        ("model/big", "model", mlp.parent / "model/big.yaml"), ("mlp", "", mlp),
        ("experiment/good_run", "", mlp.parent / "experiment/good_run.yaml"),
    ]  # fmt: skip


# Problems


def test_problems_of_files_and_overrides_are_listed_together(mlp: Path, write: Write) -> None:
    write("model/bad.yaml", "name: mlp\nname: cnn\nx: !!python/name:os.system y\n")
    found = codes(mlp, "model=bad", "optimizer=adm", "a=[", "b=1,2", "trainer.max_epochs.x=1", "experiment=nope")
    assert sorted(found) == sorted([
        "override-syntax", "sweep-without-multirun", "duplicate-key", "yaml-tag", "unknown-name", "unknown-option",
        "override-through-scalar",
    ])  # fmt: skip


def test_an_unknown_name_lists_the_known_ones(mlp: Path) -> None:
    (problem,) = problems_of(mlp, "model=mpl")
    assert problem.facts == {"kind": "model", "name": "mpl", "known": ("big", "cnn", "mlp")}


def test_an_unknown_option_lists_the_files(mlp: Path) -> None:
    (problem,) = problems_of(mlp, "+experiment=nope")
    assert problem.facts == {"group": "experiment", "name": "nope", "known": ("cmnist/cnn", "good_run")}


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("defaults: 1\n", "defaults-not-a-list", 1), ("defaults:\n  - 3\n", "defaults-item", 2),
        ("defaults:\n  - {a: b, c: d}\n", "defaults-item", 2), ("defaults:\n  - nope\n", "unknown-option", 2),
        ("defaults:\n  - model: nope\n", "unknown-name", 2), ("defaults:\n  - x/y: z\n", "unknown-option", 2),
        ("defaults:\n  - ../secret\n", "option-outside", 2),
        ("defaults:\n  - override /db: x\n", "override-unmatched", 2),
        ("defaults:\n  - model: ???\n", "option-missing", 2),
        ("defaults:\n  - hydra/job_logging: x\n", "hydra-node", 2),
        ("defaults:\n  - pkg://os\n", "option-outside", 2), ("defaults: [model: mlp, model: cnn]\n", "group-twice", 1),
        ("hydra:\n  job: {name: x}\n", "hydra-node", 2), ("a: {_target_: x}\n", "code-key", 1),
        ("# @package a b\nx: 1\n", "package-header", 1), ("defaults: [_self_, _self_]\n", "defaults-invalid", 0),
        ("defaults:\n  - b\n", "defaults-cycle", 2), ("", "file-empty", 0),
    ],
)  # fmt: skip
def test_a_mistake_in_a_file_has_its_place(write: Write, text: str, code: str, line: int) -> None:
    (problem,) = problems_of(write("b.yaml", text))
    assert (problem.code, problem.source.line) == (code, line)


def test_a_cycle_of_options_is_named(write: Write) -> None:
    write("x.yaml", "defaults: [y]\n")
    write("y.yaml", "defaults: [x]\n")
    (problem,) = problems_of(write("b.yaml", "defaults: [x]\n"))
    assert problem.code == "defaults-cycle"
    assert set(problem.facts["cycle"]) == {"x", "y"}


def test_a_flood_of_options_is_refused_fast(write: Write) -> None:
    for level in range(20):
        write(f"g/a{level}.yaml", f"defaults: [a{level + 1}@p, a{level + 1}@q]\n")
    write("g/a20.yaml", "x: 1\n")
    started = time.perf_counter()
    (problem,) = problems_of(write("b.yaml", "defaults: [g/a0]\n"))
    assert (problem.code, problem.facts["what"]) == ("limit", "options")
    assert time.perf_counter() - started < 20


def test_a_link_that_leaves_the_folder_is_not_followed(write: Write, tmp_path: Path) -> None:
    write("outside.yaml", "seed: 1\n")
    file = write("in/b.yaml", "name: x\n")
    (tmp_path / "in/model").mkdir()
    os.symlink(tmp_path / "outside.yaml", tmp_path / "in/model/leak.yaml")
    assert codes(file, "model=leak") == ["unknown-name"]


def test_the_composed_blueprint_is_limited(write: Write) -> None:
    file = write("b.yaml", "a: [1, 2, 3]\n")
    (problem,) = problems_of(file, "b=[1,2,3]", "c=[1,2,3]", limits=Limits(nodes=10))
    assert problem.facts == {"what": "nodes", "allowed": 10}


# Paths and state


def test_a_relative_path_in_the_working_directory_works(mlp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mlp.parent)
    document = compose(Path("mlp.yaml"), ["model=big"], SHELF)
    assert str(document.source(("model", "name"))) == "model/big.yaml:1:7"


@pytest.mark.parametrize("name", ["my größe/a b.yaml", "x/é.yml", "y/a.b.yaml", "z/${x}@y.yaml", "w/???.yaml"])
def test_unusual_file_names_work(write: Write, name: str) -> None:
    file = write(name, "model: mlp\n")
    option = file.parent / "model" / "wide.yml"
    option.parent.mkdir()
    option.write_text("name: mlp\nwidth: 9\n")
    assert composed(file, "model=wide") == {"model": {"name": "mlp", "width": 9}}


def test_a_missing_blueprint_is_a_problem(tmp_path: Path) -> None:
    assert codes(tmp_path / "no.yaml", "a=[") == ["file-missing", "override-syntax"]


def test_a_folder_of_data_is_no_group(write: Write, tmp_path: Path) -> None:
    (tmp_path / "seed").mkdir()
    (tmp_path / "seed/x.csv").write_text("1")
    assert composed(write("b.yaml", "a: 1\n"), "seed=x") == {"a": 1, "seed": "x"}


def test_hydra_keeps_its_state(mlp: Path) -> None:
    before, singleton = version.getbase(), GlobalHydra.instance().is_initialized()
    compose(mlp, ["model=cnn"], SHELF)
    assert (version.getbase(), GlobalHydra.instance().is_initialized()) == (before, singleton)


# Against Hydra

LEAVES: dict[str, st.SearchStrategy[Any]] = {
    "s": st.sampled_from([1, 2.5, "text", True, None, "???"]),
    "t": st.sampled_from([1, "other", False]),
    "l": st.lists(st.integers(0, 3), max_size=2),
}
leaf = st.fixed_dictionaries({}, optional=LEAVES)
tree = st.fixed_dictionaries({}, optional={**LEAVES, "m": leaf, "n": st.fixed_dictionaries({}, optional={"m": leaf})})
option = st.tuples(tree, st.sampled_from(["", "", "# @package _global_\n", "# @package m.n\n", "# @package _group_\n"]))


@st.composite
def projects(draw: st.DrawFn) -> tuple[dict[str, str], list[str]]:
    files: dict[str, str] = {}
    for group in ("db", "srv"):
        for name in ("a", "b"):
            body, header = draw(option)
            inner = draw(st.sampled_from([None, None, ["_self_", "base"], [{"sub": "x"}, "_self_"]]))
            files[f"{group}/{name}.yaml"] = header + dumped(body, inner)
        files[f"{group}/base.yaml"] = dumped(draw(tree), None)
        files[f"{group}/sub/x.yaml"] = dumped(draw(leaf), None)
    experiment = draw(st.lists(st.sampled_from([{"override /db": "b"}, {"override /srv": "a"}]), unique_by=str))
    files["exp/e.yaml"] = "# @package _global_\n" + dumped(draw(tree), [*experiment] or None)
    files["exp/nest/f.yaml"] = "# @package _global_\n" + dumped(draw(tree), None)
    items: list[Any] = ["_self_", {"db": draw(st.sampled_from(["a", "b", ["a", "b"], None]))}]
    items += [{"srv@m": draw(st.sampled_from(["a", "b"]))}] if draw(st.booleans()) else [{"optional srv": "none"}]
    files["main.yaml"] = dumped(draw(tree), draw(st.permutations(items)))
    return files, draw(st.lists(st.sampled_from(OVERRIDES), max_size=4, unique=True))


OVERRIDES = [
    "db=b", "db=[b,a]", "~db", "+exp=e", "+exp=nest/f", "srv=b", "srv@m=b", "+srv@z=a", "s=3", "++s=4", "+u=5",
    "m.s=null", "++m.q.r=1",
    "l=[7]", "++m={s: 9, z: {y: 1}}", "+n={m: {t: 3}}", "~s", "~m", "~t=1", "++db.s=x", "++k='1'",
    "++k=[a,{b: 1e-3}]", "t=str(2)",
]  # fmt: skip


def dumped(body: Mapping[str, Any], defaults: list[Any] | None) -> str:
    whole = {**({"defaults": defaults} if defaults else {}), **body}
    return yaml.safe_dump(copy.deepcopy(whole), sort_keys=False) if whole else ""


def written(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder / "main.yaml"


def hydra_composed(folder: Path, overrides: list[str]) -> Any:
    GlobalHydra.instance().clear()
    base = version.getbase()
    try:
        with hydra.initialize_config_dir(str(folder), version_base="1.3"):
            return OmegaConf.to_container(hydra.compose("main", overrides))
    except (HydraException, OmegaConfBaseException, ValueError, AssertionError):
        return None
    finally:
        GlobalHydra.instance().clear()
        version.VersionBase.instance().version_base = base


@settings(derandomize=True, max_examples=120, deadline=None)
@given(projects())
def test_plain_composition_equals_hydras(project: tuple[dict[str, str], list[str]]) -> None:
    files, overrides = project
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        written(Path(folder), files)
        theirs = hydra_composed(Path(folder), overrides)
        if theirs is None or not files["main.yaml"]:
            return
        ours: Document = compose(Path(folder, "main.yaml"), overrides)
        assert ours.plain() == theirs


@pytest.mark.parametrize(
    "override",
    ["k=", "+new=", "m=", "++m.k=", "k=null", "+l=[a,'']", "~k=", "m@z=x", "+m@z=x"]
    + [f"+exp={name}" for name in ("beside", "n/above", "n/here", "n/other", "outside")],
)
def test_empty_texts_packages_and_relative_options_compose_as_in_hydra(tmp_path: Path, override: str) -> None:
    header = "# @package _global_\n"
    files = {
        "conf/main.yaml": "k: 1\nm: {k: 2}\n",
        "conf/m/x.yaml": "k: 3\n",
        "conf/exp/beside.yaml": header + "defaults: [./n/../option]\n",
        "conf/exp/option.yaml": header + "k: 4\n",
        "conf/exp/n/above.yaml": header + "defaults: [../exp/option]\nnew: 1\n",
        "conf/exp/n/here.yaml": header + "defaults: [n/../n/last]\n",
        "conf/exp/n/last.yaml": header + "k: 5\n",
        "conf/exp/n/other.yaml": header + "defaults: [{../m@z: x}]\n",
        "conf/exp/outside.yaml": header + "defaults: [../../conf/exp/option]\n",
    }
    wanted = "only we refuse" if override == "+exp=outside" else {"the same", "both refuse"}
    found = verdict(tmp_path, Case(files, (override,)))
    assert found in wanted, found


@pytest.fixture
def hydra_without_a_shared_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hydra's cache gives one option out twice, and merging over the first changes the second; here each is its own."""
    load = CachingConfigRepository.load_config

    def load_a_copy(self: CachingConfigRepository, config_path: str) -> Any:
        return copy.deepcopy(load(self, config_path))

    monkeypatch.setattr(CachingConfigRepository, "load_config", load_a_copy)


Verdict = Literal["the same", "both refuse", "Hydra refuses", "only we refuse", "something else"]


def verdict(folder: Path, case: Case, groups: Groups | None = None) -> Verdict:
    """What comes of composing a case with Hydra and here; a blueprint's `hydra:` node is Hydra's own matter."""
    for name, text in case.files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace(FOLDER, str(folder)))
    overrides = [each.replace(FOLDER, str(folder)) for each in case.overrides]
    theirs = hydra_composed(folder / "conf", overrides)
    try:
        ours = compose(folder / "conf/main.yaml", overrides, groups).plain()
    except BlueprintError:
        return "both refuse" if theirs is None else "only we refuse"
    ours.pop("hydra", None)
    if theirs is None:
        return "Hydra refuses"
    return "the same" if ours == theirs else "something else"


def verdicts(folder: Path, seeds: range) -> Counter[Verdict]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Counter(verdict(folder / str(seed), generated(Random(seed))) for seed in seeds)


@pytest.mark.usefixtures("hydra_without_a_shared_cache")
@pytest.mark.parametrize(
    ("seeds", "same"),
    [(range(100), 40), pytest.param(range(100, 700), 240, marks=pytest.mark.slow)],
)
def test_groups_that_inherit_and_nest_compose_as_in_hydra(tmp_path: Path, seeds: range, same: int) -> None:
    found = verdicts(tmp_path, seeds)
    assert set(found) <= {"the same", "both refuse", "Hydra refuses"}
    assert found["the same"] >= same


SECTIONS = {
    "model/big.yaml": "defaults: [mlp]\nwidth: 2\n",
    "metrics/both.yaml": "defaults: [accuracy, f1, _self_]\nf1: {average: macro}\n",
    "optimizer/slow.yaml": "defaults:\n  - sgd\n  - _self_\nlr: 1e-4\n",
    "experiment/good_run.yaml": "# @package _global_\n"
    "defaults:\n  - override /model: big\n  - override /metrics: [f1]\nmodel: {dropout: 0.5}\n",
    "experiment/cmnist/cnn.yaml": "# @package _global_\n---\n"
    "defaults: [override /model: cnn, override /optimizer: slow]\n",
    "experiment/plain.yaml": "seed: 3\n",
}
"""Groups that build on registered names."""

CHOICES = [
    "model=cnn", "model=big", "model=mlp", "metrics=f1", "metrics=[accuracy,f1]", "metrics=both", "optimizer=slow",
    "optimizer=sgd", "+experiment=good_run", "+experiment=cmnist/cnn", "+experiment=plain", "++model.width=9", "seed=5",
    "++metrics.f1.average=micro", "+metrics@validation=f1", "~seed", "~optimizer", "trainer.max_epochs=7",
    "~model.name",
]  # fmt: skip
LISTS: list[list[Any]] = [
    [{"model": "mlp"}, {"metrics": "accuracy"}, {"optimizer": "sgd"}, "_self_"],
    ["_self_", {"model": "big"}, {"metrics": ["accuracy", "f1"]}, {"optimizer": "slow"}],
    [{"model": "cnn"}, "_self_", {"metrics": "both"}, {"optimizer": "adamw"}, {"experiment": "good_run"}],
    [{"optimizer": "sgd"}, {"metrics": ["f1"]}, {"model": "mlp"}],
]


@settings(derandomize=True, max_examples=80, deadline=None)
@given(st.sampled_from(LISTS), st.lists(st.sampled_from(CHOICES), max_size=4, unique=True), st.booleans())
def test_registered_names_compose_as_files_of_those_names_do_in_hydra(
    items: list[Any], overrides: list[str], refined: bool
) -> None:
    body = {"seed": 1, "trainer": {"max_epochs": 2}, **({"model": {"depth": 3}} if refined else {})}
    files = {**SECTIONS, "main.yaml": dumped(body, items)}
    names = {
        f"{section}/{name}.yaml": f"{name}:\n" if labelled else f"name: {name}\n"
        for section, labelled in SHELF.sections().items()
        for name in SHELF.names(section)
        if "." not in name and not section.startswith("hydra/")
    }
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        written(Path(folder, "theirs"), {**files, **names})
        theirs = hydra_composed(Path(folder, "theirs"), overrides)
        if theirs is not None:
            assert compose(written(Path(folder, "ours"), files), overrides, SHELF).plain() == theirs


def told(node: Any) -> Any:
    """Everything that a node says: values, places and what they replaced."""
    if node is None:
        return None
    inner = {key: told(each) for key, each in node.children()}
    return (inner if isinstance(node.value, dict | list) else repr(node.value)), node.source, node.key, told(node.was)


def outcome(composer: Composer, overrides: list[str]) -> Any:
    """A document in full, or the problems in their order."""
    problems = Problems()
    try:
        document = composer.compose(overrides, problems)
    except BlueprintError as error:
        return error.problems
    removed = {path: told(node) for path, node in document.removed.items()}
    return told(document.root), removed, document.asked, document.texts, document.file, tuple(problems)


MANY = [*OVERRIDES, "db=nope", "a=[", "b=1,2", "~nope", "x._target_=y", "s.x=1", "+db=a", "exp=nope", "srv@z=a"]


@settings(derandomize=True, max_examples=40, deadline=None)
@given(projects(), st.lists(st.lists(st.sampled_from(MANY), max_size=5), min_size=2, max_size=6))
def test_a_composer_that_has_composed_before_composes_the_same(
    project: tuple[dict[str, str], list[str]], variants: list[list[str]]
) -> None:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = written(Path(folder), project[0])
        used = Composer(file)
        for overrides in [*variants, *variants]:
            assert outcome(used, overrides) == outcome(Composer(file), overrides)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.lists(st.text("am.odel=[]{}:,~+/@'\"$ 1\\()", max_size=14), max_size=3))
def test_any_override_is_applied_or_refused_with_problems(overrides: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "b.yaml")
        file.write_text(MLP)
        try:
            compose(file, overrides, SHELF)
        except BlueprintError as error:
            assert error.problems

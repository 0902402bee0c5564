"""Composing a blueprint: options, overrides and provenance."""

from __future__ import annotations

import copy
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import hydra
import pytest
import yaml
from hydra import version
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hydrantic.compose import compose
from hydrantic.document import Document, Limits
from hydrantic.errors import BlueprintError
from hydrantic.problems import Problem
from hydrantic.source import KeyPath, Source

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
        }  # fmt: skip
        return registered.get(section, ())

    def sections(self) -> Mapping[str, bool]:
        single = ("data", "model", "loss", "optimizer", "scheduler")
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
        ("name=", ("name",), None), ("name='~'", ("name",), "~"), ("name=off", ("name",), "off"),
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
        ("model=/etc/passwd", "option-outside"), ("hydra.searchpath=[pkg://os]", "hydra-node"),
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
        ("hydra:\n  searchpath: [x]\n", "hydra-node", 2), ("a: {_target_: x}\n", "code-key", 1),
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


@settings(derandomize=True, max_examples=250, deadline=None)
@given(projects())
def test_plain_composition_equals_hydras(project: tuple[dict[str, str], list[str]]) -> None:
    files, overrides = project
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, text in files.items():
            file = Path(folder, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        theirs = hydra_composed(Path(folder), overrides)
        if theirs is None or not files["main.yaml"]:
            return
        ours: Document = compose(Path(folder, "main.yaml"), overrides)
        assert ours.plain() == theirs


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

"""The outline of a blueprint, read without composing it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hydrantic.completion.outline import Groups, chosen_groups, outline
from tests.projects import write


def of(file: Path, *overrides: str) -> dict[str, object]:
    return outline(file, overrides, Groups(file.parent))


def test_options_are_files_below_the_folder_of_a_group(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yml", "deep/c.yaml", ".hidden/d.yaml", "notes.txt"):
        write(tmp_path / "experiment" / name, "")
    (tmp_path / "empty").mkdir()
    groups = Groups(tmp_path)
    assert groups.names == ("experiment",)
    assert list(groups.options("experiment")) == ["a", "b", "deep/c"]
    assert groups.options("../experiment") == {}
    assert Groups(None).names == ()


def test_the_defaults_list_is_laid_below_what_the_file_says(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", "seed: 1\nname: base\n")
    write(tmp_path / "model" / "big.yaml", "name: mlp\ndropout: 0.5\n")
    file = write(
        tmp_path / "a.yaml",
        "defaults: [base, model: big, metrics: [f1, auroc], optimizer: sgd]\nmodel: {dropout: 0}\nname: a\n",
    )
    assert of(file) == {
        "seed": 1,
        "name": "a",
        "model": {"name": "mlp", "dropout": 0},
        "metrics": {"f1": None, "auroc": None},
        "optimizer": {"name": "sgd"},
    }
    assert chosen_groups(file) == ("model", "metrics", "optimizer")


def test_a_file_that_comes_first_is_overruled_by_its_defaults_list(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", "seed: 1\n")
    assert of(write(tmp_path / "a.yaml", "defaults: [_self_, base]\nseed: 2\n")) == {"seed": 1}


def test_a_header_says_where_an_option_belongs(tmp_path: Path) -> None:
    write(tmp_path / "experiment" / "global.yaml", "# about it\n# @package _global_\nseed: 1\n")
    write(tmp_path / "experiment" / "vars.yaml", "# @package vars\na: 1\n")
    write(tmp_path / "experiment" / "own.yaml", "b: 1\n")
    file = write(tmp_path / "a.yaml", "defaults: [experiment: [global, vars, own]]\n")
    assert of(file) == {"seed": 1, "vars": {"a": 1}, "experiment": {"b": 1}}


@pytest.mark.parametrize(
    ("override", "found"),
    [
        ("seed=3", {"seed": 3}),
        ("++trainer.max_epochs=1", {"trainer": {"max_epochs": 1}}),
        ("model=cnn", {"model": {"name": "cnn"}}),
        ("model=null", {"model": None}),
        ("model.dropout=0.2", {"model": {"name": "mlp", "dropout": 0.2}}),
        ("model={name: x}", {"model": "{name: x}"}),
        ("metrics=[f1]", {"metrics": {"f1": None}}),
        ("+metrics=f1", {"metrics": {"accuracy": None, "f1": None}}),
        ("~metrics.accuracy", {"metrics": {}}),
        ("~nothing.there", {}),
        ("nonsense", {}),
        ("=", {}),
        ("a..b=1", {}),
        ("seed=" + "9" * 5000, {"seed": "9" * 5000}),
    ],
)
def test_overrides_are_applied_as_far_as_they_are_understood(
    override: str, found: dict[str, object], tmp_path: Path
) -> None:
    file = write(tmp_path / "a.yaml", "model: mlp\nmetrics: {accuracy: }\n")
    assert of(file, override) == {"model": "mlp", "metrics": {"accuracy": None}} | found


def test_files_that_load_one_another_come_to_an_end(tmp_path: Path) -> None:
    write(tmp_path / "b.yaml", "defaults: [a]\nseed: 1\n")
    assert of(write(tmp_path / "a.yaml", "defaults: [b]\nname: a\n")) == {"seed": 1, "name": "a"}


def test_what_is_broken_or_missing_is_empty(tmp_path: Path) -> None:
    assert of(write(tmp_path / "a.yaml", "defaults: [gone, model: gone]\n")) == {"model": {"name": "gone"}}
    assert of(write(tmp_path / "a.yaml", "a: [")) == {}
    assert outline(None, [], Groups(None)) == {}

"""One value explained: which one a key means, what is told of it, and what of a blueprint with problems."""

from __future__ import annotations

from pathlib import Path

import pytest

from hydrantic.errors import BlueprintError, UsageError
from hydrantic.explaining import Explanation, explain
from hydrantic.explaining.telling import tell
from hydrantic.project import Project
from tests.projects import write

pytestmark = pytest.mark.usefixtures("scratch")

FILES = {
    "blueprints/data/base.yaml": "name: digits\nbatch_size: 128\n",
    "blueprints/data/small.yaml": "defaults: [base, _self_]\nbatch_size: 64\n",
    "blueprints/experiment/quick.yaml": "# @package _global_\ndata: {batch_size: 16}\nmodel: {hidden_dims: [8]}\n",
    "blueprints/a.yaml": """\
defaults:
  - data: small
  - _self_
data:
  batch_size: 32
vars:
  base: &base {lr: 0.1, weight_decay: 0.5}
  epochs: ${.more}
  more: 5
  secret: ${oc.env:SECRET}
  which: secret
model:
  name: mlp
  hidden_dims: [64, 64]
  activation: relu
loss: cross_entropy
metrics:
  accuracy:
  top3: {name: accuracy, top_k: 3}
optimizer:
  <<: *base
  name: adamw
  lr: 0.01
scheduler: {name: cosine, T_max: "${vars.epochs}"}
loggers: {}
""",
    "pyproject.toml": '[tool.hydrantic]\nenv = ["SECRET"]\n',
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which a person stands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET", "hunter2")
    for name, text in FILES.items():
        write(tmp_path / name, text)
    return tmp_path


def explained(key: str, *overrides: str, file: str = "blueprints/a.yaml") -> Explanation:
    return explain(file, key, overrides)


def refused(key: str, *overrides: str) -> str:
    with pytest.raises(UsageError) as caught:
        explained(key, *overrides)
    return str(caught.value)


@pytest.mark.parametrize("key", ["vars.secret", "vars.passed_on", "vars", "vars.indirect"])
def test_a_value_from_the_environment_is_never_shown(key: str) -> None:
    found = explained(key, "+vars.passed_on=${vars.secret}", "+vars.indirect='${vars.${vars.which}}'")
    assert "${oc.env:SECRET}" in tell(found)
    assert "hunter2" not in tell(found) + str(found.to_plain())


def test_a_variable_of_the_environment_is_named() -> None:
    assert "refers to   the environment variable SECRET, whose value is not shown\n" in tell(explained("vars.secret"))


def test_keys_with_dots_and_blanks_are_found(here: Path) -> None:
    text = FILES["blueprints/a.yaml"].replace("  which: secret\n", '  a.b: {"c d": {"ü": 1}, "": 2}\n')
    write(here / "blueprints" / "ä b.yaml", text)
    assert explained("vars.a.b.c d.ü", file="blueprints/ä b.yaml").setting.value == 1
    assert tell(explained("vars.a.b.c d", file="blueprints/ä b.yaml")).startswith("vars.a.b.c d:\n")


@pytest.mark.parametrize(
    ("key", "path"),
    [("optimizer.kwargs.lr", "optimizer.lr"), ("optimizer.module_name", "optimizer.name"), ("seed.", "seed")],
)
def test_a_key_in_an_older_form_means_the_same(key: str, path: str) -> None:
    assert explained(key).to_plain()["path"] == path


def test_an_unknown_field_names_the_nearest_and_all() -> None:
    assert refused("model.dropot") == (
        "blueprints/a.yaml: there is no 'model.dropot'; did you mean 'model.dropout'?\n"
        "The fields of mlp are name, in_features, out_features, hidden_dims, activation, dropout, normalization."
    )


def test_an_unknown_section_names_the_sections() -> None:
    sections = (
        "The sections are name, description, requires, seed, matmul_precision, data, model, loss, metrics, optimizer, "
        "scheduler, checkpoint, early_stopping, callbacks, loggers, trainer, objective, vars, sweep, hydra, packed."
    )
    assert refused("modle") == f"blueprints/a.yaml: there is no 'modle'; did you mean 'model'?\n{sections}"
    assert refused("batch_size") == (
        f"blueprints/a.yaml: there is no 'batch_size'; did you mean 'data.batch_size'?\n{sections}"
    )
    assert refused("") == f"blueprints/a.yaml: there is no ''\n{sections}"


def test_nothing_is_below_a_scalar_or_null() -> None:
    assert refused("seed.x") == "blueprints/a.yaml: there is no 'seed.x'\n'seed' is 42, so there is nothing below it."
    assert refused("scheduler.T_max", "scheduler=null") == (
        "blueprints/a.yaml: there is no 'scheduler.T_max'\n"
        "'scheduler' is null, so there is nothing below it; scheduler=NAME chooses one."
    )


def test_an_unknown_label_names_the_labels() -> None:
    assert refused("metrics.acuracy") == (
        "blueprints/a.yaml: there is no 'metrics.acuracy'; did you mean 'metrics.accuracy'?\n"
        "The keys of 'metrics' are accuracy, top3."
    )


def test_a_blueprint_with_problems_is_explained_as_far_as_it_goes() -> None:
    found = explained("model.dropout", "model.dropout=three", "loss.weigth=1")
    assert (
        tell(found)
        == """\
model.dropout: three

set by      command line: model.dropout=three
type        number, at least 0, less than 1
default     0.0
meaning     Probability with which each hidden value is set to 0 in training."""
    )
    assert (len(found.problems), [each.code for each in found.own_problems]) == (2, ["value:float_type"])
    assert found.to_plain()["problems"] == [
        {
            "place": "command line: model.dropout=three", "path": "model.dropout",
            "message": "must be a number, not the text 'three'",
        },
    ]  # fmt: skip


def test_a_key_that_is_itself_the_mistake_is_explained() -> None:
    found = explained("model.dropuot", "model.dropuot=0.1")
    assert tell(found) == "model.dropuot: 0.1\n\nset by      command line: model.dropuot=0.1"
    assert [each.code for each in found.own_problems] == ["unknown-field"]


def test_an_interpolation_that_points_nowhere_is_explained() -> None:
    found = explained("scheduler.T_max", "scheduler.T_max=${vars.epoch}")
    assert tell(found).startswith("scheduler.T_max: ${vars.epoch}\n".replace("${vars.epoch}", "'${vars.epoch}'"))
    assert "instead of  '${vars.epochs}'  blueprints/a.yaml:24:34\n" in tell(found)
    assert [each.code for each in found.own_problems] == ["interpolation-unknown"]


def test_the_problems_are_told_where_there_is_nothing_to_explain() -> None:
    with pytest.raises(BlueprintError, match="did you mean 'dropout'"):
        explained("model.dropt", "model.dropuot=0.1")
    with pytest.raises(BlueprintError, match="there is no such file"):
        explained("model", file="blueprints/none.yaml")


def test_the_record_holds_the_same_as_the_words() -> None:
    assert explained("scheduler.T_max", "scheduler.T_max=${vars.more}").to_plain() == {
        "path": "scheduler.T_max", "value": 5,
        "origin": "command line", "override": "scheduler.T_max=${vars.more}", "written": "${vars.more}",
        "chosen_by": [],
        "refers_to": [
            {"path": "vars.more", "value": 5, "origin": "file", "file": "blueprints/a.yaml", "line": 9, "column": 9},
        ],
        "replaced": [
            {
                "value": "${vars.epochs}", "removed": False, "written": "${vars.epochs}",
                "origin": "file", "file": "blueprints/a.yaml", "line": 24, "column": 34,
            },
        ],
        "type": "integer, greater than 0", "meaning": "Maximum number of iterations.", "problems": [],
    }  # fmt: skip
    plain = explained("loss").to_plain()
    assert {name: plain["component"][name] for name in ("kind", "name", "shelf")} == {
        "kind": "loss", "name": "cross_entropy", "shelf": "hydrantic",
    }  # fmt: skip
    assert plain["parts"]["label_smoothing"] == {"value": 0.0, "origin": "default", "of": "cross_entropy"}
    assert explained("data.name").to_plain()["chosen_by"] == [
        {"origin": "file", "file": "blueprints/data/small.yaml", "line": 1, "column": 12},
        {"origin": "file", "file": "blueprints/a.yaml", "line": 2, "column": 5},
    ]


def test_a_blueprint_may_lie_elsewhere(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "else where").mkdir()
    monkeypatch.chdir(here / "else where")
    found = explain(here / "blueprints" / "a.yaml", "seed", project=Project(here))
    assert tell(found).startswith("seed: 42\n")
    assert f"set by      {here}/blueprints/a.yaml:23:7" in tell(explain(here / "blueprints/a.yaml", "optimizer.lr"))

"""The settings of a blueprint: their values, who wrote them, and what is known of their fields."""

from __future__ import annotations

from pathlib import Path

import pytest

from hydrantic.checking import check, composed
from hydrantic.explaining.origins import Setting, settings_in, settings_of
from hydrantic.project import Project
from hydrantic.source import dotted
from tests.projects import project, write

pytestmark = pytest.mark.usefixtures("scratch")

TEXT = """\
data: {name: digits, batch_size: 32}
model:
  name: mlp
  hidden_dims: [8, 16]
  activation: {name: leaky_relu, negative_slope: 0.2}
loss: cross_entropy
metrics:
  accuracy:
  top3: {name: accuracy, top_k: 3}
optimizer: {module_name: torch.optim.AdamW, kwargs: {lr: 1e-4}}
scheduler: {name: cosine, T_max: "${trainer.max_epochs}"}
loggers: {}
"""


def of(folder: Path, *overrides: str, text: str = TEXT, home: Project | None = None) -> Setting:
    """The settings of a blueprint with this text."""
    home = home or Project(None)
    return settings_of(check(write(folder / "a.yaml", text), overrides, project=home), home)


def at(root: Setting, key: str) -> Setting:
    """The setting at a dotted path."""
    found = root.find(tuple(key.split(".")))
    assert found is not None, key
    return found


def layers(setting: Setting) -> list[tuple[object, str]]:
    """What was written for a setting: value, and line or override."""
    return [(each.value, str(each.source.line or each.source.label)) for each in setting.layers]


def test_every_value_of_the_complete_blueprint_is_a_setting(tmp_path: Path) -> None:
    plan = check(write(tmp_path / "a.yaml", TEXT), project=Project(None))
    root = settings_of(plan, Project(None))
    for section, value in plan.resolved().items():
        assert at(root, section).value == value, section
    assert at(root, "model.activation.negative_slope").value == 0.2
    assert at(root, "metrics.top3.top_k").value == 3


@pytest.mark.parametrize(
    ("key", "origin"),
    [
        ("data.batch_size", "a.yaml:1:34"), ("data.split", "default of digits"), ("model.in_features", "the data"),
        ("model.activation", "a.yaml:5:22"), ("model.activation.name", "a.yaml:5:22"),
        ("model.hidden_dims.1", "a.yaml:4:20"), ("loss", "a.yaml:6:7"), ("loss.name", "a.yaml:6:7"),
        ("metrics.accuracy.name", "a.yaml:8:3"), ("metrics.top3", "a.yaml:9:16"), ("optimizer", "a.yaml:10:26"),
        ("optimizer.lr", "a.yaml:10:58"), ("optimizer.kwargs.lr", "a.yaml:10:58"), ("name", "the file's name"),
        ("optimizer.module_name", "a.yaml:10:26"), ("scheduler.T_max", "a.yaml:11:34"), ("seed", "default"),
        ("checkpoint.mode", "default of checkpoint"), ("trainer.max_epochs", "default of trainer"),
        ("loggers", "a.yaml:12:10"), ("loss.target", "default of cross_entropy"), ("vars", "default"),
    ],
)  # fmt: skip
def test_a_setting_tells_who_set_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, origin: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert at(of(tmp_path), key).origin == origin


def test_the_default_of_a_slot_is_that_of_its_holder(tmp_path: Path) -> None:
    activation = at(
        of(tmp_path, text=TEXT.replace("  activation: {name: leaky_relu, negative_slope: 0.2}\n", "")), "model"
    )
    assert (activation.parts["activation"].value["name"], activation.parts["activation"].origin) == (
        "relu", "default of mlp",
    )  # fmt: skip
    assert activation.parts["activation"].parts["inplace"].origin == "default of relu"


def test_a_field_is_known_by_its_type_and_meaning(tmp_path: Path) -> None:
    root = of(tmp_path)
    assert at(root, "model.dropout").known["type"] == {"where": "float", "ge": 0, "lt": 1}
    assert at(root, "model.hidden_dims.0").known["type"] == {"where": "int", "gt": 0}
    assert at(root, "checkpoint.mode").known["type"] == {"choice": ["min", "max"]}
    assert at(root, "early_stopping.patience").known["default"] == 3
    assert at(root, "trainer.max_epochs").known["default"] == 10
    assert "attached" not in at(root, "model.dropout").known.get("meaning", "")
    assert at(root, "scheduler.interval").known["meaning"].startswith("Whether the scheduler steps")


def test_an_interpolation_is_kept_as_it_was_written(tmp_path: Path) -> None:
    layer = at(of(tmp_path), "scheduler.T_max").set_by
    assert layer is not None
    assert (layer.value, layer.written, layer.path) == (10, "${trainer.max_epochs}", ("scheduler", "T_max"))


def test_what_a_block_held_that_was_replaced_whole_is_told(tmp_path: Path) -> None:
    root = of(tmp_path, "model=cnn", "model.dropout=0.5", "model.activation=tanh")
    assert layers(at(root, "model")) == [("cnn", "command line: model=cnn"), ("mlp", "3")]
    assert layers(at(root, "model.activation")) == [
        ("tanh", "command line: model.activation=tanh"),
        ("leaky_relu", "5"),
    ]


def test_a_value_that_was_removed_tells_what_removed_it(tmp_path: Path) -> None:
    setting = at(of(tmp_path, "~data.batch_size"), "data.batch_size")
    assert (setting.value, setting.is_set, setting.origin) == (64, False, "default of digits")
    assert layers(setting) == [(None, "command line: ~data.batch_size"), (32, "1")]
    assert setting.replaced[0].removes


def test_what_stood_in_a_block_that_was_removed_is_told(tmp_path: Path) -> None:
    setting = at(of(tmp_path, "~scheduler", "+scheduler.name=cosine", "scheduler.T_max=4"), "scheduler.T_max")
    assert layers(setting) == [
        (4, "command line: scheduler.T_max=4"), (None, "command line: ~scheduler"), ("${trainer.max_epochs}", "11"),
    ]  # fmt: skip


def test_both_forms_of_a_block_are_one_history(tmp_path: Path) -> None:
    text = TEXT.replace("{module_name: torch.optim.AdamW, kwargs: {lr: 1e-4}}", "{name: adamw, lr: 1e-4}")
    setting = at(of(tmp_path, "optimizer.kwargs.lr=0.5", text=text), "optimizer.lr")
    assert layers(setting) == [(0.5, "command line: optimizer.kwargs.lr=0.5"), (1e-4, "10")]


def test_what_is_removed_in_the_older_form_is_told(tmp_path: Path) -> None:
    setting = at(of(tmp_path, "~optimizer.kwargs.lr"), "optimizer.lr")
    assert layers(setting) == [(None, "command line: ~optimizer.kwargs.lr"), (1e-4, "10")]


def test_what_one_form_hides_of_the_other_is_told_as_it_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    home = Project(write(tmp_path / "pyproject.toml", '[tool.hydrantic]\nenv = ["SECRET"]\n').parent)
    loggers = "{wandb: {tags: [${oc.env:SECRET}], kwargs: {notes: ${oc.env:SECRET}}}}"
    overrides = ["loggers.wandb.kwargs.tags=[a]", "loggers.wandb.kwargs.notes=b"]
    root = of(tmp_path, *overrides, text=TEXT.replace("loggers: {}", f"loggers: {loggers}"), home=home)
    assert layers(at(root, "loggers.wandb.tags")) == [
        (["a"], f"command line: {overrides[0]}"),
        (["${oc.env:SECRET}"], "12"),
    ]
    assert layers(at(root, "loggers.wandb.notes")) == [
        ("b", f"command line: {overrides[1]}"),
        ("${oc.env:SECRET}", "12"),
    ]


def test_the_groups_that_a_model_carries_are_found_where_they_were_written(tmp_path: Path) -> None:
    home = project(
        tmp_path,
        own="""
        from hydrantic import Model, ModelHparams, register_model

        class OwnHparams(ModelHparams):
            width: int = 3
            \"\"\"How wide it is.\"\"\"

        @register_model("own")
        class Own(Model[OwnHparams]):
            \"\"\"A model of its own making.\"\"\"
            def compute_metrics(self, outputs, targets):
                return {"loss": outputs.sum()}
        """,
    )
    text = "data: digits\nmodel: {name: own, optimizer: {module_name: sgd, kwargs: {lr: 0.3}}}\nloggers: {}\n"
    root = of(tmp_path, text=text, home=home)
    assert at(root, "model.optimizer.kwargs.lr") is at(root, "optimizer.lr")
    assert layers(at(root, "optimizer.lr")) == [(0.3, "2")]
    assert list(at(root, "model").parts) == ["name", "width"]


def test_without_a_plan_the_document_and_the_fields_are_told(tmp_path: Path) -> None:
    text = TEXT.replace("hidden_dims", "hiden_dims").replace("name: cosine", "name: cosinus")
    document, _ = composed(write(tmp_path / "a.yaml", text), ["model.dropout=three"])
    root = settings_in(document, Project(None))
    assert layers(at(root, "model.hiden_dims")) == [([8, 16], "4")]
    assert at(root, "model.hiden_dims").known == {}
    assert at(root, "model.dropout").known["type"] == {"where": "float", "ge": 0, "lt": 1}
    assert at(root, "model.hidden_dims").origin == "default of mlp"
    assert at(root, "scheduler.T_max").value == "${trainer.max_epochs}"
    assert at(root, "scheduler").entry is None


@pytest.mark.parametrize(
    "text", ["model: [1]", "metrics: 3", "model: {kwargs: 3}", "loggers: [csv]", "vars: 1", "model:"]
)
def test_without_a_plan_any_shape_can_be_told(tmp_path: Path, text: str) -> None:
    document, _ = composed(write(tmp_path / "a.yaml", text), [])
    paths = [dotted(each.path) for each in settings_in(document, Project(None)).walk()]
    assert len(paths) == len(set(paths)) > 18


def test_a_history_without_end_is_cut(tmp_path: Path) -> None:
    anchors = "".join(f"  a{i}: &a{i} {{x: {i}}}\n" for i in range(150))
    every = ", ".join(f"*a{i}" for i in range(150))
    root = of(tmp_path, text=f"{TEXT}vars:\n{anchors}  all: {{<<: [{every}]}}\n")
    assert [each.value for each in at(root, "vars.all.x").layers] == list(range(100))

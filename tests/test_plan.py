"""From a composed document to a plan: every block looked up, validated and completed; nothing built."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from hydrantic.build import draft
from hydrantic.checking import prepare
from hydrantic.components import Component
from hydrantic.errors import BlueprintError
from hydrantic.facts import Facts
from hydrantic.plan import Plan
from hydrantic.project import Project
from hydrantic.yaml_text import to_yaml
from tests.projects import DIGITS, planned, problems, project, write

pytestmark = pytest.mark.usefixtures("scratch")

BLUEPRINTS = sorted((Path(__file__).parent.parent / "blueprints").glob("*.yaml"))
Make = Callable[..., Plan]

SHELF = """
    from typing import Any
    from torch import nn
    from hydrantic import Hparams, LayerSlot, Model, ModelHparams, register_layer, register_model, register_callback

    class TowerHparams(ModelHparams):
        \"\"\"Layers on layers.\"\"\"

        layers: tuple[LayerSlot, ...] = ()
        \"\"\"Layers in a row.\"\"\"
        heads: dict[str, LayerSlot] = {}
        \"\"\"Heads by name.\"\"\"
        secret: str | None = None
        \"\"\"A password.\"\"\"
        settings: dict[str, Any] = {}
        \"\"\"Whatever.\"\"\"

    @register_model("tower")
    class Tower(Model[TowerHparams]):
        def compute_metrics(self, outputs, targets):
            return {"loss": outputs.mean()}

    @register_layer("block")
    class Block(nn.Sequential):
        def __init__(self, inner: LayerSlot, times: int = 2) -> None:
            super().__init__(*(inner.build() for _ in range(times)))
"""
TOWER = "data: digits\nmodel: {name: tower}\nloggers: {}\ntrainer: {max_epochs: 1}\n"


@pytest.fixture
def plan(tmp_path: Path) -> Make:
    def make(text: str, *overrides: str) -> Plan:
        return planned(tmp_path, text, *overrides)

    return make


@pytest.fixture
def tower(tmp_path: Path) -> Make:
    of = project(tmp_path, parts=SHELF)

    def make(text: str, *overrides: str) -> Plan:
        return planned(tmp_path, text, *overrides, of=of)

    return make


def chosen(component: Component[Any] | None) -> Component[Any]:
    assert component is not None
    return component


# -- forms of a block -------------------------------------------------------------------------------------------------


def test_a_bare_name_means_a_block_with_that_name(plan: Make) -> None:
    short = plan(DIGITS).resolved()
    assert plan(DIGITS.replace("model: mlp", "model: {name: mlp}")).resolved() == short


@pytest.mark.parametrize(
    "metrics", ["{f1: }", "{f1: f1}", "{f1: {}}", "{f1: {name: f1}}", "{f1: {module_name: f1, kwargs: {}}}"]
)
def test_a_label_is_the_name_unless_the_block_says_otherwise(plan: Make, metrics: str) -> None:
    text = DIGITS.replace("{accuracy: }", metrics)
    assert plan(text).resolved()["metrics"] == {"f1": plan(text).metrics["f1"].to_plain()}
    assert plan(text).metrics["f1"].name == "f1"


def test_two_labels_may_choose_the_same_component(plan: Make) -> None:
    text = DIGITS.replace("{accuracy: }", "{accuracy: , top3: {name: accuracy, top_k: 3}}")
    assert {label: each.hparams["top_k"] for label, each in plan(text).metrics.items()} == {"accuracy": 1, "top3": 3}


def test_the_seeds_form_of_a_block_equals_the_flat_one(plan: Make) -> None:
    seeds = "optimizer: {module_name: torch.optim.AdamW, kwargs: {lr: 1e-4, weight_decay: 0.01}}\n"
    flat = "optimizer: {name: adamw, lr: 1e-4, weight_decay: 0.01}\n"
    assert plan(DIGITS + seeds).resolved() == plan(DIGITS + flat).resolved()


def test_the_seeds_scheduler_keeps_its_wiring_beside_kwargs(plan: Make) -> None:
    seeds = "scheduler: {module_name: torch.optim.lr_scheduler.StepLR, interval: step, kwargs: {step_size: 3}}\n"
    flat = "scheduler: {name: step, interval: step, step_size: 3}\n"
    assert plan(DIGITS + seeds).resolved() == plan(DIGITS + flat).resolved()


@pytest.mark.parametrize("form", ["{module_name: torch.optim.Adam, kwargs: {lr: 1e-4}}", "{module_name: adam}", "adam"])
def test_an_override_in_the_seeds_form_reaches_either_form(plan: Make, form: str) -> None:
    made = plan(f"{DIGITS}optimizer: {form}\n", "optimizer.kwargs.lr=5e-4", "data.batch_size=32")
    assert chosen(made.optimizer).hparams["lr"] == 5e-4
    assert made.data.hparams["batch_size"] == 32


def test_an_override_in_the_seeds_form_wins_over_the_flat_value_of_the_file(plan: Make) -> None:
    made = plan(DIGITS + "optimizer: {name: adam, lr: 1e-4}\n", "optimizer.kwargs.lr=5e-4")
    assert chosen(made.optimizer).hparams["lr"] == 5e-4


def test_a_flat_override_wins_over_kwargs_of_the_file(plan: Make) -> None:
    made = plan(DIGITS + "optimizer: {module_name: adam, kwargs: {lr: 1e-4}}\n", "optimizer.lr=5e-4")
    assert chosen(made.optimizer).hparams["lr"] == 5e-4


@pytest.mark.parametrize("overrides", [("optimizer.lr=0.5",), ("optimizer.kwargs.lr=0.5",), ("++optimizer.lr=0.5",)])
def test_a_section_that_the_file_leaves_out_can_be_refined(plan: Make, overrides: tuple[str, ...]) -> None:
    optimizer = chosen(plan(DIGITS, *overrides).optimizer)
    assert (optimizer.name, optimizer.hparams["lr"]) == ("adam", 0.5)


def test_a_block_without_a_name_refines_the_default_component(plan: Make) -> None:
    optimizer = chosen(plan(DIGITS + "optimizer: {lr: 0.5}\n").optimizer)
    assert (optimizer.name, optimizer.hparams["lr"]) == ("adam", 0.5)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("dropout: 1e-1", "model.dropout"),
        ("dropout: .1", "model.dropout"),
        ("hidden_dims: [1_0, 012]", "model.hidden_dims"),
        ("normalization: off", "model.normalization"),
        ("normalization: null", "model.normalization"),
        ("hidden_dims: []", "model.hidden_dims"),
        ("activation: {name: leaky_relu, negative_slope: 1e-3}", "model.activation"),
    ],
)
def test_the_same_text_means_the_same_in_a_file_and_in_an_override(tmp_path: Path, text: str, path: str) -> None:
    in_file = DIGITS.replace("model: mlp", f"model: {{name: mlp, {text}}}")
    override = f"{path}={text.partition(': ')[2].replace(': ', ':')}"
    found = problems(tmp_path, in_file)
    assert [each.rpartition(" ")[2] for each in found] == [
        each.rpartition(" ")[2] for each in problems(tmp_path, DIGITS, override)
    ]
    if not found:
        assert planned(tmp_path, in_file).resolved() == planned(tmp_path, DIGITS, override).resolved()


def test_choosing_another_component_leaves_nothing_of_the_block(plan: Make) -> None:
    text = DIGITS.replace("model: mlp", "model: {name: mlp, dropout: 0.5}")
    assert plan(text, "model=linear").model.to_plain().keys() == {"name", "in_features", "out_features", "bias"}


# -- nested components ------------------------------------------------------------------------------------------------


def test_nested_components_resolve_to_any_depth(tower: Make) -> None:
    text = """\
        data: digits
        model:
          name: tower
          layers: [flatten, {name: block, inner: {name: block, inner: {name: leaky_relu, negative_slope: 0.2}}}]
          heads: {digit: {name: linear, in_features: 64, out_features: 10}}
        loggers: {}
    """
    layers, heads = (tower(text).model.hparams[name] for name in ("layers", "heads"))
    assert layers[0].name == "flatten"
    assert layers[1].hparams["inner"].hparams["inner"].hparams["negative_slope"] == 0.2
    assert heads["digit"].hparams["bias"] is True


def test_an_override_reaches_into_nested_components(tower: Make) -> None:
    text = TOWER.replace("{name: tower}", "{name: tower, layers: [{name: linear, in_features: 64, out_features: 3}]}")
    made = tower(text, "model.layers.0.out_features=5", "+model.heads.digit=relu")
    assert made.model.hparams["layers"][0].hparams["out_features"] == 5
    assert made.model.hparams["heads"]["digit"].name == "relu"


def test_problems_in_nested_components_stand_where_they_are_written(tmp_path: Path) -> None:
    of = project(tmp_path, parts=SHELF)
    text = """\
        data: digits
        model:
          name: tower
          layers:
            - {name: block, inner: {name: block, inner: {name: leaky_relu, negative_slop: 0.2}}}
            - rellu
          heads: {digit: {name: linear, in_features: many, out_features: 10}}
    """
    assert problems(tmp_path, text, of=of) == [
        "5:68: unknown-field", "6:7: unknown-name", "7:46: value:int_type",
    ]  # fmt: skip


# -- auto -------------------------------------------------------------------------------------------------------------


def test_auto_fields_are_planned_as_auto_and_supplied_by_the_data(plan: Make) -> None:
    made = plan(DIGITS)
    assert made.model.hparams["in_features"] == "auto"
    supplied = draft(made).plan
    assert (supplied.model.hparams["in_features"], supplied.model.hparams["out_features"]) == (64, 10)
    assert supplied.metrics["accuracy"].hparams["num_classes"] == 10
    assert supplied.resolved()["model"]["in_features"] == 64


@pytest.mark.parametrize("value", ["auto", "64"])
def test_auto_may_be_written_and_so_may_the_right_value(plan: Make, value: str) -> None:
    made = plan(DIGITS.replace("model: mlp", f"model: {{name: mlp, in_features: {value}}}"))
    assert draft(made).plan.model.hparams["in_features"] == 64


def test_a_contradiction_of_the_data_is_refused_at_its_place(plan: Make) -> None:
    made = plan(DIGITS.replace("model: mlp", "model: {name: mlp, in_features: 63}"), "model.out_features=11")
    with pytest.raises(BlueprintError) as caught:
        draft(made)
    first, second = caught.value.problems
    assert (first.code, first.source.line, first.source.column) == ("contradicts-data", 2, 33)
    assert str(second.source) == "command line: model.out_features=11"


def test_a_fact_that_the_data_lacks_is_asked_for(plan: Make) -> None:
    made = plan(DIGITS)
    with pytest.raises(BlueprintError, match="needs 'in_features', which the data 'digits' does not state"):
        made.supplied_with(Facts(out_features=10, task="multiclass", num_classes=10))


def test_a_fact_that_may_be_missing_becomes_null(plan: Make) -> None:
    loss = chosen(
        plan(DIGITS).supplied_with(Facts(in_features=64, out_features=10, task="multiclass", num_classes=10)).loss
    )
    assert loss.hparams["class_counts"] is None


def test_a_loss_may_say_how_many_outputs_it_wants(tmp_path: Path) -> None:
    text = DIGITS.replace("digits", "breast_cancer").replace("cross_entropy", "bce_with_logits")
    assert draft(planned(tmp_path, text)).plan.model.hparams["out_features"] == 1


@pytest.mark.parametrize(
    ("data", "loss"), [("digits", "mse"), ("diabetes", "cross_entropy"), ("iris", "bce_with_logits")]
)
def test_a_loss_for_another_task_is_refused_before_training(tmp_path: Path, data: str, loss: str) -> None:
    text = f"data: {data}\nmodel: mlp\nloss: {loss}\n"
    with pytest.raises(BlueprintError) as caught:
        draft(planned(tmp_path, text))
    assert [problem.code for problem in caught.value.problems] == ["unsuited"]


# -- interpolation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ("name", "a"),
        ("seed", 42),
        ("trainer.max_epochs", 1),
        ("trainer.accumulate_grad_batches", 1),
        ("model.dropout", 0.0),
        ("model.name", "mlp"),
        ("model.hidden_dims", [128, 128]),
        ("model.hidden_dims.1", 128),
        ("model.in_features", "auto"),
        ("data.split", [0.8, 0.1, 0.1]),
        ("optimizer.lr", 0.001),
        ("optimizer.name", "adam"),
        ("optimizer.betas[1]", 0.999),
        ("checkpoint.monitor", "validation/loss"),
        ("checkpoint.dirpath", "checkpoints"),
        ("metrics.accuracy.top_k", 1),
        ("description", ""),
    ],
)
def test_a_reference_to_what_nobody_wrote_gives_the_default(plan: Make, reference: str, value: Any) -> None:
    assert plan(f"{DIGITS}vars: {{it: '${{{reference}}}'}}\n").blueprint.vars["it"] == value


def test_a_reference_to_an_unwritten_logger_gives_its_default(plan: Make) -> None:
    text = "data: digits\nmodel: mlp\nloss: cross_entropy\nvars: {mode: '${loggers.wandb.mode}'}\n"
    assert plan(text).blueprint.vars["mode"] == "auto"


def test_a_reference_to_unwritten_epochs_gives_those_that_are_trained(plan: Make) -> None:
    text = "data: digits\nmodel: mlp\nloss: cross_entropy\nscheduler: {name: cosine, T_max: '${trainer.max_epochs}'}\n"
    made = plan(text)
    assert chosen(made.scheduler).hparams["T_max"] == made.trainer["max_epochs"] == 10


def test_a_reference_into_a_written_section_gives_the_sections_default(plan: Make) -> None:
    text = DIGITS + "early_stopping: {patience: 5}\nvars: {mode: '${early_stopping.mode}'}\n"
    assert plan(text).blueprint.vars["mode"] == "min"


@pytest.mark.parametrize(
    "reference",
    [
        "seed.x",
        "optimizer.betas.7",
        "optimizer.x",
        "early_stopping.patience",
        "metrics.f1.top_k",
        "name.x",
        "x",
        "vars.y",
    ],
)
def test_a_reference_into_what_is_not_there_is_a_problem(tmp_path: Path, reference: str) -> None:
    found = problems(tmp_path, f"{DIGITS}vars: {{it: '${{{reference}}}'}}\n")
    assert [each.rpartition(" ")[2] for each in found] == ["interpolation-unknown"]


def test_interpolation_needs_no_quotes_in_braces_and_brackets(plan: Make) -> None:
    text = (
        DIGITS
        + "scheduler: {name: cosine, T_max: ${trainer.max_epochs}}\n"
        + "vars: {a: [${seed}, x${seed}:${oc.select:b,'c, d'}]}\n"
    )
    made = plan(text)
    assert chosen(made.scheduler).hparams["T_max"] == 1
    assert made.blueprint.vars == {"a": [42, "x42:c, d"]}


def test_a_problem_after_an_unquoted_interpolation_keeps_its_column(tmp_path: Path) -> None:
    text = DIGITS + "scheduler: {name: cosine, T_max: ${trainer.max_epochs}, eta: 3}\n"
    assert problems(tmp_path, text) == ["7:57: unknown-field"]


def test_a_value_that_was_referred_to_is_judged_where_it_is_used(tmp_path: Path) -> None:
    text = DIGITS + "vars: {rate: fast}\noptimizer: {name: adam, lr: '${vars.rate}'}\n"
    assert problems(tmp_path, text) == ["8:29: value:float_type"]


# -- secrets ----------------------------------------------------------------------------------------------------------


def test_a_value_from_the_environment_reaches_the_component_and_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")
    of = project(tmp_path, parts=SHELF)
    write(tmp_path / "pyproject.toml", '[tool.hydrantic]\nenv = ["TOKEN"]\n')
    model = "{name: tower, secret: '${oc.env:TOKEN}', settings: {deep: ['${oc.env:TOKEN}', 1]}}"
    text = TOWER.replace("{name: tower}", model) + "vars: {again: '${model.secret}!'}\n"
    made = planned(tmp_path, text, of=of)
    assert made.model.hparams["secret"] == "hunter2"
    assert made.model.hparams["settings"] == {"deep": ["hunter2", 1]}
    resolved = made.resolved()
    assert "hunter2" not in to_yaml(resolved)
    assert resolved["model"]["secret"] == "${oc.env:TOKEN}"
    assert resolved["model"]["settings"]["deep"] == ["${oc.env:TOKEN}", 1]
    assert resolved["vars"]["again"] == "${oc.env:TOKEN}!"


def test_a_secret_shows_in_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")
    of = project(tmp_path, parts=SHELF)
    write(tmp_path / "pyproject.toml", '[tool.hydrantic]\nenv = ["TOKEN"]\n')
    with pytest.raises(BlueprintError) as caught:
        planned(tmp_path, DIGITS + "optimizer: {name: adam, lr: '${oc.env:TOKEN}'}\n", of=of)
    assert "hunter2" not in str(caught.value)


# -- sections that must agree -----------------------------------------------------------------------------------------


def test_groups_in_a_models_block_are_sections_of_the_blueprint(tower: Make) -> None:
    block = "{name: tower, optimizer: {module_name: torch.optim.SGD, kwargs: {lr: 0.5}}, early_stopping: {patience: 7}}"
    made = tower(TOWER.replace("{name: tower}", block))
    assert chosen(made.optimizer).name == "sgd"
    assert made.blueprint.early_stopping is not None
    assert made.blueprint.early_stopping.patience == 7
    assert "optimizer" not in made.resolved()["model"]


def test_a_plain_model_has_no_groups_to_move(tmp_path: Path) -> None:
    text = DIGITS.replace("model: mlp", "model: {name: mlp, optimizer: adam}")
    assert problems(tmp_path, text) == ["2:20: unknown-field"]


def test_the_objective_is_the_checkpoints_monitor_by_default(plan: Make) -> None:
    assert plan(DIGITS).objective == ("validation/loss", "min")
    made = plan(DIGITS + "checkpoint: {monitor: validation/accuracy, mode: max}\n")
    assert made.objective == ("validation/accuracy", "max")
    assert plan(DIGITS + "objective: {metric: training/loss}\n").objective == ("training/loss", "min")
    assert plan(DIGITS + "checkpoint:\n").objective is None


def test_a_monitor_must_be_logged_by_something(tmp_path: Path) -> None:
    text = DIGITS + "checkpoint: {monitor: validation/f1}\n"
    assert problems(tmp_path, text) == ["7:23: unknown-monitor"]


def test_a_monitor_may_be_a_part_of_a_metric_with_several_values(plan: Make) -> None:
    text = DIGITS.replace("{accuracy: }", "{confusion: confusion_matrix}")
    made = plan(text + "checkpoint: {monitor: validation/confusion/kappa, mode: max}\n")
    assert made.objective == ("validation/confusion/kappa", "max")


def test_a_callback_of_the_project_may_log_whatever_is_monitored(tmp_path: Path) -> None:
    callback = """
        from lightning.pytorch import Callback
        from hydrantic import register_callback

        @register_callback("judge")
        class Judge(Callback):
            \"\"\"Logs what it thinks.\"\"\"
    """
    of = project(tmp_path, callbacks=callback)
    text = DIGITS + "callbacks: {judge: }\ncheckpoint: {monitor: judge/opinion}\n"
    assert problems(tmp_path, text, of=of) == []


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    text = """\
        data: {name: digits, batch_size: 0}
        model: {name: mlp, hiden_dims: [1], activation: rellu}
        loss: crossentropy
        metrics: {accuracy: {top_k: 0}}
        optimizer: {name: adam, lr: fast}
        trainer: {max_epoch: 1}
        sede: 3
    """
    assert len(problems(tmp_path, text)) == 8


# -- the record -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", BLUEPRINTS, ids=lambda file: file.stem)
def test_a_resolved_blueprint_planned_again_equals_itself(file: Path, tmp_path: Path) -> None:
    stock = Project(file.parent.parent)
    plan = draft(prepare(file, project=stock)).plan
    again = prepare(write(tmp_path / "again.yaml", to_yaml(plan.resolved())), project=stock)
    assert again.resolved() == plan.resolved()
    assert draft(again).plan.resolved() == plan.resolved()


def test_a_resolved_blueprint_is_yaml_that_any_reader_reads_alike(plan: Make) -> None:
    resolved = draft(plan(DIGITS + "description: '012'\n")).plan.resolved()
    assert yaml.safe_load(to_yaml(resolved)) == resolved


def test_text_that_looks_like_an_interpolation_survives_the_record(tmp_path: Path) -> None:
    first = planned(tmp_path, DIGITS + "description: 'a \\${b} c'\n")
    assert first.blueprint.description == "a ${b} c"
    again = planned(tmp_path, to_yaml(first.resolved()))
    assert again.blueprint.description == "a ${b} c"


def test_a_file_to_read_is_found_from_the_blueprint_and_recorded_so_that_it_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(f"{i},{i % 7},{i % 2}\n" for i in range(60))
    write(tmp_path / "blueprints" / "t.csv", "a,b,y\n" + rows)
    text = "data: {name: csv, path: t.csv, target: y}\nmodel: mlp\nloss: cross_entropy\n"
    write(tmp_path / "blueprints" / "t.yaml", text)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    plan = prepare("blueprints/t.yaml", project=Project(None))
    again = prepare(write(tmp_path / "elsewhere" / "again.yaml", to_yaml(plan.resolved())), project=Project(None))
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert draft(again).facts == draft(plan).facts


@pytest.mark.parametrize(
    "trainer", ["{limit_val_batches: 0}", "{limit_val_batches: 0.0}", "{max_epochs: 2, check_val_every_n_epoch: 3}"]
)
def test_without_validation_the_latest_checkpoint_is_kept(tmp_path: Path, trainer: str) -> None:
    text = DIGITS.replace("{max_epochs: 1}", trainer)
    plan = planned(tmp_path, text)
    assert plan.blueprint.checkpoint is not None
    assert plan.blueprint.checkpoint.monitor is None
    assert planned(tmp_path, to_yaml(plan.resolved())).resolved() == plan.resolved()


def test_what_waits_for_validation_where_the_data_has_none_is_told(tmp_path: Path) -> None:
    text = DIGITS.replace("data: digits", "data: {name: digits, split: [0.9, 0, 0.1]}")
    plan = planned(tmp_path, f"{text}early_stopping: {{patience: 2}}\nscheduler: plateau\n")
    with pytest.raises(BlueprintError) as refused:
        draft(plan)
    assert [(each.code, each.path) for each in refused.value.problems] == [
        ("no-validation", ("early_stopping", "monitor")),
        ("no-validation", ("scheduler", "monitor")),
    ]

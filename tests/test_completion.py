"""What can come next in an override."""

from __future__ import annotations

from pathlib import Path

import pytest

from hydrantic.completion import Overrides
from hydrantic.completion.candidates import Files
from hydrantic.completion.vocabulary import Vocabulary
from hydrantic.manifest import current
from hydrantic.project import Project
from tests.projects import write

BLUEPRINT = """
    data: digits
    model: {name: mlp, dropout: 0.1}
    loss: cross_entropy
    metrics:
      accuracy:
      top3: {name: accuracy, top_k: 3}
    vars: {width: 8, paths: {a: 1}}
    """


@pytest.fixture(scope="module")
def known() -> Vocabulary:
    return Vocabulary(current(Project(None)))


@pytest.fixture
def blueprint(tmp_path: Path) -> Path:
    write(tmp_path / "model" / "big.yaml", "name: cnn\n")
    write(tmp_path / "metrics" / "usual.yaml", "f1: {average: macro}\n")
    write(tmp_path / "experiment" / "fast.yaml", "# @package _global_\nmodel: {name: cnn}\ntrainer: {max_epochs: 1}\n")
    return write(tmp_path / "a.yaml", BLUEPRINT)


class Completes:
    """Completes overrides of a blueprint, given as one text whose last word is to be completed."""

    def __init__(self, blueprint: Path, known: Vocabulary) -> None:
        self._blueprint, self._known = blueprint, known

    def __call__(self, line: str) -> list[str]:
        *before, word = line.split(" ")
        found = Overrides.of(self._blueprint, before, self._known).complete(word)
        assert not isinstance(found, Files)
        return [each.text for each in found]


@pytest.fixture
def complete(blueprint: Path, known: Vocabulary) -> Completes:
    return Completes(blueprint, known)


# Keys, level by level.


def test_the_first_level_is_the_sections(complete: Completes) -> None:
    assert complete("mo") == ["model=", "model."]
    assert complete("tr") == ["trainer."]
    assert complete("see") == ["seed="]
    assert complete("early") == ["early_stopping=", "early_stopping."]


def test_the_second_level_is_the_fields_of_the_chosen_component(complete: Completes) -> None:
    assert complete("model.hid") == ["model.hidden_dims="]
    assert complete("model.chan") == []
    assert complete("model.a") == ["model.activation=", "model.activation."]
    assert complete("optimizer.amsg") == ["optimizer.amsgrad="]


def test_a_component_chosen_before_brings_its_own_fields(complete: Completes) -> None:
    assert complete("model=cnn model.chan") == ["model.channels="]
    assert complete("model=cnn model.hid") == []
    assert complete("model=big model.chan") == ["model.channels="]
    assert complete("model.name=cnn model.chan") == ["model.channels="]
    assert complete("+experiment=fast model.chan") == ["model.channels="]


def test_labels_are_those_of_the_blueprint(complete: Completes) -> None:
    assert complete("metrics.") == ["metrics.accuracy=", "metrics.accuracy.", "metrics.top3=", "metrics.top3."]
    assert complete("metrics=f1 metrics.") == ["metrics.f1=", "metrics.f1."]
    assert complete("metrics=usual metrics.") == ["metrics.f1=", "metrics.f1."]
    assert complete("metrics=[f1,usual] +metrics=auroc metrics.a") == ["metrics.auroc=", "metrics.auroc."]
    assert complete("~metrics.top3 metrics.t") == []


def test_a_label_has_the_fields_of_its_component_and_of_the_wiring(complete: Completes) -> None:
    assert {"metrics.top3.top_k=", "metrics.top3.name=", "metrics.top3.target="} <= set(complete("metrics.top3."))
    assert "metrics.accuracy.top_k=" in complete("metrics.accuracy.")


def test_a_section_that_is_not_written_has_its_default(complete: Completes) -> None:
    assert "loggers.wandb." in complete("loggers.")
    assert complete("loggers.wandb.mo") == ["loggers.wandb.mode="]
    assert complete("optimizer.l") == ["optimizer.lr="]


def test_a_nested_component_has_the_fields_of_the_chosen_one(complete: Completes) -> None:
    assert complete("model.activation.in") == ["model.activation.inplace="]
    assert complete("model.activation=leaky_relu model.activation.neg") == ["model.activation.negative_slope="]


def test_a_nested_list_is_entered_by_its_positions(complete: Completes, blueprint: Path) -> None:
    write(blueprint, BLUEPRINT + "scheduler: {name: chained, schedulers: [cosine, {name: step}]}\n")
    assert complete("scheduler.sched") == ["scheduler.schedulers=", "scheduler.schedulers."]
    assert "scheduler.schedulers.1." in complete("scheduler.schedulers.")
    assert complete("scheduler.schedulers.1.step") == ["scheduler.schedulers.1.step_size="]


def test_settings_have_fields_though_they_are_not_written(complete: Completes) -> None:
    assert complete("early_stopping.pat") == ["early_stopping.patience="]
    assert complete("objective.m") == ["objective.metric=", "objective.mode="]
    assert complete("trainer.max_ep") == ["trainer.max_epochs="]


def test_free_values_are_those_of_the_file(complete: Completes) -> None:
    assert complete("vars.") == ["vars.width=", "vars.paths."]
    assert complete("vars.paths.") == ["vars.paths.a="]


def test_the_form_with_kwargs_is_completed_as_it_is_written(complete: Completes, blueprint: Path) -> None:
    write(blueprint, BLUEPRINT + "optimizer: {module_name: torch.optim.SGD, kwargs: {lr: 0.1}}\n")
    assert complete("optimizer.") == ["optimizer.module_name=", "optimizer.kwargs."]
    assert complete("optimizer.kwargs.mom") == ["optimizer.kwargs.momentum="]


# Signs before the key.


def test_plus_and_plus_plus_stand_before_keys(complete: Completes) -> None:
    assert complete("+model.drop") == ["+model.dropout="]
    assert complete("++seed") == ["++seed="]


def test_a_tilde_takes_out_what_is_there(complete: Completes) -> None:
    assert complete("~m") == ["~model", "~model.", "~metrics", "~metrics."]
    assert complete("~metrics.") == ["~metrics.accuracy", "~metrics.top3", "~metrics.top3."]
    assert complete("~early") == []


def test_a_folder_of_options_is_added_with_plus(complete: Completes, blueprint: Path) -> None:
    assert "+experiment=" in complete("")
    assert complete("+exp") == ["+experiment="]
    assert complete("+experiment=") == ["+experiment=fast"]
    write(blueprint, "defaults: [experiment: fast]\n")
    assert complete("exp") == ["experiment="]
    assert complete("model.chan") == ["model.channels="]


# Values.


def test_a_section_takes_names_and_files(complete: Completes) -> None:
    assert complete("model=") == [f"model={name}" for name in ("cnn", "linear", "mlp", "universal_function", "big")]
    assert complete("optimizer=ad") == [
        f"optimizer={name}" for name in ("adadelta", "adafactor", "adagrad", "adam", "adamax", "adamw")
    ]
    assert complete("metrics=us") == ["metrics=usual"]
    assert complete("scheduler=nu") == ["scheduler=null"]


def test_a_dotted_path_is_a_name_too(complete: Completes) -> None:
    assert complete("optimizer=torch.optim.SG") == ["optimizer=torch.optim.SGD"]


def test_a_nested_component_takes_names(complete: Completes) -> None:
    assert complete("model.activation=leaky") == ["model.activation=leaky_relu"]
    assert complete("model.activation.name=leaky") == ["model.activation.name=leaky_relu"]
    assert complete("metrics.top3=auro") == ["metrics.top3=auroc"]


def test_choices_and_truth_values_are_listed(complete: Completes) -> None:
    assert complete("data.standardize=") == ["data.standardize=true", "data.standardize=false"]
    assert complete("model.normalization=") == [f"model.normalization={each}" for each in ("batch", "layer", "null")]
    assert complete("checkpoint.mode=m") == ["checkpoint.mode=min", "checkpoint.mode=max"]
    assert complete("checkpoint=") == ["checkpoint=null"]


def test_a_number_is_not_offered_as_null(complete: Completes) -> None:
    assert complete("trainer.max_epochs=") == []
    assert complete("model.in_features=") == []
    assert complete("seed=") == []


def test_a_path_is_a_file_of_the_persons(blueprint: Path, known: Vocabulary) -> None:
    overrides = Overrides.of(blueprint, ["data=csv"], known)
    assert overrides.complete("data.path=ta") == Files("data.path=")
    assert overrides.complete("++data.path=ta") == Files("++data.path=")


def test_every_candidate_says_what_it_is(blueprint: Path, known: Vocabulary) -> None:
    overrides = Overrides.of(blueprint, [], known)
    found = [overrides.complete(word) for word in ("", "model.", "trainer.acc", "metrics.", "optimizer=")]
    assert all(each.meaning for level in found if not isinstance(level, Files) for each in level)


# Keys that are asked about.


def test_a_key_alone_has_nothing_to_assign(blueprint: Path, known: Vocabulary) -> None:
    overrides = Overrides.of(blueprint, [], known)
    assert [each.text for each in overrides.keys("model.a")] == ["model.activation", "model.activation."]
    assert [each.text for each in overrides.keys("checkpoint.mod")] == ["checkpoint.mode"]


# Blueprints that are no help.


@pytest.mark.parametrize("text", ["model: [1", "", "- 1", "model: {name: 3}", "defaults: {a: 1}", "\0", "a: &a [*a]"])
def test_a_broken_blueprint_leaves_what_is_known_without_it(text: str, complete: Completes, blueprint: Path) -> None:
    write(blueprint, text)
    assert complete("mod") == ["model=", "model."]
    assert complete("model=cn") == ["model=cnn"]
    assert complete("trainer.max_ep") == ["trainer.max_epochs="]


def test_a_missing_blueprint_leaves_what_is_known_without_it(tmp_path: Path, known: Vocabulary) -> None:
    complete = Completes(tmp_path / "none" / "a.yaml", known)
    assert complete("model=cnn model.chan") == ["model.channels="]
    assert complete("model.") == ["model.name="]


def test_nothing_is_known_below_an_unknown_name(complete: Completes) -> None:
    assert complete("model=nonsense model.") == ["model.name="]
    assert complete("modle.") == []
    assert complete("modle=") == []


def test_sections_and_names_are_known_without_a_manifest(blueprint: Path) -> None:
    complete = Completes(blueprint, Vocabulary())
    assert complete("mo") == ["model=", "model."]
    assert complete("model=ml") == ["model=mlp"]
    assert complete("metrics.t") == ["metrics.top3=", "metrics.top3."]

"""What a person sees who writes a blueprint in an editor: asked from the real YAML language server."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hydrantic.cli.main import main
from hydrantic.manifest import Manifest, current
from hydrantic.project import Project
from tests.language_server import LanguageServer, NotToBeHad, installed
from tests.projects import project

pytestmark = pytest.mark.editor

ROOT = Path(__file__).parent.parent
SHIPPED = sorted((ROOT / "blueprints").glob("*.yaml"))
LINE = "# yaml-language-server: $schema=../.hydrantic/blueprint.schema.json\n"
SHELF = """
    from torch import nn
    from hydrantic import register_model

    @register_model("workshop_net")
    class WorkshopNet(nn.Module):
        \"\"\"A network of this project.

        Arguments:
            width: how many values there are within.
        \"\"\"

        def __init__(self, in_features: int, out_features: int, width: int = 8) -> None:
            super().__init__()
    """


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageServer]:
    """A server that looks at a project with a component of its own, and with the shipped blueprints."""
    try:
        script = installed()
    except NotToBeHad as reason:
        pytest.skip(str(reason))
    folder = tmp_path_factory.mktemp("a project")
    project(folder, workshop=SHELF)
    shutil.copytree(ROOT / "blueprints", folder / "blueprints")
    assert main(["schema", "--project", str(folder)]) == 0
    with LanguageServer(script, folder) as running:
        yield running


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return current(Project(None))


# what is offered


def test_every_section_is_offered(server: LanguageServer) -> None:
    offered = server.completions(LINE + "data: digits\n|\n")
    assert {"model", "loss", "metrics", "optimizer", "trainer", "defaults", "vars"} <= offered.keys()
    assert "data" not in offered
    assert offered["seed"]["documentation"].startswith("Seed of everything random in training.")
    assert offered["seed"]["insertText"] == "seed: ${1:42}"


@pytest.mark.parametrize(
    "text", ["model:\n  name: |\n", "model: |\n", "model:\n  name: m|\n", "model:\n  module_name: |"]
)
def test_the_names_of_the_models_are_offered(text: str, server: LanguageServer, manifest: Manifest) -> None:
    offered = server.completions(LINE + "data: digits\n" + text)
    assert offered.keys() == {*manifest.names("model"), "workshop_net"}
    assert offered["mlp"]["documentation"] == manifest.named("model", "mlp").summary


def test_the_fields_of_the_chosen_model_are_offered_and_no_others(server: LanguageServer) -> None:
    offered = server.completions(LINE + "data: digits\nmodel:\n  name: workshop_net\n  |\n")
    assert offered.keys() == {"in_features", "out_features", "width"}
    assert offered["width"]["insertText"] == "width: ${1:8}"
    assert offered["width"]["documentation"] == "how many values there are within.\n\ninteger; default: 8"


def test_a_name_that_others_begin_with_offers_its_own_fields(server: LanguageServer, manifest: Manifest) -> None:
    offered = server.completions(LINE + "optimizer:\n  name: adam\n  lr: 0.1\n  |\n")
    assert offered.keys() == {*manifest.named("optimizer", "adam").fields} - {"lr"}
    assert "decoupled_weight_decay" in offered
    assert "momentum_decay" not in offered


def test_the_older_form_is_completed_too(server: LanguageServer, manifest: Manifest) -> None:
    offered = server.completions(LINE + "optimizer:\n  module_name: torch.optim.AdamW\n  kwargs:\n    |\n")
    assert offered.keys() == {*manifest.named("optimizer", "adamw").fields}


def test_a_section_that_need_not_choose_offers_the_fields_of_its_default(server: LanguageServer) -> None:
    assert {"name", "lr", "betas"} <= server.completions(LINE + "optimizer:\n  |\n").keys()


def test_nested_components_are_offered_by_name(server: LanguageServer, manifest: Manifest) -> None:
    short = server.completions(LINE + "model:\n  name: mlp\n  activation: |\n")
    block = server.completions(LINE + "model:\n  name: mlp\n  activation:\n    name: |\n")
    assert short.keys() == block.keys() == {*manifest.names("layer")}
    assert "torch.nn.ReLU" not in short


def test_the_fields_of_a_nested_component_are_offered(server: LanguageServer) -> None:
    offered = server.completions(LINE + "model:\n  name: mlp\n  activation:\n    name: leaky_relu\n    |\n")
    assert offered.keys() == {"negative_slope", "inplace"}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("checkpoint:\n  mode: |\n", {"min", "max"}),
        ("model:\n  name: mlp\n  normalization: |\n", {"batch", "layer", "null"}),
        ("matmul_precision: |\n", {"highest", "high", "medium", "null"}),
        ("model:\n  name: linear\n  bias: |\n", {"true", "false"}),
        ("loggers:\n  wandb:\n    mode: |\n", {"auto", "online", "offline", "disabled"}),
    ],
)
def test_the_values_of_a_choice_are_offered(text: str, values: set[str], server: LanguageServer) -> None:
    assert server.completions(LINE + text).keys() - {"Default value"} == values


def test_labels_are_offered_by_the_names_they_may_be(server: LanguageServer, manifest: Manifest) -> None:
    assert server.completions(LINE + "metrics:\n  f1: {}\n  |\n").keys() == {*manifest.names("metric")} - {"f1"}
    assert {"top_k", "name", "input"} <= server.completions(LINE + "metrics:\n  accuracy:\n    |\n").keys()
    assert {"accuracy", "f1"} <= server.completions(LINE + "metrics:\n  mine:\n    name: |\n").keys()
    assert {"top_k", "input"} <= server.completions(LINE + "metrics:\n  mine:\n    name: accuracy\n    |\n").keys()


def test_an_option_is_offered_by_its_registered_name(server: LanguageServer) -> None:
    assert "mlp" in server.completions(LINE + "defaults:\n  - model: |\n")


# what is shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("model:\n  name: mlp\n  drop|out: 0.1\n", "Probability with which each hidden value is set to 0 in training."),
        ("model:\n  name: mlp\n  dropout: 0|.1\n", "number, at least 0, less than 1; default: 0.0"),
        ("model:\n  name: ml|p\n", "* `mlp`: Fully connected layers"),
        ("se|ed: 1\n", "Seed of everything random in training."),
        ("trainer: {max_ep|ochs: 3}\n", "Stop training once this number of epochs is reached."),
        ("metrics: {accu|racy: }\n", "The part of the samples whose class is predicted"),
        ("checkpoint: {mod|e: min}\n", "Whether a smaller or a larger monitored value is better."),
        ("model: {name: mlp, activation: {name: leaky_relu, negative|_slope: 0.1}}\n", "default: 0.01"),
        ("optimizer: {module_name: adam, kwargs: {l|r: 0.1}}\n", "learning rate"),
    ],
)
def test_hovering_shows_what_a_key_means(text: str, shown: str, server: LanguageServer) -> None:
    assert shown in server.hover(LINE + text)


# what is marked


SOUND = LINE + "data: digits\nmodel: mlp\nloss: cross_entropy\n"
SAID = [
    ("optimizer:\n  name: adamw\n  lrr: 0.1\n", (7, 3), "adamw has these fields: lr, betas, eps, weight_decay, "),
    ("optimizer:\n  name: adamm\n", (6, 9), "expected: one of the optimizers: adadelta, adafactor, "),
    ("optimiser: adam\n", (5, 1), "the sections are name, description, "),
    ("optimizer: {lr: '0.1'}\n", (5, 17), "expected: number, greater than 0"),
    ("optimizer: {lr: -1}\n", (5, 17), "Value is below the exclusive minimum of 0."),
    ("trainer:\n  max_epochs: ten\n", (6, 15), "expected: integer or null, at least -1"),
    ("trainer:\n  max_epoch: 3\n", (6, 3), "lightning.Trainer has no such argument"),
    ("trainer:\n  logger: true\n", (6, 3), "'logger' is not set here: use the section `loggers:`"),
    ("checkpoint:\n  mode: least\n", (6, 9), "expected: min | max"),
    ("metrics:\n  top3: {top_k: 3}\n", (6, 3), "needs a `name` that chooses one of the metrics"),
    ("metrics:\n  loss: mse\n", (6, 3), "the label `loss` is that of the loss; give this metric another"),
    ("scheduler:\n  name: cosine\n", (5, 1), 'Missing property "T_max".'),
    ("scheduler: cosine\n", (5, 12), "needs fields: write {name: ..., field: ...}"),
    ("vars: {a: {_target_: os.system}}\n", (5, 12), "would call code: a blueprint selects components by `name:`"),
]


@pytest.mark.parametrize(("text", "place", "said"), SAID)
def test_a_mistake_is_marked_where_it_is(text: str, place: tuple[int, int], said: str, server: LanguageServer) -> None:
    ((line, column, message),) = server.diagnostics(SOUND + text)
    assert (line, column) == place
    assert message.startswith(said)


def test_a_typo_in_a_nested_component_is_marked_where_it_is(server: LanguageServer) -> None:
    model = "model:\n  name: mlp\n  activation:\n    name: leaky_relu\n    slope: 0.2\n"
    ((line, column, message),) = server.diagnostics(LINE + "data: digits\nloss: cross_entropy\n" + model)
    assert (line, column, message) == (8, 5, "leaky_relu has these fields: negative_slope, inplace")


@pytest.mark.parametrize(
    "text",
    [
        "optimizer: {lr: 1e-3}", "optimizer: {lr: 1E-3}", "optimizer: {lr: .5}", "optimizer: {lr: 1_0.5}",
        "optimizer: {lr: +3}", "seed: 1_000", "early_stopping: {stopping_threshold: -inf}",
        "early_stopping: {stopping_threshold: .inf}", "early_stopping: {stopping_threshold: nan}",
        "description: off", "description: 12:30", "description: 2024-01-01", "checkpoint: ~", "metrics: {accuracy: }",
        "trainer: {deterministic: True}", "vars: {a: 012, b: 0x1F, c: yes}",
        "optimizer: {lr: '${vars.lr}'}\nvars: {lr: 0.1}", "trainer:\n  max_epochs: ${seed}",
        "vars: {same: &same {name: adamw}}\noptimizer: {<<: *same, lr: 0.1}",
    ],
)  # fmt: skip
def test_values_that_check_understands_are_not_marked(text: str, server: LanguageServer) -> None:
    assert server.diagnostics(SOUND + text + "\n") == []


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_nothing_is_marked_in_a_shipped_blueprint(file: Path, server: LanguageServer) -> None:
    text = file.read_text("utf-8")
    assert text.startswith(LINE)
    assert server.diagnostics(text) == []
    typo = text + "sed: 1\n"
    assert [line for line, _, _ in server.diagnostics(typo)] == [typo.count("\n")]  # so the schema was found


def _in_the_readme() -> list[Any]:
    shown = re.findall(r"```yaml\n(# blueprints/(\S+)\n.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    whole = [(text, name) for text, name in shown if "/" not in name]  # what lies in a folder is a piece of blueprints
    sound = [(text, name) for text, name in whole if name not in {"mistaken.yaml", "autoencoder.yaml"}]
    return [pytest.param(text, id=name) for text, name in sound]


@pytest.mark.parametrize("text", _in_the_readme())
def test_nothing_is_marked_in_the_blueprints_of_the_readme(text: str, server: LanguageServer) -> None:
    assert server.diagnostics(LINE + text) == []

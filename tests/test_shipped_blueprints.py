"""The blueprints that the repository ships: each is planned and trained, and keeps what it promises."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from hydrantic.blueprint import WIRINGS, Blueprint
from hydrantic.checking import prepare
from hydrantic.cli.main import main
from hydrantic.components import hparams_of
from hydrantic.fitting import fit
from hydrantic.hparams import Hparams
from hydrantic.model.hparams import CheckpointHparams, EarlyStoppingHparams
from hydrantic.plan import Plan
from hydrantic.project import Project
from hydrantic.registries import registry
from tests.projects import write

pytestmark = pytest.mark.usefixtures("scratch")

FOLDER = Path(__file__).parent.parent / "blueprints"
FILES = sorted(FOLDER.glob("*.yaml"))
STOCK = Project(FOLDER.parent)
COMPLETE = FOLDER / "config_blueprint.yaml"

each_blueprint = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


@each_blueprint
def test_a_shipped_blueprint_is_planned(file: Path) -> None:
    assert prepare(file, project=STOCK).name == file.stem


@each_blueprint
def test_a_shipped_blueprint_says_what_it_is_for(file: Path) -> None:
    text = file.read_text("utf-8")
    assert text.startswith("# yaml-language-server: $schema=../.hydrantic/blueprint.schema.json\n# ")
    assert max(map(len, text.splitlines())) <= 120


@each_blueprint
def test_a_shipped_blueprint_trains(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(file), "trainer.max_epochs=1", "loggers={}", "--runs", str(tmp_path), "--project", str(FOLDER.parent)]
    assert main(["fit", *words]) == 0
    [record] = tmp_path.glob("*/*/run.json")
    fields = json.loads(record.read_text("utf-8"))
    assert fields["status"] == "finished"
    assert any(name.startswith("test/") for name in fields["metrics"])
    assert "Warning" not in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "metric", "least"),
    [
        ("mlp", "test/accuracy", 0.97),
        ("cnn", "test/accuracy", 0.98),
        ("linear", "test/accuracy", 0.93),
        ("regression", "test/r2", 0.4),
        ("tabular", "test/accuracy", 0.75),
        ("universal_function", "test/r2", 0.99),
    ],
)
def test_a_shipped_blueprint_reaches_what_it_promises(name: str, metric: str, least: float, tmp_path: Path) -> None:
    run = fit(FOLDER / f"{name}.yaml", ["loggers={}"], project=FOLDER.parent, runs=tmp_path)
    assert run.metrics[metric] >= least


# -- the complete one -------------------------------------------------------------------------------------------------


def minimal(folder: Path) -> Plan:
    text = "data: digits\nmodel: mlp\nloss: cross_entropy\n"
    return prepare(write(folder / "config_blueprint.yaml", text), project=STOCK)


def written() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(COMPLETE.read_text("utf-8"))
    return content


def uncommented() -> str:
    """The complete blueprint with its optional sections switched on."""
    text = re.sub(r"(?m)^(scheduler|early_stopping|objective): null\n", "", COMPLETE.read_text("utf-8"))
    return re.sub(r"(?m)^#(?=\S+:|  )", "", text.partition("\n\n")[2])


def default_values(hparams: type[Hparams]) -> dict[str, Any]:
    """The defaults of all fields that have one, as YAML holds them."""
    fields = {name: field for name, field in hparams.model_fields.items() if not field.is_required()}
    return {name: field.get_default(call_default_factory=True) for name, field in fields.items()}


def as_yaml_holds(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: as_yaml_holds(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [as_yaml_holds(part) for part in value]
    return str(value).removesuffix("/") if isinstance(value, Path | str) else value


def test_the_complete_blueprint_has_every_section() -> None:
    assert set(written()) == set(Blueprint.model_fields)


def test_the_complete_blueprint_means_the_same_as_the_smallest(tmp_path: Path) -> None:
    assert prepare(COMPLETE, project=STOCK).resolved() == minimal(tmp_path).resolved()


def test_the_complete_blueprint_writes_out_every_field_of_the_smallest(tmp_path: Path) -> None:
    resolved = minimal(tmp_path).resolved()
    content = written()
    assert content["optimizer"]["kwargs"].keys() == resolved.pop("optimizer").keys() - {"name"}
    for section, value in resolved.items():
        if isinstance(value, dict):
            assert content[section].keys() - set(wired_keys(section)) == value.keys()
    assert content["model"]["activation"].keys() == resolved["model"]["activation"].keys()
    assert content["loggers"]["wandb"].keys() == resolved["loggers"]["wandb"].keys()


def wired_keys(section: str) -> tuple[str, ...]:
    return tuple(WIRINGS[section].model_fields) if section in WIRINGS else ()


@pytest.mark.parametrize(
    ("section", "hparams"), [("checkpoint", CheckpointHparams), ("early_stopping", EarlyStoppingHparams)]
)
def test_the_complete_blueprint_shows_the_defaults_of_settings(section: str, hparams: type[Hparams]) -> None:
    content = yaml.safe_load(uncommented())
    assert as_yaml_holds(content[section]) == as_yaml_holds(default_values(hparams))


def test_the_complete_blueprint_shows_every_field_of_a_scheduler() -> None:
    block = yaml.safe_load(uncommented())["scheduler"]
    entry = registry("scheduler").get(block["module_name"])
    assert block["kwargs"].keys() == hparams_of(entry).model_fields.keys()
    assert block.keys() - {"module_name", "kwargs"} == WIRINGS["scheduler"].model_fields.keys()
    assert {key: block[key] for key in WIRINGS["scheduler"].model_fields} == default_values(WIRINGS["scheduler"])


def test_the_optional_sections_of_the_complete_blueprint_train(tmp_path: Path) -> None:
    file = write(tmp_path / "all.yaml", uncommented())
    overrides = ["optimizer.kwargs.lr=5e-4", "data.batch_size=64", "trainer.max_epochs=1", "loggers={}"]
    run = fit(file, overrides, project=FOLDER.parent, runs=tmp_path / "runs")
    assert run.plan.scheduler is not None
    assert run.plan.blueprint.early_stopping is not None
    assert run.plan.optimizer is not None
    assert run.plan.optimizer.hparams["lr"] == 5e-4


def test_the_seeds_overrides_work_on_the_complete_blueprint() -> None:
    plan = prepare(COMPLETE, ["optimizer.kwargs.lr=5e-4", "data.batch_size=64"], project=STOCK)
    assert plan.optimizer is not None
    assert (plan.optimizer.hparams["lr"], plan.data.hparams["batch_size"]) == (5e-4, 64)

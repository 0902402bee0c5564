"""`hydrantic show`: valid YAML or JSON of the complete blueprint."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from hydrantic.checking import check
from hydrantic.cli.main import main
from hydrantic.reading import parse_yaml
from tests.projects import DIGITS, write

pytestmark = pytest.mark.usefixtures("scratch")

TEXT = """\
data: {name: csv, path: tabelle.csv, target: y}
model: {name: mlp, activation: {name: leaky_relu, negative_slope: 0.2}}
loss: cross_entropy
scheduler: {name: cosine, T_max: "${trainer.max_epochs}"}
loggers: {csv: , wandb: {project: "${oc.env:SECRET}"}}
vars: {text: "a ${oc.env:SECRET}", literal: "\\\\${x}"}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a blueprint for a table, in which a person stands."""
    folder = tmp_path / "Prüfstand 1"
    write(folder / "blueprints" / "über.yaml", TEXT)
    write(folder / "blueprints" / "tabelle.csv", "x,y\n1,a\n2,b\n")
    write(folder / "pyproject.toml", '[tool.hydrantic]\nenv = ["SECRET"]\n')
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SECRET", "hunter2")
    monkeypatch.delenv("HYDRA_CONFIG_PATH", raising=False)
    return folder


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["show", "blueprints/über.yaml", *words]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "hunter2" not in printed.out
    return printed.out


@pytest.mark.parametrize("words", [[], ["--origins"]])
def test_what_is_shown_is_the_same_plan(here: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    plan = check("blueprints/über.yaml", ["seed=3"])
    text = shown(capsys, "seed=3", *words)
    elsewhere = write(here / "else" / "where.yaml", text)
    assert check(elsewhere).resolved() == plan.resolved()
    assert parse_yaml(text, elsewhere).plain() == plan.resolved()


def test_origins_are_comments(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line.split("  # ") for line in shown(capsys, "--origins", "seed=3").splitlines()]
    origins = {line[0].strip(): line[1] for line in lines if len(line) > 1}
    assert origins["seed: 3"] == "command line"
    assert origins["target: y"] == "blueprints/über.yaml:1"
    assert origins["T_max: 10"] == "blueprints/über.yaml:4: ${trainer.max_epochs}"
    assert origins["project: ${oc.env:SECRET}"] == "blueprints/über.yaml:5: ${oc.env:SECRET}"


def test_json_is_the_complete_blueprint(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(shown(capsys, "--json")) == check("blueprints/über.yaml").resolved()


def test_json_with_origins_is_a_record_for_each_value(capsys: pytest.CaptureFixture[str]) -> None:
    records = json.loads(shown(capsys, "--json", "--origins", "seed=3"))
    assert records["seed"] == {"value": 3, "origin": "command line", "override": "seed=3"}
    assert records["data.path"]["file"] == "blueprints/über.yaml"


def test_a_blueprint_with_problems_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "blueprints/über.yaml", "model.with=3"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("1 problem\n\ncommand line: model.with=3: mlp has no field 'with'")


def test_without_a_blueprint_it_says_what_it_wants(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show"]) == 2
    assert capsys.readouterr().err.startswith("which blueprint? hydrantic show BLUEPRINT")


def test_deep_shows_what_the_data_supplies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "deep.yaml", DIGITS)
    assert main(["show", str(file), "--deep", "--origins"]) == 0
    printed = capsys.readouterr().out
    assert ": auto" not in printed.split("callbacks:")[0]
    assert re.search(r"\n  in_features: 64 +# data\n", printed)


def test_a_file_whose_name_is_no_text_is_shown_all_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / os.fsdecode(b"x\xff.yaml")
    file.write_text(DIGITS, encoding="utf-8")
    assert main(["show", "--origins", str(file)]) == 0
    assert capsys.readouterr().out.startswith("name: x?  ")

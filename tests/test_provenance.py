"""Where the values of a run came from, as its record keeps it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hydrantic.build import draft
from hydrantic.plan import Plan
from hydrantic.provenance import origins
from tests.projects import DIGITS, planned, write

pytestmark = pytest.mark.usefixtures("scratch")


def complete(plan: Plan) -> Plan:
    return draft(plan).plan


def test_every_value_that_is_no_default_has_an_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan = complete(planned(tmp_path, DIGITS, "model.activation=tanh", "+trainer.gradient_clip_val=1"))
    found = origins(plan, tmp_path / "run")
    assert found["data.name"] == "a.yaml:1"
    assert found["metrics.accuracy.name"] == "a.yaml:4"
    assert found["trainer.max_epochs"] == "a.yaml:6"
    assert found["model.activation.name"] == "command line"
    assert found["trainer.gradient_clip_val"] == "command line"
    assert found["model.in_features"] == "the data"
    assert found["name"] == "the file's name"
    assert not {"model.dropout", "optimizer.name", "seed", "trainer.devices"} & found.keys()


def test_the_older_form_has_the_same_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    older = DIGITS + "optimizer:\n  module_name: torch.optim.AdamW\n  kwargs:\n    lr: 0.01\n"
    found = origins(planned(tmp_path, older), tmp_path / "run")
    assert found["optimizer.name"] == "a.yaml:8"
    assert found["optimizer.lr"] == "a.yaml:10"


def test_auto_is_the_datas_even_where_the_file_writes_it(tmp_path: Path) -> None:
    text = DIGITS.replace("model: mlp", "model: {name: mlp, in_features: auto}")
    assert origins(complete(planned(tmp_path, text)), tmp_path / "run")["model.in_features"] == "the data"


def test_what_the_environment_gave_is_not_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIDDEN_NOTE", "hunter22")
    write(tmp_path / "pyproject.toml", '[tool.hydrantic]\nenv = ["HIDDEN_NOTE"]\n')
    from hydrantic.project import Project

    text = DIGITS + "description: ${oc.env:HIDDEN_NOTE}\n"
    found = origins(planned(tmp_path, text, of=Project(tmp_path)), tmp_path / "run")
    assert "hunter22" not in json.dumps(found)


def test_a_run_that_goes_on_keeps_what_its_record_said(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    write(
        folder / "run.json", json.dumps({"origins": {"optimizer.lr": "old.yaml:3", "trainer.max_epochs": "old.yaml:9"}})
    )
    found = origins(planned(tmp_path, DIGITS, "trainer.max_epochs=9"), folder)
    assert found == {"optimizer.lr": "old.yaml:3", "trainer.max_epochs": "command line"}


def test_a_job_has_what_its_sweep_noted(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    write(folder / "job.json", json.dumps({"origins": {"seed": "command line"}}))
    assert origins(planned(tmp_path, DIGITS), folder) == {"seed": "command line"}

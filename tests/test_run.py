"""A run in a person's hands: what `fit` returns and `load` finds again, in a notebook as well."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy
import polars
import pytest
import torch

import hydrantic
from hydrantic.errors import RunFailed, UsageError
from hydrantic.fitting import fit
from hydrantic.run import Run, load
from tests.projects import DIGITS, project, write
from tests.trained import OWN, SHELF, fit_table, plants

pytestmark = pytest.mark.usefixtures("scratch")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that `fit` has returned."""
    return fit_table(tmp_path_factory.mktemp("table"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's folder, in which they stand."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRANTIC_RUNS", raising=False)
    return tmp_path


def test_what_is_loaded_is_what_was_made(made: Run, here: Path) -> None:
    found = hydrantic.load(made.path)
    assert (found.path, found.name, found.status, found.checkpoint) == (
        made.path,
        "plants",
        "finished",
        made.checkpoint,
    )
    assert dict(found.metrics) == dict(made.metrics)
    assert found.blueprint == made.blueprint
    assert found.plan.resolved() == made.plan.resolved()
    assert found.record["best_metrics"]["validation/loss"] <= found.history["validation/loss"].max()
    assert found.seconds is not None
    assert not found.model.training
    assert found.model is found.model
    for one, other in zip(found.model.parameters(), made.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_history_has_a_row_per_step_and_a_column_per_logged_name(made: Run) -> None:
    history = load(made.path).history
    assert history.columns[:2] == ["step", "epoch"]
    assert [str(history.schema[name]) for name in ("step", "validation/loss")] == ["Int64", "Float64"]
    logged = history.drop_nulls("training/loss")
    assert logged["epoch"].to_list() == [0, 1]
    assert logged["validation/loss"].to_list()[-1] == made.metrics["validation/loss"]


def test_a_history_that_is_being_written_is_read_up_to_its_last_row(made: Run, here: Path) -> None:
    copy = Path(shutil.copytree(made.path, here / "copy"))
    before = load(copy).history
    with (copy / "metrics.csv").open("a") as file:
        file.write("99,7,0.")
    assert load(copy).history.equals(before)
    write(copy / "metrics.csv", "step,epoch,training/loss\n1,0,nan\n2,0,inf\n3,0,\n")
    assert str(load(copy).history["training/loss"].to_list()) == "[nan, inf, None]"
    (copy / "metrics.csv").unlink()
    assert load(copy).history.shape == (0, 2)


def test_a_checkpoint_that_has_left_its_run_is_a_run_without_a_record(made: Run, here: Path) -> None:
    shutil.copy(made.checkpoint or "", here / "sent.ckpt")
    found = load("sent.ckpt")
    assert (found.path, found.source, found.name) == (Path("sent.ckpt"), Path("sent.ckpt"), "plants")
    assert (found.record, found.status, found.metrics, found.seconds) == ({}, "unknown", {}, None)
    assert found.history.is_empty()
    assert found.test() == pytest.approx(made.test(), nan_ok=True)
    with pytest.raises(UsageError, match=r"sent\.ckpt is a checkpoint alone"):
        found.plot()


def test_a_checkpoint_in_its_run_is_that_run_with_these_weights(made: Run) -> None:
    last = made.path / "checkpoints" / "last.ckpt"
    found = load(last)
    assert (found.path, found.source, found.checkpoint) == (made.path, last, last)
    assert load(made.path, weights="last").checkpoint == last


def test_data_is_predicted_by_overrides_or_as_a_frame(made: Run, here: Path) -> None:
    write(here / "new.csv", plants(5, first=70))
    found = load(made.path)
    by_mapping = found.predict({"data.path": "new.csv"})
    assert by_mapping.height == 5
    assert found.predict(["data.path=new.csv"]).equals(by_mapping)
    assert found.predict("data.path=new.csv").equals(by_mapping)
    assert found.predict(polars.read_csv("new.csv")).equals(by_mapping)
    assert found.predict().height == 60
    assert found.predict(split="test").height == 6


def test_raw_inputs_are_predicted_as_tensors_or_arrays(made: Run, here: Path) -> None:
    found = load(made.path)
    outputs = found.predict(torch.zeros(3, 4))
    assert outputs.shape == (3, 3)
    assert torch.equal(found.predict(numpy.zeros((3, 4))), outputs)


def test_a_run_is_tested_and_validated_anew(made: Run, here: Path) -> None:
    write(here / "new.csv", plants(5, first=70))
    found = load(made.path)
    assert found.test() == {name: value for name, value in made.metrics.items() if name.startswith("test/")}
    assert set(found.validate({"data.path": "new.csv"})) == {
        f"validation/{name}" for name in ("loss", "accuracy", "f1")
    }


def test_nothing_is_left_behind_however_often_it_is_done(made: Run, here: Path) -> None:
    torch.manual_seed(5)

    def states() -> tuple[object, ...]:
        random = torch.get_rng_state().sum().item()
        return random, torch.is_grad_enabled(), torch.get_num_threads(), Path.cwd(), dict(os.environ)

    before, first = states(), load(made.path)
    shown = [(run.predict().row(0), run.test(), str(run.model)) for run in (first, first, load(made.path))]
    assert shown[0] == shown[1] == shown[2]
    assert states() == before


def test_a_run_that_failed_tells_what_there_is(here: Path) -> None:
    project(here, parts=SHELF)
    with pytest.raises(RunFailed):
        fit(write(here / "a.yaml", OWN + "vars: {x: 1}\n"), ["model.explodes=true", "checkpoint=null"])
    found = load("runs")
    assert (found.status, found.name, found.blueprint["vars"], found.checkpoint) == ("failed", "a", {"x": 1}, None)
    with pytest.raises(UsageError, match="recorded as failed, kept no weights"):
        _ = found.model
    assert "a: failed" in found.summary()


def test_the_blueprint_is_read_from_its_file_where_the_record_does_not_have_it(made: Run, here: Path) -> None:
    copy = Path(shutil.copytree(made.path, here / "copy"))
    record = json.loads((copy / "run.json").read_text("utf-8"))
    record.pop("blueprint", None)
    write(copy / "run.json", json.dumps(record))
    assert load(copy).blueprint == made.blueprint


def test_a_notebook_shows_a_run_shortly_and_escaped(made: Run, here: Path) -> None:
    copy = Path(shutil.copytree(made.path, here / "copy"))
    record = json.loads((copy / "run.json").read_text("utf-8"))
    write(copy / "run.json", json.dumps(record | {"name": "<script>"}))
    shown = load(copy)._repr_html_()
    assert "&lt;script&gt;" in shown
    assert "<script>" not in shown
    assert "test/accuracy" in shown
    assert repr(load(copy)) == "<run copy>"


def test_metrics_that_json_lacks_are_numbers_again(made: Run, here: Path) -> None:
    copy = Path(shutil.copytree(made.path, here / "copy"))
    record = json.loads((copy / "run.json").read_text("utf-8"))
    write(copy / "run.json", json.dumps(record | {"metrics": {"test/loss": "Infinity"}}))
    assert load(copy).metrics["test/loss"] == float("inf")


def test_a_run_of_a_project_elsewhere_goes_on_knowing_its_project(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(here / "mine", parts=SHELF)
    run = fit(write(here / "mine" / "a.yaml", OWN), project=here / "mine", runs=here / "runs")
    assert run.predict().height == 12


def test_a_run_draws_its_curves(made: Run) -> None:
    pytest.importorskip("matplotlib")
    assert made.plot().axes


def test_the_summary_tells_the_test_or_else_the_validation(here: Path) -> None:
    write(here / "a.yaml", DIGITS)
    run = fit("a.yaml", ["data.split=[200,50,50]"], test=False)
    assert "validation/accuracy" in run.summary()
    assert "test/" not in run.summary()
    assert run.summary().startswith("a: done in ")

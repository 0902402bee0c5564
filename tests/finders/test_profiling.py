"""Where the time goes: that all of it is charged to something, and each thing to what it belongs to."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hydrantic.errors import BlueprintError, UsageError
from hydrantic.finders.clock import Clock
from hydrantic.finders.profiling import KINDS, Profile, hint_of, profile, summed_up
from tests.finders.shelf import shelf
from tests.projects import DIGITS, planned, write

pytestmark = pytest.mark.usefixtures("scratch")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of temporary folders of its own, in which a person stands beside it."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


def _found(folder: Path, *overrides: str, text: str = DIGITS, steps: int = 30, trace: str | None = None) -> Profile:
    file = None if trace is None else folder / trace
    return profile(write(folder / "a.yaml", text), overrides, project=shelf(folder).root, steps=steps, trace=file)


# -- the clock ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock for which each look takes a second."""
    seconds = iter(range(1000))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(seconds)))
    made = Clock()
    made.begin("cpu")
    return made


def _fetch(clock: Clock) -> None:
    clock.start("[_TrainingEpochLoop].train_dataloader_next")
    clock.stop("[_TrainingEpochLoop].train_dataloader_next")


def test_what_is_nested_is_charged_to_the_innermost_kind(clock: Clock) -> None:
    _fetch(clock)
    with clock.profile("[LightningModule]Model.optimizer_step"), clock.profile("[Strategy]S.training_step"):
        pass
    assert dict(clock.steps[0]) == {"data": 1.0, "other": 2.0, "optimizer": 2.0, "forward": 1.0}


def test_a_step_begins_with_its_batch(clock: Clock) -> None:
    _fetch(clock)
    _fetch(clock)  # a loader of unknown length is asked for one batch ahead
    clock.end_batch()
    _fetch(clock)
    assert len(clock.steps) == 2


def test_all_of_validation_is_validation_but_for_what_is_written(clock: Clock) -> None:
    def validate() -> None:
        with clock.profile("[LightningModule]Model.transfer_batch_to_device"):
            pass
        clock.charged("logging", lambda: None)()
        with clock.profile("save_checkpoint"):
            pass

    _fetch(clock)
    clock.validating(validate)()
    assert set(clock.steps[0]) == {"data", "other", "validation", "logging", "checkpoint"}
    assert clock.steps[0]["logging"] == clock.steps[0]["checkpoint"] == 1.0


def test_an_epochs_end_is_metrics_of_the_model_and_callbacks_of_others(clock: Clock) -> None:
    _fetch(clock)
    for action in ("[LightningModule]Model.on_train_epoch_end", "[Callback]Timer.on_train_epoch_end"):
        with clock.profile(action):
            pass
    assert clock.steps[0]["metrics"] == clock.steps[0]["callbacks"] == 1.0


# -- summing up --------------------------------------------------------------------------------------------------------


def test_the_first_step_is_told_apart() -> None:
    steps = [{"forward": 5.0}, *({"forward": 0.003, "data": 0.001} for _ in range(10))]
    forward, data = summed_up(steps)
    assert (forward.kind, data.kind) == ("forward", "data")
    assert forward.share == pytest.approx(0.75)
    assert forward.mean == pytest.approx(3.0)
    assert forward.p95 == pytest.approx(3.0)
    assert forward.total == pytest.approx(0.03)
    assert forward.first == pytest.approx(5000)
    assert data.first == 0.0


def test_the_hint_is_about_what_dominates(tmp_path: Path) -> None:
    plan = planned(tmp_path, DIGITS)
    work = summed_up([{}, {"data": 3.0, "forward": 1.0}])
    assert hint_of(work, plan, "cpu") == (
        "data takes 75% of the time; what may help: a larger data.batch_size, or data that is prepared once"
    )
    assert "bf16" in hint_of(summed_up([{}, {"forward": 1.0}]), plan, "cuda")
    assert hint_of(summed_up([{}, {"callbacks": 1.0}]), plan, "cpu") == "callbacks takes 100% of the time"


# -- real training -----------------------------------------------------------------------------------------------------


def test_a_blueprint_is_profiled(tmp_path: Path, temporary: Path) -> None:
    found = _found(tmp_path, steps=30)
    kinds = {each.kind for each in found.work}
    assert kinds >= {"data", "forward", "backward", "optimizer", "metrics", "validation", "checkpoint", "other"}
    assert kinds <= set(KINDS)
    assert sum(each.share for each in found.work) == pytest.approx(1)
    assert [each.total for each in found.work] == sorted((each.total for each in found.work), reverse=True)
    assert found.steps == 30
    assert found.validations == 1
    assert found.parameters == 26122
    assert found.steps_per_second > 0
    assert found.timed_steps_per_second > 0
    assert "aten::addmm" in {each.name for each in found.operators}
    assert list(temporary.iterdir()) == []
    assert not (tmp_path / "runs").exists()


def test_the_trace_names_the_kinds_of_work(tmp_path: Path) -> None:
    _found(tmp_path, steps=10, trace="trace.json.gz")
    with gzip.open(tmp_path / "trace.json.gz", "rt") as file:
        events = json.load(file)["traceEvents"]
    names = {each.get("name") for each in events}
    assert names >= {"data", "forward", "backward", "optimizer", "aten::addmm"}


def test_a_trace_may_be_plain_json(tmp_path: Path) -> None:
    _found(tmp_path, steps=5, trace="trace.json")
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]


def test_loggers_that_could_reach_others_take_no_part(tmp_path: Path) -> None:
    found = _found(tmp_path, "loggers={wandb: {}, csv: {}}", steps=5)
    assert found.notes[0] == "of the loggers (wandb, csv), only metrics.csv takes part"
    assert not (tmp_path / "wandb").exists()


def test_early_stopping_does_not_end_it(tmp_path: Path) -> None:
    text = DIGITS + "early_stopping: {patience: 0, min_delta: 100.0}\n"
    assert _found(tmp_path, text=text, steps=60).validations == 2


def test_a_module_of_its_own_making_is_profiled(tmp_path: Path) -> None:
    found = _found(tmp_path, text="data: digits\nmodel: own\nloggers: {}\n", steps=8)
    assert {"forward", "backward", "optimizer"} <= {each.kind for each in found.work}


def test_starting_a_loaders_workers_is_data_and_not_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    original = Clock.charged

    def charged(self: Clock, kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
        started.append((kind, getattr(function, "__name__", "")))
        return original(self, kind, function)

    monkeypatch.setattr(Clock, "charged", charged)
    _found(tmp_path, steps=5)
    assert ("data", "on_run_start") in started


def test_callbacks_are_charged_for_themselves(tmp_path: Path) -> None:
    found = _found(tmp_path, "callbacks={loud: loud}", steps=6)
    assert "callbacks" in {each.kind for each in found.work}


def test_too_few_steps_are_refused() -> None:
    with pytest.raises(UsageError, match="4 steps show nothing: take 5 or more"):
        profile("a.yaml", steps=4)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("trace.txt", "choose .json or .json.gz"), ("nowhere/trace.json", "there is no folder nowhere")],
)
def test_a_trace_that_cannot_be_written_is_refused_before_training(name: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        profile("a.yaml", trace=name)


def test_a_blueprint_with_problems_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BlueprintError, match="no field 'hiden'"):
        _found(tmp_path, "model.hiden=3")

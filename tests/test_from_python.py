"""Runs and sweeps from Python: blueprints made of blocks, overrides as mappings, models handed back."""

from __future__ import annotations

import gc
import itertools
import math
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
import torch
import yaml

import hydrantic
from hydrantic import Blueprint, BlueprintError, Sweep, UsageError
from hydrantic.blocks import data, losses, metrics, models, optimizers
from hydrantic.model.hparams import CheckpointHparams
from hydrantic.opening import open_run
from hydrantic.project import Project
from hydrantic.sweeping.drafts import Order, drafted
from hydrantic.sweeping.sweep import swept_texts
from hydrantic.sweeping.view import View
from tests.projects import DIGITS, write

pytestmark = pytest.mark.usefixtures("scratch")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


def digits(**sections: Any) -> Blueprint:
    usual: dict[str, Any] = {
        "data": data.digits(),
        "model": models.mlp(hidden_dims=(16,)),
        "loss": losses.cross_entropy(),
        "metrics": {"accuracy": metrics.accuracy()},
        "loggers": {},
        "trainer": {"max_epochs": 1},
    }
    return Blueprint(**usual | sections)


def test_a_blueprint_of_blocks_is_fitted() -> None:
    run = hydrantic.fit(digits(name="blocks", optimizer=optimizers.sgd(lr=0.1)))
    assert run.path.parent.name == "blocks"
    recorded = yaml.safe_load((run.path / "blueprint.yaml").read_text())
    assert recorded["model"]["hidden_dims"] == [16]
    assert (recorded["optimizer"]["name"], recorded["optimizer"]["lr"]) == ("sgd", 0.1)
    assert hydrantic.fit(run.path / "blueprint.yaml").metrics == run.metrics


def test_a_mapping_is_a_blueprint_too() -> None:
    said = {"data": "digits", "model": "linear", "loss": "cross_entropy", "loggers": {}, "trainer": {"max_epochs": 1}}
    assert hydrantic.fit(said, "seed=3").plan.blueprint.seed == 3


def test_sections_may_be_typed_as_well() -> None:
    plan = hydrantic.check(digits(checkpoint=CheckpointHparams(monitor="validation/accuracy", mode="max")))
    assert plan.objective == ("validation/accuracy", "max")


def test_overrides_may_be_values_by_key(place: Path) -> None:
    write(place / "digits.yaml", DIGITS)
    plan = hydrantic.check("digits.yaml", {"model.hidden_dims": [8, 8], "optimizer.lr": 0.5, "name": "a b, 'c'"})
    assert plan.model.hparams["hidden_dims"] == (8, 8)
    assert plan.name == "a b, 'c'"


def test_the_options_of_the_project_can_be_chosen(place: Path) -> None:
    write(place / "blueprints" / "model" / "small.yaml", "name: mlp\nhidden_dims: [4]\n")
    assert hydrantic.check(digits(), ["model=small"]).model.hparams["hidden_dims"] == (4,)


def test_what_is_wrong_is_told_with_its_path() -> None:
    with pytest.raises(BlueprintError, match=r"Blueprint\(\.\.\.\): model.width: mlp has no field 'width'"):
        hydrantic.check(digits(model={"name": "mlp", "width": 3}))
    with pytest.raises(BlueprintError, match="_target_"):
        hydrantic.check({"data": "digits", "model": {"_target_": "os.system"}, "loss": "mse"})
    with pytest.raises(UsageError, match=r"overrides: .*object"):
        hydrantic.check(digits(), {"seed": object()})


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """Four networks that learn the cosine."""
    cosine = Blueprint(
        name="cosine",
        data=data.function(function="cos", domain=(-2 * math.pi, 2 * math.pi), steps=500),
        model=models.universal_function(),
        loss=losses.mse(),
        optimizer=optimizers.adam(lr=3e-2),
        loggers={},
        trainer={"max_epochs": 20},
    )
    swept = {"model.num_neurons": [10, 100], "data.batch_size": [20, 200]}
    return hydrantic.sweep(cosine, swept, runs=tmp_path_factory.mktemp("runs"))


def test_a_sweep_gives_its_jobs(study: Sweep) -> None:
    assert len(study) == 4
    assert [job.params for job in study] == [
        {"model.num_neurons": 10, "data.batch_size": 20},
        {"model.num_neurons": 10, "data.batch_size": 200},
        {"model.num_neurons": 100, "data.batch_size": 20},
        {"model.num_neurons": 100, "data.batch_size": 200},
    ]
    assert study[2].overrides == ("model.num_neurons=100", "data.batch_size=20")
    assert all(job.state == "finished" and job.path.is_dir() for job in study)
    assert study.best is not None
    assert study.best.value == min(job.value or math.inf for job in study)
    assert repr(study[0]) == "<job 0: model.num_neurons=10 data.batch_size=20, finished>"


def test_a_job_gives_its_trained_model(study: Sweep) -> None:
    points = torch.linspace(-2 * math.pi, 2 * math.pi, 100).reshape(-1, 1)
    model = study[0].model()
    assert not model.training
    with torch.no_grad():
        error = (model(points) - points.cos()).square().mean()
    assert float(error) < 0.3
    assert float(error) == pytest.approx(study[0].metrics["test/loss"], abs=0.2)


def test_the_results_are_a_table(study: Sweep) -> None:
    table = study.table()
    assert isinstance(table, polars.DataFrame)
    assert table.height == 4
    assert {"model.num_neurons", "data.batch_size", "validation/loss", "test/loss"} <= set(table.columns)


def test_a_single_value_to_be_swept_is_a_sweep_of_one_job() -> None:
    done = hydrantic.sweep(digits(), {"seed": [1], "optimizer.lr": 0.01, "model.hidden_dims": [[8]]})
    assert [job.overrides for job in done] == [("seed=1", "model.hidden_dims=[8]")]


def test_a_block_replaces_the_component_that_a_blueprint_chooses(place: Path) -> None:
    write(place / "digits.yaml", DIGITS)
    assert (
        hydrantic.check("digits.yaml", {"model.hidden_dims": [8], "model": models.linear()}).model.entry.name
        == "linear"
    )
    with pytest.raises(BlueprintError, match="'hidden_dims', which is another component's; model=linear chooses"):
        hydrantic.check("digits.yaml", {"model.hidden_dims": [8], "model": {"name": "linear"}})


def test_a_block_of_a_label_leaves_the_other_labels(place: Path) -> None:
    write(place / "digits.yaml", DIGITS)
    before = hydrantic.check("digits.yaml")
    plan = hydrantic.check("digits.yaml", {"metrics": {"another": metrics.accuracy()}})
    assert set(plan.metrics) == {*before.metrics, "another"}


def test_blocks_can_be_swept_beside_names(place: Path) -> None:
    space = {"model": [models.mlp(hidden_dims=(4,)), models.linear(), "linear"]}
    draft = drafted(Order(digits(), swept_texts(space), Project(None), place))
    assert [job.params["model"] for job in draft.jobs(View())] == [
        {"name": "mlp", "hidden_dims": [4]},
        {"name": "linear"},
        "linear",
    ]


@pytest.mark.parametrize(
    ("given", "swept"),
    [
        (range(2), "seed=choice(0,1)"),
        (iter([0, 1]), "seed=choice(0,1)"),
        (np.arange(2), "seed=choice(0,1)"),
        ([np.int64(0), 1], "seed=choice(0,1)"),
        (np.array(3), "seed=3"),
        ("range(1,4)", "seed=range(1,4)"),
        ("1,2", "seed=1,2"),
        (["1,2"], "seed=choice('1,2')"),
        ("a b", "seed='a b'"),
    ],
)
def test_what_gives_several_values_is_swept(given: Any, swept: str) -> None:
    assert swept_texts({"seed": given}) == (swept,)


@pytest.mark.parametrize(
    ("given", "said"), [({1, 2}, "a set, which has no order"), ((), "over nothing"), (itertools.count(), "10,000")]
)
def test_what_cannot_be_swept_is_refused(given: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        hydrantic.sweep(digits(), {"seed": given})


def test_nothing_global_is_left_behind() -> None:
    def state() -> tuple[Any, ...]:
        return (
            signal.getsignal(signal.SIGINT),
            signal.getsignal(signal.SIGTERM),
            torch.get_num_threads(),
            torch.get_default_dtype(),
            torch.initial_seed(),
            sys.stdout,
            sys.stderr,
            list(sys.path),
            dict(os.environ),
            threading.active_count(),
            gc.isenabled(),
            Path.cwd(),
        )

    before = state()
    for _ in range(2):
        assert hydrantic.sweep(digits(), ["seed=1,2"]).exit_code == 0
    assert state() == before


def test_a_sweep_may_run_in_a_thread() -> None:
    found: list[Sweep] = []
    worker = threading.Thread(target=lambda: found.append(hydrantic.sweep(digits(), ["seed=1,2"])))
    worker.start()
    worker.join()
    assert found[0].exit_code == 0


def test_a_run_that_kept_no_weights_gives_no_model() -> None:
    run = hydrantic.fit(digits(checkpoint=None))
    with pytest.raises(UsageError, match="kept no weights"):
        open_run(run.path)


def test_a_run_may_be_kept_where_a_person_says(place: Path) -> None:
    write(place / "digits.yaml", DIGITS + "hydra: {run: {dir: 'mine/${name}'}}\nname: one\n")
    assert hydrantic.fit("digits.yaml").path == place / "runs" / "mine" / "one"
    with pytest.raises(UsageError, match="holds a run already"):
        hydrantic.fit("digits.yaml")
    assert hydrantic.fit("digits.yaml", ["hydra.run.dir=there"]).path == place / "there"
    write(place / "digits.yaml", DIGITS + "hydra: {run: {dir: /tmp/elsewhere}}\n")
    with pytest.raises(BlueprintError, match="leads out of the folder of all runs"):
        hydrantic.fit("digits.yaml")

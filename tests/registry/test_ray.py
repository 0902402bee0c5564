"""The launcher for Ray, on a cluster of its own on this machine: jobs wait in its queue, run, are stopped, are lost."""

from __future__ import annotations

import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hydrantic.registry.launchers.ray import Ray, RayHparams
from pydantic import ValidationError

from hydrantic import Engine, UsageError
from tests.projects import write
from tests.registry.jobs import (
    LINGER,
    SEARCH,
    all_ended,
    begun,
    does,
    eventually,
    home,
    is_alive,
    job,
    record,
    run_all,
    witness,
)

real = [
    pytest.mark.ray,
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'hydrantic[ray]'"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Ray leaves its own log files open
]


def all_real(test: Any) -> Any:
    """Mark a test that needs Ray."""
    for mark in real:
        test = mark(test)
    return test


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A project."""
    return home(tmp_path)


def opened(**fields: Any) -> Engine:
    """An engine on a cluster of its own."""
    return Ray(RayHparams(address="local", **fields)).open(Path("sweep-1"), None)


def test_where_there_is_no_ray_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'hydrantic\[ray\]'"):
        opened()


@pytest.mark.parametrize(
    "fields",
    [{"num_cpus": -1}, {"memory_gb": 0}, {"address": "http://u:p@host:1"}, {"address": "host"}, {"runtime_env": {}}],
)
def test_fields_that_mean_nothing_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RayHparams(**fields)


@all_real
def test_jobs_run_each_in_a_process_of_its_own_with_its_share_of_threads(place: Path) -> None:
    import ray

    jobs = [job(place, 0), job(place, 1, does("raise")), job(place, 2, does("crash"))]
    with opened() as engine:
        over = run_all(engine, jobs)
    assert [over[str(number)].code for number in range(3)] == [0, 1, -signal.SIGKILL]
    assert len({witness(each)["pid"] for each in jobs}) == 3
    assert witness(jobs[0])["threads"] == 1
    assert record(jobs[0])["status"] == "finished"
    assert not ray.is_initialized()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@all_real
def test_a_stopped_job_has_saved_its_state_and_a_waiting_one_never_begins(place: Path) -> None:
    first, second = jobs = [job(place, 0, LINGER), job(place, 1)]
    with opened(num_cpus=os.cpu_count()) as engine:
        engine.start(jobs)
        process = begun(first)["pid"]
        engine.stop()
        over = all_ended(engine, 2)
    assert over["0"].code == 128 + signal.SIGTERM
    assert record(first)["status"] == "interrupted"
    assert over["1"].reason == "it was stopped before it had begun"
    assert not (second / "run.json").exists()
    assert not is_alive(process)


@all_real
def test_a_worker_that_is_lost_takes_its_job_with_it(place: Path) -> None:
    lingering, last = job(place, 0, LINGER), job(place, 1)
    with opened() as engine:
        engine.start([lingering])
        process = begun(lingering)["pid"]
        worker = int(Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()[1])
        os.kill(worker, signal.SIGKILL)
        over = all_ended(engine, 1)["0"]
        assert over.code is None
        assert "the worker of Ray that waited for it died" in over.reason
        eventually(lambda: not is_alive(process))
        assert run_all(engine, [last])["1"].code == 0


@all_real
def test_nothing_is_left_when_an_engine_is_closed(place: Path) -> None:
    lingering = job(place, 0, LINGER)
    with opened() as engine:
        engine.start([lingering])
        process = begun(lingering)["pid"]
    eventually(lambda: not is_alive(process))
    assert record(lingering)["status"] == "interrupted"


@all_real
def test_trials_of_a_study_tell_it_from_there_how_training_goes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hydrantic.cli.main import main
    from hydrantic.sweeping.ledger import read_ledger

    pytest.importorskip("optuna")
    monkeypatch.chdir(place)
    write(place / "blueprints" / "search.yaml", SEARCH)
    assert main(["fit", "blueprints/search.yaml", "-m", "hydra/launcher=ray", "hydra.sweep.dir=here"]) == 0
    assert {each.state for each in read_ledger(place / "here").jobs} == {"finished", "pruned"}


@all_real
def test_what_no_cluster_could_give_is_said_at_once() -> None:
    with pytest.raises(UsageError, match="each needs num_gpus: 1000, and the cluster has 0"):
        opened(num_gpus=1000)


def test_a_cluster_that_does_not_answer_is_told() -> None:
    pytest.importorskip("ray")
    with pytest.raises(UsageError, match=r"Ray cannot reach 127\.0\.0\.1:1: Connection refused"):
        Ray(RayHparams(address="127.0.0.1:1")).open(Path("sweep-1"), None)

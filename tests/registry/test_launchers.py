"""Launchers for one machine: every job runs in a process of its own, and its end is told whatever it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hydrantic.registry.launchers.child import let_end, read_note, write_note
from hydrantic.registry.launchers.joblib import Joblib, JoblibEngine, JoblibHparams
from hydrantic.registry.launchers.local import Local, LocalHparams
from hydrantic.registry.launchers.machine import Slots, cores, gpus, thread_variables
from pydantic import ValidationError

from hydrantic import Engine, UsageError
from tests.registry.jobs import (
    DEAF,
    LINGER,
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

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="jobs are forked")

CHECKOUT = Path(__file__).parent.parent.parent


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A project."""
    return home(tmp_path)


@pytest.fixture(scope="module")
def warm() -> Iterator[Engine]:
    """One warm process for all tests that leave it alive."""
    with Local(LocalHparams(processes=2)).open(Path("sweep"), None) as engine:
        yield engine


def opened(name: str, place: Path, **fields: Any) -> Engine:
    """An engine of its own."""
    if name == "joblib":
        return Joblib(JoblibHparams(**fields or {"n_jobs": 2})).open(place / "sweep", None)
    return Local(LocalHparams(**{"processes": 2, "fork": name == "forked"} | fields)).open(place / "sweep", None)


ENGINES = ["forked", pytest.param("fresh", marks=pytest.mark.slow), pytest.param("joblib", marks=pytest.mark.slow)]


# -- what every engine does -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ENGINES)
def test_jobs_run_each_in_a_process_and_session_of_its_own(name: str, place: Path) -> None:
    jobs = [job(place, number) for number in range(3)]
    with opened(name, place) as engine:
        over = run_all(engine, jobs)
    told = [witness(each) for each in jobs]
    assert [over[str(number)].code for number in range(3)] == [0, 0, 0]
    assert [record(each)["status"] for each in jobs] == ["finished"] * 3
    assert len({each["pid"] for each in told}) == 3
    assert all(each["session"] == each["pid"] for each in told)
    assert {each["cwd"] for each in told} == {str(Path.cwd())}
    assert all(each["argv"][1:] == [str(directory)] for each, directory in zip(told, jobs, strict=True))
    assert len({number for each in told for number in each["drawn"]}) == 6
    assert not any((each / "stderr.txt").exists() for each in jobs)


@pytest.mark.parametrize("name", ENGINES)
def test_a_job_that_fails_or_is_killed_harms_no_other(name: str, place: Path) -> None:
    jobs = [job(place, 0, does("raise")), job(place, 1, does("crash")), job(place, 2)]
    with opened(name, place) as engine:
        over = run_all(engine, jobs)
    assert [over[str(number)].code for number in range(3)] == [1, -signal.SIGKILL, 0]
    assert record(jobs[0])["error"]["message"] == "it exploded"


@pytest.mark.parametrize("name", ENGINES)
def test_a_stopped_job_saves_its_state_and_goes_on_in_the_same_directory(name: str, place: Path) -> None:
    lingering = job(place, 0, LINGER)
    with opened(name, place) as engine:
        (ticket,) = engine.start([lingering])
        assert begun(lingering)["pid"] == int(ticket)
        engine.stop()
        assert all_ended(engine, 1)["0"].code == 128 + signal.SIGTERM
    assert record(lingering)["status"] == "interrupted"
    (lingering / "go").touch()
    with opened(name, place) as engine:
        assert run_all(engine, [lingering])["0"].code == 0
    assert record(lingering)["attempt"] == 2


@pytest.mark.parametrize("name", ENGINES)
def test_a_second_stop_kills(name: str, place: Path) -> None:
    lingering = job(place, 0, LINGER)
    with opened(name, place) as engine:
        (ticket,) = engine.start([lingering])
        begun(lingering)
        os.kill(int(ticket), signal.SIGSTOP)  # so that it cannot obey the first one
        engine.stop()
        engine.stop()
        (over,) = all_ended(engine, 1).values()
    assert (over.code, over.reason) == (-signal.SIGKILL, "it was killed, as asked for")


@pytest.mark.parametrize("name", ENGINES)
def test_nothing_is_left_when_an_engine_is_closed(name: str, place: Path) -> None:
    lingering = job(place, 0, LINGER)
    with opened(name, place) as engine:
        (ticket,) = engine.start([lingering])
        begun(lingering)
    assert not is_alive(int(ticket))
    assert record(lingering)["status"] == "interrupted"


@contextmanager
def started(name: str, job: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that runs a job with an engine of its own and waits for it; with the job's process."""
    code = (
        "import sys, time; from pathlib import Path; from tests.registry.test_launchers import opened\n"
        "if __name__ == '__main__':\n"
        "    engine = opened(sys.argv[1], Path(sys.argv[2]).parent)\n"
        "    print(engine.start([Path(sys.argv[2])])[0], flush=True)\n"
        "    engine.ended(600)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-c", code, name, str(job)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as sweep:
        assert sweep.stdout is not None
        ticket = int(sweep.stdout.readline())
        begun(job)
        yield sweep, ticket


@pytest.mark.parametrize("name", ENGINES)
def test_no_job_outlives_a_sweep_that_is_killed(name: str, place: Path) -> None:
    lingering = job(place, 0, LINGER)
    with started(name, lingering) as (sweep, ticket):
        sweep.kill()
    with opened(name, place) as engine:
        assert not engine.adopt(lingering, str(ticket))
        assert record(lingering)["status"] == "interrupted"
    eventually(lambda: not is_alive(ticket))


def test_a_job_of_another_sweep_that_has_got_the_number_since_is_left_alone(place: Path, warm: Engine) -> None:
    lingering = job(place, 0, LINGER)
    (ticket,) = warm.start([lingering])
    begun(lingering)
    let_end(ticket, place / "runs" / "a" / "sweep-2" / "0")
    assert is_alive(int(ticket))
    (lingering / "go").touch()
    assert all_ended(warm, 1)["0"].code == 0


# -- the warm process -------------------------------------------------------------------------------------------------


def test_a_forked_job_has_what_earlier_ones_had_to_import(warm: Engine, place: Path) -> None:
    parts = place / "registry" / "parts.py"
    parts.write_text(
        parts.read_text("utf-8")
        .replace(
            "import numpy, torch\n",
            "import numpy, torch\nknown = 'joblib' in sys.modules\nimport joblib\n",
        )
        .replace('"drawn": self.drawn', '"drawn": self.drawn, "known": known'),
        "utf-8",
    )
    jobs = [job(place, number) for number in range(2)]
    for each in jobs:
        run_all(warm, [each])
    assert witness(jobs[1])["known"]


def test_a_job_sees_a_gpu_of_its_own(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-7a")
    jobs = [job(place, number, LINGER) for number in range(2)]
    with opened("forked", place, processes="auto") as engine:
        assert engine.capacity == 2
        engine.start(jobs)
        assert {begun(each)["gpus"] for each in jobs} == {"4", "GPU-7a"}


def test_a_job_computes_with_as_many_threads_as_it_is_given(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    (only,) = jobs = [job(place, 0)]
    with opened("forked", place, processes=1, threads=1) as engine:
        run_all(engine, jobs)
    assert witness(only)["threads"] == 1


def test_when_the_warm_process_dies_its_jobs_have_ended_and_another_takes_its_place_once(place: Path) -> None:
    jobs = [job(place, number, LINGER) for number in range(2)]
    last = job(place, 2)
    with opened("forked", place) as engine:
        for each in jobs:
            (ticket,) = engine.start([each])
            begun(each)
            os.kill(parent_of(int(ticket)), signal.SIGKILL)
            if each is jobs[0]:
                over = all_ended(engine, 1)["0"]
                assert (over.code, over.reason) == (None, "the process that had forked it died: killed by SIGKILL")
                eventually(lambda ticket=ticket: not is_alive(int(ticket)))
        with pytest.raises(UsageError, match="the process that forks the jobs has died again: killed by SIGKILL"):
            run_all(engine, [last])


def parent_of(process: int) -> int:
    """The process that forked another."""
    return int(Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()[1])


def test_what_keeps_the_warm_process_from_starting_is_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "lightning.py").write_text("raise ImportError('no lightning today')\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(place), str(CHECKOUT)]))
    with opened("forked", place) as engine, pytest.raises(UsageError, match="no lightning today"):
        engine.start([job(place, 0)])


# -- joblib -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_when_a_worker_of_joblib_dies_its_job_has_ended_and_others_can_start(place: Path) -> None:
    lingering, last = job(place, 0, LINGER), job(place, 1)
    with opened("joblib", place) as engine:
        (ticket,) = engine.start([lingering])
        begun(lingering)
        os.kill(parent_of(int(ticket)), signal.SIGKILL)
        over = all_ended(engine, 1)["0"]
        assert over.code is None
        assert "the worker of joblib that waited for it died" in over.reason
        assert record(lingering)["status"] == "interrupted"
        eventually(lambda: not is_alive(int(ticket)))
        assert run_all(engine, [last])["1"].code == 0


@pytest.mark.slow
def test_a_second_stop_kills_a_job_whose_worker_of_joblib_has_died(place: Path) -> None:
    lingering = job(place, 0, DEAF)
    with opened("joblib", place) as engine:
        (ticket,) = engine.start([lingering])
        begun(lingering)
        os.kill(parent_of(int(ticket)), signal.SIGKILL)
        assert engine.ended(1) == []  # it is waited for
        assert is_alive(int(ticket))
        engine.stop()
        engine.stop()
        all_ended(engine, 1)
    eventually(lambda: not is_alive(int(ticket)))


@pytest.mark.slow
def test_a_signal_to_the_whole_group_is_left_to_the_sweep_by_the_workers_of_joblib(place: Path) -> None:
    lingering = job(place, 0, LINGER)
    with opened("joblib", place) as engine:
        (ticket,) = engine.start([lingering])
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(parent_of(int(ticket)), number)
        begun(lingering)
        (lingering / "go").touch()
        assert all_ended(engine, 1)["0"].code == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_worker_of_joblib_that_has_not_begun_leaves_signals_to_the_sweep(
    place: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    engine = opened("joblib", place)
    assert isinstance(engine, JoblibEngine)
    submit, children = engine._pool.submit, Path(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/children")

    def signalled(*work: Any) -> Any:
        before = set(children.read_text().split())
        over = submit(*work)
        for each in set(children.read_text().split()) - before:
            os.kill(int(each), number)
        return over

    monkeypatch.setattr(engine._pool, "submit", signalled)
    with engine:
        assert run_all(engine, [job(place, 0)])["0"].code == 0


@pytest.mark.slow
def test_no_worker_of_joblib_outlives_a_sweep_that_is_killed_and_its_output_ends(place: Path) -> None:
    with started("joblib", job(place, 0, LINGER)) as (sweep, ticket):
        worker = parent_of(ticket)
        sweep.kill()
        assert sweep.communicate(timeout=60)[0] == ""
    eventually(lambda: not is_alive(worker))


def test_joblib_counts_the_cores_from_the_end(place: Path) -> None:
    with opened("joblib", place, n_jobs=-1) as engine:
        assert engine.capacity == cores()
    with opened("joblib", place, n_jobs=-1000) as engine:
        assert engine.capacity == 1


# -- the machine ------------------------------------------------------------------------------------------------------


def test_no_more_processes_are_made_than_there_are_jobs(place: Path) -> None:
    with Local(LocalHparams(processes=8, fork=False)).open(place, 3) as engine:
        assert engine.capacity == 3


@pytest.mark.parametrize(("text", "number"), [("100000 100000", 1), ("max 100000", None), ("nonsense", None)])
def test_the_share_of_a_container_limits_the_cores(tmp_path: Path, text: str, number: int | None) -> None:
    (tmp_path / "cpu.max").write_text(f"{text}\n")
    assert cores(tmp_path / "cpu.max") == (number or len(os.sched_getaffinity(0)))


def test_gpus_are_counted_by_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name in ("nvidia0", "nvidia3", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert gpus(tmp_path) == ("0", "1")


@pytest.mark.parametrize(("said", "seen"), [("", ()), ("-1", ()), ("2, 0", ("2", "0")), ("MIG-1", ("MIG-1",))])
def test_gpus_are_those_that_the_environment_names(monkeypatch: pytest.MonkeyPatch, said: str, seen: tuple) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", said)
    assert gpus() == seen


@pytest.mark.parametrize(
    ("devices", "number", "shares"),
    [
        (("0", "1"), 2, ["0", "1"]),
        (("0", "1", "2", "3"), 2, ["0,1", "2,3"]),
        (("0", "1"), 4, ["0", "1", "0", "1"]),
    ],
)
def test_jobs_share_the_gpus_out(devices: tuple[str, ...], number: int, shares: list[str]) -> None:
    slots = Slots(devices, number)
    taken = [slots.take(Path(str(each)))["CUDA_VISIBLE_DEVICES"] for each in range(number)]
    assert taken == shares
    slots.give_back(Path("1"))
    assert slots.take(Path("9"))["CUDA_VISIBLE_DEVICES"] == shares[1]


def test_threads_are_shared_out_unless_a_person_has_said_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert thread_variables("auto", processes=cores())["OMP_NUM_THREADS"] == "1"
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert thread_variables("auto") == {}
    assert thread_variables(2)["OMP_NUM_THREADS"] == "2"


def test_a_note_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    assert read_note(tmp_path / "note") is None
    write_note(tmp_path / "note", 137)
    assert read_note(tmp_path / "note") == 137


@pytest.mark.parametrize("fields", [{"processes": 0}, {"threads": "some"}, {"processes": True}, {"command": "rm"}])
def test_fields_that_mean_nothing_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LocalHparams(**fields)

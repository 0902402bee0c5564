"""The launcher for Slurm, on a real one: jobs are submitted, told to save their state, queued again, cancelled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydrantic.registry.launchers import slurm_task
from hydrantic.registry.launchers.slurm import Slurm, SlurmHparams, parameters
from hydrantic.registry.launchers.slurm_task import Task
from pydantic import ValidationError

from hydrantic import Engine, InvalidField, UsageError
from hydrantic.metrics_csv import read_metrics
from tests.projects import write
from tests.registry.jobs import (
    DEAF,
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
from tests.slurm.cluster import ask, cluster

CHECKOUT = Path(__file__).parent.parent.parent

KYIV = """
    defaults: [slurm]
    partition: tests
    timeout_min: 5
    cpus_per_task: 1
"""

# -- what needs no Slurm ----------------------------------------------------------------------------------------------

SAFE = {
    "partition": "gpu,debug-2", "qos": "high", "account": "lab.a", "gres": "gpu:a100:2", "exclude": "node[1-3,7]",
    "constraint": "a100&(nvlink|x)", "comment": "digits, second try", "job_name": "digits-mlp", "mem_per_cpu": "2GB",
}  # fmt: skip


def test_what_slurm_understands_is_allowed() -> None:
    assert parameters(SlurmHparams(**SAFE))["gres"] == "gpu:a100:2"


@pytest.mark.parametrize("field", SAFE)
@pytest.mark.parametrize(
    "text",
    ["a\nrm -rf /", "a\n#SBATCH --uid=0", "'; rm", 'a"', "$(id)", "`id`", "a\\", "-o/etc/passwd", "", "a%j", "a\r"],
)
def test_no_text_can_leave_its_line_of_the_script(field: str, text: str) -> None:
    with pytest.raises(ValidationError):
        SlurmHparams(**{field: text})


@pytest.mark.parametrize("field", ["setup", "srun_args", "additional_parameters", "python", "teardown"])
def test_no_field_holds_code(field: str) -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        SlurmHparams(**{field: ["rm -rf /"]})


def test_fields_are_passed_on_as_submitit_calls_them() -> None:
    assert parameters(SlurmHparams(timeout_min=5, mem_gb=1.5, cpus_per_task=4, gpus_per_node=0)) == {
        "time": 5, "nodes": 1, "ntasks_per_node": 1, "cpus_per_task": 4, "srun_args": ["--cpus-per-task=4"],
        "mem": "1536MB", "gpus_per_node": 0, "job_name": "hydrantic", "array_parallelism": 256, "signal_delay_s": 120,
    }  # fmt: skip


def test_a_job_that_would_have_to_stop_at_its_start_is_refused() -> None:
    with pytest.raises(InvalidField, match="signal_delay_s: is 120, but a job has 60 seconds in all"):
        Slurm(SlurmHparams(timeout_min=1))


def pretended(folder: Path, monkeypatch: pytest.MonkeyPatch, **programs: str) -> None:
    """Put shell scripts in the place of Slurm's commands."""
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    for name, script in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)


def test_more_jobs_than_an_array_can_have_are_submitted_bit_by_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit")
    pretended(tmp_path, monkeypatch, sbatch="", srun="", sinfo="", scontrol="echo 'MaxArraySize            = 300'")
    assert Slurm(SlurmHparams()).open(tmp_path, 300).capacity is None
    assert Slurm(SlurmHparams()).open(tmp_path, 301).capacity == 256
    assert Slurm(SlurmHparams(array_parallelism=500)).open(tmp_path, 301).capacity == 300


def test_where_there_is_no_slurm_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="there is no Slurm here"):
        Slurm(SlurmHparams()).open(tmp_path, 1)


def test_where_there_is_no_submitit_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UsageError, match=r"pip install 'hydrantic\[slurm\]'"):
        Slurm(SlurmHparams()).open(tmp_path, 1)


def test_a_slurm_that_does_not_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    complaint = "echo 'Unable to contact slurm controller' >&2; exit 1"
    pretended(tmp_path, monkeypatch, sbatch=complaint, srun=complaint, sinfo=complaint)
    with pytest.raises(UsageError, match="Slurm does not answer: Unable to contact slurm controller"):
        Slurm(SlurmHparams()).open(tmp_path, 1)


# -- on a real Slurm --------------------------------------------------------------------------------------------------

real = pytest.mark.slurm


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cluster of one node with two cores."""
    with cluster(tmp_path_factory.mktemp("slurm")) as configuration, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(configuration))
        yield


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A project."""
    return home(tmp_path)


def opened(place: Path, **fields: Any) -> Engine:
    """An engine whose jobs have five minutes."""
    return Slurm(SlurmHparams(**{"timeout_min": 5} | fields)).open(place / "runs" / "a" / "sweep-1", None)


def tasks(ticket: str) -> str:
    """The state of a job, as the queue has it."""
    return ask("squeue", "--noheader", "--array", "--states=all", f"--jobs={ticket}", "--format=%T").strip()


@real
@pytest.mark.usefixtures("slurm")
def test_jobs_run_as_one_array(place: Path) -> None:
    jobs = [job(place, 0), job(place, 1, does("raise")), job(place, 2, does("crash"))]
    with opened(place) as engine:
        tickets = engine.start(jobs)
        over = all_ended(engine, 3)
    assert [each.partition("_")[2] for each in tickets] == ["0", "1", "2"]
    assert len({each.partition("_")[0] for each in tickets}) == 1
    assert [over[str(number)].code for number in range(3)] == [0, 1, -signal.SIGKILL]
    assert record(jobs[0])["status"] == "finished"
    assert record(jobs[1])["error"]["message"] == "it exploded"


@real
@pytest.mark.usefixtures("slurm")
def test_no_more_jobs_run_at_a_time_than_allowed(place: Path) -> None:
    first, second = jobs = [job(place, 0, LINGER), job(place, 1)]
    with opened(place, array_parallelism=1) as engine:
        engine.start(jobs)
        begun(first)
        waiting = ask("squeue", "--noheader", "--array", "--states=pending", "--format=%r").split()
        assert waiting == ["JobArrayTaskLimit"]
        (first / "go").touch()
        all_ended(engine, 2)
    assert record(second)["started"] > record(first)["started"]


@real
@pytest.mark.usefixtures("slurm")
def test_a_job_of_two_processes_that_has_to_give_way_goes_on_where_it_was(place: Path) -> None:
    text = LINGER.replace("max_epochs", "devices: 2, strategy: ddp, accelerator: cpu, max_epochs")
    lingering = job(place, 0, text)
    with opened(place, tasks_per_node=2, cpus_per_task=1) as engine:
        (ticket,) = engine.start([lingering])
        begun(lingering)
        for each in ("TERM", "USR2"):  # before a time limit, the second one alone
            ask("scancel", f"--signal={each}", ticket)
        eventually(lambda: record(lingering)["status"] == "interrupted")
        (lingering / "go").touch()
        over = all_ended(engine, 1)["0"]
    assert over.code == 0
    told = record(lingering)
    assert (told["status"], told["processes"], told["attempt"]) == ("finished", 2, 2)
    assert told["resumed_from_step"] > 0
    steps = [row["step"] for row in read_metrics(lingering / "metrics.csv")]
    assert steps == sorted(set(steps))


@real
@pytest.mark.usefixtures("slurm")
def test_a_job_that_slurm_itself_queues_again_goes_on_in_its_directory(place: Path) -> None:
    lingering = job(place, 0, LINGER)
    with opened(place) as engine:
        (ticket,) = engine.start([lingering])
        begun(lingering)
        ask("scontrol", "requeue", ticket)
        (lingering / "go").touch()
        over = all_ended(engine, 1)["0"]
    assert over.code == 0
    assert record(lingering)["attempt"] == 2


@real
@pytest.mark.usefixtures("slurm")
def test_a_stopped_job_has_saved_its_state_and_a_waiting_one_never_begins(place: Path) -> None:
    first, second = jobs = [job(place, 0, LINGER), job(place, 1)]
    with opened(place, array_parallelism=1) as engine:
        engine.start(jobs)
        begun(first)
        engine.stop()
        over = all_ended(engine, 2)
    assert record(first)["status"] == "interrupted"
    assert over["1"].code is None
    assert over["1"].reason.endswith("was cancelled")
    assert not (second / "run.json").exists()


@real
@pytest.mark.usefixtures("slurm")
def test_the_end_of_a_job_that_leaves_no_word_is_told_from_the_queue(place: Path) -> None:
    lingering = job(place, 0, LINGER)
    with opened(place) as engine:
        (ticket,) = engine.start([lingering])
        begun(lingering)
        ask("scancel", "--signal=KILL", f"{ticket}.0")  # its processes, as when a node runs out of memory
        over = all_ended(engine, 1)["0"]
    assert over.code is None
    assert over.reason.startswith(f"Slurm's job {ticket} failed")


@real
@pytest.mark.usefixtures("slurm")
def test_a_second_stop_kills(place: Path) -> None:
    deaf = job(place, 0, DEAF)
    with opened(place) as engine:
        (ticket,) = engine.start([deaf])
        process = begun(deaf)["pid"]
        engine.stop()
        engine.stop()
        over = all_ended(engine, 1)["0"]
    assert over.code is None
    assert ticket in over.reason
    assert not is_alive(process)


@real
@pytest.mark.usefixtures("slurm")
def test_another_process_can_take_a_job_over(place: Path) -> None:
    lingering = job(place, 0, LINGER)
    (ticket,) = opened(place).start([lingering])
    begun(lingering)
    elsewhere = Slurm(SlurmHparams()).open(place / "runs" / "a" / "sweep-2", None)
    assert not elsewhere.adopt(lingering, ticket)
    with opened(place) as engine:
        assert engine.adopt(lingering, ticket)
        (lingering / "go").touch()
        assert all_ended(engine, 1)["0"].code == 0
        assert not engine.adopt(lingering, ticket)
        assert not engine.adopt(lingering, "99999")


@real
@pytest.mark.usefixtures("slurm")
def test_a_job_that_nobody_has_noted_does_not_run_beside_its_next_attempt(place: Path) -> None:
    lingering = job(place, 0, LINGER)
    (ticket,) = opened(place).start([lingering])
    process = begun(lingering)["pid"]
    (lingering / "go").touch()
    with opened(place) as engine:
        (again,) = engine.start([lingering])
        assert not is_alive(process)
        assert tasks(ticket) == "CANCELLED"
        assert all_ended(engine, 1)["0"].code == 0
    assert again != ticket
    assert record(lingering)["attempt"] == 2


@real
@pytest.mark.usefixtures("slurm")
def test_nothing_is_left_in_the_queue_when_an_engine_is_closed(place: Path) -> None:
    lingering = job(place, 0, LINGER)
    with opened(place) as engine:
        (ticket,) = engine.start([lingering])
        process = begun(lingering)["pid"]
    eventually(lambda: not is_alive(process))
    eventually(lambda: tasks(ticket) == "CANCELLED")
    assert record(lingering)["status"] == "interrupted"


@real
@pytest.mark.usefixtures("slurm")
def test_what_slurm_refuses_is_told_in_its_words(place: Path) -> None:
    with opened(place, partition="nowhere") as engine, pytest.raises(UsageError, match="invalid partition specified"):
        engine.start([job(place, 0)])


@real
@pytest.mark.usefixtures("slurm")
def test_each_process_of_a_job_computes_with_its_cores(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The sweep itself may run in a job of another kind.
    for name, text in {"SLURM_JOB_ID": "1", "SLURM_MEM_PER_CPU": "10", "SLURM_CPUS_PER_TASK": "2"}.items():
        monkeypatch.setenv(name, text)
    (only,) = jobs = [job(place, 0)]
    with opened(place, cpus_per_task=1, mem_gb=0.5) as engine:
        assert run_all(engine, jobs)["0"].code == 0
    assert witness(only)["threads"] == 1


@real
@pytest.mark.usefixtures("slurm")
def test_the_script_holds_nothing_but_parameters_and_the_command(place: Path) -> None:
    sweep = place / "runs" / "a" / "sweep-1"
    with opened(place, comment="digits, second try") as engine:
        run_all(engine, [job(place, 0)])
    (script,) = (sweep / "slurm").glob("*/*_submission.sh")
    lines = [line for line in script.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    assert lines[0] == "export SUBMITIT_EXECUTOR=slurm"
    assert lines[1].startswith("srun --unbuffered")
    assert len(lines) == 2


def test_a_task_is_small_when_it_travels(tmp_path: Path) -> None:
    import pickle

    assert pickle.loads(pickle.dumps(Task(tmp_path, tmp_path))) == Task(tmp_path, tmp_path)


@real
@pytest.mark.usefixtures("slurm")
def test_jobs_go_on_when_the_sweep_is_killed_and_it_finds_them_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hydrantic.cli.main import main
    from hydrantic.sweeping.ledger import read_ledger

    monkeypatch.chdir(place)
    write(place / "blueprints" / "small.yaml", LINGER)
    write(place / "blueprints" / "hydra" / "launcher" / "slurm" / "kyiv.yaml", KYIV)
    words = ["fit", "blueprints/small.yaml", "-m", "seed=1,2,3", "hydra/launcher=slurm/kyiv", "hydra.sweep.dir=here"]
    sweep = place / "here"
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    with subprocess.Popen([sys.executable, "-m", "hydrantic", *words], env=environment) as manager:
        processes = [begun(sweep / name)["pid"] for name in ("0", "1")]
        manager.kill()
    assert all(map(is_alive, processes))
    for name in ("0", "1", "2"):
        (sweep / name / "go").touch()
    assert main(["sweep", "resume", str(sweep)]) == 0
    assert [(each.state, each.attempt) for each in read_ledger(sweep).jobs] == [("finished", 1)] * 3
    assert [record(sweep / name)["pid"] for name in ("0", "1")] == processes


@real
@pytest.mark.usefixtures("slurm")
def test_trials_of_a_study_tell_it_from_there_how_training_goes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hydrantic.cli.main import main
    from hydrantic.sweeping.ledger import read_ledger

    pytest.importorskip("optuna")
    monkeypatch.chdir(place)
    write(place / "blueprints" / "search.yaml", SEARCH)
    assert main(["fit", "blueprints/search.yaml", "-m", "hydra/launcher=slurm", "hydra.sweep.dir=here"]) == 0
    assert {each.state for each in read_ledger(place / "here").jobs} == {"finished", "pruned"}


@pytest.mark.parametrize(("kind", "reaches_all"), [("linuxproc", True), ("cgroup", False)])
def test_whether_a_signal_reaches_the_job_by_itself_depends_on_how_slurm_tracks_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, reaches_all: bool
) -> None:
    pretended(tmp_path, monkeypatch, scontrol=f"echo 'ProctrackType           = proctrack/{kind}'")
    assert slurm_task._reaches_all() is reaches_all

"""A run in a job of Slurm that is told that its time is up: it queues the job again, and goes on."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hydrantic import requeueing
from hydrantic.errors import Interrupted
from hydrantic.fitting import fit
from hydrantic.process import settings_as_they_were, use_threads
from hydrantic.requeueing import has_been_requeued, requeue, slurm_job
from tests.projects import project, write
from tests.registry.jobs import eventually
from tests.slurm.cluster import ask, cluster
from tests.test_exact import NETWORK, SHELF, assert_same, record

pytestmark = pytest.mark.usefixtures("scratch")

CHECKOUT = Path(__file__).parent.parent


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's folder, in which they stand, with a project and a blueprint; no job of Slurm."""
    monkeypatch.chdir(tmp_path)
    for name in [each for each in os.environ if each.startswith("SLURM_") and each != "SLURM_CONF"]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(requeueing, "_taken", set())
    project(tmp_path, parts=SHELF)
    write(tmp_path / "b.yaml", NETWORK)
    return tmp_path


def pretended(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a shell script in the place of `scontrol`."""
    folder.mkdir()
    (folder / "scontrol").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


def test_a_job_is_named_as_scontrol_takes_it() -> None:
    assert slurm_job({}) is None
    assert slurm_job({"SLURM_JOB_ID": "17"}) == "17"
    assert slurm_job({"SLURM_JOB_ID": "18", "SLURM_ARRAY_JOB_ID": "17", "SLURM_ARRAY_TASK_ID": "3"}) == "17_3"
    assert not has_been_requeued({"SLURM_JOB_ID": "17", "SLURM_RESTART_COUNT": "0"})
    assert has_been_requeued({"SLURM_JOB_ID": "17", "SLURM_RESTART_COUNT": "2"})


def test_outside_of_slurm_nothing_is_queued(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretended(here / "bin", monkeypatch, f"touch {here}/asked")
    requeue()
    assert not (here / "asked").exists()


def test_the_job_is_queued_again_once_all_is_written(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretended(here / "bin", monkeypatch, f'echo "$@" > {here}/asked; cp {here}/runs/net/*/run.json {here}/then.json')
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    (here / "orders.txt").write_text("batch 11 SIGUSR1")
    with pytest.raises(Interrupted) as stopped:
        fit("b.yaml")
    assert stopped.value.exit_code == 138
    assert (here / "asked").read_text() == "requeue 17\n"
    assert json.loads((here / "then.json").read_text())["status"] == "interrupted"
    assert "the job 17 of Slurm is queued again" in capsys.readouterr().err


def test_a_job_that_cannot_be_queued_again_is_told_of(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretended(here / "bin", monkeypatch, "echo 'no such job' >&2; exit 1")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    requeue()
    assert capsys.readouterr().err == "the job 17 of Slurm cannot be queued again: no such job\n"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exec sleep 60", "scontrol did not answer within 0.1 seconds"),
        ("", "scontrol cannot be started: Exec format error"),
    ],
    ids=["that hangs", "that is no program"],
)
def test_a_scontrol_that_fails_does_not_hide_how_the_run_ended(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], script: str, words: str
) -> None:
    pretended(here / "bin", monkeypatch, script)
    if not script:
        (here / "bin" / "scontrol").write_text("neither a script nor a program")
    monkeypatch.setattr(requeueing, "_PATIENCE", 0.1)
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    requeue()
    assert capsys.readouterr().err == f"the job 17 of Slurm cannot be queued again: {words}\n"


def test_another_signal_queues_nothing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretended(here / "bin", monkeypatch, f"touch {here}/asked")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    (here / "orders.txt").write_text("batch 11 SIGTERM")
    with pytest.raises(Interrupted):
        fit("b.yaml")
    assert not (here / "asked").exists()


@pytest.mark.parametrize("said", [(), ("hydra.run.dir=mine",)], ids=["in a new directory", "in a directory of its own"])
def test_a_job_that_was_queued_again_goes_on_with_its_run(
    here: Path, monkeypatch: pytest.MonkeyPatch, said: tuple[str, ...]
) -> None:
    whole = fit("b.yaml", directory=here / "whole")
    pretended(here / "bin", monkeypatch, "exit 0")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    fit("b.yaml", ["seed=4"])  # of the same job, and finished
    (here / "orders.txt").write_text("batch 11 SIGUSR1")
    with pytest.raises(Interrupted):
        fit("b.yaml", said)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    again = fit("b.yaml", said)
    assert record(again.path)["attempt"] == 2
    assert_same(whole.path, again.path)
    monkeypatch.setenv("SLURM_JOB_ID", "18")
    other = fit("b.yaml", directory=here / "other")
    assert record(other.path)["attempt"] == 1


# -- a real one -------------------------------------------------------------------------------------------------------


@pytest.fixture
def slurm(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cluster of one machine."""
    with cluster(tmp_path_factory.mktemp("slurm")) as configuration:
        monkeypatch.setenv("SLURM_CONF", str(configuration))
        yield configuration


SCRIPT = """\
#!/bin/bash
#SBATCH --job-name=net --requeue --time=5 --signal=B:USR1@60 --output={output}
exec {python} -m hydrantic fit b.yaml
"""


@pytest.mark.slurm
@pytest.mark.usefixtures("slurm")
def test_a_run_under_slurm_is_queued_again_and_goes_on_to_the_last_bit(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with settings_as_they_were():
        use_threads(1)  # as in the job, which has one core: the last bits of sums depend on it
        whole = fit("b.yaml", directory=here / "whole")
    (here / "orders.txt").write_text("batch 5 SIGUSR1\nbatch 8 SIGUSR1")
    script = write(here / "job.sh", SCRIPT.format(output=here / "output.txt", python=sys.executable))
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    job = ask("sbatch", "--parsable", str(script)).strip()

    def is_done() -> bool:
        runs = list((here / "runs").glob("net/*/run.json"))
        return bool(runs) and record(runs[0].parent)["status"] in {"finished", "failed"}

    eventually(is_done, seconds=240)
    [run] = (here / "runs" / "net").iterdir()
    assert record(run)["slurm_job"] == job
    assert record(run)["attempt"] == 3
    assert_same(whole.path, run)
    assert (run / "log.txt").read_text("utf-8").count(f"the job {job} of Slurm is queued again") == 2

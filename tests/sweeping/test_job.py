"""Jobs of a sweep: each trains in its own directory, whose record tells how it ended, and goes on where it was cut."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from hydrantic.metrics_csv import read_metrics
from hydrantic.sweeping.job import run_job
from hydrantic.sweeping.ledger import JobRecord
from hydrantic.sweeping.outcome import told_by_its_run
from tests.projects import DIGITS, project, write

pytestmark = pytest.mark.usefixtures("scratch")

CHECKOUT = Path(__file__).parent.parent.parent

SHELF = """
    import ctypes, os, signal
    from pathlib import Path
    from lightning.pytorch import Callback
    from lightning.pytorch.loggers.logger import DummyLogger
    from hydrantic import Sweeper, register_callback, register_logger, register_sweeper
    from hydrantic.errors import Pruned

    @register_callback("at_step")
    class AtStep(Callback):
        def __init__(self, step: int, does: str, once: str | None = None) -> None:
            self.step, self.does, self.once = step, does, once

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if trainer.global_step != self.step or (self.once and Path(self.once).exists()):
                return
            if self.once:
                Path(self.once).write_text("")
            if self.does == "crash":
                ctypes.string_at(0)
            if self.does == "raise":
                raise RuntimeError("it exploded")
            if self.does == "exit":
                raise SystemExit(3)
            if self.does == "interrupt":
                raise KeyboardInterrupt
            os.kill(os.getpid(), getattr(signal, self.does))

    @register_callback("weigher")
    class Weigher(Callback):
        def __init__(self, run_dir) -> None:
            self.file = run_dir / "rates.txt"

        def on_train_epoch_start(self, trainer, pl_module):
            with self.file.open("a") as file:
                file.write(f"{trainer.current_epoch} {trainer.optimizers[0].param_groups[0]['lr']:.6g}\\n")

    @register_logger("namer")
    def namer(run_dir, run_id: str, run_group: str | None = None):
        (run_dir / "named.txt").write_text(f"{run_group} {run_id}")
        return DummyLogger()

    class Reporter(Callback):
        def __init__(self, after: int) -> None:
            self.after = after

        def on_validation_end(self, trainer, pl_module):
            if not trainer.sanity_checking and trainer.current_epoch >= self.after:
                raise Pruned(f"not good enough after epoch {trainer.current_epoch}")

    @register_sweeper("patient")
    class Patient(Sweeper):
        def space(self):
            return {}

        @staticmethod
        def reporter(report):
            return Reporter(report["after"])
"""

EPOCHS = DIGITS.replace("max_epochs: 1", "max_epochs: 3") + (
    "scheduler: {name: step, step_size: 1, gamma: 0.5}\ncallbacks: {weigher: , at_step: AT}\n"
)
"""Three epochs of 23 steps, a learning rate of its own in each, and something that happens at a step."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project."""
    monkeypatch.chdir(tmp_path)
    project(tmp_path, parts=SHELF)
    return tmp_path


def job(home: Path, text: str = DIGITS, **fields: Any) -> Path:
    """The directory of a job."""
    directory = home / "runs" / "a" / "sweep-1" / "0"
    write(directory / "blueprint.yaml", "name: a\n" + text)
    order = {"number": 0, "overrides": [], "sweep": "sweep-1", "project": str(home), "test": True}
    order |= {"report": None, "threads": 1} | fields
    write(directory / "job.json", json.dumps(order))
    return directory


def at_step(step: int, does: str, once: Path | None = None) -> str:
    said = {"step": step, "does": does} | ({} if once is None else {"once": str(once)})
    return EPOCHS.replace("AT", json.dumps(said))


def record(directory: Path) -> Mapping[str, Any]:
    fields: dict[str, Any] = json.loads((directory / "run.json").read_text("utf-8"))
    return fields


def in_a_process(directory: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "hydrantic.sweeping.job", str(directory)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_jobs_directory_becomes_that_of_its_run(home: Path) -> None:
    directory = job(home)
    assert run_job(directory) == 0
    names = {each.name for each in directory.iterdir()}
    assert names == {"blueprint.yaml", "job.json", "run.json", "metrics.csv", "log.txt", "checkpoints"}
    fields = record(directory)
    assert (fields["status"], fields["name"], fields["attempt"], fields["threads"]) == ("finished", "a", 1, 1)
    assert fields["resumed_from_step"] is None
    assert {"validation/loss", "test/accuracy"} <= set(fields["metrics"])
    assert fields["best_metrics"]["epoch"] == 0


@pytest.mark.parametrize(("does", "error"), [("exit", "SystemExit: 3"), ("interrupt", "KeyboardInterrupt")])
def test_a_component_that_ends_the_process_is_named(home: Path, does: str, error: str) -> None:
    directory = job(home, at_step(1, does))
    assert run_job(directory) == 1
    told = told_by_its_run(JobRecord(0, directory), None)
    assert told is not None
    assert (told.state, told.error) == ("failed", error)


def test_a_job_prints_nothing_but_into_its_log(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    directory = job(home)
    run_job(directory)
    assert capfd.readouterr() == ("", "")
    log = (directory / "log.txt").read_text("utf-8")
    assert "epoch 1/1" in log
    assert "test/accuracy" in log


def test_a_job_leaves_the_process_as_it_was(home: Path) -> None:
    streams, handlers = (sys.stdout, sys.stderr), [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    before = torch.get_num_threads()
    run_job(job(home, threads=before + 1))
    assert torch.get_num_threads() == before
    assert (sys.stdout, sys.stderr) == streams
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_a_job_leaves_the_test_split_alone_where_it_is_told_to(home: Path) -> None:
    directory = job(home, test=False)
    assert run_job(directory) == 0
    assert not any(name.startswith("test/") for name in record(directory)["metrics"])


def test_a_logger_is_told_the_sweep_and_a_name_that_no_other_run_has(home: Path) -> None:
    directory = job(home, DIGITS.replace("loggers: {}", "loggers: {namer: }"), number=7)
    assert run_job(directory) == 0
    assert (directory / "named.txt").read_text() == "sweep-1 sweep-1-7"


def test_a_job_that_is_over_is_not_run_again(home: Path) -> None:
    directory = job(home)
    run_job(directory)
    before = (directory / "run.json").read_bytes()
    assert run_job(directory) == 0
    assert (directory / "run.json").read_bytes() == before


def test_a_blueprint_with_problems_fails_the_job_and_says_why(home: Path) -> None:
    directory = job(home, DIGITS.replace("mlp", "mpl"))
    assert run_job(directory) == 2
    fields = record(directory)
    assert (fields["status"], fields["error"]["type"]) == ("failed", "BlueprintError")
    assert "did you mean 'mlp'?" in fields["error"]["message"]
    assert "did you mean 'mlp'?" in (directory / "log.txt").read_text("utf-8")


def test_a_blueprint_that_contradicts_the_data_fails_the_job(home: Path) -> None:
    directory = job(home, DIGITS.replace("model: mlp", "model: {name: mlp, in_features: 3}"))
    assert run_job(directory) == 2
    assert record(directory)["status"] == "failed"


def test_a_directory_without_an_order_is_no_jobs(home: Path) -> None:
    directory = job(home)
    (directory / "job.json").unlink()
    assert run_job(directory) == 2
    assert "is not the directory of a job" in record(directory)["error"]["message"]


def test_an_error_in_training_fails_the_job_and_keeps_the_traceback(home: Path) -> None:
    directory = job(home, at_step(30, "raise"))
    assert run_job(directory) == 1
    assert record(directory)["error"] == {"type": "RuntimeError", "message": "it exploded"}
    assert "Traceback" in (directory / "log.txt").read_text("utf-8")


def test_a_study_gives_a_job_up(home: Path) -> None:
    directory = job(home, DIGITS.replace("max_epochs: 1", "max_epochs: 9"), report={"sweeper": "patient", "after": 1})
    assert run_job(directory) == 0
    fields = record(directory)
    assert (fields["status"], fields["error"]) == ("pruned", None)
    assert fields["metrics"]["validation/loss"] == read_metrics(directory / "metrics.csv")[-1]["validation/loss"]
    assert "given up: not good enough after epoch 1" in (directory / "log.txt").read_text("utf-8")


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_stops_a_job_with_its_state_saved(home: Path, name: str, code: int) -> None:
    directory = job(home, at_step(30, name))
    assert run_job(directory) == code
    assert record(directory)["status"] == "interrupted"
    assert torch.load(directory / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 30


@pytest.mark.parametrize("step", [30, 46, 69])
def test_a_job_that_was_cut_short_goes_on(home: Path, step: int) -> None:
    undisturbed = job(home, at_step(-1, "SIGTERM"))
    run_job(undisturbed)
    expected = read_metrics(undisturbed / "metrics.csv")
    rates = (undisturbed / "rates.txt").read_text()
    undisturbed.rename(home / "undisturbed")

    directory = job(home, at_step(step, "SIGTERM", once=home / "happened"))
    assert run_job(directory) == 143
    started = record(directory)["started"]
    assert run_job(directory) == 0
    fields = record(directory)
    assert (fields["status"], fields["attempt"], fields["resumed_from_step"]) == ("finished", 2, step)
    assert fields["started"] == started
    assert read_metrics(directory / "metrics.csv") == expected
    assert sorted(set((directory / "rates.txt").read_text().split("\n"))) == sorted(set(rates.split("\n")))
    assert f"going on from last.ckpt, after step {step}" in (directory / "log.txt").read_text("utf-8")
    assert record(home / "undisturbed")["metrics"] == fields["metrics"]


def test_a_job_goes_on_with_as_many_threads_as_it_began_with(home: Path) -> None:
    assert run_job(job(home, at_step(30, "SIGTERM", once=home / "happened"), threads=1)) == 143
    directory = job(home, at_step(30, "SIGTERM", once=home / "happened"), threads=2)
    assert run_job(directory) == 0
    assert (record(directory)["attempt"], record(directory)["threads"]) == (2, 1)


def test_a_job_that_was_killed_goes_on_and_repeats_only_what_was_not_saved(home: Path) -> None:
    directory = job(home, at_step(50, "SIGKILL", once=home / "happened"))
    assert in_a_process(directory).returncode == -signal.SIGKILL
    assert record(directory)["status"] == "running"
    assert run_job(directory) == 0
    fields = record(directory)
    assert (fields["status"], fields["attempt"]) == ("finished", 2)
    assert fields["resumed_from_step"] in {23, 46}
    steps = [row["step"] for row in read_metrics(directory / "metrics.csv")]
    assert steps == [22, 45, 68, 69]
    assert (directory / fields["best_checkpoint"]).is_file()


def test_a_torn_checkpoint_gives_way_to_the_one_before(home: Path) -> None:
    directory = job(home, at_step(30, "SIGTERM", once=home / "happened"))
    run_job(directory)
    last = directory / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    assert run_job(directory) == 0
    assert record(directory)["resumed_from_step"] == 23
    assert "last.ckpt is not a checkpoint, or was cut off" in (directory / "log.txt").read_text("utf-8")
    assert [row["step"] for row in read_metrics(directory / "metrics.csv")] == [22, 45, 68, 69]


def test_a_job_without_a_sound_checkpoint_starts_anew(home: Path) -> None:
    directory = job(home, at_step(30, "SIGTERM", once=home / "happened"))
    run_job(directory)
    for file in (directory / "checkpoints").iterdir():
        file.write_bytes(b"nothing")
    assert run_job(directory) == 0
    assert (record(directory)["attempt"], record(directory)["resumed_from_step"]) == (2, None)
    assert "starting anew" in (directory / "log.txt").read_text("utf-8")
    assert [row["step"] for row in read_metrics(directory / "metrics.csv")] == [22, 45, 68, 69]


def test_a_job_that_failed_starts_anew(home: Path) -> None:
    directory = job(home, at_step(50, "raise", once=home / "happened"))
    assert run_job(directory) == 1
    assert run_job(directory) == 0
    assert (record(directory)["attempt"], record(directory)["resumed_from_step"]) == (2, None)
    assert [row["step"] for row in read_metrics(directory / "metrics.csv")] == [22, 45, 68, 69]


def test_the_last_words_of_a_crash_are_kept(home: Path) -> None:
    directory = job(home, at_step(30, "crash"))
    done = in_a_process(directory)
    assert done.returncode == -signal.SIGSEGV
    assert (done.stdout, done.stderr) == ("", "")
    words = (directory / "stderr.txt").read_text("utf-8")
    assert "Segmentation fault" in words
    assert "on_train_batch_end" in words


def test_the_module_is_a_program(home: Path) -> None:
    directory = job(home, threads=None)
    assert in_a_process(directory).returncode == 0
    assert in_a_process(home / "nowhere").returncode == 2


@pytest.mark.slow
def test_a_job_of_several_processes_goes_on_too(home: Path) -> None:
    text = at_step(30, "SIGTERM", once=home / "happened").replace("max_epochs: 3", "max_epochs: 3, devices: 2")
    directory = job(home, text.replace("trainer: {", "trainer: {accelerator: cpu, "))
    assert run_job(directory) == 143
    assert run_job(directory) == 0
    fields = record(directory)
    assert (fields["status"], fields["processes"], fields["resumed_from_step"]) == ("finished", 2, 30)
    assert [row["step"] for row in read_metrics(directory / "metrics.csv")] == [22, 45, 68, 69]


@pytest.mark.slow
def test_processes_that_srun_has_started_run_one_job_together(home: Path) -> None:
    directory = job(home)
    step = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NODELIST": "localhost", "SLURM_JOB_ID": str(os.getpid() % 200)}
    command = [sys.executable, "-m", "hydrantic.sweeping.job", str(directory)]
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"} | step
    tasks = [
        subprocess.Popen(command, env=environment | {"SLURM_PROCID": rank, "SLURM_LOCALID": rank}) for rank in "01"
    ]
    assert [each.wait() for each in tasks] == [0, 0]
    assert (record(directory)["status"], record(directory)["processes"]) == ("finished", 2)
    assert (directory / "log.txt").read_text("utf-8").count("done in") == 1

"""Several processes that train one run: the numbers of one process, one directory, and an end for all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hydrantic.errors import BlueprintError, Interrupted, RunFailed
from hydrantic.fitting import fit
from hydrantic.metrics_csv import read_metrics
from hydrantic.processes import VARIABLES, Order, Place, is_of_communication, launched, slurm_variables
from hydrantic.run import Run
from tests.projects import DIGITS, project, write

pytestmark = pytest.mark.usefixtures("scratch")

CHECKOUT = Path(__file__).parent.parent
TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "a"}
TORCHRUN |= {"MASTER_PORT": "29500"}
SRUN = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NUM_NODES": "2", "SLURM_PROCID": "3", "SLURM_LOCALID": "1"}
SRUN |= {"SLURM_NODEID": "1", "SLURM_STEP_NODELIST": "node[07-08]", "SLURM_JOB_ID": "12", "SLURM_STEP_ID": "0"}

SHELF = """
    import os, signal
    import torch
    from lightning.pytorch import Callback
    from torch import nn
    from hydrantic import register_callback, register_model

    class One(nn.Module):
        def __init__(self, rank: int = 1) -> None:
            super().__init__()
            self.rank = rank
            self.layer = nn.Linear(64, 10)

        def forward(self, inputs):
            if self.training:
                self.count = getattr(self, "count", 0) + 1
                if self.count == 5 and int(os.environ.get("RANK", 0)) == self.rank:
                    self.end()
            return self.layer(inputs.flatten(1))

    @register_model("exploding")
    class Exploding(One):
        def end(self):
            raise RuntimeError("it exploded")

    @register_model("killed")
    class Killed(One):
        def end(self):
            os.kill(os.getpid(), signal.SIGKILL)

    @register_model("stopped")
    class Stopped(One):
        def end(self):
            os.kill(os.getpid(), signal.SIGTERM)

    @register_model("unbuildable")
    class Unbuildable(One):
        def __init__(self) -> None:
            super().__init__()
            if int(os.environ.get("RANK", 0)) == 1:
                raise RuntimeError("nothing to build it of")
"""

TRACED = """
    data: {name: digits, batch_size: 64}
    model: mlp
    loss: cross_entropy
    metrics: {accuracy: , f1: {average: macro}}
    scheduler: {name: cosine, T_max: 3}
    loggers: {}
    trainer: {max_epochs: 3, accelerator: cpu}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's folder, in which they stand: a project, and no trace of a launcher."""
    monkeypatch.chdir(tmp_path)
    for name in (*VARIABLES, "HYDRANTIC_RUNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    project(tmp_path, parts=SHELF)
    write(tmp_path / "a.yaml", DIGITS)
    return tmp_path


def record(path: Path) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((path / "run.json").read_text("utf-8"))
    return fields


def only_run(folder: Path) -> Path:
    [path] = folder.glob("runs/*/*")
    return path


def in_two(text: str, *overrides: str) -> Run:
    return fit(write(Path("b.yaml"), text), ["trainer.devices=2", "trainer.accelerator=cpu", *overrides])


def assert_same_course(first: Path, second: Path) -> None:
    rows, others = read_metrics(first / "metrics.csv"), read_metrics(second / "metrics.csv")
    assert [sorted(row) for row in rows] == [sorted(row) for row in others]
    for row, other in zip(rows, others, strict=True):
        assert row == pytest.approx(other, rel=1e-5)


# -- which process this is --------------------------------------------------------------------------------------------


def test_a_process_knows_where_torchrun_has_put_it() -> None:
    assert launched(TORCHRUN) == Place(3, 4, 1, 2)
    assert Place(3, 4, 1, 2).nodes == 2


def test_a_process_knows_where_srun_has_put_it() -> None:
    assert launched(SRUN) == Place(3, 4, 1, 2)
    assert slurm_variables(SRUN) == {
        "RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "NODE_RANK": "1",
        "MASTER_ADDR": "node07", "MASTER_PORT": "16200",
    }  # fmt: skip


@pytest.mark.parametrize(
    "environment",
    [{}, {"LOCAL_RANK": "0"}, TORCHRUN | {"WORLD_SIZE": "1"}, {"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}],
    ids=["nothing", "half", "one", "batch script"],
)
def test_a_process_that_was_started_by_itself_is_alone(environment: dict[str, str]) -> None:
    assert launched(environment) is None
    assert slurm_variables(environment) == {}


def test_an_order_comes_as_it_was_given() -> None:
    order = Order(Path("runs/ä b"), None, test=True, checkpoint=Path("last.ckpt"), threads=2)
    assert Order.from_json(order.to_json()) == order


def test_only_an_error_of_the_communication_is_taken_for_one() -> None:
    assert is_of_communication(RuntimeError("[../gloo/transport/tcp/pair.cc:547] Connection closed by peer"))
    assert not is_of_communication(RuntimeError("it exploded"))


# -- as many as the blueprint asks for --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run, Path]:
    """The same blueprint trained by one process and by two."""
    folder = tmp_path_factory.mktemp("pair")
    blueprint = write(folder / "a.yaml", TRACED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        alone = fit(blueprint, runs=folder / "runs")
        together = fit(blueprint, ["trainer.devices=2", "trainer.strategy=ddp"], runs=folder / "runs")
    return alone, together, folder


def test_two_processes_train_like_one(pair: tuple[Run, Run, Path]) -> None:
    alone, together, _ = pair
    assert_same_course(alone.path, together.path)
    assert dict(together.metrics) == pytest.approx(dict(alone.metrics), rel=1e-5)
    assert record(together.path)["best_metrics"] == pytest.approx(record(alone.path)["best_metrics"], rel=1e-5)
    weights, others = alone.model.state_dict(), together.model.state_dict()
    for name, value in weights.items():
        torch.testing.assert_close(others[name], value, rtol=1e-4, atol=1e-6)


def test_two_processes_have_one_directory(pair: tuple[Run, Run, Path]) -> None:
    alone, together, folder = pair
    assert {path.name for path in folder.glob("runs/a/*")} == {alone.path.name, together.path.name}
    names = [sorted(file.name for file in run.path.rglob("*")) for run in (alone, together)]
    assert names[0] == names[1]
    assert (record(alone.path)["processes"], record(together.path)["processes"]) == (1, 2)
    log = (together.path / "log.txt").read_text("utf-8")
    assert log.count("done in") == 1
    assert log.count("epoch 3/3") == 1


def test_a_run_of_two_processes_leaves_nothing_behind(pair: tuple[Run, Run, Path]) -> None:
    assert not torch.distributed.is_initialized()
    assert {name: os.environ[name] for name in VARIABLES if name in os.environ} == {}
    assert sys.excepthook is sys.__excepthook__ or "distributed" not in repr(sys.excepthook)


def test_automatic_devices_are_one_process(here: Path) -> None:
    assert record(fit("a.yaml", ["trainer.devices=auto"]).path)["processes"] == 1


def test_a_strategy_that_starts_processes_itself_is_refused(here: Path) -> None:
    with pytest.raises(BlueprintError, match=r"starts them itself: trainer.strategy=ddp"):
        in_two(DIGITS, "trainer.strategy=ddp_spawn")


def test_other_processes_than_were_started_are_refused(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (TORCHRUN | {"RANK": "0", "LOCAL_RANK": "0"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BlueprintError, match="asks for 3 processes on each machine, but 2 were started"):
        fit("a.yaml", ["trainer.devices=3", "trainer.accelerator=cpu"])


# -- ending -----------------------------------------------------------------------------------------------------------


def test_an_error_in_another_process_fails_the_run_and_is_told(here: Path) -> None:
    with pytest.raises(RunFailed, match="the run failed: process 1 of 2 failed: RuntimeError: it exploded"):
        in_two(DIGITS.replace("mlp", "exploding"))
    fields = record(only_run(here))
    assert (fields["status"], fields["error"]["type"]) == ("failed", "RunFailed")


@pytest.mark.slow
def test_an_error_in_the_leading_process_fails_the_run_at_its_place(here: Path) -> None:
    with pytest.raises(RunFailed, match=r"RuntimeError: it exploded\n  at registry/parts.py"):
        in_two(DIGITS.replace("mlp", "{name: exploding, rank: 0}"))


@pytest.mark.slow
def test_a_process_that_cannot_begin_fails_the_run(here: Path) -> None:
    with pytest.raises(RunFailed, match=r"process 1 of 2 failed: .*nothing to build it of"):
        in_two(DIGITS.replace("mlp", "unbuildable"))


@pytest.mark.slow
def test_a_process_that_is_killed_fails_the_run(here: Path) -> None:
    with pytest.raises(RunFailed, match="process 1 of 2 was ended by signal 9"):
        in_two(DIGITS.replace("mlp", "killed"))


@pytest.mark.slow
def test_a_signal_stops_all_processes_after_the_same_batch(here: Path) -> None:
    with pytest.raises(Interrupted):
        in_two(DIGITS.replace("mlp", "{name: stopped, rank: 0}"))
    path = only_run(here)
    assert record(path)["status"] == "interrupted"
    assert torch.load(path / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 5


@pytest.mark.slow
def test_no_process_outlives_the_one_that_leads(here: Path) -> None:
    command = [sys.executable, "-m", "hydrantic", "fit", "a.yaml", "trainer.max_epochs=100000", "trainer.devices=2"]
    with subprocess.Popen([*command, "trainer.accelerator=cpu"], env=environment()) as leader:
        wait_until(lambda: any(here.glob("runs/a/*/checkpoints/last.ckpt")))
        [follower] = Path(f"/proc/{leader.pid}/task/{leader.pid}/children").read_text().split()
        leader.kill()
    wait_until(lambda: not Path(f"/proc/{follower}").exists())


# -- torchrun ---------------------------------------------------------------------------------------------------------


def torchrun(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "hydrantic", *words]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_processes_of_torchrun_train_like_one(here: Path, pair: tuple[Run, Run, Path]) -> None:
    write(here / "c.yaml", TRACED)
    done = torchrun("fit", "c.yaml")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("done in") == 1
    assert_same_course(only_run(here), pair[0].path)


@pytest.mark.slow
def test_only_one_process_of_torchrun_reports_a_problem(here: Path) -> None:
    done = torchrun("fit", "a.yaml", "model=mpl")
    assert done.returncode != 0
    assert done.stderr.count("did you mean 'mlp'?") == 1
    assert not (here / "runs").exists()


@pytest.mark.slow
def test_an_error_in_a_process_of_torchrun_is_told(here: Path) -> None:
    write(here / "c.yaml", DIGITS.replace("mlp", "exploding"))
    done = torchrun("fit", "c.yaml")
    assert "the run failed: process 1 of 2: RuntimeError: it exploded" in done.stderr
    assert record(only_run(here))["status"] == "failed"


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"}


def wait_until(reached: Callable[[], bool]) -> None:
    for _ in range(1200):
        if reached():
            return
        time.sleep(0.05)
    pytest.fail("it did not get so far within a minute")

"""What lets a run go on, what keeps it from that, and what a person is told."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from hydrantic.cli.main import main
from hydrantic.errors import BlueprintError, Interrupted, RunFailed, UsageError
from hydrantic.fitting import fit, resume
from hydrantic.project import close_shelf
from hydrantic.run import load
from tests.projects import project, write

pytestmark = pytest.mark.usefixtures("scratch")

SHELF = """
    import os
    import signal
    from pathlib import Path

    from lightning.pytorch import Callback
    from torch import nn

    from hydrantic import register_callback, register_model

    @register_callback("stops")
    class Stops(Callback):
        def __init__(self, at: int = -1, once: str = "happened", raises: bool = False) -> None:
            self.at, self.once, self.raises = at, Path(once), raises

        def on_train_batch_end(self, trainer, *_):
            if trainer.global_step == self.at and not self.once.exists():
                self.once.touch()
                if self.raises:
                    raise RuntimeError("it broke")
                os.kill(os.getpid(), signal.SIGTERM)

    @register_model("net")
    class Net(nn.Module):
        def __init__(self, in_features: int, out_features: int, width: int = 8) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Flatten(), nn.Linear(in_features, width), nn.Linear(width, out_features))

        def forward(self, inputs):
            return self.net(inputs)
"""

NET = """
    name: net
    data: {name: csv, path: table.csv, target: y, batch_size: 8}
    model: {name: net}
    loss: cross_entropy
    scheduler: {name: cosine, T_max: "${trainer.max_epochs}"}
    callbacks: {stops: {at: 5}}
    loggers: {}
    trainer: {max_epochs: 3, accelerator: cpu, enable_progress_bar: false}
"""


def table(rows: int = 60, offset: int = 0) -> None:
    lines = [f"{(index * 7 + offset) % 11},{index % 5},{'ab'[index % 2]}" for index in range(rows)]
    Path("table.csv").write_text("u,v,y\n" + "\n".join(lines) + "\n")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's folder, in which they stand, with a project, a table and a blueprint."""
    monkeypatch.chdir(tmp_path)
    project(tmp_path, parts=SHELF)
    table()
    write(tmp_path / "net.yaml", NET)
    return tmp_path


@pytest.fixture
def cut(here: Path) -> Path:
    """A run that was interrupted after its fifth step."""
    with pytest.raises(Interrupted):
        fit("net.yaml", directory=here / "cut")
    return Path("cut")


def record(run: Path) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((run / "run.json").read_text("utf-8"))
    return fields


def rewrite(before: str, after: str) -> None:
    """Change the shelf, and have it imported anew as by another process."""
    shelf = Path("registry/parts.py")
    shelf.write_text(shelf.read_text().replace(before, after))
    close_shelf()
    for name in [each for each in sys.modules if each.partition(".")[0] == "registry"]:
        del sys.modules[name]


def edit(run: Path, **fields: Any) -> None:
    (run / "run.json").write_text(json.dumps(record(run) | fields))


# -- going on ---------------------------------------------------------------------------------------------------------


def test_the_record_of_a_run_that_went_on_says_so(cut: Path, capsys: pytest.CaptureFixture[str]) -> None:
    started = record(cut)["started"]
    assert main(["resume", "cut"]) == 0
    fields = record(cut)
    assert (fields["status"], fields["attempt"], fields["resumed_from_step"]) == ("finished", 2, 5)
    assert fields["started"] == started
    assert "going on from last.ckpt, after step 5" in capsys.readouterr().err
    assert "going on from last.ckpt, after step 5" in (cut / "log.txt").read_text("utf-8")


def test_a_person_who_interrupts_a_run_is_told_how_to_go_on(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Interrupted):
        fit("net.yaml", directory=here / "cut")
    assert "interrupted; `hydrantic resume cut` goes on with it" in capsys.readouterr().err


def test_a_run_that_failed_goes_on(here: Path) -> None:
    with pytest.raises(RunFailed, match="it broke"):
        fit("net.yaml", ["callbacks.stops.at=9", "callbacks.stops.raises=true"], directory=here / "cut")
    assert resume("cut").metrics["test/loss"] > 0
    assert (record(Path("cut"))["status"], record(Path("cut"))["error"]) == ("finished", None)


def test_a_run_that_never_got_to_a_checkpoint_starts_anew(cut: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in (cut / "checkpoints").iterdir():
        file.unlink()
    resume(cut)
    assert (record(cut)["attempt"], record(cut)["resumed_from_step"]) == (2, None)
    assert "there is no checkpoint to go on from: starting anew" in capsys.readouterr().err


def test_what_a_crash_has_left_half_written_goes(cut: Path) -> None:
    left = [cut / ".run.json.4711-5f0c1a2b.tmp", cut / "checkpoints" / ".last.ckpt.4711-5f0c1a2b.tmp"]
    for file in left:
        file.write_text("{")
    resume(cut)
    assert not any(file.exists() for file in left)


def test_a_repetition_that_went_on_still_says_of_what(cut: Path) -> None:
    edit(cut, rerun_of="/runs/first")
    resume(cut)
    assert record(cut)["rerun_of"] == "/runs/first"


def test_a_job_that_is_trained_for_longer_says_what_the_table_of_its_sweep_keeps(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit("net.yaml", ["callbacks.stops.at=-1"], directory=here / "job")
    edit(Path("job"), group="sweep-a")
    resume("job", ["trainer.max_epochs=4"])
    assert "a job of sweep-a, whose table keeps what it had come to there" in capsys.readouterr().err


def test_weights_are_not_removed_to_start_anew(cut: Path) -> None:
    for file in (cut / "checkpoints").iterdir():
        state = torch.load(file, weights_only=True)
        torch.save({"state_dict": state["state_dict"]}, file)
    with pytest.raises(
        UsageError, match=r"(?s)no checkpoint of cut lets.*last\.ckpt holds only weights.*a new run instead"
    ):
        resume(cut)
    assert (cut / "checkpoints" / "last.ckpt").is_file()


def test_another_device_is_noted(cut: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(cut, device="cuda:0")
    resume(cut)
    assert "it ran on cuda:0 and runs on cpu now; the numbers may differ from here on" in capsys.readouterr().err


def test_the_resolved_blueprint_is_renewed_and_a_schedule_stays(cut: Path, capsys: pytest.CaptureFixture[str]) -> None:
    resume(cut, ["trainer.max_epochs=4"])
    assert "max_epochs: 4" in (cut / "blueprint.yaml").read_text("utf-8")
    assert "T_max: 3" in (cut / "blueprint.yaml").read_text("utf-8")
    assert "scheduler.T_max stays 3, though trainer.max_epochs has changed" in capsys.readouterr().err


def test_a_finished_run_tests_only_where_it_was_to(here: Path) -> None:
    fit("net.yaml", ["callbacks.stops.at=-1"], directory=here / "cut", test=False)
    assert not any(name.startswith("test/") for name in resume("cut", ["trainer.max_epochs=4"]).metrics)


def test_a_source_that_was_mended_is_noted(cut: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite("return self.net(inputs)", "return self.net(inputs)  # mended")
    resume(cut)
    told = capsys.readouterr().err
    assert "model/net: its source has changed; the numbers may differ from here on" in told


def test_another_version_is_noted(cut: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(cut, versions=record(cut)["versions"] | {"torch": "2.0.0"})
    resume(cut)
    assert "torch was 2.0.0 and is 2." in capsys.readouterr().err


def test_a_torn_last_checkpoint_gives_way_to_the_best(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Interrupted):
        fit("net.yaml", ["callbacks.stops.at=8"], directory=here / "cut")
    last = Path("cut/checkpoints/last.ckpt")
    last.write_bytes(last.read_bytes()[:-100])
    resume("cut")
    told = capsys.readouterr().err
    assert "last.ckpt is not a checkpoint, or was cut off" in told
    assert record(Path("cut"))["resumed_from_step"] == 6


# -- refusals ---------------------------------------------------------------------------------------------------------


def test_all_that_would_make_it_another_run_is_told_at_once(cut: Path) -> None:
    overrides = ["optimizer.lr=0.5", "seed=7", "data.batch_size=4", "model.width=9", "trainer.max_epochs=9"]
    with pytest.raises(UsageError) as refused:
        resume(cut, overrides)
    told = str(refused.value)
    assert "optimizer.lr: was 0.001, would be 0.5" in told
    assert "seed: was 42, would be 7" in told
    assert "data.batch_size: was 8, would be 4" in told
    assert "model.width: was 8, would be 9" in told
    assert "trainer.max_epochs: was" not in told
    assert "hydrantic fit cut/blueprint.yaml key=value ..." in told
    assert record(cut)["attempt"] == 1


@pytest.mark.parametrize(
    "override", ["loggers={csv: {}}", "early_stopping.patience=9", "checkpoint.every_n_steps=2", "trainer.max_steps=12"]
)
def test_what_does_not_make_it_another_run_may_change(cut: Path, override: str) -> None:
    assert resume(cut, [override]).metrics


@pytest.mark.parametrize(
    ("override", "told"), [("max_epochs=1", "epoch 3 already"), ("max_steps=4", "step 18 already")]
)
def test_a_run_does_not_end_before_what_it_has_trained(here: Path, override: str, told: str) -> None:
    fit("net.yaml", ["callbacks.stops.at=-1"], directory=here / "whole")
    before = (here / "whole" / "run.json").read_bytes()
    with pytest.raises(UsageError, match=rf"whole has come to {told}; trainer\.{override} ends before that"):
        resume("whole", [f"trainer.{override}"])
    assert (here / "whole" / "run.json").read_bytes() == before


def test_the_help_lists_what_may_change(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["resume", "--help"])
    told = capsys.readouterr().out
    assert all(f"{each}," in told for each in ("loggers", "early_stopping", "trainer.max_time"))


def test_a_finished_run_is_not_repeated(here: Path) -> None:
    fit("net.yaml", ["callbacks.stops.at=-1"], directory=here / "cut")
    before = record(Path("cut"))
    with pytest.raises(UsageError, match=r"cut is finished; `hydrantic resume cut trainer\.max_epochs=6` would"):
        resume("cut")
    assert record(Path("cut")) == before


@pytest.mark.parametrize("override", ["optimizer.lr=1", "seed=9", "name=x", "trainer.precision=bf16-mixed"])
def test_a_finished_run_is_told_first_what_may_not_change(here: Path, override: str) -> None:
    fit("net.yaml", ["callbacks.stops.at=-1"], directory=here / "cut")
    key = override.partition("=")[0]
    with pytest.raises(UsageError, match=rf"(?s)cut would become another run:\n  {key}: was .*begin a new one instead"):
        resume("cut", [override])


def test_a_run_whose_process_is_there_is_left_alone(cut: Path) -> None:
    edit(cut, status="running", pid=os.getppid(), host=socket.gethostname())
    with pytest.raises(UsageError, match=f"cut is still running, as process {os.getppid()}"):
        resume(cut)


def test_a_run_that_another_machine_was_carrying_out_goes_on(cut: Path) -> None:
    edit(cut, status="running", pid=os.getppid(), host="elsewhere")
    resume(cut)


def test_a_directory_that_another_process_holds_is_left_alone(cut: Path) -> None:
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:  # locks are between processes
        with (cut / ".lock").open("a") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            os.write(writes, b"x")
            signal.pause()
    try:
        os.read(reads, 1)
        with pytest.raises(UsageError, match="cut is a run that another process is carrying out just now"):
            resume(cut)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reads)
        os.close(writes)
    resume(cut)
    assert not (cut / ".lock").exists()


def test_other_data_is_refused(cut: Path) -> None:
    table(offset=3)
    with pytest.raises(UsageError, match="cut was trained on other data: its fingerprint was"):
        resume(cut)
    assert record(cut)["attempt"] == 1
    assert torch.load(cut / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 5


def test_data_may_have_moved(cut: Path) -> None:
    Path("table.csv").rename("moved.csv")
    assert resume(cut, ["data.path=moved.csv"]).metrics
    assert load(cut).test().items() <= load(cut).metrics.items()


def test_moved_data_has_to_be_the_same(cut: Path) -> None:
    table(offset=3)
    Path("table.csv").rename("moved.csv")
    with pytest.raises(UsageError, match="cut was trained on other data: its fingerprint was"):
        resume(cut, ["data.path=moved.csv"])


def test_a_component_with_other_fields_is_refused(cut: Path) -> None:
    rewrite("width: int = 8)", "width: int = 8, depth: int = 1)")
    with pytest.raises(UsageError, match=r"(?s)would become another run.*model.depth|have other fields now.*depth"):
        resume(cut)


def test_a_component_that_is_gone_is_named(cut: Path) -> None:
    rewrite('register_model("net")', 'register_model("nut")')
    with pytest.raises(BlueprintError, match="no model is called 'net'"):
        resume(cut)


@pytest.mark.parametrize(
    ("contents", "told"),
    [(None, "is not the record of a run"), ("{", "is not the record of a run"), ("[]", "holds no mapping")],
)
def test_a_broken_record_is_told_of(cut: Path, contents: str | None, told: str) -> None:
    file = cut / "run.json"
    if contents is None:
        file.unlink()
        file.mkdir()
    else:
        file.write_text(contents)
    with pytest.raises(UsageError, match=told if contents is not None else "no run.json|not the record"):
        resume(cut)


def test_a_checkpoint_is_not_a_run(cut: Path) -> None:
    [best] = [each for each in (cut / "checkpoints").iterdir() if each.name != "last.ckpt"] or [cut / "checkpoints/x"]
    best.write_bytes(b"")
    with pytest.raises(UsageError, match="is a checkpoint; name the directory of its run"):
        resume(best)


def test_without_a_run_the_command_says_what_it_needs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resume"]) == 2
    assert main(["resume", "nowhere"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "which run? hydrantic resume RUN [key=value ...] (hydrantic resume --help)",
        "there is no run nowhere",
    ]

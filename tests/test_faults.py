"""A disk that is full, a folder that is read-only, files that are no checkpoints: one clear error, and nothing lost."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from hydrantic.checkpoints import CheckpointError, read_checkpoint
from hydrantic.contents import KEY
from hydrantic.contents import read as read_contents
from hydrantic.errors import RunFailed, UsageError
from hydrantic.fitting import fit, resume
from hydrantic.opening import open_run
from hydrantic.rundir import RunDirectory
from tests.projects import project, write

pytestmark = pytest.mark.usefixtures("scratch")

CHECKOUT = Path(__file__).parent.parent

SHELF = """
    from pathlib import Path

    from lightning.pytorch import Callback

    from hydrantic import register_callback

    @register_callback("fills")
    class Fills(Callback):
        \"\"\"Fills the disk in an epoch, but for so many bytes, and makes room in another one.\"\"\"

        def __init__(self, folder: str, at: int = 2, until: int = 99, leaves: int = 0) -> None:
            self.file, self.at, self.until, self.leaves = Path(folder) / "filling", at, until, leaves

        def on_train_epoch_start(self, trainer, *_):
            if trainer.current_epoch == self.at and Path("full").exists():
                with self.file.open("wb", buffering=0) as file:
                    try:
                        while True:
                            file.write(b"0" * 4096)
                    except OSError:
                        file.truncate(file.tell() - self.leaves)
            if trainer.current_epoch == self.until:
                self.file.unlink()
"""

NET = """
    name: net
    data: {name: iris, batch_size: 32}
    model: {name: mlp, hidden_dims: [64]}
    loss: cross_entropy
    optimizer: {name: adam, lr: 0.01}
    callbacks: {fills: {folder: small}}
    loggers: {}
    trainer: {max_epochs: 5, accelerator: cpu, enable_progress_bar: false}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's folder, in which they stand, with a project and a blueprint."""
    monkeypatch.chdir(tmp_path)
    project(tmp_path, parts=SHELF)
    write(tmp_path / "net.yaml", NET)
    return tmp_path


@pytest.fixture
def small(here: Path) -> Iterator[Path]:
    """A file system of half a megabyte, which a run fills while the file `full` is there."""
    folder = here / "small"
    folder.mkdir()
    (here / "full").touch()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def record(run: Path) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((run / "run.json").read_text("utf-8"))
    return fields


# -- a full disk ------------------------------------------------------------------------------------------------------


def test_a_run_stops_where_a_checkpoint_finds_no_room_and_goes_on_later(small: Path) -> None:
    whole = fit("net.yaml", ["callbacks.fills.at=99"], directory=Path("whole").absolute())
    with pytest.raises(
        RunFailed, match=r"the run failed: the checkpoint small/cut/.*ckpt cannot be written: the disk is full"
    ):
        fit("net.yaml", ["callbacks.fills.leaves=20000"], directory=small / "cut")
    assert record(small / "cut")["status"] == "failed"
    assert record(small / "cut")["error"]["type"] == "CheckpointError"
    for file in (small / "cut" / "checkpoints").iterdir():
        read_checkpoint(file)
    (small / "filling").unlink()
    Path("full").unlink()
    assert resume(small / "cut").metrics == whole.metrics


def test_a_run_that_is_to_go_on_says_that_a_checkpoint_is_missing(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ["checkpoint.on_error=warn", "callbacks.fills.until=4", "callbacks.fills.leaves=20000"]
    run = fit("net.yaml", overrides, directory=small / "run")
    assert record(run.path)["status"] == "finished"
    assert "cannot be written: the disk is full; going on without it" in capsys.readouterr().err
    assert run.checkpoint is not None
    assert read_checkpoint(run.checkpoint)["global_step"] == 20
    names = {each.name for each in (run.path / "checkpoints").iterdir()}
    assert names == {"last.ckpt", run.checkpoint.name}


def test_a_stale_checkpoint_is_not_taken_for_the_best(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seldom = ["trainer.check_val_every_n_epoch=5", "callbacks.fills.at=1"]
    whole = fit("net.yaml", ["checkpoint=null", "callbacks=null", *seldom[:1]], directory=Path("whole").absolute())
    lost = ["checkpoint.on_error=warn", "checkpoint.every_n_steps=2", "callbacks.fills.leaves=20000"]
    run = fit("net.yaml", [*lost, *seldom], directory=small / "run")
    assert read_checkpoint(small / "run" / "checkpoints" / "last.ckpt")["global_step"] < 20
    assert record(run.path)["best_checkpoint"] is None
    assert run.metrics == whole.metrics
    told = "note: checkpoints could not be written: the weights that are tested are those at the end of training"
    assert told in capsys.readouterr().err


def test_a_disk_without_any_room_fails_the_run_in_one_line(small: Path) -> None:
    with pytest.raises(RunFailed) as failed:
        fit("net.yaml", ["checkpoint=null"], directory=small / "run")
    assert "metrics.csv cannot be written: No space left on device" in str(failed.value)
    assert record(small / "run")["status"] in {"running", "failed"}  # sound in any case


# -- a folder that cannot be written ----------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("setpriv") is None and os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("words", [["resume", "run", "trainer.max_epochs=3"]], ids=lambda words: words[0])
def test_a_run_in_a_folder_that_is_read_only_is_left_as_it_is(here: Path, words: list[str]) -> None:
    fit("net.yaml", ["trainer.max_epochs=2"], directory=here / "run")
    before = {file: file.read_bytes() for file in sorted((here / "run").rglob("*")) if file.is_file()}
    folders = [here / "run", here / "run" / "checkpoints"]
    for folder in folders:
        folder.chmod(0o555)
    as_anybody = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"}
    command = [*as_anybody, sys.executable, "-m", "hydrantic", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    for folder in folders:
        folder.chmod(0o755)
    assert done.returncode == 2, done.stderr
    assert "run cannot be written: Permission denied" in done.stderr.splitlines()[-1]
    assert {file: file.read_bytes() for file in sorted((here / "run").rglob("*")) if file.is_file()} == before


# -- files that are no checkpoints ------------------------------------------------------------------------------------


def _zip(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "nothing")


class Anything:
    """What no checkpoint may hold."""


FOREIGN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (lambda file: file.write_bytes(b""), "is not a checkpoint, or was cut off"),
    "a text": (lambda file: file.write_text("nothing"), "is not a checkpoint, or was cut off"),
    "a pickle": (
        lambda file: file.write_bytes(pickle.dumps({"state_dict": {}})),
        "is not a checkpoint, or was cut off",
    ),
    "a zip": (_zip, "is not a checkpoint that can be read"),
    "weights alone": (lambda file: torch.save({"w": torch.ones(2)}, file), "it has no 'state_dict'"),
    "a tensor": (lambda file: torch.save(torch.ones(2), file), "is not a checkpoint of a run"),
    "an object": (lambda file: torch.save({"state_dict": Anything()}, file), "only tensors and plain types"),
    "another program's": (lambda file: torch.save({"state_dict": {}, "epoch": 1}, file), "it carries no blueprint"),
    "a later format": (
        lambda file: torch.save({"state_dict": {}, KEY: {"format": 99, "blueprint": {}}}, file),
        r"was written by a later hydrantic \(format 99\)",
    ),
    "a folder": (lambda file: file.mkdir(), "there is no checkpoint"),
}


@pytest.mark.parametrize(("make", "told"), FOREIGN.values(), ids=FOREIGN.keys())
def test_a_file_that_is_no_checkpoint_of_a_run_gets_one_line(
    tmp_path: Path, make: Callable[[Path], Any], told: str
) -> None:
    make(tmp_path / "some.ckpt")
    with pytest.raises(CheckpointError, match=told) as refused:
        read_contents(tmp_path / "some.ckpt")
    assert "some.ckpt" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_checkpoint_of_another_model_is_told_with_what_differs(here: Path) -> None:
    run = fit("net.yaml", ["trainer.max_epochs=1"])
    assert run.checkpoint is not None
    state = torch.load(run.checkpoint, weights_only=True)
    state["state_dict"] = {f"other.{name}": value for name, value in state["state_dict"].items()}
    torch.save(state, run.checkpoint)
    with pytest.raises(CheckpointError, match=r"does not fit the model: .*other"):
        open_run(run.path)


def test_what_training_goes_on_from_costs_little(here: Path) -> None:
    run = fit("net.yaml", ["trainer.max_epochs=1"])
    state = torch.load(run.path / "checkpoints" / "last.ckpt", weights_only=True)
    torch.save(state["exact"], "exact.pt")
    assert Path("exact.pt").stat().st_size < 30_000


# -- two at once ------------------------------------------------------------------------------------------------------


def test_runs_that_begin_in_the_same_moment_never_share_a_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter(["aaaa", "aaaa", "aaaa", "bbbb"])
    monkeypatch.setattr("hydrantic.rundir.secrets.token_hex", lambda _: next(drawn))
    monkeypatch.setattr("hydrantic.rundir.time.strftime", lambda _: "2026-11-21_09-30-12")
    one, other = RunDirectory.create(tmp_path, "net"), RunDirectory.create(tmp_path, "net")
    assert [each.path.name for each in (one, other)] == ["2026-11-21_09-30-12-aaaa", "2026-11-21_09-30-12-bbbb"]


def test_a_directory_that_a_run_has_taken_meanwhile_is_refused(here: Path) -> None:
    fit("net.yaml", ["trainer.max_epochs=1"], directory=here / "run")
    with pytest.raises(UsageError, match="holds a run already"):
        fit("net.yaml", directory=here / "run")

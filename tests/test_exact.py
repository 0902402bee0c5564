"""A run that was cut short and went on is the run that never stopped, to the last bit."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from hydrantic.checkpoints import RunCheckpoint
from hydrantic.errors import Interrupted, RunFailed
from hydrantic.fitting import fit, resume
from hydrantic.run import Run
from tests.projects import project, write

pytestmark = [
    pytest.mark.usefixtures("scratch"),
    pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step:UserWarning"),
    pytest.mark.filterwarnings("ignore:Your `.*_dataloader`'s sampler has shuffling enabled:UserWarning"),
]

CHECKOUT = Path(__file__).parent.parent

SHELF = """
    import os
    import random
    import signal
    from pathlib import Path

    import numpy as np
    import torch
    from lightning.pytorch import Callback, LightningDataModule, LightningModule
    from torch import nn
    from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler
    from torchmetrics import Accuracy

    from hydrantic import register_callback, register_data, register_model

    @register_callback("signals")
    class Signals(Callback):
        \"\"\"Sends its own process signals: the hook, which call of it, and the signal, a line each in a file.\"\"\"

        def __init__(self, orders: str) -> None:
            self.file = Path(orders)
            self.count = {}

        def _count(self, hook, trainer):
            if trainer.sanity_checking or not trainer.is_global_zero or not self.file.exists():
                return
            self.count[hook] = self.count.get(hook, 0) + 1
            order, *left = self.file.read_text().splitlines() or [""]
            if order.split()[:2] == [hook, str(self.count[hook])]:
                self.file.write_text("\\n".join(left))
                os.kill(os.getpid(), getattr(signal, order.split()[2]))

        def on_train_batch_end(self, trainer, *_):
            self._count("batch", trainer)

        def on_train_epoch_end(self, trainer, *_):
            self._count("epoch", trainer)

        def on_validation_batch_end(self, trainer, *_):
            self._count("validation", trainer)

        def on_test_batch_end(self, trainer, *_):
            self._count("test", trainer)

    class Noisy(Dataset):
        def __init__(self, samples):
            generator = torch.Generator().manual_seed(0)
            self.inputs = torch.randn(samples, 4, generator=generator)

        def __len__(self):
            return len(self.inputs)

        def __getitem__(self, index):
            noise = torch.rand(()) + np.random.rand() + random.random()
            inputs = self.inputs[index]
            return inputs + 0.01 * noise.float(), (inputs.sum() > 0).long()

    @register_data("noisy")
    class NoisyData(LightningDataModule):
        \"\"\"Plain loaders of torch, shuffled, of samples that are drawn at random each time.\"\"\"

        def __init__(
            self, workers: int = 0, own_generator: bool = False, persistent: bool = False, own_batches: bool = False,
        ) -> None:
            super().__init__()
            self.own_batches = own_batches
            self.workers = {"num_workers": workers, "persistent_workers": persistent}
            self.generator = torch.Generator().manual_seed(5) if own_generator else None

        def train_dataloader(self):
            if self.own_batches:
                order = RandomSampler(range(48), generator=torch.Generator().manual_seed(6))
                return DataLoader(Noisy(48), batch_sampler=BatchSampler(order, 8, drop_last=False))
            return DataLoader(Noisy(48), 8, shuffle=True, generator=self.generator, **self.workers)

        def val_dataloader(self):
            if self.own_batches:
                return DataLoader(Noisy(16), 4, shuffle=True, generator=torch.Generator().manual_seed(7))
            return DataLoader(Noisy(16), 8)

        test_dataloader = val_dataloader

    @register_model("plain")
    class Plain(LightningModule):
        \"\"\"Logs with Lightning's own means.\"\"\"

        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, 2))
            self.accuracy = Accuracy("multiclass", num_classes=2)

        def training_step(self, batch, batch_idx):
            outputs = self.net(batch[0])
            loss = nn.functional.cross_entropy(outputs, batch[1])
            self.accuracy(outputs, batch[1])
            self.log("training/loss", loss, on_step=True, on_epoch=True)
            self.log("training/largest", loss, on_step=False, on_epoch=True, reduce_fx="max")
            self.log("training/accuracy", self.accuracy, on_step=False, on_epoch=True)
            return loss

        def validation_step(self, batch, batch_idx):
            self.log("validation/loss", nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

        def test_step(self, batch, batch_idx):
            self.log("test/loss", nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=0.05)
"""

NETWORK = """
    name: net
    seed: 3
    data: {name: iris, batch_size: 16, standardize: true}
    model: {name: mlp, hidden_dims: [8], dropout: 0.3, normalization: batch}
    loss: cross_entropy
    metrics: {accuracy: , f1: }
    optimizer: {name: adam, lr: 0.01}
    callbacks: {signals: {orders: orders.txt}}
    loggers: {csv: }
    trainer: {max_epochs: 3, accelerator: cpu, enable_progress_bar: false, log_every_n_steps: 1}
"""  # eight batches in an epoch

PLAIN = """
    name: plain
    seed: 3
    data: {name: noisy}
    model: {name: plain}
    checkpoint: {monitor: validation/loss}
    callbacks: {signals: {orders: orders.txt}}
    loggers: {csv: }
    trainer: {max_epochs: 3, accelerator: cpu, enable_progress_bar: false, log_every_n_steps: 2}
"""  # six batches in an epoch


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's folder, in which they stand, with a project."""
    monkeypatch.chdir(tmp_path)
    project(tmp_path, parts=SHELF)
    return tmp_path


def interrupted(blueprint: str, overrides: list[str], orders: list[str], times: int) -> Run:
    """A run that is cut short and goes on as often as that."""
    write(Path("b.yaml"), blueprint)
    Path("orders.txt").write_text("\n".join(orders))
    path = Path("cut").absolute()
    for time in range(times):
        with pytest.raises(Interrupted):
            fit("b.yaml", overrides, directory=path) if time == 0 else resume(path)
    return resume(path)


def undisturbed(blueprint: str, overrides: list[str]) -> Run:
    write(Path("b.yaml"), blueprint)
    return fit("b.yaml", overrides, directory=Path("whole").absolute())


def assert_same(whole: Path, cut: Path) -> None:
    """All that two runs have come to is the same to the last bit."""
    assert (cut / "metrics.csv").read_text() == (whole / "metrics.csv").read_text()
    one, other = (json.loads((each / "run.json").read_text()) for each in (whole, cut))
    for name in ("status", "metrics", "best_metrics", "best_checkpoint"):
        assert one[name] == other[name], name
    names = [sorted(each.name for each in (folder / "checkpoints").iterdir()) for folder in (whole, cut)]
    assert names[0] == names[1]
    for name in names[0]:
        states = [torch.load(folder / "checkpoints" / name, weights_only=True) for folder in (whole, cut)]
        for state in states:  # what is left of a sanity check means nothing
            state["loops"] = {key: value for key, value in state["loops"]["fit_loop"].items() if "val_loop" not in key}
        for part in ("state_dict", "optimizer_states", "lr_schedulers", "loops", "exact"):
            assert_equal(states[0][part], states[1][part], f"{name}: {part}")


def assert_equal(one: Any, other: Any, where: str) -> None:
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_equal(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for index, part in enumerate(one):
            assert_equal(part, other[index], f"{where}/{index}")
    else:
        assert one == other, where


CASES = {
    "in an epoch": ([], ["batch 3 SIGTERM"]),
    "after the first batch": ([], ["batch 1 SIGINT"]),
    "after the last batch of an epoch": ([], ["batch 8 SIGTERM"]),
    "at an epoch's end": ([], ["epoch 1 SIGINT"]),
    "in a validation": ([], ["validation 1 SIGTERM"]),
    "at the end": ([], ["epoch 3 SIGTERM"]),
    "in the test": ([], ["test 1 SIGTERM"]),
    "by SIGUSR1": ([], ["batch 11 SIGUSR1"]),
    "several times": ([], ["batch 2 SIGTERM", "batch 4 SIGINT", "batch 1 SIGTERM", "epoch 1 SIGTERM", "test 1 SIGINT"]),
    "a schedule per step": (
        ["scheduler=one_cycle", "scheduler.max_lr=0.1", "scheduler.total_steps=24", "scheduler.interval=step"],
        ["batch 5 SIGTERM", "epoch 1 SIGTERM"],
    ),
    "a schedule per epoch": (["scheduler=step", "scheduler.step_size=1"], ["batch 5 SIGTERM", "epoch 1 SIGTERM"]),
    "a plateau": (
        ["scheduler=plateau", "scheduler.patience=0", "scheduler.threshold=10.0"],
        ["batch 5 SIGTERM", "epoch 1 SIGTERM", "batch 8 SIGTERM"],
    ),
    "accumulated gradients": (["trainer.accumulate_grad_batches=3"], ["batch 4 SIGTERM", "epoch 1 SIGTERM"]),
    "validations in an epoch": (["trainer.val_check_interval=3"], ["batch 4 SIGTERM", "validation 1 SIGTERM"]),
    "a validation every other epoch": (["trainer.check_val_every_n_epoch=2"], ["batch 11 SIGTERM", "epoch 1 SIGTERM"]),
    "a number of steps": (["trainer.max_epochs=-1", "trainer.max_steps=20"], ["batch 5 SIGTERM", "epoch 1 SIGTERM"]),
    "a part of the data": (["trainer.limit_train_batches=5"], ["batch 3 SIGTERM", "epoch 1 SIGTERM"]),
    "early stopping": (
        ["early_stopping.patience=0", "early_stopping.min_delta=9.0"],
        ["batch 3 SIGTERM", "epoch 1 SIGINT"],
    ),
    "several best checkpoints": (["checkpoint.save_top_k=2"], ["batch 11 SIGTERM", "epoch 1 SIGTERM"]),
    "all checkpoints": (["checkpoint.save_top_k=-1"], ["batch 11 SIGTERM", "epoch 1 SIGTERM"]),
    "no last checkpoint": (["checkpoint.save_last=false"], ["batch 5 SIGTERM", "epoch 1 SIGTERM"]),
    "no validation loss": (["checkpoint={monitor: null}"], ["batch 11 SIGTERM", "epoch 1 SIGTERM"]),
    "averaged weights": (["+callbacks.ema={}"], ["batch 5 SIGTERM", "epoch 1 SIGTERM"]),
}


FURTHER = frozenset({
    "after the first batch", "after the last batch of an epoch", "at the end", "by SIGUSR1", "a schedule per epoch",
    "a validation every other epoch", "a part of the data", "all checkpoints", "no validation loss",
})  # fmt: skip
"""Cases that take their time without being likely to break alone."""


@pytest.mark.parametrize(
    ("overrides", "orders"),
    [pytest.param(*case, id=name, marks=pytest.mark.slow if name in FURTHER else ()) for name, case in CASES.items()],
)
def test_a_run_that_was_cut_short_goes_on_to_the_last_bit(here: Path, overrides: list[str], orders: list[str]) -> None:
    whole, cut = undisturbed(NETWORK, overrides), interrupted(NETWORK, overrides, orders, len(orders))
    assert_same(whole.path, cut.path)
    assert whole.metrics == cut.metrics
    assert_equal(whole.model.state_dict(), cut.model.state_dict(), "model")


PLAIN_CASES = {
    "in an epoch": ([], ["batch 4 SIGTERM", "batch 5 SIGTERM"]),
    "at an epoch's end": ([], ["epoch 1 SIGTERM", "epoch 1 SIGTERM"]),
    "a generator of its own": (["data.own_generator=true"], ["batch 4 SIGTERM", "epoch 2 SIGTERM"]),
    "generators of a batch sampler, and of validation": (
        ["data.own_batches=true", "trainer.limit_val_batches=2", "trainer.check_val_every_n_epoch=2"],
        ["batch 4 SIGTERM", "epoch 1 SIGTERM", "batch 3 SIGTERM"],
    ),
    "workers": (["data.workers=1"], ["batch 10 SIGTERM"]),
}


@pytest.mark.parametrize(("overrides", "orders"), PLAIN_CASES.values(), ids=PLAIN_CASES.keys())
def test_so_does_a_module_with_loaders_of_its_own(here: Path, overrides: list[str], orders: list[str]) -> None:
    whole, cut = undisturbed(PLAIN, overrides), interrupted(PLAIN, overrides, orders, len(orders))
    assert_same(whole.path, cut.path)


def test_a_run_that_is_trained_for_longer_is_the_longer_run(here: Path) -> None:
    whole = undisturbed(NETWORK, ["trainer.max_epochs=5"])
    shorter = fit("b.yaml", directory=Path("cut").absolute())
    assert_same(whole.path, resume(shorter.path, ["trainer.max_epochs=5"]).path)


def test_a_run_that_stopped_early_goes_on_with_more_patience(here: Path) -> None:
    improving = ["early_stopping.min_delta=9.0", "trainer.max_epochs=6"]
    whole = undisturbed(NETWORK, ["early_stopping.patience=2", *improving])
    shorter = fit("b.yaml", ["early_stopping.patience=1", *improving], directory=Path("cut").absolute())
    assert shorter.metrics["validation/loss"] != whole.metrics["validation/loss"]
    assert_same(whole.path, resume(shorter.path, ["early_stopping.patience=2"]).path)


def test_a_run_that_was_cut_short_after_it_had_stopped_early_goes_on_too(here: Path) -> None:
    improving = ["early_stopping.min_delta=9.0", "trainer.max_epochs=6"]
    whole = undisturbed(NETWORK, ["early_stopping.patience=2", *improving])
    shorter = interrupted(NETWORK, ["early_stopping.patience=1", *improving], ["test 1 SIGTERM"], 1)
    assert_same(whole.path, resume(shorter.path, ["early_stopping.patience=2"]).path)


def test_what_a_better_checkpoint_has_replaced_goes_after_a_crash_too(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = undisturbed(NETWORK, [])

    def crashes(callback: RunCheckpoint, _: object) -> None:
        if callback._superseded:
            raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(RunCheckpoint, "_remove_superseded", crashes)
        with pytest.raises(RunFailed):
            fit("b.yaml", directory=here / "cut")
    assert len(list((here / "cut" / "checkpoints").iterdir())) == 3
    assert_same(whole.path, resume(here / "cut").path)


def test_a_run_that_goes_on_from_its_best_checkpoint_does_not_keep_it_for_good(here: Path) -> None:
    whole = undisturbed(NETWORK, [])
    Path("orders.txt").write_text("batch 11 SIGTERM")
    with pytest.raises(Interrupted):
        fit("b.yaml", directory=here / "cut")
    Path("cut/checkpoints/last.ckpt").unlink()
    assert_same(whole.path, resume(here / "cut").path)


def test_a_run_goes_on_where_its_directory_was_moved(here: Path) -> None:
    whole = undisturbed(NETWORK, [])
    Path("orders.txt").write_text("batch 11 SIGTERM")
    with pytest.raises(Interrupted):
        fit("b.yaml", directory=Path("before").absolute())
    Path("before").rename("cut")
    assert_same(whole.path, resume("cut").path)
    assert record(Path("cut"))["id"] == "before"


def test_a_run_that_was_copied_keeps_its_best_checkpoint(here: Path) -> None:
    undisturbed(NETWORK, [])
    Path("orders.txt").write_text("test 1 SIGTERM")
    with pytest.raises(Interrupted):
        fit("b.yaml", directory=Path("cut").absolute())
    for file in (each for each in Path("cut/checkpoints").iterdir() if each.name != "last.ckpt"):
        os.utime(file)
    assert_same(Path("whole"), resume("cut").path)


@pytest.mark.filterwarnings("ignore:SWA is initializing after swa_start:UserWarning")
@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (
            ["+callbacks.swa={swa_lrs: 0.01, swa_epoch_start: 1, annealing_epochs: 1}"],
            "StochasticWeightAveraging keeps too",
        ),
        (["data.workers=1", "data.persistent=true"], "a data loader has persistent_workers"),
    ],
    ids=["averaged weights", "workers"],
)
def test_what_cannot_be_made_the_same_is_told(
    here: Path, overrides: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted(PLAIN, overrides, ["batch 4 SIGTERM"], 1)
    assert f"note: {told}" in capsys.readouterr().err


def test_an_offline_run_of_wandb_goes_on_under_its_id(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    network = NETWORK.replace("loggers: {csv: }", "loggers: {wandb: {mode: offline}}")
    run = interrupted(network, [], ["batch 11 SIGTERM"], 1)
    parts = [each.name for each in (run.path / "wandb").glob("offline-run-*")]
    assert len(parts) == 2
    assert {each.split("-")[3] for each in parts} == {"cut"}


def record(run: Path) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((run / "run.json").read_text())
    return fields


# -- killed -----------------------------------------------------------------------------------------------------------


def killed(*words: str, **variables: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)} | variables
    done = subprocess.run(
        [sys.executable, "-m", "hydrantic", *words], env=environment, capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


@pytest.mark.slow
@pytest.mark.parametrize(
    "orders",
    [
        ["batch 1 SIGKILL"],
        ["batch 9 SIGKILL", "batch 3 SIGKILL"],
        ["validation 2 SIGKILL"],
        ["epoch 2 SIGKILL"],
        ["batch 13 SIGTERM", "batch 2 SIGKILL"],
        ["test 1 SIGKILL"],
    ],
    ids=", ".join,
)
@pytest.mark.parametrize("often", ["null", "2"])
def test_a_run_that_was_killed_goes_on_to_the_last_bit(here: Path, orders: list[str], often: str) -> None:
    overrides = [f"checkpoint.every_n_steps={often}", "trainer.val_check_interval=4"]
    whole = undisturbed(NETWORK, overrides)
    Path("orders.txt").write_text("\n".join(orders))
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    words = ["fit", "b.yaml", "hydra.run.dir=cut", *overrides]
    for order in orders:
        command = [sys.executable, "-m", "hydrantic", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        number = getattr(signal, order.split()[2])
        assert done.returncode == (-number if number == signal.SIGKILL else 128 + number), done.stderr
        words = ["resume", "cut"]
    assert_same(whole.path, resume("cut").path)


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that kills a process in one of its writes."""
    folder = tmp_path_factory.mktemp("faults")
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    source = write(folder / "faults.c", FAULTS)
    library = folder / "faults.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return library


FAULTS = r"""
    #define _GNU_SOURCE
    #include <dlfcn.h>
    #include <signal.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <unistd.h>

    /* Kills the process in call number FAULT_AT of those that write to, sync or rename to a path with FAULT_PATH. */
    static int count = 0;

    static void counted(void) {
        if (++count == atoi(getenv("FAULT_AT"))) kill(getpid(), SIGKILL);
    }

    static void opened(int descriptor) {
        char link[64], path[4096];
        snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
        ssize_t length = readlink(link, path, sizeof path - 1);
        if (length < 0) return;
        path[length] = 0;
        if (strstr(path, getenv("FAULT_PATH"))) counted();
    }

    ssize_t write(int descriptor, const void *bytes, size_t number) {
        ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
        opened(descriptor);
        return real(descriptor, bytes, number);
    }

    int fsync(int descriptor) {
        int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
        opened(descriptor);
        return real(descriptor);
    }

    int rename(const char *from, const char *to) {
        int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
        if (strstr(to, getenv("FAULT_PATH"))) counted();
        return real(from, to);
    }
"""


@pytest.mark.slow
@pytest.mark.parametrize(("path", "at"), [("ckpt", 1), ("ckpt", 9), ("ckpt", 40), ("metrics.csv", 2), ("run.json", 4)])
def test_a_run_that_was_killed_while_it_wrote_goes_on_to_the_last_bit(
    here: Path, faults: Path, path: str, at: int
) -> None:
    overrides = ["checkpoint.every_n_steps=3"]
    whole = undisturbed(NETWORK, overrides)
    variables = {"LD_PRELOAD": str(faults), "FAULT_PATH": path, "FAULT_AT": str(at)}
    killed("fit", "b.yaml", "hydra.run.dir=cut", *overrides, **variables)
    assert_same(whole.path, resume("cut").path)


# -- several processes ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "orders", [["batch 3 SIGTERM", "batch 4 SIGTERM"], ["epoch 1 SIGTERM"]], ids=["in an epoch", "at its end"]
)
def test_processes_that_train_together_go_on_to_the_last_bit(here: Path, orders: list[str]) -> None:
    overrides = ["trainer.devices=2"]
    whole, cut = undisturbed(NETWORK, overrides), interrupted(NETWORK, overrides, orders, len(orders))
    assert_same(whole.path, cut.path)


@pytest.mark.slow
def test_processes_that_had_stopped_early_go_on_together(here: Path) -> None:
    write(Path("b.yaml"), NETWORK)
    never = ["trainer.devices=2", "early_stopping.min_delta=9.0", "early_stopping.patience=1", "trainer.max_epochs=6"]
    shorter = fit("b.yaml", never, directory=Path("cut").absolute())
    assert len(shorter.history) == 2 + 1
    assert len(resume(shorter.path, ["early_stopping.patience=9"]).history) == 6 + 1

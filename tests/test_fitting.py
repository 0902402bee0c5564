"""Whole runs on real data: the same numbers again, and a directory that tells what happened."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

import hydrantic
from hydrantic.cli.main import main
from hydrantic.errors import BlueprintError, RunFailed, UsageError
from hydrantic.fitting import fit
from hydrantic.metrics_csv import MetricsCsv, read_metrics
from hydrantic.run import Run
from hydrantic.rundir import RunRecord
from tests.projects import DIGITS, project, write

pytestmark = pytest.mark.usefixtures("scratch")

CHECKOUT = Path(__file__).parent.parent

SHELF = """
    import torch
    from lightning.pytorch import Callback, LightningDataModule, LightningModule
    from torch import nn
    from torch.utils.data import DataLoader
    from hydrantic import (
        Facts, Hparams, Model, ModelHparams, register_callback, register_data, register_loss, register_metric,
        register_model,
    )
    from torchmetrics import MeanMetric

    class MineHparams(ModelHparams):
        width: int = 16

    @register_model("mine")
    class Mine(Model[MineHparams]):
        def __init__(self, hparams: MineHparams) -> None:
            super().__init__(hparams)
            width = self.thparams.width
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, 10))

        def forward(self, inputs):
            return self.layers(inputs)

        def compute_metrics(self, outputs, targets):
            hits = (outputs.argmax(1) == targets).float().mean()
            return {"loss": nn.functional.cross_entropy(outputs, targets), "hits": hits}

    @register_model("own")
    class Own(LightningModule):
        def __init__(self, width: int = 16) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, 10))

        def _loss(self, batch, stage):
            loss = nn.functional.cross_entropy(self.layers(batch[0]), batch[1])
            self.log(f"{stage}/loss", loss, on_step=False, on_epoch=True)
            return loss

        def training_step(self, batch, batch_idx):
            return self._loss(batch, "training")

        def validation_step(self, batch, batch_idx):
            self._loss(batch, "validation")

        def test_step(self, batch, batch_idx):
            self._loss(batch, "test")

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    @register_model("untested")
    class Untested(Own):
        test_step = LightningModule.test_step

    @register_model("exploding")
    class Exploding(nn.Module):
        def __init__(self, after: int = 3) -> None:
            super().__init__()
            self.layer = nn.Linear(64, 10)
            self.left = after

        def forward(self, inputs):
            if self.training:
                self.left -= 1
            if self.left < 0:
                raise RuntimeError("it exploded")
            return self.layer(inputs.flatten(1))

    @register_model("two_headed")
    class TwoHeaded(nn.Module):
        def __init__(self, width: int = 8) -> None:
            super().__init__()
            self.body, self.digit, self.parity = nn.Linear(4, width), nn.Linear(width, 3), nn.Linear(width, 1)

        def forward(self, image):
            hidden = self.body(image).relu()
            return {"logits": self.digit(hidden), "parity": self.parity(hidden).squeeze(1)}

    class Pairs(torch.utils.data.Dataset):
        def __len__(self):
            return 24

        def __getitem__(self, index):
            generator = torch.Generator().manual_seed(index)
            label = torch.tensor(index % 3)
            return {"image": torch.rand(4, generator=generator), "label": label, "even": (label % 2).float()}

    @register_data("pairs")
    class PairsData(LightningDataModule):
        def __init__(self, batch_size: int = 8) -> None:
            super().__init__()
            self.batch_size = batch_size

        def _loader(self):
            return DataLoader(Pairs(), batch_size=self.batch_size)

        train_dataloader = val_dataloader = test_dataloader = _loader

    @register_metric("mean_output")
    class MeanOutput(MeanMetric):
        def __init__(self) -> None:
            super().__init__()

        def update(self, outputs, targets):
            super().update(outputs.mean())

    @register_callback("diary")
    class Diary(Callback):
        def __init__(self, run_dir) -> None:
            self.file = run_dir / "diary.txt"

        def on_train_end(self, trainer, pl_module):
            self.file.write_text(f"epochs: {trainer.current_epoch}")

        def on_test_start(self, trainer, pl_module):
            self.file.write_text(self.file.read_text() + ", tested")
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's folder, in which they stand: a blueprint, and a project with a shelf."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRANTIC_RUNS", raising=False)
    project(tmp_path, parts=SHELF)
    write(tmp_path / "a.yaml", DIGITS)
    return tmp_path


def record(run: Run | Path) -> dict[str, Any]:
    path = run.path if isinstance(run, Run) else run
    fields: dict[str, Any] = json.loads((path / "run.json").read_text("utf-8"))
    return fields


def only_run(folder: Path) -> Path:
    [path] = folder.glob("runs/*/*")
    return path


def trained(text: str, *overrides: str) -> Run:
    return fit(write(Path("b.yaml"), text), overrides)


# -- repeating --------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_numbers_to_the_last_bit(here: Path) -> None:
    overrides = ["model.dropout=0.2", "trainer.max_epochs=2"]
    first, again = fit("a.yaml", overrides), fit("a.yaml", overrides)
    assert first.metrics == again.metrics
    assert (first.path / "metrics.csv").read_bytes() == (again.path / "metrics.csv").read_bytes()
    weights, same = first.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(weights[name], same[name]) for name in weights)


def test_another_seed_gives_other_numbers(here: Path) -> None:
    assert fit("a.yaml").metrics != fit("a.yaml", ["seed=43"]).metrics


def test_a_runs_blueprint_repeats_the_run_to_the_last_bit(here: Path) -> None:
    text = DIGITS.replace("{max_epochs: 1}", "{max_epochs: 2}").replace(
        "model: mlp", "model: {name: mlp, dropout: 0.1}"
    )
    text += "scheduler: {name: cosine, T_max: ${trainer.max_epochs}}\nvars: {a: ${seed}}\n"
    first = trained(text)
    again = fit(first.path / "blueprint.yaml")
    assert again.metrics == first.metrics
    assert (again.path / "blueprint.yaml").read_bytes() == (first.path / "blueprint.yaml").read_bytes()


def test_a_runs_blueprint_finds_its_data_from_anywhere(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "".join(f"{i},{i % 7},{'yes' if i % 2 else 'no'}\n" for i in range(60))
    write(here / "data" / "t.csv", "a,b,y\n" + rows)
    first = trained("data: {name: csv, path: data/t.csv, target: y}\nmodel: linear\nloss: cross_entropy\nloggers: {}\n")
    monkeypatch.chdir("/")
    assert fit(first.path / "blueprint.yaml", runs=here / "again").metrics == first.metrics


# -- the directory ----------------------------------------------------------------------------------------------------


def test_a_finished_run_has_its_files(here: Path) -> None:
    run = fit("a.yaml")
    names = {str(file.relative_to(run.path)) for file in run.path.rglob("*") if file.is_file()}
    [best] = [name for name in names if name.startswith("checkpoints/epoch=")]
    assert names == {"blueprint.yaml", "run.json", "metrics.csv", "log.txt", "checkpoints/last.ckpt", best}
    assert run.path.parent == here / "runs" / "a"


def test_the_record_of_a_finished_run_says_how_it_went(here: Path) -> None:
    run = fit("a.yaml", ["seed=7"])
    fields = record(run)
    assert (fields["status"], fields["name"], fields["seed"], fields["error"]) == ("finished", "a", 7, None)
    assert fields["metrics"] == pytest.approx(dict(run.metrics))
    assert fields["best_metrics"]["validation/loss"] == fields["metrics"]["validation/loss"]
    assert (run.path / fields["best_checkpoint"]).is_file()
    assert fields["data"] is not None
    assert fields["device"] == "cpu"
    assert {"data/digits", "model/mlp", "loss/cross_entropy"} <= set(fields["components"])
    assert {"python", "torch", "lightning", "hydrantic"} <= set(fields["versions"])
    assert fields["started"] <= fields["ended"]


def test_metrics_csv_has_a_column_for_every_logged_name(here: Path) -> None:
    rows = read_metrics(fit("a.yaml", ["trainer.max_epochs=2"]).path / "metrics.csv")
    names = [f"{stage}/{name}" for stage in ("validation", "training", "test") for name in ("loss", "accuracy")]
    assert set().union(*rows) == {"step", "epoch", *names}
    assert [row["epoch"] for row in rows if "training/loss" in row] == [0, 1]
    assert len([row for row in rows if "test/loss" in row]) == 1


def test_the_log_holds_what_the_run_printed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = fit("a.yaml")
    printed = capsys.readouterr().out
    assert "test/accuracy" in printed
    assert printed.strip() in (run.path / "log.txt").read_text("utf-8")


def test_two_runs_in_the_same_second_have_directories_of_their_own(here: Path) -> None:
    assert len({fit("a.yaml").path for _ in range(3)}) == 3


def test_runs_go_where_the_environment_says(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRANTIC_RUNS", str(here / "elsewhere"))
    assert fit("a.yaml").path.parent == here / "elsewhere" / "a"
    assert fit("a.yaml", runs=here / "explicit").path.parent == here / "explicit" / "a"


def test_spaces_and_umlauts_in_paths_do_no_harm(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = here / "Größe 1" / "blueprints"
    write(folder / "Häuser & Co.yaml", DIGITS)
    monkeypatch.chdir(folder.parent)
    run = fit("blueprints/Häuser & Co.yaml", ["description='ä ö'"])
    assert run.path.parent == folder.parent / "runs" / "Häuser & Co"
    assert fit(run.path / "blueprint.yaml").metrics == run.metrics


def test_another_working_directory_gives_the_same_run(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fit("a.yaml")
    (here / "deep" / "below").mkdir(parents=True)
    monkeypatch.chdir(here / "deep" / "below")
    second = fit("../../a.yaml")
    assert second.metrics == first.metrics
    assert second.path.parent == here / "runs" / "a"


def test_a_relative_folder_of_runs_lies_in_the_working_directory(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "below").mkdir()
    monkeypatch.chdir(here / "below")
    assert fit("../a.yaml", runs="mine").path.parent == here / "below" / "mine" / "a"


def test_a_folder_of_runs_that_is_a_file_is_refused(here: Path) -> None:
    write(here / "taken", "")
    with pytest.raises(UsageError, match="cannot write runs to"):
        fit("a.yaml", runs=here / "taken")


@pytest.mark.skipif(shutil.which("setpriv") is None and os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder_of_runs_is_refused_and_nothing_is_left(here: Path) -> None:
    (here / "locked").mkdir(mode=0o500)
    command = [sys.executable, "-m", "hydrantic", "fit", "a.yaml", "--runs", "locked"]
    as_anybody = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    done = subprocess.run([*as_anybody, *command], env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "cannot write runs to locked: Permission denied" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((here / "locked").iterdir()) == []


def test_a_logger_that_refuses_leaves_nothing_behind(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(here / "none"))
    with pytest.raises(BlueprintError, match="no W&B API key"):
        trained(DIGITS.replace("loggers: {}", "loggers: {wandb: {mode: online}}"))
    assert list((here / "runs").iterdir()) == []


def test_a_run_may_be_given_a_directory_of_its_own(here: Path) -> None:
    run = fit("a.yaml", directory="mine/first")
    assert run.path == here / "mine" / "first"
    assert record(run)["status"] == "finished"
    assert not (here / "runs").exists()


def test_the_folder_of_all_runs_may_be_reached_over_a_link(here: Path) -> None:
    (here / "elsewhere").mkdir()
    (here / "link").symlink_to(here / "elsewhere")
    run = fit("a.yaml", runs=here / "link" / ".." / "link")
    assert run.checkpoint is not None
    assert run.checkpoint.is_file()


def test_a_directory_that_holds_a_run_is_refused(here: Path) -> None:
    fit("a.yaml", directory="mine")
    with pytest.raises(UsageError, match="mine holds a run already"):
        fit("a.yaml", directory="mine")


def test_what_lay_in_a_directory_stays_where_the_run_cannot_begin(here: Path) -> None:
    write(here / "mine" / "notes.txt", "mine")
    text = DIGITS.replace("loggers: {}", "callbacks: {learning_rate_monitor: {logging_interval: hour}}\nloggers: {}")
    with pytest.raises(BlueprintError):
        fit(write(here / "b.yaml", text), directory="mine")
    with pytest.raises(BlueprintError):
        fit(write(here / "b.yaml", text), directory="new")
    assert [file.name for file in (here / "mine").iterdir()] == ["notes.txt"]
    assert not (here / "new").exists()


def test_the_record_says_how_many_threads_and_processes_computed(here: Path) -> None:
    fields = record(fit("a.yaml"))
    assert (fields["threads"], fields["processes"]) == (torch.get_num_threads(), 1)


# -- checkpoints and the test -----------------------------------------------------------------------------------------


def test_checkpoints_hold_plain_types_only(here: Path) -> None:
    for file in (fit("a.yaml").path / "checkpoints").iterdir():
        assert "state_dict" in torch.load(file, weights_only=True)


def test_the_model_comes_back_with_the_weights_of_the_best_checkpoint(here: Path) -> None:
    run = fit("a.yaml", ["trainer.max_epochs=2", "optimizer.lr=0.05"])
    assert run.checkpoint is not None
    kept = torch.load(run.checkpoint, weights_only=True)["state_dict"]
    assert all(torch.equal(kept[name], value) for name, value in run.model.state_dict().items())


def test_the_best_checkpoint_is_tested_and_not_the_last(here: Path) -> None:
    # A learning rate that ruins what the first epoch has learnt.
    text = DIGITS.replace("{max_epochs: 1}", "{max_epochs: 3}") + "optimizer: {name: adam, lr: 0.01}\n"
    text += "scheduler: {name: multistep, milestones: [1], gamma: 1000}\n"
    run = trained(text)
    rows = read_metrics(run.path / "metrics.csv")
    validated = [row["validation/accuracy"] for row in rows if "validation/accuracy" in row]
    assert record(run)["best_metrics"]["epoch"] == 0
    assert validated[-1] < 0.5 < validated[0]
    assert run.metrics["test/accuracy"] > 0.5


def test_the_test_runs_once(here: Path) -> None:
    run = trained(DIGITS + "callbacks: {diary: }\n")
    assert (run.path / "diary.txt").read_text() == "epochs: 1, tested"


def test_no_test_leaves_the_test_split_alone(here: Path) -> None:
    run = fit("a.yaml", test=False)
    assert not any(name.startswith("test/") for name in run.metrics)
    assert "test/loss" not in (run.path / "metrics.csv").read_text("utf-8")


def test_without_checkpoints_the_last_weights_are_tested(here: Path) -> None:
    run = trained(DIGITS + "checkpoint:\n")
    assert "test/accuracy" in run.metrics
    assert run.checkpoint is None
    assert list(run.path.rglob("*.ckpt")) == []


def test_save_top_k_keeps_as_many(here: Path) -> None:
    run = trained(DIGITS.replace("max_epochs: 1", "max_epochs: 4") + "checkpoint: {save_top_k: 3, save_last: false}\n")
    assert len(list(run.path.rglob("*.ckpt"))) == 3


def test_a_checkpoints_name_shows_the_monitored_value(here: Path) -> None:
    run = fit("a.yaml")
    shown = f"validation_loss={run.metrics['validation/loss']:.4g}"
    assert run.checkpoint is not None
    assert shown in run.checkpoint.name


def test_data_without_validation_and_test_parts_trains(here: Path) -> None:
    text = DIGITS.replace("data: digits", "data: {name: digits, split: [1, 0, 0]}")
    run = trained(text + "checkpoint: {monitor: training/loss}\n")
    assert set(run.metrics) == {"training/loss", "training/accuracy"}


# -- kinds of models and of data --------------------------------------------------------------------------------------


def test_a_model_of_the_project_computes_its_own_metrics(here: Path) -> None:
    run = trained("""\
        data: digits
        model: {name: mine, width: 8}
        optimizer: {name: adam, lr: 0.01}
        loggers: {}
        trainer: {max_epochs: 2}
    """)
    assert {"training/hits", "validation/hits", "test/hits", "test/loss"} <= set(run.metrics)
    assert run.metrics["test/hits"] > 0.7


def test_a_model_of_the_project_may_have_the_blueprints_metrics_too(here: Path) -> None:
    run = trained("data: digits\nmodel: mine\nmetrics: {accuracy: }\nloggers: {}\ntrainer: {max_epochs: 1}\n")
    assert run.metrics["test/accuracy"] == pytest.approx(run.metrics["test/hits"], abs=1e-6)


def test_a_lightning_module_of_its_own_making_trains(here: Path) -> None:
    run = trained("data: digits\nmodel: own\nloggers: {}\ntrainer: {max_epochs: 1}\n")
    assert set(run.metrics) == {"training/loss", "validation/loss", "test/loss"}
    assert run.checkpoint is not None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_does_not_tear_the_record_of_a_run_that_has_ended(
    here: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    finish = RunRecord.finish

    def disturbed(record: RunRecord, *words: Any, **fields: Any) -> None:
        os.kill(os.getpid(), number)
        finish(record, *words, **fields)

    monkeypatch.setattr(RunRecord, "finish", disturbed)
    assert json.loads((trained(DIGITS).path / "run.json").read_text())["status"] == "finished"


def test_a_logger_that_breaks_at_the_end_fails_the_run(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> None:
        raise ValueError("the server has gone")

    monkeypatch.setattr(MetricsCsv, "finalize", breaks)
    with pytest.raises(RunFailed, match="the run failed: ValueError: the server has gone"):
        trained(DIGITS)
    [record] = (here / "runs").glob("*/*/run.json")
    assert json.loads(record.read_text())["status"] == "failed"


def test_a_module_without_a_test_is_not_tested(here: Path) -> None:
    run = trained("data: digits\nmodel: untested\nloggers: {}\ntrainer: {max_epochs: 1}\n")
    assert set(run.metrics) == {"training/loss", "validation/loss"}


def test_losses_and_metrics_read_the_parts_that_they_name(here: Path) -> None:
    run = trained("""\
        data: pairs
        model: two_headed
        loss: {name: cross_entropy, input: logits, target: label}
        metrics:
          accuracy: {input: logits, target: label, task: multiclass, num_classes: 3}
          parity: {name: mean_output, input: parity, target: even}
        loggers: {}
        trainer: {max_epochs: 1}
    """)
    assert {"test/loss", "test/accuracy", "test/parity"} <= set(run.metrics)


def test_a_part_that_the_output_lacks_is_named_with_those_there_are(here: Path) -> None:
    with pytest.raises(RunFailed, match="input: there is no 'logit'; there is logits, parity"):
        trained("""\
            data: pairs
            model: two_headed
            loss: {name: cross_entropy, input: logit, target: label}
            loggers: {}
        """)


# -- schedule and stopping --------------------------------------------------------------------------------------------


def test_a_plateau_scheduler_watches_what_it_monitors(here: Path) -> None:
    text = DIGITS.replace("max_epochs: 1", "max_epochs: 3") + "callbacks: {lr: learning_rate_monitor}\n"
    text += "scheduler: {name: plateau, monitor: validation/accuracy, mode: min, patience: 0, factor: 0.1}\n"
    run = trained(text)
    optimizer = run.model.optimizers()
    assert optimizer.param_groups[0]["lr"] < 1e-3  # type: ignore[union-attr]  # one optimizer


def test_a_scheduler_may_step_after_each_batch(here: Path) -> None:
    run = trained(DIGITS + "scheduler: {name: exponential, gamma: 0.5, interval: step, frequency: 10}\n")
    assert run.model.optimizers().param_groups[0]["lr"] == pytest.approx(1e-3 * 0.5**2)  # type: ignore[union-attr]


def test_early_stopping_ends_training(here: Path) -> None:
    text = DIGITS.replace("max_epochs: 1", "max_epochs: 50")
    run = trained(text + "early_stopping: {monitor: training/loss, min_delta: 100, patience: 1}\n")
    assert len([row for row in read_metrics(run.path / "metrics.csv") if "training/loss" in row]) == 2


# -- failing ----------------------------------------------------------------------------------------------------------


def test_an_error_in_training_fails_the_run_in_few_words(here: Path) -> None:
    with pytest.raises(RunFailed) as caught:
        trained(DIGITS.replace("mlp", "exploding"))
    path = only_run(here)
    source = (here / "registry" / "parts.py").read_text().splitlines()
    line = 1 + next(index for index, text in enumerate(source) if "it exploded" in text)
    assert str(caught.value).splitlines() == [
        "the run failed: RuntimeError: it exploded",
        f"  at registry/parts.py:{line}",
        f"run: {path.relative_to(here)} (log.txt has the traceback)",
    ]
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_failed_run_says_so_in_its_record_and_keeps_the_traceback(here: Path) -> None:
    with pytest.raises(RunFailed):
        trained(DIGITS.replace("mlp", "exploding"))
    fields = record(only_run(here))
    assert fields["status"] == "failed"
    assert fields["error"] == {"type": "RuntimeError", "message": "it exploded"}
    assert "Traceback" in (only_run(here) / "log.txt").read_text("utf-8")


def test_a_failed_run_keeps_what_it_had(here: Path) -> None:
    with pytest.raises(RunFailed):
        trained(DIGITS.replace("mlp", "{name: exploding, after: 30}").replace("max_epochs: 1", "max_epochs: 2"))
    path = only_run(here)
    assert record(path)["best_checkpoint"] is not None
    assert [row["epoch"] for row in read_metrics(path / "metrics.csv")] == [0]


def test_the_command_line_exits_with_1_where_training_fails(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here / "b.yaml", DIGITS.replace("mlp", "exploding"))
    assert main(["fit", "b.yaml"]) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert main(["fit", "b.yaml", "--traceback"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_failed_run_does_not_disturb_the_next(here: Path) -> None:
    expected = fit("a.yaml").metrics
    with pytest.raises(RunFailed):
        trained(DIGITS.replace("mlp", "exploding"))
    assert fit("a.yaml").metrics == expected


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_the_run_with_its_state_saved(here: Path, number: int, code: int) -> None:
    command = [sys.executable, "-m", "hydrantic", "fit", "a.yaml", "trainer.max_epochs=100000"]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: any(here.glob("runs/a/*/checkpoints/last.ckpt")), process)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    path = only_run(here)
    assert record(path)["status"] == "interrupted"
    assert torch.load(path / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] > 0
    assert read_metrics(path / "metrics.csv")


def wait_until(reached: Any, process: subprocess.Popen[str]) -> None:
    for _ in range(1200):
        if reached():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.kill()
    pytest.fail("the run did not get so far within a minute")


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"}


# -- one process, several runs ----------------------------------------------------------------------------------------


def test_different_projects_can_be_used_one_after_the_other(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = """
        from torch import nn
        from hydrantic import register_model

        @register_model("{name}")
        class Net(nn.Sequential):
            def __init__(self) -> None:
                super().__init__(nn.Flatten(), nn.Linear(64, 10))
    """
    for name in ("first", "second"):
        project(here / name, parts=shelf.replace("{name}", name))
        write(here / name / "a.yaml", DIGITS.replace("mlp", name))
    first = fit(here / "first" / "a.yaml", project=here / "first")
    second = fit(here / "second" / "a.yaml", project=here / "second")
    assert first.path.parent.parent.parent == here / "first"
    assert second.metrics == first.metrics
    with pytest.raises(BlueprintError, match="no model is called 'first'"):
        fit(here / "first" / "a.yaml", project=here / "second")


def test_a_run_leaves_the_process_as_it_was(here: Path) -> None:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    streams, filters, folder = (sys.stdout, sys.stderr), list(warnings.filters), Path.cwd()
    environment_before = dict(os.environ)
    fit("a.yaml", ["trainer.deterministic=true", "matmul_precision=medium", "trainer.precision=64"])
    assert {number: signal.getsignal(number) for number in handlers} == handlers
    assert (sys.stdout, sys.stderr) == streams
    assert (list(warnings.filters), Path.cwd()) == (filters, folder)
    assert torch.get_default_dtype() is torch.float32
    assert torch.get_float32_matmul_precision() == "highest"
    assert not torch.are_deterministic_algorithms_enabled()
    assert {name for name in os.environ if os.environ[name] != environment_before.get(name)} <= {"PYTEST_CURRENT_TEST"}


def test_the_public_function_is_the_same(here: Path) -> None:
    run = hydrantic.fit("a.yaml", overrides=["seed=3"])
    assert run.metrics["test/accuracy"] == fit("a.yaml", ["seed=3"]).metrics["test/accuracy"]
    assert run.summary().startswith("a: done in ")
    assert f"run: {run.path.relative_to(here)}" in run.summary()


def test_a_loss_that_is_no_number_any_more_ends_the_run_as_failed(tmp_path: Path) -> None:
    blueprint = tmp_path / "wild.yaml"
    blueprint.write_text(
        "data: digits\nmodel: mlp\nloss: cross_entropy\noptimizer: {name: sgd, lr: 1e30}\n"
        "trainer: {max_epochs: 3}\nloggers: null\n",
        "utf-8",
    )
    with pytest.raises(RunFailed, match=r"the training loss is (nan|inf) after epoch 1; a smaller optimizer.lr"):
        hydrantic.fit(blueprint, runs=tmp_path / "runs")
    record = json.loads(next(tmp_path.glob("runs/wild/*/run.json")).read_text("utf-8"))
    assert (record["status"], record["error"]["type"]) == ("failed", "Diverged")


def test_a_secret_in_what_a_component_prints_or_raises_reaches_no_file_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")
    of = project(
        tmp_path / "home",
        teller="""
        from torch import nn
        from hydrantic import register_model

        @register_model("teller")
        class Teller(nn.Module):
            def __init__(self, token: str):
                super().__init__()
                self.token = token
                self.layer = nn.Linear(64, 10)

            def forward(self, inputs):
                print("my token is", self.token)
                raise PermissionError(f"{self.token} was not accepted")
        """,
    )
    write(tmp_path / "home" / "pyproject.toml", '[tool.hydrantic]\nenv = ["TOKEN"]\n')
    text = "data: digits\nmodel: {name: teller, token: '${oc.env:TOKEN}'}\nloss: cross_entropy\n"
    blueprint = write(tmp_path / "home" / "blueprints" / "told.yaml", text)
    with pytest.raises(RunFailed, match=r"\*\*\* was not accepted"):
        fit(blueprint, ["loggers.wandb.mode=offline"], project=of.root, runs=tmp_path / "runs")
    files = [each for each in tmp_path.glob("runs/**/*") if each.is_file()]
    assert {"log.txt", "run.json", "blueprint.yaml"} <= {each.name for each in files}
    assert [each.name for each in files if b"hunter2" in each.read_bytes()] == []

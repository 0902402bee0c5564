"""Tests of the loggers on the stock shelf."""

from __future__ import annotations

import json
import os
import pty
import select
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydrantic.registry import loggers, wandb_start
from hydrantic.registry.loggers import MLFlowHparams, WandbHparams
from pydantic import ValidationError

from hydrantic import InvalidField, UsageError
from hydrantic.metrics_csv import MetricsCsv, read_metrics
from tests.tiny import LIGHTNING_WARNINGS, Tiny, batches, quiet_trainer

pytestmark = [pytest.mark.filterwarnings(each) for each in LIGHTNING_WARNINGS]

ROOT = Path(__file__).parent.parent.parent
RECORD = {"name": "digits", "model": {"name": "mlp", "hidden_dims": [128, 128]}, "optimizer": {"lr": 1e-3}}
PLAUSIBLE_KEY = "0123456789" * 4

RUN = """
import sys
from pathlib import Path
from hydrantic.registry import loggers
logger = loggers.wandb(loggers.WandbHparams(), Path(sys.argv[1]), "digits", "a-run")
logger.log_hyperparams({"lr": 0.1})
logger.log_metrics({"loss": 1.0}, step=0)
logger.finalize("finished")
"""


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person without a W&B account, whatever machine the tests run on."""
    for name in [name for name in os.environ if name.startswith(("WANDB_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    for name in ("NETRC", "https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """The directory of a run."""
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


@pytest.fixture
def silent_server() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def wandb_logger(run_dir: Path, **fields: Any) -> Any:
    return loggers.wandb(WandbHparams(**fields), run_dir, "digits", "2026-01-01_00-00-00-abcd")


def inspected(run_dir: Path) -> dict[str, Any]:
    """A W&B run as W&B's own tool reads it."""
    (file,) = run_dir.glob("wandb/*/*.wandb")
    command = [str(Path(sysconfig.get_path("scripts")) / "wandb"), "leet", "inspect", "--summary", "--json", str(file)]
    read: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return read


def everything_written(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_wandb_run_is_recorded_offline_and_read_back(run_dir: Path) -> None:
    logger = wandb_logger(run_dir, project="numbers", tags=["a", "b"], notes="why")
    logger.log_hyperparams(RECORD)
    trainer = quiet_trainer(max_epochs=2, logger=logger)
    model = Tiny()
    trainer.fit(model, batches(), batches())
    trainer.test(model, batches(), verbose=False)
    logger.finalize("finished")
    run = inspected(run_dir)
    assert run["config"] == RECORD
    assert (run["project"], run["tags"], run["notes"]) == ("numbers", ["a", "b"], "why")
    assert run["run_id"] == "2026-01-01_00-00-00-abcd"
    assert {"validation/loss", "training/loss", "test/loss", "epoch"} <= run["summary"].keys()
    assert (run["state"], run["exit_code"], run["console"]) == ("finished", 0, [])


@pytest.mark.parametrize(("fields", "group"), [({}, "sweep-1"), ({"group": "mine"}, "mine")])
def test_a_job_is_a_run_in_the_group_of_its_sweep(run_dir: Path, fields: dict[str, Any], group: str) -> None:
    start = loggers.prepare(WandbHparams(**fields), run_dir, "digits", "sweep-1-0", "sweep-1")
    assert start is not None
    start.take().run.result().finish()
    assert (start.arguments["group"], start.arguments["id"]) == (group, "sweep-1-0")


def test_a_failed_run_has_failed_in_wandb_too(run_dir: Path) -> None:
    logger = wandb_logger(run_dir)
    logger.finalize("failed")
    logger.finalize("finished")
    assert inspected(run_dir)["exit_code"] == 1


def test_the_project_is_the_blueprint_unless_the_environment_or_the_blueprint_says_otherwise(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = wandb_logger(run_dir)
    logger.finalize("finished")
    assert inspected(run_dir)["project"] == "digits"
    monkeypatch.setenv("WANDB_PROJECT", "from-environment")
    assert loggers.prepare(WandbHparams(project="mine"), run_dir / "a", "digits", "x").arguments["project"] == "mine"  # type: ignore[union-attr]
    start = loggers.prepare(WandbHparams(), run_dir / "b", "digits", "x")
    assert start is not None
    assert start.arguments["project"] == "from-environment"


def test_without_a_key_one_line_says_so_and_how_to_log_in(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logger = wandb_logger(run_dir)
    logger.log_metrics({"loss": 1.0}, step=0)
    logger.finalize("finished")
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("W&B: no API key")
    assert "wandb login" in line
    assert str(run_dir) in line


def test_a_person_who_asks_for_offline_is_told_nothing(run_dir: Path, capfd: pytest.CaptureFixture[str]) -> None:
    wandb_logger(run_dir, mode="offline").finalize("finished")
    assert capfd.readouterr() == ("", "")


def test_a_terminal_without_a_key_is_never_asked_anything(run_dir: Path) -> None:
    leader, follower = pty.openpty()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(run_dir)], env=environment, stdin=follower, stdout=follower, stderr=follower
    )
    os.close(follower)
    shown, ends = "", time.monotonic() + 60
    while time.monotonic() < ends:
        if select.select([leader], [], [], 0.1)[0]:
            try:
                shown += os.read(leader, 4096).decode()
            except OSError:  # Linux reports the end of a terminal so
                break
    os.close(leader)
    assert process.wait(timeout=10) == 0
    assert shown.strip().count("\n") == 0
    assert inspected(run_dir)["config"] == {"lr": 0.1}


def test_with_a_key_and_no_way_to_the_server_it_records_offline_and_says_so(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", PLAUSIBLE_KEY)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    started = time.monotonic()
    logger = wandb_logger(run_dir)
    logger.log_hyperparams(RECORD)
    assert time.monotonic() - started < 1
    logger.finalize("finished")
    assert time.monotonic() - started < 10
    assert inspected(run_dir)["config"] == RECORD
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("W&B: 127.0.0.1 cannot be reached; recording offline")


def test_a_server_that_never_answers_does_not_hold_up_training(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch, silent_server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", PLAUSIBLE_KEY)
    monkeypatch.setenv("WANDB_BASE_URL", silent_server)
    monkeypatch.setattr(wandb_start, "_SETTINGS", dict(wandb_start._SETTINGS) | {"init_timeout": 2.0})
    started = time.monotonic()
    logger = wandb_logger(run_dir)
    logger.log_hyperparams(RECORD)
    quiet_trainer(max_epochs=1, logger=logger).fit(Tiny(), batches(), batches())
    assert time.monotonic() - started < 1.5
    logger.finalize("finished")
    assert inspected(run_dir)["summary"]["epoch"] == 0
    assert [line.count("recording offline") for line in capsys.readouterr().err.splitlines() if "W&B" in line] == [1]


def test_online_without_a_key_is_the_field_that_is_wrong(run_dir: Path) -> None:
    with pytest.raises(InvalidField, match=r"mode: no W&B API key.*wandb login"):
        wandb_logger(run_dir, mode="online")


@pytest.mark.parametrize("place", ["environment", "netrc", "settings"])
def test_a_key_is_found_where_wandb_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    assert not wandb_start.has_key()
    home = tmp_path / "home"
    if place == "environment":
        monkeypatch.setenv("WANDB_API_KEY", PLAUSIBLE_KEY)
    elif place == "netrc":
        (home / ".netrc").write_text(f"machine api.wandb.ai\n  login user\n  password {PLAUSIBLE_KEY}\n")
        (home / ".netrc").chmod(0o600)
    else:
        (home / ".config" / "wandb").mkdir(parents=True)
        (home / ".config" / "wandb" / "settings").write_text(f"[default]\napi_key = {PLAUSIBLE_KEY}\n")
    assert wandb_start.has_key()


def test_a_key_for_another_server_is_none_for_the_configured_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home" / ".netrc").write_text(f"machine api.wandb.ai\n  login user\n  password {PLAUSIBLE_KEY}\n")
    (tmp_path / "home" / ".netrc").chmod(0o600)
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert not wandb_start.has_key()


@pytest.mark.parametrize(("variable", "value"), [("WANDB_MODE", "disabled"), ("WANDB_DISABLED", "true")])
def test_the_environment_can_switch_wandb_off(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    logger = wandb_logger(run_dir)
    quiet_trainer(max_epochs=1, logger=logger).fit(Tiny(), batches(), batches())
    logger.finalize("finished")
    assert list(run_dir.iterdir()) == []


def test_what_was_prepared_is_what_the_logger_uses(run_dir: Path) -> None:
    arguments = (WandbHparams(), run_dir, "digits", "2026-01-01_00-00-00-abcd")
    start = loggers.wandb.prepare(*arguments)  # type: ignore[attr-defined]
    logger: Any = loggers.wandb(*arguments)
    assert logger.experiment.id == start.run.result().id
    logger.finalize("finished")
    assert inspected(run_dir)["exit_code"] == 0


def test_two_runs_of_one_process_are_two_runs_in_wandb(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"run{number}").mkdir()
        logger = wandb_logger(tmp_path / f"run{number}")
        logger.log_hyperparams({"number": number})
        logger.finalize("finished")
    assert [inspected(tmp_path / f"run{number}")["config"] for number in (1, 2)] == [{"number": 1}, {"number": 2}]


def test_neither_the_command_line_nor_a_models_own_hyperparameters_reach_wandb(run_dir: Path) -> None:
    code = RUN.replace("logger.log_metrics", 'logger.log_hyperparams({"token": "s3cret-two"})\nlogger.log_metrics')
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MY_TOKEN": "s3cret-three"}
    command = [sys.executable, "-W", "ignore", "-c", code, str(run_dir), "vars.token=s3cret-one"]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert inspected(run_dir)["config"] == {"lr": 0.1}
    assert b"s3cret" not in everything_written(run_dir)


def test_naming_a_logger_imports_neither_wandb_nor_lightning() -> None:
    code = (
        "import sys, hydrantic.registry.loggers; sys.exit(bool({'torch', 'lightning', 'wandb'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_csv_logger_writes_the_runs_metrics(run_dir: Path) -> None:
    logger = loggers.csv(run_dir)
    assert isinstance(logger, MetricsCsv)
    logger.log_metrics({"loss": 0.5}, step=0)
    logger.finalize("success")
    assert read_metrics(run_dir / "metrics.csv") == [{"step": 0, "loss": 0.5}]


def test_tensorboard_writes_below_the_run(run_dir: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = loggers.tensorboard(run_dir)
    logger.log_hyperparams(RECORD)
    quiet_trainer(max_epochs=2, logger=logger).fit(Tiny(), batches(), batches())
    logger.finalize("finished")
    events = EventAccumulator(str(run_dir / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("validation/loss")] == [3, 7]


def test_mlflow_writes_below_the_run_and_is_read_back(run_dir: Path) -> None:
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    logger: Any = loggers.mlflow(MLFlowHparams(), run_dir, "digits", "a-run")
    logger.log_hyperparams(RECORD)
    quiet_trainer(max_epochs=2, logger=logger).fit(Tiny(), batches(), batches())
    logger.finalize("interrupted")
    client = MlflowClient((run_dir / "mlflow").as_uri())
    run = client.get_run(logger.run_id)
    assert client.get_experiment(run.info.experiment_id).name == "digits"
    assert (run.info.status, run.data.params["model/name"]) == ("KILLED", "mlp")
    assert [metric.step for metric in client.get_metric_history(logger.run_id, "validation/loss")] == [3, 7]


def test_mlflow_goes_on_with_the_same_run(run_dir: Path) -> None:
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    for step in range(2):
        logger: Any = loggers.mlflow(MLFlowHparams(), run_dir, "digits", "a-run")
        logger.log_metrics({"loss": 0.5}, step=step)
        logger.finalize("interrupted" if step == 0 else "finished")
    client = MlflowClient((run_dir / "mlflow").as_uri())
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    [run] = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert [each.step for each in client.get_metric_history(run.info.run_id, "loss")] == [0, 1]


@pytest.mark.parametrize("uri", ["ftp://host", "databricks", "file:///etc", "http://user:password@host"])
def test_only_the_address_of_a_server_is_taken_for_mlflow(uri: str) -> None:
    with pytest.raises(ValidationError, match="tracking_uri"):
        MLFlowHparams(tracking_uri=uri)


@pytest.mark.parametrize(
    ("name", "remedy"), [("tensorboard", r"hydrantic\[tensorboard\]"), ("mlflow", "mlflow-skinny")]
)
def test_a_logger_that_is_not_installed_says_what_to_install(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch, name: str, remedy: str
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    further = (MLFlowHparams(),) if name == "mlflow" else ()
    arguments = {"run_dir": run_dir} | ({"run_name": "digits", "run_id": "a"} if further else {})
    with pytest.raises(UsageError, match=f"pip install.*{remedy}"):
        getattr(loggers, name)(*further, **arguments)

"""Loggers: where the metrics of a run go besides its `metrics.csv`."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from hydrantic import Hparam, Hparams, InvalidField, UsageError, register_logger

from . import wandb_start

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

    from .wandb_start import Start

ServerAddress = Annotated[str, Hparam(pattern=r"^https?://[^@\s]+$")]
"""The http(s) address of a server that you run; without credentials, which belong into the environment."""


class WandbHparams(Hparams):
    """Where a run appears in Weights & Biases."""

    project: str | None = None
    """Project of the run; by default WANDB_PROJECT or the blueprint's name."""
    entity: str | None = None
    """User or team that owns the project; by default yours."""
    group: str | None = None
    """Group of runs that belong together; by default the sweep that the run is a job of."""
    tags: tuple[str, ...] = ()
    """Tags of the run."""
    notes: str | None = None
    """A longer description of the run."""
    job_type: str | None = None
    """What kind of run it is, such as `train`."""
    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    """`auto` follows WANDB_MODE, else is online where an API key is configured and offline where not."""


@register_logger("wandb")
def wandb(hparams: WandbHparams, run_dir: Path, run_name: str, run_id: str, run_group: str | None = None) -> Logger:
    """Weights & Biases: online with an API key, offline without; it never prompts and never waits for a network.

    Arguments:
        hparams: where the run appears.
        run_dir: the run's directory; everything is written to `wandb` below it.
        run_name: the name of the blueprint.
        run_id: the run's own name, which is also its id.
        run_group: the sweep that the run is a job of, if it is one.

    Raises:
        InvalidField: `mode` is `online` and no API key is configured.
    """
    if hparams.mode == "online" and not wandb_start.has_key():
        raise InvalidField("mode", "no W&B API key is configured: run `wandb login`, or use `auto` or `offline`")
    start = prepare(hparams, run_dir, run_name, run_id, run_group)
    if start is None:
        from lightning.pytorch.loggers.logger import DummyLogger

        return DummyLogger()
    from .wandb_logger import RunLogger

    return RunLogger(start.take())


def prepare(
    hparams: WandbHparams, run_dir: Path, run_name: str, run_id: str, run_group: str | None = None
) -> Start | None:
    """Begin to import and start W&B in the background, so that it overlaps with importing torch.

    Called with the logger's arguments, as early as possible; the logger then takes over what was begun.
    """
    mode = hparams.mode if hparams.mode != "auto" else _mode_of_environment()
    if mode == "disabled" or not _is_first_process():
        return None
    project = hparams.project or os.environ.get("WANDB_PROJECT") or run_name
    arguments = {
        "project": re.sub(r"[/\\#?%:]", "-", project)[:128],
        "entity": hparams.entity,
        "group": hparams.group or run_group,
        "tags": hparams.tags or None,
        "notes": hparams.notes,
        "job_type": hparams.job_type,
        "name": f"{run_name} {run_id}",
        "id": re.sub(r"[^\w-]", "-", run_id),
    }
    return wandb_start.begin(run_dir, arguments, wants_online=mode != "offline")


wandb.prepare = prepare  # type: ignore[attr-defined]  # how the framework finds what it may call early


def _mode_of_environment() -> str:
    if os.environ.get("WANDB_DISABLED", "").lower() in {"1", "true", "yes"}:
        return "disabled"
    mode = os.environ.get("WANDB_MODE", "").lower()
    return {"dryrun": "offline", "run": "online"}.get(mode, mode) or "auto"


def _is_first_process() -> bool:
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))


@register_logger("csv")
def csv(run_dir: Path) -> Logger:
    """The run's `metrics.csv`, which every run keeps whether its blueprint says so or not.

    Arguments:
        run_dir: the run's directory.
    """
    from hydrantic.metrics_csv import MetricsCsv

    return MetricsCsv(run_dir)


@register_logger("tensorboard")
def tensorboard(run_dir: Path, log_graph: bool = False) -> Logger:
    """TensorBoard's event files, in `tensorboard` below the run's directory.

    Arguments:
        run_dir: the run's directory.
        log_graph: also draw the model's graph, if the model has an `example_input_array`.

    Raises:
        UsageError: TensorBoard is not installed.
    """
    _require("tensorboard", "pip install 'hydrantic[tensorboard]'")
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(run_dir / "tensorboard", name="", version="", log_graph=log_graph, default_hp_metric=False)


class MLFlowHparams(Hparams):
    """Where a run appears in MLflow."""

    experiment: str | None = None
    """Experiment of the run; by default the blueprint's name."""
    tracking_uri: ServerAddress | None = None
    """Address of an MLflow server; by default MLFLOW_TRACKING_URI or files in `mlflow` below the run's directory."""
    tags: dict[str, str] = Hparam(default_factory=dict)
    """Tags of the run."""


@register_logger("mlflow")
def mlflow(hparams: MLFlowHparams, run_dir: Path, run_name: str, run_id: str) -> Logger:
    """MLflow, on a server or in files of the run.

    Arguments:
        hparams: where the run appears.
        run_dir: the run's directory.
        run_name: the name of the blueprint.
        run_id: the run's own name.

    Raises:
        UsageError: MLflow is not installed.
    """
    _require("mlflow", "pip install mlflow-skinny")
    # MLflow 3 asks for this before it writes files; its databases would need packages that mlflow-skinny leaves out.
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    from .mlflow_logger import RunLogger

    files = (run_dir / "mlflow").absolute().as_uri()
    return RunLogger(
        run_dir / "mlflow-run",
        experiment_name=hparams.experiment or run_name,
        run_name=run_id,
        tracking_uri=hparams.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or files,
        tags=dict(hparams.tags),
    )


def _require(module: str, remedy: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise UsageError(f"the logger '{module}' needs {module}, which is not installed: {remedy}")

"""Checkpoints: no crash leaves a torn file, and reading one unpickles only tensors and plain types."""

from __future__ import annotations

import math
import pickle
import re
import shutil
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins import TorchCheckpointIO
from torch import Tensor

from hydrantic.errors import HydranticError
from hydrantic.filenames import file_safe, filled
from hydrantic.rundir import replacing

if TYPE_CHECKING:
    from hydrantic.model.hparams import CheckpointHparams

_SHARE_OF_SAVING: Final = 0.05


class CheckpointError(HydranticError):
    """A checkpoint cannot be written, or is none that can be read."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its final name first, and reads local files with `weights_only=True` only."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Save a checkpoint; the file is complete or the one before.

        Raises:
            CheckpointError: the disk is full, the folder is not writable or `path` is an address.
        """
        target = _local(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target) as file:
                torch.save(checkpoint, file)
        except (OSError, RuntimeError) as error:
            raise CheckpointError(
                f"the checkpoint {target} cannot be written: {_why_unwritten(error, target)}"
            ) from error

    def load_checkpoint(
        self, path: str | Path, map_location: Any = lambda storage, _: storage, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint; see `read_checkpoint`. `weights_only=False` is not obeyed."""
        return read_checkpoint(path, map_location)


def read_checkpoint(path: str | Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint; nothing in it is executed.

    Arguments:
        path: a local file.
        map_location: where its tensors go, as for `torch.load`.

    Raises:
        CheckpointError: it is missing, an address, damaged, no checkpoint, or holds more than tensors and plain types.
    """
    source = _local(path)
    _refuse_damaged(source)
    try:
        loaded = torch.load(source, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{source} is not loaded: {_unwelcome(error)}") from error
    except (RuntimeError, KeyError, EOFError, OSError, ValueError) as error:
        raise CheckpointError(f"{source} is not a checkpoint that can be read: {_reason(error)}") from error
    if not isinstance(loaded, dict) or "state_dict" not in loaded:
        raise CheckpointError(f"{source} is not a checkpoint of a run: it has no 'state_dict'")
    return loaded


def _local(path: str | Path) -> Path:
    if "://" in str(path) or str(path).startswith(("http:", "https:", "s3:", "gs:")):
        raise CheckpointError(f"{path} is an address; a checkpoint has to be a local file, so download it first")
    return Path(path)


def _refuse_damaged(path: Path) -> None:
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}")
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path} is not a checkpoint, or was cut off while it was copied")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch itself does not notice a flipped bit
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        raise CheckpointError(f"{path} is damaged: {_reason(error)}") from error
    if damaged is not None:
        raise CheckpointError(f"{path} is damaged: {damaged} in it has changed since it was written")


_LITTLE: Final = 1 << 20


def _why_unwritten(error: Exception, target: Path) -> str:
    # torch's own writer does not say why it stopped.
    if isinstance(error, RuntimeError) and shutil.disk_usage(target.parent).free < _LITTLE:
        return "the disk is full"
    return _reason(error)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]


def _unwelcome(error: Exception) -> str:
    if found := re.search(r"(?:Unsupported global: GLOBAL|GLOBAL) ([\w.]+)", str(error)):
        return f"it holds a {found[1]}, and only tensors and plain types are unpickled"
    return "it holds more than tensors and plain types"


def checkpoint_callback(hparams: CheckpointHparams, directory: Path) -> RunCheckpoint:
    """The callback that keeps a run's best checkpoints and `last.ckpt`.

    Arguments:
        hparams: the blueprint's `checkpoint` block.
        directory: the folder of the checkpoints.
    """
    return RunCheckpoint(
        dirpath=directory, filename=hparams.filename or default_filename(hparams.monitor), monitor=hparams.monitor,
        mode=hparams.mode, save_top_k=hparams.save_top_k, save_last=hparams.save_last,
        every_n_epochs=hparams.every_n_epochs, save_weights_only=hparams.save_weights_only,
    )  # fmt: skip


def default_filename(monitor: str | None) -> str:
    """The template of a checkpoint's name: the epoch and the monitored value."""
    return "{epoch:02d}-{step}" if monitor is None else f"{{epoch:02d}}-{{{monitor}:.4g}}"


def fill_filename(template: str, metrics: Mapping[str, Any]) -> str:
    """The name that a template makes: `{validation/loss:.2f}` becomes `validation_loss=0.08`.

    Arguments:
        template: text with fields in Python's format; after a `=` only the value is filled in.
        metrics: the values by their logged names, which the template may also write with `_` for `/`.

    Raises:
        CheckpointError: nothing was logged under a name of the template.
    """
    known = {file_safe(name): value for name, value in metrics.items()}

    def value(name: str, style: str) -> str:
        if file_safe(name) not in known:
            raise CheckpointError(
                f"checkpoint.filename asks for '{name}', which nothing logs; there are {', '.join(sorted(metrics))}"
            )
        return _formatted(known[file_safe(name)], style)

    return filled(template, value)


def _formatted(value: Any, style: str) -> str:
    number = value.item() if isinstance(value, Tensor) else value
    if isinstance(number, float) and style.endswith("d"):
        number = int(number) if math.isfinite(number) else number
        style = style if isinstance(number, int) else ""
    return format(number, style)


class RunCheckpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint with names that show the logged values and a `last.ckpt` that is never stale.

    `last.ckpt` is renewed at the ends of epochs as often as it can be for a twentieth of the time, and always when
    training ends. It shares its contents with the best checkpoint where both are of the same step.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(auto_insert_metric_name=False, **arguments)
        self._state_key = super().state_key
        self._began_at = 0
        self._last_step = 0
        self._last_ended = time.monotonic()
        self._last_took = 0.0

    @property
    def state_key(self) -> str:
        """Lightning's own key, which it would otherwise format anew for every hook of every step."""
        return self._state_key

    @property
    def last(self) -> Path:
        """The checkpoint of the latest state."""
        return Path(self.dirpath or ".") / f"{self.CHECKPOINT_NAME_LAST}{self.FILE_EXTENSION}"

    def format_checkpoint_name(
        self, metrics: dict[str, Tensor], filename: str | None = None, ver: int | None = None, prefix: str | None = None
    ) -> str:
        """The path of a checkpoint with these metrics; see `fill_filename`."""
        parts = (prefix, fill_filename(filename or self.filename or "{epoch}-{step}", metrics), ver and f"v{ver}")
        name = self.CHECKPOINT_JOIN_CHAR.join(str(part) for part in parts if part)
        return str(Path(self.dirpath or "") / f"{name}{self.FILE_EXTENSION}")

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        """Nothing is saved by steps or by time."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note where training begins or goes on."""
        self._began_at = trainer.global_step

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save what the epoch has earned, and the latest state."""
        if trainer.global_step > self._began_at:  # else it had ended before training went on
            super().on_train_epoch_end(trainer, pl_module)
        if self._is_due(trainer):
            self._save_last_checkpoint(trainer, {})

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the latest state, unless it is saved already."""
        if self._is_behind(trainer):
            self._save_last_checkpoint(trainer, {})

    def _is_due(self, trainer: pl.Trainer) -> bool:
        elapsed = time.monotonic() - self._last_ended
        due = self._is_behind(trainer) and elapsed * _SHARE_OF_SAVING >= self._last_took
        return trainer.strategy.reduce_boolean_decision(due, all=False)

    def _is_behind(self, trainer: pl.Trainer) -> bool:
        saves = bool(self.save_last) and not getattr(trainer, "fast_dev_run", False)
        return saves and trainer.global_step > self._last_step

    def _save_last_checkpoint(self, trainer: pl.Trainer, monitor_candidates: dict[str, Tensor]) -> None:
        if not self.save_last or trainer.global_step == self._last_step:
            return
        started = time.monotonic()
        self.last_model_path = str(self.last)
        if not self._share_latest(trainer):
            self._save_checkpoint(trainer, self.last_model_path)
        self._last_step = trainer.global_step
        self._last_ended = time.monotonic()
        self._last_took = self._last_ended - started

    def _share_latest(self, trainer: pl.Trainer) -> bool:
        """Let `last.ckpt` be a second name of the checkpoint just saved; a file is never changed in place."""
        latest = Path(self._last_checkpoint_saved)
        if self._last_global_step_saved != trainer.global_step or not latest.is_file() or latest == self.last:
            return False
        if trainer.is_global_zero:
            _link(latest, self.last)
            for logger in trainer.loggers:
                logger.after_save_checkpoint(self)
        trainer.strategy.barrier("RunCheckpoint.last")
        return True


def _link(existing: Path, name: Path) -> None:
    second = name.with_name(f".{name.name}.link")
    second.unlink(missing_ok=True)
    try:
        second.hardlink_to(existing)
        second.replace(name)
    except OSError:  # a file system without hard links
        with replacing(name) as file:
            file.write(existing.read_bytes())

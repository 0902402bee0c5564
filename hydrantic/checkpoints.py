"""Checkpoints: no crash leaves a torn file, and reading one unpickles only tensors and plain types."""

from __future__ import annotations

import errno
import math
import pickle
import re
import shutil
import sys
import time
import zipfile
from collections.abc import Mapping
from contextlib import nullcontext
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins import TorchCheckpointIO
from torch import Tensor

from hydrantic.errors import HydranticError
from hydrantic.exact import Exact
from hydrantic.filenames import file_safe, filled
from hydrantic.rundir import replacing
from hydrantic.source import display

if TYPE_CHECKING:
    from hydrantic.model.hparams import CheckpointHparams

_SHARE_OF_SAVING: Final = 0.05


class CheckpointError(HydranticError):
    """A checkpoint cannot be written, or is none that can be read."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its final name first, and reads local files with `weights_only=True` only.

    Arguments:
        stops: whether it is an error that a checkpoint cannot be written; else that is said, and `failed` names it.
    """

    def __init__(self, *, stops: bool = True) -> None:
        self.failed: Path | None = None
        """The latest checkpoint, if it could not be written."""
        self.has_failed = False
        """Whether any could not be."""
        self._stops = stops

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Save a checkpoint; the file is complete or the one before.

        Raises:
            CheckpointError: the disk is full, the folder is not writable or `path` is an address.
        """
        target = _local(path)
        self.failed = None
        try:
            _write(checkpoint, target)
        except CheckpointError as error:
            if self._stops:
                raise
            self.failed, self.has_failed = target, True
            print(f"note: {error}; going on without it", file=sys.stderr)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = lambda storage, _: storage, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint; see `read_checkpoint`. `weights_only=False` is not obeyed."""
        return read_checkpoint(path, map_location)


def _write(checkpoint: dict[str, Any], target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as file:
            torch.save(checkpoint, file)
    except (OSError, RuntimeError) as error:
        raise CheckpointError(
            f"the checkpoint {display(target)} cannot be written: {_why_unwritten(error, target)}"
        ) from error


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


def step_of(path: Path) -> int | None:
    """The optimizer step of a checkpoint, told without reading its tensors; None where it is no sound one."""
    try:
        return int(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["global_step"])
    except (pickle.UnpicklingError, RuntimeError, KeyError, EOFError, OSError, ValueError, TypeError):
        return None


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
    is_untold = isinstance(error, RuntimeError) and shutil.disk_usage(target.parent).free < _LITTLE
    if is_untold or (isinstance(error, OSError) and error.errno == errno.ENOSPC):
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
        every_n_steps=hparams.every_n_steps, stops=hparams.on_error == "stop",
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

    Everything is saved at moments from which training can go on exactly (see `hydrantic.exact`). `last.ckpt` is renewed
    with every other checkpoint, with which it then shares its contents; at the ends of epochs as often as it can be for
    a twentieth of the time; every so many steps where that is asked for; and always when training ends. A checkpoint
    that is no longer among the best goes only after `last.ckpt` has been renewed.

    Arguments:
        every_n_steps: after how many steps `last.ckpt` is renewed within an epoch; None for never.
        stops: whether the run fails where a checkpoint cannot be written; else it says so and goes on.
        arguments: see ModelCheckpoint.
    """

    def __init__(self, *, every_n_steps: int | None = None, stops: bool = True, **arguments: Any) -> None:
        super().__init__(auto_insert_metric_name=False, **arguments)
        self._state_key = super().state_key
        self._every_n_steps = every_n_steps
        self._stops = stops
        self._earned: dict[str, Tensor] | None = None
        self._superseded: list[str] = []
        self._kept_before: set[str] = set()
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

    # When something is saved.

    on_train_batch_end = pl.Callback.on_train_batch_end
    """Nothing is saved before the batch is settled."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note what the validation has earned."""
        if not self._should_save_on_train_epoch_end(trainer):
            self._earn(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note what the epoch has earned."""
        if self._should_save_on_train_epoch_end(trainer):
            self._earn(trainer)
        if _exact(trainer) is None:  # a trainer that a person has made: its loops say nothing
            self.on_settled(trainer, pl_module, in_epoch=False)

    def on_settled(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *, in_epoch: bool) -> None:
        """Save what has been earned, and the latest state where it is time."""
        if self._earned is not None:
            earned, self._earned = self._earned, None
            self._save_topk_checkpoint(trainer, earned)
            if not self.save_last:
                self._remove_superseded(trainer)
        elif in_epoch and not self._has_made_its_steps(trainer):
            return
        if in_epoch and trainer.fit_loop._should_accumulate():  # noqa: SLF001 -- a step's gradients would be lost
            return
        is_time = self._has_just_saved(trainer) or self._has_made_its_steps(trainer)
        if is_time or (not in_epoch and self._is_due(trainer)):
            self._save_last_checkpoint(trainer, {})

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the latest state, unless it is saved already; without `save_last`, remove one that a signal has left."""
        if not self.save_last and trainer.is_global_zero:
            self.last.unlink(missing_ok=True)
        exact = _exact(trainer)
        with nullcontext() if exact is None else exact.ended():
            if self._is_behind(trainer):
                self._save_last_checkpoint(trainer, {})

    def _earn(self, trainer: pl.Trainer) -> None:
        if self._should_skip_saving_checkpoint(trainer) or (trainer.current_epoch + 1) % self._every_n_epochs:
            return
        self._earned = self._monitor_candidates(trainer)

    def _has_just_saved(self, trainer: pl.Trainer) -> bool:
        return self._last_global_step_saved == trainer.global_step and self._is_behind(trainer)

    def _has_made_its_steps(self, trainer: pl.Trainer) -> bool:
        return self._every_n_steps is not None and trainer.global_step >= self._last_step + self._every_n_steps

    def _is_due(self, trainer: pl.Trainer) -> bool:
        elapsed = time.monotonic() - self._last_ended
        due = self._is_behind(trainer) and elapsed * _SHARE_OF_SAVING >= self._last_took
        return trainer.strategy.reduce_boolean_decision(due, all=False)

    def _is_behind(self, trainer: pl.Trainer) -> bool:
        saves = bool(self.save_last) and not getattr(trainer, "fast_dev_run", False)
        return saves and trainer.global_step > self._last_step

    # How it is saved.

    def _save_topk_checkpoint(self, trainer: pl.Trainer, monitor_candidates: dict[str, Tensor]) -> None:
        before = self._ranking()
        self._kept_before = set() if self.save_top_k == -1 else self._kept()
        super()._save_topk_checkpoint(trainer, monitor_candidates)
        self._kept_before = set()
        if self._last_checkpoint_saved and not self._is_written(trainer, self._last_checkpoint_saved):
            self._take_ranking(before)

    def _save_last_checkpoint(self, trainer: pl.Trainer, monitor_candidates: dict[str, Tensor]) -> None:
        if not self._is_behind(trainer):
            return
        started = time.monotonic()
        self.last_model_path = str(self.last)
        if not self._share_latest(trainer):
            self._save_checkpoint(trainer, self.last_model_path)
        self._last_step = trainer.global_step
        self._last_ended = time.monotonic()
        self._last_took = self._last_ended - started
        if self._is_written(trainer, self.last_model_path):
            self._remove_superseded(trainer)

    def _is_written(self, trainer: pl.Trainer, path: str) -> bool:
        """Whether the checkpoint could be written, or the run stops where one cannot."""
        io = trainer.strategy.checkpoint_io
        failed = isinstance(io, AtomicCheckpointIO) and io.failed == Path(path)
        return self._stops or not trainer.strategy.broadcast(failed)

    def _should_remove_checkpoint(self, trainer: pl.Trainer, previous: str, current: str) -> bool:
        """Whether the previous one goes: also where training went on from it, which Lightning would keep for good."""
        return previous != current

    def _remove_checkpoint(self, trainer: pl.Trainer, filepath: str) -> None:
        self._superseded.append(filepath)

    def _remove_superseded(self, trainer: pl.Trainer) -> None:
        for each in self._superseded:
            if each not in self._kept():
                super()._remove_checkpoint(trainer, each)
        self._superseded.clear()

    def _share_latest(self, trainer: pl.Trainer) -> bool:
        """Let `last.ckpt` be a second name of the checkpoint just saved; a file is never changed in place."""
        latest = Path(self._last_checkpoint_saved)
        is_latest = self._last_global_step_saved == trainer.global_step and latest != self.last
        if not trainer.strategy.broadcast(is_latest and latest.is_file()):
            return False
        if trainer.is_global_zero:
            _link(latest, self.last)
            for logger in trainer.loggers:
                logger.after_save_checkpoint(self)
        trainer.strategy.barrier("RunCheckpoint.last")
        return True

    # What is kept of this in a checkpoint: names, so that the folder may be moved.

    def _kept(self) -> set[str]:
        return {*self.best_k_models, self.best_model_path, self.last_model_path}

    def _ranking(self) -> dict[str, Any]:
        return {name: copy(getattr(self, name)) for name in _RANKING}

    def _take_ranking(self, ranking: Mapping[str, Any]) -> None:
        for name, value in ranking.items():
            setattr(self, name, value)

    def state_dict(self) -> dict[str, Any]:
        """The ranking, with files by their names."""
        state = self._ranking()
        for name in _PATHS:
            state[name] = Path(state[name]).name
        state["best_k_models"] = {Path(path).name: score for path, score in self.best_k_models.items()}
        # What is to go in a moment, as a crash may come before.
        going = [*self._superseded, *sorted(self._kept_before - self._kept())]
        state["superseded"] = [Path(path).name for path in going if path]
        return {"monitor": self.monitor, "mode": self.mode, **state}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take a ranking over, unless it is one by another value."""
        if (state_dict.get("monitor"), state_dict.get("mode")) != (self.monitor, self.mode):
            return
        folder = Path(self.dirpath or "")
        for name in _RANKING:
            setattr(self, name, state_dict[name])
        for name in _PATHS:
            setattr(self, name, str(folder / state_dict[name]) if state_dict[name] else "")
        self.best_k_models = {str(folder / name): score for name, score in state_dict["best_k_models"].items()}
        self._superseded = [str(folder / name) for name in state_dict["superseded"]]
        if 0 < self.save_top_k < len(self.best_k_models):  # fewer are asked for now; Lightning would drop none any more
            self._drop_worst()

    def _drop_worst(self) -> None:
        scores = self.best_k_models
        best_first = sorted(scores, key=lambda path: float(scores[path]), reverse=self.mode == "max")
        kept, dropped = best_first[: self.save_top_k], best_first[self.save_top_k :]
        self._superseded += dropped
        self.best_k_models = {path: scores[path] for path in kept}
        self.kth_best_model_path, self.kth_value = kept[-1], scores[kept[-1]]


def _exact(trainer: pl.Trainer) -> Exact | None:
    return next((each for each in trainer.callbacks if isinstance(each, Exact)), None)  # type: ignore[attr-defined]  # a list


_PATHS: Final = ("best_model_path", "kth_best_model_path", "last_model_path", "_last_checkpoint_saved")
_RANKING: Final = (
    *_PATHS, "best_k_models", "best_model_score", "current_score", "kth_value", "_last_global_step_saved",
)  # fmt: skip


def _link(existing: Path, name: Path) -> None:
    second = name.with_name(f".{name.name}.link")
    second.unlink(missing_ok=True)
    try:
        second.hardlink_to(existing)
        second.replace(name)
    except OSError:  # a file system without hard links
        with replacing(name) as file:
            file.write(existing.read_bytes())

"""Tests of writing, reading and naming checkpoints."""

from __future__ import annotations

import pickle
import re
import resource
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import torch

from hydrantic.checkpoints import (
    AtomicCheckpointIO,
    CheckpointError,
    RunCheckpoint,
    checkpoint_callback,
    fill_filename,
    read_checkpoint,
)
from hydrantic.exact import Exact
from hydrantic.model.hparams import CheckpointHparams
from tests.tiny import LIGHTNING_WARNINGS, Tiny, batches, names, quiet_trainer

pytestmark = [pytest.mark.filterwarnings(each) for each in LIGHTNING_WARNINGS]


def fit(folder: Path, choice: CheckpointHparams, epochs: int = 3, **arguments: Any) -> tuple[Any, RunCheckpoint]:
    torch.manual_seed(0)
    callback = checkpoint_callback(choice, folder)
    plugins = [AtomicCheckpointIO()]
    trainer = quiet_trainer(
        max_epochs=epochs, enable_checkpointing=True, callbacks=[callback], plugins=plugins, **arguments
    )
    Exact.into(trainer)
    trainer.fit(Tiny(), batches(), batches())
    return trainer, callback


def saved(folder: Path) -> Path:
    path = folder / "a.ckpt"
    AtomicCheckpointIO().save_checkpoint({"state_dict": {"w": torch.arange(1000.0)}, "epoch": 3}, path)
    return path


def test_a_checkpoint_comes_back(tmp_path: Path) -> None:
    loaded = read_checkpoint(saved(tmp_path))
    assert loaded["epoch"] == 3
    assert torch.equal(loaded["state_dict"]["w"], torch.arange(1000.0))
    assert names(tmp_path) == ["a.ckpt"]


def test_a_full_disk_is_an_error_and_leaves_the_file_before(tmp_path: Path) -> None:
    path = saved(tmp_path)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))  # Python ignores SIGXFSZ: writes fail
    try:
        with pytest.raises(CheckpointError, match=r"a\.ckpt cannot be written"):
            saved(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert names(tmp_path) == ["a.ckpt"]


def test_a_permission_error_is_not_swallowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(CheckpointError, match="Permission denied"):
        saved(tmp_path)
    assert names(tmp_path) == []


def test_a_checkpoint_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"a\.ckpt is not a checkpoint, or was cut off"):
        read_checkpoint(path)


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = saved(tmp_path)
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 1
    path.write_bytes(contents)
    with pytest.raises(CheckpointError, match="is damaged"):
        read_checkpoint(path)


@pytest.mark.parametrize("contents", [b"", b"epoch,loss\n1,2\n", pickle.dumps({"state_dict": {}})])
def test_a_foreign_file_is_refused(tmp_path: Path, contents: bytes) -> None:
    path = tmp_path / "foreign.ckpt"
    path.write_bytes(contents)
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        read_checkpoint(path)


def test_a_file_of_tensors_that_is_no_run_is_refused(tmp_path: Path) -> None:
    torch.save({"weights": torch.ones(2)}, tmp_path / "weights.pt")
    with pytest.raises(CheckpointError, match="no 'state_dict'"):
        read_checkpoint(tmp_path / "weights.pt")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*none\.ckpt"):
        read_checkpoint(tmp_path / "none.ckpt")


def test_an_address_is_refused() -> None:
    for load in (read_checkpoint, AtomicCheckpointIO().load_checkpoint):
        with pytest.raises(CheckpointError, match="local file"):
            load("https://example.org/model.ckpt")


def test_objects_are_never_unpickled_whatever_the_caller_asks_for(tmp_path: Path) -> None:
    path = tmp_path / "object.ckpt"
    torch.save({"state_dict": {}, "day": date(2026, 1, 1)}, path)
    with pytest.raises(CheckpointError, match=r"datetime\.date.*only tensors and plain types"):
        AtomicCheckpointIO().load_checkpoint(path, weights_only=False)


def test_a_name_shows_the_values_of_metrics_with_slashes() -> None:
    metrics = {"epoch": torch.tensor(7), "validation/loss": torch.tensor(0.0813)}
    assert fill_filename("{epoch:02d}-{validation/loss:.4f}", metrics) == "epoch=07-validation_loss=0.0813"


def test_a_name_may_write_an_underscore_for_the_slash_and_its_own_label() -> None:
    metrics = {"epoch": torch.tensor(7), "validation/loss": torch.tensor(0.0813)}
    assert fill_filename("e={epoch}-{validation_loss:.2f}", metrics) == "e=7-validation_loss=0.08"


def test_a_name_with_a_metric_that_nothing_logs_is_an_error_and_not_zero() -> None:
    with pytest.raises(CheckpointError, match=r"'val_loss'.*epoch, validation/loss"):
        fill_filename("{val_loss:.2f}", {"epoch": 1, "validation/loss": 0.5})


def test_a_fit_keeps_the_best_checkpoints_with_their_values(tmp_path: Path) -> None:
    _, callback = fit(tmp_path, CheckpointHparams(save_top_k=2))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 3
    assert all(re.fullmatch(r"epoch=0[12]-validation_loss=0\.\d+\.ckpt|last\.ckpt", name) for name in names)
    assert f"{callback.best_model_score:.4g}" in callback.best_model_path


def test_the_last_checkpoint_is_of_the_last_step_though_another_is_the_best(tmp_path: Path) -> None:
    trainer, callback = fit(tmp_path, CheckpointHparams(mode="max"))
    assert read_checkpoint(tmp_path / "last.ckpt")["global_step"] == trainer.global_step == 12
    assert read_checkpoint(callback.best_model_path)["global_step"] == 4


def test_the_last_checkpoint_is_saved_without_validation_and_within_an_epoch(tmp_path: Path) -> None:
    trainer, _ = fit(tmp_path, CheckpointHparams(save_top_k=0), max_steps=6, limit_val_batches=0)
    assert read_checkpoint(tmp_path / "last.ckpt")["global_step"] == trainer.global_step == 6
    assert names(tmp_path) == ["last.ckpt"]


def test_a_last_checkpoint_that_equals_the_best_shares_its_file(tmp_path: Path) -> None:
    _, callback = fit(tmp_path, CheckpointHparams())
    assert callback.last.samefile(callback.best_model_path)


def test_without_save_last_there_is_none(tmp_path: Path) -> None:
    fit(tmp_path, CheckpointHparams(save_last=False))
    assert not (tmp_path / "last.ckpt").exists()


def test_training_continues_from_the_last_checkpoint(tmp_path: Path) -> None:
    fit(tmp_path, CheckpointHparams(), epochs=1)
    callback = checkpoint_callback(CheckpointHparams(), tmp_path / "resumed")
    trainer = quiet_trainer(
        max_epochs=3, enable_checkpointing=True, callbacks=[callback], plugins=[AtomicCheckpointIO()]
    )
    Exact.into(trainer)
    trainer.fit(Tiny(), batches(), batches(), ckpt_path=tmp_path / "last.ckpt")
    assert trainer.global_step == 12


def test_a_trainer_refuses_to_resume_from_an_address(tmp_path: Path) -> None:
    trainer = quiet_trainer(max_epochs=1, plugins=[AtomicCheckpointIO()])
    with pytest.raises(CheckpointError, match="is an address"):
        trainer.fit(Tiny(), batches(), batches(), ckpt_path="https://example.org/last.ckpt")

"""Tests of metrics.csv."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
import torch

from hydrantic import metrics_csv
from hydrantic.metrics_csv import MetricsCsv, cut_back, read_metrics
from hydrantic.rundir import swap_contents
from tests.tiny import LIGHTNING_WARNINGS, Tiny, batches, quiet_trainer

pytestmark = [pytest.mark.filterwarnings(each) for each in LIGHTNING_WARNINGS]


def header(path: Path) -> list[str]:
    return next(csv.reader(path.read_text("utf-8").splitlines()))


def test_values_of_one_step_share_a_row(tmp_path: Path) -> None:
    logger = MetricsCsv(tmp_path)
    logger.log_metrics({"validation/loss": 0.5, "epoch": 0}, step=9)
    logger.log_metrics({"training/loss": 0.7, "epoch": 0}, step=9)
    logger.finalize("success")
    assert read_metrics(logger.file) == [{"step": 9, "epoch": 0, "validation/loss": 0.5, "training/loss": 0.7}]


def test_values_of_one_step_share_a_row_that_is_written_already(tmp_path: Path) -> None:
    logger = MetricsCsv(tmp_path)
    for step in range(3):
        logger.log_metrics({"a": step}, step=step)
        logger.flush()
        logger.log_metrics({"b": -step}, step=step)
        logger.flush()
    assert read_metrics(logger.file) == [{"step": n, "a": n, "b": -n} for n in range(3)]


def test_a_name_that_appears_later_becomes_a_column(tmp_path: Path) -> None:
    logger = MetricsCsv(tmp_path)
    for step in range(3):
        logger.log_metrics({"a": 0.25}, step=step)
        logger.flush()
    logger.log_metrics({"late, with a comma": 1.5}, step=3)
    logger.flush()
    assert header(logger.file) == ["step", "epoch", "a", "late, with a comma"]
    rows = read_metrics(logger.file)
    assert rows == [*({"step": n, "a": 0.25} for n in range(3)), {"step": 3, "late, with a comma": 1.5}]


def test_numbers_come_back_to_the_last_bit(tmp_path: Path) -> None:
    values = {"third": 1 / 3, "tiny": 5e-324, "inf": math.inf, "tensor": torch.tensor(0.1)}
    logger = MetricsCsv(tmp_path)
    logger.log_metrics(values, step=0)
    logger.flush()
    row = read_metrics(logger.file)[0]
    assert [row[name] for name in ("third", "tiny", "inf")] == [1 / 3, 5e-324, math.inf]
    assert torch.tensor(row["tensor"]) == torch.tensor(0.1)


def test_a_nan_is_written(tmp_path: Path) -> None:
    logger = MetricsCsv(tmp_path)
    logger.log_metrics({"loss": math.nan}, step=0)
    logger.flush()
    assert math.isnan(read_metrics(logger.file)[0]["loss"])


def test_rows_are_written_at_most_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("hydrantic.metrics_csv.time.monotonic", lambda: now)
    logger = MetricsCsv(tmp_path)
    seen = []
    for step in range(5):
        logger.log_metrics({"a": step}, step=step)
        logger.save()
        seen.append(len(read_metrics(logger.file)))
        now += 0.4
    assert seen == [1, 1, 1, 4, 4]


def test_a_resumed_run_continues_its_file(tmp_path: Path) -> None:
    for step in (0, 1):
        logger = MetricsCsv(tmp_path)
        logger.log_metrics({"a" if step == 0 else "b": step}, step=step)
        logger.finalize("success")
    assert read_metrics(tmp_path / "metrics.csv") == [{"step": 0, "a": 0}, {"step": 1, "b": 1}]


def test_half_a_row_of_a_killed_run_is_dropped_when_it_is_resumed(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,epoch,a\n0,0,1.5\n1,0,2.", "utf-8")
    logger = MetricsCsv(tmp_path)
    logger.log_metrics({"a": 3.5}, step=2)
    logger.flush()
    assert read_metrics(logger.file) == [{"step": 0, "epoch": 0, "a": 1.5}, {"step": 2, "a": 3.5}]


def test_a_fit_and_a_test_leave_one_row_per_epoch_and_one_for_the_test(tmp_path: Path) -> None:
    logger = MetricsCsv(tmp_path)
    trainer = quiet_trainer(max_epochs=2, logger=logger)
    model = Tiny()
    trainer.fit(model, batches(), batches())
    trainer.test(model, batches(), verbose=False)
    rows = read_metrics(logger.file)
    assert [(row["step"], row["epoch"]) for row in rows] == [(3, 0), (7, 1), (8, 2)]
    assert header(logger.file) == ["step", "epoch", "validation/loss", "training/loss", "test/loss"]
    assert all("training/loss" in row and "validation/loss" in row for row in rows[:2])


def test_a_file_is_cut_back_to_what_a_checkpoint_knows(tmp_path: Path) -> None:
    logger = MetricsCsv(tmp_path)
    for step in range(3):
        logger.log_metrics({"a": step / 3, "epoch": 0}, step=step)
    state = logger.state_dict()
    before = logger.file.read_bytes()
    logger.log_metrics({"b": 1.0}, step=2)
    logger.log_metrics({"b": 2.0}, step=3)
    logger.flush()
    cut_back(logger.file, state)
    assert logger.file.read_bytes() == before
    again = MetricsCsv(tmp_path)
    again.log_metrics({"b": 1.0}, step=2)
    again.flush()
    assert read_metrics(logger.file)[-1] == {"step": 2, "epoch": 0, "a": 2 / 3, "b": 1.0}
    assert again.state_dict()["rows"] == 2


def test_a_signal_in_the_middle_of_a_write_loses_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logger = MetricsCsv(tmp_path)
    for step in range(5):
        logger.log_metrics({"a": step / 3}, step=step)
    logger.flush()

    def interrupted(path: Path, text: str) -> None:
        monkeypatch.undo()
        swap_contents(path, text)
        raise KeyboardInterrupt

    monkeypatch.setattr(metrics_csv, "swap_contents", interrupted)
    logger.log_metrics({"b": 1.0}, step=5)
    with pytest.raises(KeyboardInterrupt):
        logger.flush()
    logger.finalize("interrupted")
    assert read_metrics(logger.file) == [*({"step": n, "a": n / 3} for n in range(5)), {"step": 5, "b": 1.0}]


def test_a_file_that_is_gone_or_torn_is_written_anew(tmp_path: Path) -> None:
    state = {"columns": ["step", "epoch", "a"], "rows": 0, "last": {"step": 4, "epoch": 1, "a": 0.5}}
    cut_back(tmp_path / "metrics.csv", state)
    assert read_metrics(tmp_path / "metrics.csv") == [{"step": 4, "epoch": 1, "a": 0.5}]
    (tmp_path / "metrics.csv").write_text("step,epoch,a\n4,1,0.5\n5,1,0.")
    cut_back(tmp_path / "metrics.csv", state)
    assert read_metrics(tmp_path / "metrics.csv") == [{"step": 4, "epoch": 1, "a": 0.5}]

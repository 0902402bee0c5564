"""Reading metrics.csv without what has written it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from hydrantic.errors import UsageError
from hydrantic.metrics_table import read_curves, read_metrics
from tests.runs_on_disk import curves, trained


def test_rows_lack_what_was_not_logged(tmp_path: Path) -> None:
    file = curves(tmp_path, [{"step": 0, "epoch": 0, "a": 1.5}, {"step": 2, "epoch": 1, "b": 2}])
    assert read_metrics(file) == [{"step": 0, "epoch": 0, "a": 1.5}, {"step": 2, "epoch": 1, "b": 2}]


def test_each_logged_name_has_a_curve(tmp_path: Path) -> None:
    found = read_curves(trained(tmp_path / "a", 2))
    assert list(found) == ["training/loss", "validation/loss", "test/loss"]
    curve = found["validation/loss"]
    assert (curve.stage, curve.metric) == ("validation", "loss")
    assert (curve.steps, curve.epochs, curve.values) == ((9, 19), (1.0, 2.0), (1.1, 0.6))


def test_the_test_comes_after_the_last_epoch(tmp_path: Path) -> None:
    assert read_curves(trained(tmp_path / "a", 3))["test/loss"].epochs == (3.0,)


def test_values_within_an_epoch_are_spread_over_it(tmp_path: Path) -> None:
    curves(tmp_path, [{"step": at, "epoch": at // 2, "lr": 0.1} for at in range(4)])
    assert read_curves(tmp_path)["lr"].epochs == (0.5, 1.0, 1.5, 2.0)


def test_values_that_are_no_numbers_stay_in_the_curve(tmp_path: Path) -> None:
    curves(tmp_path, [{"step": 0, "epoch": 0, "loss": "nan"}, {"step": 1, "epoch": 1, "loss": "inf"}])
    values = read_curves(tmp_path)["loss"].values
    assert math.isnan(values[0])
    assert math.isinf(values[1])


def test_a_line_that_a_kill_tore_is_left_out(tmp_path: Path) -> None:
    file = curves(tmp_path, [{"step": 0, "epoch": 0, "loss": 1.0}])
    file.write_text(file.read_text() + "1,1,0.2")
    assert read_curves(tmp_path)["loss"].values == (1.0,)


def test_a_step_of_more_digits_than_any_has_is_left_out(tmp_path: Path) -> None:
    curves(tmp_path, [{"step": "9" * 5000, "epoch": 0, "loss": 1.0}, {"step": 1, "epoch": "9" * 5000, "loss": 2.0}])
    assert read_curves(tmp_path)["loss"].steps == (1,)
    assert read_curves(tmp_path)["loss"].values == (2.0,)


def test_a_file_with_a_cell_that_no_table_has_is_named(tmp_path: Path) -> None:
    file = curves(tmp_path, [{"step": 0, "epoch": 0, "loss": "1" * 200_000}])
    with pytest.raises(UsageError, match=rf"{file.name} cannot be read: field larger than field limit"):
        read_curves(tmp_path)


def test_a_run_that_has_logged_nothing_has_no_curves(tmp_path: Path) -> None:
    assert read_curves(tmp_path) == {}
    (tmp_path / "metrics.csv").write_text("something else\n")
    assert read_curves(tmp_path) == {}

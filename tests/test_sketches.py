"""Curves drawn with the signs of a terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hydrantic.curves import scene
from hydrantic.errors import UsageError
from hydrantic.sketches import sketched
from hydrantic.sweeping.words import cells
from tests.runs_on_disk import blueprint, curves, run, trained


@pytest.mark.parametrize("width", [40, 80, 100, 300])
def test_a_sketch_is_no_wider_than_the_terminal(tmp_path: Path, width: int) -> None:
    text = sketched(scene([trained(tmp_path / "a", 30)]), width)
    assert max(map(cells, text.splitlines())) <= width


def test_a_sketch_names_the_metric_its_curves_and_what_they_came_to(tmp_path: Path) -> None:
    lines = sketched(scene([trained(tmp_path / "a", 3)]), 80).splitlines()
    assert lines[0] == "loss"
    assert [line.split() for line in lines[-3:]] == [
        ["oo", "validation", "0.35"], ["xx", "training", "0.25"], ["++", "test", "0.3"],
    ]  # fmt: skip
    assert any("o" in line and "|" in line for line in lines[1:-3])


def test_colours_are_there_only_where_they_are_wanted(tmp_path: Path) -> None:
    drawn = scene([trained(tmp_path / "a", 3)])
    assert "\x1b" not in sketched(drawn, 80)
    assert "\x1b[38;5;" in sketched(drawn, 80, is_coloured=True)


def test_several_runs_are_told_apart(tmp_path: Path) -> None:
    runs = [trained(tmp_path / str(at), values=blueprint(optimizer__lr=lr)) for at, lr in enumerate((0.1, 0.01))]
    text = sketched(scene(runs, ["validation/loss"]), 80)
    assert "oo lr=0.1  validation" in text
    assert "xx lr=0.01  validation" in text


def test_gaps_single_values_and_nothing_at_all_can_be_sketched(tmp_path: Path) -> None:
    values = [0.5, "nan", 0.1, "inf"]
    curves(run(tmp_path / "gaps"), [{"step": at, "epoch": at, "loss": value} for at, value in enumerate(values)])
    curves(run(tmp_path / "nan"), [{"step": at, "epoch": at, "loss": "nan"} for at in range(3)])
    for place in (tmp_path / "gaps", tmp_path / "nan", trained(tmp_path / "one", 1)):
        for is_log in (False, True):
            assert "loss" in sketched(scene([place], is_log=is_log), 80)
    assert "not always a number" in sketched(scene([tmp_path / "gaps"]), 80)
    assert "no number" in sketched(scene([tmp_path / "nan"]), 80)


def test_a_logarithmic_axis_bears_the_values_themselves(tmp_path: Path) -> None:
    text = sketched(scene([trained(tmp_path / "a", 10)], ["training/loss"], is_log=True), 80)
    assert "0.001953 |" in text


def test_without_plotille_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotille", None)
    with pytest.raises(UsageError, match=r"pip install 'hydrantic\[plot\]'"):
        sketched(scene([trained(tmp_path / "a", 2)]), 80)


def test_a_table_of_metrics_cannot_speak_to_the_terminal(tmp_path: Path) -> None:
    curves(run(tmp_path / "a"), [{"step": 0, "epoch": 0, "\x1b[2J/\x1b[31mloss": 1.0}])
    assert "\x1b" not in sketched(scene([tmp_path / "a"]), 80)

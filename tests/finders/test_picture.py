"""The picture of a range test."""

from __future__ import annotations

from pathlib import Path

import pytest

from hydrantic.errors import UsageError
from hydrantic.finders.picture import draw, figure
from hydrantic.finders.rates import RateTest

CURVE = (2.0, 1.5, 1.0, 5.0)
FOUND = RateTest((1e-3, 1e-2, 0.1, 1.0), (*CURVE[:3], float("nan")), CURVE[:3], 0.01, 0.1, 1.0, 0.003)


def test_the_loss_is_drawn_over_the_rate() -> None:
    axes = figure(FOUND, "a.yaml").axes[0]
    assert axes.get_xscale() == "log"
    assert [line.get_label() for line in axes.get_lines()] == [
        "each step", "smoothed", "suggested: 0.01", "blueprint: 0.003",
    ]  # fmt: skip


def test_a_test_that_suggests_nothing_is_drawn_too() -> None:
    flat = RateTest((1e-3, 1e-2), (0.0, 0.0), (0.0, 0.0), None, None, None, None)
    assert len(figure(flat, "a.yaml").axes[0].get_lines()) == 2


@pytest.mark.parametrize("name", ["a.png", "a.svg", "a.PDF"])
def test_a_picture_is_written(tmp_path: Path, name: str) -> None:
    draw(FOUND, "a.yaml model.dropout=0.1", tmp_path / name)
    assert (tmp_path / name).stat().st_size > 1000


@pytest.mark.parametrize(("name", "reason"), [("a.bmp", r"choose \.png, \.svg, \.pdf"), ("no/a.png", "no folder")])
def test_a_picture_that_cannot_be_written_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        draw(FOUND, "a.yaml", tmp_path / name)

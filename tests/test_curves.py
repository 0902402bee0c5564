"""The curves of runs, and the figure of them."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest

from hydrantic.curves import averaged, draw, figure, labels, scene, thinned
from hydrantic.errors import UsageError
from hydrantic.records import record_of
from hydrantic.sketches import sketched
from tests.runs_on_disk import blueprint, curves, run, trained
from tests.sweeping.sweeps import job, written


def legend(found: Any) -> list[str]:
    return [text.get_text() for each in found.legends for text in each.get_texts()]


def titles(found: Any) -> list[str]:
    return [axes.get_title(loc="left") for axes in found.axes]


# -- what is drawn -----------------------------------------------------------------------------------------------------


def test_training_validation_and_test_of_a_metric_share_a_panel(tmp_path: Path) -> None:
    (panel,) = scene([trained(tmp_path / "a")]).panels
    assert panel.metric == "loss"
    assert [line.stage for line in panel.lines] == ["validation", "training", "test"]
    assert [line.is_point for line in panel.lines] == [False, False, True]


def test_names_choose_a_stage_or_all_of_a_metric(tmp_path: Path) -> None:
    runs = [trained(tmp_path / "a")]
    assert scene(runs, ["validation/loss"]).panels[0].stages == ("validation",)
    assert scene(runs, ["validation/loss"]).panels[0].title == "validation/loss"
    assert scene(runs, ["loss"]).panels[0].stages == ("validation", "training", "test")


def test_an_unknown_metric_is_an_error_with_the_near_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'validation/loss'"):
        scene([trained(tmp_path / "a")], ["validation/los"])


def test_curves_are_drawn_over_steps_or_epochs(tmp_path: Path) -> None:
    runs = [trained(tmp_path / "a", 2)]
    assert scene(runs).panels[0].lines[0].xs == (9.0, 19.0)
    assert scene(runs, x="epoch").panels[0].lines[0].xs == (1.0, 2.0)


def test_values_that_are_no_numbers_leave_a_gap_and_are_told(tmp_path: Path) -> None:
    values = [0.5, math.nan, math.inf, 0.1, -0.1]
    curves(run(tmp_path / "a"), [{"step": at, "epoch": at, "loss": value} for at, value in enumerate(values)])
    line = scene([tmp_path / "a"]).panels[0].lines[0]
    assert [math.isnan(y) for y in line.ys] == [False, True, True, False, False]
    assert line.lost == (1.0, 2.0)
    assert scene([tmp_path / "a"], is_log=True).panels[0].lines[0].lost == (1.0, 2.0, 4.0)


@pytest.mark.parametrize("is_log", [False, True])
def test_values_too_large_to_draw_are_told_like_those_that_are_no_numbers(tmp_path: Path, is_log: bool) -> None:
    values = [0.5, 1e308, -1e308, 1e200, 0.1]
    curves(run(tmp_path / "a"), [{"step": at, "epoch": at, "loss": value} for at, value in enumerate(values)])
    assert scene([tmp_path / "a"], is_log=is_log).panels[0].lines[0].lost == (1.0, 2.0)
    draw([tmp_path / "a"], tmp_path / "a.png", is_log=is_log)
    assert "loss" in sketched(scene([tmp_path / "a"], is_log=is_log), 80)
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_a_long_curve_keeps_its_least_and_greatest_values() -> None:
    ys = [math.sin(at / 500) for at in range(10_000)]
    ys[777], ys[8123] = 5.0, -5.0
    xs, kept = thinned(range(10_000), ys, 200)
    assert len(xs) <= 210
    assert {5.0, -5.0} <= set(kept)
    assert (xs[0], xs[-1]) == (0.0, 9999.0)
    assert list(xs) == sorted(xs)


def test_a_long_gap_stays_a_gap() -> None:
    _, kept = thinned(range(10_000), [math.nan] * 5_000 + [1.0] * 5_000, 200)
    assert any(map(math.isnan, kept))


def test_many_noisy_values_have_means_and_smooth_ones_none() -> None:
    noisy = [math.exp(-at / 1000) + at % 2 for at in range(3000)]
    xs, means = averaged(range(3000), noisy)
    assert len(xs) == len(means) == 150
    assert max(means) < 1.6
    smooth = [math.exp(-at / 1000) for at in range(3000)]
    assert averaged(range(3000), smooth) == averaged([1], [1.0]) == averaged([1] * 900, [math.nan] * 900) == ((), ())


def test_a_run_without_curves_is_left_out_and_none_at_all_is_an_error(tmp_path: Path) -> None:
    assert len(scene([run(tmp_path / "a"), trained(tmp_path / "b")]).runs) == 1
    with pytest.raises(UsageError, match="nothing has been logged yet"):
        scene([tmp_path / "a"])


# -- what runs are called ----------------------------------------------------------------------------------------------


def test_runs_are_called_by_what_tells_them_apart(tmp_path: Path) -> None:
    runs = [run(tmp_path / str(at), values=blueprint(optimizer__lr=lr)) for at, lr in enumerate((0.1, 0.01))]
    assert labels([record_of(each) for each in runs]) == ["lr=0.1", "lr=0.01"]
    assert labels([record_of(runs[0])]) == ["0"]


def test_equal_runs_are_called_by_their_folders_and_jobs_by_their_sweeps(tmp_path: Path) -> None:
    sweep = written(tmp_path / "sweep-1", job(0))
    runs = [run(tmp_path / "a"), run(sweep / "0")]
    assert labels([record_of(each) for each in runs]) == ["a", "sweep-1/0"]


# -- the figure --------------------------------------------------------------------------------------------------------


def test_a_figure_has_a_panel_per_metric_and_says_what_its_lines_mean(tmp_path: Path) -> None:
    found = figure([trained(tmp_path / "a")])
    assert titles(found) == ["loss"]
    assert legend(found) == ["validation", "training", "test"]
    assert found.axes[0].get_xlabel() == "step"


def test_several_runs_have_a_colour_each(tmp_path: Path) -> None:
    runs = [trained(tmp_path / str(at), values=blueprint(optimizer__lr=lr)) for at, lr in enumerate((0.1, 0.01))]
    found = figure(runs, ["validation/loss"])
    assert legend(found) == ["lr=0.1", "lr=0.01"]
    assert len({line.get_color() for line in found.axes[0].lines}) == 2


def test_of_many_runs_the_legend_names_some(tmp_path: Path) -> None:
    runs = [trained(tmp_path / str(at), 2, values=blueprint(seed=at)) for at in range(14)]
    found = legend(figure(runs, ["validation/loss"]))
    assert found[0] == "seed=0"
    assert found[-1] == "5 further runs"


def test_names_are_no_formulas(tmp_path: Path) -> None:
    for at, price in enumerate(("$\\wrong{", "$2$")):
        curves(
            run(tmp_path / str(at), values=blueprint(vars={"price": price})), [{"step": 0, "epoch": 0, "$\\no{$": 1}]
        )
    draw([tmp_path / "0", tmp_path / "1"], tmp_path / "a.png")
    assert legend(figure([tmp_path / "0", tmp_path / "1"])) == ["price=$\\wrong{", "price=$2$"]


def test_a_single_epoch_and_nothing_but_nan_can_be_drawn(tmp_path: Path) -> None:
    curves(run(tmp_path / "nan"), [{"step": at, "epoch": at, "loss": "nan"} for at in range(3)])
    for place in (trained(tmp_path / "one", 1), tmp_path / "nan"):
        for is_log in (False, True):
            assert figure([place], is_log=is_log).axes


@pytest.mark.parametrize("name", ["a.png", "a.svg", "a.pdf", "Größe.PNG"])
def test_pictures_are_written_in_three_forms(tmp_path: Path, name: str) -> None:
    draw([trained(tmp_path / "a", 2)], tmp_path / name)
    start = (tmp_path / name).read_bytes()[:400]
    assert start.startswith((b"\x89PNG", b"%PDF")) or b"<svg" in start or b"<?xml" in start


def test_a_picture_is_the_same_each_time(tmp_path: Path) -> None:
    trained(tmp_path / "a", 2)
    for name in ("1.png", "2.png"):
        draw([tmp_path / "a"], tmp_path / name)
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()


@pytest.mark.parametrize(("name", "reason"), [("a.jpg", "choose .png"), ("no/a.png", "there is no folder")])
def test_a_picture_that_cannot_be_written_is_an_error(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        draw([trained(tmp_path / "a", 2)], tmp_path / name)


def test_without_matplotlib_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UsageError, match=r"pip install 'hydrantic\[plot\]'"):
        figure([trained(tmp_path / "a", 2)])

"""The picture of a sweep: whatever is swept, it is drawn; where there is nothing to draw, that is said."""

from __future__ import annotations

import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from hydrantic.errors import UsageError
from hydrantic.sweeping.ledger import JobRecord, SweepRecord
from hydrantic.sweeping.picture import FORMATS, _scale, _scene, draw, figure
from tests.sweeping.sweeps import job, sweep

pytest.importorskip("matplotlib")


def study(count: int) -> SweepRecord:
    """Trials over everything that may be swept."""
    kinds: list[Any] = ["mlp", "größe_$x$_" + "lang" * 10, None, [64, 32]]
    jobs = (
        job(at, math.nan if at % 50 == 49 else at % 7 / 7, trial=at, params={
            "optimizer.lr": 10 ** (-at % 5), "model.dropout": at / 100, "model": kinds[at % 4], "flag": at % 2 == 0,
        })
        for at in range(count)
    )  # fmt: skip
    return sweep(*jobs, mode="max")


def texts(drawn: Any) -> list[str]:
    """Everything that is written in a figure."""
    from matplotlib.text import Text

    return [each.get_text() for each in drawn.findobj(Text) if each.get_text()]


SWEEPS = {
    "one job": sweep(job(0, 0.5, lr=0.1)),
    "one job and no key": sweep(job(0, 0.5)),
    "one key": sweep(*(job(at, at / 3, seed=at) for at in range(5))),
    "one value": sweep(*(job(at, 0.5, seed=1) for at in range(5))),
    "negative values": sweep(*(job(at, -at - 1.0, lr=-at) for at in range(5))),
    "values over decades": sweep(*(job(at, 10.0**-at, lr=10.0**-at) for at in range(8))),
    "a value far off": sweep(*(job(at, 1e9 if at == 3 else 1 + at / 10, lr=at) for at in range(20))),
    "huge and tiny": sweep(job(0, 1e300, lr=1e-300), job(1, 1e-300, lr=1e300)),
    "some failed": sweep(job(0, 0.5, a=1), job(1, state="failed", a=2), job(2, math.nan, a=3), job(3, math.inf, a=4)),
    "many names": sweep(*(job(at, at / 9, name=f"value_{at}") for at in range(40))),
    "mixed kinds": sweep(
        *(job(at, at / 9, a=each) for at, each in enumerate([1, "x", None, [1], {"b": 2}, True, 0.5]))
    ),
    "many keys": sweep(
        *(job(at, at / 9, **{f"a.b{k}.long_name_of_key": at * k for k in range(14)}) for at in range(9))
    ),
    "letters that no font has": sweep(job(0, 0.1, größe="数\U0001f600"), job(1, 0.2, größe="$\\alpha")),
    "words for a terminal": sweep(job(0, 0.1, **{"a\x1b[2J": "\x1b[2J\n"}), job(1, 0.2, **{"a\x1b[2J": "b"})),
    "a study": study(60),
}


@pytest.mark.parametrize("kind", SWEEPS)
def test_any_sweep_is_drawn(kind: str, tmp_path: Path) -> None:
    draw(SWEEPS[kind], tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_five_hundred_jobs_are_drawn(tmp_path: Path) -> None:
    draw(study(500), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 50_000


@pytest.mark.parametrize("ending", [*FORMATS, ".PNG"])
def test_the_ending_tells_the_form(ending: str, tmp_path: Path) -> None:
    draw(SWEEPS["one key"], tmp_path / f"a{ending}")
    begins = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
    assert (tmp_path / f"a{ending}").read_bytes().startswith(begins[ending.lower()])


@pytest.mark.parametrize("name", ["a.jpeg", "a", "no/a.png"])
def test_what_cannot_be_written_is_said_before_anything_is_drawn(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        draw(SWEEPS["one key"], tmp_path / name)


@pytest.mark.parametrize(
    ("nothing", "words"),
    [
        (sweep(job(0, state="failed"), job(1, state="planned")), "none of its 2 jobs has finished with a value of"),
        (sweep(job(0, math.nan)), "its job has not finished with a value of validation/loss"),
        (sweep(), "none of its 0 jobs"), (SweepRecord(Path("s"), {}, (job(0, 0.5),)), "the sweep has no objective"),
    ],
)  # fmt: skip
def test_where_there_is_nothing_to_draw_that_is_said(nothing: SweepRecord, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        draw(nothing, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UsageError, match=r"pip install 'hydrantic\[plot\]'"):
        figure(SWEEPS["one key"])


def test_nothing_global_is_left_behind() -> None:
    import matplotlib

    settings, pyplot = dict(matplotlib.rcParams), "matplotlib.pyplot" in sys.modules
    figure(SWEEPS["a study"])
    assert dict(matplotlib.rcParams) == settings
    assert ("matplotlib.pyplot" in sys.modules) == pyplot


def test_the_same_sweep_gives_the_same_picture() -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{at}.png" for at in range(2)]
        for file in files:
            draw(SWEEPS["a study"], file)
        assert files[0].read_bytes() == files[1].read_bytes()


def test_it_says_what_is_shown_and_which_is_the_best() -> None:
    said = texts(figure(sweep(job(0, 0.5, optimizer__lr=0.1), job(1, 0.25, optimizer__lr=0.01))))
    assert "digits: validation/loss of 2 jobs\n" in said
    assert "best: job 1, 0.25:  lr=0.01" in said
    assert {"optimizer.lr", "validation/loss", "0.01", "0.1"} <= set(said)


def test_a_study_shows_its_course_and_a_grid_does_not() -> None:
    assert any("best so far" in text for text in texts(figure(study(10))))
    assert not any("best so far" in text for text in texts(figure(SWEEPS["one key"])))


def test_the_axis_ends_before_a_value_that_is_far_off() -> None:
    assert "≥ 2.9" in texts(figure(SWEEPS["a value far off"]))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, 3], "linear"), ([0.1, 0.01, 0.001], "log"), ([0.01, 0.001, 0.0003], "log"), ([16, 32, 64, 128], "log"),
        ([0, 0.1, 1000], "linear"), ([-1, 10, 100], "linear"), (["a", "b"], "names"), ([1, "b"], "names"),
        ([True, False], "names"), ([math.inf, 1.0], "names"), ([None, None], "names"), (list(range(1, 100)), "linear"),
    ],
)  # fmt: skip
def test_the_scale_suits_the_values(values: list[Any], kind: str) -> None:
    assert _scale("a", values).kind == kind


@pytest.mark.parametrize("values", [[1, 2, 3], ["a", "b"], [1, None, 3], [1e-4, 1e-2, 1.0], [[1, 2], [1]], [7]])
def test_every_value_has_its_place_and_a_tick_there(values: list[Any]) -> None:
    scale = _scale("a", values)
    places = {scale.at(value) for value in values}
    assert len(places) == len(values)
    assert {place for place, _ in scale.ticks()} == places


def test_lists_of_numbers_lie_by_their_size_and_names_as_given() -> None:
    assert _scale("a", [[64, 64], [8], [64, 8]]).names == ("[8]", "[64, 8]", "[64, 64]")
    assert _scale("a", ["z", "a", None, "z"]).names == ("\N{EN DASH}", "z", "a")


def colours(*jobs: JobRecord, mode: str) -> list[float]:
    scene = _scene(sweep(*jobs, mode=mode))
    return [sum(scene.colour(value)[:3]) for value in scene.values]


@pytest.mark.parametrize("mode", ["min", "max"])
def test_the_best_is_the_darkest(mode: str) -> None:
    bright = colours(*(job(at, at / 5) for at in range(5)), mode=mode)
    assert bright == sorted(bright, reverse=True)

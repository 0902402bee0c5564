"""The view of a sweep that runs: what a person sees meanwhile, and what is left in the end."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hydrantic.sweeping.ledger import JobRecord
from hydrantic.sweeping.view import View, latest
from tests.sweeping.screens import Screen
from tests.sweeping.sweeps import job

MINIMISE = ("validation/loss", "min")


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def screen() -> Iterator[Screen]:
    """A terminal of the usual size."""
    opened = Screen(100)
    yield opened
    opened.close()


@pytest.fixture
def clock() -> Clock:
    """A clock at its beginning."""
    return Clock()


def tick(view: View, clock: Clock, seconds: float = 1.0) -> None:
    clock.seconds += seconds
    view.tick()


def running(number: int, **params: Any) -> JobRecord:
    return job(number, state="running", **params)


def failed(number: int, **params: Any) -> JobRecord:
    return job(number, state="failed", error="\nDiverged: the loss is NaN\nat x", seconds=3.2, **params)


# -- on a terminal -----------------------------------------------------------------------------------------------------


def test_a_terminal_shows_how_far_the_sweep_is_and_what_runs(screen: Screen, clock: Clock) -> None:
    view = View(screen.stream, now=clock)
    view.begin(4, 2, objective=MINIMISE)
    for number in range(2):
        view.started(running(number, optimizer__lr=0.1, seed=number))
    tick(view, clock, 10)
    view.ended(job(0, 0.25, optimizer__lr=0.1, seed=0))
    view.started(running(2, optimizer__lr=0.01, seed=0))
    tick(view, clock, 5)
    assert screen.seen() == [
        "━━━━━───────────────  1/4  2 running  0:15, 0:07 left  best validation/loss 0.25  lr=0.1  seed=0",
        "  1  lr=0.1  seed=1   0:15  starting",
        "  2  lr=0.01  seed=0  0:05  starting",
    ]


def test_in_the_end_nothing_is_left_but_what_came_of_it(screen: Screen, clock: Clock) -> None:
    with View(screen.stream, now=clock) as view:
        view.begin(3, 2, objective=MINIMISE)
        for number in range(3):
            view.started(running(number, seed=number))
            tick(view, clock)
        view.ended(job(0, 0.25, seed=0))
        view.ended(failed(1, seed=1))
        tick(view, clock)
        view.ended(job(2, 0.5, seed=2))
        tick(view, clock, 70)
    assert screen.seen() == [
        "job 1 failed after 3.2 s: seed=1",
        "  Diverged: the loss is NaN",
        "  sweep/1",
        "3 jobs in 1 min 14 s: 2 finished, 1 failed",
    ]


def test_a_failed_job_is_told_of_at_once(screen: Screen, clock: Clock) -> None:
    view = View(screen.stream, now=clock)
    view.begin(2, 1)
    view.started(running(0, a=1))
    view.ended(failed(0, a=1))
    assert screen.seen()[:2] == ["job 0 failed after 3.2 s: a=1", "  Diverged: the loss is NaN"]
    tick(view, clock)
    assert screen.seen()[3].endswith("1/2  1 failed  0:01, 0:00 left")


def test_a_job_that_left_no_word_is_told_of_too(screen: Screen) -> None:
    view = View(screen.stream)
    view.begin(1, 1)
    view.ended(job(0, state="lost"))
    assert screen.seen()[:2] == ["job 0 lost: no overrides", "  its process has gone without a word"]


def test_a_combination_that_cannot_run_is_told_of_without_a_directory(screen: Screen) -> None:
    view = View(screen.stream)
    view.begin(1, 1)
    view.ended(job(0, state="failed", sha256="", error="must be less than 1", dropout=2))
    assert screen.seen() == ["job 0 failed: dropout=2", "  must be less than 1"]


def test_what_is_said_stands_above_what_is_redrawn(screen: Screen, clock: Clock) -> None:
    view = View(screen.stream, now=clock)
    view.begin(2, 1)
    tick(view, clock)
    view.say("stopping\nonce more to kill")
    tick(view, clock)
    assert screen.seen() == ["stopping", "once more to kill", "────────────────────  0/2  0:02"]


@pytest.mark.parametrize("width", [2, 5, 10, 20, 30, 59, 60, 61, 80, 200])
@pytest.mark.parametrize("coloured", [False, True])
def test_any_width_is_kept_to(width: int, coloured: bool, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    if coloured:
        monkeypatch.delenv("NO_COLOR")
    screen = Screen(width)
    with View(screen.stream, now=clock) as view:
        view.begin(12, 3, objective=MINIMISE)
        for number in range(3):
            view.started(running(number, model__activation__name="größe_数" * 6, optimizer__lr=1e-5))
        for _ in range(5):
            tick(view, clock)
            lines = screen.seen()
            assert len(lines) <= 4
            assert max(map(len, lines)) < width
        view.ended(job(0, 0.1, model__activation__name="größe" * 6))
        tick(view, clock)
        assert len(screen.seen()) <= 3
    assert screen.seen()[0].startswith("1 of 12 jobs in 6.0 s: 1 finished"[:width].rstrip())
    screen.close()


def test_a_terminal_that_becomes_narrower_or_wider_keeps_no_rubbish(screen: Screen, clock: Clock) -> None:
    with View(screen.stream, now=clock) as view:
        view.begin(12, 3, objective=MINIMISE)
        view.say("before")
        for number in range(3):
            view.started(running(number, model__activation__name="leaky_relu", optimizer__lr=1e-5, seed=number))
        for width in (100, 40, 23, 90, 7, 100):
            screen.seen()
            screen.resize(width)
            tick(view, clock)
            tick(view, clock)
            after = screen.seen()
            assert len("".join(after[: len(after) - 4])) == len("before")
    assert screen.seen() == ["before"]


def test_a_low_terminal_shows_fewer_jobs(clock: Clock) -> None:
    for rows, expected in ((24, 8), (6, 4), (2, 0), (1, 0)):
        screen = Screen(80, rows)
        view = View(screen.stream, now=clock)
        view.begin(20, 12)
        for number in range(12):
            view.started(running(number, seed=number))
        tick(view, clock)
        lines = screen.seen()
        assert len([line for line in lines if "seed=" in line]) == expected
        assert len(lines) <= max(rows, 1)
        assert ("and 4 more" in lines[-1]) == (expected == 8)
        screen.close()


def test_a_terminal_that_does_not_know_its_size_is_drawn_on(clock: Clock) -> None:
    screen = Screen(0, 0)
    view = View(screen.stream, now=clock)
    view.begin(2, 1)
    tick(view, clock)
    assert screen.seen() == ["────────────────────  0/2  0:01"]
    screen.close()


def test_it_is_redrawn_five_times_a_second_at_most(screen: Screen, clock: Clock) -> None:
    view = View(screen.stream, now=clock)
    view.begin(2, 1)
    for _ in range(100):
        tick(view, clock, 0.01)
    screen.seen()
    assert 4 <= screen.raw.count("0/2") <= 6


def test_colours_are_for_who_wants_them(screen: Screen, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR")
    view = View(screen.stream, now=clock)
    view.begin(2, 1)
    view.ended(failed(0))
    tick(view, clock)
    screen.seen()
    assert "\x1b[31mjob 0 failed" in screen.raw
    assert screen.seen()[0] == "job 0 failed after 3.2 s: no overrides"


def test_letters_that_the_terminal_lacks_are_not_used(clock: Clock) -> None:
    screen = Screen(80)
    screen.stream.reconfigure(encoding="ascii", errors="backslashreplace")
    view = View(screen.stream, now=clock)
    view.begin(4, 1)
    view.ended(job(0))
    tick(view, clock)
    assert screen.seen()[0].startswith("[=====               ]  1/4")
    screen.close()


def test_jobs_that_ended_before_a_sweep_was_resumed_count(screen: Screen, clock: Clock) -> None:
    with View(screen.stream, now=clock) as view:
        view.begin(3, 1, objective=("a", "max"), ended=[job(0, 0.5), job(1, 0.25)])
        tick(view, clock)
        assert screen.seen()[0].split("  ")[1:] == ["2/3", "0:01", "best a 0.5"]
    assert screen.seen() == []


def test_without_a_number_of_jobs_they_are_counted(screen: Screen, clock: Clock) -> None:
    view = View(screen.stream, now=clock)
    view.begin(None, None)
    view.started(running(0, a=1))
    view.ended(job(0, 1.0))
    tick(view, clock)
    assert screen.seen() == ["1  0:01"]


def test_the_time_left_counts_what_runs_and_what_waits(screen: Screen, clock: Clock) -> None:
    view = View(screen.stream, now=clock)
    view.begin(5, 2)
    view.started(running(0))
    tick(view, clock, 10)
    view.ended(job(0))
    view.started(running(1))
    view.started(running(2))
    tick(view, clock, 5)
    # 5 s each for two that run, 10 s each for two that wait, two at a time
    assert "0:15 left" in screen.seen()[0]


def test_hostile_words_do_not_steer_the_terminal(screen: Screen, clock: Clock) -> None:
    view = View(screen.stream, now=clock)
    view.begin(2, 2)
    view.started(running(0, a="\x1b[2J\nx"))
    tick(view, clock)
    view.ended(replace(failed(1, a="\x1b[2J\nx"), error="\x1b]0;title\x07"))
    view.say("\x9b2J")
    screen.seen()
    assert "\x1b[2J" not in screen.raw
    assert "\x07" not in screen.raw


# -- planning ----------------------------------------------------------------------------------------------------------


def test_planning_that_is_quick_shows_nothing(screen: Screen, clock: Clock) -> None:
    view = View(screen.stream, now=clock)
    view.planning(10)
    for count in range(10):
        clock.seconds += 0.05
        view.planned(count + 1)
    assert screen.seen() == []


def test_planning_that_lasts_shows_a_bar_that_is_gone_afterwards(screen: Screen, clock: Clock) -> None:
    with View(screen.stream, now=clock) as view:
        view.planning(1000)
        clock.seconds = 2.0
        view.planned(500)
        assert screen.seen() == ["planning  ━━━━━━━━━━──────────  500/1,000 jobs  0:02 left"]
        view.begin(1000, 2)
        assert screen.seen() == ["────────────────────  0/1,000  0:00"]
    assert screen.seen() == []


def test_planning_without_a_number_counts(screen: Screen, clock: Clock) -> None:
    view = View(screen.stream, now=clock)
    view.planning(None)
    clock.seconds = 2.0
    view.planned(7)
    assert screen.seen() == ["planning  7 jobs"]


# -- anywhere else -----------------------------------------------------------------------------------------------------


def test_elsewhere_each_job_that_ends_gets_a_line(clock: Clock) -> None:
    stream = io.StringIO()
    with View(stream, now=clock) as view:
        view.planning(3)
        clock.seconds = 5.0
        view.planned(3)
        view.begin(2, 2, objective=MINIMISE)
        view.started(running(0, seed=0))
        view.started(running(1, seed=1))
        for _ in range(20):
            tick(view, clock, 0.4)
        view.ended(job(0, 0.25, seed=0))
        view.ended(failed(1, seed=1))
    assert stream.getvalue().splitlines() == [
        "1/2  job 0 finished in 1.5 s:  validation/loss 0.25  seed=0",
        "job 1 failed after 3.2 s: seed=1",
        "  Diverged: the loss is NaN",
        "  sweep/1",
        "2 jobs in 8.0 s: 1 finished, 1 failed",
    ]


def test_elsewhere_a_line_comes_every_ten_seconds_at_most(clock: Clock) -> None:
    stream = io.StringIO()
    view = View(stream, now=clock)
    view.begin(2, 2)
    view.started(running(0))
    for _ in range(45):
        tick(view, clock)
    assert stream.getvalue().splitlines() == [f"0/2 done, 1 running, 0:{at} elapsed" for at in (10, 20, 30, 40)]


def test_a_dumb_terminal_gets_lines(screen: Screen, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with View(screen.stream, now=clock) as view:
        view.begin(1, 1)
        tick(view, clock)
        view.ended(job(0))
    assert screen.seen() == ["1/1  job 0 finished:  no overrides", "1 job in 1.0 s: 1 finished"]
    assert "\x1b" not in screen.raw


def test_a_view_that_is_closed_before_it_began_says_nothing() -> None:
    stream = io.StringIO()
    View(stream).close()
    view = View(stream)
    view.planned(1)
    view.tick()
    view.close()
    view.close()
    assert stream.getvalue() == ""


# -- what running jobs tell --------------------------------------------------------------------------------------------


def test_a_running_job_shows_its_epoch_and_validation_metrics(screen: Screen, clock: Clock, tmp_path: Path) -> None:
    view = View(screen.stream, now=clock)
    view.begin(2, 1)
    view.started(running(0, a=1, directory=tmp_path))
    tick(view, clock)
    assert screen.seen()[1].endswith("starting")
    (tmp_path / "metrics.csv").write_text("step,epoch,training/loss,validation/loss\n9,0,0.5,0.25\n11,1,0.4,\n")
    tick(view, clock)
    assert screen.seen()[1] == "  0  a=1  0:02  epoch 2  step 11  loss 0.25"
    (tmp_path / "metrics.csv").unlink()
    tick(view, clock)
    assert screen.seen()[1] == "  0  a=1  0:03  epoch 2  step 11  loss 0.25"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ""), ("step,epoch", ""), ("step,epoch\n", ""), ("step,epoch\n5,0\n", "epoch 1  step 5"),
        ("step,epoch\n5,0\n6,1", "epoch 1  step 5"), ("step,epoch,validation/ä\n5,0,nan\n", "epoch 1  step 5  ä nan"),
        ("step,epoch,validation/a\n5,0,x\x1b[2J\n", "epoch 1  step 5  a x\\x1b[2J"), ("step,epoch\n1\n1,2,3\n", ""),
        ("step,epoch,validation/a,test/a\n5,0,1,\n6,1,,2\n", "epoch 1  step 5  a 1"),
        ("a,b\n1,2\n", ""), ("step\x00,epoch\n1,\x00\n", ""), ("step,epoch\n,\n", ""), ('step,epoch\n"5,0\n6,1\n', ""),
    ],
)  # fmt: skip
def test_whatever_stands_in_a_metrics_file_is_told_or_passed_over(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(text)
    assert latest(tmp_path / "metrics.csv") == told


def test_only_the_end_of_a_long_metrics_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    rows = "".join(f"{at},{at // 100},{1 / (at + 1)},{at / 2 if at % 100 == 0 else ''}\n" for at in range(100_000))
    file.write_text(f"step,epoch,training/loss,validation/loss\n{rows}")
    assert latest(file) == "epoch 1000  step 99999  loss 4.995e+04"

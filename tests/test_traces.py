"""The traces of two runs, compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from hydrantic.errors import UsageError
from hydrantic.traces import Row, compared, read_trace
from tests.projects import write

ROWS: list[Row] = [
    {"step": "1", "epoch": "0", "training/loss": "0.5"},
    {"step": "2", "epoch": "0", "training/loss": "0.25", "validation/loss": "0.3"},
    {"step": "3", "epoch": "1", "training/loss": "nan"},
]


def _with(number: int, **values: str | None) -> list[Row]:
    changed = {name.replace("__", "/"): value for name, value in values.items()}
    merged = {**ROWS[number], **changed}
    row = {name: value for name, value in merged.items() if value is not None}
    return [*ROWS[:number], row, *ROWS[number + 1 :]]


def test_equal_traces_part_nowhere() -> None:
    found = compared(ROWS, ROWS)
    assert (found.rows, found.values, found.departure) == (3, 4, None)


def test_the_first_value_that_differs_is_told_with_its_place_and_how_much_it_differs() -> None:
    departure = compared(ROWS, _with(1, training__loss="0.2500001")).departure
    assert departure is not None
    assert (departure.row, departure.step, departure.epoch, departure.column) == (1, 2, 0, "training/loss")
    assert departure.relative == pytest.approx(4e-7)
    words = "training/loss was 0.25, and is 0.2500001 now (relative difference 4.0e-07)"
    assert str(departure) == f"step 2 (epoch 0): {words}"


@pytest.mark.parametrize(
    ("present", "words"),
    [
        (_with(1, validation__loss=None), "step 2 (epoch 0): validation/loss was 0.3, and is not logged now"),
        (_with(0, lr="0.1"), "step 1 (epoch 0): lr was not logged, and is 0.1 now"),
        (_with(1, step="4"), "step 2 (epoch 0): the step of row 2 was 2, and is 4 now"),
        (_with(2, epoch="2"), "step 3 (epoch 1): the epoch of row 3 was 1, and is 2 now"),
        (_with(2, training__loss="1.0"), "step 3 (epoch 1): training/loss was nan, and is 1.0 now"),
        (ROWS[:2], "step 3 (epoch 1): nothing is logged there now"),
        ([*ROWS, {"step": "4", "training/loss": "1"}], "step 4: nothing was logged there, and something is now"),
        ([], "step 1 (epoch 0): nothing is logged there now"),
    ],
)
def test_every_way_of_parting_has_words(present: list[Row], words: str) -> None:
    assert str(compared(ROWS, present).departure) == words


def test_the_sign_of_zero_is_a_difference() -> None:
    zero: list[Row] = [{"step": "1", "loss": "0.0"}]
    departure = compared(zero, [{"step": "1", "loss": "-0.0"}]).departure
    assert departure is not None
    assert departure.relative is None


def test_of_a_run_that_was_cut_short_its_part_is_compared() -> None:
    short = [ROWS[0], {"step": "2", "epoch": "0", "training/loss": "0.25"}]
    assert compared(short, ROWS, to_the_end=False).departure is None
    assert compared(short, ROWS).departure is not None
    assert compared(short, _with(1, training__loss="0.2"), to_the_end=False).departure is not None


def test_a_departure_is_a_record_for_a_program() -> None:
    departure = compared(ROWS, ROWS[:1]).departure
    assert departure is not None
    assert departure.to_plain() == {
        "rows_before": 1, "step": 2, "epoch": 0, "column": "step", "recorded": "2", "present": None, "relative": None,
    }  # fmt: skip


def test_a_torn_line_and_stages_that_do_not_count_are_left_out(tmp_path: Path) -> None:
    write(tmp_path / "metrics.csv", "step,epoch,training/loss,test/loss\n1,0,0.5,\n2,0,,0.7\n3,1,0.")
    assert read_trace(tmp_path) == [
        {"step": "1", "epoch": "0", "training/loss": "0.5"},
        {"step": "2", "epoch": "0", "test/loss": "0.7"},
    ]
    assert read_trace(tmp_path, without=("test/",)) == [{"step": "1", "epoch": "0", "training/loss": "0.5"}]


@pytest.mark.parametrize("text", [None, "", "\n", "step,epoch\n", "a,b\n1\n"])
def test_a_file_that_tells_nothing_has_no_rows(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        write(tmp_path / "metrics.csv", text)
    assert read_trace(tmp_path) == []


def test_a_file_that_is_no_table_is_named(tmp_path: Path) -> None:
    write(tmp_path / "metrics.csv", f"step,epoch,loss\n1,0,{'1' * 200_000}\n")
    with pytest.raises(UsageError, match=r"metrics\.csv cannot be read: field larger than field limit"):
        read_trace(tmp_path)


def test_a_step_of_more_digits_than_any_has_is_no_step() -> None:
    departure = compared([{"step": "9" * 5000, "loss": "1"}], []).departure
    assert departure is not None
    assert departure.step is None

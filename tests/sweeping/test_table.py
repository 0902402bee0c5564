"""The table of a sweep: its order, its averages, and how it is written."""

from __future__ import annotations

import csv
import io
import json
import math
import statistics

import polars
import pytest

from hydrantic.errors import UsageError
from hydrantic.sweeping.ledger import SweepRecord
from hydrantic.sweeping.table import Spread, as_csv, as_json, as_markdown, as_text, frame, records_of, results
from hydrantic.sweeping.words import STYLES, cells
from tests.sweeping.sweeps import job, sweep

LONG = "eine_sehr_lange_größe_mit_umlauten"


def seeds(**further: float) -> SweepRecord:
    """Two learning rates with three seeds each."""
    values = {(0.1, 1): 0.5, (0.1, 2): 0.7, (0.1, 3): 0.6, (0.01, 1): 0.2, (0.01, 2): 0.4, (0.01, 3): 0.3}
    jobs = (
        job(at, value, optimizer__lr=lr, seed=seed, metrics={"validation/loss": value, "test/accuracy": 1 - value})
        for at, ((lr, seed), value) in enumerate(values.items())
    )
    return sweep(*jobs, **further)


# -- order -------------------------------------------------------------------------------------------------------------


def test_the_best_job_comes_first() -> None:
    assert results(seeds()).column("job") == [3, 5, 4, 0, 2, 1]
    assert results(seeds(mode="max")).column("job") == [1, 2, 0, 4, 5, 3]


def test_what_has_no_value_comes_last_and_failed_jobs_after_it() -> None:
    jobs = (
        job(0, state="failed"), job(1, math.nan), job(2, 0.5), job(3, state="planned"), job(4, 0.1, state="pruned"),
        job(5, state="lost"), job(6, 0.3), job(7, math.inf),
    )  # fmt: skip
    assert results(sweep(*jobs)).column("job") == [6, 2, 7, 1, 4, 3, 0, 5]


def test_any_column_can_be_sorted_by_either_way_round() -> None:
    assert results(seeds(), sort="seed").column("seed") == [1, 1, 2, 2, 3, 3]
    assert results(seeds(), sort="accuracy", descending=True).column("job") == [3, 5, 4, 0, 2, 1]
    mixed = sweep(job(0, 1.0, a="b"), job(1, 1.0, a=2), job(2, 1.0, a=None), job(3, 1.0, a=True))
    assert results(mixed, sort="a").column("job") == [3, 1, 0, 2]


def test_without_an_objective_jobs_stay_in_their_order() -> None:
    there = SweepRecord(seeds().directory, {}, seeds().jobs)
    assert results(there).column("job") == list(range(6))
    assert "validation/loss" in results(there).columns


# -- columns -----------------------------------------------------------------------------------------------------------


def test_swept_keys_come_before_the_objective_and_other_metrics() -> None:
    columns = results(seeds()).columns
    assert columns == ("job", "optimizer.lr", "seed", "validation/loss", "test/accuracy", "state", "seconds")


def test_columns_are_chosen_by_their_last_parts_and_in_the_order_given() -> None:
    assert results(seeds(), columns=["loss", "lr", "overrides"]).columns == (
        "validation/loss", "optimizer.lr", "overrides",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"by": ["sed"]}, "there is no swept key 'sed'; did you mean 'seed'?"),
        ({"by": ["loss"]}, "there is no swept key 'loss'; there are optimizer.lr, seed"),
        ({"sort": "validation/los"}, "there is no column 'validation/los'; did you mean 'validation/loss'?"),
        ({"columns": ["x"]}, "there is no column 'x'"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(asked: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError) as said:
        results(seeds(), **asked)  # type: ignore[arg-type]  # the names of its arguments
    assert words in str(said.value)


def test_a_name_that_may_mean_two_is_refused() -> None:
    there = sweep(job(0, 1.0, metrics={"validation/loss": 1.0, "test/loss": 1.0}))
    with pytest.raises(UsageError, match="'loss' may mean validation/loss or test/loss; write it in full"):
        results(there, sort="loss")


def test_overrides_tell_the_keys_where_there_are_no_values() -> None:
    there = sweep(job(0, 1.0, params={}, overrides=("+a.b=1e-3", "model=mlp")))
    assert results(there).rows[0][:3] == (0, 0.001, "mlp")


# -- averages ----------------------------------------------------------------------------------------------------------


def test_jobs_that_differ_in_a_key_alone_are_averaged() -> None:
    table = results(seeds(), by=["seed"])
    assert table.columns == ("optimizer.lr", "validation/loss", "test/accuracy", "n", "seconds")
    best = dict(zip(table.columns, table.rows[0], strict=True))
    assert (best["optimizer.lr"], best["n"]) == (0.01, 3)
    assert best["validation/loss"].mean == pytest.approx(0.3)
    assert best["validation/loss"].deviation == pytest.approx(statistics.stdev([0.2, 0.3, 0.4]))


def test_over_every_key_one_row_is_left() -> None:
    (row,) = results(seeds(), by=["seed", "optimizer.lr"]).rows
    assert row[0].mean == pytest.approx(0.45)


def test_jobs_that_have_not_finished_do_not_count_and_are_told_of() -> None:
    jobs = (job(0, 0.2, a=1, seed=1), job(1, a=1, seed=2, state="failed"), job(2, a=2, seed=1, state="failed"))
    table = results(sweep(*jobs), by=["seed"])
    assert [dict(zip(table.columns, row, strict=True))["missing"] for row in table.rows] == [1, 1]
    assert table.column("validation/loss") == [Spread(0.2, None), None]


def test_an_average_with_nan_is_none_and_comes_last() -> None:
    jobs = (job(0, math.nan, a=1, seed=1), job(1, 0.1, a=1, seed=2), job(2, 0.9, a=2, seed=1), job(3, 0.9, a=2, seed=2))
    table = results(sweep(*jobs), by=["seed"])
    assert table.column("a") == [2, 1]
    assert math.isnan(table.column("validation/loss")[1].mean)
    infinite = results(sweep(job(0, math.inf, seed=1), job(1, 1.0, seed=2)), by=["seed"])
    assert infinite.column("validation/loss")[0].mean == math.inf


def test_values_of_any_kind_make_groups() -> None:
    jobs = (job(at, 1.0, a=value, seed=at) for at, value in enumerate([[1, 2], [1, 2], {"x": 1}, None, "1", 1, True]))
    assert results(sweep(*jobs), by=["seed"]).column("n") == [2, 1, 1, 1, 1, 1]


# -- for programs ------------------------------------------------------------------------------------------------------


def test_csv_can_be_read_back_with_all_digits() -> None:
    there = sweep(job(0, 1 / 3, a=[1, 2], b='x,"y"\nz', c=True, d=None), job(1, math.nan, a=[], b="ü", c=False, d=0))
    first, second = csv.DictReader(io.StringIO(as_csv(results(there))))
    assert float(first["validation/loss"]) == 1 / 3
    assert (first["a"], first["b"], first["c"], first["d"]) == ("[1, 2]", 'x,"y"\nz', "true", "")
    assert (second["validation/loss"], second["b"]) == ("nan", "ü")


def test_averages_take_two_columns_in_csv_and_json() -> None:
    table = results(seeds(), by=["seed"])
    (first, _) = csv.DictReader(io.StringIO(as_csv(table)))
    assert float(first["validation/loss mean"]) == pytest.approx(0.3)
    assert float(first["validation/loss std"]) == pytest.approx(0.1)
    assert list(json.loads(as_json(table))[0]) == list(first)


def test_a_group_without_a_value_leaves_both_columns_empty() -> None:
    jobs = (job(0, 0.2, a=1, seed=1), job(1, a=2, seed=1, state="failed"))
    records = records_of(results(sweep(*jobs), by=["seed"]))
    assert records[1]["validation/loss mean"] is records[1]["validation/loss std"] is None


def test_json_holds_no_number_that_json_lacks() -> None:
    text = as_json(results(sweep(job(0, math.nan, a=math.inf))))
    (record,) = json.loads(text, parse_constant=pytest.fail)
    assert (record["validation/loss"], record["a"]) == ("NaN", "Infinity")


def test_a_sweep_without_jobs_has_columns_and_no_rows() -> None:
    table = results(sweep())
    assert as_json(table) == "[]"
    assert as_csv(table) == "job,validation/loss,state,seconds\n"
    assert len(as_text(table, 80)) == 1


def test_the_frame_has_a_row_per_job_in_their_order() -> None:
    jobs = (
        job(0, 0.5, a=1, b=[1, 2], c="x", d=None, e=True),
        job(1, None, a=0.5, b="no", c="y", d=2, e=None, state="failed"),
    )  # fmt: skip
    table = frame(sweep(*jobs))
    assert isinstance(table, polars.DataFrame)
    assert table["job"].to_list() == [0, 1]
    assert (table["a"].dtype, table["b"].dtype, table["e"].dtype) == (polars.Float64, polars.String, polars.Boolean)
    assert table["b"].to_list() == ["[1, 2]", "no"]
    assert table["validation/loss"].to_list() == [0.5, None]
    assert table["state"].to_list() == ["finished", "failed"]
    assert frame(sweep()).height == 0


# -- for people --------------------------------------------------------------------------------------------------------


def test_markdown_has_its_numbers_to_the_right() -> None:
    there = sweep(job(0, 0.25, model="a|b", lr=0.001), job(1, 10.5, model="ü", lr=1e-5))
    assert as_markdown(results(there, columns=["job", "model", "lr", "loss"])).splitlines() == [
        "| job | model |    lr | validation/loss |",
        "| --: | ----- | ----: | --------------: |",
        "|   0 | a\\|b  | 0.001 |            0.25 |",
        "|   1 | ü     |  1e-5 |           10.50 |",
    ]


def test_a_terminal_shows_means_with_their_deviations() -> None:
    assert as_text(results(seeds(), by=["seed"], columns=["lr", "loss", "n"]), 80) == [
        "optimizer.lr  validation/loss  n",
        "        0.01  0.3000 ± 0.1000  3",
        "         0.1  0.6000 ± 0.1000  3",
    ]


def test_one_job_has_no_deviation() -> None:
    lines = as_text(results(sweep(job(0, 0.5, a=1, seed=1)), by=["seed"], columns=["loss", "n"]), 80)
    assert lines == ["validation/loss  n", "         0.5000  1"]


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0.12345, 0.5], ["0.1235", "0.5000"]), ([12.345, 3.0], ["3.00", "12.35"]), ([1e-5, 2e-5], ["1e-05", "2e-05"]),
        ([0.1, 1e6], ["0.1", "1e+06"]), ([0.5, math.nan], ["0.5000", "nan"]), ([0.0, 0.0], ["0", "0"]),
        ([12345.6, 23456.7], ["12346", "23457"]),
    ],
)  # fmt: skip
def test_numbers_have_the_digits_that_tell_them_apart(values: list[float], shown: list[str]) -> None:
    jobs = (job(at, value) for at, value in enumerate(values))
    assert [line.strip() for line in as_text(results(sweep(*jobs), columns=["loss"]), 80)[1:]] == shown


@pytest.mark.parametrize("width", [12, 20, 40, 60, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    jobs = (
        job(at, 0.5, model__activation__name=LONG, optimizer__lr=10.0**-at, data__größe="数" * 20,
            metrics={f"{stage}/größe": 0.1 for stage in ("training", "validation", "test")})
        for at in range(3)
    )  # fmt: skip
    lines = as_text(results(sweep(*jobs)), width)
    assert max(map(cells, lines)) <= width
    assert lines[0].split()


def test_a_narrow_terminal_keeps_the_objective_and_the_swept_keys() -> None:
    lines = as_text(results(seeds()), 44)
    assert lines[0].split() == ["job", "lr", "seed", "validation/loss"]
    assert lines[-1].startswith("not shown: test/accuracy, state, seconds")
    assert as_text(results(seeds()), 200)[0].split()[1] == "optimizer.lr"


def test_columns_that_a_person_chose_are_never_left_out() -> None:
    lines = as_text(results(seeds(), columns=["accuracy", "seconds", "state"]), 20)
    assert len(lines) == 7
    assert [head[:2] for head in lines[0].split()] == ["te", "se", "st"]


def test_the_best_is_emphasised_and_failed_jobs_are_red() -> None:
    there = sweep(job(0, 0.5), job(1, state="failed"), job(2, 0.1))
    lines = as_text(results(there), 80, styles=STYLES)
    assert [line[:4] for line in lines] == ["\x1b[2m", "\x1b[1m", "  0 ", "\x1b[31"]


def test_nothing_in_a_table_steers_the_terminal() -> None:
    there = sweep(job(0, 0.5, **{"a\x1b[31m": "b\x1b[2J\nc"}))
    text = "\n".join([*as_text(results(there), 80), as_markdown(results(there))])
    assert "\x1b" not in text
    assert len(as_text(results(there), 200)) == 2

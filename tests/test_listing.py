"""Many runs as a table."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from hydrantic.errors import UsageError
from hydrantic.listing import changed, for_people, listing, reasons
from hydrantic.records import Record, records_below
from hydrantic.sweeping.table import as_text
from hydrantic.where import parsed
from tests.runs_on_disk import blueprint, run


def records(folder: Path, *values: dict[str, Any], losses: tuple[float, ...] = ()) -> list[Record]:
    """Runs with these blueprints, a minute apart."""
    for at, each in enumerate(values):
        run(folder / f"r{at}", values=each, number=at, loss=losses[at] if losses else 0.5)
    return records_below(folder)


def shown(found: Any) -> list[str]:
    return [record.label for record in found.records]


def chosen(found: list[Record], *where: str, **options: Any) -> list[str]:
    return sorted(shown(listing(found, where=[parsed(each) for each in where], **options)))


# -- what tells runs apart ---------------------------------------------------------------------------------------------


def test_only_hyperparameters_that_differ_are_told(tmp_path: Path) -> None:
    found = records(tmp_path, blueprint(), blueprint(optimizer__lr=0.1, seed=1), blueprint(optimizer__lr=0.1))
    assert changed(found) == ["seed", "optimizer.lr"]


def test_equal_runs_and_no_runs_differ_in_nothing(tmp_path: Path) -> None:
    assert changed(records(tmp_path, blueprint(), blueprint())) == []
    assert changed([]) == []


def test_another_component_is_one_difference_and_shared_fields_are_others(tmp_path: Path) -> None:
    cnn = {"name": "cnn", "channels": [32], "dropout": 0.2}
    assert changed(records(tmp_path, blueprint(), blueprint(model=cnn))) == ["model.name", "model.dropout"]


def test_fields_in_which_runs_with_the_same_component_differ_are_told(tmp_path: Path) -> None:
    cnn = {"name": "cnn", "channels": [32], "dropout": 0.1}
    found = records(tmp_path, blueprint(), blueprint(model=cnn), blueprint(model=cnn | {"channels": [64]}))
    assert changed(found) == ["model.name", "model.channels"]


def test_a_field_that_some_runs_lack_is_a_difference(tmp_path: Path) -> None:
    found = records(tmp_path, blueprint(), blueprint(data__path="a.csv"))
    assert changed(found) == ["data.path"]


def test_a_component_and_none_is_a_difference_of_names(tmp_path: Path) -> None:
    cosine = {"name": "cosine", "T_max": 3}
    found = records(tmp_path, blueprint(scheduler=None), blueprint(scheduler=cosine))
    assert changed(found) == ["scheduler.name"]
    table = listing(found, columns=["run", "scheduler"]).table
    assert table.rows == (("r1", "cosine"), ("r0", None))


def test_names_and_loggers_are_no_hyperparameters(tmp_path: Path) -> None:
    found = records(tmp_path, blueprint(), blueprint(name="other", loggers={}))
    assert changed(found) == []


@pytest.mark.parametrize("git", ["x", ["x"], None, {}])
def test_a_record_whose_commit_cannot_be_read_has_none(tmp_path: Path, git: Any) -> None:
    run(tmp_path / "a")
    run(tmp_path / "b", git=git)
    table = listing(records_below(tmp_path), columns=["run", "commit"]).table
    assert dict(table.rows) == {"a": "0123456789abcdef", "b": None}


# -- which runs --------------------------------------------------------------------------------------------------------


def test_all_conditions_have_to_hold(tmp_path: Path) -> None:
    values = (blueprint(optimizer__lr=lr, seed=seed) for lr in (0.1, 0.01) for seed in (1, 2))
    found = records(tmp_path, *values, losses=(0.4, 0.3, 0.2, 0.1))
    assert chosen(found, "optimizer.lr>0.05") == ["r0", "r1"]
    assert chosen(found, "optimizer.lr>0.05", "seed=2") == ["r1"]
    assert chosen(found, "validation/loss<=0.2") == ["r2", "r3"]
    assert chosen(found, "test/loss<0.25") == ["r3"]
    assert chosen(found, "run~[03]$") == ["r0", "r3"]


def test_names_may_be_short_where_that_is_plain(tmp_path: Path) -> None:
    found = records(tmp_path, blueprint(optimizer__lr=0.1), blueprint())
    assert chosen(found, "lr=0.1") == ["r0"]
    assert chosen(found, "model=mlp") == ["r0", "r1"]
    with pytest.raises(UsageError, match=r"'name' may mean|no hyperparameter"):
        chosen(found, "nam=x")


def test_an_unknown_name_is_an_error_with_the_near_one(tmp_path: Path) -> None:
    found = records(tmp_path, blueprint())
    with pytest.raises(UsageError, match=r"--where optimzer.lr>1: .*did you mean 'optimizer.lr'"):
        chosen(found, "optimzer.lr>1")
    with pytest.raises(UsageError, match=r"--sort: .*did you mean 'validation/loss'"):
        listing(found, sort="validation/los")
    with pytest.raises(UsageError, match=r"--columns: .*did you mean 'state'"):
        listing(found, columns=["stat"])


def test_a_key_that_is_null_everywhere_is_known(tmp_path: Path) -> None:
    assert chosen(records(tmp_path, blueprint()), "early_stopping=null") == ["r0"]


def test_an_order_between_a_number_and_text_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"optimizer.lr is such as 0.001"):
        chosen(records(tmp_path, blueprint()), "optimizer.lr>fast")


def test_runs_are_chosen_by_their_state(tmp_path: Path) -> None:
    run(tmp_path / "a", status="failed")
    run(tmp_path / "b")
    (run(tmp_path / "c") / "run.json").write_text("{")
    found = records_below(tmp_path)
    assert chosen(found, states=["failed", "broken"]) == ["a", "c"]
    assert chosen(found, "status=failed") == ["a"]
    assert chosen(found, "state!=failed") == ["b", "c"]
    for wrong in ({"states": ["fialed"]}, {"where": [parsed("status=fialed")]}):
        with pytest.raises(UsageError, match="did you mean 'failed'"):
            listing(found, **wrong)


# -- their order -------------------------------------------------------------------------------------------------------


def test_the_latest_comes_first(tmp_path: Path) -> None:
    assert shown(listing(records(tmp_path, blueprint(), blueprint(), blueprint()))) == ["r2", "r1", "r0"]


def test_runs_are_sorted_by_a_metric_and_what_is_no_number_comes_last(tmp_path: Path) -> None:
    found = records(tmp_path, *[blueprint()] * 4, losses=(0.3, math.nan, 0.1, 0.2))
    assert shown(listing(found, sort="validation/loss")) == ["r2", "r3", "r0", "r1"]
    assert shown(listing(found, sort="validation/loss", descending=True)) == ["r0", "r3", "r2", "r1"]
    assert shown(listing(found, sort="validation/loss", most=2)) == ["r2", "r3"]


def test_an_objective_that_is_maximised_has_the_largest_first(tmp_path: Path) -> None:
    best = {"metric": "validation/loss", "mode": "max"}
    found = records(tmp_path, *[blueprint(objective=best)] * 3, losses=(0.3, 0.1, 0.2))
    assert shown(listing(found, sort="validation/loss")) == ["r0", "r2", "r1"]


# -- the table ---------------------------------------------------------------------------------------------------------


def test_the_table_has_state_time_differences_and_metrics(tmp_path: Path) -> None:
    table = listing(records(tmp_path, blueprint(), blueprint(optimizer__lr=0.1))).table
    assert table.columns == ("run", "state", "began", "seconds", "optimizer.lr", "validation/loss", "test/loss")
    assert table.ranks["validation/loss"] == 0
    assert table.keys == ("optimizer.lr",)
    assert table.rows[0][4:] == (0.1, 0.5, 0.6)


def test_differences_are_those_of_the_runs_that_are_shown(tmp_path: Path) -> None:
    found = records(tmp_path, blueprint(seed=1), blueprint(seed=2), blueprint(seed=2))
    assert listing(found, where=[parsed("seed=2")]).table.keys == ()


def test_a_metric_is_the_best_checkpoints_unless_its_last_value_is_asked_for(tmp_path: Path) -> None:
    run(tmp_path / "a", best_metrics={"epoch": 1.0, "validation/loss": 0.2})
    table = listing(records_below(tmp_path), columns=["validation/loss", "final.validation/loss"]).table
    assert table.rows == ((0.2, 0.5),)


def test_runs_that_failed_or_are_broken_have_a_row_and_a_reason(tmp_path: Path) -> None:
    run(tmp_path / "a")
    (run(tmp_path / "b") / "run.json").write_text("{")
    for at in range(6):
        run(tmp_path / f"c{at}", number=at, status="failed", error={"type": "ValueError", "message": f"it broke {at}"})
    found = listing(records_below(tmp_path))
    assert shown(found) == ["c5", "c4", "c3", "c2", "c1", "c0", "a", "b"]
    assert reasons(found.records)[0] == "c5 failed: ValueError: it broke 5"
    assert reasons(found.records)[5:] == ["... and 2 more (--columns run error)"]
    assert reasons(found.records[6:])[0].startswith("b is broken: run.json is not JSON")


def test_how_runs_stand_and_how_long_they_took_is_shown_before_hyperparameters(tmp_path: Path) -> None:
    values = {f"optimizer__{name * 9}": 1 for name in "abcdefgh"}
    run(tmp_path / "2026-11-21_12-00-00-aaaa", values=blueprint(**values))
    run(tmp_path / "2026-11-21_12-01-00-aaaa", values=blueprint(**dict.fromkeys(values, 2)))
    table = for_people(listing(records_below(tmp_path)).table)
    assert as_text(table, 65)[0].split() == ["run", "state", "time", "validation/loss"]
    assert as_text(table, 75)[0].split() == ["run", "state", "time", "aaaaaaaaa", "validation/loss"]


def test_when_runs_began_is_shown_before_further_metrics_where_their_names_do_not_tell_it(tmp_path: Path) -> None:
    run(tmp_path / "2026-11-21_12-00-00-aaaa")
    assert "began" not in as_text(for_people(listing(records_below(tmp_path)).table), 75)[0].split()
    run(tmp_path / "b")
    assert "began" in as_text(for_people(listing(records_below(tmp_path)).table), 85)[0].split()


def test_only_where_they_are_sorted_by_it_the_first_is_the_best(tmp_path: Path) -> None:
    found = records(tmp_path, blueprint(), blueprint(), losses=(0.2, 0.4))
    assert listing(found).table.objective is None
    assert listing(found, sort="validation/loss").table.objective == "validation/loss"


def test_a_name_that_is_nearly_there_is_suggested_by_its_last_part(tmp_path: Path) -> None:
    found = records(tmp_path, blueprint())
    with pytest.raises(UsageError, match="did you mean 'validation/loss'"):
        listing(found, sort="los")
    assert listing(found, sort="time", columns=["time"]).table.columns == ("seconds",)


def test_people_read_times_as_they_say_them(tmp_path: Path) -> None:
    run(tmp_path / "a", seconds=125.0)
    table = for_people(listing(records_below(tmp_path)).table)
    assert table.column("time") == ["2 min 05 s"]


def test_no_runs_are_an_empty_table_whatever_is_asked_of_them() -> None:
    found = listing([], where=[parsed("optimizer.lr>1e-3")], sort="validation/loss", columns=["state"])
    assert (found.records, found.table.rows, found.total) == ((), (), 0)

"""What differs between two runs, blueprints or checkpoints."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from hydrantic.comparing import NOTHING, Comparison, as_record, compared, side, tell
from hydrantic.errors import BlueprintError, UsageError
from hydrantic.fitting import fit
from hydrantic.project import Project
from tests.projects import DIGITS, write
from tests.runs_on_disk import blueprint, run
from tests.tiny import LIGHTNING_WARNINGS

pytestmark = [pytest.mark.filterwarnings(each) for each in LIGHTNING_WARNINGS]


def of(a: Path, b: Path) -> Comparison:
    return compared(side(str(a), Project(None)), side(str(b), Project(None)))


def keys(found: Comparison) -> list[str]:
    return [each.key for each in found.values]


def runs(folder: Path, a: dict[str, Any], b: dict[str, Any], **of_b: Any) -> Comparison:
    return of(run(folder / "a", values=a), run(folder / "b", values=b, **of_b))


# -- values ------------------------------------------------------------------------------------------------------------


def test_equal_runs_do_not_differ_whatever_the_order_of_their_keys(tmp_path: Path) -> None:
    turned = dict(reversed(blueprint().items()))
    found = runs(tmp_path, blueprint(), turned, number=5, seconds=9.0)
    assert found.is_same
    assert "nothing differs" in tell(found, 100)


def test_values_that_differ_are_told_with_both_sides(tmp_path: Path) -> None:
    found = runs(tmp_path, blueprint(), blueprint(optimizer__lr=0.1, model__hidden_dims=[64, 64]))
    assert [(each.key, each.a, each.b) for each in found.values] == [
        ("model.hidden_dims", [64], [64, 64]),
        ("optimizer.lr", 0.001, 0.1),
    ]


def test_a_value_that_one_side_lacks_is_told(tmp_path: Path) -> None:
    (change,) = runs(tmp_path, blueprint(), blueprint(data__path="a.csv")).values
    assert (change.key, change.a, change.b) == ("data.path", NOTHING, "a.csv")
    assert "b" in as_record(runs(tmp_path / "2", blueprint(), blueprint(data__path="a.csv")))["values"][0]


def test_another_component_is_one_change(tmp_path: Path) -> None:
    found = runs(tmp_path, blueprint(), blueprint(model={"name": "cnn", "channels": [32]}))
    assert keys(found) == ["model"]
    text = tell(found, 100)
    assert "  - mlp hidden_dims: [64], dropout: 0.1" in text
    assert "  + cnn channels: [32]" in text


def test_a_section_that_is_null_on_one_side_is_one_change(tmp_path: Path) -> None:
    found = runs(tmp_path, blueprint(), blueprint(early_stopping={"patience": 3}))
    assert keys(found) == ["early_stopping"]


def test_numbers_are_compared_as_numbers(tmp_path: Path) -> None:
    odd = {"a": 1, "b": math.nan, "c": True, "d": 1}
    same = {"a": 1.0, "b": math.nan, "c": 1, "d": "1"}
    assert keys(runs(tmp_path, blueprint(vars=odd), blueprint(vars=same))) == ["vars.c", "vars.d"]


# -- what they came to and ran with ------------------------------------------------------------------------------------


def test_metrics_are_told_with_their_difference(tmp_path: Path) -> None:
    found = runs(tmp_path, blueprint(), blueprint(), loss=0.25)
    assert [each.key for each in found.final] == ["validation/loss", "test/loss"]
    assert found.best == ()  # those of the end
    lines = tell(found, 100).splitlines()
    assert [line.split() for line in lines if "validation/loss" in line] == [
        ["validation/loss", "0.5", "0.25", "-0.25"]
    ]


def test_metrics_at_the_best_checkpoint_are_told_where_it_is_not_the_end(tmp_path: Path) -> None:
    found = runs(tmp_path, blueprint(), blueprint(), best_metrics={"epoch": 1.0, "validation/loss": 0.1})
    assert [(each.key, each.a, each.b) for each in found.best] == [("validation/loss", 0.5, 0.1)]


def test_near_metrics_are_written_with_the_digits_that_tell_them_apart(tmp_path: Path) -> None:
    found = runs(tmp_path, blueprint(), blueprint(), loss=0.500000125)
    assert "0.5000001" in tell(found, 100)


def test_versions_commit_data_and_sources_are_compared(tmp_path: Path) -> None:
    other = {"versions": {"torch": "2.14.0"}, "git": {"commit": "f" * 40, "dirty": True}, "data": "xyz"}
    found = runs(tmp_path, blueprint(), blueprint(), components={"model/mlp": "bb"}, **other)
    assert {each.key: each.b for each in found.circumstances} == {
        "version of torch": "2.14.0", "commit": "ffffffffffff with changes", "data": "xyz",
    }  # fmt: skip
    assert [each.key for each in found.components] == ["model/mlp"]
    assert "model/mlp" in tell(found, 100)


def test_a_record_of_another_form_is_compared_as_far_as_it_goes(tmp_path: Path) -> None:
    found = runs(tmp_path, blueprint(), blueprint(), versions=5, git=[1], seconds=10**400)
    assert found.circumstances == ()
    assert tell(found, 100)


# -- what may be compared ----------------------------------------------------------------------------------------------


def test_blueprints_are_compared_as_they_would_run(tmp_path: Path) -> None:
    a = write(tmp_path / "a.yaml", "name: a\n" + DIGITS)
    b = write(tmp_path / "b.yaml", "name: a\n" + DIGITS.replace("mlp", "{name: mlp, dropout: 0.5}"))
    found = of(a, b)
    assert [(each.key, each.a, each.b) for each in found.values] == [("model.dropout", 0.0, 0.5)]


def test_two_blueprints_differ_in_what_one_leaves_to_the_data(tmp_path: Path) -> None:
    a = write(tmp_path / "a.yaml", "name: a\n" + DIGITS)
    b = write(tmp_path / "b.yaml", "name: a\n" + DIGITS.replace("mlp", "{name: mlp, in_features: 64}"))
    assert keys(of(a, b)) == ["model.in_features"]


def test_a_blueprint_with_problems_is_refused_with_all_of_them(tmp_path: Path) -> None:
    a = write(tmp_path / "a.yaml", DIGITS)
    with pytest.raises(BlueprintError, match="did you mean 'mlp'"):
        of(a, write(tmp_path / "b.yaml", DIGITS.replace("mlp", "mpl")))


def test_a_run_is_like_its_blueprint_and_its_checkpoint(tmp_path: Path, scratch: None) -> None:
    file = write(tmp_path / "a.yaml", DIGITS)
    done = fit(file, runs=tmp_path / "runs", test=False)
    assert of(file, done.path).values == ()  # what the data supplies is no difference
    other = write(
        tmp_path / "b.yaml", "name: a\n" + DIGITS.replace("{max_epochs: 1}", "{max_epochs: 1, accelerator: cpu}")
    )
    assert keys(of(done.path, other)) == ["trainer.accelerator"]
    found = of(done.path, done.path / "checkpoints" / "last.ckpt")
    assert found.is_same, as_record(found)
    assert "checkpoint" in as_record(found)["b"]["kind"]


def test_a_folder_of_runs_means_the_latest(tmp_path: Path) -> None:
    run(tmp_path / "runs" / "a", number=1)
    run(tmp_path / "runs" / "b", number=2, loss=0.1)
    found = side(str(tmp_path / "runs"), Project(None))
    assert found.final["validation/loss"] == 0.1
    assert found.note is not None


def test_what_tells_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no run"):
        side(str(tmp_path / "nowhere"))
    broken = run(tmp_path / "broken")
    (broken / "run.json").write_text("{")
    (broken / "blueprint.yaml").unlink()
    with pytest.raises(UsageError, match=r"run.json is not JSON"):
        side(str(broken))


def test_a_page_is_no_wider_than_the_terminal(tmp_path: Path) -> None:
    found = runs(tmp_path, blueprint(), blueprint(vars={"text": "wide " * 50}, model={"name": "cnn", "x": "y " * 90}))
    assert max(map(len, tell(found, 60).splitlines()[3:])) <= 60
    assert "\x1b[" in tell(found, 60, is_coloured=True)


def test_a_record_cannot_speak_to_the_terminal(tmp_path: Path) -> None:
    evil = "\x1b[2J"
    found = runs(
        tmp_path, blueprint(), blueprint(vars={evil: evil}), loss=0.1, components={"model/mlp": evil, evil: "x"}
    )
    assert "\x1b" not in tell(found, 100)

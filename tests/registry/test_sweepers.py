"""The sweepers that list every job before the first begins."""

from __future__ import annotations

import math
from typing import Any

import pytest

from hydrantic import Choice, InvalidField, Range, Space, Sweeper
from hydrantic.components import choose
from hydrantic.sweeping.space import extremes, overlaid

LR = {"optimizer.lr": Choice(("0.1", "0.01"))}
SEEDS = {"seed": Choice(("1", "2", "3"))}


def sweeper(name: str, **fields: Any) -> Sweeper:
    made: Sweeper = choose("sweeper", {"name": name, **fields}).build()
    return made


def combinations(name: str, written: Space, given: Space | None = None, **fields: Any) -> list[str]:
    return [" ".join(each) for each in sweeper(name, **fields).combinations(written, given or {})]


# -- the space --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("range_", "values"),
    [
        (Range(1, 3, integer=True), ("1", "2", "3")),
        (Range(1, 10, integer=True, step=3), ("1", "4", "7", "10")),
        (Range(1, 9, integer=True, step=3), ("1", "4", "7")),
        (Range(0.1, 0.5, step=0.1), ("0.1", "0.2", "0.3", "0.4", "0.5")),
        (Range(-1, 1, step=0.5), ("-1.0", "-0.5", "0.0", "0.5", "1.0")),
        (Range(2.5, 2.5), ("2.5",)),
        (Range(3, 2, integer=True), ()),
        (Range(0, 1), None),
        (Range(0, 10**9, integer=True), None),
    ],
)
def test_the_values_of_a_range_are_written_as_a_person_would(range_: Range, values: tuple[str, ...] | None) -> None:
    assert range_.texts() == values


def test_a_number_is_written_exactly_and_on_the_steps_of_its_range() -> None:
    assert float(Range(0, 1).text(0.1 + 0.2)) == 0.1 + 0.2
    assert Range(0, 1, step=0.1).text(0.1 + 0.2) == "0.3"
    assert Range(1, 9, integer=True).text(4.0) == "4"
    assert Range(1e-6, 1e-1, log=True).text(1e-5) == "1e-05"


def test_what_is_given_takes_the_place_of_what_is_written_in_whatever_spelling() -> None:
    written: Space = {"a": Choice(("1",)), "+b": Choice(("2",)), "c": Choice(("3",))}
    assert overlaid(written, {"b": Choice(("4",)), "++c": Choice(("5",)), "d": Choice(("6",))}) == {
        "a": Choice(("1",)),
        "b": Choice(("4",)),
        "++c": Choice(("5",)),
        "d": Choice(("6",)),
    }


def test_the_extremes_have_both_ends_of_each_range_and_every_choice() -> None:
    space: Space = {
        "lr": Range(1e-4, 1e-1, log=True),
        "model": Choice(("mlp", "cnn")),
        "depth": Range(1, 5, integer=True),
    }
    assert extremes(space) == (
        ("lr=0.0001", "model=mlp", "depth=1"),
        ("lr=0.1", "model=mlp", "depth=1"),
        ("lr=0.0001", "model=cnn", "depth=1"),
        ("lr=0.0001", "model=mlp", "depth=5"),
    )


# -- grid -------------------------------------------------------------------------------------------------------------


def test_a_grid_has_every_combination_with_the_first_key_changing_slowest() -> None:
    assert combinations("grid", LR, SEEDS) == [
        "optimizer.lr=0.1 seed=1",
        "optimizer.lr=0.1 seed=2",
        "optimizer.lr=0.1 seed=3",
        "optimizer.lr=0.01 seed=1",
        "optimizer.lr=0.01 seed=2",
        "optimizer.lr=0.01 seed=3",
    ]


def test_the_command_line_replaces_the_values_that_the_blueprint_writes() -> None:
    assert combinations("grid", {**LR, **SEEDS}, {"optimizer.lr": Choice(("1",))})[:2] == [
        "optimizer.lr=1 seed=1",
        "optimizer.lr=1 seed=2",
    ]


def test_a_grid_goes_through_integers_and_steps() -> None:
    assert combinations("grid", {"d": Range(1, 2, integer=True), "p": Range(0, 0.5, step=0.25)}) == [
        "d=1 p=0.0", "d=1 p=0.25", "d=1 p=0.5", "d=2 p=0.0", "d=2 p=0.25", "d=2 p=0.5",
    ]  # fmt: skip


def test_the_grid_has_hydras_name_for_it_too() -> None:
    assert combinations("basic", SEEDS) == ["seed=1", "seed=2", "seed=3"]


def test_what_a_blueprint_writes_is_handed_on_as_it_is() -> None:
    params = {"seed": "1,2,3", "optimizer.lr": [0.1, 0.01], "model": "choice(mlp, cnn)"}
    for name in ("grid", "zip", "random", "optuna"):
        assert sweeper(name, params=params).space() == params


@pytest.mark.parametrize("name", ["grid", "zip"])
@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, r"nothing is swept"),
        ({"lr": Range(0, 1)}, r"lr: the values from 0 to 1 cannot be .*range\(start, stop, step\).*random or optuna"),
        ({"n": Range(0, 10**7, integer=True)}, r"n: .*cannot be gone through one by one"),
        ({"n": Choice(())}, r"n: there is no value"),
        ({"n": Range(3, 1, integer=True)}, r"n: there is no value"),
    ],
)
def test_what_cannot_be_gone_through_is_refused(name: str, space: Space, message: str) -> None:
    with pytest.raises(InvalidField, match=message) as caught:
        sweeper(name).combinations(space, {})
    assert caught.value.field == "params"


# -- zip --------------------------------------------------------------------------------------------------------------


def test_lists_of_one_length_go_together() -> None:
    written: Space = {"model.width": Choice(("8", "16")), **LR}
    assert combinations("zip", written) == ["model.width=8 optimizer.lr=0.1", "model.width=16 optimizer.lr=0.01"]


def test_lists_that_go_together_are_combined_with_what_the_command_line_sweeps() -> None:
    written: Space = {"w": Choice(("8", "16")), "l": Choice(("1", "2"))}
    assert combinations("zip", written, {"seed": Choice(("3", "4"))}) == [
        "w=8 l=1 seed=3", "w=8 l=1 seed=4", "w=16 l=2 seed=3", "w=16 l=2 seed=4",
    ]  # fmt: skip


def test_a_list_that_the_command_line_replaces_goes_with_no_other() -> None:
    written: Space = {"w": Choice(("8", "16")), "l": Choice(("1", "2"))}
    assert combinations("zip", written, {"l": Choice(("5",))}) == ["w=8 l=5", "w=16 l=5"]
    assert combinations("zip", {"w": Choice(("8", "16"))}, {"w": Choice(("1", "2", "3"))}) == ["w=1", "w=2", "w=3"]


def test_lists_of_the_command_line_go_together_where_none_of_the_blueprint_is_left() -> None:
    given: Space = {"w": Choice(("8", "16")), "l": Choice(("1", "2"))}
    assert combinations("zip", {}, given) == ["w=8 l=1", "w=16 l=2"]
    assert combinations("zip", {"w": Choice(("3", "4", "5"))}, given) == ["w=8 l=1", "w=16 l=2"]


@pytest.mark.parametrize(("written", "given"), [({**LR, **SEEDS}, {}), ({}, {**LR, **SEEDS})])
def test_lists_of_unequal_lengths_are_named_with_their_lengths(written: Space, given: Space) -> None:
    with pytest.raises(InvalidField, match=r"of one length: optimizer\.lr has 2, seed has 3"):
        sweeper("zip").combinations(written, given)


# -- random -----------------------------------------------------------------------------------------------------------

WIDE: Space = {
    "lr": Range(1e-5, 1e-1, log=True),
    "dropout": Range(0, 0.5, step=0.1),
    "depth": Range(1, 4, integer=True),
    "model": Choice(("mlp", "cnn")),
}


def test_the_same_seed_draws_the_same_combinations() -> None:
    drawn = combinations("random", WIDE, n_trials=12, seed=4)
    assert drawn == combinations("random", WIDE, n_trials=12, seed=4)
    assert drawn != combinations("random", WIDE, n_trials=12, seed=5)
    assert drawn[:6] == combinations("random", WIDE, n_trials=6, seed=4)


def test_what_is_drawn_lies_in_its_range() -> None:
    rows = [dict(each.split("=") for each in row.split()) for row in combinations("random", WIDE, n_trials=300)]
    assert {row["depth"] for row in rows} == {"1", "2", "3", "4"}
    assert {row["dropout"] for row in rows} == {"0.0", "0.1", "0.2", "0.3", "0.4", "0.5"}
    assert {row["model"] for row in rows} == {"mlp", "cnn"}
    exponents = [math.log10(float(row["lr"])) for row in rows]
    assert -5 <= min(exponents) < -4.9
    assert -1.1 < max(exponents) <= -1
    assert abs(sum(exponents) / len(exponents) + 3) < 0.2  # equal ratios are equally likely


def test_nothing_is_drawn_twice_until_everything_was() -> None:
    drawn = combinations(
        "random", {"a": Range(1, 30, integer=True, log=True), "b": Choice(("x", "y", "x"))}, n_trials=60
    )
    assert len(set(drawn)) == 60


def test_more_trials_than_there_are_combinations_are_refused() -> None:
    with pytest.raises(InvalidField, match="there are only 6 different combinations, not 7") as caught:
        sweeper("random", n_trials=7).combinations(LR, SEEDS)
    assert caught.value.field == "n_trials"


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "nothing is swept"),
        ({"a": Choice(())}, "a: there is no value"),
        ({"a": Range(0, 1, log=True)}, "a: a logarithmic range must begin above 0, not at 0"),
        ({"a": Range(2, 1)}, "a: 2 is greater than 1"),
        ({"a": Range(2, 1, integer=True)}, "a: there is no value"),
    ],
)
def test_what_cannot_be_drawn_is_refused(space: Space, message: str) -> None:
    with pytest.raises(InvalidField, match=message):
        sweeper("random").combinations(space, {})


@pytest.mark.parametrize("trials", [0, -1, "3", 1.5])
def test_a_number_of_trials_is_a_positive_integer(trials: Any) -> None:
    with pytest.raises(ValueError, match="trials"):
        sweeper("random", n_trials=trials)


# -- in a blueprint ---------------------------------------------------------------------------------------------------


def test_a_slot_with_a_default_takes_a_block_without_a_name() -> None:
    optuna = choose("sweeper", {"name": "optuna", "sampler": {"warn_independent_sampling": True}})
    assert optuna.hparams.sampler.name == "tpe"
    assert optuna.hparams.sampler.hparams.warn_independent_sampling is True
    with pytest.raises(ValueError, match="tpe has no field 'popsize'"):
        choose("sweeper", {"name": "optuna", "sampler": {"popsize": 3}})
    with pytest.raises(ValueError, match="needs a `name` that chooses a pruner"):
        choose("sweeper", {"name": "optuna", "pruner": {"n_startup_trials": 3}})

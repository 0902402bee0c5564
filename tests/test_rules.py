"""Rules that values obey beside their types."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import ValidationError

from hydrantic.hparams import Hparams
from hydrantic.rules import DEVICES, DURATION, INSIDE_THE_RUN, PART, RULES, SHARE, Interval, Split, are_lengths


class Ruled(Hparams):
    """One field for each rule."""

    name: Annotated[str | None, INSIDE_THE_RUN] = None
    domain: Interval = (0.0, 1.0)
    split: Split = (0.8, 0.1, 0.1)
    share: Annotated[int | float, SHARE] = 1.0
    part: Annotated[int | float | str, PART] = 1.0
    devices: Annotated[int | str, DEVICES] = "auto"
    time: Annotated[str | None, DURATION] = None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"name": "../up"}, "must lie below the run's directory"),
        ({"name": "/absolute"}, "must lie below the run's directory"),
        ({"domain": [1, 1]}, "must go from a smaller to a larger number"),
        ({"domain": [2, 1]}, "must go from a smaller to a larger number"),
        ({"split": [0, 1, 1]}, "must leave samples for training"),
        ({"split": [0.8, 0.2, 0.1]}, "fractions that sum to at most 1, or three whole numbers; these sum to 1.1"),
        ({"share": 1.5}, "must be a number of batches, or a fraction from 0.0 to 1.0"),
        ({"part": 0}, "must be greater than 0"),
        ({"part": 1.5}, "must be a number of batches, or a fraction from 0.0 to 1.0"),
        ({"devices": 0}, "must be at least 1, or -1 for all there are"),
        ({"time": "12 minutes"}, "must be days:hours:minutes:seconds, as in 00:12:00:00"),
    ],
)
def test_a_value_against_its_rule_is_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Ruled.from_dict(values)


@pytest.mark.parametrize("split", [[0.8, 0.1, 0.1], [0.5, 0, 0.5], [1, 0, 0], [100, 20, 20], [0.7, 0.2, 0.1]])
def test_a_split_is_fractions_or_lengths(split: list[float]) -> None:
    assert Ruled.from_dict({"split": split}).split == tuple(split)


def test_ones_and_zeros_are_fractions() -> None:
    assert not are_lengths([1, 0, 0])
    assert are_lengths([2, 0, 0])


def test_every_rule_is_known_by_its_name() -> None:
    assert {name: rule.name for name, rule in RULES.items()} == {name: name for name in RULES}


def test_what_obeys_its_rule_is_kept() -> None:
    values = {"share": 20, "part": 0.5, "devices": -1, "time": "1:00:00:00"}
    assert {name: value for name, value in Ruled.from_dict(values).items() if name in values} == values

"""The accepted name that a misspelt one is nearest to."""

from __future__ import annotations

import pytest

from hydrantic.suggestions import did_you_mean, nearest

BIRDS = ("heron", "Kestrel", "kingfisher", "long_tailed_tit", "owl", "red.kite")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("heorn", "heron"), ("kestrel", "Kestrel"), ("KESTREL", "Kestrel"), ("kingfishers", "kingfisher"),
        ("longtailed_tit", "long_tailed_tit"), ("king", "kingfisher"), ("oowl", "owl"), ("red.kit", "red.kite"),
        ("ostrich", None), ("k", None), ("", None),
    ],
)  # fmt: skip
def test_the_nearest_name_is_found_or_none(name: str, expected: str | None) -> None:
    assert nearest(name, BIRDS) == expected


def test_a_beginning_that_several_names_share_is_near_none() -> None:
    assert nearest("gra", ("gray_tit_one", "grass_warbler_two")) is None


def test_nothing_is_near_where_there_is_nothing() -> None:
    assert nearest("heron", ()) is None


def test_the_nearest_name_is_offered() -> None:
    assert did_you_mean("heorn", BIRDS) == "; did you mean 'heron'?"


def test_names_are_listed_where_none_is_near() -> None:
    assert did_you_mean("x", ("owl", "heron")) == "; there are heron, owl"
    assert did_you_mean("x", ("owl", "heron"), "it has") == "; it has heron, owl"


def test_a_long_list_is_cut() -> None:
    listed = did_you_mean("x", [f"bird{number:02}" for number in range(40)])
    assert listed.startswith("; there are bird00, bird01, ")
    assert listed.endswith("bird11, ...")


def test_dotted_paths_are_not_listed_beside_names() -> None:
    assert did_you_mean("x", ("owl", "birds.of.Prey")) == "; there are owl"
    assert did_you_mean("x", ("birds.of.Prey",)) == "; there are birds.of.Prey"


def test_it_is_said_when_there_are_none() -> None:
    assert did_you_mean("x", ()) == "; there are none"

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hydrantic.folders import Place, filled_in, leads_outside, left_alone

PLACE = Place("digits", 3, ("seed=1", "model=cnn"), time.strptime("2026-11-21 09:30:12", "%Y-%m-%d %H:%M:%S"))


@pytest.mark.parametrize(
    ("template", "folder"),
    [
        ("plain/name", "plain/name"),
        ("${now:%Y-%m-%d}/${now:%H-%M-%S}", "2026-11-21/09-30-12"),
        ("${hydra.job.num}", "3"),
        ("${hydra:job.num}", "3"),
        ("${hydra.job.name}_${hydra.job.num}", "digits_3"),
        ("${hydra.job.override_dirname}", "model=cnn,seed=1"),
        ("${name}", "${name}"),
    ],
)
def test_a_template_is_filled_in_as_by_hydra(template: str, folder: str) -> None:
    assert filled_in(template, PLACE) == folder


def test_an_override_becomes_no_folder_of_its_own() -> None:
    assert filled_in("${hydra.job.override_dirname}", Place("x", 0, ("data.path=../a/b",))) == "data.path=.._a_b"


def test_the_working_directory_can_be_named() -> None:
    assert filled_in("${hydra:runtime.cwd}/runs", PLACE) == f"{Path.cwd()}/runs"


def test_what_is_filled_in_later_is_escaped_and_nothing_else() -> None:
    assert left_alone("${vars.x}/${now:%Y}") == "${vars.x}/\\${now:%Y}"
    assert left_alone("\\${now:%Y}") == "\\${now:%Y}"


@pytest.mark.parametrize(
    "text", ["/tmp/x", "~/x", "a/../../b", "..", "C:/x", "\\\\host\\x", "a\\..\\b", "${hydra:runtime.cwd}/x"]
)
def test_a_folder_that_leads_outside_is_known(text: str) -> None:
    assert leads_outside(text)


@pytest.mark.parametrize("text", ["a", "a/b", "a..b", "${now:%Y}/${hydra.job.num}", "größe/1 2"])
def test_a_folder_inside_is_let_be(text: str) -> None:
    assert not leads_outside(text)

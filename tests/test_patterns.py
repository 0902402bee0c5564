"""Patterns in words: which characters a text may have, and which of its own it may not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrantic.manifest import current
from hydrantic.patterns import characters, misfit
from hydrantic.phrases import words
from hydrantic.problems import Problem
from hydrantic.project import Project
from hydrantic.registries import KINDS
from hydrantic.source import Source
from hydrantic.wording import message

LABEL = r"^[A-Za-z0-9_-]+$"
HERE = Source(Path("a.yaml"), 1, 1)
LIST = r"^[\w][\w.,:()\[\]-]*$"


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        (LABEL, "letters, digits, '_' and '-'"),
        (LIST, "letters, digits and any of _.,:()[]-"),
        (r"^[a-z]*$", "letters"),
        (r"^[\w ]*$", "letters, digits, spaces and '_'"),
        (r"^[0-9]+[KM]?$", None),
        (r"^[^/]*$", None),
        (r"^(a|b)$", None),
    ],
)
def test_a_set_of_characters_is_told_in_words(pattern: str, said: str | None) -> None:
    assert characters(pattern) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must not be empty"),
        ("-a", "may not begin with '-'"),
        ("a b", "may have only letters, digits and any of _.,:()[]-, not a space"),
        ("a\nb", "may have only letters, digits and any of _.,:()[]-, not a line break"),
        ("a\x1b", "may have only letters, digits and any of _.,:()[]-, not the character U+001B"),
        ("a$", "may have only letters, digits and any of _.,:()[]-, not '$'"),
    ],
)
def test_the_character_that_is_in_the_way_is_named(text: str, said: str) -> None:
    assert misfit(LIST, text) == said


@given(st.text(max_size=5))
def test_whatever_does_not_match_is_told_why(text: str) -> None:
    if re.fullmatch(LIST, text) is None:
        told = misfit(LIST, text)
        assert told is not None
        assert told.isprintable()


def test_a_pattern_of_another_kind_is_told_as_it_is() -> None:
    limits = {"limits": {"pattern": "^(a|b)$"}, "value": "c"}
    assert message(Problem("value:string_pattern_mismatch", HERE, ("x",), limits)) == ("must have the form ^(a|b)$")
    assert words({"where": "str", "pattern": "^(a|b)$"}) == "text, of the form ^(a|b)$"
    assert words({"where": "str", "pattern": LABEL}) == "text, of letters, digits, '_' and '-'"


def patterns_in(form: Any) -> Iterator[str]:
    if isinstance(form, dict):
        if isinstance(form.get("pattern"), str) and "where" in form:
            yield form["pattern"]
        for each in form.values():
            yield from patterns_in(each)
    elif isinstance(form, list):
        for each in form:
            yield from patterns_in(each)


@pytest.mark.usefixtures("scratch")
def test_every_pattern_of_the_shelf_has_words() -> None:
    known = current(Project(None))
    found = set(patterns_in([dict(each.fields) for kind in KINDS for each in known.all(kind)]))
    assert found
    for pattern in found:
        limits = {"limits": {"pattern": pattern}, "value": "\n"}
        assert pattern not in message(Problem("value:string_pattern_mismatch", HERE, ("x",), limits))

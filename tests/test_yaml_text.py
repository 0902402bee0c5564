"""YAML text that reads back as the same data."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hydrantic.document import CODE_KEYS, Document
from hydrantic.interpolation import escaped, resolve
from hydrantic.reading import parse_yaml
from hydrantic.source import KeyPath
from hydrantic.yaml_text import to_commented_yaml, to_inline_yaml, to_yaml

FILE = Path("/nowhere/record.yaml")

TRICKY = [
    "", " ", "~", "null", "Null", "true", "False", "off", "On", "yes", "NO", "y", "012", "0x1F", "0o17", "1_0",
    "1e-3", "1E5", "-1", "+1", ".5", "5.", "inf", "-inf", "nan", ".inf", ".NaN", "12:30", "2024-01-01", "=", "<<",
    "*a", "&a", "!tag", "@x", "`x`", "%x", "-", "- a", "?", "? a", ":", "a:", "a: b", "a #b", "#b", "'", '"', "it's",
    '"quoted"', "{", "}", "[a]", "a, b", "|", ">", "\\", "\\n", "${x}", "\\${x}", "$", "$${a}", "${", "{a}", "???",
    "tab\there", "two\nlines", "two\n\nparagraphs", "ends\n", "\nbegins", " leading", "trailing ",
    "line \n with spaces \n", "  indented\nless", "\n", "\n\n", "a\n b\n  c", "übergröße", "日本語", "emoji 🐙",
    "\x85next", "\u2028sep", "\ufeffbom", "no\xa0break", "x" * 300, "word " * 60, "---", "...", "--- a",
    "key: value\nother: 1", "# not a comment\n", "\r", "a\r\nb", "_target_", "1.0e+3", "1__0", "0", "00", "-0",
]  # fmt: skip

texts = st.sampled_from(TRICKY) | st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]) | st.sampled_from("\n\t"), max_size=30
)
numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False)
scalars = st.none() | st.booleans() | numbers | texts
keyed = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=12) | (
    st.sampled_from([text for text in TRICKY if text])
)
# Keys that name code are refused, and << merges.
keys = keyed.filter(lambda key: key not in CODE_KEYS | {"<<"})
data = st.dictionaries(
    keys,
    st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
    ),
    max_size=5,
)


def _read(text: str) -> Any:
    return parse_yaml(text, FILE).plain()


def _same(found: Any, expected: Any) -> bool:
    if isinstance(expected, dict):
        same_keys = isinstance(found, dict) and list(found) == list(expected)
        return same_keys and all(_same(found[key], expected[key]) for key in expected)
    if isinstance(expected, list | tuple):
        return isinstance(found, list) and len(found) == len(expected) and all(map(_same, found, expected))
    if isinstance(expected, float) and math.isnan(expected):
        return isinstance(found, float) and math.isnan(found)
    return (
        type(found) is type(expected)
        and found == expected
        and math.copysign(1, _number(found)) == math.copysign(1, _number(expected))
    )


def _number(value: Any) -> float:
    return value if isinstance(value, float) else 1.0


@pytest.mark.parametrize("text", TRICKY)
def test_text_that_looks_like_something_else_stays_text(text: str) -> None:
    written = to_yaml({"value": text, "list": [text], "nested": {"value": text}})
    assert _read(written) == {"value": text, "list": [text], "nested": {"value": text}}


@pytest.mark.parametrize(
    "number",
    [0, -1, 10**30, 0.0, -0.0, 1.0, 1e-5, 1e22, 1e300, 5e-324, 0.1, math.pi, math.inf, -math.inf, math.nan],
)
def test_a_number_is_read_back_exactly_and_as_the_same_type(number: float) -> None:
    assert _same(_read(to_yaml({"value": number}))["value"], number)


@settings(derandomize=True, deadline=None, max_examples=300, database=None)
@given(data)
def test_any_data_reads_back_as_itself(plain: dict[str, Any]) -> None:
    assert _same(_read(to_yaml(plain)), plain)


@settings(derandomize=True, deadline=None, max_examples=150, database=None)
@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), texts | st.lists(texts, max_size=3), max_size=5))
def test_text_that_was_escaped_for_a_record_is_interpolated_to_itself(plain: dict[str, Any]) -> None:
    record = {key: [*map(escaped, each)] if isinstance(each, list) else escaped(each) for key, each in plain.items()}
    document = Document(parse_yaml(to_yaml(record), FILE), {}, FILE)
    assert resolve(document).document.plain() == plain


@settings(derandomize=True, deadline=None, max_examples=100, database=None)
@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), scalars, max_size=5))
def test_another_yaml_reader_takes_text_for_text(plain: dict[str, Any]) -> None:
    found = yaml.safe_load(to_yaml(plain)) or {}
    assert {key for key, value in found.items() if isinstance(value, str)} == {
        key for key, value in plain.items() if isinstance(value, str)
    }


def test_a_tuple_is_written_as_a_list() -> None:
    assert to_yaml({"size": (1, 2)}) == "size: [1, 2]\n"


def test_keys_keep_their_order_and_short_lists_one_line() -> None:
    assert to_yaml({"b": [1, "a"], "a": {"deep": [{"x": 1}, {"y": []}]}}) == (
        "b: [1, a]\na:\n  deep:\n    - x: 1\n    - y: []\n"
    )


def test_text_of_several_lines_is_written_as_such() -> None:
    assert to_yaml({"about": "one\ntwo\n"}) == "about: |\n  one\n  two\n"


def test_the_same_object_twice_is_written_twice() -> None:
    shared = {"x": 1}
    assert to_yaml({"a": shared, "b": shared}) == "a:\n  x: 1\nb:\n  x: 1\n"


def _paths(value: Any, path: KeyPath = ()) -> list[KeyPath]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(each for part, inner in parts for each in _paths(inner, (*path, part)))]


@settings(derandomize=True, deadline=None, max_examples=150, database=None)
@given(data, texts)
def test_comments_change_nothing(value: dict[str, Any], comment: str) -> None:
    text = to_commented_yaml(value, dict.fromkeys(_paths(value), f"{comment} # {comment}"))
    assert _same(_read(text), value)


def test_a_comment_stands_at_the_end_of_its_value() -> None:
    value = {
        "a": 1, "text": "two\nlines\n", "l": [1, 2], "d": {"e": None, "f": {}}, "b": [{"c": 1}, [1, [2]]],
        "far away from all the others, and longer than that": 3,
    }  # fmt: skip
    comments = {path: f"at\n{'.'.join(map(str, path))}" for path in _paths(value)} | {("a",): "\x07"}
    assert (
        to_commented_yaml(value, comments)
        == """\
a: 1       # ?
text: |    # at text
  two
  lines
l: [1, 2]  # at l
d:
  e: null  # at d.e
  f: {}    # at d.f
b:
  - c: 1   # at b.0.c
  - - 1    # at b.1.0
    - [2]  # at b.1.1
far away from all the others, and longer than that: 3  # at far away from all the others, and longer than that
"""
    )


def test_a_comment_on_long_text_stands_behind_its_last_line() -> None:
    lines = to_commented_yaml({"long": "word " * 30}, {("long",): "here"}).splitlines()
    assert lines[0].endswith(" word")
    assert lines[1] == "  word word word word word word word '  # here"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"), (True, "true"), (1e-5, "1.0e-05"), ("a: b", "'a: b'"), ("", "''"), ("[", "'['"), ({}, "{}"),
        ([1, [2]], "[1, [2]]"), ({"a": {"b": [1, {"c": "x, y"}]}}, "{a: {b: [1, {c: 'x, y'}]}}"),
        ("two\nlines", '"two\\nlines"'), ("word " * 60, f"'{'word ' * 60}'"),
        ("9" * 5000, f"'{'9' * 5000}'"),
    ],
)  # fmt: skip
def test_a_value_can_stand_on_one_line(value: Any, text: str) -> None:
    assert to_inline_yaml(value) == text


@given((scalars | data).filter(lambda value: "${" not in str(value)))
def test_a_value_on_one_line_reads_back(value: Any) -> None:
    text = to_inline_yaml(value)
    assert "\n" not in text
    assert _same(_read(f"value: {text}\n"), {"value": value})

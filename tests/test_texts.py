"""Text that is cut, lists that break off, counted things, columns."""

from __future__ import annotations

import json

import pytest

from hydrantic.texts import aligned, counted, cut, listed, on_one_line, visible, visible_json


@pytest.mark.parametrize(
    ("text", "said"), [("short", "short"), ("just right", "just right"), ("eleven sign", "eleven..."), ("", "")]
)
def test_only_what_is_too_long_is_cut(text: str, said: str) -> None:
    assert cut(text, 10) == said


def test_a_list_breaks_off_where_there_are_more_names() -> None:
    assert (listed([]), listed(["a", "b"], 2), listed(["a", "b", "c"], 2)) == ("", "a, b", "a, b, ...")


@pytest.mark.parametrize(("number", "said"), [(0, "0 rows"), (1, "1 row"), (1437, "1,437 rows")])
def test_a_number_stands_with_what_it_counts(number: int, said: str) -> None:
    assert counted(number, "row") == said


def test_columns_stand_below_each_other_and_lines_end_with_their_text() -> None:
    rows = [("a", "1", "x"), ("long", "100", "")]
    assert aligned(rows) == ["a     1    x", "long  100"]
    assert aligned(rows, numbers={1}) == ["a       1  x", "long  100"]
    assert aligned([]) == []


def test_what_a_terminal_would_obey_is_written_out() -> None:
    assert visible("\x1b[31mred\x07 \x9b \u202e \udcff") == "\\x1b[31mred\\x07 \\x9b \\u202e \\udcff"
    assert visible("ä\tb\nc\u4e2d") == "ä\tb\nc\u4e2d"
    assert on_one_line("a\r\nb") == "a\\r\\nb"


def test_json_says_the_same_afterwards() -> None:
    said = "\x9b\u2028\u202eü\udcff"
    shown = visible_json(json.dumps(said, ensure_ascii=False))
    assert json.loads(shown) == said
    assert visible(shown) == shown

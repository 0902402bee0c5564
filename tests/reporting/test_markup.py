"""Markup that lets nothing through that it was not told is markup."""

from __future__ import annotations

import pytest

from hydrantic.reporting.markup import Html, joined, tag


def test_text_is_escaped_and_markup_is_not() -> None:
    assert tag("p", "a < b", tag("b", "c & d")) == "<p>a &lt; b<b>c &amp; d</b></p>"
    assert joined(None, "<", [Html("<br>"), ["'"]]) == "&lt;<br>&#x27;"


def test_attributes_cannot_be_left() -> None:
    said = tag("p", title='"><script>alert(1)</script>')
    assert said == '<p title="&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"></p>'


def test_attributes_are_said_with_underscores() -> None:
    assert tag("a", class_="x", data_run=3, hidden=True, id=None, open=False) == '<a class="x" data-run="3" hidden></a>'


@pytest.mark.parametrize("hidden", ["\x1b", "\u202e", "\x00", "\ud800"])
def test_what_a_reader_would_not_see_is_written_out(hidden: str) -> None:
    assert hidden not in tag("p", f"a{hidden}b")

"""The page around a report: one file without any reference to another, which a strict policy holds it to."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hydrantic import __version__
from hydrantic.reporting.markup import Html, Part, joined, tag

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Section:
    """A part of a page with a heading of its own."""

    id: str
    title: str
    parts: Part


def page(title: str, header: Part, sections: Sequence[Section]) -> str:
    """A whole page.

    Arguments:
        title: in the browser's tab.
        header: what stands above the sections.
        sections: in their order; each has a place in the contents.
    """
    style, script = (Html((_HERE / name).read_text("utf-8")) for name in ("report.css", "report.js"))
    contents = tag(
        "nav", tag("ul", [tag("li", tag("a", each.title, href=f"#{each.id}")) for each in sections]),
        aria_label="Contents",
    )  # fmt: skip
    theme = tag("button", "light or dark", type="button", id="theme", title="switch between light and dark")
    body = joined(
        tag("a", "Skip to the content", href="#content", class_="skip"),
        tag("header", header, theme),
        contents,
        tag("main", [_section(each) for each in sections], id="content"),
        tag("footer", f"Written by hydrantic {__version__} on {datetime.now(UTC):%Y-%m-%d at %H:%M} UTC."),
    )
    head = joined(
        Html('<meta charset="utf-8">'),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(style, script)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", style),
    )
    whole = f"<head>{head}</head>\n<body>{body}\n{tag('script', script)}</body>"
    return f'<!DOCTYPE html>\n<html lang="en">\n{whole}\n</html>\n'


def _section(section: Section) -> Html:
    name = f"{section.id}-title"
    return tag("section", tag("h2", section.title, id=name), section.parts, id=section.id, aria_labelledby=name)


def _policy(style: str, script: str) -> str:
    """Nothing is fetched, nothing runs but the page's own script."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "img-src 'none'; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"

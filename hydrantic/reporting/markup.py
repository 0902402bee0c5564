"""HTML in which every text is escaped, unless it is HTML already."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from hydrantic.texts import visible

_VOID: Final = frozenset({"br", "hr", "meta"})


class Html(str):
    """Markup: it goes into other markup as it is, where any other text is escaped."""

    __slots__ = ()


Part: TypeAlias = "str | Html | Iterable[Part] | None"
"""What may stand in an element: text, markup, several of them, or nothing."""


def escaped(text: str) -> str:
    """The text as HTML shows it; what a browser would obey or hide is written out."""
    return html.escape(visible(text), quote=True)


def joined(*parts: Part) -> Html:
    """The parts one after the other."""
    return Html("".join(_pieces(parts)))


def _pieces(part: Part) -> Iterable[str]:
    if isinstance(part, Html):
        yield part
    elif isinstance(part, str):
        yield escaped(part)
    elif part is not None:
        for each in part:
            yield from _pieces(each)


def tag(name: str, /, *parts: Part, **attributes: Any) -> Html:
    """An element.

    Arguments:
        name: of the element.
        parts: what stands in it.
        attributes: underscores become hyphens and one at the end goes, so that `class_` and `data_x` can be said; True
            is an attribute without a value, None and False are none.
    """
    said = "".join(
        _attribute(key, value) for key, value in attributes.items() if value is not None and value is not False
    )
    opened = f"<{name}{said}>"
    return Html(opened) if name in _VOID else Html(f"{opened}{joined(*parts)}</{name}>")


def _attribute(key: str, value: Any) -> str:
    name = key.removesuffix("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escaped(str(value))}"'

"""Tables that a click on a column's head sorts."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from hydrantic.reporting.markup import Html, Part, tag
from hydrantic.reporting.scales import alike, number
from hydrantic.sweeping.words import short_names


@dataclass(frozen=True)
class Cell:
    """What a cell shows, and the number that it is sorted by; without one it is sorted by its text."""

    shown: Part
    order: float | None = None
    is_long: bool = False
    """Whether it holds sentences, which may be broken."""

    @classmethod
    def of(cls, value: float | None) -> Self:
        """A number's cell."""
        return cls(number(value), value)

    @classmethod
    def alike(cls, values: Sequence[float | None]) -> list[Self]:
        """The cells of numbers that are compared with each other."""
        return [cls(shown, value) for shown, value in zip(alike(values), values, strict=True)]

    @property
    def is_number(self) -> bool:
        """Whether it stands with other numbers, to the right."""
        return self.order is not None


@dataclass(frozen=True)
class Row:
    """Cells, and what the table's row carries besides."""

    cells: Sequence[Cell]
    attributes: Mapping[str, str]


def table(heads: Sequence[str], rows: Sequence[Sequence[Cell] | Row], *, class_: str = "") -> Html:
    """A table whose first column names the rows; wider ones scroll by themselves."""
    full = [each if isinstance(each, Row) else Row(each, {}) for each in rows]
    right = [_is_right(full, at) for at in range(len(heads))]
    columns = [_head(name, is_right=is_right) for name, is_right in zip(heads, right, strict=True)]
    body = [tag("tr", _cells(row.cells, right), **row.attributes) for row in full]
    whole = tag("table", tag("thead", tag("tr", columns)), tag("tbody", body), class_=f"sortable {class_}".strip())
    return scrolled(whole, f"table: {', '.join(heads[:6])}")


def scrolled(wide: Html, label: str) -> Html:
    """What may be wider than the page and then scrolls by itself, also by keys."""
    return tag("div", wide, class_="scroll", tabindex="0", role="group", aria_label=label)


def _is_right(rows: Sequence[Row], at: int) -> bool:
    return bool(at) and any(row.cells[at].is_number for row in rows)


def _head(name: str, *, is_right: bool) -> Html:
    button = tag("button", name, type="button")
    return tag("th", button, scope="col", aria_sort="none", class_="number" if is_right else None)


def _cells(cells: Sequence[Cell], right: Sequence[bool]) -> list[Html]:
    made = []
    for at, (cell, is_right) in enumerate(zip(cells, right, strict=True)):
        order = None if cell.order is None or math.isnan(cell.order) else repr(cell.order).replace("inf", "Infinity")
        look = "number" if is_right else "words" if cell.is_long else None
        said = {"class_": look, "data_order": order}
        made.append(tag("td", cell.shown, **said) if at else tag("th", cell.shown, scope="row", **said))
    return made


def names_of(keys: Collection[str]) -> dict[str, str]:
    """Dotted keys as they head columns and axes: as short as tells them apart, a component's by its section."""
    return {key: short.removesuffix(".name") for key, short in short_names(keys).items()}


def pairs(rows: Sequence[tuple[str, Part]]) -> Html:
    """Names and what they stand for, one below the other."""
    return tag("dl", [tag("div", tag("dt", name), tag("dd", said)) for name, said in rows if said not in ("", None)])

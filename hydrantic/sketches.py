"""Curves drawn with the signs of a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from hydrantic.curves import Line, Panel, Scene, thinned
from hydrantic.errors import UsageError
from hydrantic.sweeping.words import brief, fitted, painted, plain

_HEIGHT: Final = 12
_LABELS: Final = 9
"""Columns that the numbers at the left take."""
_WIDEST: Final = 110
_MARKS: Final = "ox+*#@%&sdvz"
"""What tells curves apart where there are no colours."""
_MARKED: Final = 8
"""So many points of a curve bear its mark."""
_COLOURS: Final = (33, 214, 36, 175, 166, 81, 250, 244)
"""The colours of `curves.PALETTE` among the 256 of a terminal, brighter where they would not show on black."""


def sketched(drawn: Scene, width: int, *, is_coloured: bool = False) -> str:
    """The curves as text, a panel below the other.

    Arguments:
        drawn: the curves.
        width: columns of the terminal.
        is_coloured: whether colours may be used; else signs tell the curves apart.

    Raises:
        UsageError: there is no plotille to draw with.
    """
    try:
        import plotille
    except ImportError as error:
        raise UsageError("curves in a terminal need plotille: pip install 'hydrantic[plot]'") from error
    pages = [_sketch(plotille.Figure(), panel, drawn, min(width, _WIDEST), is_coloured) for panel in drawn.panels]
    return "\n\n".join(pages)


def _sketch(page: Any, panel: Panel, drawn: Scene, width: int, is_coloured: bool) -> str:
    page.color_mode = "byte"
    page.with_colors = is_coloured
    page.width, page.height = max(width - _LABELS - 14, 16), _HEIGHT
    page.origin = False
    page.x_label, page.y_label = drawn.x, ""
    _set_limits(page, panel, drawn)
    for at, line in enumerate(panel.lines):
        _add(page, line, at, drawn)
    title = fitted(plain(panel.title), width)
    lines = [painted(title, "bold") if is_coloured else title]
    lines += [line.rstrip().rstrip("\N{BRAILLE PATTERN BLANK}") for line in page.show().splitlines()[1:]]
    return "\n".join([*lines, *_legend(panel, drawn, width, is_coloured)])


def _set_limits(page: Any, panel: Panel, drawn: Scene) -> None:
    xs = [x for line in panel.lines for x in line.xs]
    ys = [_height(y, drawn) for line in panel.lines for y in line.ys if not math.isnan(y)]
    page.set_x_limits(*_apart(min(xs), max(xs)))
    page.set_y_limits(*_apart(min(ys, default=0.0), max(ys, default=1.0)))
    page.y_ticks_fkt = lambda low, _: f"{_number(10**low if drawn.is_log else low):>{_LABELS}}"
    page.x_ticks_fkt = lambda at, following: f"{at:.0f}" if following - at >= 2 or abs(at) >= 1e4 else brief(at)


def _number(value: float) -> str:
    return brief(0.0 if abs(value) < 1e-300 else value)


def _apart(low: float, high: float) -> tuple[float, float]:
    return (low, high) if high > low else (low - (abs(low) * 0.1 or 0.5), high + (abs(high) * 0.1 or 0.5))


def _height(y: float, drawn: Scene) -> float:
    return math.log10(y) if drawn.is_log else y


def _add(page: Any, line: Line, at: int, drawn: Scene) -> None:
    colour = _COLOURS[at % len(_COLOURS)]
    for xs, ys in _pieces(line, drawn):
        if len(xs) > 1:
            page.plot(xs, ys, lc=colour)
        else:
            page.scatter(xs, ys, lc=colour, marker=_MARKS[at % len(_MARKS)])
        if not page.with_colors:
            every = max(len(xs) // _MARKED, 1)
            page.scatter(xs[::every], ys[::every], lc=None, marker=_MARKS[at % len(_MARKS)])


def _pieces(line: Line, drawn: Scene) -> list[tuple[Sequence[float], Sequence[float]]]:
    """The stretches of a line between its gaps."""
    pieces: list[tuple[list[float], list[float]]] = [([], [])]
    for x, y in zip(*thinned(*(line.means if line.means[0] else (line.xs, line.ys)), 400), strict=True):
        if math.isnan(y):
            pieces.append(([], []))
        else:
            pieces[-1][0].append(x)
            pieces[-1][1].append(_height(y, drawn))
    return [piece for piece in pieces if piece[0]]


def _legend(panel: Panel, drawn: Scene, width: int, is_coloured: bool) -> list[str]:
    lines = []
    for at, line in enumerate(panel.lines):
        mark = "\N{BRAILLE PATTERN DOTS-25}" * 2 if is_coloured else _MARKS[at % len(_MARKS)] * 2
        known = [y for y in line.ys if not math.isnan(y)]
        named = [part for part in (drawn.runs[line.run].label if len(drawn.runs) > 1 else "", line.stage) if part]
        said = f"{'  '.join(named) or panel.metric}  {brief(known[-1]) if known else 'no number'}"
        said += "  (not always a number)" if line.lost and known else ""
        text = fitted(plain(said), width - _LABELS - 4)
        head = f"\x1b[38;5;{_COLOURS[at % len(_COLOURS)]}m{mark}\x1b[0m" if is_coloured else mark
        lines.append(f"{' ' * (_LABELS + 1)}{head} {text}")
    return lines

"""Pictures of an evaluation: confusion matrix, calibration, true against predicted numbers, and residuals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from hydrantic.reporting.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, frame
from hydrantic.reporting.markup import Html, Part, joined, tag
from hydrantic.reporting.scales import Scale, number
from hydrantic.reporting.tables import Cell, scrolled, table
from hydrantic.texts import counted, cut

if TYPE_CHECKING:
    from hydrantic.reporting.evaluation import Evaluation, OfClasses, OfLabels, OfNumbers

_MOST_IN_TABLE: Final = 20
_WIDEST_IN_HALF: Final = 60
"""Columns count five, a letter of their names one."""
_SHORT_NAME: Final = 3
_MOST_IN_PICTURE: Final = 120
_MOST_PAIRS: Final = 8
_SHADES: Final = 10
_LONGEST_NAME: Final = 24


def pictures(found: Evaluation) -> Html:
    """Everything that an evaluation counted."""
    parts: list[Part] = []
    if found.classes is not None:
        parts += [_matrix(found.classes), _calibration(found.classes), _per_class(found.classes), _pairs(found.classes)]
    if found.labels is not None:
        parts.append(_per_label(found.labels))
    for each in found.numbers:
        parts += [_scatter(each), _residuals(each)]
    numbers = _of_numbers(found.numbers) if found.numbers else None
    more = tag("p", f"{counted(found.left_out, 'further predicted number')} left out.") if found.left_out else None
    return joined(numbers, tag("div", parts, class_="tiles"), more)


# -- classes -----------------------------------------------------------------------------------------------------------


def _matrix(of: OfClasses) -> Html:
    if len(of.names) <= _MOST_IN_TABLE:
        return _matrix_in_words(of)
    if len(of.names) <= _MOST_IN_PICTURE:
        return _matrix_in_colours(of)
    note = f"{len(of.names):,} classes are too many for a picture; the most confused pairs are listed."
    return tag("figure", tag("figcaption", tag("span", "Confusion matrix", class_="title")), tag("p", note))


def _matrix_in_words(of: OfClasses) -> Html:
    names = _shortened(of.names)
    head = tag(
        "tr", tag("th", "true \N{DOWNWARDS ARROW} predicted \N{RIGHTWARDS ARROW}", scope="col", class_="corner"),
        [tag("th", tag("span", short, title=name), scope="col") for name, short in names.items()],
    )  # fmt: skip
    rows = []
    for at, (name, row) in enumerate(zip(of.names, of.counts, strict=True)):
        total = sum(row)
        cells = [
            tag("td", f"{count:,}" if count else "\N{MIDDLE DOT}", class_=_shade(count, total, is_right=at == other))
            for other, count in enumerate(row)
        ]
        rows.append(tag("tr", tag("th", tag("span", names[name], title=name), scope="row"), cells))
    longest = max(map(len, names.values()))
    look = "matrix upright" if longest > _SHORT_NAME else "matrix"
    body = tag("table", tag("thead", head), tag("tbody", rows), class_=look)
    caption = _caption("Confusion matrix", "samples of each true class (rows) by the class that was predicted")
    is_wide = 5 * len(of.names) + longest > _WIDEST_IN_HALF
    return tag("figure", caption, scrolled(body, "confusion matrix"), class_="wide" if is_wide else None)


def _shortened(names: Sequence[str]) -> dict[str, str]:
    """Names cut at their ends; in their middles where their beginnings are alike."""
    short = {name: cut(name, _LONGEST_NAME) for name in names}
    if len(set(short.values())) == len(short):
        return short
    return {
        name: name if len(name) <= _LONGEST_NAME else f"{name[:10]}\N{HORIZONTAL ELLIPSIS}{name[-13:]}"
        for name in names
    }


def _shade(count: int, total: int, *, is_right: bool) -> str:
    if not count:
        return "none"
    return f"{'right' if is_right else 'wrong'} s{max(1, round(_SHADES * count / max(total, 1)))}"


def _matrix_in_colours(of: OfClasses) -> Html:
    size = len(of.names)
    cells = [
        tag("rect", tag("title", f"{of.names[at]} taken for {of.names[other]}: {count:,}"),
            x=other, y=at, width=1, height=1, class_=_shade(count, sum(row), is_right=at == other))
        for at, row in enumerate(of.counts) for other, count in enumerate(row) if count
    ]  # fmt: skip
    drawn = tag(
        "svg", cells, viewBox=f"0 0 {size} {size}", role="img", class_="heat",
        aria_label=f"Confusion matrix of {size} classes, true classes downwards, predicted ones across",
    )  # fmt: skip
    return tag(
        "figure",
        _caption("Confusion matrix", "true class downwards, predicted class across; a cell tells its classes"),
        drawn,
    )


def _pairs(of: OfClasses) -> Html | None:
    wrong = [
        (count, true, other) for true, row in enumerate(of.counts) for other, count in enumerate(row)
        if count and true != other
    ]  # fmt: skip
    worst = sorted(wrong, key=lambda each: -each[0])[:_MOST_PAIRS]
    if not worst:
        return tag("figure", _caption("Most confused", ""), tag("p", "No sample was taken for another class."))
    rows = [
        (Cell(of.names[true]), Cell(of.names[other]), Cell.of(count), _share(count, sum(of.counts[true])))
        for count, true, other in worst
    ]
    return tag(
        "figure", _caption("Most confused", ""), table(("true", "predicted", "samples", "of the true class"), rows)
    )


def _share(part: int, whole: int) -> Cell:
    return Cell("\N{EN DASH}") if not whole else Cell(f"{100 * part / whole:.1f} %", part / whole)


def _per_class(of: OfClasses) -> Html:
    columns = [sum(row[at] for row in of.counts) for at in range(len(of.names))]
    rows = [
        _scores(name, row[at], sum(row), columns[at])
        for at, (name, row) in enumerate(zip(of.names, of.counts, strict=True))
    ]
    heads = ("class", "Precision", "Recall", "F1", "samples")
    return tag("figure", _caption("Each class", ""), table(heads, rows))


def _scores(name: str, right: int, true: int, predicted: int) -> tuple[Cell, ...]:
    precision = right / predicted if predicted else None
    recall = right / true if true else None
    f1 = 2 * right / (true + predicted) if true + predicted else None
    return Cell(name), *(_fraction(each) for each in (precision, recall, f1)), Cell.of(true)


def _fraction(value: float | None) -> Cell:
    return Cell("\N{EN DASH}") if value is None else Cell(f"{value:.4f}", value)


def _per_label(of: OfLabels) -> Html:
    rows = [
        _scores(name, right, right + missed, right + extra)
        for name, right, extra, missed in zip(of.names, of.right, of.extra, of.missed, strict=True)
    ]
    heads = ("label", "Precision", "Recall", "F1", "samples")
    return tag("figure", _caption("Each label", "given where its probability is above one half"), table(heads, rows))


def _calibration(of: OfClasses) -> Html:
    xs, ys = Scale(0, 1, LEFT, WIDTH - RIGHT), Scale(0, 1, HEIGHT - BOTTOM, TOP)
    bars = [
        tag("rect", tag("title", f"{counted(each.count, 'sample')}: confidence {number(each.confidence)}, "
                                 f"right {number(each.accuracy)}"),
            x=xs.at(each.low) + 1, y=ys.at(each.accuracy), width=xs.at(each.high) - xs.at(each.low) - 2,
            height=max(ys.at(0) - ys.at(each.accuracy), 1), class_="bar")
        for each in of.bins
    ]  # fmt: skip
    dots = [
        tag("circle", cx=xs.at(each.confidence), cy=ys.at(each.accuracy), r=3.5, class_="dot c1") for each in of.bins
    ]
    ideal = tag("line", x1=xs.at(0), y1=ys.at(0), x2=xs.at(1), y2=ys.at(1), class_="ideal")
    error = number(of.calibration_error)
    drawn = _drawing(joined(frame(xs, ys, "confidence"), bars, ideal, dots),
                     f"How often predictions are right by their confidence; expected error {error}")  # fmt: skip
    return tag(
        "figure", _caption("Calibration", f"share of right answers by confidence; expected error {error}"), drawn
    )


# -- numbers -----------------------------------------------------------------------------------------------------------


def _of_numbers(numbers: Sequence[OfNumbers]) -> Html:
    rows = [
        (Cell(each.name), *(Cell.of(value) for value in (each.mae, each.rmse, each.r2, each.bias))) for each in numbers
    ]
    heads = ("predicted number", "mean absolute error", "root mean square error", "R\N{SUPERSCRIPT TWO}", "bias")
    return table(heads, rows)


def _scatter(of: OfNumbers) -> Html:
    both = [value for point in of.points for value in point]
    xs, ys = Scale.around(both, LEFT, WIDTH - RIGHT), Scale.around(both, HEIGHT - BOTTOM, TOP)
    dots = [tag("circle", cx=xs.at(true), cy=ys.at(said), r=3, class_="point") for true, said in of.points]
    ideal = tag("line", x1=xs.at(xs.low), y1=ys.at(xs.low), x2=xs.at(xs.high), y2=ys.at(xs.high), class_="ideal")
    drawn = _drawing(joined(frame(xs, ys, "true"), ideal, dots),
                     f"Predicted against true values of {of.name}; R squared {number(of.r2)}")  # fmt: skip
    return tag("figure", _caption(f"Predicted {of.name}", "against the true value; on the line both are equal"), drawn)


def _residuals(of: OfNumbers) -> Html:
    xs = Scale.around(of.edges, LEFT, WIDTH - RIGHT)
    ys = Scale(0, max(of.bars) * 1.05, HEIGHT - BOTTOM, TOP)
    bars = [
        tag("rect", tag("title", f"{number(low)} to {number(high)}: {counted(count, 'sample')}"),
            x=xs.at(low) + 0.5, width=max(xs.at(high) - xs.at(low) - 1, 0.5),
            y=ys.at(count), height=ys.at(0) - ys.at(count), class_="bar")
        for low, high, count in zip(of.edges, of.edges[1:], of.bars, strict=False) if count
    ]  # fmt: skip
    none = (
        tag("line", x1=xs.at(0), x2=xs.at(0), y1=TOP, y2=HEIGHT - BOTTOM, class_="ideal")
        if xs.low < 0 < xs.high
        else None
    )
    drawn = _drawing(joined(frame(xs, ys, "predicted minus true"), bars, none),
                     f"Residuals of {of.name}: mean {number(of.bias)}, root mean square {number(of.rmse)}")  # fmt: skip
    return tag("figure", _caption(f"Residuals of {of.name}", "number of samples by predicted minus true"), drawn)


def _drawing(parts: Html, label: str) -> Html:
    return tag("svg", parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=label)


def _caption(title: str, note: str) -> Html:
    return tag("figcaption", tag("span", title, class_="title"), tag("span", note, class_="note"))

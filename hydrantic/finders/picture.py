"""The picture of a learning-rate range test: the loss over the rate."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hydrantic.errors import UsageError
from hydrantic.finders.rates import RateTest
from hydrantic.rundir import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS: Final = (".png", ".svg", ".pdf")
_ACCENT: Final = "#d55e00"
_UNDATED: Final[dict[str, dict[str, Any]]] = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}


def refuse_picture(file: Path) -> None:
    """Refuse a file that no picture can be written to.

    Raises:
        UsageError: its kind is unknown, its folder is not there, or there is no matplotlib.
    """
    if file.suffix.lower() not in FORMATS:
        raise UsageError(f"a picture cannot be written as {file.name}: choose {', '.join(FORMATS)}")
    if not file.absolute().parent.is_dir():
        raise UsageError(f"{file} cannot be written: there is no folder {file.parent}")
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise UsageError("a picture needs matplotlib: pip install 'hydrantic[plot]'")


def draw(test: RateTest, title: str, file: Path) -> None:
    """Draw a range test into a file, `.png`, `.svg` or `.pdf`, in place of what it held.

    Raises:
        UsageError: it cannot be drawn there.
    """
    refuse_picture(file)
    form = file.suffix.lower().removeprefix(".")
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # then a box stands for it
        figure(test, title).savefig(buffer, format=form, dpi=150, metadata=_UNDATED[form])
    try:
        write_atomically(file, buffer.getvalue())
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror or error}") from error


def figure(test: RateTest, title: str) -> Figure:
    """A range test as a figure of matplotlib's, which belongs to nobody else."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(7.0, 4.2), layout="constrained")
    FigureCanvasAgg(drawn)
    axes = drawn.subplots()
    axes.set(xscale="log", xlabel="learning rate", ylabel="training loss", title=title)
    axes.plot(test.rates, test.losses, color="0.75", linewidth=1, label="each step")
    axes.plot(test.rates[: len(test.smoothed)], test.smoothed, color="#0072b2", linewidth=2, label="smoothed")
    if test.suggestion is not None:
        axes.axvline(test.suggestion, color=_ACCENT, label=f"suggested: {test.suggestion:g}")
    if test.present is not None and test.rates[0] <= test.present <= test.rates[-1]:
        axes.axvline(test.present, color="0.4", linestyle=":", label=f"blueprint: {test.present:g}")
    least, began = min(test.smoothed), test.smoothed[0]
    axes.set_ylim(least - 0.1 * abs(began - least) - 1e-12, max(began, least) + 0.5 * abs(began - least) + 1e-12)
    axes.legend(frameon=False)
    return drawn

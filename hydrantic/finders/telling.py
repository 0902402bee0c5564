"""Putting what was found into words: curves, tables, and what follows from them."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from typing import Final

from hydrantic.finders.batch_sizes import BatchSizes, BatchTrial
from hydrantic.finders.experiments import Kept
from hydrantic.finders.profiling import KINDS, Profile
from hydrantic.finders.rates import RateTest
from hydrantic.source import display
from hydrantic.texts import aligned, counted, cut

_LINES: Final = 20
_WIDTH: Final = 40
_MUCH: Final = 1.5
_TIMES_BEGAN: Final = 1.5
"""Losses above so many times the first one are drawn at the margin."""
_ROUNDED: Final = 1.06
"""By this factor at most a rate differs from the one that it was before it was rounded to two digits."""


def tell_rates(test: RateTest) -> str:
    """A range test as text for the terminal: its curve, and what it says."""
    return "\n".join([*_curve(test), "", *_verdict(test), *_noted(test.notes)])


def _curve(test: RateTest) -> Iterator[str]:
    """The smoothed loss over the rate, which grows downwards."""
    shown = _evenly(len(test.smoothed), _LINES)
    least = min(test.smoothed)
    most = max(min(max(test.smoothed), _far(test.smoothed)), least)
    yield f"  {'rate':>8}  {'loss':>9}"
    marks = _marks(test, [test.rates[at] for at in shown])
    for at in shown:
        rate, loss = test.rates[at], test.smoothed[at]
        column = 0 if most == least else round((min(loss, most) - least) / (most - least) * (_WIDTH - 1))
        said = f"  <- {', '.join(marks[rate])}" if rate in marks else ""
        yield f"  {rate:8.1e}  {loss:9.4g}  |{' ' * column}{'>' if loss > most else '*'}{said}"


def _far(losses: Sequence[float]) -> float:
    return losses[0] + abs(losses[0]) * (_TIMES_BEGAN - 1)


def _evenly(count: int, most: int) -> list[int]:
    shown = min(count, most)
    return sorted({round(at * (count - 1) / max(shown - 1, 1)) for at in range(shown)})


def _marks(test: RateTest, rows: Sequence[float]) -> dict[float, list[str]]:
    """What stands beside the rows of some rates: each name beside the nearest; that of a rate out of range nowhere."""
    named = {"suggested": test.suggestion, "lowest": test.lowest_at, "blueprint": test.present}
    found: dict[float, list[str]] = {}
    for name, rate in named.items():
        if rate is not None and rows[0] / _ROUNDED < rate < rows[-1] * _ROUNDED:
            found.setdefault(min(rows, key=lambda row: abs(math.log(row / rate))), []).append(name)
    return found


def _verdict(test: RateTest) -> Iterator[str]:
    said = "" if test.present is None else f" (the blueprint says {test.present:g})"
    if test.suggestion is None:
        yield f"no learning rate suggested{said}"
    else:
        yield f"learning rate: {test.suggestion:g}{said}"
        yield f"  the loss falls fastest there, and is lowest at {test.lowest_at:g}"
        third = (test.lowest_at or 0.0) / 3
        if third > _MUCH * test.suggestion:
            yield f"  rates up to {third:.1g}, a third of that, are worth a try as well"
    if test.diverged_at is not None:
        yield f"  it diverged at {test.diverged_at:.2g}, where the test ended"


def _noted(notes: Sequence[str]) -> list[str]:
    return [f"note: {note}" for note in notes]


def tell_use(fit: Sequence[str], key: str, value: object, kept: Kept | None) -> str:
    """How what was found is used.

    Arguments:
        fit: the words of the command that fits the blueprint with what else is said of it.
        key: the path of the value.
        value: what was found.
        kept: the experiment that has it, if one was written.
    """
    if kept is not None:
        return f"written: {display(kept.file)}\nuse it:  {kept.command}"
    others = [word for word in fit if word.lstrip("+").partition("=")[0] != key]
    return f"use it: {shlex.join([*others, f'{key}={value}'])}\n        (-o NAME keeps it as an experiment)"


# -- batch sizes -------------------------------------------------------------------------------------------------------


def tell_batch_sizes(found: BatchSizes) -> str:
    """The sizes that were tried as a table, and what follows."""
    rows: list[tuple[str, ...]] = [("batch size", "samples/s", "ms a step", "peak memory", "")]
    rows += [_row(each, found) for each in found.trials]
    return "\n".join([*(f"  {line}" for line in aligned(rows, numbers={0, 1, 2, 3})), "", *_sizes(found)])


def _row(trial: BatchTrial, found: BatchSizes) -> tuple[str, ...]:
    if not trial.fits:
        return f"{trial.size:,}", "", "", "", cut(trial.reason or "does not fit", 70)
    peak = "" if trial.peak is None else f"{trial.peak / 1024**2:,.0f} MiB"
    named = ((found.suggestion, "suggested"), (found.largest, "largest"), (found.present_in_effect, "blueprint"))
    marks = ", ".join(name for size, name in named if size == trial.size)
    return f"{trial.size:,}", f"{trial.samples_per_second:,.0f}", f"{trial.milliseconds:,.2f}", peak, marks


def _sizes(found: BatchSizes) -> Iterator[str]:
    yield f"batch size: {found.suggestion:,} (the blueprint says {found.present:,})"
    yield "  the smallest one with at least nine tenths of the best rate"
    over = f"; {found.limit}" if found.limit else "; larger ones do not fit into memory"
    yield f"  the largest that fits: {found.largest:,}{over}"
    yield from _on_rate(found)
    yield f"note: {_MEASURED['cuda' if found.device == 'cuda' else 'cpu']}"
    yield from _noted(found.notes)


def _on_rate(found: BatchSizes) -> Iterator[str]:
    factor, rate = found.suggestion / found.present_in_effect, found.learning_rate
    if rate is not None and factor != 1:
        linear, root = f"{rate * factor:.2g}", f"{rate * math.sqrt(factor):.2g}"
        present = f"optimizer.lr={rate:g} was chosen for batches of {found.present_in_effect:,}"
        yield f"  {present}; hydrantic lr-find finds another."
        yield f"  As a rule: {linear} with plain SGD (linear, Goyal et al. 2017)"
        yield f"             {root} with Adam and its kin (square root, Malladi et al. 2022)"


_MEASURED: Final = {
    "cuda": "the memory is what torch allocated on the GPU, for training steps alone",
    "cpu": "the memory is the process's, beyond what it took before, for training steps alone; it is coarse where "
    "little is taken",
}


# -- profiles ----------------------------------------------------------------------------------------------------------


def tell_profile(found: Profile) -> str:
    """A profile as tables, and what dominates."""
    peak = "" if found.peak is None else f", peak memory {found.peak / 1024**2:,.0f} MiB"
    validations = f", {counted(found.validations, 'validation')} among them" if found.validations else ""
    rates = f"{found.steps_per_second:,.1f} steps/s as it is; {found.timed_steps_per_second:,.1f} while timed"
    trained = f"{counted(found.steps, 'step')} on {found.device}{validations}"
    return "\n".join([
        f"  {trained}; {counted(found.parameters, 'parameter')}{peak}",
        "",
        *(f"  {line}" for line in aligned(list(_work(found)), numbers={1, 2, 3, 4, 5})),
        "",
        *(f"  {line}" for line in aligned(list(_operators(found)), numbers={1, 2, 3})),
        "",
        rates,
        found.hint,
        *_noted(found.notes),
    ])  # fmt: skip


def _work(found: Profile) -> Iterator[tuple[str, ...]]:
    yield "", "share", "ms a step", "95 %", "total", "first step", ""
    for each in found.work:
        times = (f"{each.mean:,.3f}", f"{each.p95:,.3f}", f"{each.total:,.3f} s", f"{each.first:,.1f} ms")
        yield each.kind, f"{each.share:.1%}", *times, KINDS[each.kind]


def _operators(found: Profile) -> Iterator[tuple[str, ...]]:
    yield "operators", "share", "ms a step", "calls"
    for each in found.operators:
        yield cut(each.name, 50), f"{each.share:.1%}", f"{each.milliseconds:,.3f}", f"{each.calls:,}"

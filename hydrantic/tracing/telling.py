"""Putting a trace into words: the shapes of a batch, the parts of the model, and the memory of a step."""

from __future__ import annotations

from typing import Any, Final

from hydrantic.texts import aligned, counted, cut
from hydrantic.tracing import Trace
from hydrantic.tracing.footprint import in_words

_MOST_LAYERS: Final = 16
_MIXED: Final = frozenset({"16", "bf16", "16-mixed", "bf16-mixed", "transformer-engine", "transformer-engine-float16"})


def tell(trace: Trace) -> str:
    """The trace as text for the terminal."""
    return "\n".join([*_of_shapes(trace), "", *_of_layers(trace), "", *_of_bytes(trace), *_of_gaps(trace)])


def _of_shapes(trace: Trace) -> list[str]:
    size = trace.facts.train_size
    samples = "" if size is None else f", {counted(size, 'training sample')}"
    rows = [("data", f"{trace.plan.data.name}{samples}")]
    named = (("inputs", trace.inputs), ("targets", trace.targets), ("outputs", trace.outputs))
    rows += [(name, in_words(shapes)) for name, shapes in named if shapes]
    return [f"  {name:<10}  {text}" for name, text in rows]


def _of_layers(trace: Trace) -> list[str]:
    frozen = trace.parameters - trace.trainable
    count = f"{counted(trace.parameters, 'parameter')}{f', {frozen:,} of them frozen' if frozen else ''}"
    shown = trace.layers[:_MOST_LAYERS]
    rows = [(each.name, each.type, _shapes(each.outputs), f"{each.parameters:,}") for each in shown]
    lines = [f"    {line}" for line in aligned(rows, numbers={3})]
    more = len(trace.layers) - len(shown)
    return [f"  {'model':<10}  {trace.plan.model.name}, {count}", *lines, *([f"    and {more} more"] if more else [])]


def _shapes(outputs: Any) -> str:
    return "" if outputs is None else cut(in_words(outputs, lambda each: str(each.shape)), 40)


def _of_bytes(trace: Trace) -> list[str]:
    sizes = [(name, "unknown" if size is None else in_units(size)) for name, size in trace.bytes.items()]
    notes = {"total": "at least" if None in trace.bytes.values() else ""}
    optimizer, precision = trace.plan.optimizer, str(trace.plan.trainer["precision"])
    notes["activations"] = f"in float32; {precision} keeps less" if precision in _MIXED else ""
    notes["optimizer"] = "" if optimizer is None else optimizer.name
    lines = [f"    {line}" for line in aligned([(*each, notes.get(each[0], "")) for each in sizes], numbers={1})]
    return ["  memory of a training step (estimate)", *lines]


def in_units(size: int) -> str:
    """A number of bytes as a person reads it: `640 B`, `1.5 KiB`, `2.0 GiB`."""
    amount, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{size} B" if unit == "B" else f"{amount:.1f} {unit}"


def _of_gaps(trace: Trace) -> list[str]:
    return ["", *(f"  not traced: {reason}" for reason in trace.not_traced)] if trace.not_traced else []

"""Sums over an epoch that cost nothing per step: values and outputs are kept on their device and counted in chunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

MAX_KEPT: Final = 1 << 22
"""Elements of outputs and targets that are kept before the metrics are updated with them (16 MB of float32)."""
_FOLD: Final = 1024


class Wired(nn.Module):
    """A loss or metric with the keys of the output and the target that it reads.

    Arguments:
        function: called, or updated, with outputs and targets.
        input: key, attribute or index into the model's output; None takes it whole.
        target: key into the batch's target; None takes it whole.
    """

    def __init__(self, function: nn.Module, input: str | None = None, target: str | None = None) -> None:  # noqa: A002 -- the blueprint's key
        super().__init__()
        self.function = function
        self.input = input
        self.target = target

    def forward(self, outputs: Any, targets: Any) -> Any:
        """Call the function with the parts that it reads."""
        return self.function(pick(outputs, self.input, "input"), pick(targets, self.target, "target"))


def pick(values: Any, key: str | None, field: str) -> Any:
    """The part of a model's output or a batch's target that `key` names.

    Raises:
        KeyError: there is no such part; the message lists those there are.
    """
    if key is None:
        return values
    if isinstance(values, Mapping) and key in values:
        return values[key]
    if not isinstance(values, Mapping) and hasattr(values, key):
        return getattr(values, key)
    if isinstance(values, list | tuple) and key.isdigit() and int(key) < len(values):
        return values[int(key)]
    known = ", ".join(map(str, values)) if isinstance(values, Mapping) else type(values).__name__
    raise KeyError(f"{field}: there is no '{key}'; there is {known}")


def _tensor(values: Any, key: str | None, field: str) -> Tensor:
    part = pick(values, key, field)
    if not isinstance(part, Tensor):
        parts = ", ".join(map(str, part)) if isinstance(part, Mapping) else f"a {type(part).__name__}"
        raise TypeError(f"a metric reads one tensor; name it with `{field}:` (there is {parts})")
    return part


def _joined(kept: Sequence[tuple[Tensor, Tensor]]) -> Sequence[tuple[Tensor, Tensor]]:
    """All batches as one, or as they are where they differ in more than the number of their samples."""
    shapes = {(output.ndim, output.shape[1:], target.ndim, target.shape[1:]) for output, target in kept}
    if len(shapes) != 1 or kept[0][0].ndim == 0 or kept[0][1].ndim == 0:
        return kept
    return [(torch.cat([output for output, _ in kept]), torch.cat([target for _, target in kept]))]


class Tally:
    """The losses and metrics of one stage over one epoch.

    Per step it appends references. The metrics are updated with whole chunks and computed once, on the device.
    """

    def __init__(self, metrics: Mapping[str, Wired]) -> None:
        self._metrics = metrics
        self._pairs = sorted({(m.input, m.target) for m in metrics.values()}, key=str)
        self.reset()

    def reset(self) -> None:
        """Start a new epoch."""
        self._has_begun = False
        self._steps = 0
        self._values: dict[str, list[tuple[Tensor, float]]] = {}
        self._sums: dict[str, Tensor] = {}
        self._kept: list[list[tuple[Tensor, Tensor]]] = [[] for _ in self._pairs]
        self._samples: dict[int, tuple[Tensor, Tensor]] = {}
        self._elements = 0
        for metric in self._metrics.values():
            metric.function.reset()  # type: ignore[operator]  # a torchmetrics.Metric

    def add(
        self, size: float, values: Mapping[str, Tensor], outputs: Any, targets: Any, *, counted: int | None = None
    ) -> None:
        """Note one step.

        Arguments:
            size: number of samples for which the values stand.
            values: scalar means over the batch.
            outputs: what the metrics read of the model.
            targets: what the metrics read of the batch.
            counted: how many of the first samples the metrics count; all by default.
        """
        self._has_begun = True
        self._steps += 1
        for name, value in values.items():
            self._values.setdefault(name, []).append((value.detach(), size))
        for position, (output_key, target_key) in enumerate(self._pairs):
            output, target = _tensor(outputs, output_key, "input").detach(), _tensor(targets, target_key, "target")
            if counted == 0:
                self._samples[position] = (output[:1], target[:1])
                continue
            if counted is not None:
                output, target = output[:counted], target[:counted]
            kept = self._kept[position]
            kept.append((output, target))
            self._elements += output.numel() + target.numel()
        if self._elements > MAX_KEPT:
            self._update_metrics()
        if self._steps >= _FOLD:
            self._fold()

    def compute(self) -> dict[str, Tensor]:
        """Mean of every value over the epoch's samples, and every metric; the same on all processes.

        Nothing where no step was noted: in an epoch of which only the end was left when training went on.
        """
        if not self._has_begun:
            return {}
        self._fold()
        self._update_metrics()
        self._update_with_nothing()
        results = self._means()
        for label, metric in self._metrics.items():
            value = metric.function.compute()  # type: ignore[operator]  # as above
            if isinstance(value, Mapping):
                results.update({f"{label}/{name}": part for name, part in value.items()})
            else:
                results[label] = value
        return results

    def state(self) -> dict[str, Any]:
        """What has been noted, as tensors and plain types; the metrics keep their own states."""
        return {
            "has_begun": self._has_begun,
            "steps": self._steps,
            "elements": self._elements,
            "values": {
                name: [torch.stack([v.reshape(()) for v, _ in kept]), [s for _, s in kept]]
                for name, kept in self._values.items()
            },
            "sums": dict(self._sums),
            # Cloned, since a view would be saved with all that it is a view of.
            "kept": [[[o.clone(), t.clone()] for o, t in _joined(kept)] if kept else [] for kept in self._kept],
            "samples": {position: [o.clone(), t.clone()] for position, (o, t) in self._samples.items()},
        }

    def load_state(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Go on with what `state` returned."""
        self._has_begun, self._steps, self._elements = state["has_begun"], state["steps"], state["elements"]
        self._values = {
            name: list(zip(values.to(device).unbind(), sizes, strict=True))
            for name, (values, sizes) in state["values"].items()
        }
        self._sums = {name: total.to(device) for name, total in state["sums"].items()}
        self._kept = [[(output.to(device), target.to(device)) for output, target in kept] for kept in state["kept"]]
        self._samples = {
            key: (output.to(device), target.to(device)) for key, (output, target) in state["samples"].items()
        }

    def _fold(self) -> None:
        for name, kept in self._values.items():
            stacked = torch.stack([value for value, _ in kept]).reshape(len(kept))
            precise = torch.float32 if stacked.device.type == "mps" else torch.float64  # all that Apple's GPUs have
            weights = torch.tensor([size for _, size in kept], dtype=precise).to(stacked.device)
            total = torch.stack([stacked.to(precise) @ weights, weights.sum()])
            self._sums[name] = self._sums[name] + total if name in self._sums else total
        self._values.clear()
        self._steps = 0

    def _update_metrics(self) -> None:
        for position, pair in enumerate(self._pairs):
            for outputs, targets in _joined(self._kept[position]):
                for metric in self._metrics.values():
                    if (metric.input, metric.target) == pair:
                        metric.function.update(outputs, targets)  # type: ignore[operator]  # as above
            self._kept[position].clear()
        self._elements = 0

    def _update_with_nothing(self) -> None:
        """Give metrics that had no sample to count the shape of one: their states are gathered with those of others."""
        for position, sample in self._samples.items():
            for metric in self._metrics.values():
                function: Any = metric.function
                if (metric.input, metric.target) == self._pairs[position] and not function.update_called:
                    before = {n: s.clone() if isinstance(s, Tensor) else s for n, s in function.metric_state.items()}
                    function.update(*sample)
                    for name, state in before.items():
                        is_list = isinstance(state, list)
                        setattr(function, name, [part[:0] for part in getattr(function, name)] if is_list else state)

    def _means(self) -> dict[str, Tensor]:
        if not self._sums:
            return {}
        sums = torch.stack(list(self._sums.values()))
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(sums)
        return {name: (total[0] / total[1]).float() for name, total in zip(self._sums, sums, strict=True)}

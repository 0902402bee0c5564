"""Whether loss and metrics accept what a model puts out."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lightning.fabric.utilities import move_data_to_device
from torch import Tensor

from hydrantic.build import wired
from hydrantic.components import Component
from hydrantic.facts import Facts
from hydrantic.model.model import Model, batch_size
from hydrantic.model.tally import Tally, Wired, pick
from hydrantic.plan import Plan
from hydrantic.problems import Problem
from hydrantic.source import KeyPath
from hydrantic.tracing.clashes import judge_clash, own_place, said, told, wire
from hydrantic.tracing.dryrun import Pass, Untraceable, lacks_kernel, made_up, on, refuse_without_trainer
from hydrantic.tracing.footprint import tensors_in
from hydrantic.traits import traits_of

_Found = tuple[Problem, ...]


@dataclass(frozen=True)
class Judging:
    """The loss and metrics of a plan beside one pass of its model, wired as in training.

    Arguments:
        plan: completed by the facts.
        facts: what the data states.
        loss: the blueprint's loss.
        seen: the pass; outputs without values are replaced by some between 0 and 1.
        targets: the batch's targets, with values.
    """

    plan: Plan
    facts: Facts
    loss: Wired | None
    seen: Pass
    targets: Any

    def problems(self) -> _Found:
        """Everything that loss and metrics refuse, each at its key."""
        outputs = made_up(self.seen.outputs)
        if traits_of(self.plan.model.entry).computes_loss:
            found = self._own_loss()
        elif wide := self._width(outputs):
            return wide  # whatever else fails does so for this reason
        else:
            found = self._loss(outputs)
        return (*found, *(each for label in self.plan.metrics for each in self._metric(label, outputs)))

    def _own_loss(self) -> _Found:
        """What is wrong with what the model's own `compute_metrics` returns."""
        plan, model, device = self.plan, self.seen.body.model, self.seen.body.device
        assert isinstance(model, Model)  # of its style
        try:
            with self.seen.kept, on(device):
                values = model.compute_metrics(self.seen.outputs, move_data_to_device(self.targets, device))
        except Exception as error:  # noqa: BLE001 -- it may raise anything
            refuse_without_trainer(error)
            return plan.refuse(
                "fails-on", ("model",), owner=plan.model.name, kind="model", outputs=said(self.seen.outputs),
                targets=said(self.targets), origin="", message=f"compute_metrics: {told(error)}", at=own_place(error),
            ).problems  # fmt: skip
        if not isinstance(values, Mapping) or "loss" not in values:
            names = tuple(map(str, values)) if isinstance(values, Mapping) else ()
            return plan.refuse("no-own-loss", ("model",), model=plan.model.name, names=names).problems
        return tuple(each for name, value in values.items() for each in self._not_one_number(plan.model, name, value))

    def _width(self, outputs: Any) -> _Found:
        """Whether the model puts out another number of values than the data asks for, where the loss goes by it."""
        plan, component = self.plan, self.plan.loss
        if component is None or traits_of(component.entry).tasks is None or wire(component, "target") is not None:
            return ()  # such a loss has rules of its own
        adapt = getattr(component.entry.component, "adapt", None)
        wanted = (self.facts if adapt is None else adapt(self.facts)).out_features
        part = _part(outputs, component, "input")
        if not isinstance(part, Tensor) or part.ndim < 2 or wanted is None or part.shape[1] == wanted:
            return ()
        path = self.seen.body.anatomy.place_of(part.shape[1]) or ("model",)
        return plan.refuse(
            "wrong-width", path, model=plan.model.name, size=part.shape[1], shape=tuple(part.shape), wanted=wanted,
            data=plan.data.name, loss=component.name, is_key=path != ("model",),
        ).problems  # fmt: skip

    def _loss(self, outputs: Any) -> _Found:
        component = self.plan.loss
        if component is None or self.loss is None:
            return ()
        if found := self._missing_parts(component, outputs):
            return found
        try:
            with warnings.catch_warnings(record=True) as warned, self.seen.kept:
                warnings.simplefilter("always")
                value = self.loss(outputs, self.targets)
        except Exception as error:  # noqa: BLE001 -- it may raise anything
            return self._fails(component, error, outputs)
        if any("broadcasting" in str(each.message) for each in warned):
            shapes = {"outputs": said(outputs), "targets": said(self.targets)}
            return self.plan.refuse("broadcast", component.path, owner=component.name, **shapes).problems
        return self._not_one_number(component, "loss", value)

    def _metric(self, label: str, outputs: Any) -> _Found:
        component = self.plan.metrics[label]
        metric = wired(self.plan, component)
        if found := self._missing_parts(component, outputs):
            return found
        try:
            assert metric is not None  # there is a component
            tally = Tally({label: metric})
            # Some metrics need two samples.
            for _ in range(2 if batch_size(self.targets) == 1 else 1):
                tally.add(batch_size(self.targets), {}, outputs, self.targets)
            values = tally.compute()
        except Exception as error:  # noqa: BLE001 -- it may raise anything
            return self._fails(component, error, outputs)
        return tuple(each for name, value in values.items() for each in self._not_one_number(component, name, value))

    def _fails(self, component: Component[Any], error: Exception, outputs: Any) -> _Found:
        if lacks_kernel(error):
            raise Untraceable(f"the {component.kind} '{component.name}', which a CPU cannot run ({told(error)})")
        widths = [each.shape[1] for each in tensors_in(_part(outputs, component, "input")) if each.ndim > 1]
        origin = self.seen.body.anatomy.origin(widths[0]) if len(widths) == 1 else ""
        return judge_clash(self.plan, component, error, outputs, self.targets, origin).problems

    def _missing_parts(self, component: Component[Any], outputs: Any) -> _Found:
        """Keys that a loss or metric reads and that are not there."""
        found: list[Problem] = []
        for field, values in (("input", outputs), ("target", self.targets)):
            try:
                pick(values, key := wire(component, field), field)
            except KeyError:
                path: KeyPath = (*component.path, field)
                known = tuple(map(str, values)) if isinstance(values, Mapping) else ()
                facts = {"field": field, "key": key, "known": known, "parts": said(values)}
                found += self.plan.refuse("no-such-part", path, **facts).problems
        return tuple(found)

    def _not_one_number(self, component: Component[Any], name: str, value: Any) -> _Found:
        is_number = isinstance(value, int | float) and component.kind == "metric"
        if value.numel() == 1 if isinstance(value, Tensor) else is_number:
            return ()
        given = f"a tensor {said(value)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
        return self.plan.refuse(
            "not-one-number", component.path, owner=component.name, kind=component.kind, value=name, given=given
        ).problems


def _part(values: Any, component: Component[Any], field: str) -> Any:
    """What a loss or metric reads of outputs or targets; nothing where it is not there."""
    try:
        return pick(values, wire(component, field), field)
    except KeyError:
        return ()

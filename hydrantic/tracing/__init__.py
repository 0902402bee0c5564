"""Tracing a plan: one training batch through model, loss and metrics without weights, and what a step will need.

`hydrantic.tracing.telling` puts a trace into words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from hydrantic.build import Loaded, load, try_optimizer, wired
from hydrantic.components import Component
from hydrantic.errors import BlueprintError
from hydrantic.facts import Facts
from hydrantic.model.model import Model, batch_size
from hydrantic.plan import Plan
from hydrantic.problems import Problem
from hydrantic.secrets import hide
from hydrantic.source import KeyPath
from hydrantic.tracing.clashes import forward_clash, own_place, said, told
from hydrantic.tracing.dryrun import (
    CPU,
    META,
    Body,
    FirstBatch,
    Pass,
    Untraceable,
    body_of,
    first_batch,
    first_samples,
    lacks_kernel,
    make_ready,
    process_as_it_was,
    refuse_without_trainer,
    run_forward,
    stand_ins,
)
from hydrantic.tracing.footprint import TensorShape, shapes_of, state_bytes, tensor_bytes, tensors_in
from hydrantic.tracing.judging import Judging
from hydrantic.traits import traits_of
from hydrantic.wording import message

_SMALL_MODEL: Final = 64 << 20
_SMALL_BATCH: Final = 8 << 20
"""Bytes of weights and of a batch up to which a model is run for real where the meta device cannot tell."""
_FASTER: Final = ("fused", "foreach", "capturable", "differentiable")
"""Arguments of torch's optimizers that choose how a step is computed, on some devices only."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One part of the model: its name in it, its class, what it puts out for the batch, and its parameters."""

    name: str
    type: str
    outputs: Any
    parameters: int

    def to_plain(self) -> dict[str, Any]:
        """Name, type, output shapes and number of parameters."""
        return {
            "name": self.name, "type": self.type, "outputs": _plain(self.outputs), "parameters": self.parameters,
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Trace:
    """What the first training batch shows of a plan; sizes in bytes, None where they could not be told."""

    plan: Plan
    """The plan, completed by the data's facts."""
    facts: Facts
    """What the data states."""
    inputs: Any
    """The `TensorShape` of a batch's inputs, or mappings and lists of such."""
    targets: Any
    """The same of its targets."""
    outputs: Any
    """The same of what the model puts out."""
    layers: tuple[Layer, ...]
    """The parts of the model, in their order."""
    parameters: int
    """Number of parameters; a loss may have some too."""
    trainable: int
    """Number of parameters that training changes."""
    parameters_by_module: Mapping[str, int]
    """Number of parameters of each part of the model that has any, and of the loss."""
    parameter_bytes: int
    """Size of parameters and buffers."""
    gradient_bytes: int
    """Size of the gradients."""
    optimizer_bytes: int | None
    """Size of the optimizer's state after its first step."""
    activation_bytes: int | None
    """Size of what a step keeps for its backward pass, besides parameters, buffers and the batch itself."""
    batch_bytes: int | None
    """Size of one batch."""
    not_traced: tuple[str, ...] = ()
    """What could not be traced, with the reason; no mistake of anybody's."""

    @property
    def bytes(self) -> dict[str, int | None]:
        """The memory of a training step by what it is for; the total as far as it is known."""
        parts = {
            "parameters": self.parameter_bytes,
            "gradients": self.gradient_bytes,
            "optimizer": self.optimizer_bytes,
            "activations": self.activation_bytes,
            "batch": self.batch_bytes,
        }
        return parts | {"total": sum(size or 0 for size in parts.values())}

    def to_plain(self) -> dict[str, Any]:
        """Dictionaries, lists, text and numbers."""
        return {
            "data": self.plan.data.name,
            "train_size": self.facts.train_size,
            "inputs": _plain(self.inputs),
            "targets": _plain(self.targets),
            "model": self.plan.model.name,
            "layers": [each.to_plain() for each in self.layers],
            "outputs": _plain(self.outputs),
            "parameters": self.parameters,
            "trainable": self.trainable,
            "parameters_by_module": dict(self.parameters_by_module),
            "bytes": self.bytes,
            "not_traced": list(self.not_traced),
        }


def _plain(shapes: Any) -> Any:
    if isinstance(shapes, TensorShape):
        return shapes.to_plain()
    if isinstance(shapes, dict):
        return {name: _plain(part) for name, part in shapes.items()}
    return [_plain(part) for part in shapes] if isinstance(shapes, list) else shapes


def trace(plan: Plan) -> Trace:
    """Build the data and the model of a plan, the model without weights, and follow the first training batch.

    Nothing is written, and the process stays as it was: random states, default type and settings of torch.

    Arguments:
        plan: from `prepare`, its components imported.

    Raises:
        BlueprintError: the data cannot be read, a component cannot be built, or the parts do not fit together.
    """
    with process_as_it_was():
        return _Tracing(load(plan)).trace()


class _Tracing:
    """One trace, from the loaded data to what is reported; what it finds is filled in on the way."""

    def __init__(self, loaded: Loaded) -> None:
        self.plan = loaded.plan
        self.data = loaded.data
        self.facts = loaded.facts
        self.sketch = body_of(self.plan, META)
        self.loss = wired(self.plan, self.plan.loss)
        self.batch: FirstBatch | None = None
        self.inputs: Any = None
        self.targets: Any = None
        self.seen: Pass | None = None
        self.untraced: list[str] = []

    def trace(self) -> Trace:
        """Follow the first batch as far as it goes, and count."""
        try_optimizer(self.plan, stand_ins(self.sketch.model))
        try:
            self._follow()
        except Untraceable as stop:
            self._leave_out(str(stop))
        return self._result()

    def _leave_out(self, reason: str) -> None:
        self.untraced.append(hide(reason, self.plan.secrets))

    def _follow(self) -> None:
        make_ready(self.sketch)
        self.batch = first_batch(self.plan, self.data)
        self.inputs, self.targets = self._unpacked(self.batch.values)
        model, name = self.sketch.model, self.plan.model.name
        if not isinstance(model, Model):
            self.seen = self._forward_of_its_own()
            raise Untraceable(f"loss and metrics of '{name}', a LightningModule with its own training")
        if type(model).training_step is not Model.training_step:
            self.seen = self._forward_of_its_own()
            raise Untraceable(f"loss and metrics of '{name}', which has its own training_step")
        self.seen = self._forward(self.inputs)
        self.seen = self._judged(self.plan, self.seen, self.targets)
        self._try_last_batch(self.batch)

    def _unpacked(self, batch: Any) -> tuple[Any, Any]:
        model = self.sketch.model
        if not isinstance(model, Model):
            return (batch[0], batch[1:]) if isinstance(batch, list | tuple) and batch else (batch, ())
        try:
            inputs, targets = model.unpack(batch)
        except Exception as error:
            facts = {"data": self.plan.data.name, "given": said(batch), "message": told(error)}
            raise self.plan.refuse("not-a-pair", ("data",), **facts) from error
        return inputs, targets

    def _forward_of_its_own(self) -> Pass:
        """Forward only as far as it goes: what such a model does with a batch is its own affair."""
        try:
            return run_forward(self.sketch, self.inputs)
        except Exception as error:
            name = self.plan.model.name
            raise Untraceable(f"the model '{name}', which trains in its own way ({_told_at(error)})") from error

    # The meta device knows shapes but no values. What it cannot tell is tried for real where that is cheap, so that
    # nothing is refused that training accepts.

    def _forward(self, inputs: Any) -> Pass:
        try:
            seen = run_forward(self.sketch, inputs)
        except Exception as error:
            refuse_without_trainer(error)
            if self._is_cheap(inputs):
                return self._forward_for_real(inputs)
            if _is_beyond_meta(error):
                raise Untraceable(f"the forward pass, which depends on values ({_told_at(error)})") from error
            raise forward_clash(self.sketch.anatomy, error) from error
        if _depends_on_values(self.sketch, inputs) and self._is_cheap(inputs):
            self._forward_for_real(inputs)
        return seen

    def _forward_for_real(self, inputs: Any) -> Pass:
        body = body_of(self.plan, CPU)
        make_ready(body)
        try:
            return run_forward(body, inputs)
        except Exception as error:
            refuse_without_trainer(error)
            if lacks_kernel(error):
                raise Untraceable(f"the forward pass, which a CPU cannot run ({told(error)})") from error
            raise forward_clash(body.anatomy, error) from error

    def _is_cheap(self, inputs: Any) -> bool:
        of_model, of_batch = tensor_bytes(self.sketch.tensors), tensor_bytes(tensors_in(inputs))
        return of_model <= _SMALL_MODEL and of_batch <= _SMALL_BATCH

    def _judged(self, plan: Plan, seen: Pass, targets: Any) -> Pass:
        """The pass whose outputs loss and metrics accept.

        Raises:
            BlueprintError: they do not.
        """
        if self._computes_from_indices(targets) and self._is_cheap(seen.given) and seen.body.device == META:
            seen = self._forward_for_real(seen.given)
        problems = Judging(plan, self.facts, self.loss, seen, targets).problems()
        if problems and seen.body.device == META:
            if not self._is_cheap(seen.given):
                _stop_if_beyond_meta(problems)
                raise BlueprintError(problems)
            # Made-up outputs may lack what real ones have, such as a sum of 1.
            seen = self._forward_for_real(seen.given)
            problems = Judging(plan, self.facts, self.loss, seen, targets).problems()
        if problems:
            raise BlueprintError(problems)
        return seen

    def _computes_from_indices(self, targets: Any) -> bool:
        """Whether the model has a loss of its own that may refuse the values of targets, not only their shape."""
        indices = any(not each.is_floating_point() for each in tensors_in(targets))
        return indices and traits_of(self.plan.model.entry).computes_loss

    def _try_last_batch(self, first: FirstBatch) -> None:
        """Whether the smaller batch at the end of an epoch goes through as well."""
        size = batch_size(self.targets)
        if first.samples is None or not self._reaches_last(first.samples, size):
            return
        last = first.samples % size
        # Metrics are given many batches at once, so the size of one means nothing to them.
        plan = replace(self.plan, metrics={})
        inputs, targets = (first_samples(each, last, size) for each in (self.inputs, self.targets))
        try:
            self._judged(plan, self._forward(inputs), targets)
        except Untraceable:
            return
        except BlueprintError as error:
            data = self.plan.data
            path: KeyPath = ("data", "batch_size") if "batch_size" in data.hparams else ("data",)
            raise self.plan.refuse(
                "last-batch", data.places.get("batch_size", path), size=last, samples=first.samples, batch_size=size,
                message="; ".join(message(each) for each in error.problems), drop_last="drop_last" in data.hparams,
            ) from error  # fmt: skip

    def _reaches_last(self, samples: int, size: int) -> bool:
        """Whether an epoch ends with a smaller batch, and training gets there."""
        trainer, full = self.plan.trainer, samples // size
        limit = trainer["limit_train_batches"]
        stops = trainer["fast_dev_run"] or trainer["overfit_batches"] or trainer["max_epochs"] == 0
        limited = limit is not None and not (isinstance(limit, float) and limit == 1.0)
        return full > 0 and samples % size > 0 and not (stops or limited or 0 <= trainer["max_steps"] <= full)

    def _result(self) -> Trace:
        body = self.sketch if self.seen is None else self.seen.body
        modules = [body.model] if self.loss is None else [body.model, self.loss]
        parameters = _parameters(modules)
        trainable = [each for each in parameters if each.requires_grad]
        layers = tuple(_layers(body, () if self.seen is None else self.seen.finished))
        by_module = {each.name: each.parameters for each in layers} | {"loss": _count(modules[1:])}
        return Trace(
            plan=self.plan,
            facts=self.facts,
            inputs=shapes_of(self.inputs),
            targets=shapes_of(self.targets),
            outputs=None if self.seen is None else shapes_of(self.seen.outputs),
            layers=layers,
            parameters=_count(modules),
            trainable=sum(each.numel() for each in trainable),
            parameters_by_module={name: count for name, count in by_module.items() if count},
            parameter_bytes=tensor_bytes([*parameters, *body.model.buffers()]),
            gradient_bytes=tensor_bytes(trainable),
            optimizer_bytes=self._optimizer_bytes(parameters),
            activation_bytes=None if self.seen is None else self._activation_bytes(self.seen),
            batch_bytes=None if self.batch is None else tensor_bytes(_each_once(self.batch.values)),
            not_traced=tuple(self.untraced),
        )

    def _activation_bytes(self, seen: Pass) -> int:
        there = [] if self.loss is None else [*self.loss.parameters(), *self.loss.buffers()]
        return seen.kept.bytes_beside(seen.body.tensors, there, tensors_in((seen.inputs, seen.given, self.targets)))

    def _optimizer_bytes(self, parameters: Iterable[nn.Parameter]) -> int | None:
        model, chosen = self.sketch.model, self.plan.optimizer
        try:
            if chosen is None or type(model).configure_optimizers is not Model.configure_optimizers:
                return _state_bytes(_optimizers_in(model.configure_optimizers()))
            empty = [nn.Parameter(torch.empty_like(each, device=META)) for each in parameters if each.requires_grad]
            return _state_bytes([_plainly(chosen).build(params=empty)])
        except Exception:  # noqa: BLE001 -- what it refuses has been told; the meta device may not suit it
            return None


def _told_at(error: Exception) -> str:
    place = own_place(error)
    return f"{told(error)} at {place}" if place else told(error)


def _is_beyond_meta(error: Exception) -> bool:
    return isinstance(error, NotImplementedError) or _speaks_of_meta(str(error))


def _speaks_of_meta(text: str) -> bool:
    return "meta" in text.lower()


def _depends_on_values(body: Body, inputs: Any) -> bool:
    """Whether inputs are indices, or of another type than the weights: the meta device would not mind."""
    types = {each.dtype for each in body.tensors if each.is_floating_point()}
    return any(not each.is_floating_point() or (types and each.dtype not in types) for each in tensors_in(inputs))


def _each_once(values: Any) -> Iterator[Tensor]:
    """Every tensor in a batch, also where it serves as input and as target."""
    yield from {id(each): each for each in tensors_in(values)}.values()


def _parameters(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    """The parameters of modules, each once; those that wait for an input to get a shape left out."""
    found = {id(each): each for module in modules for each in module.parameters()}
    return [each for each in found.values() if not nn.parameter.is_lazy(each)]


def _count(modules: Iterable[nn.Module]) -> int:
    return sum(each.numel() for each in _parameters(modules))


def _plainly(optimizer: Component[Any]) -> Component[Any]:
    """The optimizer without its faster forms, which the meta device has not; its state is the same."""
    fields = type(optimizer.hparams).model_fields
    return optimizer.with_fields(**{name: fields[name].get_default() for name in _FASTER if name in fields})


def _stop_if_beyond_meta(problems: Iterable[Problem]) -> None:
    for each in problems:
        if _speaks_of_meta(text := str(each.facts.get("message", ""))):
            raise Untraceable(f"loss and metrics, which depend on values ({text})")


def _layers(body: Body, finished: Sequence[tuple[nn.Module, Any]]) -> Iterator[Layer]:
    """The parts of the model, those of its only part where it has but one, and what each puts out."""
    parent, prefix = body.network, ""
    while len(children := list(parent.named_children())) == 1 and any(True for _ in children[0][1].children()):
        prefix, parent = f"{prefix}{children[0][0]}.", children[0][1]
    shapes = {id(module): outputs for module, outputs in reversed(finished)}
    for name, child in children:
        if id(child) not in shapes and not _count([child]):
            continue  # a place for metrics, and the like
        yield Layer(f"{prefix}{name}", type(child).__name__, shapes.get(id(child)), _count([child]))


def _state_bytes(optimizers: Iterable[Optimizer]) -> int | None:
    sizes = [state_bytes(each) for each in optimizers]
    return None if None in sizes or not sizes else sum(size or 0 for size in sizes)


def _optimizers_in(configured: Any) -> Iterator[Optimizer]:
    """Every optimizer in what `configure_optimizers` returned."""
    if isinstance(configured, Optimizer):
        yield configured
    elif isinstance(configured, Mapping):
        yield from _optimizers_in(configured.get("optimizer"))
    elif isinstance(configured, list | tuple):
        for each in configured:
            yield from _optimizers_in(each)

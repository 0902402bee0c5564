"""From an exception inside a model, loss or metric to the blueprint keys that cause it."""

from __future__ import annotations

import os
import re
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from traceback import walk_tb
from typing import Any, Final

import torch
from torch import Tensor, nn

from hydrantic.components import Component, auto_fields
from hydrantic.errors import BlueprintError, HydranticError
from hydrantic.hparams import Hparams
from hydrantic.plan import Plan
from hydrantic.project import STOCK_SHELF
from hydrantic.source import KeyPath, display, dotted
from hydrantic.texts import cut
from hydrantic.tracing.footprint import in_words, shapes_of, tensors_in

Built = list[tuple[Component[Any], Any]]
"""What components have built: each with its object, inner ones first."""

Keys = tuple[str, ...]
"""Fields with their values, in words."""

_SIZES: Final[Mapping[str, int]] = {
    "in_features": -1, "in_channels": 1, "num_features": 1, "num_channels": 1, "input_size": -1, "embed_dim": -1,
    "normalized_shape": -1,
}  # fmt: skip
"""Attributes of torch's modules that say how long a dimension of their input is, with that dimension."""

_LONGEST: Final = 300


@dataclass(frozen=True)
class Watched(Component[Any]):
    """A component that notes what it builds, and so do those nested in it."""

    built: Built = field(default_factory=list, compare=False, repr=False)

    def build(self, **supplied: Any) -> Any:
        """Construct the component and note it."""
        made = super().build(**supplied)
        self.built.append((self, made))
        return made

    __call__ = build


def watched(component: Component[Any], built: Built, path: KeyPath = ()) -> Watched:
    """The same component, which notes in `built` what it and the components nested in it build.

    Arguments:
        component: what a plan holds.
        built: grows with each object that is built.
        path: where the component stands, unless it says so itself; defaults do not.
    """
    path = component.path or path
    hparams = component.hparams
    inner = {name: _within(v, built, _place(component, name, path)) for name, v in hparams.items()}
    changed = {name: value for name, value in inner.items() if value is not hparams[name]}
    hparams = hparams.model_copy(update=changed) if changed else hparams
    return Watched(component.entry, hparams, component.wiring, path, component.places, built)


def _place(component: Component[Any], name: str, path: KeyPath) -> KeyPath:
    return component.places.get(name, (*path, name))


def _within(value: Any, built: Built, path: KeyPath) -> Any:
    """A field's value with every component in it watched; the value itself where it holds none."""
    if isinstance(value, Component):
        return watched(value, built, path)
    if isinstance(value, list | tuple):
        parts = [_within(part, built, (*path, index)) for index, part in enumerate(value)]
        return type(value)(parts) if any(new is not old for new, old in zip(parts, value, strict=True)) else value
    if not isinstance(value, Mapping):
        return value
    inner = {key: _within(part, built, (*path, key)) for key, part in value.items()}
    changed = {key: part for key, part in inner.items() if part is not value[key]}
    if not changed:
        return value
    return value.model_copy(update=changed) if isinstance(value, Hparams) else inner


class Anatomy:
    """Which component built which module of a model, and what the modules have put out, in their order.

    Arguments:
        plan: the plan of the model.
        built: what its components built.
    """

    def __init__(self, plan: Plan, built: Built) -> None:
        self.plan = plan
        self.finished: list[tuple[nn.Module, Any]] = []
        self._owners: dict[int, tuple[Component[Any], str]] = {}
        modules = [(component, made) for component, made in built if isinstance(made, nn.Module)]
        # The largest first, so that the innermost component has the last word.
        for component, made in sorted(modules, key=lambda each: -sum(1 for _ in each[1].modules())):
            self._owners |= {id(module): (component, name) for name, module in made.named_modules()}
        self._built = built

    def watch(self, model: nn.Module) -> None:
        """Note from now on the shapes of what each module of the model puts out."""
        for module in model.modules():
            module.register_forward_hook(self._note)

    def _note(self, module: nn.Module, inputs: Any, outputs: Any) -> None:
        self.finished.append((module, shapes_of(outputs)))

    def owner(self, module: nn.Module | None) -> tuple[Component[Any], str]:
        """The innermost component that built a module, and the module's name in what it built."""
        return self._owners.get(id(module), (self.plan.model, ""))

    def origin(self, size: int, before: nn.Module | None = None) -> str:
        """Where a size comes from, in words: the data, or the key of the nearest component that ran; or nothing."""
        if before is not None and not any(True for module, _ in self.finished for _ in module.parameters()):
            return f"as the data '{self.plan.data.name}' gives it"
        path = self.place_of(size, beside=before)
        return "" if path is None else f"by {dotted(path)}"

    def place_of(self, size: int, beside: nn.Module | None = None) -> KeyPath | None:
        """Where a size is written: in the component that ran last, or the next before it.

        Arguments:
            size: which number to look for.
            beside: a module whose own component is not meant.
        """
        asking = None if beside is None else self.owner(beside)[0]
        ran = [self.owner(module)[0] for module, _ in reversed(self.finished)]
        owners = {id(each): each for each in ran if each is not asking}
        for component in (*owners.values(), self.plan.model):
            found = sorted(_places_of(component, size), key=_is_no_output)
            # A 1 may mean anything; larger sizes hardly agree by chance.
            if found and (size > 2 or not _is_no_output(found[0])):
                return found[0]
        return None


def _is_no_output(path: KeyPath) -> bool:
    return not any("out" in str(part) for part in path[-2:])


def _numbers(component: Component[Any]) -> Iterator[tuple[KeyPath, int]]:
    """Every whole number among a component's fields, and where it stands; without those that the data supplied."""
    for name, value in _own_fields(component):
        yield from _numbers_in(value, _place(component, name, component.path))


def _own_fields(component: Component[Any]) -> Iterator[tuple[str, Any]]:
    autos = auto_fields(type(component.hparams))
    for name, value in component.hparams.items():
        if name not in autos or name in component.places:
            yield name, value


def _numbers_in(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    if isinstance(value, int) and not isinstance(value, bool):
        yield path, value
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _numbers_in(part, (*path, index))
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _numbers_in(part, (*path, str(key)))


def _places_of(component: Component[Any], size: int) -> list[KeyPath]:
    return [path for path, number in _numbers(component) if number == size]


def forward_clash(anatomy: Anatomy, error: Exception) -> BlueprintError:
    """What failed in a forward pass, at the key that most likely causes it, naming the others.

    Arguments:
        anatomy: of the model that was running.
        error: what it raised.
    """
    module, arguments = _running(error)
    if module is not None and (index := _index_beyond(module, arguments)) is not None:
        return _refuse_index(anatomy, module, index, error)
    misfit = _misfit(module, arguments)
    if module is None or misfit is None:
        return _failure(anatomy, module, arguments, error)
    return _refuse_misfit(anatomy, module, misfit, error)


def _running(error: Exception) -> tuple[nn.Module | None, tuple[Any, ...]]:
    """The innermost module that was running when an exception was raised, and its arguments."""
    calls = [
        frame.f_locals
        for frame, _ in walk_tb(error.__traceback__)
        if frame.f_code is nn.Module._call_impl.__code__  # noqa: SLF001 -- every call of a module passes through it
    ]
    if not calls:
        return None, ()
    return calls[-1]["self"], (*calls[-1]["args"], *calls[-1]["kwargs"].values())


@dataclass(frozen=True)
class _Misfit:
    """A dimension of an input that is not as long as a module's attribute says."""

    attribute: str
    wanted: int
    dimension: int
    shape: tuple[int, ...]

    @property
    def got(self) -> int:
        return self.shape[self.dimension]


def _misfit(module: nn.Module | None, arguments: tuple[Any, ...]) -> _Misfit | None:
    tensor = next((each for each in arguments if isinstance(each, Tensor)), None)
    # What an attribute of somebody else's module means is a guess.
    if tensor is None or not type(module).__module__.startswith("torch.nn."):
        return None
    for attribute, dimension in _SIZES.items():
        wanted = _one_number(getattr(module, attribute, None))
        at = dimension % max(tensor.ndim, 1)
        if wanted is None or not _has_batch(module, tensor) or at >= tensor.ndim:
            continue
        if tensor.shape[at] != wanted:
            return _Misfit(attribute, wanted, at, tuple(tensor.shape))
    return None


def _one_number(value: Any) -> int | None:
    if isinstance(value, tuple) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, int) else None


def _has_batch(module: nn.Module | None, tensor: Tensor) -> bool:
    """Whether an input has a dimension for each of a convolution's, with channels and batch before them."""
    kernel = getattr(module, "kernel_size", None)
    return tensor.ndim > 1 and (not isinstance(kernel, tuple) or tensor.ndim == len(kernel) + 2)


def _refuse_misfit(anatomy: Anatomy, module: nn.Module, misfit: _Misfit, error: Exception) -> BlueprintError:
    plan, (component, name) = anatomy.plan, anatomy.owner(module)
    facts = {
        "attribute": misfit.attribute, "wanted": misfit.wanted, "dimension": misfit.dimension, "shape": misfit.shape,
        "got": misfit.got, "origin": anatomy.origin(misfit.got, module), "at": own_place(error),
    }  # fmt: skip
    if not name and misfit.attribute in component.hparams:
        return plan.refuse("field-misfits", _place(component, misfit.attribute, component.path), **facts)
    sized = [(path, size) for size in (misfit.wanted, misfit.got) for path in _places_of(component, size)]
    path, near = _nearest(plan, component, sized)
    facts |= {"owner": component.name, "kind": component.kind, "part": _called(module, name), "keys": near}
    return plan.refuse("part-misfits", path, **facts)


def _nearest(plan: Plan, component: Component[Any], found: Sequence[tuple[KeyPath, Any]]) -> tuple[KeyPath, Keys]:
    """Of fields that may be meant the first that is written; and all others, or those that nobody wrote, in words."""
    written = [path for path, _ in found if plan.document.find(path) is not None]
    chosen = written[0] if written else found[0][0] if found else component.path
    return chosen, tuple(f"{dotted(path)} is {value}" for path, value in found[:3] if path not in written[:1])


def _called(module: nn.Module, name: str) -> str:
    return f"{type(module).__name__} '{name}'" if name else ""


def _index_beyond(module: nn.Module, arguments: tuple[Any, ...]) -> int | None:
    """An index for which a module such as an embedding has no row."""
    rows = getattr(module, "num_embeddings", None)
    tensor = next(tensors_in(arguments), None)
    if (
        not isinstance(rows, int)
        or tensor is None
        or tensor.is_meta
        or tensor.is_floating_point()
        or not tensor.numel()
    ):
        return None
    return next((each for each in (int(tensor.max()), int(tensor.min())) if not 0 <= each < rows), None)


def _refuse_index(anatomy: Anatomy, module: nn.Module, index: int, error: Exception) -> BlueprintError:
    component, name = anatomy.owner(module)
    rows = int(module.num_embeddings)  # type: ignore[arg-type]  # an integer
    path, keys = _nearest(anatomy.plan, component, [(path, rows) for path in _places_of(component, rows)])
    return anatomy.plan.refuse(
        "index-beyond", path, owner=component.name, kind=component.kind, part=_called(module, name), rows=rows,
        index=index, keys=keys, at=own_place(error),
    )  # fmt: skip


def _failure(
    anatomy: Anatomy, module: nn.Module | None, arguments: tuple[Any, ...], error: Exception
) -> BlueprintError:
    component, name = anatomy.owner(module)
    path, keys = _meant(anatomy.plan, component, error, {each.shape[0] for each in tensors_in(arguments) if each.ndim})
    # The wrapper around a network is no part that a person has written.
    part = "" if module is None else _called(module, name)
    return anatomy.plan.refuse(
        "fails", path,
        owner=component.name, kind=component.kind, part=part, given=said(arguments), message=told(error),
        at=own_place(error), keys=keys,
    )  # fmt: skip


def _meant(
    plan: Plan, component: Component[Any], error: Exception, batch_sizes: Iterable[int] = ()
) -> tuple[KeyPath, Keys]:
    """The field that an error's message speaks of, by name or else by value; and others that it may mean, in words."""
    message = " ".join(str(error).lower().split())
    by_name = [
        (_place(component, name, component.path), value)
        for name, value in _own_fields(component)
        if re.search(rf"\b{re.escape(name.lower()).replace('_', '[_ ]')}\b", message) and _is_short(value)
    ]
    spoken = {int(number) for number in re.findall(r"\d{1,9}", message)} - {0, 1, 2, *batch_sizes}
    found = by_name or [(path, number) for path, number in _numbers(component) if number in spoken]
    return _nearest(plan, component, found)


def _is_short(value: Any) -> bool:
    return isinstance(value, int | float | tuple | list) and not isinstance(value, bool) and len(str(value)) < 40


def judge_clash(
    plan: Plan, component: Component[Any], error: Exception, outputs: Any, targets: Any, origin: str
) -> BlueprintError:
    """What failed in a loss or metric.

    Arguments:
        plan: the plan.
        component: the loss or metric.
        error: what it raised.
        outputs: what the model put out.
        targets: the batch's targets.
        origin: where the size of the outputs comes from, in words.
    """
    for name, values in (("input", outputs), ("target", targets)):
        if not isinstance(values, Tensor) and not wire(component, name) and next(tensors_in(values), None) is not None:
            return plan.refuse(
                "several-tensors", component.path,
                owner=component.name, kind=component.kind, field=name, parts=said(values), message=told(error),
            )  # fmt: skip
    path, _ = _meant(plan, component, error)
    return plan.refuse(
        "fails-on", path,
        owner=component.name, kind=component.kind, outputs=said(outputs), targets=said(targets), origin=origin,
        message=told(error), at=own_place(error),
    )  # fmt: skip


def wire(component: Component[Any], name: str) -> str | None:
    """The key that a loss or metric reads of the outputs (`input`) or the targets (`target`)."""
    return None if component.wiring is None else component.wiring.get(name)


def said(values: Any) -> str:
    """The shapes of tensors in a few words: `(64, 10)`, `logits (64, 10), aux (64, 3)`."""
    return cut(in_words(shapes_of(values), lambda each: str(each.shape)), 120)


def told(error: BaseException) -> str:
    """An exception in one line; its type where the message is not written for a person."""
    text = cut(" ".join(str(error).split()), _LONGEST)
    if text and isinstance(error, HydranticError | ValueError):
        return text
    return f"{type(error).__name__}: {text}".removesuffix(": ")


def own_place(error: BaseException) -> str:
    """File and line where a person's own code raised an exception or called what did; or nothing."""
    places = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
    own = [(file, line) for file, line in places if not file.startswith(_NOT_OWN)]
    return f"{display(Path(own[-1][0]))}:{own[-1][1]}" if own else ""


_NOT_OWN: Final = (
    "<",
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    str(Path(torch.__file__).resolve().parent.parent),
    f"{Path(__file__).parent.parent}{os.sep}",
    f"{STOCK_SHELF}{os.sep}",
)

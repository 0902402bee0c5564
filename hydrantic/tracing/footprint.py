"""Shapes and bytes of what a training step makes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


@dataclasses.dataclass(frozen=True, slots=True)
class TensorShape:
    """Shape and type of a tensor."""

    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{self.shape} {self.dtype}"

    def to_plain(self) -> dict[str, Any]:
        """Shape and type as a list and text."""
        return {"shape": list(self.shape), "dtype": self.dtype}


def shapes_of(values: Any) -> Any:
    """The same mappings and lists with a `TensorShape` for each tensor, and the name of its type for anything else."""
    if isinstance(values, Tensor):
        return TensorShape(tuple(values.shape), str(values.dtype).removeprefix("torch."))
    if (parts := _named_parts(values)) is not None:
        return {str(name): shapes_of(part) for name, part in parts.items()}
    if isinstance(values, list | tuple):
        return [shapes_of(part) for part in values]
    return type(values).__name__


def _named_parts(values: Any) -> Mapping[Any, Any] | None:
    if isinstance(values, Mapping):
        return values
    if isinstance(values, tuple) and hasattr(values, "_asdict"):
        named: Mapping[Any, Any] = values._asdict()
        return named
    if dataclasses.is_dataclass(values) and not isinstance(values, type):
        return {each.name: getattr(values, each.name, None) for each in dataclasses.fields(values)}
    return None


def in_words(shapes: Any, word: Callable[[TensorShape], str] = str) -> str:
    """What `shapes_of` gives on one line, each shape in the words of `word`."""
    if isinstance(shapes, dict):
        return ", ".join(f"{name} {in_words(part, word)}" for name, part in shapes.items())
    if isinstance(shapes, list):
        return ", ".join(in_words(part, word) for part in shapes)
    return word(shapes) if isinstance(shapes, TensorShape) else str(shapes)


def tensors_in(values: Any) -> Iterator[Tensor]:
    """Every tensor in mappings, lists and dataclasses."""
    if isinstance(values, Tensor):
        yield values
        return
    parts = _named_parts(values)
    if parts is None and not isinstance(values, list | tuple):
        return
    for part in values if parts is None else parts.values():
        yield from tensors_in(part)


def tensor_bytes(tensors: Iterable[Tensor]) -> int:
    """Bytes of the tensors' values; 0 for parameters that wait for their first input to get a shape."""
    known = (each for each in tensors if not nn.parameter.is_lazy(each))
    return sum(each.numel() * each.element_size() for each in known)


class SavedForBackward:
    """Notes what autograd keeps for the backward pass while it is entered; each storage once, on any device."""

    def __init__(self) -> None:
        self._storages: dict[int, torch.UntypedStorage] = {}
        self._entered = ExitStack()

    def __enter__(self) -> Self:
        self._entered.enter_context(torch.autograd.graph.saved_tensors_hooks(self._note, lambda saved: saved))
        return self

    def __exit__(self, *raised: object) -> None:
        self._entered.close()

    def _note(self, saved: Tensor) -> Tensor:
        if (storage := _storage(saved)) is not None:
            # Held, so that no other storage gets its identity.
            self._storages[_identity(storage)] = storage
        return saved

    def bytes_beside(self, *others: Iterable[Tensor]) -> int:
        """Bytes of what is kept, leaving out what is there anyway: parameters, buffers, the batch."""
        there = {_identity(storage) for group in others for each in group if (storage := _storage(each)) is not None}
        return sum(storage.nbytes() for key, storage in self._storages.items() if key not in there)


def _storage(tensor: Tensor) -> torch.UntypedStorage | None:
    try:
        return tensor.untyped_storage()
    except (NotImplementedError, ValueError):  # a sparse tensor, or a parameter that has no shape yet
        return None


def _identity(storage: torch.UntypedStorage) -> int:
    identity: int = storage._cdata  # noqa: SLF001 -- all meta storages have the address 0; none is public
    return identity


def state_bytes(optimizer: Optimizer) -> int | None:
    """Bytes of the optimizer's state after a first step, which is taken here; None where it takes none this way."""
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    for each in parameters:
        each.grad = torch.empty_like(each)
    try:
        optimizer.step()
    except Exception:  # noqa: BLE001 -- some need a closure; some fail on meta tensors once their state is there
        if len(optimizer.state) < len(parameters):
            return None
    return sum(tensor_bytes(tensors_in(dict(state))) for state in optimizer.state.values())

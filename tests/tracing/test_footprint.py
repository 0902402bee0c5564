"""Counting shapes and bytes."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from hydrantic.tracing.footprint import SavedForBackward, TensorShape, shapes_of, state_bytes, tensor_bytes, tensors_in

ONE, TWO = torch.zeros(2, 3), torch.zeros(4, dtype=torch.int64)


@dataclass
class Answer:
    logits: torch.Tensor
    note: str = ""


Pair = namedtuple("Pair", "left right")  # noqa: PYI024 -- one without types is what a model may return


@pytest.mark.parametrize(
    ("values", "shapes"),
    [
        (ONE, TensorShape((2, 3), "float32")),
        ((ONE, [TWO]), [TensorShape((2, 3), "float32"), [TensorShape((4,), "int64")]]),
        ({"a": ONE}, {"a": TensorShape((2, 3), "float32")}),
        (Answer(ONE), {"logits": TensorShape((2, 3), "float32"), "note": "str"}),
        (Pair(TWO, None), {"left": TensorShape((4,), "int64"), "right": "NoneType"}),
    ],
)
def test_shapes_are_found_in_whatever_a_model_returns(values: Any, shapes: Any) -> None:
    assert shapes_of(values) == shapes


def test_tensors_are_found_there_too() -> None:
    assert [each.shape for each in tensors_in([Answer(ONE), {"b": (TWO, "text")}])] == [ONE.shape, TWO.shape]


def test_a_parameter_without_a_shape_yet_takes_nothing() -> None:
    assert tensor_bytes([*nn.LazyLinear(3).parameters(), TWO]) == 32


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_each_storage_that_is_kept_for_the_backward_pass_counts_once(device: str) -> None:
    weight = nn.Parameter(torch.ones(3, device=device))
    inputs = torch.ones(2, 3, device=device, requires_grad=True)
    with SavedForBackward() as kept:
        product = inputs * weight  # keeps both factors
        root = product.exp()  # keeps its result
        (root * root[:1]).sum()  # keeps it twice more, once as a view
    assert kept.bytes_beside([weight], [inputs]) == 24
    assert kept.bytes_beside() == 24 + 12 + 24


def test_a_gradient_can_still_be_taken_meanwhile() -> None:
    inputs = torch.ones(3, requires_grad=True)
    with SavedForBackward():
        (slope,) = torch.autograd.grad(inputs.square().sum(), inputs, create_graph=True)
    assert slope.tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("optimizer", "times"),
    [
        (lambda p: torch.optim.SGD(p, lr=1), 0),
        (lambda p: torch.optim.SGD(p, lr=1, momentum=0.9), 1),
        (torch.optim.Adam, 2),
        (lambda p: torch.optim.AdamW(p, amsgrad=True), 3),
        (torch.optim.Adagrad, 1),
        (lambda p: torch.optim.RMSprop(p, momentum=0.9, centered=True), 3),
        (torch.optim.Adafactor, 0.0),  # one number for each row and column
        (torch.optim.LBFGS, None),  # wants a closure
    ],
)
def test_an_optimizers_state_is_counted_without_having_it(optimizer: Any, times: float | None) -> None:
    def state_on(device: str) -> int | None:
        return state_bytes(optimizer([nn.Parameter(torch.ones(300, 200, device=device))]))

    found = state_on("meta")
    assert found == state_on("cpu")
    assert found is None if times is None else found is not None and round(found / 240_000, 1) == times

"""Requests that come together are computed together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from hydrantic.serving.batching import Batcher


class Doubling:
    """Doubles numbers, and notes how many it got at a time; the first time only once it may."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.may, self.started = threading.Event(), threading.Event()

    def __call__(self, inputs: Tensor) -> Sequence[float]:
        self.sizes.append(len(inputs))
        self.started.set()
        assert self.may.wait(10)
        if bool((inputs < 0).any()):
            raise ValueError("negative")
        return [2 * float(each) for each in inputs]


async def asked_while_busy(compute: Doubling, batcher: Batcher, *requests: Sequence[float]) -> list[object]:
    """The answers to requests of which all but the first come while that one is computed."""
    tasks = [asyncio.create_task(batcher.ask(torch.tensor(each))) for each in requests[:1]]
    await asyncio.to_thread(compute.started.wait, 10)
    tasks += [asyncio.create_task(batcher.ask(torch.tensor(each))) for each in requests[1:]]
    await asyncio.sleep(0)
    compute.may.set()
    return list(await asyncio.gather(*tasks, return_exceptions=True))


def test_what_comes_while_a_batch_is_computed_makes_up_the_next() -> None:
    compute = Doubling()
    found = asyncio.run(asked_while_busy(compute, Batcher(compute, 8), [1.0], [2.0, 3.0], [4.0]))
    assert found == [[2.0], [4.0, 6.0], [8.0]]
    assert compute.sizes == [1, 3]


def test_no_more_rows_than_allowed_are_computed_at_once() -> None:
    compute = Doubling()
    found = asyncio.run(asked_while_busy(compute, Batcher(compute, 2), [1.0], [2.0, 3.0], [4.0, 5.0, 6.0, 7.0, 8.0]))
    assert found == [[2.0], [4.0, 6.0], [8.0, 10.0, 12.0, 14.0, 16.0]]
    assert compute.sizes == [1, 2, 2, 2, 1]


def test_rows_of_different_shapes_are_not_computed_together() -> None:
    shapes: list[tuple[int, ...]] = []

    def widths(inputs: Tensor) -> Sequence[int]:
        shapes.append(tuple(inputs.shape))
        return [inputs.shape[1]] * len(inputs)

    async def ask_all() -> list[object]:
        batcher = Batcher(widths, 8)
        asked = [batcher.ask(torch.zeros(1, width)) for width in (2, 2, 3, 2)]
        return list(await asyncio.gather(*asked, batcher.ask(torch.zeros(1, 2).long())))

    assert asyncio.run(ask_all()) == [[2], [2], [3], [2], [2]]
    assert shapes == [(2, 2), (1, 3), (1, 2), (1, 2)]


def test_an_error_is_told_to_those_who_asked_and_to_no_others() -> None:
    compute = Doubling()
    found = asyncio.run(asked_while_busy(compute, Batcher(compute, 2), [1.0], [-1.0, 1.0], [4.0]))
    assert (found[0], found[2]) == ([2.0], [8.0])
    assert isinstance(found[1], ValueError)


def test_a_client_that_has_gone_disturbs_nobody() -> None:
    compute = Doubling()

    async def leave() -> Sequence[float]:
        batcher = Batcher(compute, 8)
        first = asyncio.create_task(batcher.ask(torch.tensor([1.0])))
        await asyncio.to_thread(compute.started.wait, 10)
        first.cancel()
        second = asyncio.create_task(batcher.ask(torch.tensor([2.0])))
        compute.may.set()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await second

    assert asyncio.run(leave()) == [4.0]

"""Computing together what is asked for at the same time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class _Asked:
    inputs: Tensor
    replies: asyncio.Future[Sequence[Any]]

    def is_like(self, other: _Asked) -> bool:
        """Whether the rows of both can make up one batch."""
        first, second = self.inputs, other.inputs
        return first.shape[1:] == second.shape[1:] and first.dtype == second.dtype


class Batcher:
    """Hands requests to a model one batch at a time: those that come while one is computed make up the next.

    So no request waits for company, and the model is only ever used by one thread.

    Arguments:
        compute: from inputs `(rows, ...)` to a reply for each row; called in a thread.
        most: how many rows are computed at once.
    """

    def __init__(self, compute: Callable[[Tensor], Sequence[Any]], most: int) -> None:
        self._compute = compute
        self._most = most
        self._waiting: deque[_Asked] = deque()
        self._work: asyncio.Task[None] | None = None

    async def ask(self, inputs: Tensor) -> Sequence[Any]:
        """A reply for each row of the inputs.

        Raises:
            Exception: whatever the model raised.
        """
        asked = _Asked(inputs, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._answer_all())
        return await asked.replies

    async def _answer_all(self) -> None:
        while self._waiting:
            together = self._next()
            try:
                inputs = torch.cat([each.inputs for each in together])
                replies = await asyncio.to_thread(self._compute_all, inputs)
            except Exception as error:  # noqa: BLE001 -- it belongs to those who asked
                _fail(together, error)
            else:
                _answer(together, replies)

    def _next(self) -> list[_Asked]:
        """The requests that come first, as many as are alike and fit into a batch, and one at least."""
        first = self._waiting.popleft()
        together, rows = [first], len(first.inputs)
        while self._waiting and first.is_like(self._waiting[0]) and rows + len(self._waiting[0].inputs) <= self._most:
            together.append(self._waiting.popleft())
            rows += len(together[-1].inputs)
        return together

    def _compute_all(self, inputs: Tensor) -> list[Any]:
        return [reply for part in torch.split(inputs, self._most) for reply in self._compute(part)]


def _fail(together: Sequence[_Asked], error: Exception) -> None:
    for each in together:
        if not each.replies.done():  # else the client has gone
            each.replies.set_exception(error)


def _answer(together: Sequence[_Asked], replies: Sequence[Any]) -> None:
    start = 0
    for each in together:
        end = start + len(each.inputs)
        if not each.replies.done():  # as above
            each.replies.set_result(replies[start:end])
        start = end

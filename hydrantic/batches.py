"""Batches of tensors by index: a whole batch is one operation, in an order that depends on seed and epoch alone."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

Batch = tuple[Tensor, Tensor]


class Share(tuple[Tensor, Tensor]):  # noqa: SLOT001 -- slots of a tuple could hold nothing
    """One process's share of a batch, where samples are repeated so that every process has equally many.

    It is a pair of inputs and targets. The first `counted` samples are those that no other process counts; `weight` is
    the number of samples for which the mean over this share stands.
    """

    counted: int
    weight: float

    @classmethod
    def of(cls, batch: Batch, counted: int, weight: float) -> Share:
        """A share of which only some samples count."""
        share = cls(batch)
        share.counted, share.weight = counted, weight
        return share

    def moved(self, batch: Any) -> Share:
        """The same share with its samples elsewhere."""
        return Share.of(batch, self.counted, self.weight)


class BatchLoader:
    """Iterates over batches of tensors; a new order in each epoch, the same one for the same seed and epoch.

    Each pass is the next epoch, unless `set_epoch` says which one it is.

    Where processes train together (`torch.distributed`), a batch is that of all of them, so that there are as many
    batches, in the same order and of the same samples, as in one process; each process takes its share. In training,
    every share is equally large and has every sample equally often, so that the mean over the shares' means is the
    batch's: where the number of processes does not divide the batch, its samples are repeated. In validation and test,
    shares are disjoint; a process that is left without a sample gets one that does not count.

    Arguments:
        inputs: shape `(samples, ...)`.
        targets: shape `(samples, ...)`.
        batch_size: number of samples in a batch, over all processes; the last one may be smaller.
        shuffle: whether the samples come in a random order. Without it, batches are views of the tensors.
        drop_last: whether a smaller last batch is left out.
        seed: which orders are drawn; independent of torch's global random state.
        trains: whether every share of a batch has to weigh the same; that of a shuffled one does by default.
    """

    def __init__(
        self,
        inputs: Tensor,
        targets: Tensor,
        batch_size: int,
        *,
        shuffle: bool = False,
        drop_last: bool = False,
        seed: int = 0,
        trains: bool | None = None,
    ) -> None:
        self.inputs = inputs
        self.targets = targets
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.seed = seed
        self.trains = shuffle if trains is None else trains
        self.epoch = 0
        self._next_batch = 0
        self._resume_at = 0

    batch_sampler = None
    """There is none; Lightning asks."""

    @property
    def sampler(self) -> BatchLoader:
        """The loader itself: Lightning calls `loader.sampler.set_epoch` before each epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next pass."""
        self.epoch = epoch

    def __len__(self) -> int:
        samples = len(self.inputs)
        return samples // self.batch_size if self.drop_last else -(-samples // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        start, self._resume_at = self._resume_at, 0
        world, rank = _processes()
        parts = torch.split(self.order(), self.batch_size)[start : len(self)] if self.shuffle else None
        for number in range(start + 1, len(self) + 1):
            whole = self._in_order(number - 1) if parts is None else parts[number - 1 - start]
            batch = self._batch(whole) if world == 1 else self._share(whole, world, rank)
            self._next_batch = number
            yield batch
        self._next_batch = 0
        self.epoch += 1

    def state_dict(self) -> dict[str, int]:
        """Epoch and number of the batch that comes next."""
        return {"epoch": self.epoch, "next_batch": self._next_batch}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Let the next pass go on where `state_dict` was called."""
        self.epoch = state["epoch"]
        self._resume_at = self._next_batch = state["next_batch"] % max(len(self), 1)

    def order(self) -> Tensor:
        """Indices of the samples in the order of the current epoch, where they are shuffled."""
        return torch.randperm(len(self.inputs), generator=self._generator()).to(self.inputs.device)

    def _in_order(self, number: int) -> slice:
        first = number * self.batch_size
        return slice(first, min(first + self.batch_size, len(self.inputs)))

    def _batch(self, which: Tensor | slice) -> Batch:
        if isinstance(which, slice):
            return self.inputs[which], self.targets[which]
        return self.inputs.index_select(0, which), self.targets.index_select(0, which)

    def _share(self, whole: Tensor | slice, world: int, rank: int) -> Batch:
        size = whole.stop - whole.start if isinstance(whole, slice) else len(whole)
        if self.trains and size % world:
            return self._repeated(whole, size, world, rank)
        first, end = size * rank // world, size * (rank + 1) // world
        if first == end:
            return Share.of(self._batch(_within(whole, 0, 1)), counted=0, weight=0.0)
        return self._batch(_within(whole, first, end))

    def _repeated(self, whole: Tensor | slice, size: int, world: int, rank: int) -> Share:
        """A share as large as the others of a batch in which every sample comes equally often."""
        often = world // math.gcd(size, world)
        share = size * often // world
        indices = torch.arange(whole.start, whole.stop) if isinstance(whole, slice) else whole
        positions = torch.arange(rank * share, (rank + 1) * share) % size
        # The first time that a sample comes, it counts.
        counted = min(max(size - rank * share, 0), share)
        return Share.of(self._batch(indices[positions.to(indices.device)]), counted, share / often)

    def _generator(self) -> torch.Generator:
        # Hashed, so that epoch 1 of seed 0 is not epoch 0 of seed 1, as it is where the two are added.
        key = hashlib.sha256(f"{self.seed}/{self.epoch}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(key[:7], "big"))


def _within(whole: Tensor | slice, first: int, end: int) -> Tensor | slice:
    return slice(whole.start + first, whole.start + end) if isinstance(whole, slice) else whole[first:end]


def _processes() -> tuple[int, int]:
    """Number of processes that train together, and which one this is."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_world_size(), torch.distributed.get_rank()
    return 1, 0

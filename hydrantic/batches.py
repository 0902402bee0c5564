"""Batches of tensors by index: a whole batch is one operation, in an order that depends on seed and epoch alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

Batch = tuple[Tensor, Tensor]


class BatchLoader:
    """Iterates over batches of tensors; a new order in each epoch, the same one for the same seed and epoch.

    Each pass is the next epoch, unless `set_epoch` says which one it is. Where processes train together
    (`torch.distributed`), each gets its share, and all get the same number of batches: for training by repeating up
    to one sample per process (or leaving it out with `drop_last`), otherwise without repeating any.

    Arguments:
        inputs: shape `(samples, ...)`.
        targets: shape `(samples, ...)`.
        batch_size: number of samples in a batch; the last one may be smaller.
        shuffle: whether the samples come in a random order. Without it, batches are views of the tensors.
        drop_last: whether a smaller last batch is left out.
        seed: which orders are drawn; independent of torch's global random state.
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
    ) -> None:
        self.inputs = inputs
        self.targets = targets
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.seed = seed
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
        share = self._largest_share()
        return share // self.batch_size if self.drop_last else -(-share // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        start, self._resume_at = self._resume_at, 0
        batches = self._shuffled(start) if self.shuffle else self._in_order(start)
        for number, batch in enumerate(batches, start=start + 1):
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

    def _shuffled(self, start: int) -> Iterator[Batch]:
        inputs, targets = self.inputs, self.targets
        parts = torch.split(self.order().to(inputs.device), self.batch_size)
        for part in parts[start : len(self)]:
            yield inputs.index_select(0, part), targets.index_select(0, part)

    def order(self) -> Tensor:
        """Indices of this process's samples in the order of the current epoch, where they are shuffled."""
        world, rank = _processes()
        samples = len(self.inputs)
        order = torch.randperm(samples, generator=self._generator())
        if world == 1:
            return order
        return order[torch.arange(rank, self._largest_share() * world, world) % samples]

    def _in_order(self, start: int) -> Iterator[Batch]:
        first, end = self._own_range()
        inputs, targets = self.inputs[first:end], self.targets[first:end]
        count = len(self)
        if -(-len(inputs) // self.batch_size) < count:
            # A share that is one sample smaller can fill one batch less; it is cut into smaller batches instead.
            batches = list(zip(inputs.tensor_split(count), targets.tensor_split(count), strict=True))
        else:
            batches = list(
                zip(torch.split(inputs, self.batch_size), torch.split(targets, self.batch_size), strict=True)
            )
        yield from batches[start:count]

    def _own_range(self) -> tuple[int, int]:
        world, rank = _processes()
        samples = self._largest_share() * world if self.drop_last else len(self.inputs)
        return samples * rank // world, samples * (rank + 1) // world

    def _largest_share(self) -> int:
        world, _ = _processes()
        return len(self.inputs) // world if self.drop_last else -(-len(self.inputs) // world)

    def _generator(self) -> torch.Generator:
        # Hashed, so that epoch 1 of seed 0 is not epoch 0 of seed 1, as it is where the two are added.
        key = hashlib.sha256(f"{self.seed}/{self.epoch}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(key[:7], "big"))


def _processes() -> tuple[int, int]:
    """Number of processes that train together, and which one this is."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_world_size(), torch.distributed.get_rank()
    return 1, 0

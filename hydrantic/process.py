"""What Lightning, torch and components set for the whole process, put back when a run has ended."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy
import torch

Restore = tuple[Callable[[Any], Any], Any]
"""A function, and the state that it puts back."""

_VARIABLES: Final = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS", "CUBLAS_WORKSPACE_CONFIG", "OMP_NUM_THREADS")
_MOST_THREADS: Final = 4096
"""More than any machine has: a record that says more is not believed."""


@contextmanager
def settings_as_they_were() -> Iterator[None]:
    """Put back what is set meanwhile of torch's settings and the environment, so that nothing depends on what ran."""
    environment = {name: os.environ.get(name) for name in _VARIABLES}
    with put_back(_settings()):
        try:
            yield
        finally:
            for name, value in environment.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


@contextmanager
def put_back(states: list[Restore]) -> Iterator[None]:
    """Put states back in the end."""
    try:
        yield
    finally:
        for restore, state in states:
            restore(state)


def _settings() -> list[Restore]:
    return [
        (torch.set_default_dtype, torch.get_default_dtype()),
        (torch.set_float32_matmul_precision, torch.get_float32_matmul_precision()),
        (torch.set_deterministic_debug_mode, torch.get_deterministic_debug_mode()),
        (torch.set_grad_enabled, torch.is_grad_enabled()),
        (use_threads, torch.get_num_threads()),
        (_set_cudnn, (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark)),
    ]


@contextmanager
def random_states_as_they_were() -> Iterator[None]:
    """Put back the random states of Python, numpy and torch, so that nobody's numbers depend on what ran meanwhile."""
    with put_back(random_states()):
        yield


def random_states() -> list[Restore]:
    """The random states of Python, numpy and torch, each with what puts it back."""
    states: list[Restore] = [
        (random.setstate, random.getstate()),
        (numpy.random.set_state, numpy.random.get_state()),  # noqa: NPY002 -- the state that others draw from
        (torch.set_rng_state, torch.get_rng_state()),
    ]
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch's
        states.append((torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all()))
    return states


def threads() -> int:
    """How many threads torch computes on."""
    return torch.get_num_threads()


def use_threads(count: int) -> None:
    """Let torch compute on that many threads."""
    if count != torch.get_num_threads():  # telling it what it knows costs a millisecond
        torch.set_num_threads(count)


def share_threads(processes: int, *, recorded: object = None) -> None:
    """Let torch compute on this process's share of the cores, unless somebody has said on how many.

    Arguments:
        processes: of this machine, that share the cores.
        recorded: the `threads` of a run that is to come out the same: the last bits of sums depend on them.
    """
    if isinstance(recorded, int) and 0 < recorded <= _MOST_THREADS:
        use_threads(recorded)
    elif processes > 1 and "OMP_NUM_THREADS" not in os.environ:
        use_threads(max(1, threads() // processes))


def _set_cudnn(flags: tuple[bool, bool]) -> None:
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = flags

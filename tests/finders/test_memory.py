"""How much memory was taken, and which exceptions say that there was too little."""

from __future__ import annotations

import sys

import pytest
import torch

from hydrantic.finders.memory import Peak, available, is_lack_of_memory, resident

linux = pytest.mark.skipif(sys.platform != "linux", reason="the system tells this on Linux alone")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_a_lack_of_memory_is_told_from_other_errors(error: Exception) -> None:
    other = RuntimeError("training failed")
    assert is_lack_of_memory(error)
    assert not is_lack_of_memory(other)
    other.__cause__ = error
    assert is_lack_of_memory(other)


def test_other_errors_are_no_lack_of_memory() -> None:
    assert not is_lack_of_memory(None)
    assert not is_lack_of_memory(ValueError("out of memory"))
    assert not is_lack_of_memory(RuntimeError("shapes do not fit"))


@linux
def test_what_was_taken_and_freed_shows_in_the_peak() -> None:
    peak = Peak("cpu")
    size = 128 << 20
    torch.ones(size // 4).sum()
    found = peak.bytes()
    assert found is not None
    assert found > 0.9 * size


@linux
def test_the_system_tells_what_is_there() -> None:
    assert (resident() or 0) > 1 << 20
    assert (available("cpu") or 0) > 0

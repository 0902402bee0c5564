"""How much memory a training has taken at its peak, and how much there is."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import torch
from lightning.pytorch.utilities.memory import is_oom_error

_STATUS: Final = Path("/proc/self/status")
_CGROUPS: Final = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
"""Where Linux tells the limit of a container, and what of it is taken."""
_RESET: Final = "5"
"""What makes Linux forget the peak of a process (man 5 proc, `clear_refs`)."""


def is_lack_of_memory(error: BaseException | None) -> bool:
    """Whether an exception, or one that it came from, says that there is not enough memory."""
    while error is not None:
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or is_oom_error(error) or _says_so(error):
            return True
        error = error.__cause__
    return False


def _says_so(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(each in text for each in _WORDS)


_WORDS: Final = ("out of memory", "not enough memory", "cublas_status_alloc_failed", "can't allocate memory")


def release() -> None:
    """Give back what is no longer used."""
    gc.collect()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch's
        torch.cuda.empty_cache()


@contextmanager
def collecting_quickly() -> Iterator[None]:
    """Leave what is there already out of the search for garbage meanwhile: with torch loaded, that takes long."""
    if gc.get_freeze_count():  # somebody else has
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class Peak:
    """The most memory that this process takes from its making on: the GPU's where there is one, else its own.

    Of a GPU it is what torch has allocated. Of the process it is the resident set, beyond what there was in the
    beginning: measured by the operating system, it is coarse where little is taken, and memory that was freed may still
    count. On systems that cannot forget a peak it never falls.

    Arguments:
        device: type of the device that is trained on.
        before: bytes of the process's memory that are not to be counted; by default what it takes now.
    """

    def __init__(self, device: str, before: int | None = None) -> None:
        self._device = device
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            return
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text(_RESET, encoding="ascii")
        self._before = resident() if before is None else before

    def bytes(self) -> int | None:
        """The peak so far; None where it cannot be told."""
        if self._device == "cuda":
            return torch.cuda.max_memory_allocated()
        peak = _status("VmHWM")
        return None if peak is None or self._before is None else max(0, peak - self._before)


def resident() -> int | None:
    """Bytes of memory that the process takes; None where the system does not tell."""
    return _status("VmRSS")


def _status(name: str) -> int | None:
    with suppress(OSError, ValueError, StopIteration):
        lines = _STATUS.read_text("ascii").splitlines()
        return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1]) * 1024
    return None


def available(device: str) -> int | None:
    """Bytes that can still be taken, of the GPU or of this machine; None where that is not known."""
    if device == "cuda":
        free, _ = torch.cuda.mem_get_info()
        return free + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    limits = [each for each in (_of_machine(), _of_container(), _of_process()) if each is not None]
    return min(limits) if limits else None


def _of_machine() -> int | None:
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        return int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) * 1024
    return None


def _of_container() -> int | None:
    for limit, used in _CGROUPS:
        with suppress(OSError, ValueError):  # no number where there is no limit
            return int(Path(limit).read_text("ascii")) - int(Path(used).read_text("ascii"))
    return None


def _of_process() -> int | None:
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    size = _status("VmSize")
    return None if limit in {resource.RLIM_INFINITY, math.inf} or size is None else limit - size

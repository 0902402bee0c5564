"""Which batch sizes fit into memory, and how fast training goes with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from tqdm import tqdm

from hydrantic.checking import Blueprintlike, Overrides, override_texts
from hydrantic.errors import BlueprintError, RunFailed, UsageError
from hydrantic.finders import planned
from hydrantic.plan import Plan
from hydrantic.texts import on_one_line

if TYPE_CHECKING:
    from hydrantic.finders.pace import Pace

Mode = Literal["power", "binsearch"]
"""Whether sizes are doubled, or the largest is then also narrowed down."""

KEY: Final = "data.batch_size"
_FIRST: Final = 8
_AS_FAST: Final = 0.9
"""A size that reaches this share of the best rate counts as fast; the smallest of these is suggested."""
_SHARE: Final = 0.9
"""The share of the free memory that a size may be expected to take."""
_NEAR: Final = 32
"""The search ends where the largest size is known to one part in so many."""


@dataclass(frozen=True)
class BatchTrial:
    """What came of one batch size."""

    size: int
    fits: bool
    samples_per_second: float | None = None
    milliseconds: float | None = None
    """Mean duration of a step, with its data."""
    peak: int | None = None
    """Bytes at the peak: allocated on the GPU, or of the process beyond what it took before; None if not known."""
    reason: str | None = None
    """Why it does not fit."""


@dataclass(frozen=True)
class BatchSizes:
    """What came of the sizes that were tried."""

    trials: tuple[BatchTrial, ...]
    """By size."""
    present: int
    """The size that the blueprint says."""
    device: str
    limit: str | None
    """Why no larger size was tried; None where one did not fit."""
    learning_rate: float | None = None
    """The rate that the blueprint says, if any."""
    notes: tuple[str, ...] = ()
    """What a person should know of it."""
    whole: int | None = None
    """The samples in the largest batch that the data has, where a size was tried that exceeds it."""

    @property
    def present_in_effect(self) -> int:
        """The size of the batches that the blueprint trains with: no more than the data has."""
        return self.present if self.whole is None else min(self.present, self.whole)

    @property
    def fitting(self) -> tuple[BatchTrial, ...]:
        """Those that fit."""
        return tuple(each for each in self.trials if each.fits)

    @property
    def largest(self) -> int:
        """The largest size that was seen to fit."""
        return self.fitting[-1].size

    @property
    def suggestion(self) -> int:
        """The smallest size with at least nine tenths of the best rate of samples."""
        best = max(each.samples_per_second or 0.0 for each in self.fitting)
        return next(each.size for each in self.fitting if (each.samples_per_second or 0.0) >= _AS_FAST * best)

    def to_plain(self) -> dict[str, Any]:
        """The result as JSON can hold it."""
        found: dict[str, Any] = {"suggestion": self.suggestion, "largest": self.largest, "present": self.present}
        trials = [dict(vars(each)) for each in self.trials]
        found |= {"device": self.device, "limit": self.limit, "learning_rate": self.learning_rate}
        found |= {"present_in_effect": self.present_in_effect}
        return {**found, "notes": list(self.notes), "trials": trials}


def batch_size_find(
    blueprint: Blueprintlike,
    overrides: Overrides = (),
    *,
    project: str | Path | None = None,
    most: int | None = None,
    mode: Mode = "power",
) -> BatchSizes:
    """Train a few steps with each of several batch sizes, and see which fit into memory and how fast they are.

    Each size is a training of its own, with a new model and new data. It is said of training steps alone: validation
    is left out. A size that would take more memory than is free, as the sizes before let expect, is not tried: on a
    CPU the operating system would end the process rather than refuse it.

    Arguments:
        blueprint: the YAML file, a `Blueprint` or mapping made in Python, or the directory of a run.
        overrides: `key=value` and the like, as on the command line; or a mapping of keys to values.
        project: the folder whose `registry/` may be used; by default the project that holds the working directory.
        most: the largest size to try; by default the number of training samples.
        mode: `power` doubles the size; `binsearch` then narrows down the largest.

    Raises:
        BlueprintError: the blueprint has problems, or contradicts the data.
        UsageError: the data has no `batch_size`, or not even one sample fits.
        RunFailed: training raised an error that is no lack of memory.
    """
    if most is not None and most < 1:
        raise UsageError(f"no batch has {most} samples: --max is 1 or more")
    texts = override_texts(overrides)
    plan = planned(blueprint, texts, project)
    present = size_in(plan)
    with tqdm(desc="batch sizes", delay=2, leave=False, disable=None, bar_format="{desc}") as bar:
        search = _Search(lambda size: planned(blueprint, (*texts, f"{KEY}={size}"), project), bar.set_description_str)
        return replace(search.run(present, most, mode), learning_rate=_rate_in(plan))


def size_in(plan: Plan) -> int:
    """The batch size of a plan's data.

    Raises:
        UsageError: it has none that could be set.
    """
    size = plan.data.hparams.get("batch_size")
    if isinstance(size, bool) or not isinstance(size, int):
        raise UsageError(f"the data '{plan.data.name}' has no field batch_size that is a number")
    return size


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _rate_in(plan: Plan) -> float | None:
    if plan.style == "module" or plan.optimizer is None:
        return None
    rate = plan.optimizer.hparams.get("lr")
    return rate if isinstance(rate, float) else None


@dataclass
class _Search:
    """The sizes that were tried so far."""

    plan_with: Callable[[int], Plan]
    tell: Callable[[str], Any]
    trials: dict[int, BatchTrial] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    device: str = "cpu"
    limit: str | None = None
    most: int | None = None
    before: int | None = None
    whole: int | None = None

    def run(self, present: int, most: int | None, mode: Mode) -> BatchSizes:
        from hydrantic.finders.memory import collecting_quickly, resident

        self.before, self.most = resident(), most
        if most is not None:
            self.limit = f"the largest to try was {most}"
        with collecting_quickly():
            self._try_all(present, mode)
        by_size = tuple(self.trials[size] for size in sorted(self.trials))
        limit = None if any(not each.fits for each in by_size) else self.limit
        return BatchSizes(by_size, present, self.device, limit, notes=self.notes, whole=self.whole)

    def _try_all(self, present: int, mode: Mode) -> None:
        self._double()
        if not any(each.fits for each in self.trials.values()):
            reason = self.trials[min(self.trials)].reason
            raise UsageError(f"no batch fits into memory, not even one of a single sample: {reason}")
        if mode == "binsearch":
            self._narrow()
        if present < max(size for size, each in self.trials.items() if each.fits) and present not in self.trials:
            self._fits(present)

    def _double(self) -> None:
        size = min(_FIRST, self.most or _FIRST)
        while not self._fits(size) and size > 1 and not any(each.fits for each in self.trials.values()):
            size //= 2
        if size < _FIRST and size != self.most:
            return
        for larger in self._larger(size):
            if not self._fits(larger):
                return

    def _larger(self, size: int) -> Iterator[int]:
        while self.most is None or size < self.most:
            size = size * 2 if self.most is None else min(size * 2, self.most)
            yield size

    def _narrow(self) -> None:
        refused = [size for size, each in self.trials.items() if not each.fits]
        if not refused:
            return
        high = min(refused)
        low = max(size for size, each in self.trials.items() if each.fits)
        while high - low > max(1, low // _NEAR):
            middle = (low + high) // 2
            low, high = (middle, high) if self._fits(middle) else (low, middle)

    def _fits(self, size: int) -> bool:
        self.tell(f"batches of {size:,}")
        if (expected := self._too_much(size)) is not None:
            self.trials[size] = BatchTrial(size, fits=False, reason=expected)
            return False
        pace = self._tried(size)
        if isinstance(pace, str):
            self.trials[size] = BatchTrial(size, fits=False, reason=pace)
            return False
        self.device = pace.device
        if pace.batch < size:  # the data has no more
            self.most, self.limit = min(size, pace.batch), f"the data has no batch of more than {pace.batch:,} samples"
            size = self.whole = pace.batch
        self.trials[size] = BatchTrial(size, True, pace.samples_per_second, pace.milliseconds, pace.peak)
        return True

    def _tried(self, size: int) -> Pace | str:
        """How a size did, or why it does not fit."""
        from hydrantic.finders.memory import is_lack_of_memory, release
        from hydrantic.finders.pace import pace_of
        from hydrantic.finders.rehearsal import NoBatch, bare

        try:
            rehearsed = bare(self.plan_with(size))
            self.notes = rehearsed.notes
            return pace_of(rehearsed, self.before)
        except NoBatch:
            if not self.trials:
                raise
            return "the data has no batch of so many samples"
        except (RunFailed, BlueprintError, MemoryError) as error:
            if is_lack_of_memory(error):
                return _first_line(error.__cause__ or error)
            if not self.trials or not isinstance(error, BlueprintError):
                raise
            return f"the data refuses it: {on_one_line(str(error))}"
        finally:
            release()

    def _too_much(self, size: int) -> str | None:
        """Why a size is not to be tried, as memory has grown with the sizes before; None where it may be."""
        from hydrantic.finders.memory import available, resident

        known = sorted((each.size, each.peak) for each in self.trials.values() if each.fits and each.peak is not None)
        free, taken = available(self.device), resident()
        if len(known) < 2 or free is None or taken is None:
            return None
        (small, less), (large, more) = known[-2:]
        expected = more + (more - less) / (large - small) * (size - large)
        missing = expected - (0 if self.device == "cuda" else taken - (self.before or 0))
        if self.device == "cuda" or missing <= _SHARE * free:
            return None
        return f"not tried: it would take about {in_gibibytes(expected)}, and {in_gibibytes(free)} are free"


def in_gibibytes(size: float) -> str:
    """Bytes as a person compares them."""
    return f"{size / 1024**3:.2f} GiB"

"""Where the time of a training goes: in data, forward and backward pass, optimizer, logging and the rest."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tqdm import tqdm

from hydrantic.checking import Blueprintlike, Overrides
from hydrantic.errors import UsageError
from hydrantic.finders import planned

if TYPE_CHECKING:
    from hydrantic.finders.measuring import Operator
    from hydrantic.plan import Plan

STEPS: Final = 50
_FEWEST: Final = 5
KINDS: Final[Mapping[str, str]] = {
    "data": "getting batches, and moving them to the device",
    "forward": "the model and the loss",
    "backward": "the gradients",
    "optimizer": "clipping, the update, the schedule",
    "metrics": "summing up the training epoch",
    "validation": "all of it, with its data and metrics",
    "logging": "writing metrics",
    "checkpoint": "saving states",
    "callbacks": "the callbacks besides",
    "other": "the training loop itself",
}
"""The kinds of work, and what belongs to each."""


@dataclass(frozen=True)
class Work:
    """The time that one kind of work has taken."""

    kind: str
    share: float
    """Of all the time, from 0 to 1; the first step left out, as in the numbers below."""
    mean: float
    """Milliseconds of a step, on average."""
    p95: float
    """Milliseconds of a step, which 95 of 100 steps do not exceed."""
    total: float
    """Seconds in all steps."""
    first: float
    """Milliseconds of the first step, in which memory is taken and kernels are chosen."""


@dataclass(frozen=True)
class Profile:
    """What a training's time went into."""

    steps: int
    """Number of training batches, the first one included."""
    work: tuple[Work, ...]
    """By kind; what took no time is left out."""
    operators: tuple[Operator, ...]
    """The most expensive ones."""
    steps_per_second: float
    """Without any profiling."""
    timed_steps_per_second: float
    """While the times of the kinds of work were taken."""
    parameters: int
    peak: int | None
    """Bytes at the peak: allocated on the GPU, or of the process beyond what it took before; None if not known."""
    device: str
    validations: int
    """How often validation took place in these steps."""
    hint: str
    """What dominates, and what may help."""
    notes: tuple[str, ...] = ()
    """What a person should know of it."""

    def to_plain(self) -> dict[str, Any]:
        """The result as JSON can hold it."""
        return asdict(self)


def profile(
    blueprint: Blueprintlike,
    overrides: Overrides = (),
    *,
    project: str | Path | None = None,
    steps: int = STEPS,
    trace: str | Path | None = None,
) -> Profile:
    """Train a blueprint for some steps, and tell what the time went into; nothing is left behind.

    It is trained three times: as it is, for the rate of steps; with a clock where parts of a step begin and end; and
    for a few steps under torch's profiler, which tells of operators and slows training down.

    Arguments:
        blueprint: the YAML file, a `Blueprint` or mapping made in Python, or the directory of a run.
        overrides: `key=value` and the like, as on the command line; or a mapping of keys to values.
        project: the folder whose `registry/` may be used; by default the project that holds the working directory.
        steps: number of training batches; the data begins anew where an epoch has fewer.
        trace: a file for the trace of the steps under torch's profiler, `.json` or `.json.gz`, as Chrome and Perfetto
            read it.

    Raises:
        BlueprintError: the blueprint has problems, or contradicts the data.
        UsageError: the steps are too few, or the trace cannot be written there.
        RunFailed: training raised an error.
    """
    if steps < _FEWEST:
        raise UsageError(f"{steps} steps show nothing: take {_FEWEST} or more")
    file = None if trace is None else _trace_file(Path(trace))
    plan = planned(blueprint, overrides, project)
    from hydrantic.finders.measuring import measure  # not before: `prepare` imports Lightning the quick way

    with tqdm(desc="profiling", unit=" steps", delay=2, leave=False, disable=None) as bar:
        measured = measure(plan, steps, file, bar)
    work = summed_up(measured.steps)
    timed = 1000 / sum(each.mean for each in work)
    return Profile(
        steps=steps,
        work=work,
        operators=measured.operators,
        steps_per_second=measured.rate,
        timed_steps_per_second=timed,
        parameters=measured.parameters,
        peak=measured.peak,
        device=measured.device,
        validations=measured.validations,
        hint=hint_of(work, plan, measured.device),
        notes=(*measured.notes, *_on_rates(measured.rate, timed, measured.device)),
    )


def _trace_file(file: Path) -> Path:
    if not file.name.endswith((".json", ".json.gz")):
        raise UsageError(f"a trace cannot be written as {file.name}: choose .json or .json.gz")
    if not file.absolute().parent.is_dir():
        raise UsageError(f"{file} cannot be written: there is no folder {file.parent}")
    return file


def summed_up(steps: Sequence[Mapping[str, float]]) -> tuple[Work, ...]:
    """The times of steps by kind of work, the most expensive first.

    Arguments:
        steps: seconds by kind for each step; the first one is told apart.
    """
    first, others = steps[0], steps[1:]
    whole = sum(sum(step.values()) for step in others)
    found = [_summed_up(kind, first, others, whole) for kind in KINDS if any(kind in step for step in steps)]
    return tuple(sorted(found, key=lambda each: -each.total))


def _summed_up(kind: str, first: Mapping[str, float], others: Sequence[Mapping[str, float]], whole: float) -> Work:
    seconds = sorted(step.get(kind, 0.0) for step in others)
    total = sum(seconds)
    p95 = statistics.quantiles(seconds, n=20, method="inclusive")[-1] if len(seconds) > 1 else total
    mean = statistics.fmean(seconds)
    return Work(kind, total / whole if whole else 0.0, mean * 1000, p95 * 1000, total, first.get(kind, 0.0) * 1000)


def _on_rates(plain: float, timed: float, device: str) -> Iterator[str]:
    """What a person should know where the rates with and without a clock differ by more than a third."""
    if not 0.75 < timed / plain < 1.34:
        why = "the clock waits for the GPU after every part, or " if timed < plain and device != "cpu" else ""
        yield f"the two rates differ: {why}something else uses the machine; more --steps tell more"


def hint_of(work: Sequence[Work], plan: Plan, device: str) -> str:
    """What dominates, and what may help.

    Arguments:
        work: the most expensive first.
        plan: whose data may have workers.
        device: type of the device that was trained on.
    """
    most = max(work, key=lambda each: each.share)
    share = f"{most.kind} takes {most.share:.0%} of the time"
    has_workers = "num_workers" in plan.data.hparams
    larger = "a larger data.batch_size (hydrantic batch-size-find)"
    computing = larger if device == "cpu" else f"{larger}, or trainer.precision=bf16-mixed"
    advice = {
        "data": "more data.num_workers" if has_workers else "a larger data.batch_size, or data that is prepared once",
        "forward": computing,
        "backward": computing,
        "optimizer": "a larger data.batch_size: fewer updates in an epoch",
        "validation": "trainer.check_val_every_n_epoch=2, or trainer.limit_val_batches=0.5",
        "checkpoint": "checkpoint.every_n_epochs=5",
        "other": "a larger data.batch_size: the loop costs the same for every step",
        "logging": "trainer.log_every_n_steps=100",
    }.get(most.kind)
    return share if advice is None else f"{share}; what may help: {advice}"

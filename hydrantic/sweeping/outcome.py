"""What became of a job, as the record of its own run tells."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, cast

from hydrantic.errors import UsageError
from hydrantic.rundir import RunRecord
from hydrantic.sweeping.ledger import JobRecord, JobState

_STATES: Final = frozenset({"finished", "pruned", "failed", "interrupted"})


def told_by_its_run(job: JobRecord, objective: tuple[str, str] | None) -> JobRecord | None:
    """The job with what its `run.json` tells of its end; None where it tells of none.

    Arguments:
        job: as the ledger knows it.
        objective: logged name and mode of what is optimised.
    """
    try:
        record = RunRecord.read(job.directory / "run.json").fields
    except UsageError:
        return None
    if (status := str(record.get("status"))) not in _STATES:
        return None
    state = cast("JobState", status)
    metrics, best = (_numbers(record.get(name)) for name in ("metrics", "best_metrics"))
    seconds = record.get("seconds")
    return replace(
        job,
        state=state,
        value=None if objective is None else (metrics | best).get(objective[0]),
        metrics=metrics,
        best_metrics=best,
        seconds=float(seconds) if isinstance(seconds, int | float) else None,
        error=_reason(record.get("error")) if state == "failed" else "",
    )


def _reason(error: Any) -> str:
    if not isinstance(error, Mapping):
        return ""
    kind, message = str(error.get("type", "")), str(error.get("message", ""))
    if kind == "BlueprintError":  # how many problems there are, and where, says no more than the problems themselves
        message = message.partition("\n\n")[2] or message
    return f"{kind}: {message}".strip(": ")


def _numbers(values: Any) -> dict[str, float]:
    """Numbers by name; those that JSON lacks stand as text, and what is none says nothing."""
    found: dict[str, float] = {}
    for name, value in values.items() if isinstance(values, Mapping) else ():
        with suppress(TypeError, ValueError):
            found[str(name)] = float(value)
    return found

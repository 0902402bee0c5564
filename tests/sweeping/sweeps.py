"""Sweeps that never ran, as their ledgers would tell of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydrantic.sweeping.ledger import JobRecord, Ledger, SweepRecord

LOSS = {"metric": "validation/loss", "mode": "min"}


def job(number: int, value: float | None = None, /, **fields: Any) -> JobRecord:
    """A job that has finished, unless `state` says otherwise; `params` may be given by keyword with `__` for dots."""
    known = {"state", "metrics", "seconds", "error", "overrides", "trial", "directory", "params", "sha256"}
    said = {name: each for name, each in fields.items() if name in known}
    params = {name.replace("__", "."): each for name, each in fields.items() if name not in known}
    overrides = tuple(f"{key}={each}" for key, each in params.items())
    metrics = {} if value is None else {"validation/loss": value}
    full = {
        "directory": Path("sweep") / str(number), "params": params, "overrides": overrides, "state": "finished",
        "value": value, "metrics": metrics, "seconds": None if value is None else 1.5, "sha256": "5eed",
    }  # fmt: skip
    return JobRecord(number, **full | said)


def sweep(*jobs: JobRecord, mode: str = "min", directory: Path = Path("sweep"), **about: Any) -> SweepRecord:
    """A sweep of these jobs."""
    return SweepRecord(directory, {"name": "digits", "objective": LOSS | {"mode": mode}} | about, jobs)


def written(folder: Path, *jobs: JobRecord, **about: Any) -> Path:
    """The directory of a sweep of these jobs, its ledger written."""
    folder.mkdir(parents=True, exist_ok=True)
    with Ledger(folder) as ledger:
        ledger.begin(**{"name": "digits", "objective": LOSS, "jobs": len(jobs)} | about)
        ledger.note_all(_note(each, "planned") for each in jobs)
        ledger.note_all(_note(each, each.state) for each in jobs if each.state != "planned")
    return folder


def _note(each: JobRecord, state: str) -> Mapping[str, Any]:
    results = {} if state in {"planned", "running"} else {
        "value": each.value, "metrics": each.metrics, "seconds": each.seconds, "error": each.error,
    }  # fmt: skip
    about = {"params": each.params, "overrides": each.overrides, "trial": each.trial, "sha256": each.sha256}
    return {"job": each.number, "state": state} | about | results

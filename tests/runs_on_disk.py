"""Directories of runs that never ran, as their records would tell of them."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydrantic.rundir import plain_json
from hydrantic.yaml_text import to_yaml

BLUEPRINT: Mapping[str, Any] = {
    "name": "digits",
    "seed": 42,
    "data": {"name": "digits", "batch_size": 64},
    "model": {"name": "mlp", "hidden_dims": [64], "dropout": 0.1},
    "optimizer": {"name": "adamw", "lr": 0.001},
    "checkpoint": {"monitor": "validation/loss", "mode": "min"},
    "early_stopping": None,
    "loggers": {"csv": {"name": "csv"}},
}


def blueprint(**changed: Any) -> dict[str, Any]:
    """A resolved blueprint; `optimizer__lr=0.1` sets a field, a whole section goes by its name."""
    found = json.loads(json.dumps(BLUEPRINT))
    for key, value in changed.items():
        section, _, name = key.partition("__")
        if name:
            found[section][name] = value
        else:
            found[section] = value
    return dict(found)


def run(
    folder: Path, *, loss: float | None = 0.5, number: int = 0, values: Mapping[str, Any] | None = None, **fields: Any
) -> Path:
    """The directory of a run, which has finished unless `fields` say otherwise.

    Arguments:
        folder: the directory.
        loss: its last validation loss, and its best.
        number: how many minutes after noon it began.
        values: the resolved blueprint.
        fields: of the record.
    """
    folder.mkdir(parents=True)
    values = blueprint() if values is None else values
    metrics = {} if loss is None else {"validation/loss": loss, "test/loss": loss + 0.1}
    best = {} if loss is None else {"epoch": 3.0, "validation/loss": loss}
    record = {
        "status": "finished", "name": values["name"], "started": f"2026-11-21T12:{number:02}:00.000Z", "seconds": 1.5,
        "pid": os.getpid(), "host": socket.gethostname(), "versions": {"torch": "2.13.0"}, "data": "abc",
        "git": {"commit": "0123456789abcdef", "dirty": False}, "components": {"model/mlp": "aa"}, "device": "cpu",
        "blueprint": values, "metrics": metrics, "best_metrics": best,
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(plain_json(record | fields)), "utf-8")
    (folder / "blueprint.yaml").write_text(to_yaml(values), "utf-8")
    return folder


def curves(folder: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """The `metrics.csv` of a run with these rows."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [",".join(columns), *(",".join(str(row.get(name, "")) for name in columns) for row in rows)]
    file = folder / "metrics.csv"
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return file


def trained(folder: Path, epochs: int = 5, *, falling: float = 0.5, **fields: Any) -> Path:
    """The directory of a run with a curve of training and validation, and a test."""
    run(folder, **fields)
    rows: list[dict[str, Any]] = [
        {"step": at * 10 + 9, "epoch": at, "training/loss": falling**at, "validation/loss": falling**at + 0.1}
        for at in range(epochs)
    ]
    curves(folder, [*rows, {"step": epochs * 10, "epoch": epochs, "test/loss": 0.3}])
    return folder

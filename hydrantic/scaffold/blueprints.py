"""The text of a blueprint that suits a table: what it is predicted by, how it is scored, and how long it trains."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, Final

from hydrantic.scaffold.survey import shown
from hydrantic.scaffold.tables import Table, said_of_task
from hydrantic.scaffold.texts import IN_UNITS_MODEL, SCHEMA_LINE, TABLE_DATA
from hydrantic.yaml_text import to_yaml

_COMMENT_AT: Final = 34


def blueprint_of(table: Table, folder: Path, command: str) -> str:
    """The text of a blueprint for a table.

    Arguments:
        table: how the table is used.
        folder: where the blueprint will lie.
        command: the words that fit it.
    """
    name = shown(table.choice.table.file.name)
    parts = [
        SCHEMA_LINE,
        f"# Written by hydrantic init for {name}. Try it, then change it:\n",
        f"#   {command} optimizer.lr=1e-3 trainer.max_epochs=20\n",
        to_yaml({"description": _literal(f"{shown(table.choice.target)}, predicted from other columns of {name}")}),
        "seed: 42                          # the same blueprint and seed give the same numbers\n\n",
        _data(table, folder), "\n", _model(table), "\n", _scores(table), "\n", _training(table),
    ]  # fmt: skip
    return "".join(parts)


def _line(key: str, value: Any, comment: str = "", *, indent: int = 2) -> str:
    """`key: value` with a comment behind it, or above it where the value is long."""
    lines = to_yaml({key: value}).splitlines()
    margin = " " * indent
    text = "".join(f"{margin}{line}\n" for line in lines)
    if not comment:
        return text
    if len(lines) == 1 and len(text) < _COMMENT_AT:
        return f"{text.rstrip():<{_COMMENT_AT}}# {comment}\n"
    return f"{margin}# {comment}\n{text}"


def _data(table: Table, folder: Path) -> str:
    fields = table.choice.fields(path_from(folder, table.choice.table.file), table.usual_separator)
    rows = table.facts.train_size or 1
    lines = [_line(key, _literal(value), _meaning(key, table)) for key, value in fields.items()]
    return "".join([
        f"data:\n  name: {TABLE_DATA}\n", *lines,
        _line("split", [0.7, 0.15, 0.15], "training, validation, test"),
        _line("batch_size", batch_size(rows), f"{steps(rows)} steps in an epoch"),
        _line("standardize", True, "numbers get mean 0 and standard deviation 1"),
    ])  # fmt: skip


def _literal(value: Any) -> Any:
    """The value with `${` written so that it is no interpolation."""
    if isinstance(value, list):
        return [_literal(each) for each in value]
    return value.replace("${", "\\${") if isinstance(value, str) else value


def _meaning(key: str, table: Table) -> str:
    choice = table.choice
    out = "; ".join(f"{shown(name)} {reason}" for name, reason in list(choice.left_out.items())[:3])
    more = f"; and {len(choice.left_out) - 3} more" if len(choice.left_out) > 3 else ""
    filled = "a column's mean stands in; or drop, which leaves such rows out"
    meanings = {
        "path": "relative to this file",
        "target": said_of_task(table),
        "id": "names the rows; it is no input",
        "features": f"all but: {out}{more}",
        "categorical": "categories, although some look like numbers",
        "missing": "rows with a missing value are left out" if choice.missing == "drop" else filled,
        "missing_values": "what stands for a missing value, besides an empty one",
        "separator": "the character between two values",
    }
    return meanings[key]


def path_from(folder: Path, file: Path) -> str:
    """A file as seen from a folder; absolute where it lies on another drive."""
    try:
        return Path(os.path.relpath(file.resolve(), folder.resolve())).as_posix()
    except ValueError:  # another drive
        return file.resolve().as_posix()


def batch_size(rows: int) -> int:
    """A power of two near the square root of the number of training rows, from 16 to 1024."""
    return int(min(1024, max(16, 2 ** round(math.log2(max(rows, 1)) / 2))))


def steps(rows: int) -> int:
    """Number of batches in an epoch."""
    return math.ceil(rows / batch_size(rows))


def epochs(rows: int) -> int:
    """As many epochs as make some thousand steps, from 10 to 100."""
    return min(100, max(10, round(5000 / steps(rows))))


def _network(rows: int) -> str:
    width = 32 if rows < 500 else 64 if rows < 20_000 else 128
    return f"name: mlp, hidden_dims: [{width}, {width}], dropout: 0.1"


def _model(table: Table) -> str:
    network = _network(table.facts.train_size or 1)
    if not table.is_regression:
        return f"model: {{{network}}}   # its input and output sizes follow from the data\n"
    return "".join([
        f"model:\n  name: {IN_UNITS_MODEL}                  # shifts and scales what the network puts out\n",
        f"  network: {{{network}}}\n",
        _line("mean", _rounded(table.mean), "of the target, over the training part"),
        _line("std", _rounded(table.std) or 1.0),
    ])  # fmt: skip


def _rounded(number: float) -> float:
    return float(f"{number:.4g}")


_SCORES: Final = {
    "binary": "loss: bce_with_logits             # one output decides between the two classes\n"
    "metrics: {accuracy: , f1: , auroc: }\n",
    "multiclass": "loss: cross_entropy\nmetrics:\n  accuracy:\n"
    "  f1: {average: macro}            # the mean over the classes, each counting alike\n",
    "regression": "loss: mse                         # in the target's unit squared\n"
    "metrics: {mae: , r2: }            # mae is in the target's unit; r2 is 1 at best, 0 for predicting the mean\n",
}  # fmt: skip


_ABSOLUTE: Final = "loss: l1                          # absolute: squares of such numbers exceed 32-bit floats\n"
_TOO_LARGE_TO_SQUARE: Final = 1e8


def _scores(table: Table) -> str:
    if table.is_regression and table.std > _TOO_LARGE_TO_SQUARE:
        return _ABSOLUTE + _SCORES["regression"].partition("\n")[2]
    return _SCORES[str(table.facts.task)]


def _training(table: Table) -> str:
    # With small targets the squared errors' gradients are no longer large beside Adam's default of 1e-8.
    eps = f", eps: {1e-8 * table.std**2:.0e}" if table.is_regression and table.std < 1e-2 else ""
    return (
        f"optimizer: {{name: adamw, lr: 3e-3, weight_decay: 0.01{eps}}}\n"
        "checkpoint: {monitor: validation/loss, mode: min}\n"
        "early_stopping: {monitor: validation/loss, patience: 15}\n"
        f"trainer: {{max_epochs: {epochs(table.facts.train_size or 1)}}}\n"
    )

"""The metrics of a run as `metrics.csv`: one row per step, one column per logged name."""

from __future__ import annotations

import csv
import io
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from hydrantic.errors import HydranticError
from hydrantic.metrics_table import FIRST_COLUMNS, Row, read_metrics
from hydrantic.rundir import swap_contents
from hydrantic.source import display

if TYPE_CHECKING:
    from lightning.pytorch.callbacks import ModelCheckpoint

__all__ = ["MetricsCsv", "cut_back", "read_metrics"]

_SECONDS_BETWEEN_WRITES: Final = 1.0


class MetricsError(HydranticError):
    """The metrics of a run cannot be written."""


class MetricsCsv(Logger):
    """Logs metrics to `metrics.csv` in the run's directory.

    Values of the same step share a row; a name that appears later becomes a further column. Rows are written at most
    once a second, with every checkpoint, and when training ends.

    Arguments:
        run_dir: the run's directory.
    """

    def __init__(self, run_dir: Path) -> None:
        super().__init__()
        self.file = Path(run_dir) / "metrics.csv"
        self._rows: list[Row] = []
        self._columns: list[str] = list(FIRST_COLUMNS)
        self._written_columns: tuple[str, ...] = ()
        self._last_row_at = 0
        self._complete = 0
        self._next_write = 0.0
        self._continue_file()

    @property
    def name(self) -> str:
        """The name of the run's folder."""
        return self.file.parent.name

    @property
    def version(self) -> str:
        """Nothing: a run has one file."""
        return ""

    @property
    def save_dir(self) -> str:
        """The run's directory."""
        return str(self.file.parent)

    @property
    def log_dir(self) -> str:
        """The run's directory."""
        return str(self.file.parent)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """Nothing: the run's `blueprint.yaml` holds them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Add the values to the row of `step`.

        Arguments:
            metrics: numbers, or tensors with one element, by their name.
            step: the number of the training step; without it, the step after the last.
        """
        values = {name: _number(value) for name, value in metrics.items()}
        step = self._next_step() if step is None else step
        self._columns.extend(name for name in values if name not in self._columns)
        row = self._row_of(step)
        row.update(values)

    @rank_zero_only
    def save(self) -> None:
        """Write the rows, unless that was done within the last second."""
        if time.monotonic() >= self._next_write:
            self.flush()

    @rank_zero_only
    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        """Write the rows, and what is logged next: a run that goes on from the checkpoint will not log them again."""
        self.flush()
        self._next_write = 0.0

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the rows that are left."""
        self.flush()

    def state_dict(self) -> dict[str, Any]:
        """What the file holds now, for a checkpoint: a run that goes on from it will log what comes after once more."""
        self.flush()
        return {"columns": list(self._columns), "rows": self._complete, "last": dict(*self._rows)}

    def flush(self) -> None:
        """Write all rows now.

        Raises:
            MetricsError: they cannot be written, such as to a disk that is full.
        """
        self._next_write = time.monotonic() + _SECONDS_BETWEEN_WRITES
        if not self._rows:
            return
        try:
            if tuple(self._columns) != self._written_columns:
                self._write_with_new_columns()
            self._write_rows()
        except OSError as error:
            raise MetricsError(f"{display(self.file)} cannot be written: {error.strerror or error}") from error

    def _next_step(self) -> int:
        return int(self._rows[-1]["step"]) + 1 if self._rows else 0

    def _row_of(self, step: int) -> Row:
        for row in reversed(self._rows):
            if row["step"] == step:
                return row
        self._rows.append({"step": step})
        return self._rows[-1]

    def _write_rows(self) -> None:
        """Write the rows that are held, the last written one anew, and hold on to the last."""
        lines = [self._line(row) for row in self._rows]
        with self.file.open("r+b") as file:
            file.seek(self._last_row_at)
            file.write(b"".join(lines))
            file.truncate()
            last_row_at = file.tell() - len(lines[-1])
        # At once: a signal may end the run anywhere else, and then all of this is done once more.
        self._last_row_at, self._complete, self._rows = last_row_at, self._complete + len(lines) - 1, self._rows[-1:]

    def _write_with_new_columns(self) -> None:
        """Write the file anew with all columns, but for the rows that are held."""
        # The old ones by their number, which holds in a file with the new columns too.
        old = _first_rows(self.file, self._complete)
        text = _text([self._columns, *([row.get(name, "") for name in self._columns] for row in old)])
        swap_contents(self.file, text)
        self._last_row_at, self._written_columns = len(text.encode("utf-8")), tuple(self._columns)

    def _line(self, row: Row) -> bytes:
        return _text([[row.get(name, "") for name in self._columns]]).encode("utf-8")

    def _continue_file(self) -> None:
        if not self.file.is_file():
            return
        contents = self.file.read_bytes()
        complete = contents[: contents.rfind(b"\n") + 1]  # a killed run may have left half a row
        columns = next(csv.reader(io.StringIO(complete.decode("utf-8"))), [])
        self._columns.extend(name for name in columns if name not in self._columns)
        self._written_columns = tuple(columns)
        lines = complete.splitlines(keepends=True)
        # The last row is held: what is logged next may belong to it.
        self._rows = read_metrics(self.file)[-1:] if len(lines) > 1 and complete == contents else []
        self._last_row_at = len(complete) - (len(lines[-1]) if self._rows else 0)
        self._complete = max(len(lines) - 1 - len(self._rows), 0)


def cut_back(path: Path, state: Mapping[str, Any]) -> None:
    """Make a `metrics.csv` what it was when `MetricsCsv.state_dict` was asked; only rows have been added since."""
    columns = state["columns"]
    rows = [[row.get(name) or "" for name in columns] for row in _first_rows(path, state["rows"])]
    last = [[state["last"].get(name, "") for name in columns]] if state["last"] else []
    swap_contents(path, _text([columns, *rows, *last]))


def _first_rows(path: Path, count: int) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(islice(csv.DictReader(file), count))


def _number(value: Any) -> int | float:
    number = value.item() if hasattr(value, "item") else value
    return number if isinstance(number, int | float) else float(number)


def _text(rows: Sequence[Sequence[Any]]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()

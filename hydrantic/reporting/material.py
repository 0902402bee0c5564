"""What a run's directory tells a report, as far as it can be read: a fault in one file hides no other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hydrantic.errors import BlueprintError, UsageError
from hydrantic.finding import find_run
from hydrantic.metrics_table import Curve, read_curves
from hydrantic.records import Record, numbers, record_of
from hydrantic.source import KeyPath

_END_OF_LOG: Final = 64 * 1024
_LINES_OF_LOG: Final = 200
_CONTROL: Final = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


@dataclass(frozen=True)
class Material:
    """All that is told of one run."""

    run: Record
    """Its record, broken or sound."""
    blueprint: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The resolved blueprint; empty where it cannot be read."""
    text: str = field(default="", repr=False)
    """The resolved blueprint as it stands in its file."""
    curves: Mapping[str, Curve] = field(default_factory=dict, repr=False)
    """The values of each logged name."""
    log: str = field(default="", repr=False)
    """The end of what it printed."""
    faults: tuple[str, ...] = ()
    """What could not be read, and why."""

    @property
    def directory(self) -> Path:
        """The run's directory."""
        return self.run.directory

    @property
    def fields(self) -> Mapping[str, Any]:
        """Those of `run.json`; none where it is broken."""
        return self.run.fields

    @property
    def state(self) -> str:
        """How it stands."""
        return self.run.state

    @property
    def name(self) -> str:
        """The blueprint's name."""
        return str(self.fields.get("name") or self.blueprint.get("name") or self.directory.absolute().parent.name)

    @property
    def id(self) -> str:
        """The folder's name; of a job of a sweep with the sweep's."""
        folder = self.directory.absolute()
        return f"{folder.parent.name}/{folder.name}" if self.run.sweep is not None else folder.name

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of each logged name; from the curves where the record has none yet."""
        return self.run.final or {name: curve.values[-1] for name, curve in self.curves.items()}

    @property
    def at_best(self) -> dict[str, float]:
        """The values at the best checkpoint, `epoch` among them."""
        return numbers(self.fields.get("best_metrics"))


def material(named: str | Path) -> Material:
    """Everything that is told of a run, named as on a command line.

    Raises:
        UsageError: there is no such run, or it is a file outside of a run's directory.
    """
    found = find_run(named)
    if found.directory is None:
        raise UsageError(f"{found.label} lies in no run's directory, and a report needs one")
    return material_of(found.directory)


def material_of(directory: Path) -> Material:
    """Everything that the directory of a run tells."""
    faults: list[str] = []
    run = record_of(directory)
    if run.state == "broken":
        faults.append(run.error)
    text = _text(directory / "blueprint.yaml", faults)
    curves = _curves(directory, faults)
    return Material(
        run, run.values or _blueprint(directory / "blueprint.yaml"), text, curves, _log(directory), tuple(faults)
    )


def leaves(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Every value without parts of its own, with its path; lists of scalars and empty containers are whole."""
    if isinstance(value, Mapping) and value:
        for key, each in value.items():
            yield from leaves(each, (*path, key))
    elif isinstance(value, list) and any(isinstance(each, list | Mapping) for each in value):
        for index, each in enumerate(value):
            yield from leaves(each, (*path, index))
    else:
        yield path, value


def _text(file: Path, faults: list[str]) -> str:
    try:
        return file.read_text("utf-8", errors="replace")
    except OSError as error:
        faults.append(f"{file.name} cannot be read: {error.strerror or error}")
        return ""


def _blueprint(file: Path) -> Mapping[str, Any]:
    """What a file holds of which the record does not tell."""
    from hydrantic.reading import read_yaml

    try:
        plain: Mapping[str, Any] = read_yaml(file).plain()
    except BlueprintError:
        return {}
    return plain


def _curves(directory: Path, faults: list[str]) -> Mapping[str, Curve]:
    try:
        return read_curves(directory)
    except (OSError, ValueError) as error:
        faults.append(f"the metrics cannot be read: {error}")
        return {}


def _log(directory: Path) -> str:
    try:
        with (directory / "log.txt").open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(size - _END_OF_LOG, 0))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    is_cut = size > _END_OF_LOG or len(lines) > _LINES_OF_LOG
    kept = [_CONTROL.sub("", line).rstrip() for line in lines[-_LINES_OF_LOG:]]
    return "\n".join(["\N{HORIZONTAL ELLIPSIS}", *kept] if is_cut else kept)

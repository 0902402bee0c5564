"""Reports: one page about a run, several runs or a sweep, which needs nothing but a browser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hydrantic.errors import HydranticError, UsageError
from hydrantic.reporting.material import Material, material
from hydrantic.reporting.one import page_of_run
from hydrantic.reporting.several import page_of_runs
from hydrantic.reporting.sweeps import page_of_sweep
from hydrantic.rundir import write_atomically
from hydrantic.source import display
from hydrantic.sweeping.ledger import FILE as LEDGER
from hydrantic.sweeping.status import find_sweep

if TYPE_CHECKING:
    from hydrantic.reporting.evaluation import Evaluation

Runlike = str | Path
"""The directory of a run or of a sweep, or what else names one on a command line."""


@dataclass(frozen=True)
class Written:
    """A page that was written."""

    file: Path
    lacks: str = ""
    """Why the model could not be evaluated for it; empty where it was, or nobody asked."""


def report(
    runs: Runlike | Sequence[Runlike],
    file: str | Path | None = None,
    *,
    evaluation: bool = True,
    project: str | Path | None = None,
) -> Path:
    """Write one HTML page about a run, several runs, or a sweep; it needs no other file and no network.

    Arguments:
        runs: a run, several, or a sweep.
        file: where to write; by default `report.html` in the directory of the run or sweep, of several runs in the
            working directory.
        evaluation: whether the best checkpoint of a run is evaluated for confusion matrix or residuals.
        project: whose components may be used for that; by default the project that holds the working directory.

    Returns:
        The file.

    Raises:
        UsageError: there is no such run, the record of the only one is broken, or the file cannot be written.
    """
    return write_report(runs, file, evaluation=evaluation, project=project).file


def write_report(
    runs: Runlike | Sequence[Runlike],
    file: str | Path | None = None,
    *,
    evaluation: bool = True,
    project: str | Path | None = None,
) -> Written:
    """Do what `report` does, and tell what the page lacks."""
    named = [runs] if isinstance(runs, str | Path) else list(runs)
    if not named:
        raise UsageError("which run? name its directory")
    if (sweep := _sweep_in(named)) is not None:
        return Written(_write(page_of_sweep(sweep), file, sweep))
    found = [material(each) for each in dict.fromkeys(map(str, named))]
    if len(found) > 1:
        return Written(_write(page_of_runs(found), file, Path()))
    (run,) = found
    if run.state == "broken":  # beside others it is told on the page
        raise UsageError(f"{display(run.directory)} is broken: {run.run.error}")
    said = _evaluated(run, None if project is None else Path(project)) if evaluation else None
    return Written(_write(page_of_run(run, said), file, run.directory), said if isinstance(said, str) else "")


def _sweep_in(named: Sequence[Runlike]) -> Path | None:
    """The sweep that is named; None where runs are."""
    places = [Path(each) for each in named]
    sweeps = [place for place in places if place.name == LEDGER or (place / LEDGER).is_file()]
    if sweeps and len(places) > 1:
        raise UsageError(f"{display(sweeps[0])} is a sweep: a report tells of one sweep, or of runs")
    return find_sweep(sweeps[0]) if sweeps else None


def _evaluated(run: Material, project: Path | None) -> Evaluation | str | None:
    """What the best checkpoint says of unseen samples, or why nothing can be said."""
    if not run.fields.get("best_checkpoint"):
        return "The run kept no weights." if run.state == "finished" else None
    from hydrantic.reporting.evaluation import evaluate

    try:
        return evaluate(run.directory, project)
    except HydranticError as error:
        return str(error)


def _write(text: str, file: str | Path | None, folder: Path) -> Path:
    target = folder / "report.html" if file is None else Path(file)
    if target.is_dir():
        raise UsageError(f"{display(target)} is a folder; name a file in it: {display(target / 'report.html')}")
    if not target.parent.is_dir():
        raise UsageError(f"{display(target)} cannot be written: there is no folder {display(target.parent)}")
    try:
        write_atomically(target, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        where = display(target)
        raise UsageError(f"{where} cannot be written: {error.strerror or error}; name another file with -o") from error
    return target

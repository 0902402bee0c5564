"""`hydrantic check BLUEPRINT|DIR ... [key=value ...]`: everything that is wrong, where, and what to write instead."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from hydrantic.cli.words import OVERRIDES, add_blueprint, blueprints_of, verb_parser

if TYPE_CHECKING:
    from hydrantic.document import Document
    from hydrantic.plan import Plan
    from hydrantic.problems import Problem
    from hydrantic.project import Project
    from hydrantic.tracing import Trace

EXAMPLES = f"""examples:
  hydrantic check blueprints/mlp.yaml
  hydrantic check blueprints/mlp.yaml model=cnn optimizer.lr=3e-4
  hydrantic check blueprints                    every blueprint in the folder
  hydrantic check blueprints/mlp.yaml -m model=mlp,cnn seed=1,2    every job of a sweep
  hydrantic check --deep blueprints/mlp.yaml    also whether the shapes fit, and what the training will need

{OVERRIDES}
Of a file that `hydrantic pack` wrote, it also notes what differs here from where it was packed; that is no problem.
--json prints a list of records (blueprint, file, line, column, path, code, message, suggestion, severity: error or
note); with --deep an object with these as `problems`, and with what was found as `traces`.
exit codes: 0 nothing is wrong, 2 something is."""


def parser() -> ArgumentParser:
    """The command line of `check`."""
    does = "Report everything that is wrong with a blueprint before anything runs."
    check = verb_parser("check", "BLUEPRINT|DIR ... [key=value ...] [options]", does, EXAMPLES)
    add_blueprint(check, "BLUEPRINT|DIR", "YAML files, or folders of them")
    check.add_argument("-m", "--multirun", action="store_true", help="check every combination of the swept values")
    check.add_argument("--deep", action="store_true", help="read the data, trace one batch through the model")
    check.add_argument("--json", action="store_true", help="print records for a program to read")
    return check


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb; see `hydrantic.cli.main.main` for the exit codes."""
    options = parser().parse_intermixed_args(argv)
    blueprints, overrides = blueprints_of(options, "hydrantic check")
    from hydrantic.project import Project

    project = Project.find(explicit=options.project)
    found = [_checked(each, overrides, project, options) for each in _with_progress(blueprints)]
    if options.json:
        _print_records(found, options)
    else:
        _print_reports(found)
    return 2 if any(each.error is not None for each in found) else 0


@dataclass(frozen=True)
class _Found:
    """What is wrong with a blueprint; what tracing it showed, where nothing is."""

    blueprint: Path
    error: Any = None
    traces: list[Trace] = field(default_factory=list)
    jobs: int | None = None
    """How many jobs of a sweep were looked at."""
    notes: tuple[Any, ...] = ()
    """What differs from where it was packed."""


def _checked(blueprint: Path, overrides: Sequence[str], project: Project, options: Namespace) -> _Found:
    from hydrantic.errors import BlueprintError, InvalidJobs

    try:
        if options.multirun:
            return _Found(blueprint, jobs=_jobs(blueprint, overrides, project))
        if options.deep:
            trace = _traced(blueprint, overrides, project)
            notes = _notes(trace.plan.document, project, trace.plan, trace.facts.fingerprint)
            return _Found(blueprint, traces=[trace], notes=notes)
        from hydrantic.checking import check

        plan = check(blueprint, overrides, project=project)
    except (BlueprintError, InvalidJobs) as error:
        return _Found(blueprint, error, notes=_notes_on_file(blueprint, project))
    return _Found(blueprint, notes=_notes(plan.document, project, plan))


def _notes(
    document: Document, project: Project, plan: Plan | None = None, fingerprint: str | None = None
) -> tuple[Problem, ...]:
    if document.find(("packed",)) is None:
        return ()
    from hydrantic.packing import notes_on

    return notes_on(document, project, plan, fingerprint)


def _notes_on_file(blueprint: Path, project: Project) -> tuple[Problem, ...]:
    """The notes on a blueprint that has problems."""
    from hydrantic.errors import BlueprintError
    from hydrantic.reading import read_document

    try:
        return _notes(read_document(blueprint), project)
    except BlueprintError:  # reported already
        return ()


def _jobs(blueprint: Path, overrides: Sequence[str], project: Project) -> int:
    """Plan the jobs of a sweep; how many there are."""
    from hydrantic.rundir import runs_root
    from hydrantic.sweeping.drafts import Order, drafted
    from hydrantic.sweeping.view import View

    draft = drafted(Order(blueprint, tuple(overrides), project.open(), runs_root(None, project.root)))
    with View() as view:
        return draft.check(view)


def _traced(blueprint: Path, overrides: Sequence[str], project: Project) -> Trace:
    from hydrantic.checking import prepare

    plan = prepare(blueprint, overrides, project=project)
    from hydrantic.tracing import trace  # not before: `prepare` imports Lightning the quick way

    return trace(plan)


def _with_progress(blueprints: Sequence[Path]) -> Iterable[Path]:
    if len(blueprints) == 1:
        return blueprints
    from tqdm import tqdm

    bar: Iterable[Path] = tqdm(blueprints, desc="checking", delay=1, leave=False, disable=None)
    return bar


def _print_records(found: Sequence[_Found], options: Namespace) -> None:
    problems = [
        _record(each.blueprint, problem, severity)
        for each in found
        for severity, told in (("error", each.error.problems if each.error else ()), ("note", each.notes))
        for problem in told
    ]
    traces = {str(each.blueprint): trace.to_plain() for each in found for trace in each.traces}
    print(json.dumps({"problems": problems, "traces": traces} if options.deep else problems, indent=2))


def _record(blueprint: Path, problem: Problem, severity: str) -> dict[str, Any]:
    from hydrantic.source import display, dotted
    from hydrantic.wording import message, suggestion

    source = problem.source
    return {
        "blueprint": str(blueprint),
        "file": None if source.file is None else display(source.file),
        "line": source.line or None,
        "column": source.column or None,
        "place": str(source),
        "path": dotted(problem.path),
        "code": problem.code,
        "message": message(problem),
        "suggestion": suggestion(problem),
        "severity": severity,
    }


def _print_reports(found: Sequence[_Found]) -> None:
    from hydrantic.source import display
    from hydrantic.texts import counted, visible

    for each in found:
        if each.error is not None:
            print(each.error, end="\n\n" if len(found) > 1 or each.notes else "\n", file=sys.stderr)
            _print_notes(each, sys.stderr)
            continue
        in_jobs = "" if each.jobs is None else f" in {counted(each.jobs, 'job')}"
        noted = f", {counted(len(each.notes), 'note')}" if each.notes else ""
        print(visible(f"{display(each.blueprint)}: no problems{in_jobs}{noted}"))
        _print_notes(each, sys.stdout)
        for trace in each.traces:
            from hydrantic.tracing.telling import tell

            print(tell(trace))
    wrong = [each for each in found if each.error is not None]
    if len(found) > 1 and wrong:
        print(f"{len(wrong)} of {len(found)} blueprints have problems", file=sys.stderr)


def _print_notes(found: _Found, stream: TextIO) -> None:
    if not found.notes:
        return
    from hydrantic.wording import paragraphs

    heading = "what differs from where it was packed:\n" if found.error is not None else ""
    print(f"{heading}{paragraphs(found.notes)}", file=stream)

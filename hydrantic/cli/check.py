"""`hydrantic check BLUEPRINT|DIR ... [key=value ...]`: everything that is wrong, where, and what to write instead."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydrantic.cli.words import OVERRIDES, add_blueprint, blueprints_of, verb_parser

if TYPE_CHECKING:
    from hydrantic.project import Project
    from hydrantic.tracing import Trace

EXAMPLES = f"""examples:
  hydrantic check blueprints/mlp.yaml
  hydrantic check blueprints/mlp.yaml model=cnn optimizer.lr=3e-4
  hydrantic check blueprints                    every blueprint in the folder
  hydrantic check blueprints/mlp.yaml -m model=mlp,cnn seed=1,2    every job of a sweep
  hydrantic check --deep blueprints/mlp.yaml    also whether the shapes fit, and what the training will need

{OVERRIDES}
--json prints a list of records (blueprint, file, line, column, path, code, message, suggestion); with --deep an object
with these as `problems`, and with what was found as `traces`.
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


def _checked(blueprint: Path, overrides: Sequence[str], project: Project, options: Namespace) -> _Found:
    from hydrantic.errors import BlueprintError, InvalidJobs

    try:
        if options.multirun:
            return _Found(blueprint, jobs=_jobs(blueprint, overrides, project))
        if options.deep:
            return _Found(blueprint, traces=[_traced(blueprint, overrides, project)])
        from hydrantic.checking import check

        check(blueprint, overrides, project=project)
    except (BlueprintError, InvalidJobs) as error:
        return _Found(blueprint, error)
    return _Found(blueprint)


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
    problems = [_record(each.blueprint, problem) for each in found if each.error for problem in each.error.problems]
    traces = {str(each.blueprint): trace.to_plain() for each in found for trace in each.traces}
    print(json.dumps({"problems": problems, "traces": traces} if options.deep else problems, indent=2))


def _record(blueprint: Path, problem: Any) -> dict[str, Any]:
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
    }


def _print_reports(found: Sequence[_Found]) -> None:
    from hydrantic.source import display
    from hydrantic.texts import counted, visible

    for each in found:
        if each.error is not None:
            print(each.error, end="\n\n" if len(found) > 1 else "\n", file=sys.stderr)
            continue
        in_jobs = "" if each.jobs is None else f" in {counted(each.jobs, 'job')}"
        print(visible(f"{display(each.blueprint)}: no problems{in_jobs}"))
        for trace in each.traces:
            from hydrantic.tracing.telling import tell

            print(tell(trace))
    wrong = [each for each in found if each.error is not None]
    if len(found) > 1 and wrong:
        print(f"{len(wrong)} of {len(found)} blueprints have problems", file=sys.stderr)

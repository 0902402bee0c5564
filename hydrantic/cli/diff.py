"""`hydrantic diff A B`: what differs between runs, blueprints or checkpoints."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hydrantic.cli.words import verb_parser
from hydrantic.errors import UsageError

EXAMPLES = """examples:
  hydrantic diff runs/mlp/2026-11-21_09-30-12-5f0c runs/mlp/2026-11-21_10-02-40-91ab
  hydrantic diff blueprints/mlp.yaml runs/mlp          what has changed since the latest run
  hydrantic diff blueprints/mlp.yaml blueprints/cnn.yaml
  hydrantic diff runs/mlp/sweep-2026-11-21_09-00-00-7c1d       more than two: a table of what tells them apart

Each is a blueprint's file, a run, a folder of runs (the latest is meant), a checkpoint, or a sweep (all its jobs that
have begun are). Compared are the resolved values, every default among them, then metrics, versions, commit, the data's
fingerprint and the components' sources, as far as both sides know them. What the data supplies (`auto`) is not held
against a run.
exit codes: 0 done, with --exit-code 1 where something differs, 2 the command or a blueprint is wrong."""

_TWO: Final = 2


def parser() -> ArgumentParser:
    """The command line of `diff`."""
    does = "Say what differs between runs, blueprints or checkpoints: resolved values beside metrics."
    diff = verb_parser("diff", "A B [...] [options]", does, EXAMPLES)
    diff.add_argument("named", nargs="*", metavar="A B", type=Path, help="blueprints, runs, checkpoints, sweeps")
    diff.add_argument("--exit-code", action="store_true", help="end with 1 where something differs")
    diff.add_argument("--json", action="store_true", help="print a record for a program to read")
    return diff


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb; see `hydrantic.cli.main.main` for the exit codes."""
    options = parser().parse_args(argv)
    options.named = _meant(options.named)
    if len(options.named) < _TWO:
        raise UsageError("which two? hydrantic diff A B (hydrantic diff --help)")
    return _two(options) if len(options.named) == _TWO else _many(options)


def _meant(named: Sequence[Path]) -> list[Path]:
    """What is compared: a sweep's jobs in its place; a pattern such as `SWEEP/*` names its own files beside them."""
    from hydrantic.sweeping.ledger import FILE

    places = [each.parent if each.name == FILE else each for each in named]
    sweeps = {each for each in places if (each / FILE).is_file()}
    alone = [each for each in places if each in sweeps or each.parent not in sweeps]
    return [run for each in alone for run in (_jobs_of(each) if each in sweeps else [each])]


def _jobs_of(sweep: Path) -> list[Path]:
    """The jobs of a sweep that have begun."""
    from hydrantic.finding import RECORD
    from hydrantic.source import display
    from hydrantic.sweeping.ledger import read_ledger

    begun = [job.directory for job in read_ledger(sweep).jobs if (job.directory / RECORD).is_file()]
    if not begun:
        raise UsageError(f"{display(sweep)} is a sweep of which no job has begun")
    return begun


def _two(options: Namespace) -> int:
    from hydrantic.comparing import as_record, compared, side, tell
    from hydrantic.project import Project
    from hydrantic.sweeping.words import columns_of, is_coloured
    from hydrantic.texts import visible_json

    project = Project.find(explicit=options.project)
    a, b = (side(each, project) for each in options.named)
    for note in (a.note, b.note):
        if note is not None:
            print(note, file=sys.stderr)
    found = compared(a, b)
    if options.json:
        print(visible_json(json.dumps(as_record(found), indent=2, ensure_ascii=False)))
    else:
        print(tell(found, columns_of(sys.stdout), is_coloured=is_coloured(sys.stdout)))
    return int(options.exit_code and not found.is_same)


def _many(options: Namespace) -> int:
    from hydrantic.cli.sweep import on_paper, on_terminal
    from hydrantic.comparing import as_listed, side
    from hydrantic.listing import for_people, table_of
    from hydrantic.project import Project

    project = Project.find(explicit=options.project)
    records = [as_listed(side(each, project)) for each in options.named]
    table = table_of(records)
    print(on_paper(table, "json") if options.json else on_terminal(for_people(table)))
    return int(options.exit_code and bool(table.keys))


if __name__ == "__main__":
    from hydrantic.cli.main import guarded

    sys.exit(guarded(main, sys.argv[1:]))

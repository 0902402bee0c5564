"""`hydrantic rerun RUN`: repeat a run from its record, and say whether it came to the same numbers."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from pathlib import Path

from hydrantic.cli.words import verb_parser

EXAMPLES = """examples:
  hydrantic rerun runs/mlp/2026-11-21_09-30-12-5f0c
  hydrantic rerun runs/mlp                           the latest run in it
  hydrantic rerun runs/mlp --json > comparison.json

It trains what the run's blueprint.yaml says once more, on as many threads, in a new directory of its own. Before, it
tells what is not as it was recorded: versions, git commit, component sources, data, machine, edits of blueprint.yaml.
Afterwards it compares every value of metrics.csv, the final and best metrics, and the weights of the best checkpoint.
The blueprint's loggers are left out; metrics.csv is written as always. Of a run that did not come to its end the part
that there is is compared, which is never a match of the whole.
exit codes: 0 the whole run was matched bit for bit, 1 it was not, 2 RUN is no run or cannot be repeated."""


def parser() -> ArgumentParser:
    """The command line of `rerun`."""
    does = "Repeat a run, and say whether it matched bit for bit, and if not, where it first left it."
    rerun = verb_parser("rerun", "RUN [options]", does, EXAMPLES)
    rerun.add_argument("run", metavar="RUN", type=Path, help="a run's directory, or a folder of runs: its latest")
    rerun.add_argument("--runs", metavar="DIR", type=Path, help="where runs are kept (default: runs/)")
    rerun.add_argument("--no-test", action="store_true", help="leave the test split alone")
    rerun.add_argument("--json", action="store_true", help="print a record for a program to read")
    return rerun


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb; see `hydrantic.cli.main.main` for the exit codes."""
    options = parser().parse_args(argv)
    from hydrantic.rerunning import rerun
    from hydrantic.texts import visible

    with redirect_stdout(sys.stderr) if options.json else nullcontext():
        done = rerun(options.run, project=options.project, runs=options.runs, test=not options.no_test)
    if options.json:
        print(json.dumps(done.to_plain(), indent=2))
    else:
        for note in done.notes:
            print(visible(f"note: {note}"))
        print(visible(str(done)))
    return 0 if done.matched else 1


if __name__ == "__main__":
    from hydrantic.cli.main import guarded

    sys.exit(guarded(main, sys.argv[1:]))

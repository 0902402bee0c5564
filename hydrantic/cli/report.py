"""`hydrantic report RUN...|SWEEP`: write one page about runs or a sweep, which opens in any browser, offline."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from textwrap import indent

from hydrantic.cli.words import verb_parser
from hydrantic.errors import UsageError

EXAMPLES = """examples:
  hydrantic report runs/mlp                          the latest run of mlp
  hydrantic report runs/mlp/2026-11-21_09-30-12-5f0c -o mlp.html
  hydrantic report runs/mlp/2026-11-2*               several runs, compared
  hydrantic report runs/mlp/sweep-2026-11-21_10-00-00-1a2b

RUN is a run's directory, or a folder of runs: then the latest in it. SWEEP is a sweep's directory.
The page lies in the run's or the sweep's directory as report.html; of several runs in the working directory.
For the confusion matrix or the residuals, the best checkpoint of a run is evaluated on its test split, or on the
validation split where there is none; where that fails, the page and a note say why. A page that is there is replaced.
exit codes: 0 done, 2 the command is wrong."""


def parser() -> ArgumentParser:
    """The command line of `report`."""
    does = "Write one HTML page about a run, several runs or a sweep: everything in one file, to read offline."
    report = verb_parser("report", "RUN...|SWEEP [-o FILE] [options]", does, EXAMPLES)
    report.add_argument("runs", nargs="*", metavar="RUN", type=Path, help="runs, or one sweep")
    report.add_argument("-o", "--output", metavar="FILE", type=Path, help="where to write the page")
    report.add_argument("--no-evaluation", action="store_true", help="leave out what needs the model and its data")
    report.add_argument("--open", action="store_true", help="show the page in your browser")
    return report


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb; see `hydrantic.cli.main.main` for the exit codes."""
    options = parser().parse_args(argv)
    if not options.runs:
        raise UsageError("which run? hydrantic report RUN (hydrantic report --help)")
    from hydrantic.reporting import write_report
    from hydrantic.source import display
    from hydrantic.texts import visible

    done = write_report(options.runs, options.output, evaluation=not options.no_evaluation, project=options.project)
    if done.lacks:
        print(f"note: the page has no predictions:\n{indent(visible(done.lacks), '  ')}", file=sys.stderr)
    print(f"report: {display(done.file)}")
    if options.open:
        import webbrowser

        webbrowser.open(done.file.absolute().as_uri())
    return 0


if __name__ == "__main__":
    from hydrantic.cli.main import guarded

    sys.exit(guarded(main, sys.argv[1:]))

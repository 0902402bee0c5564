"""`hydrantic plot RUN ...`: the curves of runs, in the terminal or in a file."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from hydrantic.cli.words import verb_parser
from hydrantic.errors import UsageError

EXAMPLES = """examples:
  hydrantic plot runs/mlp                              the latest run in it
  hydrantic plot runs/mlp --metrics loss --x epoch     training and validation loss
  hydrantic plot runs/mlp/2026-11-21_09-30-12-5f0c runs/cnn/2026-11-21_10-02-40-91ab -o curves.png
  hydrantic plot runs/mlp/sweep-2026-11-21_09-00-00-7c1d --metrics validation/loss --log

RUN is a run's directory, a folder of runs (the latest is meant) or a sweep (all its jobs are).
A metric is a logged name (validation/loss), or its last part for all stages (loss).
Needs plotille in the terminal and matplotlib for a file: pip install 'hydrantic[plot]'.
exit codes: 0 done, 2 the command is wrong."""


def parser() -> ArgumentParser:
    """The command line of `plot`."""
    does = "Draw the curves of runs in the terminal, or into a file; those of the same metric together."
    plot = verb_parser("plot", "RUN [...] [options]", does, EXAMPLES)
    plot.add_argument("runs", nargs="*", metavar="RUN", type=Path, help="runs, or sweeps")
    plot.add_argument("--metrics", nargs="+", metavar="NAME", help="which to draw (default: all)")
    plot.add_argument("--x", choices=("step", "epoch"), default="step", help="what to draw them over (default: step)")
    plot.add_argument("--log", action="store_true", help="a logarithmic axis for the values")
    plot.add_argument("-o", "--output", metavar="FILE", type=Path, help="write a picture: .png, .svg or .pdf")
    return plot


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb; see `hydrantic.cli.main.main` for the exit codes."""
    options = parser().parse_args(argv)
    runs = _runs(options)
    names = None if options.metrics is None else [n for each in options.metrics for n in each.split(",") if n]
    if options.output is None:
        _print(runs, names, options)
        return 0
    from hydrantic.curves import draw
    from hydrantic.source import display

    draw(runs, options.output, names, x=options.x, is_log=options.log)
    print(f"picture: {display(options.output)}", file=sys.stderr)
    return 0


def _runs(options: Namespace) -> list[Path]:
    """The directories of the runs, the jobs of a sweep in their order."""
    named = [*options.runs, *_taken_for_metrics(options)]
    if not named:
        raise UsageError("which run? hydrantic plot RUN [...] (hydrantic plot --help)")
    runs = [run for each in named for run in _meant(each)]
    if len(runs) > 1:
        _tell_broken(runs)
    return runs


def _tell_broken(runs: Sequence[Path]) -> None:
    """Say on stderr which of several runs have broken records."""
    from hydrantic.records import record_of
    from hydrantic.source import display
    from hydrantic.texts import visible

    for run in runs:
        record = record_of(run)
        if record.state == "broken":
            print(visible(f"note: {display(run)} is broken: {record.error}"), file=sys.stderr)


def _taken_for_metrics(options: Namespace) -> list[Path]:
    """The runs behind `--metrics NAME ...`, which takes every word that follows."""
    names = options.metrics or []
    taken = [name for name in names if "/" in name and Path(name).is_dir()]
    options.metrics = [name for name in names if name not in taken] or None
    return [Path(name) for name in taken]


def _meant(place: Path) -> list[Path]:
    from hydrantic.finding import find_run
    from hydrantic.sweeping.ledger import FILE, read_ledger

    if (place / FILE).is_file():
        jobs = [job.directory for job in read_ledger(place).jobs]
        return [job for job in jobs if (job / "metrics.csv").is_file()] or jobs[:1]
    found = find_run(place)
    if found.note is not None:
        print(found.note, file=sys.stderr)
    if found.directory is None:
        raise UsageError(f"{found.label} is a checkpoint alone: its curves lie in the directory of its run")
    return [found.directory]


def _print(runs: Sequence[Path], names: Sequence[str] | None, options: Namespace) -> None:
    from hydrantic.curves import scene
    from hydrantic.sketches import sketched
    from hydrantic.sweeping.words import columns_of, is_coloured

    drawn = scene(runs, names, x=options.x, is_log=options.log)
    if not _can_write("\N{BRAILLE PATTERN DOTS-25}"):
        raise UsageError("this terminal's alphabet has no signs for curves; draw into a file: -o curves.png")
    print(sketched(drawn, columns_of(sys.stdout), is_coloured=is_coloured(sys.stdout)))


def _can_write(sign: str) -> bool:
    try:
        sign.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


if __name__ == "__main__":
    from hydrantic.cli.main import guarded

    sys.exit(guarded(main, sys.argv[1:]))

"""`hydrantic runs [DIR]`: a table of runs, filtered and sorted."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hydrantic.cli.words import verb_parser
from hydrantic.errors import UsageError

if TYPE_CHECKING:
    from hydrantic.listing import Listing
    from hydrantic.sweeping.table import Table

EXAMPLES = """examples:
  hydrantic runs                                                   the latest of the project
  hydrantic runs runs/mlp --sort validation/loss -n 10             the ten best
  hydrantic runs --where 'optimizer.lr>1e-3' model=cnn             quoted: the shell takes > and < for itself
  hydrantic runs --status failed died --columns run error
  hydrantic runs --where 'validation/loss<0.3' --csv -o good.csv

DIR is a folder of runs, a sweep or a run (default: $HYDRANTIC_RUNS, or runs/ of the project).
A condition is a name, one of = != < <= > >= ~ !~ (~ searches for a regular expression), and a value; all have to hold.
A name is that of a hyperparameter (optimizer.lr, or lr), of a metric (validation/loss, at the best checkpoint;
final.validation/loss, the last), or run state began time name sweep error directory commit host device rerun_of.
Shown are the hyperparameters in which the runs differ, and their metrics.
exit codes: 0 done, 2 the command is wrong."""

_MOST: Final = 30


def parser() -> ArgumentParser:
    """The command line of `runs`."""
    does = "List runs: how they stand, which hyperparameters tell them apart, what they came to."
    runs = verb_parser("runs", "[DIR] [options]", does, EXAMPLES)
    runs.add_argument("directory", nargs="?", metavar="DIR", type=Path, help="a folder of runs")
    runs.add_argument(
        "--where", nargs="+", action="extend", metavar="CONDITION", default=[], help="such as 'optimizer.lr>1e-3'"
    )
    runs.add_argument(
        "--status", nargs="+", action="extend", metavar="STATE", default=[], help="finished, failed, died, ..."
    )
    runs.add_argument("--sort", metavar="NAME", help="column to sort by (default: the latest first)")
    runs.add_argument("--descending", action="store_true", default=None, help="the largest first")
    runs.add_argument("--columns", nargs="+", metavar="NAME", default=[], help="what to show, in this order")
    runs.add_argument("-n", "--most", metavar="N", type=int, help=f"how many rows (default: {_MOST}; in a file all)")
    runs.add_argument("--all", action="store_true", help="every row")
    form = runs.add_mutually_exclusive_group()
    form.add_argument("--csv", dest="form", action="store_const", const="csv", help="print CSV")
    form.add_argument("--markdown", dest="form", action="store_const", const="markdown", help="print Markdown")
    form.add_argument("--json", dest="form", action="store_const", const="json", help="print JSON records")
    runs.add_argument("-o", "--output", metavar="FILE", type=Path, help="write to a file (its ending tells the form)")
    return runs


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb; see `hydrantic.cli.main.main` for the exit codes."""
    options = parser().parse_args(argv)
    from hydrantic.records import without_collection

    with without_collection():
        return _listed(options)


def _listed(options: Namespace) -> int:
    from hydrantic.cli.sweep import form_of, on_paper, written_to
    from hydrantic.listing import listing
    from hydrantic.records import records_below
    from hydrantic.source import display
    from hydrantic.texts import counted, visible
    from hydrantic.where import parsed

    form = options.form or (form_of(options.output) if options.output else None)
    folder = options.directory or _taken_for_a_word(options)
    place = folder or _all_runs(options.project)
    records = records_below(place) if folder or place.is_dir() else []
    found = listing(
        records,
        where=[parsed(each) for each in options.where],
        states=_split(options.status),
        sort=options.sort,
        descending=options.descending,
        columns=_split(options.columns),
        most=_most(options, form),
    )
    if form is None:
        none = f"none of {counted(len(records), 'run')}" if records else f"no runs in {display(place)}"
        print(_for_people(found, is_told_of_more=options.most is None) if found.records else visible(none))
        return 0
    table = found.table if options.columns or form == "markdown" else _with_places(found)
    if options.output is None:
        print(on_paper(table, form))
    else:
        written_to(options.output, on_paper(table, form))
    return 0


def _with_places(found: Listing) -> Table:
    """The table with what a program needs besides: where each run lies, and why it failed."""
    from hydrantic.listing import DIRECTORY, ERROR, table_of

    return table_of(found.records, (*found.table.columns, ERROR, DIRECTORY))


def _taken_for_a_word(options: Namespace) -> Path | None:
    """The folder behind `--where ...` and the like, which take every word that follows."""
    for words in (options.where, options.columns, options.status):
        if len(words) > 1 and "=" not in words[-1] and Path(words[-1]).is_dir():
            return Path(words.pop())
    return None


def _split(names: Sequence[str]) -> list[str]:
    """The names, which may also be written with commas between them."""
    return [name for each in names for name in each.split(",") if name]


def _most(options: Namespace, form: str | None) -> int | None:
    """How many rows are wanted."""
    if options.most is not None:
        if options.most < 1:
            raise UsageError(f"-n {options.most}: at least one row, or leave it out")
        most: int = options.most
        return most
    return None if options.all or form is not None else _MOST


def _all_runs(project: Path | None) -> Path:
    from hydrantic.project import Project
    from hydrantic.rundir import runs_root

    return runs_root(None, Project.find(explicit=project).root)


def _for_people(found: Listing, *, is_told_of_more: bool) -> str:
    from hydrantic.listing import ERROR, for_people, reasons
    from hydrantic.sweeping.table import as_text
    from hydrantic.sweeping.words import STYLES, columns_of, fitted, is_coloured, plain

    width = columns_of(sys.stdout)
    lines = as_text(for_people(found.table), width, styles=STYLES if is_coloured(sys.stdout) else None)
    left = found.total - len(found.records)
    if left and is_told_of_more:
        lines.append(f"... and {left:,} more (--all)")
    told = [] if ERROR in found.table.columns else reasons(found.records)
    return "\n".join([*lines, *([""] if told else []), *(fitted(plain(line), max(width, 80)) for line in told)])


if __name__ == "__main__":
    from hydrantic.cli.main import guarded

    sys.exit(guarded(main, sys.argv[1:]))

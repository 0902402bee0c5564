"""`hydrantic sweep status|table|resume|retry DIR`: look at a sweep, go on with it, or tabulate its results."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter, _SubParsersAction
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hydrantic.cli.words import verb_parser
from hydrantic.errors import UsageError

if TYPE_CHECKING:
    from hydrantic.sweeping.ledger import SweepRecord
    from hydrantic.sweeping.table import Table

EXAMPLES = """examples:
  hydrantic sweep status                             the latest sweep of the project
  hydrantic sweep table runs/mlp --by seed           means and standard deviations, the best first
  hydrantic sweep table runs/mlp --picture           parallel coordinates, and the objective per parameter
  hydrantic sweep resume runs/mlp                    go on after a kill, without the finished jobs

DIR is a sweep's directory, or a folder of runs: then the latest sweep in it (default: runs/).
A sweep is started with `hydrantic fit BLUEPRINT -m key=a,b`.
exit codes: 0 every job is done or under way, 1 a job failed or the sweep stopped early, 2 the command is wrong."""

ACTIONS: Final = {
    "status": "say how a sweep and its jobs stand",
    "table": "tabulate the results, the best first",
    "resume": "go on with a sweep that was stopped, without repeating finished jobs",
    "retry": "run the failed jobs again too, and whatever is left",
}
"""What the verb can do."""
_MOST: Final = 20


def parser() -> ArgumentParser:
    """The command line of `sweep`."""
    does = "Look at a sweep, go on with it, or tabulate its results."
    sweep = verb_parser("sweep", "status|table|resume|retry [DIR] [options]", does, EXAMPLES)
    actions = sweep.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_status(_action(actions, "status"))
    _add_table(_action(actions, "table"))
    _action(actions, "resume")
    _action(actions, "retry")
    return sweep


def _action(actions: _SubParsersAction[ArgumentParser], name: str) -> ArgumentParser:
    does = ACTIONS[name]
    action = actions.add_parser(
        name,
        help=does,
        usage=f"hydrantic sweep {name} [DIR] [options]",
        description=f"{does[0].upper()}{does[1:]}.",
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    action.add_argument("directory", nargs="?", metavar="DIR", type=Path, help="a sweep, or a folder of runs")
    action.add_argument("--project", metavar="DIR", type=Path, help="the project (default: the one you are in)")
    action.add_argument("--traceback", action="store_true", help="show where in the code an error arose")
    return action


def _add_status(status: ArgumentParser) -> None:
    status.add_argument("--all", action="store_true", help=f"a line for every job, not for {_MOST} alone")
    status.add_argument("--json", action="store_true", help="print a record for a program to read")


def _add_table(table: ArgumentParser) -> None:
    table.add_argument("--by", nargs="+", metavar="KEY", default=[], help="average over a swept key, such as seed")
    table.add_argument("--sort", metavar="NAME", help="column to sort by (default: the objective)")
    table.add_argument("--descending", action="store_true", default=None, help="the largest first")
    table.add_argument("--columns", nargs="+", metavar="NAME", default=[], help="what to show, in this order")
    form = table.add_mutually_exclusive_group()
    form.add_argument("--csv", dest="form", action="store_const", const="csv", help="print CSV")
    form.add_argument("--markdown", dest="form", action="store_const", const="markdown", help="print Markdown")
    form.add_argument("--json", dest="form", action="store_const", const="json", help="print JSON records")
    table.add_argument("-o", "--output", metavar="FILE", type=Path, help="write to a file (its ending tells the form)")
    table.add_argument(
        "--picture", metavar="FILE", type=Path, nargs="?", const=Path(),
        help="also draw the results (.png, .svg or .pdf; default: sweep.png in the sweep's directory)",
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb; see `hydrantic.cli.main.main` for the exit codes."""
    options = parser().parse_args(argv)
    return _MAINS[options.action](_directory(options), options)


def _directory(options: Namespace) -> Path:
    from hydrantic.sweeping.status import find_sweep

    named = options.directory or _taken_for_a_name(options)
    if named is not None:
        return find_sweep(named)
    from hydrantic.project import Project
    from hydrantic.rundir import runs_root

    root = runs_root(None, Project.find(explicit=options.project).root)
    if not root.is_dir():
        raise UsageError(f"which sweep? hydrantic sweep {options.action} DIR (there is no folder {root})")
    return find_sweep(root)


def _taken_for_a_name(options: Namespace) -> Path | None:
    """The directory behind `--by KEY ...` or `--columns NAME ...`, which take every word that follows."""
    for names in (getattr(options, "by", []), getattr(options, "columns", [])):
        if names and ("/" in names[-1] or len(names) > 1) and Path(names[-1]).is_dir():
            return Path(names.pop())
    return None


def _status(directory: Path, options: Namespace) -> int:
    from hydrantic.sweeping.status import as_record, exit_code, standing, tell
    from hydrantic.sweeping.words import columns_of, is_coloured
    from hydrantic.texts import visible_json

    sweep = standing(directory)
    if options.json:
        print(visible_json(json.dumps(as_record(sweep), indent=2, ensure_ascii=False)))
    else:
        most = None if options.all else _MOST
        print(tell(sweep, columns_of(sys.stdout), most=most, is_coloured=is_coloured(sys.stdout)))
    return exit_code(sweep)


def _table(directory: Path, options: Namespace) -> int:
    from hydrantic.sweeping.status import standing
    from hydrantic.sweeping.table import results

    sweep = standing(directory)
    table = results(
        sweep,
        by=_split(options.by),
        sort=options.sort,
        descending=options.descending,
        columns=_split(options.columns),
    )
    if options.output is None:
        print(on_paper(table, options.form) if options.form else on_terminal(table))
    else:
        written_to(options.output, on_paper(table, options.form or form_of(options.output)))
    if options.picture is not None:
        _draw(sweep, options.picture)
    return 0


def _split(names: Sequence[str]) -> list[str]:
    """The names, which may also be written with commas between them."""
    return [name for each in names for name in each.split(",") if name]


def on_terminal(table: Table) -> str:
    """A table as wide as the terminal, in its colours."""
    from hydrantic.sweeping.table import as_text
    from hydrantic.sweeping.words import STYLES, columns_of, is_coloured

    return "\n".join(as_text(table, columns_of(sys.stdout), styles=STYLES if is_coloured(sys.stdout) else None))


def on_paper(table: Table, form: str) -> str:
    """A table as CSV, Markdown or JSON."""
    from hydrantic.sweeping.table import as_csv, as_json, as_markdown
    from hydrantic.texts import visible, visible_json

    if form == "json":
        return visible_json(as_json(table))
    return visible(as_csv(table).rstrip("\n") if form == "csv" else as_markdown(table))


def form_of(file: Path) -> str:
    """The form that a file's ending tells.

    Raises:
        UsageError: it tells none.
    """
    forms = {".csv": "csv", ".md": "markdown", ".json": "json"}
    if file.suffix not in forms:
        raise UsageError(f"which form shall {file} have? give it the ending .csv, .md or .json, or say --csv")
    return forms[file.suffix]


def written_to(file: Path, text: str) -> None:
    """Write a text that a person asked for, and say where.

    Raises:
        UsageError: the file cannot be written.
    """
    from hydrantic.rundir import write_atomically
    from hydrantic.source import display

    if not file.parent.is_dir():
        raise UsageError(f"{file} cannot be written: there is no folder {file.parent}")
    try:
        write_atomically(file, text + "\n")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror or error}") from error
    print(f"written: {display(file)}", file=sys.stderr)


def _draw(sweep: SweepRecord, file: Path) -> None:
    from hydrantic.source import display
    from hydrantic.sweeping.picture import draw

    target = sweep.directory / "sweep.png" if file == Path() else file
    try:
        draw(sweep, target)
    except OSError as error:
        where = display(target)
        raise UsageError(
            f"{where} cannot be written: {error.strerror or error}; name a file: --picture FILE"
        ) from error
    print(f"picture: {display(target)}", file=sys.stderr)


def _resume(directory: Path, options: Namespace) -> int:
    return _gone_on(directory, options, retry=False)


def _retry(directory: Path, options: Namespace) -> int:
    return _gone_on(directory, options, retry=True)


def _gone_on(directory: Path, options: Namespace, *, retry: bool) -> int:
    from hydrantic.sweeping.resumption import resume

    done = resume(directory, project=options.project, retry=retry)
    print(done.summary())
    return done.exit_code


_MAINS: Final[Mapping[str, Callable[[Path, Namespace], int]]] = {
    "status": _status,
    "table": _table,
    "resume": _resume,
    "retry": _retry,
}

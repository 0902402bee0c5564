"""`hydrantic init [DIR] [--data FILE.csv]`: a new project that trains at once, or a blueprint for a table."""

from __future__ import annotations

import sys
import threading
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hydrantic.cli.words import verb_parser
from hydrantic.errors import UsageError

if TYPE_CHECKING:
    from hydrantic.scaffold import Scaffold
    from hydrantic.scaffold.tables import Table

EXAMPLES: Final = """examples:
  hydrantic init                               a project in this folder
  hydrantic init demo                          a project in the folder demo
  hydrantic init demo --data plants.csv        with a blueprint that predicts the table's last column
  hydrantic init --data plants.csv --target height

Files that are there are left alone. In a folder that is a project, --data adds the blueprint and nothing else.
exit codes: 0 done, 2 the command or the table is wrong; then nothing was written."""

PATIENCE: Final = 2.0
"""Seconds without a word."""


def parser() -> ArgumentParser:
    """The command line of `init`."""
    does = "Write a project: a component, a blueprint, a test. With --data, a blueprint that suits a CSV file."
    init = verb_parser("init", "[DIR] [--data FILE.csv] [--target NAME]", does, EXAMPLES)
    init.add_argument("folder", nargs="?", metavar="DIR", type=Path, help="where (default: this folder)")
    init.add_argument("--data", metavar="FILE", type=Path, help="a table with a header, in UTF-8")
    init.add_argument("--target", metavar="NAME", help="the column to predict (default: the last)")
    return init


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb; see `hydrantic.cli.main.main` for the exit codes."""
    options = parser().parse_args(argv)
    if options.target is not None and options.data is None:
        raise UsageError("--target names a column of a table: hydrantic init --data FILE.csv --target NAME")
    folder = _folder_of(options)
    _warn_of_project_around(folder)
    scaffold = _example(folder) if options.data is None else _with_table(folder, options.data, options.target)
    print(_told(folder, scaffold))
    return 0


def _folder_of(options: Namespace) -> Path:
    if options.folder is not None and options.project is not None:
        raise UsageError("DIR and --project both name the project's folder; give one of them")
    folder: Path = options.folder or options.project or Path()
    try:
        folder.is_dir()
    except OSError as error:
        raise UsageError(f"{folder} can be no folder: {error.strerror}") from error
    return folder


def _example(folder: Path) -> Scaffold:
    from hydrantic.scaffold import scaffolded

    with scaffolded(folder) as scaffold:
        _write_schema(folder)
    return scaffold


def _with_table(folder: Path, file: Path, target: str | None) -> Scaffold:
    from hydrantic.checking import check
    from hydrantic.errors import BlueprintError
    from hydrantic.project import Project
    from hydrantic.scaffold import scaffolded
    from hydrantic.scaffold.tables import read_table
    from hydrantic.source import display

    with _word_after(PATIENCE, file):
        table = read_table(file, target)
    with scaffolded(folder, table) as scaffold:
        try:
            check(scaffold.blueprint, project=Project(folder.resolve()))
        except BlueprintError as error:  # a column called ???
            raise UsageError(f"no blueprint can be written for {display(file)}: {error}") from error
        _write_schema(folder)
    print(_found(table))
    _warn_of_header(table)
    return scaffold


def _write_schema(folder: Path) -> None:
    """Let an editor know the project's components."""
    from hydrantic.manifest import current
    from hydrantic.project import Project
    from hydrantic.schema import FILE, write_schema

    write_schema(current(Project(folder.resolve())), folder / FILE)


def _warn_of_project_around(folder: Path) -> None:
    from hydrantic.project import Project
    from hydrantic.source import display

    around = Project.find(folder).root
    if around is not None and around != folder.resolve():
        print(
            f"note: {display(around)} is a project already, and {display(folder)} lies in it; its own registry/ will "
            f"be used there (hydrantic init {display(around)} adds to the outer one)",
            file=sys.stderr,
        )


@contextmanager
def _word_after(seconds: float, file: Path) -> Iterator[threading.Thread]:
    """Say what takes so long, if it does."""
    size = file.stat().st_size / 1e6 if file.is_file() else 0
    text = f"reading {file.name}{f' ({size:.0f} MB)' if size >= 1 else ''} ..."
    told = threading.Timer(seconds, print, [text], {"file": sys.stderr})
    told.daemon = True
    told.start()
    try:
        yield told
    finally:
        told.cancel()


def _found(table: Table) -> str:
    """What was found out about a table."""
    from hydrantic.scaffold.survey import shown
    from hydrantic.scaffold.tables import said_of_task
    from hydrantic.source import display
    from hydrantic.texts import counted

    choice = table.choice
    survey = choice.table
    how = ", the last column (--target NAME chooses another)" if choice.is_default_target else ""
    columns, values = len(choice.features), table.facts.in_features or 0
    inputs = counted(columns, "column") + (f", {values} values with one for each category" if values > columns else "")
    parts = [
        ("target", f"{shown(choice.target)}{how}"),
        ("task", "regression" if table.is_regression else f"classification into {said_of_task(table)}"),
        ("inputs", inputs),
        ("id", shown(choice.id) if choice.id is not None else ""),
        ("missing", _missing(table)),
        *(("left out", f"{shown(name)}: it {reason}") for name, reason in list(choice.left_out.items())[:8]),
        ("left out", f"{len(choice.left_out) - 8} more" if len(choice.left_out) > 8 else ""),
    ]
    head = f"{display(survey.file)}: {counted(survey.rows, 'row')}, {counted(len(survey.columns), 'column')}"
    return "\n".join([head, *(f"  {part:<8}  {said}" for part, said in parts if said)])


def _missing(table: Table) -> str:
    from hydrantic.texts import counted

    choice = table.choice
    used = {*choice.features, choice.target}
    count = sum(each.missing for each in choice.table.columns if each.name in used)
    ways = {"drop": f"such rows are dropped, {table.rows} are left", "mean": "a column's mean stands in"}
    return f"{counted(count, 'value')}; {ways[choice.missing]}" if choice.missing in ways else ""


def _warn_of_header(table: Table) -> None:
    from hydrantic.scaffold.survey import shown
    from hydrantic.source import display

    survey = table.choice.table
    if survey.header_is_data:
        names = ", ".join(shown(name) for name in survey.names[:4])
        print(
            f"warning: the first line of {display(survey.file)} looks like data, not like names ({names}); if so, put "
            "a line with the columns' names above it and start anew",
            file=sys.stderr,
        )


def _told(folder: Path, scaffold: Scaffold) -> str:
    """What was written, and what to do next."""
    import shlex

    from hydrantic.scaffold.texts import IGNORED
    from hydrantic.source import display

    lines = ["wrote", *(f"  {display(file)}" for file in scaffold.written.new)]
    if scaffold.written.kept:
        lines += ["left as it was", *(f"  {display(file)}" for file in scaffold.written.kept)]
    if folder / ".gitignore" in scaffold.written.kept:
        lines.append(f"  (your .gitignore should have {', '.join(IGNORED)})")
    here = folder.resolve() == Path.cwd()
    lines += ["next", *([] if here else [f"  cd {shlex.quote(display(folder))}"])]
    lines += [f"  {command}" for command in scaffold.commands]
    return "\n".join(lines)

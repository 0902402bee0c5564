"""`hydrantic schema [--output FILE]`: what an editor needs to complete, explain and check a project's blueprints."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hydrantic.cli.words import verb_parser
from hydrantic.errors import UsageError

EXAMPLES: Final = """examples:
  hydrantic schema                      .hydrantic/blueprint.schema.json in this project
  hydrantic schema -o blueprint.json    somewhere else
  hydrantic schema -o - | less          on the screen

An editor with the YAML language server (VS Code: the extension `YAML`) then completes names and fields, shows their
meaning and marks mistakes in each blueprint that says in its first line where the schema lies. Run it again when the
project's components have changed. Interpolations, files, tasks and monitors are for `hydrantic check` alone.
exit codes: 0 done, 2 the command is wrong, or the file cannot be written."""


def parser() -> ArgumentParser:
    """The command line of `schema`."""
    does = "Write the JSON Schema of this project's blueprints, for an editor."
    schema = verb_parser("schema", "[options]", does, EXAMPLES)
    schema.add_argument("-o", "--output", metavar="FILE", help="where to write it; - prints it")
    return schema


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb; see `hydrantic.cli.main.main` for the exit codes."""
    options = parser().parse_args(argv)
    from hydrantic.manifest import current
    from hydrantic.project import Project
    from hydrantic.schema import FILE, line_for, to_json, write_schema
    from hydrantic.source import display

    project = Project.find(explicit=options.project)
    if options.output == "-":
        print(to_json(current(project)), end="")
        return 0
    root = project.root or Path.cwd()
    if options.output is None and project.root is None:
        raise UsageError("you stand in no project, a folder with blueprints/ or registry/: hydrantic schema -o FILE")
    file = root / FILE if options.output is None else Path(options.output)
    if file.is_dir():
        raise UsageError(f"--output {display(file)} is a folder; name a file in it")
    write_schema(current(project), file)
    folder = root / "blueprints"
    print(f"wrote {display(file)}; the first line of a blueprint in {display(folder)}/ tells an editor of it:")
    print(line_for(file, folder))
    return 0

"""`hydrantic list [KIND]`: the registered names, each with the first line of its docstring."""

from __future__ import annotations

import json
import shutil
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydrantic.cli.words import verb_parser

if TYPE_CHECKING:
    from hydrantic.manifest import Manifest
    from hydrantic.manifest.descriptions import Description

EXAMPLES = """examples:
  hydrantic list              every component there is
  hydrantic list models       those of a kind
  hydrantic list --json       as records for a program to read

A name in [brackets] is the shelf of a component that does not come with hydrantic.
`hydrantic describe KIND NAME` tells more about one.
exit codes: 0 done, 2 the command is wrong."""


def parser() -> ArgumentParser:
    """The command line of `list`."""
    words = verb_parser("list", "[KIND] [options]", "List the components that a blueprint can choose.", EXAMPLES)
    words.add_argument("kind", nargs="?", metavar="KIND", help="models, losses, metrics, data, optimizers, ...")
    words.add_argument("--json", action="store_true", help="print records for a program to read")
    return words


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb; see `hydrantic.cli.main.main` for the exit codes."""
    options = parser().parse_args(argv)
    from hydrantic.manifest import current
    from hydrantic.project import Project
    from hydrantic.registries import KINDS, registry

    kinds = list(KINDS) if options.kind is None else [registry(options.kind).kind]
    manifest = current(Project.find(explicit=options.project))
    if options.json:
        print(json.dumps([_record(manifest, each) for kind in kinds for each in manifest.all(kind)], indent=2))
        return 0
    print("\n\n".join(text for kind in kinds if (text := _section(manifest, kind))))
    return 0


def _record(manifest: Manifest, found: Description) -> dict[str, Any]:
    hidden = manifest.hidden(found.kind, found.name)
    return found.record | {"replaces": None if hidden is None else hidden.shelf}


def _section(manifest: Manifest, kind: str) -> str:
    from hydrantic.registries import KINDS

    found = manifest.all(kind)
    if not found:
        return ""
    width = min(max(len(each.name) for each in found), 32)
    return "\n".join([KINDS[kind], *(_line(manifest, each, width) for each in found)])


def _line(manifest: Manifest, found: Description, width: int) -> str:
    from hydrantic.registries import STOCK
    from hydrantic.texts import on_one_line, visible

    hidden = manifest.hidden(found.kind, found.name)
    shelf = found.shelf if hidden is None else f"{found.shelf}, in place of {hidden.shelf}'s"
    mark = f"[{shelf}] " if found.shelf not in {"", STOCK} else ""
    said = f"cannot be imported: {found.broken}" if found.broken else found.summary
    line = visible(on_one_line(f"  {found.name:<{width}}  {mark}{said}".rstrip()))
    columns = max(shutil.get_terminal_size((120, 24)).columns, 60)
    return line if len(line) <= columns else f"{line[: columns - 3].rstrip()}..."

"""`hydrantic describe KIND NAME`: one component, its fields, and a block to paste into a blueprint."""

from __future__ import annotations

import json
import shutil
import textwrap
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hydrantic.cli.words import verb_parser

if TYPE_CHECKING:
    from hydrantic.manifest import Manifest
    from hydrantic.manifest.descriptions import Description

EXAMPLES = """examples:
  hydrantic describe model mlp
  hydrantic describe optimizer torch.optim.AdamW
  hydrantic describe adamw            where only one kind has the name
  hydrantic describe metric f1 --json

exit codes: 0 done, 2 the command is wrong."""


def parser() -> ArgumentParser:
    """The command line of `describe`."""
    does = "Describe a component: where it is defined, its fields, and a block ready to paste into a blueprint."
    words = verb_parser("describe", "KIND NAME [options]", does, EXAMPLES)
    words.add_argument("words", nargs="+", metavar="KIND NAME", help="such as `model mlp`")
    words.add_argument("--json", action="store_true", help="print a record for a program to read")
    return words


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb; see `hydrantic.cli.main.main` for the exit codes."""
    options = parser().parse_args(argv)
    from hydrantic.manifest import current
    from hydrantic.project import Project
    from hydrantic.texts import visible

    found = _found(options.words, current(Project.find(explicit=options.project)))
    print(json.dumps(_record(found), indent=2) if options.json else visible(_text(found)))
    return 0


def _found(words: Sequence[str], manifest: Manifest) -> Description:
    from hydrantic.errors import UsageError
    from hydrantic.registries import KINDS, UnknownName, registry

    if len(words) > 2:
        raise UsageError(f"one component at a time: hydrantic describe KIND NAME, not {' '.join(words)}")
    if len(words) == 2:
        kind, name = registry(words[0]).kind, words[1]
        if (found := manifest.named(kind, name)) is None:
            raise UnknownName(kind, name, manifest.lookups(kind))
        return found
    name = words[0]
    of_kinds = [found for kind in KINDS if (found := manifest.named(kind, name)) is not None]
    if len(of_kinds) == 1:
        return of_kinds[0]
    if of_kinds:
        either = " or ".join(f"hydrantic describe {each.kind} {name}" for each in of_kinds)
        raise UsageError(f"'{name}' is the name of several: {either}")
    if name in {*KINDS, *KINDS.values()}:
        raise UsageError(f"which one? hydrantic list {name} names them: hydrantic describe {name} NAME")
    raise UnknownName("component", name, tuple(each for kind in KINDS for each in manifest.lookups(kind)))


def _record(found: Description) -> dict[str, Any]:
    from hydrantic.phrases import words

    fields = {name: {**field, "words": words(field["type"])} for name, field in found.fields.items()}
    return found.record | {"doc": found.doc, "fields": fields, "block": block(found)}


def _text(found: Description) -> str:
    from hydrantic.source import display

    where = f"{display(found.source.file)}:{found.line}" if found.source.file is not None else found.shelf
    others = [*found.aliases, *(each for each in found.dotted if not each.startswith("hydrantic."))]
    head = f"{found.kind} {found.name}" + (f", also {', '.join(others)}" if others else "")
    head = head if found.broken else f"{head}\n{where} ({found.shelf})"
    parts = [head, f"cannot be imported: {found.broken}" if found.broken else found.doc]
    if found.fields:
        parts.append("\n".join(_fields(found.fields)))
    if not found.broken:
        parts.append(block(found).rstrip())
    return "\n\n".join(part for part in parts if part)


def _fields(fields: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Each field in a line with its type and default, its meaning below."""
    from hydrantic.phrases import words

    columns = min(max(shutil.get_terminal_size((100, 24)).columns, 60), 100)
    for name, field in fields.items():
        default = f" = {_short(field['default'])}" if "default" in field else " (required)"
        yield f"  {name}: {words(field['type'])}{default}"
        yield from textwrap.wrap(field.get("meaning", ""), columns, initial_indent=" " * 6, subsequent_indent=" " * 6)


def _short(default: Any) -> str:
    if isinstance(default, dict) and default.keys() == {"name"}:
        return str(default["name"])
    if isinstance(default, bool) or default is None:
        return "null" if default is None else str(default).lower()
    return json.dumps(default, ensure_ascii=False) if isinstance(default, list | dict) else str(default)


def block(found: Description) -> str:
    """The component as it stands in a blueprint, what is required first; what the data supplies is left out."""
    from hydrantic.forms import takes_auto
    from hydrantic.sections import COMPONENTS, LABELLED, WITHIN_HYDRA
    from hydrantic.yaml_text import to_yaml

    required = {name: "???" for name, field in found.fields.items() if "default" not in field}
    settable = {n: field for n, field in found.fields.items() if "default" in field and not takes_auto(field["type"])}
    others = {name: _brief(field["default"]) for name, field in settable.items()}
    sections = {kind: section for section, kind in {**COMPONENTS, **LABELLED}.items()}
    section = sections.get(found.kind, "")
    place = {kind: group.split("/") for group, kind in WITHIN_HYDRA.items()}.get(found.kind)
    if section in LABELLED:
        text = to_yaml({section: {found.name: required | others}})
    else:
        whole = {"name": found.name} | required | others
        for part in reversed([section] if section else place or []):
            whole = {part: whole}
        text = to_yaml(whole)
    return text.replace("???", "???  # required")


def _brief(value: Any) -> Any:
    """A default with every component that has no fields set as its bare name."""
    if isinstance(value, dict):
        return value["name"] if value.keys() == {"name"} else {key: _brief(each) for key, each in value.items()}
    return [_brief(each) for each in value] if isinstance(value, list) else value

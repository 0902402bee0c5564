"""`hydrantic explain BLUEPRINT KEY [key=value ...]`: one value, who set it, and what it may be."""

from __future__ import annotations

import shlex
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hydrantic.cli.words import OVERRIDES, add_blueprint, add_deep, blueprint_of, planning_of, verb_parser
from hydrantic.errors import UsageError

if TYPE_CHECKING:
    from hydrantic.explaining import Explanation

USAGE = "hydrantic explain"
EXAMPLES = f"""examples:
  hydrantic explain blueprints/mlp.yaml model.dropout
  hydrantic explain blueprints/mlp.yaml optimizer.lr optimizer.lr=3e-4
  hydrantic explain blueprints/mlp.yaml scheduler model=cnn       a section with its fields
  hydrantic explain blueprints/mlp.yaml model.in_features --deep  what the data supplies

{OVERRIDES}
Of a blueprint that has problems it tells what is written, then the problems of that value.
exit codes: 0 done, 2 the blueprint or the command is wrong."""


def parser() -> ArgumentParser:
    """The command line of `explain`."""
    does = "Explain one value of a blueprint: what set it, what that replaced, its type, range, default and meaning."
    explain = verb_parser("explain", "BLUEPRINT KEY [key=value ...] [options]", does, EXAMPLES)
    add_blueprint(explain, "BLUEPRINT KEY", "the YAML file and the dotted path of a value")
    add_deep(explain)
    explain.add_argument("--json", action="store_true", help="print a record for a program to read")
    return explain


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb; see `hydrantic.cli.main.main` for the exit codes."""
    options = parser().parse_intermixed_args(argv)
    blueprint, words = blueprint_of(options, USAGE)
    key, overrides = _key_of(blueprint, words)
    from hydrantic.explaining import explain
    from hydrantic.explaining.telling import tell
    from hydrantic.project import Project
    from hydrantic.showing import to_json
    from hydrantic.texts import visible

    project = Project.find(explicit=options.project)
    explanation = explain(blueprint, key, overrides, project=project, planning=planning_of(options))
    print(to_json(explanation.to_plain()) if options.json else visible(tell(explanation)))
    if not explanation.problems:
        return 0
    print(_problems(explanation, blueprint, overrides), file=sys.stderr)
    return 2


def _key_of(blueprint: Path, words: Sequence[str]) -> tuple[str, list[str]]:
    """The key, which is the one word that is no override, and the overrides."""
    keys = [word for word in words if "=" not in word and not word.startswith("~")]
    file = shlex.quote(str(blueprint))
    if not blueprint.exists() and len(keys) == 1 and Path(keys[0]).is_file():
        raise UsageError(f"the blueprint comes before the key: {USAGE} {shlex.quote(keys[0])} {blueprint}")
    if len(keys) > 1:
        raise UsageError(f"one key at a time: {USAGE} {file} {keys[0]} (then {USAGE} {file} {keys[1]})")
    if keys:
        return keys[0], [word for word in words if word != keys[0]]
    if words:
        key = words[0].lstrip("+~").partition("=")[0]
        raise UsageError(f"which key? '{words[0]}' is an override: {USAGE} {file} {key} {shlex.join(words)}")
    raise UsageError(f"which key? {USAGE} {file} KEY, such as model or optimizer.lr ({USAGE} --help)")


def _problems(explanation: Explanation, blueprint: Path, overrides: Sequence[str]) -> str:
    """The problems of the value, and how many others there are."""
    from hydrantic.wording import report

    own, texts = explanation.own_problems, explanation.document.texts
    others = len(explanation.problems) - len(own)
    lines = [report(own, texts)] if own else []
    if others:
        check = shlex.join(["hydrantic", "check", str(blueprint), *overrides])
        also = "further " if own else ""
        lines.append(f"{others} {also}problem{'' if others == 1 else 's'} in this blueprint: {check}")
    return "\n" + "\n\n".join(lines)


if __name__ == "__main__":
    from hydrantic.cli.main import guarded

    sys.exit(guarded(main, sys.argv[1:]))

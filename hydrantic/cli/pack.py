"""`hydrantic pack BLUEPRINT|RUN [key=value ...] -o FILE`: one file that somebody else can check and run."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from hydrantic.cli.words import OVERRIDES, add_blueprint, blueprint_of, verb_parser

EXAMPLES = f"""examples:
  hydrantic pack blueprints/mlp.yaml -o digits.yaml
  hydrantic pack blueprints/mlp.yaml optimizer.lr=3e-4 -o digits.yaml
  hydrantic pack runs/mlp/2026-11-21_09-30-12-5f0c -o digits.yaml      with what came of the run

The file holds the complete blueprint, what it requires, and in the section `packed` what each component was: its
distribution and version, its fields, hashes of fields and source. `hydrantic check digits.yaml` compares that with what
there is, and says how to get what is missing. Nothing is installed or run by it. Paths of data are written relative to
the file where they lie below its folder; what it cannot bring along is said on stderr.

{OVERRIDES}
exit codes: 0 done, 2 the blueprint or the command is wrong."""


def parser() -> ArgumentParser:
    """The command line of `pack`."""
    does = "Write a blueprint, or that of a run, as one file for somebody else."
    pack = verb_parser("pack", "BLUEPRINT|RUN [key=value ...] -o FILE [options]", does, EXAMPLES)
    add_blueprint(pack, "BLUEPRINT|RUN", "the YAML file, or a run's directory or checkpoint")
    pack.add_argument("-o", "--output", metavar="FILE", type=Path, help="the file (default: -, standard output)")
    pack.add_argument("-f", "--force", action="store_true", help="replace a file that is there already")
    return pack


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb; see `hydrantic.cli.main.main` for the exit codes."""
    options = parser().parse_intermixed_args(argv)
    what, overrides = blueprint_of(options, "hydrantic pack")
    from hydrantic.packing import pack
    from hydrantic.texts import visible

    output = None if str(options.output) == "-" else options.output
    parcel = pack(what, overrides, project=options.project, output=output, overwrite=options.force)
    for note in parcel.notes:
        print(visible(f"note: {note}"), file=sys.stderr)
    if output is None:
        print(parcel.text, end="")
    else:
        print(visible(f"packed: {output}"))
    return 0


if __name__ == "__main__":
    from hydrantic.cli.main import guarded

    sys.exit(guarded(main, sys.argv[1:]))

"""`hydrantic profile BLUEPRINT [key=value ...]`: where the time of a training goes."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hydrantic.cli.words import OVERRIDES, add_blueprint, blueprint_of, verb_parser

EXAMPLES: Final = f"""examples:
  hydrantic profile blueprints/cnn.yaml
  hydrantic profile blueprints/cnn.yaml --steps 200 data.batch_size=256
  hydrantic profile blueprints/cnn.yaml -o trace.json.gz    and a trace, for Perfetto or chrome://tracing

It is trained three times: as it is, for the rate of steps; with a clock where the parts of a step begin and end; and
for a few steps under torch's profiler, for the operators and the trace. Everything takes part that the blueprint says,
but for early stopping, and of the loggers only metrics.csv. It is written to a folder that is removed in the end.

{OVERRIDES}
exit codes: 0 done, 1 training failed, 2 the blueprint or the command is wrong."""


def parser() -> ArgumentParser:
    """The command line of `profile`."""
    does = "Train for some steps, and tell what the time went into."
    profile = verb_parser("profile", "BLUEPRINT [key=value ...] [options]", does, EXAMPLES)
    add_blueprint(profile, meaning="the YAML file, or a run")
    profile.add_argument("--steps", metavar="N", type=int, default=50, help="number of steps (default: 50)")
    profile.add_argument("-o", "--output", metavar="FILE", type=Path, help="write a trace (.json or .json.gz)")
    profile.add_argument("--json", action="store_true", help="print a record for a program to read")
    return profile


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb; see `hydrantic.cli.main.main` for the exit codes."""
    options = parser().parse_intermixed_args(argv)
    blueprint, overrides = blueprint_of(options, "hydrantic profile")
    from hydrantic.finders.profiling import profile

    found = profile(blueprint, overrides, project=options.project, steps=options.steps, trace=options.output)
    if options.json:
        record = found.to_plain() | {"trace": None if options.output is None else str(options.output)}
        print(json.dumps(record, indent=2))
        return 0
    from hydrantic.finders.telling import tell_profile

    print(tell_profile(found))
    if options.output is not None:
        print(f"trace: {options.output}")
    return 0

"""`hydrantic resume RUN [key=value ...]`: go on with a run that was cut short, or train it for longer."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from textwrap import fill

from hydrantic.cli.words import OVERRIDES, verb_parser
from hydrantic.continuity import MAY_CHANGE
from hydrantic.errors import UsageError

EXAMPLES = f"""examples:
  hydrantic resume runs/mlp                                  the latest run of that name
  hydrantic resume runs/mlp/2026-11-21_09-30-12-5f0c
  hydrantic resume runs/mlp trainer.max_epochs=40            for longer than it was meant to

{OVERRIDES}
It goes on in the same directory, from the last checkpoint, to the same numbers as if it had never stopped. What decides
how long it trains may be changed, and where it is logged to; what it learns from, and how, may not. These may be:
{fill(", ".join(MAY_CHANGE), 118, initial_indent="  ", subsequent_indent="  ")}
exit codes: 0 done, 1 the run failed, 2 it cannot go on, or the command is wrong, 130 interrupted, 143 terminated,
138 stopped by SIGUSR1."""


def parser() -> ArgumentParser:
    """The command line of `resume`."""
    does = "Go on with a run that was interrupted, killed or failed, or train it for longer."
    resume = verb_parser("resume", "RUN [key=value ...] [options]", does, EXAMPLES)
    resume.add_argument("words", nargs="*", metavar="RUN key=value", help="the run's directory, then overrides")
    return resume


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb; see `hydrantic.cli.main.main` for the exit codes."""
    options = parser().parse_intermixed_args(argv)
    if not options.words:
        raise UsageError("which run? hydrantic resume RUN [key=value ...] (hydrantic resume --help)")
    run, *overrides = options.words
    from hydrantic.fitting import resume

    resume(run, overrides, project=options.project)
    return 0


if __name__ == "__main__":
    from hydrantic.cli.main import guarded

    sys.exit(guarded(main, sys.argv[1:]))

"""`hydrantic validate RUN|CHECKPOINT [key=value ...]`: evaluate a trained model on its validation data."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from hydrantic.cli.evaluation import evaluation_parser, print_evaluation
from hydrantic.cli.words import OVERRIDES

EXAMPLES = f"""examples:
  hydrantic validate runs/mlp/2026-11-21_09-30-12-5f0c
  hydrantic validate runs/mlp --weights last                the latest weights instead of the best
  hydrantic validate runs/table/... data.path=new.csv       on other data: all of it
  hydrantic validate best.ckpt --json

{OVERRIDES}
Nothing of the run is changed: the metrics are printed, and with -o FILE written as JSON. On the run's own data they are
those that fit logged at that checkpoint, to the last bit; where they are not, as on another device, both are shown.
exit codes: 0 done, 1 the validation failed, 2 the command is wrong or the data does not suit the model."""


def parser() -> ArgumentParser:
    """The command line of `validate`."""
    does = (
        "Evaluate a trained model on its validation data, or on other data; the run's directory is all that it needs."
    )
    return evaluation_parser("validate", does, EXAMPLES)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb; see `hydrantic.cli.main.main` for the exit codes."""
    return print_evaluation(parser().parse_intermixed_args(argv), "validate", "validation")


if __name__ == "__main__":
    from hydrantic.cli.main import guarded

    sys.exit(guarded(main, sys.argv[1:]))

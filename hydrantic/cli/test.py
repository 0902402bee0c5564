"""`hydrantic test RUN|CHECKPOINT [key=value ...]`: evaluate a trained model on its test data, or on other data."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from hydrantic.cli.evaluation import evaluation_parser, print_evaluation
from hydrantic.cli.words import OVERRIDES

EXAMPLES = f"""examples:
  hydrantic test runs/mlp/2026-11-21_09-30-12-5f0c
  hydrantic test runs/mlp                                   the latest run of that name
  hydrantic test runs/table/... data.path=new.csv           on other data: all of it
  hydrantic test best.ckpt --json                           a checkpoint alone knows enough

{OVERRIDES}
Nothing of the run is changed: the metrics are printed, and with -o FILE written as JSON. On the run's own data they are
those that fit logged, to the last bit; where they are not, as on another device, both are shown.
exit codes: 0 done, 1 the test failed, 2 the command is wrong or the data does not suit the model."""


def parser() -> ArgumentParser:
    """The command line of `test`."""
    does = "Evaluate a trained model on its test data, or on other data; the run's directory is all that it needs."
    return evaluation_parser("test", does, EXAMPLES)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb; see `hydrantic.cli.main.main` for the exit codes."""
    return print_evaluation(parser().parse_intermixed_args(argv), "test", "test")


if __name__ == "__main__":
    from hydrantic.cli.main import guarded

    sys.exit(guarded(main, sys.argv[1:]))

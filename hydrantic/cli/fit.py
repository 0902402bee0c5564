"""`hydrantic fit BLUEPRINT [key=value ...]`: train the model of a blueprint, then test it.

`python -m hydrantic.cli.fit --config-name NAME` does the same with the blueprint `$HYDRA_CONFIG_PATH/NAME.yaml`.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from hydrantic.cli.words import OVERRIDES, add_blueprint, blueprint_of, verb_parser

EXAMPLES = f"""examples:
  hydrantic fit blueprints/mlp.yaml
  hydrantic fit blueprints/mlp.yaml optimizer.lr=3e-4 data.batch_size=128
  hydrantic fit blueprints/mlp.yaml model=cnn loggers.wandb.mode=disabled
  HYDRA_CONFIG_PATH=blueprints hydrantic fit --config-name mlp trainer.max_epochs=5

{OVERRIDES}
exit codes: 0 done, 1 the run failed, 2 the blueprint or the command is wrong, 130 interrupted, 143 terminated."""


def parser() -> ArgumentParser:
    """The command line of `fit`."""
    does = "Train the model of a blueprint; then evaluate the best checkpoint once on the test split."
    fit = verb_parser("fit", "BLUEPRINT [key=value ...] [options]", does, EXAMPLES)
    add_blueprint(fit)
    fit.add_argument("--no-test", action="store_true", help="leave the test split alone")
    fit.add_argument("--runs", metavar="DIR", type=Path, help="where runs are kept (default: $HYDRANTIC_RUNS or runs/)")
    return fit


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb; see `hydrantic.cli.main.main` for the exit codes."""
    options = parser().parse_intermixed_args(argv)
    blueprint, overrides = blueprint_of(options, "hydrantic fit")
    from hydrantic.run import fit

    fit(blueprint, overrides, project=options.project, runs=options.runs, test=not options.no_test)
    return 0


if __name__ == "__main__":
    from hydrantic.cli.main import guarded

    sys.exit(guarded(main, sys.argv[1:]))

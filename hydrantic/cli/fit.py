"""`hydrantic fit BLUEPRINT [key=value ...]`: train the model of a blueprint, then test it.

`python -m hydrantic.cli.fit --config-name NAME` does the same with the blueprint `$HYDRA_CONFIG_PATH/NAME.yaml`.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from hydrantic.cli.composition import add_composition, answer, is_asked, spelt_out
from hydrantic.cli.words import OVERRIDES, add_blueprint, blueprint_of, verb_parser

EXAMPLES = f"""examples:
  hydrantic fit blueprints/mlp.yaml
  hydrantic fit blueprints/mlp.yaml optimizer.lr=3e-4 data.batch_size=128
  hydrantic fit blueprints/mlp.yaml model=cnn loggers.wandb.mode=disabled
  hydrantic fit blueprints/mlp.yaml -m optimizer.lr=1e-3,3e-4 seed=1,2,3      six runs, as many at a time as cores
  hydrantic fit blueprints/mlp.yaml model=cnn --help     the groups, and the config with these overrides
  HYDRA_CONFIG_PATH=blueprints hydrantic fit --config-name mlp trainer.max_epochs=5

{OVERRIDES}
exit codes: 0 done, 1 the run failed, 2 the blueprint or the command is wrong, 130 interrupted, 143 terminated."""


def parser() -> ArgumentParser:
    """The command line of `fit`."""
    does = "Train the model of a blueprint; then evaluate the best checkpoint once on the test split."
    fit = verb_parser("fit", "BLUEPRINT [key=value ...] [options]", does, EXAMPLES)
    add_blueprint(fit)
    add_composition(fit)
    fit.add_argument("-m", "--multirun", action="store_true", help="one run for each combination of the swept values")
    fit.add_argument("--skip-invalid", action="store_true", help="leave out combinations that cannot run (with -m)")
    fit.add_argument("--no-test", action="store_true", help="leave the test split alone")
    fit.add_argument("--runs", metavar="DIR", type=Path, help="where runs are kept (default: $HYDRANTIC_RUNS or runs/)")
    return fit


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb; see `hydrantic.cli.main.main` for the exit codes."""
    words = parser()
    options = words.parse_intermixed_args(spelt_out(sys.argv[1:] if argv is None else argv))
    if options.help and not options.words and options.config_name is None:
        words.print_help()
        words.exit()
    blueprint, overrides = blueprint_of(options, "hydrantic fit")
    if is_asked(options):
        return answer(blueprint, overrides, options, words)
    if options.multirun:
        from hydrantic.cli.multirun import fit_all

        return fit_all(blueprint, overrides, options)
    from hydrantic.fitting import fit

    fit(blueprint, overrides, project=options.project, runs=options.runs, test=not options.no_test)
    return 0


if __name__ == "__main__":
    from hydrantic.cli.main import guarded

    sys.exit(guarded(main, sys.argv[1:]))

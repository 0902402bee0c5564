"""`hydrantic lr-find BLUEPRINT [key=value ...]`: try learning rates in one short training."""

from __future__ import annotations

import json
import shlex
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hydrantic.cli.words import OVERRIDES, add_blueprint, blueprint_of, verb_parser

EXAMPLES: Final = f"""examples:
  hydrantic lr-find blueprints/mlp.yaml
  hydrantic lr-find blueprints/mlp.yaml model=cnn --min 1e-6 --max 0.1 --steps 200
  hydrantic lr-find blueprints/mlp.yaml -o mlp-lr       writes blueprints/experiment/mlp-lr.yaml:
  hydrantic fit blueprints/mlp.yaml +experiment=mlp-lr  fits with it

The rate grows from step to step, on the model and the training data of the blueprint, without schedule, validation,
callbacks, checkpoints and loggers (L. N. Smith, Cyclical Learning Rates for Training Neural Networks, 2017, section
3.3). Suggested is the rate at which the smoothed loss falls fastest. Nothing is left behind but what you ask for.

{OVERRIDES}
exit codes: 0 done (also where no rate can be suggested), 1 training failed, 2 the blueprint or the command is wrong."""

KEY: Final = "optimizer.lr"


def parser() -> ArgumentParser:
    """The command line of `lr-find`."""
    does = "Try learning rates in one short training, and suggest one."
    find = verb_parser("lr-find", "BLUEPRINT [key=value ...] [options]", does, EXAMPLES)
    add_blueprint(find, meaning="the YAML file, or a run")
    find.add_argument("--min", metavar="RATE", type=float, default=1e-8, help="the first rate (default: 1e-8)")
    find.add_argument("--max", metavar="RATE", type=float, default=1.0, help="the last rate (default: 1)")
    find.add_argument("--steps", metavar="N", type=int, default=100, help="number of steps (default: 100)")
    find.add_argument("-o", "--output", metavar="FILE", help="write an experiment with the rate; FILE or its name")
    find.add_argument("--picture", metavar="FILE", type=Path, help="draw the loss over the rate (.png, .svg, .pdf)")
    find.add_argument("--json", action="store_true", help="print a record for a program to read")
    return find


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb; see `hydrantic.cli.main.main` for the exit codes."""
    options = parser().parse_intermixed_args(argv)
    blueprint, overrides = blueprint_of(options, "hydrantic lr-find")
    from hydrantic.checking import check
    from hydrantic.finders import behind
    from hydrantic.finders.experiments import as_record, experiment, key_in
    from hydrantic.finders.rates import lr_find, rate_in
    from hydrantic.project import Project

    wanted = None if options.output is None else experiment(options.output, blueprint, overrides)
    if options.picture is not None:
        from hydrantic.finders.picture import refuse_picture

        refuse_picture(options.picture)
    project = Project.find(explicit=options.project)
    limits = {"lowest": options.min, "highest": options.max}
    found = lr_find(blueprint, overrides, project=options.project, steps=options.steps, **limits)
    key = key_in(check(behind(blueprint), overrides, project=project), KEY)
    kept = None
    if wanted is not None and found.suggestion is not None:
        kept = wanted.keep(key, found.suggestion, rate_in, project)
    if options.picture is not None:
        from hydrantic.finders.picture import draw

        draw(found, shlex.join([blueprint.name, *overrides]), options.picture)
    if options.json:
        from hydrantic.rundir import plain_json

        print(json.dumps(plain_json(as_record(found.to_plain(), kept)), indent=2))
        return 0
    from hydrantic.finders.telling import tell_rates, tell_use

    print(tell_rates(found))
    if found.suggestion is not None:
        print(tell_use(["hydrantic", "fit", str(behind(blueprint)), *overrides], key, found.suggestion, kept))
    return 0

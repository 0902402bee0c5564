"""`hydrantic batch-size-find BLUEPRINT [key=value ...]`: which batch sizes fit, and how fast they are."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Final

from hydrantic.cli.words import OVERRIDES, add_blueprint, blueprint_of, verb_parser

EXAMPLES: Final = f"""examples:
  hydrantic batch-size-find blueprints/cnn.yaml
  hydrantic batch-size-find blueprints/cnn.yaml --mode binsearch trainer.precision=bf16-mixed
  hydrantic batch-size-find blueprints/cnn.yaml -o cnn-batch     writes blueprints/experiment/cnn-batch.yaml:
  hydrantic fit blueprints/cnn.yaml +experiment=cnn-batch        fits with it

Each size is a short training of its own, up to the number of training samples. Suggested is the smallest size with
at least nine tenths of the best rate of samples; the largest that fits is told as well. A size that would take
more memory than is free, as the sizes before let expect, is not tried.

{OVERRIDES}
exit codes: 0 done, 1 training failed, 2 the blueprint or the command is wrong, or no batch fits."""


def parser() -> ArgumentParser:
    """The command line of `batch-size-find`."""
    does = "Try batch sizes in short trainings: which fit into memory, and how fast they are."
    find = verb_parser("batch-size-find", "BLUEPRINT [key=value ...] [options]", does, EXAMPLES)
    add_blueprint(find, meaning="the YAML file, or a run")
    find.add_argument("--max", metavar="N", type=int, help="the largest size to try (default: all training samples)")
    modes = ("power", "binsearch")
    find.add_argument("--mode", choices=modes, default="power", help="double, or also narrow down the largest")
    find.add_argument("-o", "--output", metavar="FILE", help="write an experiment with the size; FILE or its name")
    find.add_argument("--json", action="store_true", help="print a record for a program to read")
    return find


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb; see `hydrantic.cli.main.main` for the exit codes."""
    options = parser().parse_intermixed_args(argv)
    blueprint, overrides = blueprint_of(options, "hydrantic batch-size-find")
    from hydrantic.checking import check
    from hydrantic.finders import behind
    from hydrantic.finders.batch_sizes import KEY, batch_size_find, size_in
    from hydrantic.finders.experiments import as_record, experiment, key_in
    from hydrantic.project import Project

    wanted = None if options.output is None else experiment(options.output, blueprint, overrides)
    project = Project.find(explicit=options.project)
    found = batch_size_find(blueprint, overrides, project=options.project, most=options.max, mode=options.mode)
    key = key_in(check(behind(blueprint), overrides, project=project), KEY)
    kept = None
    if wanted is not None:
        kept = wanted.keep(key, found.suggestion, size_in, project)
    if options.json:
        print(json.dumps(as_record(found.to_plain(), kept), indent=2))
        return 0
    from hydrantic.finders.telling import tell_batch_sizes, tell_use

    print(tell_batch_sizes(found))
    if kept is not None or found.suggestion != found.present_in_effect:
        print(tell_use(["hydrantic", "fit", str(behind(blueprint)), *overrides], key, found.suggestion, kept))
    return 0

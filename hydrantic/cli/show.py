"""`hydrantic show BLUEPRINT [key=value ...]`: the complete blueprint that a run would have."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from hydrantic.cli.words import OVERRIDES, add_blueprint, add_deep, blueprint_of, planning_of, verb_parser

EXAMPLES = f"""examples:
  hydrantic show blueprints/mlp.yaml
  hydrantic show blueprints/mlp.yaml model=cnn --origins
  hydrantic show blueprints/mlp.yaml --deep          with the sizes that the data supplies
  hydrantic show blueprints/mlp.yaml > complete.yaml && hydrantic fit complete.yaml

{OVERRIDES}
--origins adds a comment to each line: the file and line, the command line, the default, or the data; with --json it
prints a record for each value.
exit codes: 0 done, 2 the blueprint or the command is wrong."""


def parser() -> ArgumentParser:
    """The command line of `show`."""
    does = (
        "Print the complete blueprint as YAML: composed, every default written out; `auto` is for the data to supply."
    )
    show = verb_parser("show", "BLUEPRINT [key=value ...] [options]", does, EXAMPLES)
    add_blueprint(show)
    show.add_argument("--origins", action="store_true", help="say where each value came from")
    add_deep(show)
    show.add_argument("--json", action="store_true", help="print JSON for a program to read")
    return show


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb; see `hydrantic.cli.main.main` for the exit codes."""
    options = parser().parse_intermixed_args(argv)
    blueprint, overrides = blueprint_of(options, "hydrantic show")
    from hydrantic.explaining.origins import settings_of
    from hydrantic.project import Project
    from hydrantic.showing import records, to_json, with_origins
    from hydrantic.yaml_text import to_yaml

    project = Project.find(explicit=options.project)
    plan = planning_of(options)(blueprint, overrides, project)
    values = plan.complete()
    if not options.origins:
        print(to_json(values) if options.json else to_yaml(values).rstrip("\n"))
        return 0
    settings = settings_of(plan, project)
    print(to_json(records(values, settings)) if options.json else with_origins(values, settings).rstrip("\n"))
    return 0


if __name__ == "__main__":
    from hydrantic.cli.main import guarded

    sys.exit(guarded(main, sys.argv[1:]))

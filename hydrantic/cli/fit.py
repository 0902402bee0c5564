"""`hydrantic fit BLUEPRINT [key=value ...]`: train the model of a blueprint, then test it.

`python -m hydrantic.cli.fit --config-name NAME` does the same with the blueprint `$HYDRA_CONFIG_PATH/NAME.yaml`.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path

from hydrantic.errors import UsageError

EXAMPLES = """examples:
  hydrantic fit blueprints/mlp.yaml
  hydrantic fit blueprints/mlp.yaml optimizer.lr=3e-4 data.batch_size=128
  hydrantic fit blueprints/mlp.yaml model=cnn loggers.wandb.mode=disabled
  HYDRA_CONFIG_PATH=blueprints hydrantic fit --config-name mlp trainer.max_epochs=5

overrides: key=value sets, +key=value adds, ++key=value does either, ~key removes; section=name selects a component.
exit codes: 0 done, 1 the run failed, 2 the blueprint or the command is wrong, 130 interrupted, 143 terminated."""


def parser() -> ArgumentParser:
    """The command line of `fit`."""
    fit = ArgumentParser(
        prog="hydrantic fit",
        usage="hydrantic fit BLUEPRINT [key=value ...] [options]",
        description="Train the model of a blueprint; then evaluate the best checkpoint once on the test split.",
        epilog=EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    fit.add_argument("words", nargs="*", metavar="BLUEPRINT key=value", help="the YAML file, then overrides")
    fit.add_argument("-cn", "--config-name", metavar="NAME", help="fit $HYDRA_CONFIG_PATH/NAME.yaml")
    fit.add_argument("-cp", "--config-path", metavar="DIR", type=Path, help="the folder, instead of $HYDRA_CONFIG_PATH")
    fit.add_argument("--no-test", action="store_true", help="leave the test split alone")
    fit.add_argument("--runs", metavar="DIR", type=Path, help="where runs are kept (default: $HYDRANTIC_RUNS or runs/)")
    fit.add_argument("--project", metavar="DIR", type=Path, help="whose registry/ to use (default: the one you are in)")
    fit.add_argument("--traceback", action="store_true", help="show where in the code an error arose")
    return fit


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb; see `hydrantic.cli.main.main` for the exit codes."""
    options = parser().parse_intermixed_args(argv)
    blueprint, overrides = _what(options)
    from hydrantic.run import fit

    fit(blueprint, overrides, project=options.project, runs=options.runs, test=not options.no_test)
    return 0


def _what(options: Namespace) -> tuple[Path, list[str]]:
    words: list[str] = options.words
    if options.config_name is not None:
        return _configured(options.config_name, options.config_path), words
    if not words:
        raise UsageError("which blueprint? hydrantic fit BLUEPRINT [key=value ...] (hydrantic fit --help)")
    first = Path(words[0])
    if "=" in words[0] and not first.exists():
        raise UsageError(f"the blueprint comes before the overrides: hydrantic fit BLUEPRINT {' '.join(words)}")
    return first, words[1:]


def _configured(name: str, folder: Path | None) -> Path:
    place = folder or os.environ.get("HYDRA_CONFIG_PATH")
    if not place:
        raise UsageError(
            "--config-name needs a folder: set HYDRA_CONFIG_PATH to the one that holds your blueprints, "
            f"as in HYDRA_CONFIG_PATH=blueprints, or name the file: hydrantic fit blueprints/{name}.yaml"
        )
    file = Path(place) / name
    return file if file.suffix in {".yaml", ".yml"} else file.with_name(f"{file.name}.yaml")


if __name__ == "__main__":
    from hydrantic.cli.main import guarded

    sys.exit(guarded(main, sys.argv[1:]))

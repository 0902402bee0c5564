"""What the verbs that take a blueprint have in common on the command line."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hydrantic.errors import UsageError

if TYPE_CHECKING:
    from hydrantic.plan import Plan
    from hydrantic.project import Project

OVERRIDES = "overrides: key=value sets, +key=value adds, ++key=value does either, ~key removes; section=name selects."


def verb_parser(verb: str, usage: str, description: str, epilog: str) -> ArgumentParser:
    """The parser of a verb, with the options that every verb has."""
    parser = ArgumentParser(
        prog=f"hydrantic {verb}",
        usage=f"hydrantic {verb} {usage}",
        description=description,
        epilog=epilog,
        formatter_class=partial(RawDescriptionHelpFormatter, max_help_position=32),
        allow_abbrev=False,
        conflict_handler="resolve",  # a verb may mean more by --help
    )
    parser.add_argument("--project", metavar="DIR", type=Path, help="the project (default: the one you are in)")
    parser.add_argument("--traceback", action="store_true", help="show where in the code an error arose")
    return parser


def add_blueprint(parser: ArgumentParser, first: str = "BLUEPRINT", meaning: str = "the YAML file") -> None:
    """Let a verb take a blueprint and overrides; `blueprint_of` reads them.

    Arguments:
        parser: of the verb.
        first: what stands before the overrides, and
        meaning: what it is.
    """
    parser.add_argument("words", nargs="*", metavar=f"{first} key=value", help=f"{meaning}, then overrides")
    parser.add_argument("-cn", "--config-name", metavar="NAME", help="the blueprint $HYDRA_CONFIG_PATH/NAME.yaml")
    parser.add_argument("-cp", "--config-path", metavar="DIR", type=Path, help="folder instead of $HYDRA_CONFIG_PATH")
    parser.add_argument("-cd", "--config-dir", metavar="DIR", type=Path, help="a further folder that holds groups")


def add_deep(parser: ArgumentParser) -> None:
    """Let a verb ask the data for what it supplies; `planning_of` reads that."""
    parser.add_argument("--deep", action="store_true", help="read the data, and show what it supplies")


def planning_of(options: Namespace) -> Callable[[Path, Sequence[str], Project], Plan]:
    """What makes the plan that a verb shows: one that reads the data, where a person asked for that."""

    def plan(blueprint: Path, overrides: Sequence[str], project: Project) -> Plan:
        from hydrantic.checking import check, prepare

        if not options.deep:
            return check(blueprint, overrides, project=project)
        prepared = prepare(blueprint, overrides, project=project)
        from hydrantic.build import load  # not before: `prepare` imports Lightning the quick way

        return load(prepared).plan

    return plan


def blueprint_of(options: Namespace, usage: str) -> tuple[Path, list[str]]:
    """The blueprint's file and the overrides that a person gave.

    Arguments:
        options: what `add_blueprint` let the parser read.
        usage: the beginning of a right command, such as `hydrantic fit`.

    Raises:
        UsageError: there is no blueprint among the words.
    """
    words: list[str] = [*options.words, *_searching(options.config_dir)]
    if options.config_name is not None:
        return _configured(options.config_name, options.config_path, usage), words
    if not options.words:
        raise UsageError(f"which blueprint? {usage} BLUEPRINT [key=value ...] ({usage} --help)")
    first = Path(words[0])
    if "=" in words[0] and not first.exists():
        raise UsageError(f"the blueprint comes before the overrides: {usage} BLUEPRINT {' '.join(words)}")
    return first, words[1:]


def _searching(folder: Path | None) -> list[str]:
    """The override that adds a folder to the search path."""
    if folder is None:
        return []
    if not folder.is_dir():
        raise UsageError(f"--config-dir {folder}: there is no such folder")
    from hydrantic.compose import override_text

    try:
        return [f"+hydra.searchpath={override_text([str(folder.absolute())])}"]
    except ValueError as error:
        raise UsageError(f"--config-dir: {error}") from None


def blueprints_of(options: Namespace, usage: str) -> tuple[list[Path], list[str]]:
    """The blueprints that a person gave, those in the folders among them, and the overrides.

    Raises:
        UsageError: there is no blueprint among the words, or none in a folder.
    """
    first, rest = blueprint_of(options, usage)
    further = [word for word in rest if _names_a_file(word)]
    named = [first, *map(Path, further)]
    return [file for each in named for file in _in_folder(each)], [word for word in rest if word not in further]


def _names_a_file(word: str) -> bool:
    return Path(word).exists() or (word.endswith((".yaml", ".yml")) and "=" not in word)


def _in_folder(place: Path) -> list[Path]:
    """The blueprints in a folder, those below it left out: they are pieces that blueprints are composed of."""
    if not place.is_dir():
        return [place]
    found = sorted(file for file in place.iterdir() if file.suffix in {".yaml", ".yml"} and file.is_file())
    if not found:
        raise UsageError(f"{place} holds no blueprint: no .yaml file lies in it")
    return found


def _configured(name: str, folder: Path | None, usage: str) -> Path:
    place = folder or os.environ.get("HYDRA_CONFIG_PATH")
    if not place:
        raise UsageError(
            "--config-name needs a folder: set HYDRA_CONFIG_PATH to the one that holds your blueprints, "
            f"as in HYDRA_CONFIG_PATH=blueprints, or name the file: {usage} blueprints/{name}.yaml"
        )
    file = Path(place) / name
    return file if file.suffix in {".yaml", ".yml"} else file.with_name(f"{file.name}.yaml")

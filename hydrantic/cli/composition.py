"""What a person may ask of a blueprint instead of training it: `--help`, `--cfg` and `--info`, as Hydra spells them."""

from __future__ import annotations

import shutil
import textwrap
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hydrantic.errors import UsageError

if TYPE_CHECKING:
    from hydrantic.compose import Chosen, Composer
    from hydrantic.project import Project

INFO: Final = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
"""What `--info` tells."""


def add_composition(parser: ArgumentParser) -> None:
    """Let a verb take `--help` for a blueprint, `--cfg` and `--info`; `answer` obeys them."""
    helps = "show this; of a BLUEPRINT also its groups"
    parser.add_argument("-h", "--help", action="store_true", help=helps)
    shows = "print the config: job, hydra or all"
    parser.add_argument("-c", "--cfg", metavar="PART", choices=("job", "hydra", "all"), help=shows)
    parser.add_argument("--resolve", action="store_true", help="with --cfg: resolve ${...}")
    parser.add_argument("-p", "--package", metavar="KEY", help="with --cfg: print this part, such as model")
    about = f"tell how it is composed ({', '.join(INFO)})"
    parser.add_argument("-i", "--info", metavar="WHAT", nargs="?", const="all", choices=INFO, help=about)


def spelt_out(words: Sequence[str]) -> list[str]:
    """The words of a command line, with what `--info` tells where nothing follows it but a blueprint."""
    found: list[str] = []
    for word, after in zip(words, [*words, ""][1:], strict=True):
        found += [word, "all"] if _tells_all(word, after) else [word]
    return found


def _tells_all(word: str, after: str) -> bool:
    """Whether `--info` stands alone; a bare word that names no file is meant to say what it tells."""
    is_another = not after.replace("-", "").isalpha() or after[0] == "-"
    return word in {"-i", "--info"} and after not in INFO and (is_another or Path(after).exists())


def is_asked(options: Namespace) -> bool:
    """Whether a person asked for one of these."""
    return bool(options.help or options.cfg or options.info)


def answer(blueprint: Path, overrides: Sequence[str], options: Namespace, parser: ArgumentParser) -> int:
    """Print what a person asked for.

    Arguments:
        blueprint: the file.
        overrides: those with several values are left out where a sweep is meant.
        options: what the parser read.
        parser: of the verb, for its own options.

    Raises:
        BlueprintError: the blueprint is wrong; of `--help` the groups are printed all the same.
        UsageError: `--package` names what is not there.
    """
    from hydrantic.checking import composer_of
    from hydrantic.manifest import current
    from hydrantic.project import Project
    from hydrantic.registries import reading

    project = Project.find(explicit=options.project).open()
    with reading(current(project)):
        asked = _Asked(blueprint, _of_one_run(overrides, options), composer_of(blueprint), project)
    if options.help:
        asked.print_help(parser)
    elif options.cfg:
        asked.print_config(options.cfg, options.package, resolved=options.resolve)
    else:
        asked.print_info(options.info)
    return 0


def _of_one_run(overrides: Sequence[str], options: Namespace) -> tuple[str, ...]:
    if not options.multirun:
        return tuple(overrides)
    from hydrantic.compose import split_sweep
    from hydrantic.problems import Problems

    return split_sweep(overrides, lambda _: (), Problems())[0]


@dataclass(frozen=True)
class _Asked:
    """A blueprint with its overrides, of which something is asked."""

    blueprint: Path
    overrides: tuple[str, ...]
    composer: Composer
    project: Project

    def print_help(self, parser: ArgumentParser) -> None:
        """The options of the verb, the groups, and the complete config."""
        from hydrantic.checking import check
        from hydrantic.errors import BlueprintError
        from hydrantic.source import display
        from hydrantic.yaml_text import to_yaml

        try:
            plan, wrong = check(self.blueprint, self.overrides, project=self.project), None
        except BlueprintError as error:
            if not self.blueprint.is_file():
                raise
            plan, wrong = None, error
        said = plan.blueprint.description if plan is not None else ""
        name = plan.name if plan is not None else self.blueprint.stem
        parser.usage = f"{parser.prog} {display(self.blueprint)} [key=value ...] [options]".replace("%", "%%")
        parser.description, parser.epilog = None, None
        usage, _, rest = parser.format_help().partition("\n\n")  # argparse would read a % of the description
        _print(f"{usage}\n\n{name}{': ' * bool(said)}{said}\n\n{rest}")
        print("\n== Configuration groups ==\nWhat group=option selects\n")
        _print("\n".join(self._groups()))
        if wrong is not None:
            raise wrong
        assert plan is not None  # nothing is wrong with it
        print("\n\n== Config ==\nWhat key=value sets\n")
        _print(to_yaml(plan.complete()))

    def _groups(self) -> Iterator[str]:
        width = max(shutil.get_terminal_size((120, 24)).columns, 40)
        wrapped = textwrap.TextWrapper(
            width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
        ).fill
        for group in self.composer.groups(self.overrides):
            options = [each for each in self._options(group) if "/" not in each]
            if options:
                yield wrapped(f"{group}: {', '.join(options)}")

    def _options(self, group: str) -> tuple[str, ...]:
        from hydrantic.manifest import current
        from hydrantic.registries import reading

        with reading(current(self.project)):
            return self.composer.options(group, self.overrides)

    def print_config(self, which: str, package: str | None, *, resolved: bool) -> None:
        """The config as it is composed, or a part of it."""
        from hydrantic.checking import check
        from hydrantic.yaml_text import to_inline_yaml, to_yaml

        if resolved:
            whole = check(self.blueprint, self.overrides, project=self.project).record.plain()
        else:
            whole = self._composed()
        found: Any = {
            key: value for key, value in whole.items() if which == "all" or (key == "hydra") == (which == "hydra")
        }
        if package not in {None, "_global_"}:
            found = _part(found, str(package))
            print(f"# @package {package}")
        text = found if isinstance(found, str) else to_inline_yaml(found)
        _print(to_yaml(found) if isinstance(found, dict) and found else text)

    def _composed(self) -> dict[str, Any]:
        from hydrantic.manifest import current
        from hydrantic.registries import reading

        with reading(current(self.project)):
            return self.composer.compose(self.overrides).plain()

    def print_info(self, about: str) -> None:
        """How the config is composed."""
        from hydrantic import __version__

        parts = {
            "plugins": self._plugins,
            "searchpath": self._searchpath,
            "defaults-tree": self._defaults_tree,
            "defaults": self._defaults,
        }
        chosen = {"all": list(parts), "config": ["searchpath", "defaults-tree", "defaults"]}.get(about, [about])
        if about == "all":
            print(f"hydrantic {__version__}\n")
        _print("\n\n".join("\n".join(parts[each]()) for each in chosen))
        if about in {"all", "config"}:
            print("\nConfig")
            self.print_config("job", None, resolved=False)

    def _plugins(self) -> Iterator[str]:
        from hydrantic.manifest import current
        from hydrantic.registries import KINDS
        from hydrantic.texts import aligned, cut

        manifest = current(self.project)
        for kind in ("launcher", "sweeper", "sampler", "pruner"):
            found = [(f"  {each.name}", cut(each.summary, 90)) for each in manifest.all(kind)]
            yield KINDS[kind].capitalize()
            yield from aligned(found) if found else ["  none"]

    def _searchpath(self) -> Iterator[str]:
        from hydrantic.source import display
        from hydrantic.texts import aligned

        own, *further = self.composer.searchpath(self.overrides)
        rows = [("  blueprint", display(own)), *(("  hydra.searchpath", display(each)) for each in further)]
        yield "Search path"
        yield from aligned([*rows, ("  registries", "the registered names of each section")])

    def _chosen(self) -> tuple[Chosen, ...]:
        from hydrantic.manifest import current
        from hydrantic.registries import reading

        with reading(current(self.project)):
            self.composer.compose(self.overrides)  # tells what is wrong
            return self.composer.chosen(self.overrides)

    def _defaults_tree(self) -> Iterator[str]:
        from hydrantic.texts import aligned

        chosen = self._chosen()
        yield "Defaults tree"
        yield from aligned(list(_branches(chosen, "", 1)))

    def _defaults(self) -> Iterator[str]:
        from hydrantic.texts import aligned

        rows = [
            (f"  {each.option}", each.package, str(each.is_self), each.parent, _home(each)) for each in self._chosen()
        ]
        yield "Defaults list"
        yield from aligned([("  option", "package", "_self_", "asked for by", "from"), *rows])


def _branches(chosen: Sequence[Chosen], parent: str, depth: int) -> Iterator[tuple[str, str]]:
    """Each option with its file, below the option whose defaults list asks for it."""
    below = [each for each in chosen if (each.parent or "") == parent]
    for each in below:
        yield "  " * depth + each.option, _home(each)
        if each.option != parent:
            yield from _branches(chosen, each.option, depth + 1)


def _home(chosen: Chosen) -> str:
    from hydrantic.source import display

    return "registered" if chosen.file is None else display(chosen.file)


def _part(config: dict[str, Any], package: str) -> Any:
    found: Any = config
    for part in package.split("."):
        if isinstance(found, dict) and part in found:
            found = found[part]
        elif isinstance(found, list) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        else:
            raise UsageError(f"--package {package}: the config has no '{part}' there")
    return found


def _print(text: str) -> None:
    from hydrantic.texts import visible

    print(visible(text.rstrip("\n")))

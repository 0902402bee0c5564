"""`hydrantic completion SHELL`: the script by which bash, zsh or fish completes the words of `hydrantic`."""

from __future__ import annotations

import os
import sys
from argparse import PARSER, SUPPRESS, Action, ArgumentParser
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hydrantic.cli.main import VERBS
from hydrantic.cli.shells import SHELLS, is_one_line, line_of
from hydrantic.cli.words import verb_parser
from hydrantic.completion.candidates import Answer, Candidate, Files

if TYPE_CHECKING:
    from hydrantic.completion.vocabulary import Vocabulary

ASKED: Final = "--answer"
"""The word before what a shell's script asks: the shell, and the command line up to the cursor."""

EXAMPLES: Final = """where it belongs:
  bash   eval "$(hydrantic completion bash)"      in ~/.bashrc
         or, with the package bash-completion installed,
         hydrantic completion bash > ~/.local/share/bash-completion/completions/hydrantic
  zsh    eval "$(hydrantic completion zsh)"       in ~/.zshrc, after compinit
         or hydrantic completion zsh > "${fpath[1]}/_hydrantic"
  fish   hydrantic completion fish > ~/.config/fish/completions/hydrantic.fish

Then TAB completes verbs, options, blueprints, the keys that a blueprint has, and the names that are registered."""

YAML: Final = (".yaml", ".yml")
TABLES: Final = (".csv", ".tsv", ".txt")


def parser() -> ArgumentParser:
    """The command line of `completion`."""
    does = "Print the script by which a shell completes the words of hydrantic."
    completion = verb_parser("completion", "bash|zsh|fish", does, EXAMPLES)
    completion.add_argument("shell", metavar="SHELL", choices=tuple(SHELLS), help="bash, zsh or fish")
    return completion


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb; see `hydrantic.cli.main.main` for the exit codes."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == [ASKED]:
        # Nobody waits for an explanation while typing.
        with suppress(Exception):
            _print(_answered(words[1], words[2:]))
        return 0
    print(SHELLS[parser().parse_args(words).shell].script, end="")
    return 0


def _answered(shell: str, words: Sequence[str]) -> list[str]:
    line = line_of(shell, words)
    found = answer(line.words)
    if not isinstance(found, Files):
        found = [each for each in found if is_one_line(each.text)]
    return SHELLS[shell].answer(found, line)


def _print(lines: Iterable[str]) -> None:
    sys.stdout.buffer.write(b"".join(os.fsencode(line) + b"\n" for line in lines))
    sys.stdout.flush()


def answer(words: Sequence[str]) -> Answer:
    """What the last word may be.

    Arguments:
        words: the command line from the program's name to the word at the cursor, which may be empty.
    """
    verb, last = words[1], words[-1]
    if len(words) == 2:
        return _beginning(VERBS | ({"--help": "", "--version": ""} if last.startswith("-") else {}), last)
    if verb not in VERBS:
        return []
    asked = _Asked.of(verb, words[2:-1], last)
    if asked.action is not None:
        return _value_of(asked, asked.action, last)
    if last.startswith("-") and not asked.only_words:
        return _option(asked)
    return _ANSWERS.get(verb, _anything)(asked)


def _beginning(texts: Mapping[str, str] | Iterable[str], begun: str) -> list[Candidate]:
    meanings = texts if isinstance(texts, Mapping) else dict.fromkeys(texts, "")
    return [Candidate(text, meaning) for text, meaning in meanings.items() if text.startswith(begun)]


@dataclass(frozen=True)
class _Asked:
    """The words of a verb before the cursor, sorted, and the one at the cursor."""

    verb: str
    parser: ArgumentParser
    last: str
    plain: list[str] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)
    action: Action | None = None
    """The option whose value stands at the cursor."""
    only_words: bool = False

    @classmethod
    def of(cls, verb: str, before: Sequence[str], last: str) -> _Asked:
        """Sort the words before the cursor into options with their values, and the others."""
        parser = _parser_of(import_module(f"hydrantic.cli.{verb.replace('-', '_')}").parser(), before)
        plain, options = list[str](), dict[str, str]()
        action, only_words = None, False
        for word in before:
            if action is not None:
                options[action.dest], action = word, None
            elif word == "--" or only_words:
                plain += [word] * only_words
                only_words = True
            elif word.startswith("-") and (found := _option_called(parser, word.partition("=")[0])) is not None:
                if "=" in word:
                    options[found.dest] = word.partition("=")[2]
                elif found.nargs != 0:
                    action = found
            else:
                plain.append(word)
        return cls(verb, parser, last, plain, options, action, only_words)

    @property
    def vocabulary(self) -> Vocabulary:
        """What is known at once; where that is out of date, it is renewed for the next time."""
        from hydrantic.completion.vocabulary import Vocabulary
        from hydrantic.manifest.renewal import renew
        from hydrantic.project import Project

        folder = self.options.get("project")
        project = Project.find(explicit=None if folder is None else Path(folder).expanduser())
        known = Vocabulary.of(project)
        if not known.is_fresh:
            renew(project)
        return known

    @property
    def takes_blueprint(self) -> bool:
        """Whether the verb takes a blueprint and overrides."""
        return _option_called(self.parser, "--config-name") is not None


def _parser_of(parser: ArgumentParser, before: Sequence[str]) -> ArgumentParser:
    """The parser of the action that the first word names, where a verb has actions; else the verb's own."""
    for action in parser._actions:  # noqa: SLF001 -- argparse tells it nowhere else
        if action.nargs == PARSER and before and isinstance(action.choices, dict):
            found: ArgumentParser = action.choices.get(before[0], parser)
            return found
    return parser


def _option_called(parser: ArgumentParser, name: str) -> Action | None:
    return next((each for each in parser._actions if name in each.option_strings), None)  # noqa: SLF001 -- argparse tells it nowhere else


def _option(asked: _Asked) -> Answer:
    name, assigned, _ = asked.last.partition("=")
    if assigned:
        action = _option_called(asked.parser, name)
        return [] if action is None else _value_of(asked, action, asked.last)
    found: dict[str, str] = {}
    for action in asked.parser._actions:  # noqa: SLF001 -- as above
        if action.help != SUPPRESS:
            long = [each for each in action.option_strings if each.startswith("--")]
            shown = [each for each in action.option_strings if each.startswith(asked.last)]
            found |= dict.fromkeys(long if asked.last == "-" else shown, action.help or "")
    return _beginning(found, asked.last)


def _value_of(asked: _Asked, action: Action, word: str) -> Answer:
    """The value of an option, which stands in a word of its own or behind `--option=`."""
    before = f"{word.partition('=')[0]}=" if word.startswith("--") and "=" in word else ""
    if action.choices is not None:
        return _beginning([f"{before}{each}" for each in action.choices], word)
    if action.dest == "config_name":
        return _beginning([f"{before}{each}" for each in _configured(asked)], word)
    if action.type is not Path:
        return []
    if action.metavar == "DIR":
        return Files(before, only_folders=True)
    return Files(before, TABLES if (asked.verb, action.dest) == ("init", "data") else ())


def _configured(asked: _Asked) -> list[str]:
    folder = asked.options.get("config_path") or os.environ.get("HYDRA_CONFIG_PATH", "")
    return sorted(each.stem for each in Path(folder).expanduser().iterdir() if each.suffix in YAML) if folder else []


def _anything(asked: _Asked) -> Answer:
    """The words of a verb that takes a blueprint and overrides, or a path."""
    if not asked.takes_blueprint:
        paths = [each for each in asked.parser._actions if each.type is Path and not each.option_strings]  # noqa: SLF001 -- as above
        takes_more = any(each.nargs in {"*", "+"} for each in paths)
        return Files() if takes_more or (paths and not asked.plain) else []
    blueprint, overrides = _sorted(asked)
    if blueprint is None:
        return Files(suffixes=YAML)
    from hydrantic.completion import Overrides

    found = Overrides.of(blueprint, overrides, asked.vocabulary).complete(asked.last)
    takes_more = asked.verb == "check" and not found
    return Files(suffixes=YAML) if takes_more else found


def _sorted(asked: _Asked) -> tuple[Path | None, list[str]]:
    """The blueprint, where there is one before the cursor, and the words after it."""
    name = asked.options.get("config_name")
    if name is not None:
        folder = Path(asked.options.get("config_path") or os.environ.get("HYDRA_CONFIG_PATH", "")).expanduser()
        return next(
            (file for end in ("", *YAML) if (file := folder / f"{name}{end}").is_file()), folder / name
        ), asked.plain
    if not asked.plain:
        return None, []
    return Path(asked.plain[0]).expanduser(), asked.plain[1:]


def _explain(asked: _Asked) -> Answer:
    blueprint, rest = _sorted(asked)
    if blueprint is None:
        return Files(suffixes=YAML)
    from hydrantic.completion import Overrides

    overrides = Overrides.of(blueprint, rest[1:], asked.vocabulary)
    return overrides.complete(asked.last) if rest else overrides.keys(asked.last)


def _list(asked: _Asked) -> Answer:
    from hydrantic.registries import KINDS

    return [] if asked.plain else _beginning(KINDS.values(), asked.last)


def _describe(asked: _Asked) -> Answer:
    from hydrantic.registries import KINDS

    if not asked.plain:
        # A name without its kind will do where only one kind has it.
        return _beginning(KINDS, asked.last) or _named(asked, KINDS)
    kinds = [kind for kind, plural in KINDS.items() if asked.plain[0] in {kind, plural}]
    return _named(asked, kinds) if len(asked.plain) == 1 else []


def _named(asked: _Asked, kinds: Iterable[str]) -> list[Candidate]:
    known = asked.vocabulary
    found = {name: summary for kind in kinds for name, summary in known.names(kind).items()}
    paths = [path for kind in kinds for path in known.paths(kind)] if "." in asked.last else []
    return _beginning(found | dict.fromkeys(paths, ""), asked.last)


def _init(asked: _Asked) -> Answer:
    return [] if asked.plain else Files(only_folders=True)


def _sweep(asked: _Asked) -> Answer:
    from hydrantic.cli.sweep import ACTIONS

    if not asked.plain:
        return _beginning(ACTIONS, asked.last)
    return Files(only_folders=True) if len(asked.plain) == 1 else []


def _run(asked: _Asked) -> Answer:
    """A run, and behind it overrides of its blueprint, where the verb takes some."""
    if not asked.plain:
        return Files()
    blueprint = Path(asked.plain[0]).expanduser() / "blueprint.yaml"
    takes_overrides = any(each.nargs == "*" for each in asked.parser._actions)  # noqa: SLF001 -- as above
    if not takes_overrides or not blueprint.is_file():
        return []
    from hydrantic.completion import Overrides

    return Overrides.of(blueprint, asked.plain[1:], asked.vocabulary).complete(asked.last)


def _completion(asked: _Asked) -> Answer:
    return [] if asked.plain else _beginning(SHELLS, asked.last)


_ANSWERS: Final[Mapping[str, Callable[[_Asked], Answer]]] = {
    "explain": _explain,
    "list": _list,
    "describe": _describe,
    "init": _init,
    "sweep": _sweep,
    **dict.fromkeys(("resume", "test", "validate", "predict", "export", "serve"), _run),
    "completion": _completion,
}
"""What stands behind each verb that does not take a blueprint and overrides alone."""

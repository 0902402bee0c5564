"""The shells that complete the words of `hydrantic`: their scripts, and how each writes a line and reads an answer."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hydrantic.completion.candidates import Answer, Candidate, Files

LONGEST: Final = 90
"""Characters of a meaning that are shown."""

BASH: Final = r"""# Completion of the words of hydrantic, for bash 4 or newer. Put this into your ~/.bashrc:
#
#     eval "$(hydrantic completion bash)"
#
# or, where the package bash-completion is installed, this file where it looks:
#
#     hydrantic completion bash > ~/.local/share/bash-completion/completions/hydrantic

_hydrantic() {
    local program=${1/#\~\//"$HOME/"} kind line
    type -P -- "$program" > /dev/null || program=hydrantic
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ -z $kind ]]; then kind=$line; else COMPREPLY+=("$line"); fi
    done < <(command "$program" completion --answer bash "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2> /dev/null)
    case $kind in
        files) compopt -o filenames ;;
        open) compopt -o nospace ;;
    esac
}

complete -F _hydrantic hydrantic
"""

ZSH: Final = r"""#compdef hydrantic
# Completion of the words of hydrantic, for zsh. Put this file into a folder of your $fpath under the name _hydrantic:
#
#     hydrantic completion zsh > "${fpath[1]}/_hydrantic"
#
# or this into your ~/.zshrc, after compinit:
#
#     eval "$(hydrantic completion zsh)"

_hydrantic() {
    local program=${(Q)words[1]/#\~\//$HOME/} line
    local -a answer finished unfinished
    (( $+commands[$program] )) || [[ -x $program ]] || program=hydrantic
    answer=("${(@f)$(command "$program" completion --answer zsh "${(@)words[1,CURRENT-1]}" "$PREFIX" 2> /dev/null)}")
    [[ -n $answer[1] ]] || return 1
    [[ $answer[2] == ?* ]] && compset -P 1 '*='
    case $answer[1] in
        folders) _path_files -/ ; return ;;
        files) _path_files -g "${answer[3]:-*}(-.) *(-/)" ; return ;;
    esac
    for line in "${(@)answer[3,-1]}"; do
        if [[ ${line%%$'\t'*} == *[=./] ]]; then unfinished+=("$line"); else finished+=("$line"); fi
    done
    local text=$'\t'
    finished=("${(@)${(@)${(@)finished//\\/\\\\}//:/\\:}/$text/:}")
    unfinished=("${(@)${(@)${(@)unfinished//\\/\\\\}//:/\\:}/$text/:}")
    _describe -t words word finished -- unfinished -S ''
}

if [[ $funcstack[1] == _hydrantic ]]; then
    _hydrantic "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i; }
    compdef _hydrantic hydrantic
fi
"""

FISH: Final = r"""# Completion of the words of hydrantic, for fish. Put this file where fish looks:
#
#     hydrantic completion fish > ~/.config/fish/completions/hydrantic.fish
#
# or this into your ~/.config/fish/config.fish:
#
#     hydrantic completion fish | source

function __hydrantic_words
    set -l words (commandline -opc)
    set -l program $words[1]
    command -sq -- $program; or set program hydrantic
    command $program completion --answer fish $words (commandline -ct | string collect --allow-empty) 2> /dev/null
end

complete -c hydrantic -e
complete -c hydrantic -f -a '(__hydrantic_words)'
"""


@dataclass(frozen=True)
class Line:
    """A command line up to the cursor, taken apart as a shell does."""

    words: tuple[str, ...]
    """Every word without its quotes, the one at the cursor last, be it empty."""
    start: int = 0
    """Where, in the last word, what the shell replaces begins."""
    quote: str = ""
    """The quotation mark that is still open."""


@dataclass
class _Splitter:
    breaks: str
    words: list[str] = field(default_factory=list)
    word: str | None = None
    start: int = 0
    quote: str = ""

    def take(self, sign: str, *, is_escaped: bool) -> None:
        """Read on by one character."""
        if is_escaped:
            self._add(sign)
        elif self.quote:
            self._within(sign)
        elif sign in "\"'":
            self.word, self.quote = self.word or "", sign
            self.start = len(self.word)
        elif sign.isspace():
            self._end()
        else:
            self._add(sign)
            if sign in self.breaks:
                self.start = len(self.word or "")

    def _within(self, sign: str) -> None:
        if sign == self.quote:
            self.quote, self.start = "", 0
        else:
            self._add(sign)

    def _add(self, sign: str) -> None:
        self.word = (self.word or "") + sign

    def _end(self) -> None:
        if self.word is not None:
            self.words.append(self.word)
        self.word, self.start = None, 0

    def line(self) -> Line:
        """What has been read."""
        return Line((*self.words, self.word or ""), self.start, self.quote)


def split(text: str, breaks: str = "") -> Line:
    """Take a command line apart; a quotation mark that is not closed is no mistake.

    Arguments:
        text: the line up to the cursor.
        breaks: the characters beside blanks at which bash begins a new word (COMP_WORDBREAKS).
    """
    splitter, is_escaped = _Splitter(breaks), False
    for sign in text:
        if sign == "\\" and not is_escaped and splitter.quote != "'":
            is_escaped = True
            continue
        splitter.take(sign, is_escaped=is_escaped)
        is_escaped = False
    return splitter.line()


def bare(word: str) -> str:
    """A word without its quotes."""
    return split(word.replace("\n", " ")).words[-1] if word.strip() else ""


def in_bash(answer: Answer, line: Line) -> list[str]:
    """The answer for bash: the kind of what follows (files, open or closed), then what replaces the word's end."""
    if isinstance(answer, Files):
        return ["files", *(path[line.start :] for path in paths(answer, line.words[-1], mark=""))]
    texts = [_QUOTED[line.quote](each.text[line.start :]) for each in answer]
    return ["open" if any(each.is_open for each in answer) else "closed", *texts]


_QUOTED: Final[Mapping[str, Callable[[str], str]]] = {
    "": lambda text: re.sub(r"([^\w@%+=:,./~\[\]-])", r"\\\1", text),
    '"': lambda text: re.sub(r'(["$`\\])', r"\\\1", text),
    "'": lambda text: text.replace("'", "'\\''"),
}
"""How bash writes a text, by the quotation mark that it stands behind."""


def in_zsh(answer: Answer, line: Line) -> list[str]:
    """The answer for zsh: words, files or folders; what precedes them in the word; a pattern, or the words."""
    if isinstance(answer, Files):
        names = "|".join(each.removeprefix(".") for each in answer.suffixes)
        return ["folders" if answer.only_folders else "files", answer.before, f"*.({names})" if names else "*"]
    word = line.words[-1]
    before = word[: word.index("=") + 1] if "=" in word else ""
    return ["words", before, *(_described(each, len(before)) for each in answer)]


def in_fish(answer: Answer, line: Line) -> list[str]:
    """The answer for fish: each word with its meaning behind a tab."""
    if isinstance(answer, Files):
        return list(paths(answer, line.words[-1], mark="/"))
    return [_described(each, 0) for each in answer]


def _described(candidate: Candidate, start: int) -> str:
    meaning = " ".join(candidate.meaning.split())
    if len(meaning) > LONGEST:
        meaning = f"{meaning[: LONGEST - 3].rstrip()}..."
    return f"{candidate.text[start:]}\t{meaning}" if meaning else candidate.text[start:]


def paths(files: Files, word: str, *, mark: str) -> Iterator[str]:
    """The word with every file and folder that it may go on with; `mark` stands behind a folder."""
    above, slash, begun = word.removeprefix(files.before).rpartition("/")
    try:
        entries = sorted(os.scandir(Path(above + slash or ".").expanduser()), key=lambda each: each.name)
    except (OSError, RuntimeError, ValueError):
        return
    for each in entries:
        is_wanted = each.is_dir() or (not files.only_folders and each.name.endswith(files.suffixes or ("",)))
        is_hidden = each.name.startswith(".") and not begun.startswith(".")
        if each.name.startswith(begun) and is_wanted and not is_hidden and is_one_line(each.name):
            yield f"{files.before}{above}{slash}{each.name}{mark if each.is_dir() else ''}"


def is_one_line(text: str) -> bool:
    """Whether a text has no line breaks, tabs or other control characters, which would pass for something else."""
    return re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", text) is None


@dataclass(frozen=True)
class Shell:
    """A shell: its script, and the form of an answer to it."""

    script: str
    answer: Callable[[Answer, Line], list[str]]


SHELLS: Final[Mapping[str, Shell]] = {
    "bash": Shell(BASH, in_bash),
    "zsh": Shell(ZSH, in_zsh),
    "fish": Shell(FISH, in_fish),
}
"""Every shell by its name."""


def line_of(shell: str, words: Sequence[str]) -> Line:
    """The command line that a shell's script hands over: bash as one text and its word breaks, the others as words.

    zsh quotes all words as they were typed, fish the last one.
    """
    if shell == "bash":
        return split(*words[:2])
    *before, last = words
    return Line((*(map(bare, before) if shell == "zsh" else before), bare(last)))

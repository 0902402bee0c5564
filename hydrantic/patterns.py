"""Regular expressions in words, as far as they only say which characters a text may have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_SET: Final = r"\[(?:[^\]\\^]|\\.)(?:[^\]\\]|\\.)*\]"
_OF_SETS: Final = re.compile(rf"\^({_SET})?({_SET})[*+]\$")
_MEMBER: Final = re.compile(r"\\w|\\.|.-[^\]]|.", re.DOTALL)
_NAMED: Final = {"\\w": ("letters", "digits"), "A-Z": ("letters",), "a-z": ("letters",), "0-9": ("digits",)}
_FEW: Final = 2
_SPOKEN: Final = {" ": "a space", "\n": "a line break", "\r": "a line break", "\t": "a tab", "'": 'the sign "\'"'}


def characters(pattern: str) -> str | None:
    """The characters that a text may have, such as `letters, digits, '_' and '-'`; None where more is asked of it.

    Arguments:
        pattern: of the form `^[...]*$`, maybe with another set for the first character.
    """
    found = _OF_SETS.fullmatch(pattern)
    if found is None:
        return None
    members = [name for member in _MEMBER.findall(found[2][1:-1]) for name in _names(member)]
    kinds = [*dict.fromkeys(each for each in members if len(each) > 1)]
    signs = [*dict.fromkeys(each for each in members if len(each) == 1)]
    said = [f"'{each}'" for each in signs] if len(signs) <= _FEW else [f"any of {''.join(signs)}"]
    *others, last = [*kinds, *said]
    return f"{', '.join(others)} and {last}" if others else last


def _names(member: str) -> Iterator[str]:
    if member == " ":
        yield "spaces"
    elif member in _NAMED:
        yield from _NAMED[member]
        yield from ["_"] * (member == "\\w")
    else:
        yield member.removeprefix("\\")


def misfit(pattern: str, text: str) -> str | None:
    """What is wrong with a text that does not match a pattern of such a form; None where the pattern is another."""
    found, said = _OF_SETS.fullmatch(pattern), characters(pattern)
    if found is None or said is None:
        return None
    if not text:
        return "must not be empty"
    wrong = next((each for each in text if not re.fullmatch(found[2], each)), None)
    if wrong is not None:
        return f"may have only {said}, not {_spoken(wrong)}"
    return f"may not begin with {_spoken(text[0])}"


def _spoken(sign: str) -> str:
    if sign in _SPOKEN:
        return _SPOKEN[sign]
    return f"'{sign}'" if sign.isprintable() else f"the character U+{ord(sign):04X}"

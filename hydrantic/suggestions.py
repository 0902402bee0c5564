"""The accepted name that a misspelt one is nearest to."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from hydrantic.texts import listed


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` most likely means, or None where none is near."""
    by_lower = {each.lower(): each for each in known}
    if name.lower() in by_lower:
        return by_lower[name.lower()]
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    if close:
        return by_lower[close[0]]
    starting = [each for each in by_lower if len(name) > 2 and each.startswith(name.lower())]
    return by_lower[starting[0]] if len(starting) == 1 else None


def did_you_mean(name: str, known: Iterable[str], there_are: str = "there are") -> str:
    """What to add to a message about an unknown name: the nearest known one, or else some of them."""
    names = tuple(known)
    near = nearest(name, names)
    if near is not None:
        return f"; did you mean '{near}'?"
    if not names:
        return "; there are none"
    short = [each for each in names if "." not in each] or names
    return f"; {there_are} {listed(sorted(short))}"

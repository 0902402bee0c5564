"""What can come next in an override: the keys of a blueprint level by level, and what may follow `key=`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hydrantic.completion.candidates import Answer, Candidate, Files
from hydrantic.completion.outline import Groups, Tree, chosen_groups, outline
from hydrantic.completion.spots import Root, Spot
from hydrantic.completion.vocabulary import Vocabulary

_SIGNS: Final = ("++", "+", "~")


@dataclass(frozen=True)
class Overrides:
    """The overrides that a blueprint takes, with those before the cursor applied."""

    known: Vocabulary
    tree: Tree
    groups: Groups
    loaded: tuple[str, ...] = ()
    """The groups of which the blueprint loads an option already."""

    @classmethod
    def of(cls, blueprint: Path | None, before: Iterable[str], known: Vocabulary) -> Overrides:
        """The overrides that can follow others.

        Arguments:
            blueprint: the file, which may be broken or missing.
            before: the overrides that stand on the command line already.
            known: the names and fields that there are.
        """
        file = blueprint if blueprint is not None and blueprint.is_file() else None
        groups = Groups(None if blueprint is None else blueprint.parent)
        return cls(known, outline(file, before, groups), groups, chosen_groups(file))

    def complete(self, word: str) -> Answer:
        """What an override may be that begins with `word`."""
        sign = next((sign for sign in _SIGNS if word.startswith(sign)), "")
        key, assigned, value = word.removeprefix(sign).partition("=")
        found: Iterable[Candidate] | Files
        if sign == "~":
            found = self._present(key)
        elif assigned:
            found = self._values(key, value)
        else:
            found = self._keys(key, is_added=bool(sign))
        if isinstance(found, Files):
            return Files(sign + found.before)
        return [Candidate(sign + each.text, each.meaning) for each in found if (sign + each.text).startswith(word)]

    def keys(self, word: str) -> Sequence[Candidate]:
        """The keys that begin with `word`, with nothing to be assigned to them."""
        above, spots = self._level(word)
        found: list[Candidate] = []
        for name, spot in spots.items():
            found.append(Candidate(above + name, spot.meaning))
            found += [Candidate(f"{above}{name}.", spot.meaning)] if spot.below() else []
        return [each for each in found if each.text.startswith(word)]

    @property
    def _root(self) -> Spot:
        return Root(self.known, self.tree, groups=self.groups)

    def _spot(self, path: Iterable[str]) -> Spot | None:
        spot: Spot | None = self._root
        for part in path:
            spot = None if spot is None else spot.below().get(part)
        return spot

    def _level(self, key: str) -> tuple[str, Mapping[str, Spot]]:
        """What precedes the last part of a key, and what that part may be."""
        above, dot, last = key.rpartition(".")
        spot = self._spot(above.split(".") if dot else ())
        spots = {} if spot is None else spot.below()
        return above + dot, {name: each for name, each in spots.items() if name.startswith(last)}

    def _keys(self, key: str, *, is_added: bool) -> Iterator[Candidate]:
        above, spots = self._level(key)
        for name, spot in spots.items():
            if spot.takes_value:
                yield Candidate(f"{above}{name}=", spot.meaning)
            if spot.below():
                yield Candidate(f"{above}{name}.", spot.meaning)
        groups = [] if above else [name for name in self.groups.names if name not in spots]
        for name in groups:
            if is_added or name in self.loaded:
                yield Candidate(f"{name}=", ", ".join(self.groups.options(name)))
            elif not key and name not in self.known.sections:
                yield Candidate(f"+{name}=", ", ".join(self.groups.options(name)))

    def _values(self, key: str, value: str) -> Answer:
        spot = self._spot(key.split("."))
        if spot is None:
            options = self.groups.options(key) if key in self.groups.names else {}
            return [Candidate(f"{key}={name}", file) for name, file in options.items()]
        if spot.takes_path:
            return Files(f"{key}=")
        found = dict.fromkeys(spot.paths(), "") if "." in value else spot.values()
        return [Candidate(f"{key}={each}", meaning) for each, meaning in found.items()]

    def _present(self, key: str) -> Iterator[Candidate]:
        """The keys that the blueprint has, to be taken out."""
        above, dot, _ = key.rpartition(".")
        inner: Any = self.tree
        for part in above.split(".") if dot else ():
            inner = inner.get(part) if isinstance(inner, dict) else None
        for name, value in inner.items() if isinstance(inner, dict) else ():
            yield Candidate(f"{above}{dot}{name}")
            if isinstance(value, dict) and value:
                yield Candidate(f"{above}{dot}{name}.")

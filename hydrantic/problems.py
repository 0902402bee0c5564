"""Collecting what is wrong with a blueprint; `hydrantic.wording` turns each problem into words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hydrantic.source import KeyPath, Source


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: a stable code, the place, the key path and the facts that its wording needs."""

    code: str
    source: Source
    path: KeyPath = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


class Problems:
    """Problems in the order in which they were found, each of them once."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, Source, KeyPath], Problem] = {}

    def add(self, code: str, source: Source, path: KeyPath = (), **facts: Any) -> None:
        """Note a problem; the same code at the same place and path is kept once."""
        self._found.setdefault((code, source, path), Problem(code, source, path, facts))

    def extend(self, problems: Iterator[Problem] | tuple[Problem, ...]) -> None:
        """Note all of `problems`."""
        for problem in problems:
            self._found.setdefault((problem.code, problem.source, problem.path), problem)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)

    def raise_any(self) -> None:
        """Raise `BlueprintError` with every problem, or return where there is none."""
        if self._found:
            from hydrantic.errors import BlueprintError

            raise BlueprintError(tuple(self._found.values()))

"""What may stand where the cursor is on a command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Candidate:
    """A word that may stand where the cursor is; one that ends with `=`, `.` or `/` is to be continued."""

    text: str
    meaning: str = ""

    @property
    def is_open(self) -> bool:
        """Whether the word goes on after this."""
        return self.text.endswith(("=", ".", "/"))


@dataclass(frozen=True)
class Files:
    """A path may stand where the cursor is."""

    before: str = ""
    """What precedes the path in its word, such as `data.path=`."""
    suffixes: tuple[str, ...] = ()
    """How its name ends; any file where there are none."""
    only_folders: bool = False


Answer: TypeAlias = Sequence[Candidate] | Files
"""What may stand where the cursor is."""

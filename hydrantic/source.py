"""Where a value or a component was written."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""The way from the root of a blueprint to a value, such as `("model", "hidden_dims", 0)`."""


_PASSWORD: Final = re.compile(r"(://[^/@\s:]*:)(?!\$\{)[^@\s]*@")
"""A password in an address, which is never shown."""


@dataclass(frozen=True, slots=True)
class Source:
    """A place: a span in a file, or a label such as the command line.

    Lines and columns count from 1; `width` is the number of characters that an excerpt underlines.
    """

    file: Path | None = None
    line: int = 0
    column: int = 0
    width: int = 1
    label: str = ""

    @classmethod
    def override(cls, text: str) -> Source:
        """The place of a value given on the command line as `text`."""
        hidden = _PASSWORD.sub(r"\1***@", text)
        return cls(label=f"command line: {hidden}")

    @property
    def on_command_line(self) -> bool:
        """Whether the value was given as an override."""
        return self.label.startswith("command line: ")

    @property
    def in_checkpoint(self) -> bool:
        """Whether a checkpoint holds the value: what it names was there when its run was made, and may be gone."""
        return self.label.startswith(IN_CHECKPOINT)

    def __str__(self) -> str:
        if self.file is None:
            return self.label or "unknown"
        where = display(self.file)
        if self.line and self.column:
            return f"{where}:{self.line}:{self.column}"
        return f"{where}:{self.line}" if self.line else where


IN_CHECKPOINT = "checkpoint "
"""What the label begins with of a value that a checkpoint holds."""

DEFAULT = Source(label="default")
"""The place of a value that nobody wrote."""
SUPPLIED = "the data"
"""What records say of a value that the data has supplied."""


def display(file: Path) -> str:
    """The path as a person standing in the working directory would write it."""
    try:
        relative = os.path.relpath(file)
    except ValueError:  # another drive
        return str(file)
    return str(file) if relative.startswith("..") else relative


def dotted(path: KeyPath) -> str:
    """The key path in the form that overrides use: `model.layers.0.width`."""
    return ".".join(str(part) for part in path)

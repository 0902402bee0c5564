"""What a project's modules look at when they are imported, beside other modules: files and environment variables."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hydrantic.digests import digest, digest_of

LARGEST: Final = 10_000_000
"""Bytes of a file beyond which it is data, and read too seldom to be compared on every start."""
_MODULES: Final = (".py", ".pyc", ".so")
_BETWEEN: Final = ("<frozen os>", "<frozen _collections_abc>", os.__file__)
"""The code between a look-up and the variable."""


@dataclass
class Watch:
    """What was looked at since the watch began."""

    root: Path
    outside: tuple[str, ...]
    """The places below the project that are not its own, such as a virtual environment."""
    seen: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)

    def start(self) -> None:
        """Watch until this process ends."""
        sys.addaudithook(self._audit)
        environment, look_up = type(os.environ), type(os.environ).__getitem__

        def watched(variables: Any, name: str) -> Any:
            frame = sys._getframe(1)  # noqa: SLF001 -- who asks is told nowhere else
            while frame.f_back is not None and frame.f_code.co_filename in _BETWEEN:
                frame = frame.f_back
            if variables is os.environ and self._is_own(frame.f_code.co_filename):
                self.asked.add(str(name))
            return look_up(variables, name)

        environment.__getitem__ = watched  # type: ignore[method-assign]  # there is no other way to be told

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(args[0], str) and not set("wax+") & set(args[1] or ""):
            file = os.path.abspath(args[0])  # noqa: PTH100 -- thousands of times
            if not file.endswith(_MODULES) and self._is_own(file):
                self.seen.add(file)

    def _is_own(self, file: str) -> bool:
        return file.startswith(f"{self.root}{os.sep}") and not file.startswith(self.outside)

    @property
    def files(self) -> dict[str, str]:
        """The files that were read, or would have been if they were there, with their digests."""
        return {file: digest_of(Path(file)) for file in sorted(self.seen) if _is_small(file)}

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables that were asked for, with the digests of their values."""
        return {name: digest_of_variable(name) for name in sorted(self.asked)}


def _is_small(file: str) -> bool:
    try:
        return os.path.getsize(file) <= LARGEST  # noqa: PTH202 -- as text, as it was opened
    except OSError:
        return True


def digest_of_variable(name: str) -> str:
    """A digest of the value of an environment variable; empty where it is not set."""
    value = os.environ.get(name)
    return "" if value is None else digest(os.fsencode(value))

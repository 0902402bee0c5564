"""Names of files that show logged values: `{epoch:02d}-{validation/loss:.4f}`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_FIELD: Final = re.compile(r"\{([^{}:]+)(?::([^{}]*))?\}")


def file_safe(text: str) -> str:
    """The text as a file can carry it: `validation/loss` becomes `validation_loss`."""
    return re.sub(r"[^\w.+=-]", "_", text)


def names_in(template: str) -> tuple[str, ...]:
    """The logged names that a template shows."""
    return tuple(found[1] for found in _FIELD.finditer(template))


def leads_elsewhere(template: str) -> bool:
    """Whether a template would put the file into another folder."""
    return re.search(r"[/\\]", _FIELD.sub("", template)) is not None


def filled(template: str, value: Callable[[str, str], str]) -> str:
    """The name that a template makes, each value behind its name; after a `=` only the value.

    Arguments:
        template: text with fields in Python's format.
        value: gives the text for a logged name and the format that the template asks for.
    """

    def fill(found: re.Match[str]) -> str:
        name = found[1]
        label = "" if template[: found.start()].endswith("=") else f"{file_safe(name)}="
        return label + file_safe(value(name, found[2] or ""))

    return _FIELD.sub(fill, template)

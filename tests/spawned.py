"""What a test runs in a spawned process; it imports nothing heavy."""

from __future__ import annotations


def name_of(component: type[object]) -> str:
    """The full name of a class that was pickled."""
    return f"{component.__module__}.{component.__qualname__}"

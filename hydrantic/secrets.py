"""What the environment supplied: kept out of records and of messages, where a reference stands for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from hydrantic.document import Node, is_reference
from hydrantic.problems import Problem


def secrets_in(used: Node, record: Node) -> Iterator[tuple[str, str]]:
    """Each value that the environment supplied, with the reference that a record shows instead."""
    for key, child in used.children():
        if (recorded := record.child(key)) is not None:
            yield from secrets_in(child, recorded)
    if isinstance(record.value, str) and is_reference(record) and used.value != record.value:
        yield str(used.value), record.value


def without_secrets(secrets: Mapping[str, str], problem: Problem) -> Problem:
    """The same problem with nothing in its facts that came from the environment."""
    return dataclasses.replace(problem, facts={name: _hidden(fact, secrets) for name, fact in problem.facts.items()})


def _hidden(fact: Any, secrets: Mapping[str, str]) -> Any:
    if not isinstance(fact, str | int | float):
        return fact
    if str(fact) in secrets:
        return secrets[str(fact)]
    if not isinstance(fact, str):
        return fact
    return hide(fact, secrets)


def hide(text: str, secrets: Collection[str]) -> str:
    """The text with `***` for every secret of more than three characters."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***") if len(secret) > 3 else text
    return text


def with_references(value: Any, used: Node | None, recorded: Node) -> Any:
    """`value` with the reference in place of whatever the environment supplied."""
    if used is None:
        return value
    if isinstance(recorded.value, dict) and isinstance(value, dict):
        return {k: with_references(v, used.child(k), n) if (n := recorded.child(k)) else v for k, v in value.items()}
    if isinstance(recorded.value, list) and isinstance(value, list):
        nodes = [recorded.child(i) for i in range(len(value))]
        return [with_references(v, used.child(i), n) if (n := nodes[i]) else v for i, v in enumerate(value)]
    return recorded.value if recorded.value != used.value else value

"""What a run's components were: where each came from, its schema and its source, to tell later what has changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from hydrantic.plan import Plan

Identity: TypeAlias = Mapping[str, Any]
"""One component as plain data: `distribution` and `version` (None for a project's own shelf), `source` (a sha256 of its
file), `schema` (a digest of its fields), and `fields` (in the form of `hydrantic.forms`)."""


def identities(plan: Plan) -> dict[str, Identity]:
    """Every component of a plan, nested ones too, by `kind/name`, as plain types that a checkpoint can hold."""
    return {}


def changes(recorded: Mapping[str, Identity], present: Mapping[str, Identity]) -> tuple[str, ...]:
    """What has changed of each component since it was recorded, a line each: which fields, defaults, source, version.

    Empty where nothing has.
    """
    return ()

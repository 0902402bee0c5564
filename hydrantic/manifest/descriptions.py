"""What is known of a component without importing it: a description, read from the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydrantic.source import Source

if TYPE_CHECKING:
    from hydrantic.hparams import Hparams
    from hydrantic.traits import Traits


@dataclass(frozen=True)
class Description:
    """One registered component as plain data."""

    kind: str
    name: str
    shelf: str
    aliases: tuple[str, ...] = ()
    """Further names that it is registered under."""
    dotted: tuple[str, ...] = ()
    """Its own path, where a blueprint may look it up by that too: `torch.optim.AdamW`."""
    summary: str = ""
    """The first line of its docstring."""
    doc: str = ""
    """Its docstring down to the arguments."""
    file: str | None = None
    line: int = 0
    title: str = "Hparams"
    """The name of its class of Hparams."""
    fields: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    """Its fields, in the form of `hydrantic.forms`."""
    told: bool = True
    """Whether the fields tell all that its own code would judge."""
    broken: str = ""
    """Why it cannot be imported, where it cannot."""
    judged: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Its traits, as plain data."""

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Description:
        """The description that the manifest holds as `plain`."""
        return cls(**{**plain, "aliases": tuple(plain["aliases"]), "dotted": tuple(plain["dotted"])})

    @property
    def lookups(self) -> tuple[str, ...]:
        """Every name under which it is found."""
        return (self.name, *self.aliases, *self.dotted)

    @property
    def source(self) -> Source:
        """Where it is defined."""
        return Source(None if self.file is None else Path(self.file), self.line)

    @property
    def record(self) -> dict[str, Any]:
        """What it is and where it is defined, for a program to read."""
        return {
            "kind": self.kind,
            "name": self.name,
            "aliases": [*self.aliases, *self.dotted],
            "shelf": self.shelf,
            "summary": self.summary,
            "file": self.file,
            "line": self.line or None,
            "broken": self.broken or None,
        }

    @cached_property
    def hparams(self) -> type[Hparams]:
        """Hparams that judge values as the component's own do."""
        from hydrantic.spec import hparams_from

        return hparams_from(self.title, self.fields)

    @property
    def can_judge(self) -> bool:
        """Whether its fields and traits have the form that they should have; a file in a cache may hold anything."""
        try:
            return self.hparams is not None and self.traits is not None
        except Exception:  # noqa: BLE001 -- whatever it is, the component's own code knows better
            return False

    @cached_property
    def traits(self) -> Traits:
        """What planning has to know of it besides its hyperparameters."""
        from hydrantic.traits import Traits

        tasks = self.judged["tasks"]
        return Traits(**{**self.judged, "tasks": None if tasks is None else tuple(tasks)})

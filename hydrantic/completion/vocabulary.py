"""The names and fields that a blueprint can be written with, as far as they are known at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Self

from hydrantic.forms import Fields
from hydrantic.manifest import Manifest, fresh, latest
from hydrantic.manifest.descriptions import Description
from hydrantic.project import Project, ProjectShelf
from hydrantic.registries import KINDS, entry_points
from hydrantic.sections import groups

_NAMED: Final[Fields] = {section: {"type": "any"} for section in (*groups(), "trainer", "vars")}
"""What can be said of the sections without the time that it takes to import their classes."""


@dataclass(frozen=True)
class Vocabulary:
    """What the manifest tells, be it out of date, and what metadata and the text of modules tell without it."""

    manifest: Manifest | None = None
    shelf: ProjectShelf | None = None
    """The project's, where the manifest may not know all of its components."""
    is_fresh: bool = True

    @classmethod
    def of(cls, project: Project) -> Self:
        """What is known of a project; nothing is imported for it, and nothing is described anew."""
        manifest = fresh(project)
        if manifest is not None:
            return cls(manifest)
        shelf = None if project.shelf is None else ProjectShelf(project.shelf, "registry")
        return cls(latest(project), shelf, is_fresh=False)

    def names(self, kind: str) -> Mapping[str, str]:
        """The names of a kind, each with what its component is in a sentence."""
        return dict(sorted(self._named(kind)))

    def _named(self, kind: str) -> Iterator[tuple[str, str]]:
        if self.shelf is not None:
            yield from ((name, "") for name in self.shelf.names(kind))
        if self.manifest is not None:
            yield from ((each.name, each.summary) for each in self.manifest.all(kind))
        else:
            yield from ((point.name, "") for point in entry_points(KINDS[kind]))

    def paths(self, kind: str) -> tuple[str, ...]:
        """The dotted paths by which components of a kind may be looked up too."""
        found = () if self.manifest is None else self.manifest.lookups(kind)
        return tuple(each for each in found if "." in each and not each.startswith("hydrantic."))

    def fields(self, kind: str, name: str) -> Fields:
        """The fields of a component; none where it is not known."""
        found = self._described(kind, name)
        if found is None:
            return {}
        # What a model carries of the training is said in sections of its own.
        carried = self.sections if found.judged.get("carries_groups") else {}
        return {each: of for each, of in found.fields.items() if not (each in carried and of["type"] == "any")}

    def summary(self, kind: str, name: str) -> str:
        """What a component is, in a sentence."""
        found = self._described(kind, name)
        return "" if found is None else found.summary

    def _described(self, kind: str, name: str) -> Description | None:
        return None if self.manifest is None else self.manifest.named(kind, name)

    @property
    def sections(self) -> Fields:
        """The sections of a blueprint as fields; `wiring` holds what blocks have beside their component's own."""
        return _NAMED if self.manifest is None else self.manifest.sections

    @property
    def trainer(self) -> Fields:
        """The fields of the section `trainer`."""
        return {} if self.manifest is None else self.manifest.trainer_fields

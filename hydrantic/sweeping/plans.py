"""The jobs of a sweep, each composed and planned like a run of its own, before the first of them begins."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydrantic.compose import Composer, override_value, read_override
from hydrantic.digests import digest
from hydrantic.document import Document, Node
from hydrantic.manifest import current
from hydrantic.planning import make_plan
from hydrantic.problems import Problems
from hydrantic.project import Project
from hydrantic.provenance import origins_in
from hydrantic.registries import reading
from hydrantic.sections import OF_SWEEPS
from hydrantic.sweeping.sweeper import Combination
from hydrantic.yaml_text import to_yaml


@dataclass(frozen=True)
class PlannedJob:
    """A job that may begin: what sets it apart, and the complete blueprint of its run."""

    number: int
    overrides: Combination
    params: Mapping[str, Any]
    """The overrides as plain values by key."""
    name: str
    """The blueprint's name."""
    objective: tuple[str, str] | None
    """Logged name and mode of what is optimised."""
    text: str = field(repr=False)
    """The contents of its `blueprint.yaml`."""
    sources: tuple[Path, ...] = field(default=(), repr=False)
    """Every file that it was composed of."""
    origins: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Where its values came from; see `hydrantic.provenance`."""

    @property
    def sha256(self) -> str:
        """Of its `blueprint.yaml`."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class JobPlanner:
    """Plans the jobs of one sweep; the files of the blueprint are read once."""

    composer: Composer
    fixed: tuple[str, ...]
    """The overrides that all jobs have."""
    project: Project

    def plan(self, number: int, overrides: Combination) -> PlannedJob:
        """Plan one job; nothing is written.

        Raises:
            BlueprintError: with every problem of this combination.
        """
        problems = Problems()
        document = self._composed(overrides, problems)
        plan = make_plan(document, self.project, problems)
        text = f"# Job {number} of a sweep: {' '.join(overrides)}\n{to_yaml(plan.resolved())}"
        sources = tuple(document.texts)
        return PlannedJob(
            number, overrides, params_of(overrides), plan.name, plan.objective, text, sources, origins_in(plan)
        )

    def digest(self, combinations: Sequence[Combination]) -> str:
        """A digest of what combinations are composed to, which comments and formatting do not change.

        Raises:
            BlueprintError: a file cannot be read.
        """
        with reading(current(self.project)):
            composed = [self._composed(each, Problems()).plain() for each in combinations]
        return digest(*(json.dumps(each).encode() for each in composed))

    def _composed(self, overrides: Combination, problems: Problems) -> Document:
        return _without_sweeps(self.composer.compose((*self.fixed, *overrides), problems))


def _without_sweeps(document: Document) -> Document:
    return _keeping(document, lambda key, _: key not in OF_SWEEPS)


def without_empty_sweeps(document: Document) -> Document:
    """A document whose sections about sweeps are left out where nothing is written in them."""
    return _keeping(document, lambda key, node: key not in OF_SWEEPS or node.value is not None)


def _keeping(document: Document, is_kept: Callable[[str, Node], bool]) -> Document:
    sections = {str(key): node for key, node in document.root.children()}
    kept = {key: node for key, node in sections.items() if is_kept(key, node)}
    return dataclasses.replace(document, root=dataclasses.replace(document.root, value=kept))


def params_of(overrides: Sequence[str]) -> dict[str, Any]:
    """The values of overrides by key, without the signs that say how each is set."""
    found = map(read_override, overrides)
    return {each.key_or_group: override_value(each._value) for each in found}  # noqa: SLF001 -- `value()` has lost the quotes


@dataclass(frozen=True)
class JobFile:
    """What a job's process has to know besides its blueprint: the contents of `job.json`."""

    number: int
    overrides: Combination
    sweep: str
    """Name of the sweep's folder."""
    project: str | None
    """Root of the project whose components may be used."""
    test: bool = True
    """Whether the best checkpoint is evaluated on the test split."""
    report: Mapping[str, Any] | None = None
    """What the reporter of a study needs."""
    threads: int | None = None
    """How many threads torch may use; None leaves that to torch."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Where the values of its blueprint came from."""

    def to_json(self) -> str:
        """The file's contents."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False, indent=2) + "\n"

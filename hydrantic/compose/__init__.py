"""From a blueprint and its overrides to one document, with Hydra's override grammar and defaults list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import version
from hydra.core.override_parser.types import OverrideType

from hydrantic.compose.defaults import Chosen, DefaultsList
from hydrantic.compose.folders import further_folders, written_path
from hydrantic.compose.merging import Editor, merge_results
from hydrantic.compose.options import HYDRA_KEYS, SEARCHPATH, Groups, Repository, Sections
from hydrantic.compose.overrides import Request, override_value, read_override, sort_override
from hydrantic.compose.plain import page_of
from hydrantic.compose.search import Pages, SearchPath
from hydrantic.compose.sweeps import MAX_VALUES, dimension, is_sweep, override_text, split_sweep
from hydrantic.document import LIMITS, Document, Limits, Node, measure
from hydrantic.problems import Problem, Problems
from hydrantic.reading import Page
from hydrantic.source import KeyPath, Source

__all__ = [
    "HYDRA_KEYS",
    "MAX_VALUES",
    "Chosen",
    "Composer",
    "Groups",
    "compose",
    "dimension",
    "is_sweep",
    "override_text",
    "override_value",
    "read_override",
    "split_sweep",
]


def compose(
    file: Path,
    overrides: Sequence[str] = (),
    groups: Groups | None = None,
    limits: Limits = LIMITS,
    problems: Problems | None = None,
) -> Document:
    """Compose a blueprint: its defaults list, its groups' options and the overrides, merged in Hydra's order.

    Args:
        file: the blueprint; options are searched in its folder and on its search path.
        overrides: overrides in Hydra's grammar, such as `model=cnn`, `optimizer.lr=0.1`, `+experiment=quick`.
        groups: the registries, whose names are options without a file; None for files alone.
        limits: how large a file and the composed blueprint may be.
        problems: collects the problems where a document can be made all the same, so that it can be looked at further;
            without it, they are raised.

    Returns:
        The document; interpolations stand in it as they were written.

    Raises:
        BlueprintError: with every problem found in the files and the overrides.
    """
    return Composer(file, groups, limits).compose(overrides, problems)


@dataclass(frozen=True, slots=True)
class _Merged:
    """The options that a set of choices asks for, merged, before values are changed."""

    root: Node
    choices: tuple[Chosen, ...]
    texts: Mapping[Path, str]
    asked: Mapping[Path, Source]
    problems: tuple[Problem, ...]


class Composer:
    """Composes one blueprint with many lists of overrides; each file is read, and each override parsed, once.

    Whoever changes a file meanwhile changes nothing of what is composed.
    """

    def __init__(
        self,
        blueprint: Path | Page,
        groups: Groups | None = None,
        limits: Limits = LIMITS,
        searchpath: Sequence[Path] = (),
    ) -> None:
        """Read a blueprint.

        Args:
            blueprint: its file, or what stands in one that is no file.
            groups: the registries, whose names are options without a file; None for files alone.
            limits: how large a file and the composed blueprint may be.
            searchpath: folders in which options are searched beside the blueprint's own and those that it names.
        """
        self._limits = limits
        self._sections = Sections(groups)
        self._pages = Pages(limits)
        self._noted = Problems()
        self._file = blueprint if isinstance(blueprint, Path) else blueprint.file
        self._page = self._pages.read(blueprint, self._noted) if isinstance(blueprint, Path) else blueprint
        self._beside = (self._file.parent, *searchpath)
        self._scopes: dict[SearchPath, _Scope] = {}

    @classmethod
    def of(
        cls,
        plain: Mapping[str, Any],
        folder: Path,
        label: str,
        groups: Groups | None = None,
        limits: Limits = LIMITS,
        searchpath: Sequence[Path] = (),
    ) -> Composer:
        """A composer of a blueprint that is no file.

        Args:
            plain: the blueprint as dicts, lists and scalars.
            folder: where its options are searched.
            label: the place of every value in it, such as `hydrantic.fit(...)`.
            groups: see `Composer`, as for the rest.
            limits: see there.
            searchpath: see there.

        Raises:
            BlueprintError: it holds something else than plain data, or too much of it.
        """
        return cls(page_of(plain, folder, label, limits), groups, limits, searchpath)

    def compose(self, overrides: Sequence[str] = (), problems: Problems | None = None) -> Document:
        """The blueprint with these overrides; see the function `compose`."""
        collected = problems
        problems = Problems() if collected is None else collected
        scope = self._scope(overrides, problems)
        requests = [scope.request(text, problems) for text in overrides]
        own = self._own(problems)
        before = len(problems)
        merged = scope.merged(tuple(text for text, each in zip(overrides, requests, strict=True) if each.choices))
        problems.extend(merged.problems)
        changes = [change for each in requests for change in each.changes]
        if len(problems) > before:  # what an override deletes may stand in an option that could not be read
            changes = [change for change in changes if change.type is not OverrideType.DEL]
        root, removed = merged.root, dict[KeyPath, Node]()
        for change in changes:
            root = Editor(change, self._sections, self._limits, problems, removed).applied(root)
        _check_hydra_node(root, problems)
        _check_searchpath(root, own, problems)
        _check_size(root, self._limits, problems)
        if collected is None or any(each.code == "limit" for each in problems):
            problems.raise_any()
        return Document(root, merged.texts, self._file, removed, merged.asked)

    def _own(self, problems: Problems) -> Node:
        """What the blueprint itself holds; where there is nothing to go on with, the problems are raised."""
        root = None if self._page is None else self._page.root
        if root is None and self._page is not None:
            problems.add("file-empty", Source(self._file))
        if root is None:
            problems.raise_any()
        assert root is not None  # a file that cannot be read has a problem
        return root

    def chosen(self, overrides: Sequence[str] = ()) -> tuple[Chosen, ...]:
        """What Hydra's defaults list comes to with these overrides: every option, in merge order."""
        problems = Problems()
        scope = self._scope(overrides, problems)
        return scope.merged(tuple(text for text in overrides if scope.request(text, problems).choices)).choices

    def groups(self, overrides: Sequence[str] = ()) -> tuple[str, ...]:
        """The groups that have options: sections that hold components, and folders with files."""
        repository = self._scope(overrides, Problems()).repository
        return tuple(sorted({*self._sections.all, *repository.searchpath.groups()}))

    def options(self, group: str, overrides: Sequence[str] = ()) -> tuple[str, ...]:
        """The options of a group, files and registered names; none where there is no such group.

        A dotted name is left out: it means a component that has a name.
        """
        repository = self._scope(overrides, Problems()).repository
        names = (name for name in self._sections.names(group) if "." not in name)
        return tuple(sorted({*(repository.searchpath.options(group) if group else ()), *names}))

    def searchpath(self, overrides: Sequence[str] = ()) -> tuple[Path, ...]:
        """The folders in which options are searched, in order; the blueprint's own comes first."""
        return self._scope(overrides, Problems()).repository.searchpath.folders

    def _scope(self, overrides: Sequence[str], problems: Problems) -> _Scope:
        problems.extend(tuple(self._noted))
        folders = further_folders(self._page, self._file.parent, overrides, problems)
        searchpath = SearchPath(tuple(dict.fromkeys((*self._beside, *folders))))
        if searchpath not in self._scopes:
            self._scopes[searchpath] = _Scope(self, searchpath)
        scope = self._scopes[searchpath]
        problems.extend(scope.noted)
        return scope

    def repository(self, searchpath: SearchPath, problems: Problems) -> Repository:
        """What can be composed, as it is before anything is chosen."""
        return Repository(self._page, self._file, searchpath, self._pages, self._sections, problems)


class _Scope:
    """What a composer keeps of one search path."""

    def __init__(self, composer: Composer, searchpath: SearchPath) -> None:
        noted = Problems()
        self.repository = composer.repository(searchpath, noted)
        self.noted = tuple(noted)
        self._composer = composer
        self._requests: dict[str, tuple[Request, tuple[Problem, ...]]] = {}
        self._merged: dict[tuple[str, ...], _Merged] = {}

    def request(self, text: str, problems: Problems) -> Request:
        """What an override asks for."""
        if text not in self._requests:
            noted = Problems()
            self._requests[text] = sort_override(text, self.repository, noted), tuple(noted)
        request, found = self._requests[text]
        problems.extend(found)
        return request

    def merged(self, choosing: tuple[str, ...]) -> _Merged:
        """The options that overrides choose, merged."""
        if choosing not in self._merged:
            self._merged[choosing] = self._merge(choosing)
        return self._merged[choosing]

    def _merge(self, choosing: tuple[str, ...]) -> _Merged:
        problems = Problems()
        repository = self._composer.repository(self.repository.searchpath, problems)
        requests = [self.request(text, Problems()) for text in choosing]
        for each in requests:
            repository.requested.update(each.requested)
        with _hydra_version():
            wanted = [choice for each in requests for choice in each.choices]
            results = DefaultsList(repository, wanted, problems).results()
        root = merge_results(results, repository)
        return _Merged(root, results.seen(repository), repository.texts, repository.asked, tuple(problems))


@contextmanager
def _hydra_version() -> Iterator[None]:
    """Hydra reads its compatibility version from one global; leave it as it was."""
    base = version.VersionBase.instance()
    before = base.version_base
    version.setbase("1.3")
    try:
        yield
    finally:
        base.version_base = before


def _check_hydra_node(root: Node, problems: Problems) -> None:
    """Refuse what Hydra would import or fetch; the allowed keys choose folders, a launcher and a sweeper."""
    hydra = root.child("hydra")
    if hydra is None or hydra.value is None:
        return
    if not isinstance(hydra.value, dict):
        problems.add("hydra-node", hydra.source, ("hydra",), key="hydra", allowed=HYDRA_KEYS)
        return
    for key, node in hydra.value.items():
        allowed = {allowed.partition(".")[2] for allowed in HYDRA_KEYS if allowed.partition(".")[0] == key}
        if not allowed:
            problems.add("hydra-node", node.place, ("hydra", key), key=f"hydra.{key}", allowed=HYDRA_KEYS)
        if not allowed or "" in allowed or not isinstance(node.value, dict):
            continue
        for name in node.value.keys() - allowed:
            path = ("hydra", key, name)
            problems.add("hydra-node", node.value[name].place, path, key=f"hydra.{key}.{name}", allowed=HYDRA_KEYS)


def _check_searchpath(root: Node, own: Node, problems: Problems) -> None:
    """Refuse a search path of another file, which would say too late where that file is found."""
    node, written = written_path(root), written_path(own)
    if node is None or node.source.on_command_line or (written is not None and written.source == node.source):
        return
    problems.add("searchpath-elsewhere", node.place, SEARCHPATH)


def _check_size(root: Node, limits: Limits, problems: Problems) -> None:
    nodes, depth = measure(root)
    if nodes > limits.nodes:
        problems.add("limit", Source(root.source.file), what="nodes", allowed=limits.nodes)
    if depth > limits.depth:
        problems.add("limit", Source(root.source.file), what="depth", allowed=limits.depth)

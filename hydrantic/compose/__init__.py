"""From a blueprint and its overrides to one document, with Hydra's override grammar and defaults list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra import version
from hydra.core.override_parser.types import OverrideType

from hydrantic.compose.defaults import DefaultsList
from hydrantic.compose.merging import Editor, merge_results
from hydrantic.compose.options import HYDRA_KEYS, Groups, Repository, Sections
from hydrantic.compose.overrides import Requests, override_value, read_override
from hydrantic.document import LIMITS, Document, Limits, Node, measure
from hydrantic.problems import Problems
from hydrantic.source import KeyPath, Source

__all__ = ["HYDRA_KEYS", "Groups", "compose", "override_value", "read_override"]


def compose(
    file: Path,
    overrides: Sequence[str] = (),
    groups: Groups | None = None,
    limits: Limits = LIMITS,
    problems: Problems | None = None,
) -> Document:
    """Compose a blueprint: its defaults list, its groups' options and the overrides, merged in Hydra's order.

    Args:
        file: the blueprint; options are searched in its folder and nowhere else.
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
    collected = problems
    problems = Problems() if collected is None else collected
    repository = Repository(file, Sections(groups), limits, problems)
    requests = Requests(repository, problems)
    for text in overrides:
        requests.take(text)
    page = repository.page
    if page is None or page.root is None:
        if page is not None:
            problems.add("file-empty", Source(file))
        problems.raise_any()
    before = len(problems)
    with _hydra_version():
        results = DefaultsList(repository, requests.choices, problems).results()
    root = merge_results(results, repository)
    complete = len(problems) == before
    removed: dict[KeyPath, Node] = {}
    for change in requests.changes:
        if change.type is OverrideType.DEL and not complete:
            continue  # what it deletes may stand in an option that could not be read
        root = Editor(change, repository.sections, limits, problems, removed).applied(root)
    _check_hydra_node(root, problems)
    _check_size(root, limits, problems)
    if collected is None or any(each.code == "limit" for each in problems):
        problems.raise_any()
    return Document(root, repository.texts, file, removed, repository.asked)


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
        inner = node.value if key == "run" and isinstance(node.value, dict) else {}
        if key not in ("run", "sweep", "launcher", "sweeper"):
            problems.add("hydra-node", node.place, ("hydra", key), key=f"hydra.{key}", allowed=HYDRA_KEYS)
        for name in inner.keys() - {"dir"}:
            path = ("hydra", key, name)
            problems.add("hydra-node", inner[name].place, path, key=f"hydra.{key}.{name}", allowed=HYDRA_KEYS)


def _check_size(root: Node, limits: Limits, problems: Problems) -> None:
    nodes, depth = measure(root)
    if nodes > limits.nodes:
        problems.add("limit", Source(root.source.file), what="nodes", allowed=limits.nodes)
    if depth > limits.depth:
        problems.add("limit", Source(root.source.file), what="depth", allowed=limits.depth)

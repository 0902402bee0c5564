"""Fixtures that several test modules share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import catalogue
import hypothesis  # noqa: F401 -- before anything else: once a fit has frozen the garbage, it would warn of what imports it
import pytest

from hydrantic import registries
from hydrantic.project import close_shelf


@pytest.fixture(autouse=True, scope="session")
def cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The manifest of the tests lies in a cache that the workers of one session share, in no user's."""
    folder = tmp_path_factory.getbasetemp().parent / "hydrantic-cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYDRANTIC_CACHE", str(folder))
        patch.delenv("HYDRANTIC_RUNS", raising=False)
        yield folder


@pytest.fixture
def scratch() -> Iterator[None]:
    """Whatever a test registers, opens, puts on the path or imports as `registry` is forgotten after it."""
    entries, path, modules = dict(catalogue.REGISTRY), list(sys.path), set(sys.modules)
    yield
    close_shelf()
    catalogue.REGISTRY.clear()
    catalogue.REGISTRY.update(entries)
    sys.path[:] = path
    registries.forget_installed()
    for name in set(sys.modules) - modules:
        if name.partition(".")[0] == "registry" or name.startswith("shelf_of_"):
            del sys.modules[name]

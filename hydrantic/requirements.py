"""Whether the distributions that a blueprint requires are installed; nothing is ever installed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion


def unmet(requires: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each requirement in turn with what is wrong with it, or with an empty text where it is met.

    Arguments:
        requires: requirements such as `hydrantic>=0.1`, with optional extras and environment markers (PEP 508).
    """
    for text in requires:
        yield text, _reason(text)


def _reason(text: str) -> str:
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        return f"it is no requirement: {str(error).partition(chr(10))[0]}"
    if requirement.url:
        return "a requirement names a version, not an address"
    if requirement.marker is not None and not requirement.marker.evaluate():
        return ""
    try:
        installed = _installed(requirement.name)
    except PackageNotFoundError:
        return f"it is not installed; pip install '{text}'"
    try:
        if requirement.specifier.contains(installed, prereleases=True):
            return ""
    except InvalidVersion:  # of a distribution that numbers its releases in its own way
        return f"{requirement.name} {installed} is installed, and its version cannot be compared"
    return f"{requirement.name} {installed} is installed; pip install '{text}'"


def _installed(name: str) -> str:
    if canonicalize_name(name) == "hydrantic":
        import hydrantic

        return str(hydrantic.__version__)
    return version(name)

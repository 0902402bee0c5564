"""Whether the distributions that a blueprint requires are installed; nothing is ever installed."""

from __future__ import annotations

import functools
import shlex
import tomllib
from collections.abc import Collection, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, metadata, version
from pathlib import Path

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version


def unmet(requirements: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each requirement in turn with what is wrong with it, or with an empty text where it is met.

    Arguments:
        requirements: such as `hydrantic>=0.1`, with optional extras and environment markers (PEP 508).
    """
    for text in requirements:
        yield text, _reason(text)


def _reason(text: str) -> str:
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        return f"it is no requirement: {str(error).partition(chr(10))[0]}"
    if requirement.url:
        return "a requirement names a version, not an address"
    try:
        if requirement.marker is not None and not requirement.marker.evaluate():
            return ""
    except (UndefinedComparison, UndefinedEnvironmentName):
        return f"its marker cannot be evaluated: {requirement.marker}"
    installed = installed_version(requirement.name)
    if installed is None:
        return f"it is not installed; pip install {shlex.quote(text)}"
    try:
        if not requirement.specifier.contains(installed, prereleases=True):
            return f"{requirement.name} {installed} is installed; pip install {shlex.quote(text)}"
    except InvalidVersion:  # of a distribution that numbers its releases in its own way
        return f"{requirement.name} {installed} is installed, and its version cannot be compared"
    missing = next((each for each in _of_extras(requirement) if _reason(each)), None)
    return "" if missing is None else f"its extra asks for {missing}, which is not met; pip install {shlex.quote(text)}"


def _of_extras(requirement: Requirement) -> Iterator[str]:
    """What the extras of a requirement ask for beside the distribution itself."""
    for extra in sorted(requirement.extras):
        yield from extras_of(requirement.name).get(extra, ())


def extras_of(name: str) -> dict[str, tuple[str, ...]]:
    """What each extra of an installed distribution asks for, as far as that is not the distribution itself."""
    own = canonicalize_name(name)
    found: dict[str, list[str]] = {}
    for extra, text in _declared(own):
        try:
            asked = Requirement(text)
            is_meant = asked.marker is None or asked.marker.evaluate({"extra": extra})
        except (InvalidRequirement, UndefinedComparison, UndefinedEnvironmentName):  # metadata of somebody's own making
            continue
        if is_meant and canonicalize_name(asked.name) != own:
            found.setdefault(extra, []).append(f"{asked.name}{asked.specifier}")
    return {extra: tuple(each) for extra, each in found.items()}


def _declared(name: str) -> Iterator[tuple[str, str]]:
    """Each requirement of an extra, with the extra's name."""
    pyproject = Path(__file__).parent.parent / "pyproject.toml"
    if name == "hydrantic" and pyproject.is_file():  # a checkout, which need have no metadata
        table = tomllib.loads(pyproject.read_text("utf-8"))["project"].get("optional-dependencies", {})
        yield from ((extra, text) for extra, texts in table.items() for text in texts)
        return
    try:
        known = metadata(name)
    except PackageNotFoundError:
        return
    for extra in known.get_all("Provides-Extra") or ():
        for text in known.get_all("Requires-Dist") or ():
            if "extra" in text.partition(";")[2]:
                yield extra, text


def asked_for(text: str) -> tuple[str, frozenset[str]]:
    """The distribution that a valid requirement names, as names are compared, and its extras."""
    requirement = Requirement(text)
    return canonicalize_name(requirement.name), frozenset(requirement.extras)


def compatible(name: str, release: str, extras: Collection[str] = ()) -> str:
    """The requirement of a distribution in a version or a later one of the same line: `torch~=2.13.0`.

    Arguments:
        name: of the distribution.
        release: its version; what was built locally is left out, such as `+cpu`.
        extras: of the distribution.
    """
    wanted = f"{name}[{','.join(sorted(extras))}]" if extras else name
    try:
        version = Version(release)
    except InvalidVersion:
        return wanted
    return f"{wanted}{'~=' if len(version.release) > 1 else '>='}{version.public}"


def same_version(first: str, second: str) -> bool:
    """Whether two versions are the same but for how they were built: 2.13.0 and 2.13.0+cpu."""
    try:
        return Version(first).public == Version(second).public
    except InvalidVersion:
        return first == second


def installed_version(name: str) -> str | None:
    """The version of a distribution that is installed; None where it is not."""
    if canonicalize_name(name) == "hydrantic":
        return _own_version()
    try:
        return version(name)
    except (PackageNotFoundError, ValueError):  # a name that is none
        return None


@functools.cache
def _own_version() -> str:
    import hydrantic

    return str(hydrantic.__version__)  # also right in a bare checkout

"""Requirements of a blueprint: verified, never installed."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

import hydrantic
from hydrantic.requirements import asked_for, compatible, extras_of, installed_version, same_version, unmet
from tests.projects import write


def _reason(requirement: str) -> str:
    ((text, reason),) = unmet([requirement])
    assert text == requirement
    return reason


@pytest.mark.parametrize(
    "requirement",
    [
        "hydrantic", "hydrantic>=0.1", "Hydrantic>=0.1", f"hydrantic=={hydrantic.__version__}",
        "pydantic>=2,<3", "PyYAML",
        "scikit_learn", "scikit-learn[plots]>1", "no-such-thing; python_version < '3'", "pydantic!=2.0.1",
    ],
)  # fmt: skip
def test_a_requirement_that_is_met_has_no_reason(requirement: str) -> None:
    assert _reason(requirement) == ""


@pytest.mark.parametrize(
    ("requirement", "words"),
    [
        ("hydrantic>=999", f"hydrantic {hydrantic.__version__} is installed; pip install 'hydrantic>=999'"),
        ("pydantic<1", "is installed; pip install 'pydantic<1'"),
        ("no-such-thing>=1", "it is not installed; pip install 'no-such-thing>=1'"),
        ("no-such-thing; python_version >= '3'", "it is not installed"),
        ("hydrantic @ https://example.org/x.whl", "a requirement names a version, not an address"),
        ("hydrantic=>1", "it is no requirement"),
        ("", "it is no requirement"),
        ("os.system('x')", "it is no requirement"),
        ("-r requirements.txt", "it is no requirement"),
        ("torch; os_name ~= 'abc'", 'its marker cannot be evaluated: os_name ~= "abc"'),
    ],
)
def test_a_requirement_that_is_not_met_says_why(requirement: str, words: str) -> None:
    assert words in _reason(requirement)
    assert "\n" not in _reason(requirement)


def test_a_release_before_a_release_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install(tmp_path, monkeypatch, "2.0.0rc1")
    assert _reason("oddly-numbered>=1") == ""
    assert "2.0.0rc1 is installed" in _reason("oddly-numbered>=2.0.0")


def test_a_version_that_cannot_be_compared_does_not_meet_a_requirement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(tmp_path, monkeypatch, "spring-release")
    assert "oddly-numbered spring-release is installed" in _reason("oddly-numbered>=1")


def _install(folder: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    text = f"Metadata-Version: 2.1\nName: oddly-numbered\nVersion: {version}\n"
    write(folder / "oddly_numbered-1.dist-info" / "METADATA", text)
    monkeypatch.syspath_prepend(folder)
    importlib.invalidate_caches()


def test_every_requirement_gets_its_answer_in_order() -> None:
    answers = list(unmet(["hydrantic", "no-such-thing", "pydantic"]))
    assert [(text, bool(reason)) for text, reason in answers] == [
        ("hydrantic", False), ("no-such-thing", True), ("pydantic", False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("release", "extras", "requirement"),
    [
        ("1.2.3", (), "acme~=1.2.3"),
        ("2.13.0+cpu", (), "acme~=2.13.0"),
        ("1.2rc1", (), "acme~=1.2rc1"),
        ("5", (), "acme>=5"),
        ("1.2", ("b", "a"), "acme[a,b]~=1.2"),
        ("of its own", (), "acme"),
    ],
)
def test_a_version_is_asked_for_with_the_later_ones_of_its_line(
    release: str, extras: tuple[str, ...], requirement: str
) -> None:
    assert compatible("acme", release, extras) == requirement
    assert asked_for(requirement) == ("acme", frozenset(extras))


def test_versions_are_the_same_however_they_were_built() -> None:
    assert same_version("2.13.0", "2.13.0+cpu")
    assert same_version("1.0", "1.0")
    assert not same_version("2.13.0", "2.13.1")
    assert same_version("odd", "odd")
    assert not same_version("odd", "1.0")


def test_the_version_of_what_is_not_installed_is_none() -> None:
    assert installed_version("no-such-thing") is None
    assert installed_version("") is None
    assert installed_version("Hydrantic") == hydrantic.__version__


def test_an_extra_is_met_where_all_that_it_asks_for_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = (
        "Metadata-Version: 2.1\nName: with-extras\nVersion: 1.0\nProvides-Extra: here\nProvides-Extra: not\n"
        "Requires-Dist: pyyaml; extra == 'here'\nRequires-Dist: no-such-thing>=2; extra == 'not'\n"
        "Requires-Dist: with-extras[here]; extra == 'not'\n"
    )
    write(tmp_path / "with_extras-1.0.dist-info" / "METADATA", metadata)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    assert extras_of("with-extras") == {"here": ("pyyaml",), "not": ("no-such-thing>=2",)}
    assert _reason("with-extras[here]") == ""
    assert _reason("with-extras[not]") == (
        "its extra asks for no-such-thing>=2, which is not met; pip install 'with-extras[not]'"
    )
    assert extras_of("no-such-thing") == {}


def test_the_extras_of_a_checkout_are_known() -> None:
    assert any(text.startswith("optuna") for text in extras_of("hydrantic")["optuna"])
    assert _reason("hydrantic[optuna,no-such-extra]") == ""

"""The names and fields that are known at once, with a manifest that is fresh, out of date or not there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hydrantic.completion.vocabulary import Vocabulary
from hydrantic.manifest import current
from hydrantic.project import Project
from tests.projects import project, write

pytestmark = pytest.mark.usefixtures("scratch")

OWN = """
    from torch import nn
    from hydrantic import register_layer

    @register_layer("{name}")
    class Own(nn.Module):
        \"\"\"A layer of this project.\"\"\"

        def __init__(self, width: int = 8) -> None:
            super().__init__()
    """


def test_a_fresh_manifest_tells_all(tmp_path: Path) -> None:
    of = project(tmp_path, own=OWN.format(name="own"))
    current(of)
    known = Vocabulary.of(of)
    assert known.is_fresh
    assert known.names("layer")["own"] == "A layer of this project."
    assert list(known.fields("layer", "own")) == ["width"]


def test_a_manifest_out_of_date_is_better_than_none_and_new_names_are_read_from_the_text(tmp_path: Path) -> None:
    of = project(tmp_path, own=OWN.format(name="own"))
    current(of)
    write(tmp_path / "registry" / "further.py", OWN.format(name="further"))
    known = Vocabulary.of(of)
    assert not known.is_fresh
    assert list(known.fields("layer", "own")) == ["width"]
    assert known.names("layer")["further"] == ""
    assert known.summary("layer", "own") == "A layer of this project."


def test_without_a_manifest_names_come_from_metadata_and_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRANTIC_CACHE", str(tmp_path / "empty"))
    of = project(tmp_path, own=OWN.format(name="own"))
    known = Vocabulary.of(of)
    assert known.manifest is None
    assert {"own", "relu"} <= known.names("layer").keys()
    assert known.fields("layer", "own") == {}
    assert {"model", "metrics", "trainer"} <= known.sections.keys()
    assert known.trainer == {}
    assert "registry.own" not in sys.modules


def test_the_installed_part_is_known_where_a_project_was_never_described(tmp_path: Path) -> None:
    current(Project(None))
    known = Vocabulary.of(project(tmp_path, own=OWN.format(name="own")))
    assert not known.is_fresh
    assert "negative_slope" in known.fields("layer", "leaky_relu")
    assert "own" in known.names("layer")


def test_what_a_model_carries_of_the_training_is_no_field_of_its_own(tmp_path: Path) -> None:
    text = """
        from hydrantic import Model, ModelHparams, register_model

        class OldHparams(ModelHparams):
            width: int = 8

        @register_model("old")
        class Old(Model[OldHparams]):
            \"\"\"A model in the old style.\"\"\"
        """
    of = project(tmp_path, old=text)
    current(of)
    assert list(Vocabulary.of(of).fields("model", "old")) == ["width"]

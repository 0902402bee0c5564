"""What components were, and what has changed of them since."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

import hydrantic
from hydrantic.checking import check
from hydrantic.identity import changes, identities, in_words
from hydrantic.project import Project, close_shelf
from tests.projects import DIGITS, planned, project

pytestmark = pytest.mark.usefixtures("scratch")

MINE = """
    from torch import nn
    from hydrantic import register_model

    @register_model("mine")
    class Mine(nn.Module):
        def __init__(self, in_features: int, out_features: int, width: int = 8, depth: float = 1.0):
            super().__init__()
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(in_features, out_features))

        def forward(self, x):
            return self.layers(x)
    """
BLUEPRINT = DIGITS.replace("model: mlp", "model: mine")


def _identities(folder: Path, text: str = BLUEPRINT, *overrides: str, mine: str = MINE) -> dict[str, Any]:
    close_shelf()
    return {
        name: dict(each)
        for name, each in identities(planned(folder, text, *overrides, of=_project(folder, mine))).items()
    }


def _project(folder: Path, mine: str) -> Project:
    return project(folder, mine=mine)


def test_every_component_is_there_and_those_inside_others(tmp_path: Path) -> None:
    found = identities(planned(tmp_path, DIGITS, "model.activation={name: leaky_relu}"))
    assert set(found) == {
        "data/digits", "model/mlp", "layer/leaky_relu", "loss/cross_entropy", "metric/accuracy", "optimizer/adam",
    }  # fmt: skip


def test_each_names_the_distribution_that_it_comes_from(tmp_path: Path) -> None:
    found = _identities(tmp_path)
    assert {name: each["distribution"] for name, each in found.items()} == {
        "data/digits": "hydrantic", "model/mine": None, "loss/cross_entropy": "hydrantic",
        "metric/accuracy": "hydrantic", "optimizer/adam": "torch",
    }  # fmt: skip
    assert found["data/digits"]["version"] == hydrantic.__version__
    assert found["optimizer/adam"]["version"] == torch.__version__
    assert found["model/mine"]["version"] is None
    assert len(found["model/mine"]["source"]) == 64


def test_the_manifest_tells_the_same_as_the_components_themselves(tmp_path: Path) -> None:
    asked = _identities(tmp_path)
    assert identities(check(tmp_path / "a.yaml", project=Project(tmp_path))) == asked


def test_a_checkpoint_and_json_can_hold_it(tmp_path: Path) -> None:
    found = _identities(tmp_path)
    assert json.loads(json.dumps(found)) == found
    torch.save(found, tmp_path / "a.ckpt")
    assert torch.load(tmp_path / "a.ckpt", weights_only=True) == found
    assert len(pickle.dumps(found)) < 10_000
    assert "meaning" not in json.dumps(found)


def test_the_sweep_of_a_blueprint_is_no_part_of_its_run(tmp_path: Path) -> None:
    swept = f"{DIGITS}sweep: {{name: grid, params: {{seed: [1, 2]}}}}\n"
    assert "sweeper/grid" not in identities(planned(tmp_path, swept))


def test_what_has_not_changed_is_not_mentioned(tmp_path: Path) -> None:
    found = _identities(tmp_path)
    assert changes(found, found) == ()
    assert changes({}, found) == ()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("width: int = 8", "width: int = 16", "the default of 'width' was 8, and is 16 now"),
        (
            "width: int = 8",
            "width: float = 8.0",
            "'width' was integer, and is number now; the default of 'width' was 8, and is 8.0 now",
        ),
        ("width: int = 8, ", "", "the field 'width' is gone"),
        ("width: int = 8", "width: int = 8, wide: bool = False", "the field 'wide' is new (false by default)"),
        ("width: int = 8", "width: int", "the default of 'width' was 8, and it has to be given now"),
        ("depth: float = 1.0", "depth: float = 2.0", "the default of 'depth' was 1.0, and is 2.0 now"),
        ("width: int = 8", "must: int, width: int = 8", "the field 'must' is new and must be given"),
    ],
)
def test_a_line_tells_what_has_changed_of_a_component(tmp_path: Path, old: str, new: str, words: str) -> None:
    before = _identities(tmp_path, BLUEPRINT, "model.width=8")
    given = [each for each in ("model.width=8", "+model.must=1") if each.split(".")[1].split("=")[0] + ":" in new]
    after = _identities(tmp_path, BLUEPRINT, *given, mine=MINE.replace(old, new))
    assert changes(before, after) == (f"model/mine: {words}; its source has changed",)


def test_a_changed_body_changes_the_source_alone(tmp_path: Path) -> None:
    before = _identities(tmp_path)
    after = _identities(tmp_path, mine=MINE.replace("nn.Flatten()", "nn.Flatten(1)"))
    assert changes(before, after) == ("model/mine: its source has changed",)


def test_another_version_and_another_origin_are_told() -> None:
    was = {"distribution": "acme", "version": "1.2", "source": "a", "schema": "b", "fields": {}}
    assert changes({"model/m": was}, {"model/m": was | {"version": "1.3"}}) == (
        "model/m: it came from acme 1.2, and comes from acme 1.3 now",
    )
    assert changes({"model/m": was}, {"model/m": was | {"distribution": None, "version": None}}) == (
        "model/m: it came from acme 1.2, and comes from the project's own shelf now",
    )
    assert changes({"model/m": was}, {}) == ("model/m: it takes no part any more",)


@pytest.mark.parametrize(
    "said", [3, None, [], {"fields": 3}, {"fields": {"a": {"type": "nothing"}}}, {"fields": {"a": 1}, "source": 2}]
)
def test_what_a_file_says_wrongly_does_no_harm(said: Any) -> None:
    now = {"distribution": None, "version": None, "source": "a", "schema": "b", "fields": {"x": {"type": "int"}}}
    assert all(isinstance(line, str) for line in changes({"model/m": said}, {"model/m": now}))


def test_fields_are_told_in_words(tmp_path: Path) -> None:
    told = in_words(_identities(tmp_path)["model/mine"]["fields"])
    assert told["width"] == "integer; default 8"
    assert told["in_features"].startswith("integer or auto")
    assert in_words({"a": {"type": "int"}}) == {"a": "integer; has to be given"}
    assert in_words(3) == {}

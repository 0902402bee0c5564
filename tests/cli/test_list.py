"""`hydrantic list`: the names there are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hydrantic.cli.main import main
from hydrantic.registries import KINDS, registry
from tests.projects import project

pytestmark = pytest.mark.usefixtures("scratch")

SHELF = """
    from torch import nn
    from hydrantic import register_model

    @register_model("mlp")
    class Mine(nn.Module):
        \"\"\"My own.\"\"\"

        def __init__(self, in_features: int, out_features: int) -> None:
            super().__init__()

    @register_model("other", aliases=["another"])
    class Other(Mine):
        \"\"\"Another one.

        It has more lines.
        \"\"\"
    """


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of no project, in which a person stands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


def test_every_component_is_listed_with_its_first_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line and not line.startswith(" ")] == list(KINDS.values())
    listed = {line.split()[0] for line in lines if line.startswith("  ")}
    assert listed == {name for kind in KINDS for name in registry(kind).names()}
    assert "  mlp                 Fully connected layers with an activation after each but the last." in lines
    assert all(len(line) <= 100 for line in lines)


@pytest.mark.parametrize("kind", ["model", "models"])
def test_one_kind_is_listed_by_its_singular_or_plural(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", kind]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "models"
    assert len(lines) == 1 + len(registry("model").names())


def test_a_projects_components_carry_their_shelf(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(here, models=SHELF)
    assert main(["list", "models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  mlp                 [project, in place of hydrantic's] My own." in lines
    assert "  other               [project] Another one." in lines
    assert len([line for line in lines if line.startswith("  mlp ")]) == 1


def test_what_cannot_be_imported_is_listed_with_the_reason(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(here, models=f"    import nothing_of_this_name{SHELF}")
    assert main(["list", "models"]) == 0
    assert "  other               cannot be imported: the model 'other' of" in capsys.readouterr().out


def test_json_gives_records(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(here, models=SHELF)
    assert main(["list", "model", "--json"]) == 0
    by_name = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert by_name["other"] == {
        "kind": "model", "name": "other", "aliases": ["another"], "shelf": "project", "summary": "Another one.",
        "file": str(here / "registry" / "models.py"), "line": 12, "replaces": None, "broken": None,
    }  # fmt: skip
    assert by_name["mlp"]["replaces"] == "hydrantic"


def test_an_unknown_kind_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "modles"]) == 2
    assert capsys.readouterr().err == "no kind is called 'modles'; did you mean 'model'?\n"

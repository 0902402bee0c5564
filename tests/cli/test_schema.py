"""`hydrantic schema`: what an editor needs, written or printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hydrantic.cli.main import main
from hydrantic.manifest import current
from hydrantic.project import Project
from tests.projects import project

pytestmark = pytest.mark.usefixtures("scratch")

CHECKOUT = Path(__file__).parent.parent.parent
SHELF = """
    from torch import nn
    from hydrantic import register_model

    @register_model("mine")
    class Mine(nn.Module):
        \"\"\"My own.\"\"\"

        def __init__(self, in_features: int, out_features: int, depth: int = 3) -> None:
            super().__init__()
    """


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which a person stands."""
    (tmp_path / "blueprints").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def models(text: str) -> list[str]:
    names: list[str] = json.loads(text)["definitions"]["model-name"]["enum"]
    return names


def test_the_schema_lies_in_the_project_and_a_line_tells_editors_of_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == (
        "wrote .hydrantic/blueprint.schema.json; the first line of a blueprint in blueprints/ tells an editor of it:\n"
        "# yaml-language-server: $schema=../.hydrantic/blueprint.schema.json\n"
    )
    assert "mlp" in models((here / ".hydrantic" / "blueprint.schema.json").read_text("utf-8"))


def test_it_is_the_schema_of_the_project_that_is_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(here / "other", mine=SHELF)
    assert main(["schema", "--project", "other"]) == 0
    assert "wrote other/.hydrantic/blueprint.schema.json;" in capsys.readouterr().out
    assert "mine" in models((here / "other" / ".hydrantic" / "blueprint.schema.json").read_text("utf-8"))


def test_it_is_written_where_a_person_wants_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "-o", "docs/schema.json"]) == 0
    assert "# yaml-language-server: $schema=../docs/schema.json\n" in capsys.readouterr().out
    assert "mlp" in models((here / "docs" / "schema.json").read_text("utf-8"))
    assert not (here / ".hydrantic").exists()


def test_it_is_printed_and_nothing_else_is(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "--output", "-"]) == 0
    assert "mlp" in models(capsys.readouterr().out)
    assert list(here.iterdir()) == [here / "blueprints"]


def test_outside_of_a_project_it_asks_for_a_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["schema"]) == 2
    said = "you stand in no project, a folder with blueprints/ or registry/: hydrantic schema -o FILE\n"
    assert capsys.readouterr().err == said


def test_a_folder_is_no_file_to_write(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "-o", "blueprints"]) == 2
    assert capsys.readouterr().err == "--output blueprints is a folder; name a file in it\n"


def test_a_place_that_cannot_be_written_is_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / ".hydrantic").write_text("", "utf-8")
    assert main(["schema"]) == 2
    said = "cannot write .hydrantic/blueprint.schema.json: File exists; choose another place\n"
    assert capsys.readouterr().err == said
    assert (here / ".hydrantic").read_text("utf-8") == ""


def test_neither_torch_nor_lightning_nor_hydra_is_imported_for_it(here: Path) -> None:
    current(Project.find())
    code = (
        "import sys; from hydrantic.cli.main import main; main(['schema']); "
        "sys.exit(' '.join({'torch', 'lightning', 'hydra', 'wandb', 'numpy'} & sys.modules.keys()))"
    )
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, cwd=here
    )
    assert done.stderr.strip() == ""

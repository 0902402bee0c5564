"""The project you stand in: finding it, reading its shelf, and keeping others' code out."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hydrantic.checking import prepare
from hydrantic.errors import BlueprintError, UsageError
from hydrantic.project import Project, shelf_beside
from hydrantic.registries import BrokenComponent, UnknownName, registry
from tests.projects import project, write
from tests.spawned import name_of

pytestmark = pytest.mark.usefixtures("scratch")

ROOT = Path(__file__).parent.parent

GNOME = """
    from torch import nn
    from hydrantic import register_model

    @register_model("gnome", aliases=["dwarf"])
    class Gnome(nn.Module):
        "A small model."

        def __init__(self, in_features: int, out_features: int, hats: int = 1) -> None:
            super().__init__()
            self.layers = nn.Linear(in_features, out_features)

        def forward(self, inputs):
            return self.layers(inputs)
"""
BLUEPRINT = "data: iris\nmodel: gnome\nloss: cross_entropy\nloggers: {}\n"


# -- finding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("holds", ["registry", "blueprints"])
def test_the_project_is_the_nearest_folder_above_that_holds_a_shelf_or_blueprints(holds: str, tmp_path: Path) -> None:
    (tmp_path / holds).mkdir()
    below = tmp_path / "notes" / "2024" / "may"
    below.mkdir(parents=True)
    assert Project.find(below).root == tmp_path


def test_the_inner_project_is_nearer_than_the_outer(tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    inner = tmp_path / "inner"
    (inner / "blueprints").mkdir(parents=True)
    assert Project.find(inner / "blueprints").root == inner
    assert Project.find(inner).shelf is None


def test_the_working_directory_is_where_the_search_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "registry").mkdir()
    monkeypatch.chdir(tmp_path)
    assert Project.find().root == tmp_path


def test_files_called_like_the_folders_make_no_project(tmp_path: Path) -> None:
    (tmp_path / "registry").write_text("")
    assert Project.find(tmp_path).root != tmp_path


def test_an_explicit_project_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    assert Project.find(Path("/"), explicit=tmp_path).root == tmp_path


def test_an_explicit_folder_that_is_no_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--project .* holds neither blueprints/ nor registry/"):
        Project.find(explicit=tmp_path)


def test_settings_are_those_of_the_project_s_pyproject(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", '[tool.hydrantic]\nenv = ["GNOME_DATA"]\n')
    assert Project(tmp_path).environment == ("GNOME_DATA",)
    assert Project(None).environment == ()


@pytest.mark.parametrize("text", ["oops", 'env = "HOME"', "env = [1]"])
def test_unsound_settings_are_refused(text: str, tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", f"[tool.hydrantic]\n{text}\n")
    with pytest.raises(UsageError, match=r"pyproject\.toml"):
        _ = Project(tmp_path).environment


# -- reading the shelf ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["plain", "with space", "größe/übung", "a.b"])
def test_a_component_of_the_project_is_listed_without_being_imported_and_found(folder: str, tmp_path: Path) -> None:
    home = project(tmp_path / folder, models=GNOME).open()
    assert "gnome" in registry("model").names()
    assert "registry.models" not in sys.modules
    entry = registry("model").get("gnome")
    assert entry.component.__module__ == "registry.models"
    assert entry.source.file == home.root / "registry" / "models.py"  # type: ignore[operator]


def test_modules_in_folders_of_the_shelf_are_read_too(tmp_path: Path) -> None:
    home = project(tmp_path)
    write(tmp_path / "registry" / "small" / "garden" / "gnomes.py", GNOME)
    write(tmp_path / "registry" / ".hidden" / "gnomes.py", GNOME.replace('"gnome"', '"ghost"'))
    home.open()
    assert registry("model").get("gnome").component.__module__ == "registry.small.garden.gnomes"
    assert "ghost" not in registry("model").names()


def test_an_alias_in_a_project_is_found_and_not_listed(tmp_path: Path) -> None:
    project(tmp_path, models=GNOME).open()
    assert "dwarf" not in registry("model").names()
    assert registry("model").get("dwarf").name == "gnome"


@pytest.mark.parametrize(
    "line",
    [
        'register_layer("imp")(nn.Tanh)',
        'hydrantic.register_layer(name="imp")(nn.Tanh)',
        'if True:\n    register_layer("imp")(nn.Tanh)',
    ],
)
def test_a_name_that_the_text_says_is_listed_however_it_is_registered(line: str, tmp_path: Path) -> None:
    head = "import hydrantic\nfrom torch import nn\nfrom hydrantic import register_layer\n"
    project(tmp_path, layers=head + line + "\n").open()
    assert "imp" in registry("layer").names()
    assert registry("layer").get("imp").shelf == "project"


LOOP = """
    from torch import nn
    from hydrantic import register_layer

    for size in (1, 2):
        @register_layer(f"imp{size}")
        class Imp(nn.Module):
            "A layer."
"""


def test_names_that_a_loop_registers_are_found_when_they_are_asked_for(tmp_path: Path) -> None:
    project(tmp_path, layers=LOOP).open()
    assert registry("layer").get("imp2").shelf == "project"


def test_a_loop_over_one_kind_is_not_run_for_another(tmp_path: Path) -> None:
    project(tmp_path, layers=LOOP).open()
    registry("optimizer").get("adam")
    with pytest.raises(UnknownName):
        registry("optimizer").get("imp2")
    assert "registry.layers" not in sys.modules


def test_aliases_that_only_running_tells_are_found(tmp_path: Path) -> None:
    text = "ALSO = ['elf']\n" + GNOME.replace("\n    ", "\n").replace('["dwarf"]', "ALSO")
    project(tmp_path, models=text).open()
    assert registry("model").get("elf").name == "gnome"


def test_a_module_with_a_syntax_error_does_not_matter_to_the_others(tmp_path: Path) -> None:
    project(tmp_path, models=GNOME, broken="def oops(:\n").open()
    assert registry("model").get("gnome").name == "gnome"
    assert registry("model").get("linear").shelf == "hydrantic"


def test_a_module_with_a_syntax_error_is_named_where_a_name_is_missing(tmp_path: Path) -> None:
    project(tmp_path, broken="def oops(:\n").open()
    with pytest.raises(UnknownName, match=r"registry/broken\.py cannot be read \(SyntaxError: .*, line 1\)"):
        registry("model").get("gnome")


def test_a_module_with_a_syntax_error_is_reported_for_the_names_in_its_text(tmp_path: Path) -> None:
    project(tmp_path, models=GNOME.replace('"gnome"', '"linear"') + "\n    def oops(:\n").open()
    with pytest.raises(BrokenComponent, match=r"the model 'linear' of .*models\.py cannot be imported: SyntaxError"):
        registry("model").get("linear")


def test_a_module_that_cannot_be_imported_is_reported_for_its_names_only(tmp_path: Path) -> None:
    giant = GNOME.replace("gnome", "giant").replace("dwarf", "titan")
    project(tmp_path, models=GNOME + "\n    1 / 0\n", others=giant).open()
    assert registry("model").get("giant").name == "giant"
    with pytest.raises(BrokenComponent, match="ZeroDivisionError"):
        registry("model").get("gnome")


def test_a_definition_that_is_not_run_leaves_the_stock_component(tmp_path: Path) -> None:
    text = "if False:\n" + GNOME.replace('"gnome"', '"linear"')
    project(tmp_path, models=text).open()
    assert registry("model").get("linear").shelf == "hydrantic"


def test_a_shelf_is_read_anew_when_it_is_opened_again(tmp_path: Path) -> None:
    home = project(tmp_path).open()
    assert "gnome" not in registry("model").names()
    write(tmp_path / "registry" / "models.py", GNOME)
    home.open()
    assert registry("model").get("gnome").name == "gnome"


# -- the path, and other packages -------------------------------------------------------------------------------------


def test_the_project_is_on_the_path_while_it_is_open_and_not_longer(tmp_path: Path) -> None:
    before = list(sys.path)
    project(tmp_path, models=GNOME).open()
    assert sys.path == [str(tmp_path), *before]
    Project(None).open()
    assert sys.path == before


def test_a_place_that_was_on_the_path_before_stays_there(tmp_path: Path) -> None:
    sys.path.insert(0, str(tmp_path))
    project(tmp_path, models=GNOME).open()
    Project(None).open()
    assert sys.path.count(str(tmp_path)) == 1


def test_another_package_called_registry_that_is_imported_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "other" / "registry" / "__init__.py", "")
    monkeypatch.syspath_prepend(tmp_path / "other")
    import registry as other

    assert other.__file__ == str(tmp_path / "other" / "registry" / "__init__.py")
    before = list(sys.path)
    with pytest.raises(UsageError, match=r"another package .* is already imported from .*other/registry"):
        project(tmp_path / "mine", models=GNOME).open()
    assert sys.path == before


@pytest.mark.parametrize("has_init", [True, False])
def test_another_package_called_registry_on_the_path_is_not_in_the_way(
    has_init: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "mine" / "registry" / "models.py", GNOME)
    if has_init:
        write(tmp_path / "mine" / "registry" / "__init__.py", "")
    write(tmp_path / "other" / "registry" / "__init__.py", "")
    monkeypatch.syspath_prepend(tmp_path / "mine")
    monkeypatch.syspath_prepend(tmp_path / "other")
    Project(tmp_path / "mine").open()
    assert registry("model").get("gnome").source.file == tmp_path / "mine" / "registry" / "models.py"


def test_a_shelf_without_an_init_file_works_where_nothing_is_in_its_way(tmp_path: Path) -> None:
    write(tmp_path / "registry" / "models.py", GNOME)
    code = (
        "from pathlib import Path\nfrom hydrantic.project import Project\nfrom hydrantic.registries import registry\n"
        "Project(Path.cwd()).open()\nprint(registry('model').get('gnome').component)"
    )
    # The checkout's own `registry/` would be in the way, so hydrantic alone is put on the path.
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "hydrantic").symlink_to(ROOT / "hydrantic")
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert found.stdout.strip() == "<class 'registry.models.Gnome'>", found.stderr


def test_a_class_of_the_project_travels_to_a_spawned_process(tmp_path: Path) -> None:
    project(tmp_path, models=GNOME).open()
    component = registry("model").get("gnome").component
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(name_of, (component,)) == "registry.models.Gnome"


# -- blueprints from elsewhere ----------------------------------------------------------------------------------------


def _elsewhere(folder: Path) -> Path:
    project(folder, models="raise SystemExit('code of the other project was run')\n" + GNOME.replace("\n    ", "\n"))
    return write(folder / "blueprints" / "gnome.yaml", BLUEPRINT)


def test_a_blueprint_from_elsewhere_brings_no_code_and_the_error_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blueprint = _elsewhere(tmp_path / "theirs")
    (tmp_path / "mine" / "blueprints").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "mine")
    with pytest.raises(BlueprintError) as caught:
        prepare(blueprint)
    beside = str(tmp_path / "theirs")
    assert "no model is called 'gnome'" in str(caught.value)
    assert f"a shelf lies beside that file: run in {beside}, or use --project {beside}" in str(caught.value)


def test_a_name_given_on_the_command_line_gets_the_same_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blueprint = _elsewhere(tmp_path / "theirs")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BlueprintError, match="a shelf lies beside that file"):
        prepare(blueprint, ["model=dwarf"])


def test_a_mistake_in_the_project_itself_gets_no_such_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BlueprintError) as caught:
        prepare(write(tmp_path / "blueprints" / "gnome.yaml", BLUEPRINT))
    assert "beside" not in str(caught.value)


def test_the_blueprint_of_another_project_runs_with_that_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(tmp_path / "theirs", models=GNOME)
    blueprint = write(tmp_path / "theirs" / "blueprints" / "gnome.yaml", BLUEPRINT)
    monkeypatch.chdir(tmp_path)
    plan = prepare(blueprint, project=Project.find(explicit=tmp_path / "theirs"))
    assert plan.model.entry.shelf == "project"


def test_a_shelf_beside_a_blueprint_is_seen_only_where_it_is_another_one(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    blueprint = _elsewhere(theirs)
    assert shelf_beside(blueprint, Project(None)) == theirs / "registry"
    assert shelf_beside(blueprint, Project(theirs)) is None
    assert shelf_beside(tmp_path / "alone.yaml", Project(None)) is None


def test_the_checkout_of_hydrantic_is_a_project_whose_shelf_is_the_stock_one() -> None:
    before = list(sys.path)
    Project.find(ROOT).open()
    assert registry("model").get("mlp").component.__module__ == "hydrantic.registry.models.mlp"
    assert not registry("model").replaced("mlp")
    assert sys.path == before

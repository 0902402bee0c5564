"""The registries: which component a name means, and what it costs to ask."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import catalogue
import pytest
import torch
from torch import nn

import hydrantic
from hydrantic import registries
from hydrantic.components import choose
from hydrantic.errors import RegistrationError
from hydrantic.project import open_shelf
from hydrantic.registries import KINDS, BrokenComponent, UnknownName, register_layer, register_optimizer, registry
from tests.projects import project, write

pytestmark = pytest.mark.usefixtures("scratch")

ROOT = Path(__file__).parent.parent
Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a real distribution with entry points, as pip would leave it."""

    def install_distribution(name: str, module: str, points: str) -> Path:
        site = tmp_path / f"site of {name}"
        write(site / f"shelf_of_{name}.py", module)
        info = site / f"{name}-1.0.dist-info"
        write(info / "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        write(info / "entry_points.txt", points)
        monkeypatch.syspath_prepend(site)
        importlib.invalidate_caches()
        registries.forget_installed()
        return site

    return install_distribution


class Teapot(nn.Module):
    """A layer that pours.

    At length.
    """


class Kettle(nn.Module):
    """A layer that boils."""


# -- registering ------------------------------------------------------------------------------------------------------


def test_a_decorator_returns_what_it_was_given() -> None:
    assert register_layer("teapot")(Teapot) is Teapot


def test_there_is_a_decorator_for_every_kind() -> None:
    for kind in KINDS:
        getattr(hydrantic, f"register_{kind}")("teapot")(Teapot)
        assert registry(kind).get("teapot").component is Teapot


def test_an_entry_says_what_it_is_and_where_it_was_defined() -> None:
    register_layer("teapot")(Teapot)
    entry = registry("layer").get("teapot")
    assert (entry.kind, entry.name, entry.shelf) == ("layer", "teapot", "session")
    assert entry.summary == "A layer that pours."
    assert re.fullmatch(r"<layer 'teapot' from .*tests/test_registries\.py:\d+>", repr(entry))


def test_a_taken_name_is_refused_and_both_places_are_named() -> None:
    register_layer("pot")(Teapot)
    with pytest.raises(RegistrationError) as caught:
        register_layer("pot")(Kettle)
    first, second = re.findall(r"test_registries\.py:(\d+)", str(caught.value))
    lines = Path(__file__).read_text("utf-8").splitlines()
    assert lines[int(first) - 1] == "class Teapot(nn.Module):"
    assert lines[int(second) - 1] == "class Kettle(nn.Module):"
    assert registry("layer").get("pot").component is Teapot


def test_an_alias_that_is_taken_is_refused_and_registers_nothing() -> None:
    register_layer("teapot")(Teapot)
    with pytest.raises(RegistrationError, match="'teapot' is already registered"):
        register_layer("kettle", aliases=["teapot"])(Kettle)
    assert "kettle" not in registry("layer")


def test_the_same_object_can_be_registered_again() -> None:
    register_layer("teapot")(Teapot)
    register_layer("teapot")(Teapot)
    assert registry("layer").get("teapot").component is Teapot


def _define(source: str) -> type[Any]:
    scope: dict[str, Any] = {"__name__": "notebook", "register_layer": register_layer, "nn": nn}
    exec(source, scope)
    made: type[Any] = scope["Pot"]
    return made


def test_a_definition_that_is_run_again_replaces_the_one_before() -> None:
    source = "@register_layer('pot')\nclass Pot(nn.Module):\n    size = {}\n"
    _define(source.format(1))
    second = _define(source.format(2))
    assert registry("layer").get("pot").component is second


def test_one_name_may_be_taken_in_several_kinds() -> None:
    register_layer("pot")(Teapot)
    register_optimizer("pot")(Kettle)
    assert registry("layer").get("pot").component is Teapot


@pytest.mark.parametrize("name", ["", " pot", "a/b", "a=b", "a,b", "${a}", "a:b"])
def test_a_name_that_no_override_could_say_is_refused(name: str) -> None:
    with pytest.raises(RegistrationError, match="cannot be a component's name"):
        register_layer(name)(Teapot)


def test_a_component_is_found_under_its_aliases_and_recorded_under_its_name() -> None:
    register_layer("teapot", aliases=["pot.of.tea", "tea_pot"])(Teapot)
    assert registry("layer").get("pot.of.tea").name == "teapot"
    assert choose("layer", "tea_pot").to_plain() == {"name": "teapot"}
    assert "tea_pot" in registry("layer")
    assert "tea_pot" not in registry("layer").names()


# -- looking up -------------------------------------------------------------------------------------------------------


def test_a_registry_is_found_by_singular_and_plural() -> None:
    assert registry("loss") is registry("losses")
    with pytest.raises(UnknownName, match="no kind is called 'lsos'; did you mean 'loss'"):
        registry("lsos")


@pytest.mark.parametrize(
    ("kind", "name", "nearest"),
    [
        ("model", "mpl", "mlp"), ("optimizer", "AdamW", "adamw"),
        ("optimizer", "torch.optim.AdmaW", "torch.optim.AdamW"),
        ("layer", "rellu", "relu"), ("scheduler", "cosin", "cosine"),
    ],
)  # fmt: skip
def test_an_unknown_name_is_answered_with_the_nearest(kind: str, name: str, nearest: str) -> None:
    with pytest.raises(UnknownName, match=re.escape(f"no {kind} is called '{name}'; did you mean '{nearest}'?")):
        registry(kind).get(name)


def test_an_unknown_name_that_is_near_none_is_answered_with_some_that_there_are() -> None:
    with pytest.raises(UnknownName, match="no model is called 'quux'; there are cnn, linear, mlp"):
        registry("model").get("quux")


def test_a_stock_class_is_found_by_its_name_and_its_path() -> None:
    assert registry("optimizer").get("torch.optim.AdamW").component is torch.optim.AdamW
    assert registry("optimizer").get("torch.optim.AdamW") == registry("optimizer").get("adamw")
    assert "torch.optim.AdamW" in registry("optimizer")


@pytest.mark.parametrize("name", ["torch.optim.lr_scheduler.StepLR", "os.system", "torch.nn.Linear", "antigravity"])
def test_a_path_that_is_not_registered_for_the_kind_is_not_imported(name: str) -> None:
    with pytest.raises(UnknownName):
        registry("optimizer").get(name)
    assert "antigravity" not in sys.modules


def test_listing_names_imports_no_component() -> None:
    code = (
        "import sys\nfrom hydrantic.registries import KINDS, registry\n"
        "for kind in KINDS: assert registry(kind).names() and registry(kind).lookups()\n"
        "heavy = ('torch', 'lightning', 'torchmetrics', 'sklearn', 'wandb', 'polars', 'hydrantic.registry')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_looking_up_one_stock_component_imports_no_other() -> None:
    code = (
        "import sys\nfrom hydrantic.registries import registry\nregistry('model').get('linear')\n"
        "print([m for m in sys.modules if m.startswith('hydrantic.registry.models.')])"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "['hydrantic.registry.models.linear']"


# -- installed shelves ------------------------------------------------------------------------------------------------

POT = """
    from hydrantic import register_layer
    from torch import nn

    @register_layer("pot")
    class Pot(nn.Module):
        "Theirs."
"""


def test_an_installed_shelf_is_found_by_its_entry_points(install: Install) -> None:
    install("acme", POT, "[hydrantic_layers]\npot = shelf_of_acme:Pot\n")
    assert "pot" in registry("layer").names()
    assert "shelf_of_acme" not in sys.modules
    entry = registry("layer").get("pot")
    assert (entry.shelf, entry.summary) == ("acme", "Theirs.")
    assert registry("layer").get("shelf_of_acme.Pot") == entry


def test_an_installed_class_without_a_decorator_is_registered_by_its_entry_point(install: Install) -> None:
    install("acme", "class Pot:\n    'Theirs.'\n", "[hydrantic_layers]\npot = shelf_of_acme:Pot\n")
    assert registry("layer").get("pot").shelf == "acme"


def test_a_name_of_this_process_comes_before_an_installed_one(install: Install) -> None:
    install("acme", POT, "[hydrantic_layers]\npot = shelf_of_acme:Pot\n")
    register_layer("pot")(Teapot)
    assert registry("layer").get("pot").component is Teapot
    assert registry("layer").replaced("pot")
    assert registry("layer").get("shelf_of_acme.Pot").summary == "Theirs."


def test_an_installed_component_is_no_replacement_of_itself(install: Install) -> None:
    install("acme-tools", "", "")
    install("acme", POT, "[hydrantic_layers]\npot = shelf_of_acme:Pot\n")
    registry("layer").get("pot")
    assert not registry("layer").replaced("pot")


def test_a_broken_shelf_is_reported_for_its_own_names_only(install: Install) -> None:
    install("acme", "import no_such_module_anywhere\n", "[hydrantic_layers]\npot = shelf_of_acme:Pot\n")
    assert "pot" in registry("layer").names()
    assert registry("layer").get("relu").component is nn.ReLU
    with pytest.raises(BrokenComponent, match="'pot' of acme cannot be imported: ModuleNotFoundError") as caught:
        registry("layer").get("pot")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_a_shelf_whose_module_lacks_the_class_is_reported(install: Install) -> None:
    install("acme", "", "[hydrantic_layers]\npot = shelf_of_acme:Pot\n")
    with pytest.raises(BrokenComponent, match="AttributeError"):
        registry("layer").get("pot")


def test_metadata_that_cannot_be_read_costs_only_its_own_names(install: Install) -> None:
    site = install("acme", POT, "[hydrantic_layers]\nthis is no entry point\n")
    (site / "acme-1.0.dist-info" / "METADATA").unlink()
    registries.forget_installed()
    assert registry("layer").get("relu").component is nn.ReLU
    with pytest.raises(UnknownName, match=r"the metadata of .* cannot be read"):
        registry("layer").get("pot")


def test_two_distributions_with_one_name_are_refused_and_both_are_named(install: Install) -> None:
    install("acme", POT, "[hydrantic_layers]\npot = shelf_of_acme:Pot\n")
    install("bolt", POT, "[hydrantic_layers]\npot = shelf_of_bolt:Pot\n")
    with pytest.raises(RegistrationError) as caught:
        registry("layer").get("pot")
    assert "acme (shelf_of_acme:Pot)" in str(caught.value)
    assert "bolt (shelf_of_bolt:Pot)" in str(caught.value)


def test_two_distributions_may_register_the_same_object(install: Install) -> None:
    install("acme", POT, "[hydrantic_layers]\npot = shelf_of_acme:Pot\n")
    install("bolt", "", "[hydrantic_layers]\npot = shelf_of_acme:Pot\n")
    assert registry("layer").get("pot").summary == "Theirs."


def test_a_group_of_another_package_is_left_alone(install: Install) -> None:
    install("acme", "", "[hydrantic_teapots]\npot = shelf_of_acme:Pot\n[console_scripts]\nrelu = x:y\n")
    assert "pot" not in registry("layer").names()


# -- the project replaces stock components ----------------------------------------------------------------------------

OWN_RELU = """
    from torch import nn
    from hydrantic import register_layer, register_optimizer

    @register_layer("relu")
    class Own(nn.Module):
        "Ours."
"""


def test_a_project_replaces_a_stock_component_and_says_so(tmp_path: Path) -> None:
    project(tmp_path, layers=OWN_RELU).open()
    assert registry("layer").replaced("relu")
    assert not registry("layer").replaced("gelu")
    entry = registry("layer").get("relu")
    assert (entry.summary, entry.shelf) == ("Ours.", "project")
    assert entry.source.file == tmp_path / "registry" / "layers.py"


def test_a_path_still_means_the_stock_component_that_a_project_replaces(tmp_path: Path) -> None:
    project(tmp_path, layers=OWN_RELU).open()
    registry("layer").get("relu")
    chosen = choose("layer", "torch.nn.ReLU")
    assert chosen.entry.component is nn.ReLU
    assert choose("layer", chosen.to_plain()).entry.component is nn.ReLU


def test_a_closed_project_leaves_nothing_behind(tmp_path: Path) -> None:
    text = OWN_RELU + "\n    import torch\n    register_optimizer('fast')(torch.optim.SGD)\n"
    project(tmp_path / "first", layers=text).open()
    assert registry("layer").get("relu").summary == "Ours."
    assert registry("optimizer").get("fast").shelf == "project"
    project(tmp_path / "second").open()
    assert registry("layer").get("relu").component is nn.ReLU
    assert "fast" not in registry("optimizer")


def test_two_definitions_of_one_name_in_a_project_are_refused(tmp_path: Path) -> None:
    project(tmp_path, one=OWN_RELU, two=OWN_RELU).open()
    with pytest.raises((RegistrationError, BrokenComponent)) as caught:
        registry("layer").get("relu")
    assert "one.py" in str(caught.value)
    assert "two.py" in str(caught.value)


def test_a_class_that_was_copied_under_its_own_name_is_refused(tmp_path: Path) -> None:
    project(tmp_path, layers=textwrap.dedent(OWN_RELU) + textwrap.dedent(OWN_RELU)).open()
    with pytest.raises(BrokenComponent, match=r"already registered: .*layers\.py:5; the second is .*layers\.py:\d+"):
        registry("layer").get("relu")


def test_a_module_that_is_reloaded_registers_anew(tmp_path: Path) -> None:
    project(tmp_path, layers=OWN_RELU).open()
    first = registry("layer").get("relu").component
    importlib.reload(sys.modules["registry.layers"])
    assert registry("layer").get("relu").component is not first


def test_a_shelf_can_be_opened_again_after_a_failed_import(tmp_path: Path) -> None:
    home = project(tmp_path, layers=textwrap.dedent(OWN_RELU) + "\nraise RuntimeError('wet')\n").open()
    with pytest.raises(BrokenComponent, match="RuntimeError: wet"):
        registry("layer").get("relu")
    write(tmp_path / "registry" / "layers.py", OWN_RELU)
    importlib.invalidate_caches()
    home.open()
    assert registry("layer").get("relu").summary == "Ours."


def test_catalogue_holds_only_entries_of_hydrantic(tmp_path: Path) -> None:
    open_shelf(project(tmp_path, layers=OWN_RELU).root / "registry")  # type: ignore[operator]
    registry("layer").get("relu")
    assert all(isinstance(each, registries.Entry) for key, each in catalogue.REGISTRY.items() if key[0] == "hydrantic")


# -- types ------------------------------------------------------------------------------------------------------------

TYPED = """\
from hydrantic import register_layer, register_loss, register_model
from torch import nn


@register_model("mine", aliases=["my.mine"])
class Mine(nn.Module):
    width: int = 3


@register_loss("ours")
def ours(factor: float = 1.0) -> nn.Module:
    return nn.MSELoss()


Theirs = register_layer("theirs")(nn.Linear)
reveal_type(Mine)
reveal_type(Mine().width)
reveal_type(ours)
reveal_type(Theirs)
"""


@pytest.mark.slow
def test_mypy_keeps_the_type_of_a_decorated_class(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mypy", str(write(tmp_path / "typed.py", TYPED))]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    revealed = re.findall(r'Revealed type is "(.*)"', found.stdout)
    assert [re.sub(r"\bbuiltins\.|torch\.nn\.modules\.\w+\.|typed\.", "", each) for each in revealed] == [
        "def (*args: Any, **kwargs: Any) -> Mine", "int", "def (factor: float =) -> Module",
        "def (in_features: int, out_features: int, bias: bool =, device: Any =, dtype: Any =) -> Linear",
    ]  # fmt: skip
    assert "typed.py" not in "".join(line for line in found.stdout.splitlines() if ": error:" in line)


@pytest.mark.slow
def test_pyright_keeps_the_type_of_a_decorated_class(tmp_path: Path) -> None:
    program = shutil.which("pyright", path=str(Path(sys.executable).parent)) or shutil.which("pyright")
    if program is None or shutil.which("node") is None:
        pytest.skip("pyright needs node, and one of them is not installed")
    write(tmp_path / "typed.py", TYPED)
    venv = Path(sys.prefix)
    settings = {"extraPaths": [str(ROOT)], "venvPath": str(venv.parent), "venv": venv.name}
    write(tmp_path / "pyrightconfig.json", json.dumps(settings))
    found = subprocess.run([program, "-p", str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, check=False)
    revealed = re.findall(r'Type of ".*" is "(.*)"', found.stdout)
    assert revealed == ["type[Mine]", "int", "(factor: float = 1) -> Module", "type[Linear]"], found.stdout

"""What holds the code together: layers, laziness, public names, documentation."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import hydrantic
from hydrantic.manifest import current
from hydrantic.project import Project

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

LAYERS = (
    # what everything may use
    "source", "texts", "suggestions", "scalars", "digests", "facts", "imports", "meanings", "lean", "batches",
    "yaml_text", "continuity", "requirements", "filenames", "folders", "sections", "forms", "patterns", "phrases",
    "static_imports",
    # what is wrong, and how it is said
    "errors", "problems", "wording",
    # what a sweep goes through, and what makes and runs its jobs
    "sweeping", "sweeping.space", "sweeping.sweeper", "sweeping.engine",
    # a file becomes a document
    "document", "reading", "compose.search", "compose.options", "compose.overrides", "compose.folders",
    "compose.sweeps", "compose.plain", "compose.defaults", "compose.merging", "compose",
    "interpolation",
    # components and their hyperparameters
    "hparams", "paths", "rules", "signature", "registries", "project", "components", "spec",
    # training
    "processes", "interrupts", "process", "rundir", "requeueing", "liveness", "finding", "metrics_table", "traces",
    "metrics_csv", "exact", "progress", "model", "model.hparams", "checkpoints",
    "resuming", "model.tally", "answers", "model.model", "data", "portable",
    # what runs and sweeps have written, as tables and curves
    "sweeping.ledger", "sweeping.words", "sweeping.table", "where", "records", "listing", "curves", "sketches",
    # the straight line
    "blueprint", "secrets", "traits", "plan", "planning", "provenance",
    # what is known of components without importing them
    "manifest.descriptions", "manifest.watching", "manifest.describing", "manifest", "manifest.renewal",
    # the straight line goes on
    "checking", "identity", "contents", "build", "training", "continuation", "opening", "suiting", "evaluating",
    "predictions", "run", "fitting", "rerunning", "packing", "rank", "blocks",
    # many runs of one blueprint
    "sweeping.outcome", "sweeping.status", "sweeping.picture",
    "sweeping.view", "sweeping.results", "sweeping.plans", "sweeping.drafts", "sweeping.running", "sweeping.sweep",
    "sweeping.resumption", "sweeping.job", "sweeping.warm",
    # what a person asks of many runs
    "comparing",
    "reporting.markup", "reporting.scales", "reporting.material", "reporting.tables", "reporting.charts",
    "reporting.evaluation", "reporting.figures", "reporting.axes", "reporting.jobs", "reporting.page",
    "reporting.one", "reporting.several", "reporting.sweeps", "reporting",
    # a trained model for other programs
    "exporting.formats", "exporting.metadata", "exporting.parity", "exporting",
    "serving.rows", "serving.batching", "serving.replies", "serving.app", "serving",
    # what a person asks before a run
    "explaining.origins", "showing", "explaining", "explaining.telling",
    "tracing.footprint", "tracing.clashes", "tracing.dryrun", "tracing.judging", "tracing", "tracing.telling",
    # short trainings before a run
    "finders", "finders.divergence", "finders.memory", "finders.rehearsal", "finders.pace", "finders.batch_sizes",
    "finders.range_test", "finders.rates", "finders.experiments", "finders.clock", "finders.measuring",
    "finders.profiling", "finders.picture", "finders.telling",
    "schema.types", "schema",
    "completion.candidates", "completion.vocabulary", "completion.outline", "completion.spots", "completion",
    # a new project
    "scaffold.texts", "scaffold.files", "scaffold.survey", "scaffold.tables", "scaffold.blueprints", "scaffold",
    # the command line
    "cli", "cli.words", "cli.composition", "cli.evaluation", "cli.main", "cli.multirun", "cli.fit", "cli.resume",
    "cli.rerun", "cli.test", "cli.validate", "cli.predict", "cli.check", "cli.show", "cli.explain", "cli.list",
    "cli.describe", "cli.init", "cli.schema", "cli.pack", "cli.sweep", "cli.lr_find", "cli.batch_size_find",
    "cli.profile", "cli.runs", "cli.diff", "cli.plot", "cli.report", "cli.export", "cli.serve", "cli.shells",
    "cli.completion",
    "__main__",
)  # fmt: skip
"""Every module; each imports only those before it, also inside functions."""

UPWARD = {
    ("errors", "problems"): "for type checkers only: an error holds problems",
    ("errors", "wording"): "str() of a BlueprintError is its report",
}
"""Imports against the order, with their reason."""

COMPOSE = tuple(f"hydrantic.{layer}" for layer in LAYERS if layer.startswith("compose."))

HEAVY = ("torch", "lightning", "torchmetrics", "wandb", "hydra", "omegaconf", "pydantic", "sklearn", "polars", "numpy")

COMPOSING = {"hydra", "omegaconf", "pydantic"}
"""What composing and validating a blueprint needs."""

Module = tuple[str, Path]


def _modules(*folders: str) -> list[Module]:
    found = []
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*.py")):
            parts = [part for part in file.relative_to(ROOT).with_suffix("").parts if part != "__init__"]
            found.append((".".join(parts), file))
    return found


FRAMEWORK = _modules("hydrantic")
ALL = _modules("hydrantic", "registry")


def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


def _imported(file: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every imported module with the names that are taken from it."""
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = tuple(alias.name for alias in node.names)
            is_module = node.module == "hydrantic" and names[0] in LAYERS
            yield f"hydrantic.{names[0]}" if is_module else node.module, names


def _ids(modules: list[Module]) -> list[str]:
    return [name for name, _ in modules]


# -- layers -----------------------------------------------------------------------------------------------------------


def test_every_module_has_its_place_in_the_order() -> None:
    assert sorted(f"hydrantic.{layer}" for layer in LAYERS) == sorted(set(_ids(FRAMEWORK)) - {"hydrantic"})


@pytest.mark.parametrize(("name", "file"), FRAMEWORK[1:], ids=_ids(FRAMEWORK[1:]))
def test_modules_import_downwards_only(name: str, file: Path) -> None:
    layer = name.removeprefix("hydrantic.")
    below = LAYERS[: LAYERS.index(layer)]
    used = {module.removeprefix("hydrantic.") for module, _ in _imported(file) if module.startswith("hydrantic.")}
    assert sorted(each for each in used if each not in below and (layer, each) not in UPWARD) == []


def test_every_exception_from_the_order_is_needed() -> None:
    for layer, above in UPWARD:
        assert LAYERS.index(layer) < LAYERS.index(above)
        assert f"hydrantic.{above}" in {module for module, _ in _imported(ROOT / "hydrantic" / f"{layer}.py")}


def test_modules_ask_the_package_itself_only_for_its_version() -> None:
    asked = {names for _, file in FRAMEWORK for module, names in _imported(file) if module == "hydrantic"}
    assert asked <= {("__version__",), ()}


@pytest.mark.parametrize(
    ("package", "modules"),
    [
        ("hydra", {"hydrantic.compose", *COMPOSE}),
        ("catalogue", {"hydrantic.registries"}),
        ("omegaconf", {"hydrantic.interpolation", "hydrantic.hparams", *COMPOSE}),
        ("wandb", set()),
        ("sklearn", set()),
        (
            "polars",
            {"hydrantic.sweeping.table", "hydrantic.sweeping.results", "hydrantic.run", "hydrantic.predictions"},
        ),
    ],
)
def test_a_package_is_imported_only_where_it_belongs(package: str, modules: set[str]) -> None:
    found = {name for name, file in FRAMEWORK for module, _ in _imported(file) if module.partition(".")[0] == package}
    assert found <= modules


def test_the_framework_imports_nothing_from_the_shelf() -> None:
    used = {module for _, file in FRAMEWORK for module, _ in _imported(file)}
    assert [module for module in used if "registry" in module.split(".")] == []


def _literals(file: Path) -> set[str]:
    """The texts in a module that are no documentation."""
    nodes = list(ast.walk(_tree(file)))
    documentation = {node.value for node in nodes if isinstance(node, ast.Expr)}
    texts = (node for node in nodes if isinstance(node, ast.Constant) and node not in documentation)
    return {node.value for node in texts if isinstance(node.value, str)}


WORDS_OF_OTHER_THINGS = {
    "linear", "step", "constant", "absolute", "threshold", "function", "tensors", "identity",
    "csv", "digits", "early_stopping", "timer", "flatten", "precision",
}  # fmt: skip
"""Names of stock components that mean something else in the framework: a word of a grammar, a field, a section."""


def test_the_framework_knows_no_component_by_name() -> None:
    points = PYPROJECT["project"]["entry-points"]
    names = {name for group in points.values() for name in group} - WORDS_OF_OTHER_THINGS
    paths = {value.replace(":", ".") for group in points.values() for value in group.values()}
    defaults = {("hydrantic.blueprint", name) for name in ("adam", "wandb", "grid", "local")}
    defaults.add(("hydrantic.model.hparams", "torch.optim.Adam"))
    found = {(name, text) for name, file in FRAMEWORK for text in _literals(file) if text in names | paths}
    assert found <= defaults, sorted(found - defaults)


def test_the_stock_shelf_uses_the_public_interface_only() -> None:
    for name, file in _modules("registry"):
        for module, names in _imported(file):
            if module == "hydrantic":
                assert set(names) <= set(hydrantic.__all__), (name, names)


# -- laziness ---------------------------------------------------------------------------------------------------------


def _loaded(code: str, *, folder: Path = ROOT) -> set[str]:
    script = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{code}\nprint(); print(' '.join(sys.modules))"
    found = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return {name.partition(".")[0] for name in found.stdout.splitlines()[-1].split()}


def _command(*words: str) -> str:
    return f"from hydrantic.cli.main import main\ntry:\n    main({list(words)!r})\nexcept SystemExit:\n    pass"


@pytest.mark.parametrize(
    "code",
    [
        "import hydrantic",
        "import hydrantic\nhydrantic.__version__, dir(hydrantic)",
        _command(),
        _command("--help"),
        _command("--version"),
        _command("fit", "--help"),
        _command("fitt"),
        _command("fit"),
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(code: str) -> None:
    assert _loaded(code) & set(HEAVY) == set()


@pytest.fixture
def warm() -> None:
    """A manifest that is fresh."""
    current(Project(ROOT))


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        (_command("list"), set()),
        (_command("list", "models"), set()),
        (_command("describe", "model", "mlp"), set()),
        (_command("check", "blueprints/mlp.yaml"), COMPOSING),
        (_command("check", "blueprints"), COMPOSING),
        (_command("check", "blueprints/mlp.yaml", "model=cnn", "--json"), COMPOSING),
        (_command("check", "blueprints/mlp.yaml", "model=mpl", "loss=mse"), COMPOSING),
        (_command("fit", "blueprints/mlp.yaml", "model=mpl", "loss=mse"), COMPOSING),
        (_command("show", "blueprints/mlp.yaml", "--origins"), COMPOSING),
        (_command("explain", "blueprints/mlp.yaml", "model.dropout"), COMPOSING),
        (_command("schema", "-o", "-"), {"pydantic"}),
        (_command("runs"), set()),
        (_command("runs", "nowhere"), set()),
        (_command("diff", "blueprints/mlp.yaml", "blueprints/cnn.yaml"), COMPOSING),
        (_command("plot", "nowhere"), {"pydantic"}),
    ],
)
def test_with_a_fresh_manifest_nothing_of_training_is_loaded(code: str, allowed: set[str]) -> None:
    assert _loaded(code) & set(HEAVY) <= allowed


def test_a_blueprint_that_cannot_be_read_loads_neither_torch_nor_wandb(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("model: [mlp\n")
    assert _loaded(_command("fit", "bad.yaml"), folder=tmp_path) & {"torch", "lightning", "wandb", "sklearn"} == set()


def test_a_blueprint_with_an_unknown_name_loads_no_logger(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("data: iris\nmodel: mpl\nloss: cross_entropy\nloggers: {csv: {}}\n")
    assert _loaded(_command("fit", "bad.yaml"), folder=tmp_path) & {"wandb", "mlflow", "tensorboard"} == set()


# -- public names -----------------------------------------------------------------------------------------------------


def test_public_names_are_complete_sorted_and_importable() -> None:
    assert list(hydrantic.__all__) == sorted(hydrantic.__all__)
    for name in hydrantic.__all__:
        assert getattr(hydrantic, name) is not None
        assert name in dir(hydrantic)


def test_type_checkers_see_the_names_that_are_there() -> None:
    (block,) = (node for node in _tree(ROOT / "hydrantic" / "__init__.py").body if isinstance(node, ast.If) and (
        isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    ))  # fmt: skip
    seen = {
        alias.asname: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert seen == hydrantic._HOME_OF


def test_a_name_is_offered_by_the_module_that_is_its_home() -> None:
    for name, home in hydrantic._HOME_OF.items():
        assert getattr(hydrantic, name) is getattr(import_module(home), name)


def test_no_public_name_is_hidden_by_a_module_of_that_name() -> None:
    packages = {name.rpartition(".")[2] for name in PYPROJECT["tool"]["setuptools"]["packages"]}
    modules = {name.split(".")[1] for name, _ in FRAMEWORK[1:]}
    assert set(hydrantic.__all__) & (packages | modules) == set()


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Modle'"):
        _ = hydrantic.Modle


def test_every_decorator_of_a_kind_is_public() -> None:
    from hydrantic.registries import KINDS

    assert {f"register_{kind}" for kind in KINDS} == {n for n in hydrantic.__all__ if n.startswith("register_")}


# -- documentation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "file"), ALL, ids=_ids(ALL))
def test_a_module_opens_with_one_sentence(name: str, file: Path) -> None:
    opening = (ast.get_docstring(_tree(file)) or "").partition("\n\n")[0]
    assert opening.endswith((".", ".yaml`.")), opening
    assert "\n" not in opening, opening
    assert re.search(r"\. [A-Z]", opening) is None, opening


def _public(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    for node in body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        yield prefix + node.name, node
        if isinstance(node, ast.ClassDef) and not _is_protocol(node):
            yield from _public(node.body, f"{node.name}.")


def _is_protocol(node: ast.ClassDef) -> bool:
    return any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)


def _says_what_it_does(node: Any) -> bool:
    return bool(ast.get_docstring(node)) or any(getattr(each, "id", "") == "override" for each in node.decorator_list)


@pytest.mark.parametrize(("name", "file"), ALL, ids=_ids(ALL))
def test_everything_public_says_what_it_does(name: str, file: Path) -> None:
    assert [each for each, node in _public(_tree(file).body) if not _says_what_it_does(node)] == []


def _fields_of(hparams: Any) -> Iterator[str]:
    yield from hparams.model_fields


def test_every_field_of_the_stock_components_and_sections_says_what_it_means() -> None:
    from hydrantic.blueprint import Blueprint, Objective, Wiring
    from hydrantic.components import hparams_of
    from hydrantic.model import hparams as groups
    from hydrantic.registries import KINDS, registry

    own = [Blueprint, Objective, Wiring, *(getattr(groups, name) for name in groups.__all__)]
    for kind in KINDS:
        entries = [registry(kind).get(name) for name in registry(kind).names()]
        own += [hparams_of(each) for each in entries if each.component.__module__.startswith("hydrantic.")]
    silent = {f"{each.__name__}.{name}" for each in own for name in _fields_of(each) if not each.meanings().get(name)}
    assert silent == set()


# -- packaging --------------------------------------------------------------------------------------------------------


def _folders(folder: str, package: str, pattern: str) -> set[str]:
    inside = {file.parent.relative_to(ROOT / folder).parts for file in (ROOT / folder).rglob(pattern)}
    return {".".join([package, *parts]) for parts in inside}


def test_the_wheel_holds_every_package() -> None:
    expected = _folders("hydrantic", "hydrantic", "__init__.py")
    expected |= _folders("registry", "hydrantic.registry", "__init__.py")
    expected |= _folders("blueprints", "hydrantic.blueprints", "*.yaml")
    assert set(PYPROJECT["tool"]["setuptools"]["packages"]) == expected


def test_every_distribution_that_is_imported_is_declared() -> None:
    project = PYPROJECT["project"]
    declared = {Requirement(each).name for each in project["dependencies"]}
    tools = {"test", "benchmark", "all"}
    extras = {name: said for name, said in project["optional-dependencies"].items() if name not in tools}
    declared |= {Requirement(each).name for said in extras.values() for each in said}
    imported = {module.partition(".")[0] for _, file in ALL for module, _ in _imported(file)}
    providers = packages_distributions()
    asked = {canonicalize_name(each) for name in imported for each in providers.get(name, ())}
    part_of_another = {"hydrantic", "pydantic-core", "pytorch-lightning"}
    assert asked - {canonicalize_name(each) for each in declared} <= part_of_another


def test_the_version_is_written_once() -> None:
    version = PYPROJECT["project"]["version"]
    assert hydrantic.__version__ == version
    written = [name for name, file in ALL if version in _literals(file)]
    assert written == []


def test_every_entry_point_leads_to_its_component() -> None:
    broken = []
    for group, points in PYPROJECT["project"]["entry-points"].items():
        for name, value in points.items():
            module, _, attribute = value.partition(":")
            if module.startswith("hydrantic.") and not hasattr(import_module(module), attribute):
                broken.append(f"{group} {name}: {value}")
    assert broken == []


def test_every_registered_stock_component_has_an_entry_point() -> None:
    from hydrantic.project import STOCK_SHELF, ProjectShelf
    from hydrantic.registries import KINDS, entry_points, registry

    shelf = ProjectShelf(STOCK_SHELF, "hydrantic.registry")
    for kind in KINDS:
        known = {point.name for point in entry_points(registry(kind).plural)}
        assert set(shelf.names(kind)) <= known, kind

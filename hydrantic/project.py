"""The project you stand in: its shelf of components, and what its pyproject.toml allows."""

from __future__ import annotations

import ast
import importlib
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from hydrantic import registries
from hydrantic.errors import UsageError
from hydrantic.registries import KINDS, BrokenComponent
from hydrantic.source import Source, display

STOCK_SHELF = Path(__file__).resolve().parent.parent / "registry"
"""The stock shelf of a checkout; in a wheel it lies inside the package and is found by its entry points."""


@dataclass(frozen=True)
class Project:
    """A folder that holds `blueprints/` or `registry/`, or none where a person stands outside of any."""

    root: Path | None

    @classmethod
    def find(cls, start: Path | None = None, explicit: Path | None = None) -> Project:
        """The nearest project at or above `start` (the working directory), or the `explicit` one.

        Raises:
            UsageError: the explicit folder is no project.
        """
        if explicit is not None:
            if not _is_project(explicit):
                raise UsageError(f"--project {display(explicit)}: it holds neither blueprints/ nor registry/")
            return cls(explicit.resolve())
        here = (start or Path.cwd()).resolve()
        return cls(next((folder for folder in (here, *here.parents) if _is_project(folder)), None))

    @property
    def shelf(self) -> Path | None:
        """The folder of the project's own components."""
        folder = self.root / "registry" if self.root else None
        return folder if folder and folder.is_dir() else None

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """The table `[tool.hydrantic]` of the project's pyproject.toml.

        Raises:
            UsageError: the file is no sound TOML.
        """
        file = self.root / "pyproject.toml" if self.root else None
        if file is None or not file.is_file():
            return {}
        try:
            table = tomllib.loads(file.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"{display(file)}: {error}") from error
        settings: Mapping[str, Any] = table.get("tool", {}).get("hydrantic", {})
        return settings

    @property
    def environment(self) -> tuple[str, ...]:
        """Names of the environment variables that a blueprint may read."""
        names = self.settings.get("env", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise UsageError("pyproject.toml: [tool.hydrantic] env must be a list of names")
        return tuple(names)

    def open(self) -> Project:
        """Let the registries find the project's components; a shelf that was open before is closed.

        Raises:
            UsageError: another package called `registry` is already imported.
        """
        if self.shelf is None:
            close_shelf()
        else:
            open_shelf(self.shelf)
        return self


def _is_project(folder: Path) -> bool:
    return (folder / "blueprints").is_dir() or (folder / "registry").is_dir()


@dataclass(frozen=True, slots=True)
class Definition:
    """A `register_*("name")` found in the text of a module."""

    kind: str
    name: str
    module: str
    source: Source


@dataclass(frozen=True)
class ProjectShelf:
    """The components in a project's `registry/`, by name, read from the text of its modules without importing them."""

    folder: Path
    package: str
    broken: dict[Path, str] = field(default_factory=dict, compare=False)

    @cached_property
    def definitions(self) -> Mapping[tuple[str, str], tuple[Definition, ...]]:
        """What each kind and name is defined by; more than one definition is a mistake that loading reports."""
        found: dict[tuple[str, str], tuple[Definition, ...]] = {}
        for file in self.modules:
            for each in self._definitions_in(file):
                found[each.kind, each.name] = (*found.get((each.kind, each.name), ()), each)
        return found

    @property
    def modules(self) -> tuple[Path, ...]:
        """Every Python file of the shelf, also below folders without `__init__.py`."""
        hidden = ("__pycache__", ".")
        files = (f for f in self.folder.rglob("*.py") if not any(p.startswith(hidden) for p in self._parts(f)))
        return tuple(sorted(files))

    def _parts(self, file: Path) -> tuple[str, ...]:
        return file.relative_to(self.folder).with_suffix("").parts

    def module_name(self, file: Path) -> str:
        """The name under which a file is imported: `registry.models.mine`."""
        parts = [part for part in self._parts(file) if part != "__init__"]
        return ".".join([self.package, *parts])

    def _definitions_in(self, file: Path) -> Iterator[Definition]:
        try:
            tree = ast.parse(file.read_bytes(), filename=str(file))
        except (SyntaxError, ValueError, OSError) as error:
            self.broken[file] = f"{type(error).__name__}: {error}"
            return
        module = self.module_name(file)
        for call in ast.walk(tree):
            for kind, name in _registered(call):
                yield Definition(kind, name, module, Source(file, call.lineno, call.col_offset + 1))

    def names(self, kind: str) -> Iterable[str]:
        """The names that the shelf's modules register."""
        return (name for of_kind, name in self.definitions if of_kind == kind)

    def load(self, kind: str, name: str) -> bool:
        """Import the modules that define `name`; where none is known to, look for names made at run time."""
        definitions = self.definitions.get((kind, name), ())
        for module in dict.fromkeys(each.module for each in definitions):
            self._import(module, kind, name)
        if definitions:
            return True
        return self._registers_at_run_time(kind, name)

    def _registers_at_run_time(self, kind: str, name: str) -> bool:
        for file in self.modules:
            if file not in self.broken and "register_" in file.read_text("utf-8", "replace"):
                module = self.module_name(file)
                if module not in sys.modules and _registers_in_a_loop(file):
                    self._import(module, kind, name)
        tier = registries.registry(kind)
        return tier.is_registered(name)

    def _import(self, module: str, kind: str, name: str) -> None:
        try:
            importlib.import_module(module)
        except Exception as error:
            raise BrokenComponent(kind, name, f"{display(self.folder)} ({module})", error) from error


def _registers_in_a_loop(file: Path) -> bool:
    """Whether the module registers something whose name only running it tells."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Call) and _decorator_kind(node) and not _literal_name(node):
            return True
    return False


def _decorator_kind(call: ast.AST) -> str | None:
    if not isinstance(call, ast.Call):
        return None
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    kind = name.removeprefix("register_")
    return kind if name.startswith("register_") and kind in KINDS else None


def _literal_name(call: ast.Call) -> str | None:
    values = [*call.args[:1], *(each.value for each in call.keywords if each.arg == "name")]
    first = values[0] if values else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def _registered(call: ast.AST) -> Iterator[tuple[str, str]]:
    if not isinstance(call, ast.Call) or (kind := _decorator_kind(call)) is None:
        return
    if (name := _literal_name(call)) is None:
        return
    yield kind, name
    for keyword in call.keywords:
        if keyword.arg == "aliases" and isinstance(keyword.value, ast.List | ast.Tuple):
            for each in keyword.value.elts:
                if isinstance(each, ast.Constant) and isinstance(each.value, str):
                    yield kind, each.value


_open: list[ProjectShelf] = []


def open_shelf(folder: Path) -> ProjectShelf:
    """Let the registries find the components in a project's `registry/` folder, until another one is opened.

    The modules are imported as `registry...` with the project's folder on `sys.path`, as editors, pickles and
    spawned workers expect. hydrantic's own checkout is the one project whose shelf is `hydrantic.registry`.

    Raises:
        UsageError: another package called `registry` is already imported.
    """
    stock = STOCK_SHELF.is_dir() and folder.samefile(STOCK_SHELF)
    if _open and _open[0].folder == folder:
        registries.remove_shelf(_open.pop())
    else:
        close_shelf()
    if not stock:
        _refuse_other_registry(folder)
        _put_on_path(str(folder.parent))
        _claim_name(folder)
    _open.append(ProjectShelf(folder, "hydrantic.registry" if stock else "registry"))
    registries.add_shelf(_open[0])
    return _open[0]


def _claim_name(folder: Path) -> None:
    """Make `registry` mean this folder, also where it has no `__init__.py` and a package of that name lies elsewhere."""
    if "registry" not in sys.modules and not (folder / "__init__.py").is_file():
        package = ModuleType("registry")
        package.__path__ = [str(folder)]
        sys.modules["registry"] = package


def _put_on_path(place: str) -> None:
    if place not in sys.path:
        sys.path.insert(0, place)
    importlib.invalidate_caches()


def close_shelf() -> None:
    """Forget the open project's components, its modules and its place on `sys.path`."""
    if not _open:
        return
    shelf = _open.pop()
    registries.remove_shelf(shelf)
    if shelf.package != "registry":
        return
    registries.forget_project()
    if (place := str(shelf.folder.parent)) in sys.path:
        sys.path.remove(place)
    for name in [each for each in sys.modules if each == "registry" or each.startswith("registry.")]:
        del sys.modules[name]


def _refuse_other_registry(folder: Path) -> None:
    imported = sys.modules.get("registry")
    if imported is None:
        return
    places = [Path(place) for place in getattr(imported, "__path__", [])] or [Path(str(imported.__file__))]
    if not any(place.exists() and place.samefile(folder) for place in places):
        raise UsageError(
            f"another package called 'registry' is already imported from {', '.join(map(str, places))}; "
            f"the components of {display(folder)} cannot be imported beside it"
        )


def shelf_beside(blueprint: Path, project: Project) -> Path | None:
    """The shelf of the project that a blueprint lies in, where that is not the project you stand in."""
    other = Project.find(blueprint.parent)
    if other.shelf is None or (project.shelf is not None and other.shelf.samefile(project.shelf)):
        return None
    return other.shelf



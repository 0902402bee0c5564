"""The project you stand in: its shelf of components, and what its pyproject.toml allows."""

from __future__ import annotations

import ast
import importlib
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path
from typing import Any

from hydrantic import registries
from hydrantic.errors import UsageError
from hydrantic.registries import KINDS, PROJECT, STOCK, BrokenComponent
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
    is_alias: bool = False


@dataclass(frozen=True, slots=True)
class _Text:
    """What a module registers, as far as its text tells, and the kinds of which only running it tells the names."""

    definitions: tuple[Definition, ...]
    unnamed: frozenset[str]


@dataclass(frozen=True)
class ProjectShelf:
    """The components in a project's `registry/`, by name, read from the text of its modules without importing them."""

    folder: Path
    package: str
    broken: dict[Path, Exception] = field(default_factory=dict, compare=False)

    @property
    def owner(self) -> str:
        """The project, or hydrantic where its own checkout is the project."""
        return PROJECT if self.package == "registry" else STOCK

    @cached_property
    def definitions(self) -> Mapping[tuple[str, str], tuple[Definition, ...]]:
        """What each kind and name is defined by; more than one definition is a mistake that loading reports."""
        found: dict[tuple[str, str], tuple[Definition, ...]] = {}
        for text in self._texts.values():
            for each in text.definitions:
                found[each.kind, each.name] = (*found.get((each.kind, each.name), ()), each)
        return found

    @cached_property
    def _texts(self) -> Mapping[Path, _Text]:
        return {file: text for file in self.modules if (text := self._read(file)) is not None}

    @property
    def modules(self) -> tuple[Path, ...]:
        """Every Python file of the shelf, also below folders without `__init__.py`."""
        hidden = ("__pycache__", ".")
        files = (f for f in self.folder.rglob("*.py") if not any(p.startswith(hidden) for p in self._parts(f)))
        return tuple(sorted(file for file in files if file.is_file()))

    def _parts(self, file: Path) -> tuple[str, ...]:
        return file.relative_to(self.folder).with_suffix("").parts

    def module_name(self, file: Path) -> str:
        """The name under which a file is imported: `registry.models.mine`."""
        parts = [part for part in self._parts(file) if part != "__init__"]
        return ".".join([self.package, *parts])

    def _read(self, file: Path) -> _Text | None:
        try:
            tree = ast.parse(file.read_bytes(), filename=str(file))
        except (SyntaxError, ValueError, OSError) as error:
            self.broken[file] = error
            return None
        calls = [(kind, node) for node in ast.walk(tree) if isinstance(node, ast.Call) and (kind := _kind_of(node))]
        definitions = (each for kind, call in calls for each in self._definitions(kind, call, file))
        return _Text(tuple(definitions), frozenset(kind for kind, call in calls if not _tells_names(call)))

    def _definitions(self, kind: str, call: ast.Call, file: Path) -> Iterator[Definition]:
        module, place = self.module_name(file), Source(file, call.lineno, call.col_offset + 1)
        if (name := _literal_name(call)) is not None:
            yield Definition(kind, name, module, place)
        for alias in _literal_aliases(call) or ():
            yield Definition(kind, alias, module, place, is_alias=True)

    def names(self, kind: str) -> Iterable[str]:
        """The names that the shelf's modules register."""
        return self._named(kind, is_alias=False)

    def aliases(self, kind: str) -> Iterable[str]:
        """The further names that the shelf's modules register."""
        return self._named(kind, is_alias=True)

    def _named(self, kind: str, *, is_alias: bool) -> list[str]:
        found = self.definitions.items()
        return [name for (of_kind, name), each in found if of_kind == kind and each[0].is_alias == is_alias]

    def unread(self) -> Iterable[str]:
        """The modules whose text is no Python."""
        _ = self._texts
        return [f"{display(file)} cannot be read ({_what(error)})" for file, error in self.broken.items()]

    def load(self, kind: str, name: str) -> bool:
        """Import the modules that define `name`; where none is known to, look for names made at run time."""
        definitions = self.definitions.get((kind, name), ())
        for module in dict.fromkeys(each.module for each in definitions):
            self._import(module, kind, name)
        return bool(definitions) or self._registers_at_run_time(kind, name)

    def _registers_at_run_time(self, kind: str, name: str) -> bool:
        self._refuse_broken(kind, name)
        for file, text in self._texts.items():
            if kind in text.unnamed and (module := self.module_name(file)) not in sys.modules:
                self._import(module, kind, name)
        return registries.registry(kind).is_registered(name)

    def _refuse_broken(self, kind: str, name: str) -> None:
        """Nothing else takes the place of a component whose module has a syntax error."""
        for file, error in self.broken.items():
            text = file.read_text("utf-8", "replace") if file.is_file() else ""
            if f"register_{kind}" in text and (f'"{name}"' in text or f"'{name}'" in text):
                raise BrokenComponent(kind, name, display(file), error)

    def _import(self, module: str, kind: str, name: str) -> None:
        try:
            with registries.loading(self.owner):
                importlib.import_module(module)
        except (Exception, SystemExit) as error:
            raise BrokenComponent(kind, name, f"{display(self.folder)} ({module})", error) from error


def _what(error: Exception) -> str:
    line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {text}{line}"


def _tells_names(call: ast.Call) -> bool:
    return _literal_name(call) is not None and _literal_aliases(call) is not None


def _kind_of(call: ast.Call) -> str | None:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    kind = name.removeprefix("register_")
    return kind if name.startswith("register_") and kind in KINDS else None


def _literal_name(call: ast.Call) -> str | None:
    values = [*call.args[:1], *(each.value for each in call.keywords if each.arg == "name")]
    first = values[0] if values else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def _literal_aliases(call: ast.Call) -> list[str] | None:
    """The aliases that a decorator writes out, or None where only running it tells them."""
    given = next((each.value for each in call.keywords if each.arg == "aliases"), ast.List([]))
    elements = given.elts if isinstance(given, ast.List | ast.Tuple) else [None]
    found = [e.value for e in elements if isinstance(e, ast.Constant) and isinstance(e.value, str)]
    return found if len(found) == len(elements) else None


_open: list[ProjectShelf] = []
_placed: list[str] = []


def open_shelf(folder: Path) -> ProjectShelf:
    """Let the registries find the components in a project's `registry/` folder, until another one is opened.

    The modules are imported as `registry...` with the project's folder on `sys.path`, as editors, pickles and
    spawned workers expect. hydrantic's own checkout is the one project whose shelf is `hydrantic.registry`.

    Raises:
        UsageError: another package called `registry` is imported already.
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
    """Make `registry` mean this folder, also without an `__init__.py` and beside another package of that name."""
    if "registry" not in sys.modules and not (folder / "__init__.py").is_file():
        spec = ModuleSpec("registry", None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
        sys.modules["registry"] = module_from_spec(spec)


def _put_on_path(place: str) -> None:
    if sys.path[:1] != [place]:
        sys.path.insert(0, place)
        _placed.append(place)
    importlib.invalidate_caches()


def _take_off_path(place: str) -> None:
    if place in _placed:
        _placed.remove(place)
        if place in sys.path:
            sys.path.remove(place)


def close_shelf() -> None:
    """Forget the open project's components, its modules and its place on `sys.path`."""
    if not _open:
        return
    shelf = _open.pop()
    registries.remove_shelf(shelf)
    if shelf.package != "registry":
        return
    registries.forget_project()
    _take_off_path(str(shelf.folder.parent))
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

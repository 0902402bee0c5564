"""The registries: thirteen kinds of components under string names, found without importing more than the chosen one.

Names come from three places, the nearest first: what this process registered or the project's shelf holds, then the
entry points of installed distributions, hydrantic's own stock shelf among them. Only this module uses catalogue.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import catalogue

from hydrantic.errors import HydranticError, RegistrationError
from hydrantic.source import Source
from hydrantic.suggestions import did_you_mean

C = TypeVar("C")

STOCK: Final = "hydrantic"
PROJECT: Final = "project"
SESSION: Final = "session"


class UnknownName(HydranticError, LookupError):
    """No component of this kind has that name.

    `known` holds the names that there are, and `unread` says what could not be read and may hold further ones.
    """

    def __init__(self, kind: str, name: str, known: Sequence[str], unread: Sequence[str] = ()) -> None:
        also = "".join(f"; {each}" for each in unread)
        super().__init__(f"no {kind} is called '{name}'{did_you_mean(name, known)}{also}")
        self.kind = kind
        self.name = name
        self.known = tuple(known)
        self.unread = tuple(unread)


class BrokenComponent(HydranticError):
    """The module of a component cannot be imported; `__cause__` says why."""

    def __init__(self, kind: str, name: str, shelf: str, error: BaseException) -> None:
        super().__init__(f"the {kind} '{name}' of {shelf} cannot be imported: {type(error).__name__}: {error}")
        self.__cause__ = error


class Description(Protocol):
    """What the manifest tells of a component that is not imported."""

    @property
    def hparams(self) -> Any:
        """Its Hparams."""

    @property
    def fields(self) -> Mapping[str, Mapping[str, Any]]:
        """Its fields as plain data."""

    @property
    def traits(self) -> Any:
        """What else planning has to know of it."""

    @property
    def summary(self) -> str:
        """The first line of its docstring."""

    @property
    def source(self) -> Source:
        """Where it is defined."""


@dataclass(frozen=True)
class Entry:
    """One registered component, and the shelf and place where it was registered.

    One that is described by the manifest has a `description` in place of the `component`.
    """

    kind: str
    name: str
    component: Any = field(repr=False)
    shelf: str
    aliases: tuple[str, ...] = ()
    description: Description | None = None

    @property
    def file(self) -> Path | None:
        """The file of the component's definition; much quicker to find than the line in it."""
        if self.description is not None:
            return self.description.source.file
        module = sys.modules.get(getattr(self.component, "__module__", ""))
        name = getattr(module, "__file__", None)
        return Path(name) if name else None

    @cached_property
    def source(self) -> Source:
        """The file and line of the component's definition."""
        return source_of(self.component) if self.description is None else self.description.source

    @property
    def summary(self) -> str:
        """The first line of the component's docstring."""
        if self.description is not None:
            return self.description.summary
        return (inspect.getdoc(self.component) or "").partition("\n")[0]

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name!r} from {self.source}>"


class Listing(Protocol):
    """The manifest as the registries use it: what there is to know of components without importing them."""

    @property
    def trainer(self) -> Any:
        """The Hparams of the section `trainer`."""

    def find(self, kind: str, name: str) -> Entry | None:
        """The component called `name`, or None where only its own code can tell."""

    def names(self, kind: str) -> Iterable[str]:
        """Every name."""

    def lookups(self, kind: str) -> Iterable[str]:
        """Everything that `find` finds."""


class Shelf(Protocol):
    """A place that knows the names of components before their modules are imported."""

    @property
    def owner(self) -> str:
        """Whose components these are: the project's, or hydrantic's own."""

    def names(self, kind: str) -> Iterable[str]:
        """The names that `load` can find, without aliases; imports nothing."""

    def aliases(self, kind: str) -> Iterable[str]:
        """The further names under which `load` finds something; imports nothing."""

    def unread(self) -> Iterable[str]:
        """What could not be read for names, each in a few words."""

    def load(self, kind: str, name: str) -> bool:
        """Import the module that registers `name`; False where this shelf has no such name."""


class Registry:
    """The components of one kind. Used through `registry("model")` and the `register_*` decorators."""

    def __init__(self, kind: str, plural: str) -> None:
        self.kind = kind
        self.plural = plural
        self._near: catalogue.Registry = catalogue.create(STOCK, plural)
        self._installed: catalogue.Registry = catalogue.create(STOCK, plural, "installed")

    def register(self, name: str, *, aliases: Sequence[str] = ()) -> Callable[[C], C]:
        """Decorate a class or function so that blueprints can select it as `name`.

        The decorated object is returned as it is. Registering the same definition again is fine, and a project may
        replace a stock name.

        Raises:
            RegistrationError: another component has the name; the message names both places.
        """

        def decorate(component: C) -> C:
            self.add(name, component, aliases=aliases)
            return component

        return decorate

    def add(self, name: str, component: Any, *, aliases: Sequence[str] = (), shelf: str | None = None) -> Entry:
        """Register `component` as `name`; see `register`."""
        entry = Entry(self.kind, _checked(name), component, shelf or _shelf_of(component), tuple(aliases))
        tier = self._near if entry.shelf in {PROJECT, SESSION} else self._installed
        for each in (name, *aliases):
            _refuse_other(tier, each, entry)
        for each in (name, *aliases):
            tier.register(each, func=entry)
        return entry

    def get(self, name: str) -> Entry:
        """The component called `name`; imports its module, and no other.

        Raises:
            UnknownName: there is none.
            BrokenComponent: its module cannot be imported.
        """
        entry = self._registered(self._near, name) or self._listed(name) or self._from_shelf(name)
        if (entry := entry or self.installed(name)) is None:
            raise UnknownName(self.kind, name, tuple(each for each in self.lookups() if each != name), unread())
        return entry

    def installed(self, name: str) -> Entry | None:
        """The component called `name` of an installed distribution, whatever the project has; None where there is none.

        Raises:
            BrokenComponent: its module cannot be imported.
            RegistrationError: several distributions provide it.
        """
        return self._registered(self._installed, name) or self._from_entry_point(name)

    def __contains__(self, name: str) -> bool:
        return name in self.lookups()

    def lookups(self) -> tuple[str, ...]:
        """Everything that `get` finds, sorted: the names, their aliases and dotted paths; imports no component."""
        entries = [entry for tier in (self._near, self._installed) for entry in tier.get_all().values()]
        aliases = {alias for entry in entries for alias in entry.aliases}
        if (listing := listed()) is not None:
            return tuple(sorted({*(entry.name for entry in entries), *aliases, *listing.lookups(self.kind)}))
        aliases.update(alias for shelf in _shelves for alias in shelf.aliases(self.kind))
        dotted = {point.dotted for point in entry_points(self.plural)}
        return tuple(sorted({*self.names(), *aliases, *dotted}))

    def names(self) -> tuple[str, ...]:
        """Every name, sorted; imports no component."""
        names = {entry.name for tier in (self._near, self._installed) for entry in tier.get_all().values()}
        if (listing := listed()) is not None:
            return tuple(sorted({*names, *listing.names(self.kind)}))
        for shelf in _shelves:
            names.update(shelf.names(self.kind))
        names.update(point.name for point in entry_points(self.plural))
        return tuple(sorted(names))

    def is_registered(self, name: str) -> bool:
        """Whether `name` is registered already, without loading anything."""
        return name in self._near or name in self._installed

    def of_shelf(self, shelf: str) -> tuple[str, ...]:
        """The names that a shelf has registered nearby so far, without aliases."""
        return tuple(sorted({entry.name for entry in self._near.get_all().values() if entry.shelf == shelf}))

    def forget(self, shelf: str) -> None:
        """Forget what a shelf registered nearby."""
        for name, entry in self._near.get_all().items():
            if entry.shelf == shelf:
                del catalogue.REGISTRY[STOCK, self.plural, name]

    def replaced(self, name: str) -> bool:
        """Whether the project's `name` hides an installed component of that name."""
        near = name in self._near or any(s.owner == PROJECT and name in s.names(self.kind) for s in _shelves)
        return near and (name in self._installed or any(p.name == name for p in entry_points(self.plural)))

    def _registered(self, tier: catalogue.Registry, name: str) -> Entry | None:
        found: Entry | None = tier.get(name) if name in tier else None
        return found

    def _listed(self, name: str) -> Entry | None:
        listing = listed()
        return listing.find(self.kind, name) if listing is not None else None

    def _from_shelf(self, name: str) -> Entry | None:
        for shelf in _shelves:
            if shelf.load(self.kind, name):
                return self._registered(self._near, name) or self._registered(self._installed, name)
        return None

    def _from_entry_point(self, name: str) -> Entry | None:
        points = [point for point in entry_points(self.plural) if name in {point.name, point.dotted}]
        if not points:
            return None
        if len({point.value for point in points}) > 1:
            both = " and ".join(f"{point.distribution} ({point.value})" for point in points)
            raise RegistrationError(f"the {self.kind} '{name}' is provided by {both}; uninstall one of them")
        entry = self._load(points[0])
        # Where the project replaces the name, the path still means the installed component, in a record too.
        return replace(entry, name=name) if name != entry.name and self.replaced(entry.name) else entry

    def _load(self, point: InstalledName) -> Entry:
        try:
            with loading(point.distribution):
                component = point.load()
        except Exception as error:
            raise BrokenComponent(self.kind, point.name, point.distribution, error) from error
        registered = self._registered(self._installed, point.name)
        return registered or self.add(point.name, component, shelf=point.distribution)


@dataclass(frozen=True)
class InstalledName:
    """A component's name in the metadata of an installed distribution."""

    name: str
    value: str
    distribution: str

    @property
    def package(self) -> str:
        """The package that the object's module lies in."""
        return self.value.partition(":")[0].partition(".")[0]

    @property
    def dotted(self) -> str:
        """The object's own path, by which a blueprint may also look it up: `torch.optim.AdamW`."""
        return self.value.replace(":", ".")

    def load(self) -> Any:
        """Import the object."""
        return EntryPoint(self.name, self.value, "hydrantic").load()


def entry_points(plural: str) -> tuple[InstalledName, ...]:
    """The names that installed distributions provide for a kind, read from their metadata alone."""
    return _installed_names().get(plural, ())


_names_cache: dict[str, tuple[InstalledName, ...]] | None = None


def _installed_names() -> dict[str, tuple[InstalledName, ...]]:
    global _names_cache  # noqa: PLW0603 -- read once per process; `forget_installed` renews it
    if _names_cache is None:
        found: dict[str, list[InstalledName]] = {}
        for group, name, value, distribution in (*_stock_names(), *_metadata_names()):
            found.setdefault(group.removeprefix("hydrantic_"), []).append(InstalledName(name, value, distribution))
        _names_cache = {plural: tuple(names) for plural, names in found.items()}
    return _names_cache


def forget_installed() -> None:
    """Read the installed distributions anew when they are next asked for."""
    global _names_cache  # noqa: PLW0603 -- see above
    _names_cache = None
    _unread.clear()


def _metadata_names() -> Iterator[tuple[str, str, str, str]]:
    in_checkout = _checkout() is not None
    seen: set[str] = set()
    for distribution in distributions():
        if "hydrantic_" not in (distribution.read_text("entry_points.txt") or ""):
            continue
        try:
            name, points = str(distribution.metadata["Name"]), distribution.entry_points
        except Exception as error:  # noqa: BLE001 -- written by others: reported where a name is missing, never fatal
            _unread.append(f"the metadata of {distribution} cannot be read ({type(error).__name__}: {error})")
            continue
        if name in seen or (name == STOCK and in_checkout):
            continue
        seen.add(name)
        for point in points:
            if point.group.startswith("hydrantic_"):
                yield point.group, point.name, point.value, name


_unread: list[str] = []


def unread() -> tuple[str, ...]:
    """What could not be read for names, and may hold further ones: each in a few words."""
    return (*_unread, *(each for shelf in _shelves for each in shelf.unread()))


def _stock_names() -> Iterator[tuple[str, str, str, str]]:
    # An editable install keeps the metadata of the day it was made; in a checkout pyproject.toml itself is read.
    if (pyproject := _checkout()) is None:
        return
    import tomllib

    table = tomllib.loads(pyproject.read_text("utf-8"))["project"].get("entry-points", {})
    for group, points in table.items():
        for name, value in points.items():
            yield group, name, value, STOCK


def _checkout() -> Path | None:
    root = Path(__file__).resolve().parent.parent
    pyproject = root / "pyproject.toml"
    return pyproject if (root / "registry").is_dir() and pyproject.is_file() else None


_loading: list[str] = []


@contextmanager
def loading(shelf: str) -> Iterator[None]:
    """What is registered meanwhile belongs to `shelf`, also classes that are defined elsewhere."""
    _loading.append(shelf)
    try:
        yield
    finally:
        _loading.pop()


_listings: list[Listing] = []


@contextmanager
def reading(listing: Listing) -> Iterator[None]:
    """Meanwhile the registries answer from the manifest where it tells all there is to know."""
    _listings.append(listing)
    try:
        yield
    finally:
        _listings.pop()


def listed() -> Listing | None:
    """The manifest that the registries answer from at present."""
    return _listings[-1] if _listings else None


_shelves: list[Shelf] = []


def add_shelf(shelf: Shelf) -> None:
    """Let the registries find the names of a project's shelf."""
    _shelves.append(shelf)


def remove_shelf(shelf: Shelf) -> None:
    """No longer look for names in a project's shelf; what is registered stays."""
    _shelves.remove(shelf)


def forget_project() -> None:
    """Forget everything that a project's modules registered."""
    for each in REGISTRIES.values():
        each.forget(PROJECT)


def source_of(component: Any) -> Source:
    """The file and line where a class or function is defined, or its module where there is no file."""
    try:
        file = inspect.getsourcefile(component)
        line = inspect.getsourcelines(component)[1]
    except (TypeError, OSError):
        return Source(label=f"{getattr(component, '__module__', '?')}.{getattr(component, '__qualname__', '?')}")
    return Source(Path(file) if file else None, line)


def _shelf_of(component: Any) -> str:
    module = str(getattr(component, "__module__", ""))
    if module == "registry" or module.startswith("registry."):
        return PROJECT
    if module.startswith("hydrantic."):
        return STOCK
    points = (point for of_kind in _installed_names().values() for point in of_kind if point.distribution != STOCK)
    provider = {point.package: point.distribution for point in points}.get(module.partition(".")[0])
    return provider or (_loading[-1] if _loading else SESSION)


def _refuse_other(tier: catalogue.Registry, name: str, entry: Entry) -> None:
    if name not in tier:
        return
    taken: Entry = tier.get(name)
    if taken.component is entry.component or _is_again(taken.component, entry.component):
        return
    raise RegistrationError(
        f"the {entry.kind} '{name}' is already registered: {taken.source}; the second is {entry.source}"
    )


def _is_again(taken: Any, component: Any) -> bool:
    """Whether a reloaded module or a notebook cell that is run again defines the same thing anew."""
    if _definition(taken) != _definition(component):
        return False
    module = sys.modules.get(component.__module__)
    # A module that is still being imported for the first time, and has the one already, defines two of one name.
    is_first_import = getattr(getattr(module, "__spec__", None), "_initializing", False)
    return not (is_first_import and vars(module).get(taken.__qualname__) is taken)


def _definition(component: Any) -> tuple[Any, ...]:
    return getattr(component, "__module__", None), getattr(component, "__qualname__", id(component))


def _checked(name: str) -> str:
    if not isinstance(name, str) or not name or name != name.strip() or any(char in name for char in "/\\${}:=,"):
        raise RegistrationError(f"{name!r} cannot be a component's name: use letters, digits, '_', '-' and '.'")
    return name


KINDS: Final[Mapping[str, str]] = {
    "model": "models",
    "loss": "losses",
    "metric": "metrics",
    "data": "data",
    "optimizer": "optimizers",
    "scheduler": "schedulers",
    "callback": "callbacks",
    "logger": "loggers",
    "layer": "layers",
    "launcher": "launchers",
    "sweeper": "sweepers",
    "sampler": "samplers",
    "pruner": "pruners",
}
"""Every kind of component, with the name of its registry."""

REGISTRIES: Final[Mapping[str, Registry]] = {kind: Registry(kind, plural) for kind, plural in KINDS.items()}


def registry(kind: str) -> Registry:
    """The registry of a kind, by its singular or plural name."""
    for singular, found in REGISTRIES.items():
        if kind in {singular, found.plural}:
            return found
    raise UnknownName("kind", kind, tuple(KINDS))


def register_model(name: str, *, aliases: Sequence[str] = ()) -> Callable[[C], C]:
    """Register a `torch.nn.Module` or a `hydrantic.model.Model` under a name."""
    return REGISTRIES["model"].register(name, aliases=aliases)


def register_loss(name: str, *, aliases: Sequence[str] = ()) -> Callable[[C], C]:
    """Register a loss: called with outputs and targets, returns a scalar tensor."""
    return REGISTRIES["loss"].register(name, aliases=aliases)


def register_metric(name: str, *, aliases: Sequence[str] = ()) -> Callable[[C], C]:
    """Register a metric: a `torchmetrics.Metric`, updated with outputs and targets."""
    return REGISTRIES["metric"].register(name, aliases=aliases)


def register_data(name: str, *, aliases: Sequence[str] = ()) -> Callable[[C], C]:
    """Register a data module: a `lightning.pytorch.LightningDataModule` that states its facts."""
    return REGISTRIES["data"].register(name, aliases=aliases)


def register_optimizer(name: str, *, aliases: Sequence[str] = ()) -> Callable[[C], C]:
    """Register an optimizer: called with `params`."""
    return REGISTRIES["optimizer"].register(name, aliases=aliases)


def register_scheduler(name: str, *, aliases: Sequence[str] = ()) -> Callable[[C], C]:
    """Register a learning-rate scheduler: called with `optimizer`."""
    return REGISTRIES["scheduler"].register(name, aliases=aliases)


def register_callback(name: str, *, aliases: Sequence[str] = ()) -> Callable[[C], C]:
    """Register a `lightning.pytorch.Callback`."""
    return REGISTRIES["callback"].register(name, aliases=aliases)


def register_logger(name: str, *, aliases: Sequence[str] = ()) -> Callable[[C], C]:
    """Register a `lightning.pytorch.loggers.Logger`."""
    return REGISTRIES["logger"].register(name, aliases=aliases)


def register_layer(name: str, *, aliases: Sequence[str] = ()) -> Callable[[C], C]:
    """Register a building block of networks: an activation, a normalisation, a layer."""
    return REGISTRIES["layer"].register(name, aliases=aliases)


def register_launcher(name: str, *, aliases: Sequence[str] = ()) -> Callable[[C], C]:
    """Register a `hydrantic.Launcher`: what runs the jobs of a sweep."""
    return REGISTRIES["launcher"].register(name, aliases=aliases)


def register_sweeper(name: str, *, aliases: Sequence[str] = ()) -> Callable[[C], C]:
    """Register a `hydrantic.Sweeper`: what chooses the jobs of a sweep."""
    return REGISTRIES["sweeper"].register(name, aliases=aliases)


def register_sampler(name: str, *, aliases: Sequence[str] = ()) -> Callable[[C], C]:
    """Register a sampler of a study, such as those of Optuna."""
    return REGISTRIES["sampler"].register(name, aliases=aliases)


def register_pruner(name: str, *, aliases: Sequence[str] = ()) -> Callable[[C], C]:
    """Register a pruner of a study, such as those of Optuna."""
    return REGISTRIES["pruner"].register(name, aliases=aliases)

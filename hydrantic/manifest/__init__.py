"""The manifest: what there is to know of every component, kept in the user's cache so that nothing need be imported.

It has a part for the installed shelves and one for each project's, renewed when a component's file, hydrantic itself or
an installed version changes, or what a project's modules looked at when they were imported: further modules, files that
they read, environment variables that they asked for. What else a module goes by (the folders that it lists, the files
that it only looks for, the clock, the network) is not watched. The manifest holds plain data and can only misinform: a
run reads the components themselves.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property, lru_cache
from operator import is_not
from pathlib import Path
from threading import Timer
from typing import IO, TYPE_CHECKING, Any, Final

from hydrantic.digests import digest, digest_of
from hydrantic.errors import UsageError
from hydrantic.forms import are_fields
from hydrantic.imports import import_lightning
from hydrantic.manifest.descriptions import Description
from hydrantic.manifest.watching import digest_of_variable
from hydrantic.project import STOCK_SHELF, Project, ProjectShelf, open_shelf
from hydrantic.registries import KINDS, Entry
from hydrantic.rundir import write_atomically
from hydrantic.source import display

if TYPE_CHECKING:
    from hydrantic.hparams import Hparams

FORMAT: Final = 3
KEPT: Final = 32
"""How many parts the cache keeps; the oldest go."""
PATIENCE: Final = 300
"""Seconds after which a process that describes a shelf is given up."""
_HERE: Final = Path(__file__).resolve().parent.parent
Part = Mapping[str, Any]


class Manifest:
    """The components of a project and of the installed shelves; the project's hide installed ones of their name."""

    def __init__(self, parts: tuple[Part, ...]) -> None:
        self.parts = parts

    @cached_property
    def _described(self) -> tuple[Mapping[str, Mapping[str, Description]], ...]:
        return tuple(_by_kind(part) for part in self.parts)

    @cached_property
    def trainer(self) -> type[Hparams]:
        """The Hparams of the section `trainer`."""
        from hydrantic.spec import hparams_from

        return hparams_from("TrainerHparams", self.trainer_fields)

    @property
    def trainer_fields(self) -> Mapping[str, Mapping[str, Any]]:
        """The fields of the section `trainer`, in the form of `hydrantic.forms`."""
        fields: Mapping[str, Mapping[str, Any]] = self.parts[-1]["trainer"]
        return fields

    @property
    def sections(self) -> Mapping[str, Mapping[str, Any]]:
        """The sections of a blueprint as fields; `wiring` holds what blocks have beside their component's own."""
        fields: Mapping[str, Mapping[str, Any]] = self.parts[-1]["sections"]
        return fields

    def all(self, kind: str) -> tuple[Description, ...]:
        """The components of a kind by name, without those that a project's hide."""
        found = {each.name: each for part in reversed(self._described) for each in part[kind].values()}
        return tuple(found[name] for name in sorted(found))

    def named(self, kind: str, name: str) -> Description | None:
        """What is known of the component called `name`."""
        for part in self._described:
            for each in part[kind].values():
                if name in each.lookups:
                    return each
        return None

    def hidden(self, kind: str, name: str) -> Description | None:
        """The installed component that the project's `name` hides, if it does."""
        found = self.named(kind, name)
        installed = self._described[-1][kind].get(name)
        return installed if found is not None and found is not installed else None

    def names(self, kind: str) -> tuple[str, ...]:
        """Every name, sorted."""
        return tuple(each.name for each in self.all(kind))

    def lookups(self, kind: str) -> tuple[str, ...]:
        """Every name, alias and dotted path, sorted."""
        return tuple(sorted({each for part in self._described for d in part[kind].values() for each in d.lookups}))

    def find(self, kind: str, name: str) -> Entry | None:
        """The component called `name`, not imported; None where there is none or only its own code can tell."""
        found = self.named(kind, name)
        if found is None:
            return None
        if found.broken or not found.told or not found.can_judge:
            import_lightning()  # its module will want it, and this is the quick way
            return None
        # Where the project replaces the name, the path still means the installed component, in a record too.
        shown = name if name in found.dotted and self.hidden(kind, found.name) is found else found.name
        return Entry(kind, shown, None, found.shelf, found.aliases, found)


def _by_kind(part: Part) -> Mapping[str, Mapping[str, Description]]:
    found: dict[str, dict[str, Description]] = {kind: {} for kind in KINDS}
    for plain in part["components"]:
        found[plain["kind"]][plain["name"]] = Description.from_plain(plain)
    return found


def fresh(project: Project) -> Manifest | None:
    """The manifest as it was kept, or None where a part of it is missing or out of date."""
    parts = [_kept(key) for _, key in _keys(project)]
    found = tuple(part for part in parts if part is not None)
    return _of(found) if len(found) == len(parts) else None


def latest(project: Project) -> Manifest | None:
    """The manifest as it was last kept, be it out of date; None where the installed shelves were never described."""
    parts = {what: _kept(key) or _kept_before(key) for what, key in _keys(project)}
    found = tuple(part for part in parts.values() if part is not None)
    return None if parts["installed"] is None else Manifest(found)


def keys(project: Project) -> tuple[str, ...]:
    """What the parts of a project's manifest are kept under as things stand."""
    return tuple(key for _, key in _keys(project))


def was_described(project: Project) -> bool:
    """Whether the project's own components, if it has any, were ever imported to be described."""
    return all(_states(key) for what, key in _keys(project) if what == "project")


def current(project: Project) -> Manifest:
    """The manifest of a project; a part that is missing or out of date is made anew, which takes seconds."""
    return _of(tuple(_kept(key) or _renewed(what, key, project) for what, key in _keys(project)))


_last: list[Manifest] = []


def _of(parts: tuple[Part, ...]) -> Manifest:
    """The manifest with these parts: the last one where it has the same, so that nothing is derived from them twice."""
    if not _last or len(_last[0].parts) != len(parts) or any(map(is_not, _last[0].parts, parts)):
        _last[:] = [Manifest(parts)]
    return _last[0]


def _keys(project: Project) -> Iterator[tuple[str, str]]:
    """The parts that a project's manifest consists of, each with the key it is kept under."""
    environment = _environment(project)
    shelf = project.shelf
    if shelf is not None and not (STOCK_SHELF.is_dir() and shelf.samefile(STOCK_SHELF)):
        content = digest(str(project.root).encode(), *_contents(shelf))
        yield "project", _key("project", project.root, digest(environment.encode(), content.encode()))
    yield "installed", _key("installed", f"{_HERE} {sys.prefix}", environment)


def _key(what: str, place: object, state: str) -> str:
    """The key of a part: it begins with the place that is described and ends with the state that this is in."""
    return f"{what}-{digest(f'{FORMAT} {place}'.encode('utf-8', 'surrogateescape'))[:8]}-{state}"


def _environment(project: Project) -> str:
    """A digest of everything that the description of an installed component depends on."""
    stock = STOCK_SHELF if STOCK_SHELF.is_dir() else _HERE / "registry"
    pyproject = _HERE.parent / "pyproject.toml"
    own = pyproject.read_bytes() if stock == STOCK_SHELF and pyproject.is_file() else b""
    python = f"{FORMAT} {sys.version} {sys.platform}".encode()
    return digest(python, own, *_contents(_HERE), *_contents(stock), *_installed(project))


def _contents(folder: Path) -> Iterator[bytes]:
    """The relative path and the content of every Python file in a folder."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith((".", "__pycache__")))
        for name in sorted(files):
            file = os.path.join(place, name)  # noqa: PTH118 -- a hundred files on every start
            if name.endswith(".py") and os.path.isfile(file):  # noqa: PTH113 -- as above
                yield os.path.relpath(file, folder).encode("utf-8", "surrogateescape")
                with suppress(OSError), open(file, "rb") as opened:  # noqa: PTH123 -- as above
                    yield opened.read()


def _installed(project: Project) -> Iterator[bytes]:
    """What is installed: the metadata folders on `sys.path`, whose names hold the versions, and when they were made."""
    for place in sorted(_path(project)):
        if os.path.isfile(place):  # noqa: PTH113 -- as text; modules may lie in a zip
            yield f"{place} {os.stat(place).st_mtime_ns}".encode()  # noqa: PTH116 -- as above
        with suppress(OSError), os.scandir(place) as entries:
            found = [each for each in entries if each.name.endswith((".dist-info", ".egg-info", ".egg-link"))]
            yield from sorted(f"{each.path} {each.stat().st_mtime_ns}".encode() for each in found)


def _path(project: Project) -> tuple[str, ...]:
    """Where installed modules are searched; what is not there stands on `sys.path` only for who stands here."""
    root = "" if project.root is None else str(project.root)
    here = {"", root, os.getcwd()}  # noqa: PTH109 -- as text, as `sys.path` has it
    return tuple(place for place in dict.fromkeys(sys.path) if place not in here)


def cache_folder() -> Path:
    """Where the manifest is kept: HYDRANTIC_CACHE, or a folder in the user's own cache."""
    if chosen := os.environ.get("HYDRANTIC_CACHE"):
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("hydrantic")


def _kept(key: str) -> Part | None:
    """A part as it was kept; None where it is not there, torn, or something that it depends on has changed."""
    try:
        part = _read(cache_folder() / f"{key}.json")
    except RuntimeError:  # there is no home folder
        return None
    if part is None:
        return None
    files = all(digest_of(Path(file)) == said for file, said in part["dependencies"].items())
    return part if files and all(digest_of_variable(v) == said for v, said in part["variables"].items()) else None


def _read(file: Path) -> Part | None:
    """The part in a file, or None where it is not there, torn or something else."""
    try:
        part = _parsed(file.read_bytes())
        return part if part is not None and _is_sound(part, file.name.partition("-")[0]) else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


@lru_cache(maxsize=2)
def _parsed(content: bytes) -> Part | None:
    said, _, body = content.partition(b"\n")
    part: Part = json.loads(body) if said.decode() == digest(body) else {}
    return part if "components" in part else None


_TEXTS: Final = ("kind", "name", "shelf", "summary", "doc", "title", "broken")
_SETTINGS: Final = ("trainer", "sections")


def _is_sound(part: Part, what: str) -> bool:
    """Whether a part has the form of one: whoever can write to the cache can misinform, and no more.

    Raises:
        LookupError, TypeError, AttributeError: it has another form.
    """
    components = part["components"]
    settings = [part[each] for each in _SETTINGS] if what == "installed" else []
    texts = (value for name in ("dependencies", "variables") for pair in part[name].items() for value in pair)
    return (
        all(isinstance(value, str) for value in (*texts, *(c[name] for c in components for name in _TEXTS)))
        and all(c["kind"] in KINDS and Description.from_plain(c).judged.keys() for c in components)
        and all(are_fields(each) for each in (*(c["fields"] for c in components), *settings))
    )


def _states(key: str) -> list[Path]:
    """The files that hold the part of the key's place in any state, the oldest first."""
    try:
        found = list(cache_folder().glob(f"{key.rpartition('-')[0]}-*.json"))
        return sorted(found, key=lambda file: file.stat().st_mtime)
    except (OSError, RuntimeError):
        return []


def _kept_before(key: str) -> Part | None:
    """The last part that was kept of the key's place, although something that it depends on has changed."""
    return next((part for file in reversed(_states(key)) if (part := _read(file)) is not None), None)


def _keep(key: str, part: Part) -> None:
    """Keep a part for the next time; a folder that cannot be written only means that it is made again then."""
    body = json.dumps(part).encode()
    with suppress(OSError, RuntimeError):
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(folder / f"{key}.json", digest(body).encode() + b"\n" + body)
        by_age = sorted(folder.glob("*-*.json"), key=lambda file: file.stat().st_mtime)
        for old in by_age[:-KEPT]:
            old.unlink(missing_ok=True)


def _renewed(what: str, key: str, project: Project) -> Part:
    part = _described_apart(what, project)
    if part is None:  # such as where no further process may be started
        part = _described_here(what, project)
    _keep(key, part)
    return part


def _described_here(what: str, project: Project) -> Part:
    from hydrantic.manifest.describing import describe_installed, describe_project

    return describe_installed() if what == "installed" else describe_project(_shelf(project))


def _shelf(project: Project) -> ProjectShelf:
    assert project.shelf is not None  # there is no key for it otherwise
    return open_shelf(project.shelf)


def _described_apart(what: str, project: Project) -> Part | None:
    """The part as a process of its own describes it; None where that does not come to an end."""
    code = (
        f"import sys; sys.path.insert(0, {str(_HERE.parent)!r})\nfrom hydrantic.manifest.describing import main; main()"
    )
    # -P: the folder that a person stands in is no place to import from.
    command = [sys.executable, "-P", "-c", code, what, str(project.root), json.dumps(_path(project))]
    try:
        process = subprocess.Popen(  # noqa: S603 -- this very program
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8"
        )
    except OSError:
        return None
    with process:
        timer = Timer(PATIENCE, process.kill)
        timer.start()
        try:
            return _answered(process.stdout, what)
        except ValueError:  # it died within a line
            return None
        except _NoAnswer as stuck:
            if timer.is_alive():
                return None
            raise UsageError(f"{_whose(what, project)} cannot be read: {stuck}") from None
        finally:
            timer.cancel()
            process.kill()


class _NoAnswer(Exception):
    """A process that describes a shelf has ended without an answer; the text says what kept it."""


def _whose(what: str, project: Project) -> str:
    folder = None if what == "installed" else project.shelf
    return "what is installed" if folder is None else f"the components in {display(folder)}"


def _answered(answers: IO[str] | None, what: str) -> Part:
    from tqdm import tqdm

    last = "a module"
    about = "reading the components of " + ("what is installed" if what == "installed" else "this project")
    bar = tqdm(desc=about, delay=1, leave=False, disable=None, bar_format="{desc}: {n_fmt}/{total_fmt}")
    with bar:
        for line in answers or ():
            answer = json.loads(line)
            if "part" in answer:  # not read to the end, which another process may hold open that a module started
                part: Part = answer["part"]
                return part
            last = f"the module of the {answer['next']}"
            bar.total, bar.n = answer.get("of", bar.total), answer.get("done", bar.n)
            bar.refresh() if bar.total else None
    raise _NoAnswer(f"importing {last} took more than {PATIENCE} seconds")

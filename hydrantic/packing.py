"""Packing a blueprint or a run into one file, and telling at the receiver's what is missing there or differs."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from hydrantic.blueprint import Packed, PackedComponent, PackedName, PackedVersion
from hydrantic.checking import Blueprintlike, Overrides, check
from hydrantic.components import Component
from hydrantic.document import Document
from hydrantic.errors import HydranticError, UsageError
from hydrantic.finding import Found, find_run
from hydrantic.identity import Identity, components_of, files_of, identities_of, in_words, key, within
from hydrantic.manifest import current
from hydrantic.plan import Plan
from hydrantic.problems import Problem, Problems
from hydrantic.project import Project
from hydrantic.registries import KINDS, PROJECT, SESSION, STOCK, Entry, reading, registry
from hydrantic.requirements import asked_for, compatible, extras_of, installed_version, same_version
from hydrantic.rundir import source_hashes, versions, write_atomically
from hydrantic.source import KeyPath, display, dotted
from hydrantic.static_imports import definition_at, imported_files
from hydrantic.texts import on_one_line, visible
from hydrantic.yaml_text import to_commented_yaml


@dataclass(frozen=True)
class Parcel:
    """A blueprint as one file for somebody else."""

    text: str
    """The file's content."""
    blueprint: Mapping[str, Any]
    """The same as plain data."""
    notes: tuple[str, ...]
    """What the file cannot bring along, a line each."""


def pack(
    what: Blueprintlike,
    overrides: Overrides = (),
    *,
    project: str | Path | None = None,
    output: str | Path | None = None,
    overwrite: bool = False,
) -> Parcel:
    """Write a blueprint, or that of a run, as one file: resolved, with what its components are and come from.

    Arguments:
        what: a blueprint's YAML file, one made in Python, or a run's directory or checkpoint.
        overrides: `key=value` and the like, as on the command line; or a mapping of keys to values.
        project: whose components may be used; by default the project that holds the working directory.
        output: the file; nothing is written by default.
        overwrite: whether a file that is there already is replaced.

    Raises:
        BlueprintError: the blueprint has problems.
        UsageError: there is no such run, or the file is there already or cannot be written.
    """
    file = None if output is None else Path(output)
    if file is not None and not overwrite and (file.exists() or file.is_symlink()):
        raise UsageError(f"{display(file)} is there already; choose another name, or let it be replaced: --force")
    parcel = _Packing.of(what, overrides, Project.find(explicit=None if project is None else Path(project))).parcel(
        Path(os.path.abspath("." if file is None else file.parent))  # noqa: PTH100 -- Path.absolute keeps `..`
    )
    if file is not None:
        try:
            write_atomically(file, parcel.text)
        except OSError as error:
            raise UsageError(f"{display(file)} cannot be written: {error.strerror or error}") from error
    return parcel


@dataclass(frozen=True)
class _Packing:
    """What is packed: a plan, and the record of the run that it is from."""

    plan: Plan
    project: Project
    run: Mapping[str, Any]
    """What the section says of the run; empty where there is none."""
    record: Mapping[str, Any]
    trained: Mapping[str, Identity]
    """What the components were when the run was made."""

    @classmethod
    def of(cls, what: Blueprintlike, overrides: Overrides, project: Project) -> _Packing:
        if isinstance(what, Mapping) or _is_blueprint(Path(what)):
            return cls(check(what, overrides, project=project), project, {}, {}, {})
        found = find_run(what)
        if found.note is not None:
            print(found.note, file=sys.stderr)
        blueprint, trained = _blueprint_of(found)
        plan = check(blueprint, overrides, project=project)
        if overrides or found.directory is None:  # then it is no longer the blueprint of that run
            return cls(plan, project, {}, {}, {})
        return cls(plan, project, _run(found), found.record, trained)

    def parcel(self, folder: Path) -> Parcel:
        """The file, as it lies in a folder."""
        plain = self.plan.complete()
        elsewhere = _place(plain, _files_read(self.plan, plain), folder)
        used = _components(self.plan)
        trained = {name: each for name, each in self.trained.items() if isinstance(each, Mapping)}
        known = {**identities_of(each.entry for each in used), **trained}
        own = self._own(used)
        plain["requires"] = self._requires(used, known, plain)
        plain["packed"] = self._packed(known, own)
        comments = {path: f"set this to where {file.name} lies on your machine" for path, file in elsewhere.items()}
        text = self._header(own) + to_commented_yaml(plain, comments)
        return Parcel(text, plain, tuple(_notes(elsewhere, own)))

    def _header(self, own: Mapping[str, _OwnFiles]) -> str:
        origin = f" from the run {self.run['id']}" if self.run else ""
        lines = [
            f"Packed by hydrantic {versions()[STOCK]}{origin}.",
            "`hydrantic check` on this file says what is missing or differs where you are, `hydrantic fit` trains it.",
            *(f"{name} is the sender's own: it needs {each} in the folder registry/." for name, each in own.items()),
        ]
        return "".join(f"# {visible(on_one_line(line))}\n" for line in lines)

    def _own(self, components: Iterable[Component[Any]]) -> dict[str, _OwnFiles]:
        """Where each component of the project's own is defined, as seen from its root, and what of that it imports."""
        own = [each for each in components if each.entry.shelf in {PROJECT, SESSION}]
        root = (self.project.root or Path.cwd()).resolve()
        files = {name: file.resolve() for name, file in files_of(own).items()}
        return {key(each): _OwnFiles.of(files.get(key(each)), root) for each in own}

    def _versions(self) -> dict[str, str]:
        recorded = self.record.get("versions")
        known: Mapping[Any, Any] = recorded if isinstance(recorded, Mapping) else versions()
        return {name: said for name, said in known.items() if _is_version_of(name, said)}

    def _requires(
        self, components: Iterable[Component[Any]], known: Mapping[str, Identity], plain: Mapping[str, Any]
    ) -> list[str]:
        """What the blueprint required, and the distributions of its components where it did not."""
        wanted: dict[str, set[str]] = {STOCK: set()}
        releases: dict[str, str] = {STOCK: self._versions().get(STOCK, "0")}
        for each in components:
            said = known[key(each)]
            if isinstance(name := said.get("distribution"), str) and isinstance(release := said.get("version"), str):
                releases.setdefault(name, release)
                wanted.setdefault(name, set())
            if each.entry.shelf not in {PROJECT, SESSION}:
                wanted.setdefault(each.entry.shelf, set()).update(_extras(each.entry))
        written = [(text, *asked_for(text)) for text in plain["requires"]]
        for name in wanted:
            wanted[name] |= {extra for _, asked, extras in written if asked == asked_for(name)[0] for extra in extras}
        made = [compatible(name, releases[name], extras) for name, extras in wanted.items() if name in releases]
        names = {asked_for(name)[0] for name in releases}
        return [*made, *(text for text, asked, _ in written if asked not in names)]

    def _packed(self, known: Mapping[str, Identity], own: Mapping[str, _OwnFiles]) -> dict[str, Any]:
        data = self.record.get("data")
        said = {
            "format": 1,
            "when": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "versions": self._versions(),
            **({"data": data} if isinstance(data, str) else {}),
            **({"run": dict(self.run)} if self.run else {}),
            "components": {name: _component(each, own.get(name, _OwnFiles())) for name, each in sorted(known.items())},
        }
        return {name: _without_interpolations(each) for name, each in said.items()}


def _is_version_of(name: Any, said: Any) -> bool:
    """Whether a record tells the version of a distribution, as what was packed may hold it."""
    try:
        _VERSIONS.validate_python({name: said})
    except ValidationError:
        return False
    return True


_VERSIONS: Final = TypeAdapter(dict[PackedName, PackedVersion])


@dataclass(frozen=True)
class _OwnFiles:
    """Where a component of the sender's own is defined."""

    file: str | None = None
    imports: Mapping[str, str] = field(default_factory=dict)
    """The sha256 of each further file of the project that it imports."""

    @classmethod
    def of(cls, file: Path | None, root: Path) -> _OwnFiles:
        if file is None:
            return cls("a session of Python")
        if not file.is_relative_to(root):
            return cls(file.name)
        further = imported_files(file, root / "registry")
        return cls(_told(file, root), source_hashes({_told(each, root): each for each in further}))

    def __str__(self) -> str:
        return " and ".join([str(self.file), *self.imports])


def _told(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix()


def _component(identity: Identity, own: _OwnFiles) -> dict[str, Any]:
    said = {
        "distribution": identity.get("distribution"),
        "version": identity.get("version"),
        "file": own.file,
        "source_hash": identity.get("source"),
        "imports": dict(own.imports) or None,
        "schema_hash": identity.get("schema"),
    }
    present = {name: value for name, value in said.items() if value is not None}
    return present | {"fields": in_words(identity.get("fields"))}


def _without_interpolations(value: Any) -> Any:
    """The value, in whose texts nothing looks like an interpolation: what a record tells is no part of a blueprint."""
    if isinstance(value, Mapping):
        return {_without_interpolations(name): _without_interpolations(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_interpolations(part) for part in value]
    return _uninterpolated(value) if isinstance(value, str) else value


def _uninterpolated(text: str) -> str:
    return text.replace("${", "$ {")


def _components(plan: Plan) -> tuple[Component[Any], ...]:
    """Every component of a plan, those that say how it is swept among them."""
    hydra = plan.blueprint.hydra
    return (*components_of(plan), *within([plan.sweep, {} if hydra is None else hydra]))


def _is_blueprint(path: Path) -> bool:
    return path.suffix.lower() in {".yaml", ".yml"} or not (path.exists() or path.suffix == ".ckpt")


def _blueprint_of(found: Found) -> tuple[Blueprintlike, Mapping[str, Identity]]:
    """The blueprint of a run, and what its components were; empty where it kept no checkpoint."""
    try:
        kept = found.best
    except UsageError:
        kept = None
    if kept is not None:  # what was trained, whatever has been written into blueprint.yaml since
        from hydrantic.contents import read

        _, contents = read(kept)
        return dict(contents.blueprint), contents.components
    file = None if found.directory is None else found.directory / "blueprint.yaml"
    if file is None or not file.is_file():
        raise UsageError(f"the run in {found.label} has no blueprint.yaml and kept no weights: nothing to pack")
    return file, {}


def _run(found: Found) -> dict[str, Any]:
    assert found.directory is not None  # a checkpoint alone tells nothing of its run
    place = found.directory.resolve()
    name = f"{place.parent.name}/{place.name}" if place.name.isdecimal() else place.name  # the job of a sweep
    said = {"id": name, "status": str(found.record.get("status"))}
    metrics = {name: found.record.get(name) for name in ("metrics", "best_metrics")}
    return said | {name: dict(each) for name, each in metrics.items() if isinstance(each, Mapping)}


def _place(plain: dict[str, Any], files: Iterable[tuple[KeyPath, Path]], folder: Path) -> dict[KeyPath, Path]:
    """Write paths below a folder relative to it; those that lie elsewhere, by the path of their field."""
    elsewhere = {}
    for path, file in files:
        if file.is_relative_to(folder):
            _put(plain, path, file.relative_to(folder).as_posix())
        else:
            _put(plain, path, str(file))
            elsewhere[path] = file
    return elsewhere


def _notes(elsewhere: Mapping[KeyPath, Path], own: Mapping[str, _OwnFiles]) -> Iterator[str]:
    for path, file in elsewhere.items():
        yield f"{dotted(path)} is {file}, which does not lie below the packed file: it has to be set there"
    for name, each in own.items():
        these = "that file" if not each.imports else "those files"
        yield f"{name} comes from {each}, which {'is' if not each.imports else 'are'} yours alone: send {these} along"


def _files_read(plan: Plan, plain: Mapping[str, Any]) -> list[tuple[KeyPath, Path]]:
    """Each file or folder that a component of a plan reads, by the path of its field; none that a variable gives."""
    found = [each for path, component in plan.components.items() for each in _paths(component, path)]
    # A blueprint may write `../data`: what lies below a folder shows only without that.
    return [(path, Path(os.path.normpath(file))) for path, file in found if _get(plain, path) == str(file)]


def _paths(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Path]]:
    if isinstance(value, Component):
        yield from _paths(value.hparams, path)
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from _paths(part, (*path, str(name)))
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _paths(part, (*path, index))
    elif isinstance(value, Path) and value.is_absolute():  # one to write is relative to the run
        yield path, value


def _get(plain: Any, path: KeyPath) -> Any:
    for part in path:
        try:
            plain = plain[part]
        except (LookupError, TypeError):
            return None
    return plain


def _put(plain: dict[str, Any], path: KeyPath, value: Any) -> None:
    _get(plain, path[:-1])[path[-1]] = value


def _extras(entry: Entry) -> set[str]:
    """The extras of its distribution that a component needs: what its definition names or imports."""
    source = entry.source
    if source.file is None or entry.shelf in {PROJECT, SESSION}:
        return set()
    known = extras_of(entry.shelf)
    if not known:
        return set()
    try:
        text = source.file.read_text("utf-8")
        definition, imported = definition_at(text, source.line)
    except (OSError, ValueError, SyntaxError):
        return set()
    named = {
        each
        for found in re.findall(rf"\b{re.escape(entry.shelf)}\[([\w,-]+)\]", definition)
        for each in found.split(",")
    }
    needed = {extra for extra, texts in known.items() if len(texts) < _MANY and imported & set(map(_module, texts))}
    return (named & known.keys()) | needed


_MANY: Final = 4
"""How many requirements an extra has at least that is a collection, such as one for tests."""


def _module(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement)[0].replace("-", "_").lower()


# At the receiver's.


def notes_on(
    document: Document, project: Project, plan: Plan | None = None, fingerprint: str | None = None
) -> tuple[Problem, ...]:
    """What differs here from where a blueprint was packed, although it may well run; nothing where it was not packed.

    Arguments:
        document: the blueprint, with its section `packed`.
        project: whose components may be used.
        plan: the plan that was made of it; None where it has problems.
        fingerprint: that of the data, where it was read.
    """
    node = document.find(("packed",))
    try:
        packed = None if node is None or node.value is None else Packed.from_dict(node.plain())
    except (ValidationError, ValueError, TypeError):  # reported as a problem
        return ()
    if packed is None:
        return ()
    used = None if plan is None else {key(each) for each in _components(plan)}
    with reading(current(project)):
        return tuple(_Receiver(document, packed, project, used, fingerprint).notes())


@dataclass(frozen=True)
class _Receiver:
    """What was packed, beside what there is here."""

    document: Document
    packed: Packed
    project: Project
    used: set[str] | None
    fingerprint: str | None

    def notes(self) -> Problems:
        found = Problems()
        self._compare_versions(found)
        for name, before in self.packed.components.items():
            if self.used is not None and name not in self.used:
                continue
            after = _here(name)
            if after is not None:
                self._compare(name, before, after, found)
            self._compare_imports(name, before, found)
        if None not in {self.fingerprint, self.packed.data} and self.fingerprint != self.packed.data:
            self._note(found, "packed-data", ("data",), packed=self.packed.data, present=self.fingerprint)
        return found

    def _note(self, found: Problems, code: str, path: KeyPath, **facts: Any) -> None:
        whole: KeyPath = ("packed", *path)
        found.add(code, self.document.key_source(whole), whole, **facts)

    def _compare_versions(self, found: Problems) -> None:
        own = {each.distribution: each.version for each in self.packed.components.values()}
        places: dict[str, KeyPath] = {name: ("versions", name) for name in self.packed.versions}
        for name, each in self.packed.components.items():
            if each.distribution is not None:
                places.setdefault(each.distribution, ("components", name, "version"))
        known = {name: version for name, version in own.items() if name is not None} | self.packed.versions
        for name, path in places.items():
            before = known[name]
            after = platform.python_version() if name == "python" else installed_version(name)
            if before is not None and after is not None and not same_version(before, after):
                self._note(found, "packed-version", path, name=name, packed=before, present=after)

    def _compare(self, name: str, before: PackedComponent, after: tuple[Entry, Identity], found: Problems) -> None:
        entry, identity = after
        path: KeyPath = ("components", name)
        place = entry.source if entry.source.file is not None else None
        if before.distribution != identity["distribution"]:
            facts = {"packed": before.distribution, "version": before.version, "present": identity["distribution"]}
            self._note(found, "packed-origin", (*path, "distribution"), name=name, place=str(place or ""), **facts)
        if before.schema_hash not in {None, identity["schema"]}:
            said = _changed_fields(before.fields, in_words(identity["fields"]))
            self._note(found, "packed-fields", (*path, "schema_hash"), name=name, changes=said)
        same_release = before.version is None or before.version == identity["version"]
        if same_release and before.source_hash not in {None, identity["source"]}:
            facts = {"file": before.file, "present": str(place or ""), "hash": str(before.source_hash)[:12]}
            self._note(found, "packed-source", (*path, "source_hash"), name=name, **facts)

    def _compare_imports(self, name: str, before: PackedComponent, found: Problems) -> None:
        for said, sha in before.imports.items():
            present = self._own_source(said)
            if present != sha:
                facts = {"name": name, "file": said, "is_here": present is not None, "hash": sha[:12]}
                self._note(found, "packed-import", ("components", name, "imports", said), **facts)

    def _own_source(self, said: str) -> str | None:
        """The sha256 of a file of the receiver's own shelf; None where there is none, or it says another place."""
        if self.project.shelf is None:
            return None
        folder = self.project.shelf.resolve()
        try:
            file = (folder.parent / said).resolve()
            return source_hashes({said: file}).get(said) if file.is_relative_to(folder) else None
        except (OSError, RuntimeError, ValueError):  # no file can have that name, or it is a link to itself
            return None


def _changed_fields(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    gone = [f"no field '{name}' here" for name in before if name not in after]
    new = [f"the field '{name}' is new ({after[name]})" for name in after if name not in before]
    changed = [name for name in before if name in after and before[name] != _uninterpolated(after[name])]
    return (*gone, *new, *(f"'{name}' was [{before[name]}], and is [{after[name]}] here" for name in changed))


def _here(name: str) -> tuple[Entry, Identity] | None:
    """The component of that kind and name that there is here, if any."""
    kind, _, own = name.partition("/")
    if kind not in KINDS:
        return None
    try:
        entry = registry(kind).get(own)
        return entry, identities_of([entry])[key(entry)]
    except HydranticError:  # reported where the blueprint chooses it
        return None

"""Where each value of a blueprint came from: who set it, what that replaced, and what it may be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final

from hydrantic.components import hparams_of
from hydrantic.document import REMEMBERED, Document, Node, is_reference
from hydrantic.errors import HydranticError
from hydrantic.forms import Field, Fields, Type, below, held, members, takes_auto
from hydrantic.hparams import AUTO
from hydrantic.manifest import Manifest, current
from hydrantic.plan import GROUPS, Plan
from hydrantic.planning import DEFAULT_EPOCHS
from hydrantic.project import Project
from hydrantic.registries import Entry, reading, registry
from hydrantic.sections import COMPONENTS, LABELLED, kind_of
from hydrantic.source import KeyPath, Source, display
from hydrantic.spec import fields_of


@dataclass(frozen=True, slots=True)
class Layer:
    """A value that somebody wrote: where, at which path of the document, and the interpolation that it was written as.

    What an override removed has a layer too, at the override.
    """

    value: Any
    source: Source
    path: KeyPath
    written: str = ""

    @property
    def removes(self) -> bool:
        """Whether it took out what was there before."""
        return self.source.label.startswith("command line: ~")

    @property
    def record(self) -> dict[str, Any]:
        """Where it was written, for a program to read."""
        source, written = self.source, {"written": self.written} if self.written else {}
        if source.file is not None:
            place = {"file": display(source.file), "line": source.line, "column": source.column}
            return {"origin": "file"} | place | written
        label, _, text = source.label.partition(": ")
        return {"origin": label, "override": text} | written if text else {"origin": label} | written


@dataclass(frozen=True, slots=True)
class Setting:
    """One value of a complete blueprint: a section, a field, or a part of one.

    `layers` holds what was written for it, the newest first; where `is_set` is false, none of that is left. Those of a
    component are its name's. `known` is what is known of the field, and `owner` the component or section that has it.
    """

    path: KeyPath
    value: Any
    layers: tuple[Layer, ...] = ()
    is_set: bool = False
    known: Field = field(default_factory=dict)
    owner: str = ""
    entry: Entry | None = None
    parts: Mapping[str, Setting] = field(default_factory=dict)

    @property
    def set_by(self) -> Layer | None:
        """What was written last, and holds; None where nobody set the value."""
        return self.layers[0] if self.is_set else None

    @property
    def replaced(self) -> tuple[Layer, ...]:
        """What was written before and holds no more, the newest first."""
        return self.layers[1:] if self.is_set else self.layers

    @property
    def component(self) -> str | None:
        """The name of the component that it is, where it is one."""
        return str(self.value["name"]) if self.entry is not None else None

    @property
    def is_supplied(self) -> bool:
        """Whether the data supplies the value, or has done so where it was asked."""
        waits = self.value == AUTO or (not self.is_set and self.known.get("default") == AUTO)
        return bool(waits and takes_auto(self.known.get("type", "any")))

    @property
    def origin(self) -> str:
        """Who set the value, in words."""
        if (layer := self.set_by) is not None:
            return str(layer.source)
        if self.is_supplied:
            return "the data"
        default = f"default of {self.owner}" if self.owner else "default"
        return "the file's name" if self.path == ("name",) else default

    @property
    def record(self) -> dict[str, Any]:
        """Who set the value, for a program to read."""
        if (layer := self.set_by) is not None:
            return layer.record
        if self.is_supplied:
            return {"origin": "data"}
        default = {"origin": "default"} | ({"of": self.owner} if self.owner else {})
        return {"origin": "file name"} if self.path == ("name",) else default

    def find(self, path: KeyPath) -> Setting | None:
        """The part at `path` below, also by a path in one of the seeds' forms."""
        found: Setting | None = self
        for index, part in enumerate(path):
            if found is None:
                return None
            below = found.parts.get(str(part))
            if below is None and found.path == ("model",) and index == 1 and part in GROUPS:
                return self.find(path[1:])  # a model may carry what are sections elsewhere
            if below is None and found.entry is not None and part in _OLDER_FORM:
                below = _OLDER_FORM[part](found)
            found = below
        return found

    def walk(self) -> Iterator[Setting]:
        """This and every part of it."""
        yield self
        for part in self.parts.values():
            yield from part.walk()


_OLDER_FORM: Final[Mapping[Any, Any]] = {
    "kwargs": lambda found: found,
    "module_name": lambda found: found.parts["name"],
}


def settings_of(plan: Plan, project: Project) -> Setting:
    """Every setting of a planned blueprint; what came from the environment is shown as its reference."""
    with reading(manifest := current(project)):
        return _Tracer(plan.document, manifest).root(plan.complete())


def settings_in(document: Document, project: Project) -> Setting:
    """Every setting of a composed blueprint as far as it can be told without a plan: values as they were written."""
    with reading(manifest := current(project)):
        return _Tracer(document, manifest).root(document.plain())


class _Tracer:
    """Goes through a blueprint's values, the document they were read from and what is known of their fields at once."""

    def __init__(self, document: Document, manifest: Manifest) -> None:
        self._document = document
        self._manifest = manifest

    def root(self, values: Mapping[str, Any]) -> Setting:
        fields = self._manifest.sections
        parts = {}
        for name in dict.fromkeys((*fields, *values)):
            value = values[name] if name in values else fields[name].get("default")
            parts[name] = self._section(name, value, fields.get(name, {}))
        return Setting((), dict(values), parts=parts)

    def _section(self, name: str, value: Any, field: Field) -> Setting:
        path, field = (name,), {**field, "type": self._type_of_section(name, field)}
        if name in COMPONENTS and isinstance(value, dict | str):
            return self._component(kind_of(name), path, _block(value, field.get("default")), field, "")
        if name in LABELLED and isinstance(value, dict):
            each = {"type": field["type"]["dict"][1], "meaning": field.get("meaning", "")}
            parts = {
                label: self._component(kind_of(name), (name, label), _block(block, label), each, "")
                for label, block in value.items()
            }
            return replace(self._leaf(path, value, field, ""), parts=parts)
        return self._setting(path, value, field, "")

    def _type_of_section(self, name: str, field: Field) -> Type:
        """What a section may hold, more precisely than its schema says before the registries are asked."""
        if name in COMPONENTS:
            return {"slot": kind_of(name), "built": False}
        if name in LABELLED:
            return {"dict": ["str", {"slot": kind_of(name), "built": False}]}
        if name == "trainer":
            fields = self._manifest.trainer_fields
            return {
                "fields": {**fields, "max_epochs": {**fields["max_epochs"], "default": DEFAULT_EPOCHS}},
                "title": name,
            }
        return {"dict": ["str", "any"]} if name == "vars" else field.get("type", "any")

    def _component(self, kind: str, path: KeyPath, block: Mapping[str, Any], field: Field, owner: str) -> Setting:
        name = str(block.get("name"))
        entry, fields = _looked_up(kind, name)
        if len(path) <= 2:
            wiring = self._manifest.sections[str(path[0])].get("wiring", {})
            fields = {**fields, **{n: f for n, f in wiring.items() if n not in fields}}
        parts = {
            part: self._setting((*path, part), _value(block, part, fields), fields.get(part, {}), name)
            for part in dict.fromkeys((*fields, *block))
        }
        chosen = parts["name"]
        if path[0] in LABELLED and len(path) == 2 and not chosen.is_set:
            chosen = self._named_by_its_label(chosen, path)
        parts["name"] = replace(chosen, owner=owner)  # whoever holds the component has a default for it
        return Setting(path, dict(block), chosen.layers, chosen.is_set, field, owner, entry, parts)

    def _named_by_its_label(self, name: Setting, path: KeyPath) -> Setting:
        node = self._document.find(path)
        if node is None:
            return name
        return replace(name, layers=(Layer(name.value, node.place, path), *name.layers), is_set=True)

    def _setting(self, path: KeyPath, value: Any, field: Field, owner: str) -> Setting:
        type_, value = field.get("type", "any"), _like_default(field, value)
        if (kind := _slot(type_, value)) is not None:
            return self._component(kind, path, _block(value), field, owner)
        inner: Fields | None = held(type_, "fields")
        values: Mapping[Any, Any] = {}
        if inner is not None and isinstance(value, dict | None):
            written = value or {}
            values = {n: _value(written, n, inner) for n in dict.fromkeys((*inner, *written))}
            inside = str(path[-1])
        else:
            values = value if isinstance(value, dict) else dict(enumerate(value)) if isinstance(value, list) else {}
            inside = owner
        parts = {str(p): self._setting((*path, p), v, below(type_, p), inside) for p, v in values.items()}
        return replace(self._leaf(path, value, field, owner), parts=parts)

    def _leaf(self, path: KeyPath, value: Any, field: Field, owner: str) -> Setting:
        trail = self._trail(path)
        is_set = len(trail) > len(path)
        layers = list(islice(self._layers(trail, path), REMEMBERED))
        if is_set:
            layers[0] = replace(layers[0], value=value)
        return Setting(path, value, tuple(layers), is_set, field, owner)

    def _trail(self, path: KeyPath) -> list[tuple[Node, KeyPath]]:
        """The nodes on the way to `path`, as far as the document has them, and where they stand in it."""
        trail: list[tuple[Node, KeyPath]] = [(self._document.root, ())]
        for part in path:
            if (found := _step(*trail[-1], part)) is None:
                break
            trail.append(found)
        return trail

    def _layers(self, trail: Sequence[tuple[Node, KeyPath]], path: KeyPath) -> Iterator[Layer]:
        """What was written at `path`, the newest first; then what stood there in blocks that were replaced whole."""
        if len(trail) > len(path) > 0:
            yield from _chain(*trail[-1])
            for other in _candidates(*trail[-2], path[-1]):
                if other[1] != trail[-1][1]:
                    yield from _chain(*other)
        for length in range(len(path), len(trail) - 1, -1):
            for at in _places(trail[-1][1] if length == len(trail) else path[: length - 1], path[length - 1]):
                yield from _within(self._document.removed.get(at), at, path[length:])
        for length in range(min(len(trail), len(path)) - 1, 0, -1):
            above, at = trail[length]
            yield from _within(above.was, at, path[length:])


def _within(older: Node | None, at: KeyPath, rest: KeyPath) -> Iterator[Layer]:
    """What stood below `at` in a node and in those that it replaced."""
    removal: Layer | None = None
    while older is not None:
        layer = Layer(None, older.source, at)
        removal = layer if layer.removes else removal
        found: tuple[Node, KeyPath] | None = (older, at)
        for part in rest:
            found = None if found is None else _step(*found, part)
        if found is not None and not layer.removes:
            if removal is not None:
                yield removal
            removal = None
            yield from _chain(*found) if rest else [Layer(older.plain(), older.source, at)]
        older = older.was


def _step(node: Node, at: KeyPath, part: str | int) -> tuple[Node, KeyPath] | None:
    """The child of a node at a part of a complete blueprint's path, and its path in the document."""
    if part == "name" and isinstance(node.value, str):
        return node, at
    places = list(_candidates(node, at, part))
    in_kwargs = [(each, place) for each, place in places if place[-2:-1] == ("kwargs",)]
    wins = in_kwargs if in_kwargs and in_kwargs[0][0].source.on_command_line else places
    return wins[0] if wins else None


def _candidates(node: Node, at: KeyPath, part: str | int) -> Iterator[tuple[Node, KeyPath]]:
    """The children that a part may mean, and their paths."""
    for place in _places((), part):
        found: Node | None = node
        for key in place:
            found = None if found is None else found.child(key)
        if found is not None:
            yield found, (*at, *place)


def _places(above: KeyPath, part: str | int) -> list[KeyPath]:
    """The paths at which a part may stand below another: by its own key, or as the seeds' form has it."""
    places: list[KeyPath] = [(*above, part), (*above, "kwargs", part)]
    return [*places, (*above, "module_name")] if part == "name" else places


def _chain(node: Node, at: KeyPath) -> Iterator[Layer]:
    """A node and those that it replaced; an interpolation and its value are one layer."""
    older: Node | None = node
    while older is not None:
        was = older.was
        if was is not None and was.source == older.source and is_reference(was):
            yield Layer(was.value, older.source, at, str(was.value))
            was = was.was
        else:
            yield Layer(_as_written(older), _place(older), at, str(older.value) if is_reference(older) else "")
        older = was


def _as_written(node: Node) -> Any:
    """The value as plain data, with every interpolation in it as it was written: what it gave may be a secret."""
    if node.was is not None and node.was.source == node.source and is_reference(node.was):
        return node.was.value
    if isinstance(node.value, dict):
        return {key: _as_written(child) for key, child in node.value.items()}
    return [_as_written(child) for child in node.value] if isinstance(node.value, list) else node.value


def _place(node: Node) -> Source:
    """Where a value was written; of a block below its key, the key says more than the block's first sign."""
    is_block = isinstance(node.value, dict | list) and node.source.width == 1
    key = node.key if is_block else None
    return key if key is not None and key.file == node.source.file else node.source


def _looked_up(kind: str, name: str) -> tuple[Entry | None, Fields]:
    """A component and its fields, its name among them; what is wrong with the name is a problem of the blueprint."""
    noun = "data module" if kind == "data" else kind
    fields: Fields = {"name": {"type": {"opaque": f"name of a registered {noun}"}, "meaning": f"Which {noun} it is."}}
    try:
        entry = registry(kind).get(name)
        own = fields_of(hparams_of(entry)) if entry.description is None else entry.description.fields
    except HydranticError:
        return None, fields
    return entry, {**fields, **{n: f for n, f in own.items() if kind != "model" or n not in GROUPS}}


def _block(value: Any, name: Any = None) -> dict[str, Any]:
    """A component's block with its name and its fields side by side."""
    if not isinstance(value, dict):
        return {"name": name if value is None else value}
    block = {key: each for key, each in value.items() if key not in {"module_name", "kwargs"}}
    kwargs = value.get("kwargs")
    return {"name": value.get("module_name", name), **block, **(kwargs if isinstance(kwargs, dict) else {})}


def _value(values: Mapping[str, Any], name: str, fields: Fields) -> Any:
    return values[name] if name in values else fields[name].get("default")


def _like_default(field: Field, value: Any) -> Any:
    """A block without a name, in a slot that has a default, with what it leaves as it is."""
    default, type_ = field.get("default"), field.get("type", "any")
    default = {"name": default} if isinstance(default, str) and "slot" in type_ else default
    if not isinstance(value, dict) or not isinstance(default, dict) or held(type_, "slot") is None:
        return value
    return value if value.keys() & {"name", "module_name"} else {**default, **value}


def _slot(type_: Type, value: Any) -> str | None:
    """The kind of the component that a value is, or None where it is none."""
    named = isinstance(value, dict) and not value.keys().isdisjoint({"name", "module_name"})
    is_word = any(form == "choice" and value in words for form, words in members(type_))
    return held(type_, "slot") if (named or isinstance(value, str)) and not is_word else None

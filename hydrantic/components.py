"""Components that a blueprint has chosen: a registered entry with its validated hyperparameters."""

from __future__ import annotations

import functools
import os
import sys
import types
from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final, Generic, Literal, TypeAlias, TypeVar, Union, cast, get_args, get_origin

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, core_schema

from hydrantic.document import Node, from_plain
from hydrantic.errors import BlueprintError, RegistrationError
from hydrantic.facts import FACT_NAMES
from hydrantic.hparams import AutoField, Hparams
from hydrantic.paths import InputPath, OutputPath, PathRule, rule_of
from hydrantic.problems import Problems
from hydrantic.registries import BrokenComponent, Entry, UnknownName, registry
from hydrantic.rules import INSIDE_THE_RUN
from hydrantic.signature import derive_hparams, hints_of, signature_of
from hydrantic.source import KeyPath, Source, dotted

C = TypeVar("C")

_RUN: Final = frozenset({"run_dir", "run_name", "run_id", "run_group"})
SUPPLIED: Final[Mapping[str, frozenset[str]]] = {
    "optimizer": frozenset({"params"}),
    "scheduler": frozenset({"optimizer", "last_epoch"}),
    "logger": _RUN | {"save_dir", "root_dir", "dir", "version", "id", "experiment", "agg_key_funcs"},
    "callback": _RUN | {"dirpath"},
    "layer": frozenset({"device", "dtype"}),
}
"""Arguments that the framework passes itself, by kind; what it does not know of them keeps its default."""


_WRITTEN: Final = {"filename": INSIDE_THE_RUN}
RULES: Final[Mapping[str, Mapping[str, Any]]] = {"callback": _WRITTEN, "logger": _WRITTEN}
"""What text has to obey that a component joins to the run's directory to write there."""


FED_BY_DATA: Final = frozenset({"model", "loss", "metric"})
"""Kinds whose required arguments the data supplies by their names; a layer inside a network has sizes of its own."""


@dataclass(frozen=True)
class Slot:
    """Marks a field that holds a nested component of a kind.

    With `built` the constructor receives the built object; otherwise the field holds the `Component`, a factory.
    """

    kind: str
    built: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda value: choose(self.kind, value),
            serialization=core_schema.plain_serializer_function_ser_schema(_plain),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"$ref": f"#/$defs/{self.kind}"}


def _plain(component: Component[Any]) -> Any:
    return component.to_plain()


@dataclass(frozen=True)
class Component(Generic[C]):
    """A registered component together with its hyperparameters; `build()` constructs it, each time anew.

    `places` tells for each field that a blueprint writes where in the blueprint it stands.
    """

    entry: Entry
    hparams: Hparams
    wiring: Hparams | None = None
    path: KeyPath = ()
    places: Mapping[str, KeyPath] = field(default_factory=dict, compare=False, repr=False)

    @property
    def kind(self) -> str:
        """The kind of the component, such as `model`."""
        return self.entry.kind

    @property
    def name(self) -> str:
        """The name under which the component is registered."""
        return self.entry.name

    def build(self, **supplied: Any) -> C:
        """Construct the component; `supplied` fills the arguments of these names where the component has them."""
        if self.entry.description is not None:
            return cast("C", choose(self.kind, self.to_plain()).build(**supplied))
        component = self.entry.component
        hparams = self.hparams if "run_dir" not in supplied else _placed(self.hparams, supplied["run_dir"])
        accepted = {name: value for name, value in supplied.items() if name in _parameters(component)}
        if takes_hparams(component):
            return cast("C", component(hparams, **accepted))
        # A field of the blueprint is the component's own matter, whatever it is called.
        return cast("C", component(**accepted | _arguments(hparams, supplied)))

    __call__ = build

    def to_plain(self) -> dict[str, Any]:
        """The block that selects this component, with every field written out."""
        wiring = self.wiring.to_plain() if self.wiring is not None else {}
        return {"name": self.name} | self.hparams.to_plain() | {k: v for k, v in wiring.items() if v is not None}

    def with_fields(self, **values: Any) -> Component[C]:
        """The same component with some fields set to other values, validated."""
        known = {name: self.hparams[name] for name in self.hparams.model_fields_set} | values
        return Component(self.entry, type(self.hparams)(**known), self.wiring, self.path, self.places)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name!r} with {self.hparams!r}>"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.is_instance_schema(
            cls, serialization=core_schema.plain_serializer_function_ser_schema(_plain)
        )


def _arguments(hparams: Hparams, supplied: Mapping[str, Any]) -> dict[str, Any]:
    slots = built_slots(type(hparams))
    return {name: _build_nested(value, supplied) if name in slots else value for name, value in hparams.items()}


def _placed(hparams: Hparams, run_dir: Path) -> Hparams:
    """The hyperparameters with every path to write below the run's directory."""
    written: dict[str, Any] = {}
    for name, value in hparams.items():
        if isinstance(value, Hparams):
            written[name] = _placed(value, run_dir)
        elif _is_output(_annotation(type(hparams), name)):
            written[name] = _below(run_dir, value)
    return hparams.model_copy(update=written) if written else hparams


def _is_output(annotation: Any) -> bool:
    rule = rule_of(annotation)
    return rule.role == "output" if rule is not None else any(_is_output(each) for each in get_args(annotation))


def _below(run_dir: Path, value: Any) -> Any:
    if isinstance(value, Path):
        return run_dir / value
    if isinstance(value, list | tuple):
        return type(value)(_below(run_dir, part) for part in value)
    return {key: _below(run_dir, part) for key, part in value.items()} if isinstance(value, dict) else value


def plain_value(value: Any) -> Any:
    """A value written in Python as a blueprint holds it: lists for tuples, text for paths, blocks for components."""
    if isinstance(value, Component):
        return value.to_plain()
    if isinstance(value, Mapping):
        return {str(key): plain_value(part) for key, part in value.items()}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple):
        return [plain_value(part) for part in value]
    to_list = getattr(value, "tolist", None)  # arrays and tensors, without importing either library
    return value if to_list is None else plain_value(to_list())


def named(name: str, **fields: Any) -> Any:
    """A component as the default of a slot.

    Example:
        `activation: LayerSlot = named("leaky_relu", negative_slope=0.2)`
    """
    return {"name": name} | fields


def _build_nested(value: Any, supplied: Mapping[str, Any]) -> Any:
    if isinstance(value, Component):
        return value.build(**supplied)
    if isinstance(value, list | tuple):
        return type(value)(_build_nested(part, supplied) for part in value)
    if isinstance(value, dict):
        return {key: _build_nested(part, supplied) for key, part in value.items()}
    return value


ModelSlot: TypeAlias = Annotated[Component[Any], Slot("model")]
LossSlot: TypeAlias = Annotated[Component[Any], Slot("loss")]
MetricSlot: TypeAlias = Annotated[Component[Any], Slot("metric")]
DataSlot: TypeAlias = Annotated[Component[Any], Slot("data")]
OptimizerSlot: TypeAlias = Annotated[Component[Any], Slot("optimizer")]
SchedulerSlot: TypeAlias = Annotated[Component[Any], Slot("scheduler")]
LayerSlot: TypeAlias = Annotated[Component[Any], Slot("layer")]
LauncherSlot: TypeAlias = Annotated[Component[Any], Slot("launcher")]
SweeperSlot: TypeAlias = Annotated[Component[Any], Slot("sweeper")]
SamplerSlot: TypeAlias = Annotated[Component[Any], Slot("sampler")]
PrunerSlot: TypeAlias = Annotated[Component[Any], Slot("pruner")]


def hparams_of(entry: Entry) -> type[Hparams]:
    """The Hparams of a component: its generic parameter, its `hparams` argument, or derived from its signature.

    Raises:
        RegistrationError: a required argument has a type that a blueprint cannot hold.
    """
    if entry.description is not None:
        described: type[Hparams] = entry.description.hparams
        return described
    return _hparams_of(entry.component, entry.kind)


@functools.cache
def _hparams_of(component: Any, kind: str) -> type[Hparams]:
    declared = generic_hparams(component) or _hparams_argument(component)
    if declared is None:
        translate = functools.partial(_translate, kind)
        leave, rules = SUPPLIED.get(kind, frozenset()), RULES.get(kind, {})
        auto = FACT_NAMES if kind in FED_BY_DATA else ()
        return derive_hparams(component, leave=leave, translate=translate, auto=auto, rules=rules)
    if "name" in declared.model_fields:
        raise RegistrationError(f"{declared.__qualname__}: a field cannot be called 'name', which selects a component")
    return declared


def takes_hparams(component: Any) -> bool:
    """Whether the component is constructed from its Hparams as one object."""
    return (generic_hparams(component) or _hparams_argument(component)) is not None


def generic_hparams(component: Any) -> type[Hparams] | None:
    """The Hparams class among a class's generic parameters, as in `Model[MineHparams]`."""
    for base in getattr(component, "__mro__", ()):
        for generic in base.__dict__.get("__orig_bases__", ()):
            for argument in get_args(generic):
                if isinstance(argument, type) and issubclass(argument, Hparams):
                    return argument
    return None


def _hparams_argument(component: Any) -> type[Hparams] | None:
    if "hparams" not in _parameters(component):
        return None
    hint = hints_of(component).get("hparams")
    return hint if isinstance(hint, type) and issubclass(hint, Hparams) else None


@functools.cache
def _parameters(component: Any) -> frozenset[str]:
    return frozenset(signature_of(component).parameters)


def _translate(kind: str, annotation: Any) -> Any:
    if _slot_of(annotation) is not None or (get_origin(annotation) is Annotated and _is_auto(annotation)):
        return annotation
    if annotation is Path:
        return InputPath if kind == "data" else OutputPath
    if isinstance(annotation, type):
        return _slot_for_class(annotation)
    if get_origin(annotation) is Callable or str(get_origin(annotation)) == "collections.abc.Callable":
        made = (get_args(annotation) or (None,))[-1]
        slot = _slot_for_class(made) if isinstance(made, type) else None
        return None if slot is None else Annotated[Component[Any], Slot(_slot_of(slot).kind)]  # type: ignore[union-attr]  # a slot
    return None


def _slot_for_class(annotation: type) -> Any:
    for module, name, kind in (
        ("torch.nn.modules.module", "Module", "layer"),
        ("torch.optim.lr_scheduler", "LRScheduler", "scheduler"),
    ):
        base = getattr(sys.modules.get(module), name, None)
        if base is not None and issubclass(annotation, base):
            return Annotated[Component[Any], Slot(kind, built=True)]
    return None


def _slot_of(annotation: Any) -> Slot | None:
    return next((each for each in getattr(annotation, "__metadata__", ()) if isinstance(each, Slot)), None)


def _is_auto(annotation: Any) -> bool:
    return any(isinstance(each, AutoField) for each in getattr(annotation, "__metadata__", ()))


def _annotation(hparams: type[Hparams], name: str) -> Any:
    # pydantic moves the metadata of an outermost Annotated into the field.
    info = hparams.model_fields[name]
    return Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation


def auto_fields(hparams: type[Hparams]) -> tuple[str, ...]:
    """The names of the fields that the data may supply."""
    return tuple(name for name in hparams.model_fields if _mentions_auto(_annotation(hparams, name)))


def _mentions_auto(annotation: Any) -> bool:
    return _is_auto(annotation) or any(
        _mentions_auto(each) for each in get_args(annotation) if get_origin(each) is Annotated
    )


def allows_none(hparams: type[Hparams], name: str) -> bool:
    """Whether a field may be null."""
    annotation = hparams.model_fields[name].annotation
    return annotation is None or types.NoneType in get_args(annotation)


def built_slots(hparams: type[Hparams]) -> frozenset[str]:
    """The names of the fields whose nested components are built before the constructor is called."""
    return frozenset(n for n in hparams.model_fields if _mentions_built(_annotation(hparams, n)))


def _mentions_built(annotation: Any) -> bool:
    slot = _slot_of(annotation)
    return slot.built if slot is not None else any(_mentions_built(each) for each in get_args(annotation))


def choose(kind: str, value: Any) -> Component[Any]:
    """The component that a block written in Python selects: a name, a mapping with `name`, or a component as it is.

    Raises:
        ValueError: the block has problems, all of them listed.
    """
    if isinstance(value, Component):
        if value.kind != kind:
            raise ValueError(f"a {kind} is wanted here, not the {value.kind} '{value.name}'")
        return value
    problems = Problems()
    component = resolve(kind, from_plain(value, Source(label=f"the {kind}")), (), problems)
    try:
        problems.raise_any()
    except BlueprintError as error:
        raise ValueError(str(error)) from None
    assert component is not None  # without problems there is a component
    return component


def resolve(
    kind: str, node: Node, path: KeyPath, problems: Problems, *, label: str = "", wiring: type[Hparams] | None = None
) -> Component[Any] | None:
    """The component that a block selects, its nested components included; None where `problems` says why.

    Arguments:
        kind: the kind of the component, such as `model`.
        node: the block: a name, or a mapping with `name` (or the seeds' `module_name` and `kwargs`).
        path: where the block stands in the blueprint.
        problems: collects everything that is wrong with it.
        label: the name where the block has none, for `metrics` and the like.
        wiring: further keys that the block may have beside the component's own fields.
    """
    block = _read_block(kind, node, path, problems, label)
    if block is None:
        return None
    entry, hparams = _look_up(kind, block, problems)
    if entry is None or hparams is None:
        return None
    own, wired = block.split(hparams, wiring)
    before = len(problems)
    fields = validate(hparams, own, node, path, problems, owner=entry.name, known=wiring)
    wires = None if wiring is None else validate(wiring, wired, node, path, problems, owner=entry.name)
    if fields is None or len(problems) > before:
        return None
    return Component(entry, fields, wires, path, {name: at for name, (_, at) in own.items()})


Fields: TypeAlias = dict[str, tuple[Node, KeyPath]]
"""The fields of a block: their nodes, and where they stand."""


@dataclass(frozen=True)
class _Block:
    name: str
    named_at: tuple[Node, KeyPath]
    fields: Fields

    def split(self, hparams: type[Hparams], wiring: type[Hparams] | None) -> tuple[Fields, Fields]:
        own: Fields = {}
        wired: Fields = {}
        for name, at in self.fields.items():
            is_wire = wiring is not None and name in wiring.model_fields and name not in hparams.model_fields
            (wired if is_wire else own)[name] = at
        return own, wired


def _read_block(kind: str, node: Node, path: KeyPath, problems: Problems, label: str) -> _Block | None:
    if isinstance(node.value, str) and node.value:
        return _Block(node.value, (node, path), {})
    if label and node.value is None:
        return _Block(label, (replace(node, source=node.place), path), {})
    if not isinstance(node.value, dict):
        problems.add("not-a-component", node.source, path, kind=kind, value=node.value)
        return None
    parts = dict(node.value)
    names = [key for key in ("name", "module_name") if key in parts]
    if len(names) > 1:
        place, other = key_place(parts["module_name"]), dotted((*path, "name"))
        problems.add("given-twice", place, (*path, "module_name"), other=other)
        return None
    if not names and not label:
        problems.add("no-name", node.source, path, kind=kind, known=registry(kind).names())
        return None
    named = parts.pop(names[0]) if names else Node(label, node.key or node.source)
    named_path = (*path, names[0]) if names else path
    if not isinstance(named.value, str) or not named.value:
        problems.add("not-a-name", named.source, named_path, kind=kind, value=named.value)
        return None
    fields: Fields = {key: (part, (*path, key)) for key, part in parts.items()}
    return _Block(named.value, (named, named_path), _with_kwargs(fields, problems))


def _with_kwargs(fields: Fields, problems: Problems) -> Fields:
    """The fields with those of the seeds' `kwargs:` among them."""
    if "kwargs" not in fields:
        return fields
    kwargs, at = fields.pop("kwargs")
    if not isinstance(kwargs.value, dict | None):
        problems.add("not-a-mapping", kwargs.source, at, value=kwargs.value)
        return fields
    for key, part in (kwargs.value or {}).items():
        flat = fields[key][0] if key in fields else None
        if flat is not None and flat.source.on_command_line == part.source.on_command_line:
            problems.add("given-twice", key_place(part), (*at, key), other=dotted((*at[:-1], key)))
        if flat is None or part.source.on_command_line:
            fields[key] = (part, (*at, key))
    return fields


def _look_up(kind: str, block: _Block, problems: Problems) -> tuple[Entry | None, type[Hparams] | None]:
    node, path = block.named_at
    try:
        entry = registry(kind).get(block.name)
        return entry, hparams_of(entry)
    except UnknownName as error:
        facts = {"kind": kind, "name": block.name, "known": error.known, "unread": error.unread}
        problems.add("unknown-name", node.source, path, **facts)
    except (BrokenComponent, RegistrationError) as error:
        problems.add("broken-component", node.source, path, kind=kind, name=block.name, reason=str(error))
    return None, None


def validate(
    hparams: type[Hparams],
    fields: Fields,
    node: Node,
    path: KeyPath,
    problems: Problems,
    *,
    owner: str,
    known: type[Hparams] | None = None,
) -> Any:
    """Validate the fields of a block, nested components included; None where `problems` says why not."""
    values: dict[str, Any] = {}
    unsound: set[str] = set()
    for name, (part, at) in fields.items():
        if name not in hparams.model_fields:
            names = (*hparams.model_fields, *(known.model_fields if known else ()))
            facts = {"owner": owner, "field": name, "known": names, "choice": _choice(node, part, path)}
            problems.add("unknown-field", key_place(part), at, **facts)
            continue
        before = len(problems)
        annotation = _annotation(hparams, name)
        chosen = _like_default(annotation, hparams.model_fields[name].default, part)
        values[name] = _with_components(annotation, chosen, at, problems)
        if len(problems) > before:
            unsound.add(name)
    return _validated(hparams, values, unsound, _Block("", (node, path), fields), problems, owner)


def _choice(block: Node, field: Node, path: KeyPath) -> str:
    """The override that drops a field which was written for a component that merely had its name changed, if it was."""
    name = block.child("name")
    if name is None or name.was is None or name.was.value == name.value:
        return ""
    is_older = (field.source.file, field.source.label) != (name.source.file, name.source.label)
    return f"{dotted(path)}={name.value}" if is_older else ""


def _like_default(annotation: Any, default: Any, node: Node) -> Node:
    """A block without a name, in a slot that has a default, as that default with other fields."""
    if isinstance(default, str) and _slot_of(annotation) is not None:
        default = {"name": default}
    if not isinstance(default, dict) or "name" not in default or not isinstance(node.value, dict):
        return node
    is_slot = any(_slot_of(each) is not None for each in (annotation, *get_args(annotation)))
    if not is_slot or not node.value.keys().isdisjoint({"name", "module_name"}):
        return node
    usual = {key: from_plain(value, node.place) for key, value in default.items()}
    return replace(node, value=usual | node.value)


def _validated(
    hparams: type[Hparams], values: dict[str, Any], unsound: set[str], block: _Block, problems: Problems, owner: str
) -> Any:
    try:
        made = hparams.model_validate({k: v for k, v in values.items() if k not in unsound})
    except ValidationError as error:
        by_field: dict[str, list[Any]] = {}
        for each in error.errors(include_url=False):
            by_field.setdefault(str(each["loc"][0]) if each["loc"] else "", []).append(each)
        for name, errors in by_field.items():
            if name not in unsound:
                _note(errors, block, problems, owner)
        return None
    except Exception as error:  # noqa: BLE001 -- a validator of the component's own may raise anything
        node, path = block.named_at
        said = f"{owner} cannot judge its fields: {type(error).__name__}: {error}"
        facts: Mapping[str, Any] = {
            "owner": owner,
            "message": said,
            "value": None,
            "limits": {},
            "field": "",
            "type": "value_error",
        }
        problems.add(f"value:{facts['type']}", node.source, path, **facts)
        return None
    return None if unsound else made


def _note(errors: list[Any], block: _Block, problems: Problems, owner: str) -> None:
    """Note what is wrong with one field; of a union's members, what the best fitting one finds wrong."""
    by_member: dict[str, list[Any]] = {}
    for error in errors:
        by_member.setdefault(_member(error, block), []).append(error)
    fewest = min(map(len, by_member.values()))
    best = [found for found in by_member.values() if len(found) == fewest]
    for first, *others in zip(*best, strict=True):
        node, path = _located(first["loc"], block)
        also = tuple(_facts(other, owner) for other in others if _located(other["loc"], block) == (node, path))
        is_key = first["type"] == "extra_forbidden" or first["loc"][-1:] == ("[key]",)
        source = key_place(node) if is_key else node.source
        problems.add(f"value:{first['type']}", source, path, **_facts(first, owner), also=also)


def _facts(error: Any, owner: str) -> dict[str, Any]:
    field = str(error["loc"][-1]) if error["loc"] else ""
    limits = error.get("ctx", {})
    known = {"owner": owner, "message": error["msg"], "value": error["input"], "limits": limits, "field": field}
    return known | {"type": error["type"]}


def _member(error: Any, block: _Block) -> str:
    """The member of a union that an error is from: the part of its location that is no part of the blueprint."""
    loc = error["loc"]
    if not loc or str(loc[0]) not in block.fields:
        return ""
    node = block.fields[str(loc[0])][0]
    for part in loc[1:-1] if error["type"] == "missing" or loc[-1] == "[key]" else loc[1:]:
        if (inner := node.child(part)) is None:
            return str(part)
        node = inner
    return ""


def _located(loc: tuple[int | str, ...], block: _Block) -> tuple[Node, KeyPath]:
    """Where in the blueprint an error is, as near as it has something there."""
    node, path = block.named_at
    if not loc or str(loc[0]) not in block.fields:
        return node, (*path, *loc)
    node, path = block.fields[str(loc[0])]
    for part in loc[1:]:
        if (inner := node.child(part)) is not None:
            node, path = inner, (*path, part)
    return node, path


def _with_components(annotation: Any, node: Node, path: KeyPath, problems: Problems) -> Any:
    """The plain value of a node, where its type has slots with the components in place."""
    slot = _slot_of(annotation)
    if slot is not None:
        return resolve(slot.kind, node, path, problems)
    if isinstance(annotation, type) and issubclass(annotation, Hparams) and isinstance(node.value, dict):
        fields = {key: (part, (*path, key)) for key, part in node.value.items()}
        return validate(annotation, fields, node, path, problems, owner=str(path[-1]))
    if (rule := rule_of(annotation)) is not None:
        return _placed_path(rule, node, path, problems)
    if not _is_structured(annotation):
        return node.plain()
    return _into_container(annotation, node, path, problems)


def _into_container(annotation: Any, node: Node, path: KeyPath, problems: Problems) -> Any:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _with_components(args[0], node, path, problems)
    if origin in {Union, types.UnionType}:
        if node.value is None and types.NoneType in args:
            return None
        return _with_components(_branch(args, node), node, path, problems)
    if isinstance(node.value, list) and origin in _LISTS:
        inner = [args[0] if len(args) == 1 or args[-1] is Ellipsis else arg for arg in args]
        types_ = inner if len(inner) == len(node.value) and Ellipsis not in args else [args[0]] * len(node.value)
        parts = enumerate(zip(types_, node.value, strict=True))
        return [_with_components(type_, part, (*path, i), problems) for i, (type_, part) in parts]
    if isinstance(node.value, dict) and origin in _MAPPINGS:
        return {k: _with_components(args[1], n, (*path, k), problems) for k, n in node.value.items()}
    return node.plain()


_LISTS: Final = frozenset({list, tuple, set, frozenset, Sequence, Collection, Iterable})
_MAPPINGS: Final = frozenset({dict, Mapping, MutableMapping})


def _branch(members: tuple[Any, ...], node: Node) -> Any:
    """The member of a union that a value is meant for."""
    selects = isinstance(node.value, dict) and not node.value.keys().isdisjoint({"name", "module_name"})
    containers = _LISTS if isinstance(node.value, list) else _MAPPINGS if isinstance(node.value, dict) else frozenset()
    fitting = [member for member in members if get_origin(member) in containers]
    if fitting and not selects:
        return fitting[0]
    if (plain := next((member for member in members if _is_scalar_of(member, node.value)), None)) is not None:
        return plain
    return next((member for member in members if _is_structured(member)), members[0])


def _is_scalar_of(annotation: Any, value: Any) -> bool:
    """Whether a scalar is meant as itself: a number, a truth value or one of several fixed texts."""
    if _is_structured(annotation) or isinstance(value, dict | list):
        return False
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _is_scalar_of(args[0], value)
    if origin is Literal:
        return value in args
    return type(value) in ({int, float} if annotation is float else {annotation} - {str})


def _is_structured(annotation: Any) -> bool:
    """Whether a value of this type may hold components, paths or hyperparameters of its own."""
    if _slot_of(annotation) is not None or rule_of(annotation) is not None:
        return True
    hparams = isinstance(annotation, type) and issubclass(annotation, Hparams)
    return hparams or any(_is_structured(each) for each in get_args(annotation))


def _placed_path(rule: PathRule, node: Node, path: KeyPath, problems: Problems) -> Any:
    """A path to read, seen from the file that writes it; a path to write stays relative to the run."""
    if rule.role == "output" or not isinstance(node.value, str) or "://" in node.value or not node.value:
        return node.value
    written_in = node.source.file.parent if node.source.file is not None else Path.cwd()
    try:
        # Absolute, so that a record of it is found from anywhere.
        file = (written_in / Path(node.value).expanduser()).absolute()
    except RuntimeError:  # refused where the field is validated
        return node.value
    if not node.source.in_checkpoint and not os.path.exists(file):  # noqa: PTH110 -- Path.exists raises where a name is too long
        problems.add("no-such-file", node.source, path, value=node.value, file=str(file))
    return file


def key_place(node: Node) -> Source:
    """Where the key of a node stands, or its value where it has none."""
    return node.place

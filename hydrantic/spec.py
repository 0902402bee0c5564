"""The fields of Hparams as plain data, which can be kept in a file, put into words, and turned into Hparams again.

A field is `{"type": T, "default": plain value, "meaning": text}`; without `default` it is required. T is one of

    "int" "float" "bool" "str" "null" "any"
    {"path": "input" | "output" | "any"}     a file to read, a place below the run's directory, or either
    {"rule": T, "name": text}                T that obeys a rule of `hydrantic.rules`
    {"choice": [scalar, ...]}                one of these
    {"enum": {member: scalar}, "title": text}
    {"list": T} {"sequence": T} {"set": T} {"frozenset": T} {"tuple_of": T} {"tuple": [T, ...]} {"dict": [K, V]}
    {"union": [T, ...]}
    {"slot": kind, "built": bool}            a nested component
    {"auto": T}                              T, or `auto` where the data supplies it
    {"where": T, "gt": 0, ...}               T within limits
    {"fields": {name: field}, "title": text} nested settings
    {"opaque": text}                         what only the component's own code can judge
"""

from __future__ import annotations

import dataclasses
import types
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias, Union, cast, get_args, get_origin

import annotated_types
from pydantic import Field, JsonValue, create_model
from pydantic.fields import FieldInfo
from pydantic_core import PydanticSerializationError, to_jsonable_python

from hydrantic.components import Component, Slot
from hydrantic.hparams import AutoField, Hparams
from hydrantic.paths import PathRule
from hydrantic.rules import RULES, Rule

Type: TypeAlias = Any
"""One of the forms above: text or a mapping."""

Fields: TypeAlias = dict[str, dict[str, Any]]
"""Fields by name."""

_SCALARS: Final = {int: "int", float: "float", bool: "bool", str: "str", types.NoneType: "null"}
_OF_SCALARS: Final = {name: scalar for scalar, name in _SCALARS.items()} | {"any": JsonValue}
_OF_LISTS: Final[Mapping[str, Any]] = {"list": list, "sequence": Sequence, "set": set, "frozenset": frozenset}
_LISTS: Final = {made: name for name, made in _OF_LISTS.items()}
_MAPPINGS: Final = frozenset({dict, Mapping, MutableMapping})
_LIMITS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "gt": annotated_types.Gt, "ge": annotated_types.Ge, "lt": annotated_types.Lt, "le": annotated_types.Le,
    "multiple_of": annotated_types.MultipleOf, "min_length": annotated_types.MinLen,
    "max_length": annotated_types.MaxLen, "pattern": lambda pattern: Field(pattern=pattern),
    "strict": lambda strict: Field(strict=strict), "allow_inf_nan": lambda allow: Field(allow_inf_nan=allow),
}  # fmt: skip
_HOOKS: Final = (
    "__init__", "__get_pydantic_core_schema__", "model_post_init", "model_validate", "model_dump", "to_plain",
    "__getitem__", "__iter__",
)  # fmt: skip
"""What a class would override to judge or to write its fields in a way of its own."""


def fields_of(hparams: type[Hparams], *, free: Collection[str] = ()) -> Fields:
    """The fields of a class of Hparams as plain data.

    Arguments:
        hparams: the class.
        free: names of fields that may hold anything, because something else judges them.
    """
    meanings = hparams.meanings()
    found: Fields = {}
    for name, info in hparams.model_fields.items():
        found[name] = {"type": "any", "default": None} if name in free else _field(info)
        if meaning := " ".join(meanings.get(name, "").split()):
            found[name]["meaning"] = meaning
    return found


def _field(info: FieldInfo) -> dict[str, Any]:
    # pydantic moves the metadata of an outermost Annotated into the field.
    type_ = _type_of(Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation)
    if info.is_required():
        return {"type": type_}
    made = [_plain(info.get_default(call_default_factory=True)) for _ in range(2)]
    if isinstance(made[0], _NotPlain) or repr(made[0]) != repr(made[1]):
        return {"type": {"opaque": "its default is no data"}, "default": None}
    return {"type": type_, "default": made[0]}


class _NotPlain:
    pass


def _plain(value: Any) -> Any:
    if isinstance(value, Component):
        return value.to_plain()
    try:
        return to_jsonable_python(value)
    except PydanticSerializationError:
        return _NotPlain()


def _type_of(annotation: Any) -> Type:
    origin, args = get_origin(annotation), get_args(annotation)
    if annotation is Any or annotation is JsonValue:
        return "any"
    if annotation is None:
        return "null"
    if origin is Annotated:
        return _limited(_type_of(args[0]), list(_flat(args[1:])))
    if origin is Literal:
        return {"choice": list(args)} if all(_is_scalar(each) for each in args) else _opaque(annotation)
    if origin in {Union, types.UnionType}:
        return {"union": [_type_of(each) for each in args]}
    if (container := _container(origin or annotation, args)) is not None:
        return container
    return _class(annotation) if isinstance(annotation, type) else _opaque(annotation)


def _class(annotation: type) -> Type:
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    if annotation is Path:
        return {"path": "any"}
    if issubclass(annotation, Enum):
        members = {name: each.value for name, each in annotation.__members__.items()}
        plain = all(_is_scalar(value) for value in members.values())
        return {"enum": members, "title": annotation.__name__} if plain else _opaque(annotation)
    if issubclass(annotation, Hparams) and judges_by_type(annotation):
        return {"fields": fields_of(annotation), "title": annotation.__name__}
    return _opaque(annotation)


def _container(origin: Any, args: Sequence[Any]) -> Type | None:
    if not isinstance(origin, type):
        return None
    if origin in _LISTS:
        return {_LISTS[origin]: _type_of(args[0]) if args else "any"}
    if origin in _MAPPINGS:
        return {"dict": [_type_of(each) for each in args] if args else ["str", "any"]}
    if origin is not tuple:
        return None
    if not args or args[-1] is Ellipsis:
        return {"tuple_of": _type_of(args[0]) if args else "any"}
    return {"tuple": [_type_of(each) for each in args]}


def _opaque(annotation: Any) -> Type:
    return {"opaque": getattr(annotation, "__qualname__", None) or str(annotation)}


def _is_scalar(value: Any) -> bool:
    return value is None or type(value) in _SCALARS


def _flat(metadata: Iterable[Any]) -> Iterator[Any]:
    for each in metadata:
        if isinstance(each, annotated_types.GroupedMetadata):
            yield from _flat(each)
        elif isinstance(each, FieldInfo):
            yield from _flat(each.metadata)
        else:
            yield each


def _limited(inner: Type, metadata: Sequence[Any]) -> Type:
    """A type with what `Annotated` says of it."""
    limits: dict[str, Any] = {}
    for each in metadata:
        if isinstance(each, Slot):
            return {"slot": each.kind, "built": each.built}
        if isinstance(each, PathRule):
            inner = {"path": each.role}
        elif isinstance(each, Rule) and each in RULES.values():
            inner, limits = {"rule": _where(inner, limits), "name": each.name}, {}
        elif isinstance(each, AutoField):
            inner, limits = {"auto": _where(inner, limits)}, {}
        elif hasattr(each, "__get_pydantic_core_schema__") or (said := _limits_of(each)) is None:
            return _opaque(type(each))
        else:
            limits |= said
    return _where(inner, limits)


def _where(inner: Type, limits: Mapping[str, Any]) -> Type:
    return {"where": inner, **limits} if limits else inner


def _limits_of(said: Any) -> dict[str, Any] | None:
    """The limits in one piece of metadata; nothing where pydantic ignores it, None where it says something else."""
    if not type(said).__module__.startswith(("pydantic", "annotated_types")):
        return {}
    names = vars(said) if hasattr(said, "__dict__") else {name: getattr(said, name) for name in said.__slots__}
    found = {name: value for name, value in names.items() if value is not None}
    return found if all(name in _LIMITS and _is_scalar(value) for name, value in found.items()) else None


def judges_by_type(hparams: type[Hparams]) -> bool:
    """Whether the types of the fields are all that a class of Hparams judges its values by."""
    decorators = hparams.__pydantic_decorators__
    own_code = any(getattr(decorators, each.name) for each in dataclasses.fields(decorators))
    hooks = any(_unbound(hparams, name) is not _unbound(Hparams, name) for name in _HOOKS)
    return not own_code and not hooks and hparams.model_config == Hparams.model_config


def _unbound(hparams: type[Hparams], name: str) -> Any:
    method = getattr(hparams, name)
    return getattr(method, "__func__", method)


def is_told(fields: Mapping[str, Any]) -> bool:
    """Whether plain data tells all there is to know of these fields."""
    return '"opaque"' not in _quoted(fields)


def _quoted(value: Any) -> str:
    """The keys of nested mappings, defaults and meanings left out."""
    if isinstance(value, Mapping):
        return " ".join(f'"{key}" {_quoted(each)}' for key, each in value.items() if key not in {"default", "meaning"})
    return " ".join(map(_quoted, value)) if isinstance(value, list) else ""


def hparams_from(title: str, fields: Mapping[str, Mapping[str, Any]]) -> type[Hparams]:
    """A class of Hparams with these fields, which judges values as the class does that they were read from."""
    made: dict[str, Any] = {}
    for name, field in fields.items():
        default = {"default": field["default"]} if "default" in field else {}
        made[name] = (annotation_of(field["type"]), Field(**default, description=field.get("meaning")))
    with warnings.catch_warnings():
        # A field may well be called `copy` or `schema`; those methods of pydantic's are deprecated and unused.
        warnings.filterwarnings("ignore", 'Field name ".*" shadows an attribute', UserWarning)
        return create_model(title, __base__=Hparams, **made)


def annotation_of(type_: Type) -> Any:
    """The annotation that a type in plain form stands for."""
    if isinstance(type_, str):
        return _OF_SCALARS[type_]
    (form, inner), *limits = type_.items()
    if form in _OF_LISTS:
        return _OF_LISTS[form][annotation_of(inner)]
    if form == "union":
        return Union[tuple(annotation_of(each) for each in inner)]  # noqa: UP007 -- built from a tuple
    if form == "where":
        return Annotated[(annotation_of(inner), *(_LIMITS[name](limit) for name, limit in limits))]
    made = _FORMS.get(form)
    return JsonValue if made is None else made(type_)


def _enum(type_: Mapping[str, Any]) -> type[Enum]:
    return cast("type[Enum]", Enum(type_["title"], type_["enum"]))


_FORMS: Final[Mapping[str, Callable[[Mapping[str, Any]], Any]]] = {
    "path": lambda t: Path if t["path"] == "any" else Annotated[Path, PathRule(t["path"])],
    "rule": lambda t: Annotated[annotation_of(t["rule"]), RULES[t["name"]]],
    "choice": lambda t: Literal[tuple(t["choice"])],
    "enum": _enum,
    "tuple_of": lambda t: tuple[annotation_of(t["tuple_of"]), ...],  # type: ignore[misc]  # made of data
    "tuple": lambda t: tuple[tuple(annotation_of(each) for each in t["tuple"])],  # type: ignore[misc]  # made of data
    "dict": lambda t: dict[tuple(annotation_of(each) for each in t["dict"])],  # type: ignore[misc]  # as above
    "slot": lambda t: Annotated[Component[Any], Slot(t["slot"], built=t["built"])],
    "auto": lambda t: Annotated[annotation_of(t["auto"]), AutoField()],
    "fields": lambda t: hparams_from(t["title"], t["fields"]),
}

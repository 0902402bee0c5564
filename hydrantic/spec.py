"""The fields of Hparams as plain data, in the form of `hydrantic.forms`, and plain data as Hparams again."""

from __future__ import annotations

import dataclasses
import types
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextvars import ContextVar
from enum import Enum, IntEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, cast, get_args, get_origin

import annotated_types
from pydantic import Field, JsonValue, create_model
from pydantic.fields import FieldInfo
from pydantic_core import PydanticSerializationError, to_jsonable_python

from hydrantic.components import Component, Slot
from hydrantic.forms import LISTS, Fields, Type, members
from hydrantic.hparams import AutoField, Hparams
from hydrantic.paths import PathRule
from hydrantic.rules import RULES, Rule

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


def fields_of(hparams: type[Hparams], *, free: Collection[str] = ()) -> dict[str, dict[str, Any]]:
    """The fields of a class of Hparams as plain data.

    Arguments:
        hparams: the class.
        free: names of fields that may hold anything, because something else judges them.
    """
    found, meanings = unexplained(hparams, free=free), hparams.meanings()
    for name, field in found.items():
        if meaning := " ".join(meanings.get(name, "").split()):
            field["meaning"] = meaning
    return found


def unexplained(hparams: type[Hparams], *, free: Collection[str] = ()) -> dict[str, dict[str, Any]]:
    """The same without what the fields mean, which is read from the source and takes milliseconds."""
    outside = _within.set((*_within.get(), hparams))
    try:
        fields = hparams.model_fields.items()
        return {name: {"type": "any", "default": None} if name in free else _field(info) for name, info in fields}
    finally:
        _within.reset(outside)


_within: Final[ContextVar[tuple[type[Hparams], ...]]] = ContextVar("_within", default=())
"""The classes that are being taken apart, one inside the other."""


def _field(info: FieldInfo) -> dict[str, Any]:
    if info.alias or info.validation_alias or info.exclude or info.validate_default is False:
        return {"type": {"opaque": "what only its own class obeys"}, "default": None}
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
    if (container := _container(annotation, args)) is not None:
        return container
    return _class(annotation) if isinstance(annotation, type) else _opaque(annotation)


def _class(annotation: type) -> Type:
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    if annotation is Path:
        return {"path": "any"}
    if issubclass(annotation, Enum):
        return _members_of(annotation) or _opaque(annotation)
    if issubclass(annotation, Hparams) and judges_by_type(annotation) and annotation not in _within.get():
        return {"fields": fields_of(annotation), "title": annotation.__name__}
    return _opaque(annotation)


def _members_of(enum: type[Enum]) -> Type | None:
    """An enumeration in plain form; None where it has values of its own kind, or finds further ones itself."""
    members = {name: each.value for name, each in enum.__members__.items()}
    finds = _unbound(enum, "_missing_") is not _unbound(Enum, "_missing_") or issubclass(enum, float)
    if finds or not all(_is_scalar(value) for value in members.values()):
        return None
    return {"enum": members, "title": enum.__name__} | ({"of": "int"} if issubclass(enum, int) else {})


def _container(annotation: Any, args: Sequence[Any]) -> Type | None:
    origin = get_origin(annotation) or annotation
    if not isinstance(origin, type):
        return None
    if origin in _LISTS:
        return {_LISTS[origin]: _type_of(args[0]) if args else "any"}
    if origin in _MAPPINGS:
        return {"dict": [_type_of(each) for each in args] if args else ["str", "any"]}
    if origin is not tuple or (annotation is not tuple and not args):  # `tuple[()]` has to be empty
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


def _unbound(of: type, name: str) -> Any:
    method = getattr(of, name)
    return getattr(method, "__func__", method)


def is_told(fields: Fields) -> bool:
    """Whether plain data tells all there is to know of these fields."""
    return all(_is_told(field["type"]) for field in fields.values())


def _is_told(type_: Type) -> bool:
    return all(form != "opaque" and all(map(_is_told, _types_in(form, inner))) for form, inner in members(type_))


def _types_in(form: str, inner: Any) -> Sequence[Type]:
    if form == "fields":
        return [field["type"] for field in inner.values()]
    if form in LISTS:
        return [inner]
    return inner if form in {"tuple", "dict"} else []


def hparams_from(title: str, fields: Fields) -> type[Hparams]:
    """A class of Hparams with these fields, which judges values as the class does that they were read from."""
    made: dict[str, Any] = {}
    for name, field in fields.items():
        default = {"default": field["default"]} if "default" in field else {}
        made[name] = (_annotation_of(field["type"]), Field(**default, description=field.get("meaning")))
    with warnings.catch_warnings():
        # A field may well be called `copy` or `schema`; those methods of pydantic's are deprecated and unused.
        warnings.filterwarnings("ignore", 'Field name ".*" shadows an attribute', UserWarning)
        return create_model(title, __base__=Hparams, **made)


def _annotation_of(type_: Type) -> Any:
    """The annotation that a type stands for."""
    if isinstance(type_, str):
        return _OF_SCALARS[type_]
    (form, inner), *limits = type_.items()
    if form in _OF_LISTS:
        return _OF_LISTS[form][_annotation_of(inner)]
    if form == "union":
        return Union[tuple(_annotation_of(each) for each in inner)]  # noqa: UP007 -- built from a tuple
    if form == "where":
        return Annotated[(_annotation_of(inner), *(_LIMITS[name](limit) for name, limit in limits))]
    made = _FORMS.get(form)
    return JsonValue if made is None else made(type_)


def _enum(type_: Mapping[str, Any]) -> type[Enum]:
    # What is an integer itself also takes 1.0 for its 1.
    made: Callable[..., Any] = IntEnum if type_.get("of") == "int" else Enum
    return cast("type[Enum]", made(type_["title"], type_["enum"]))


_FORMS: Final[Mapping[str, Callable[[Mapping[str, Any]], Any]]] = {
    "path": lambda t: Path if t["path"] == "any" else Annotated[Path, PathRule(t["path"])],
    "rule": lambda t: Annotated[_annotation_of(t["rule"]), RULES[t["name"]]],
    "choice": lambda t: Literal[tuple(t["choice"])],
    "enum": _enum,
    "tuple_of": lambda t: tuple[_annotation_of(t["tuple_of"]), ...],  # type: ignore[misc]  # made of data
    "tuple": lambda t: tuple[tuple(_annotation_of(each) for each in t["tuple"])],  # type: ignore[misc]  # made of data
    "dict": lambda t: dict[tuple(_annotation_of(each) for each in t["dict"])],  # type: ignore[misc]  # as above
    "slot": lambda t: Annotated[Component[Any], Slot(t["slot"], built=t["built"])],
    "auto": lambda t: Annotated[_annotation_of(t["auto"]), AutoField()],
    "fields": lambda t: hparams_from(t["title"], t["fields"]),
}

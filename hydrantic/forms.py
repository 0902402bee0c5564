"""The plain form of fields and their types, in which they are kept in a file, put into words and taken apart.

A field is `{"type": T, "default": plain value, "meaning": text}`; without `default` it is required. T is one of

    "int" "float" "bool" "str" "null" "any"
    {"path": "input" | "output" | "any"}     a file to read, a place below the run's directory, or either
    {"rule": T, "name": text}                T that obeys a rule of `hydrantic.rules`
    {"choice": [scalar, ...]}                one of these
    {"enum": {member: scalar}, "title": text}    with "of": "int" where its members are integers themselves
    {"list": T} {"sequence": T} {"set": T} {"frozenset": T} {"tuple_of": T} {"tuple": [T, ...]} {"dict": [K, V]}
    {"union": [T, ...]}
    {"slot": kind, "built": bool}            a nested component
    {"auto": T}                              T, or `auto` where the data supplies it
    {"where": T, "gt": 0, ...}               T within limits
    {"fields": {name: field}, "title": text} nested settings
    {"opaque": text}                         what only the component's own code can judge
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

Type: TypeAlias = Any
"""One of the forms above: text or a mapping."""

Field: TypeAlias = Mapping[str, Any]
"""What there is to know of a field; empty where nothing is known of it."""

Fields: TypeAlias = Mapping[str, Field]
"""Fields by name."""

LISTS: Final = ("list", "sequence", "set", "frozenset", "tuple_of")
"""The forms of lists of any length, whose elements are all of one type."""


def members(type_: Type) -> Iterator[tuple[str, Any]]:
    """What a value may be one of, each as its form and what that holds; limits and rules are left out.

    Scalars hold nothing, and neither does `auto`, which stands beside the type that it may take the place of.
    """
    if isinstance(type_, str):
        yield type_, None
        return
    form, inner = next(iter(type_.items()))
    if form == "auto":
        yield "auto", None
    if form in {"auto", "where", "rule"}:
        yield from members(inner)
    elif form == "union":
        for each in inner:
            yield from members(each)
    else:
        yield form, inner


def held(type_: Type, form: str) -> Any:
    """What the first member of a form holds, such as the kind of a slot; None where a value is nothing of the form."""
    return next((inner for each, inner in members(type_) if each == form), None)


def takes_auto(type_: Type) -> bool:
    """Whether the data may supply the value."""
    return any(form == "auto" for form, _ in members(type_))


def below(type_: Type, part: str | int) -> Field:
    """The field at a key or an index of a value of this type; empty where nothing is known of it."""
    return next((found for form, inner in members(type_) if (found := _part(form, inner, part))), {})


def _part(form: str, inner: Any, part: str | int) -> Field:
    if isinstance(part, int):
        if form == "tuple":
            return {"type": inner[part]} if part < len(inner) else {}
        return {"type": inner} if form in LISTS else {}
    if form == "fields":
        return dict(inner.get(part, {}))
    return {"type": inner[1]} if form == "dict" else {}


def are_fields(said: Any) -> bool:
    """Whether something that was read from a file has the form of fields; what their limits allow is not looked at."""
    return isinstance(said, dict) and all(
        isinstance(each, dict) and is_type(each.get("type")) and isinstance(each.get("meaning", ""), str)
        for each in said.values()
    )


def is_type(said: Any) -> bool:
    """Whether something has one of the forms above."""
    if not isinstance(said, dict) or not said:
        return isinstance(said, str) and said in _SCALARS
    form, inner = next(iter(said.items()))
    is_sound = _SOUND.get(form)
    return is_sound is not None and is_sound(inner) and isinstance(said.get("title", ""), str)


def _are_types(said: Any) -> bool:
    return isinstance(said, list) and all(map(is_type, said))


def _are_scalars(said: Any) -> bool:
    return bool(said) and all(isinstance(each, str | int | float | None) for each in said)


_SCALARS: Final = frozenset({"int", "float", "bool", "str", "null", "any"})
_SOUND: Final[Mapping[str, Callable[[Any], bool]]] = {
    **dict.fromkeys((*LISTS, "auto", "where", "rule"), is_type),
    "union": lambda inner: bool(inner) and _are_types(inner),
    "tuple": _are_types,
    "dict": lambda inner: _are_types(inner) and len(inner) == 2,
    "choice": lambda inner: isinstance(inner, list) and _are_scalars(inner),
    "enum": lambda inner: isinstance(inner, dict) and _are_scalars(inner.values()),
    "fields": are_fields,
    **dict.fromkeys(("path", "slot", "opaque"), lambda inner: isinstance(inner, str)),
}

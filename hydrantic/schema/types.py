"""The types of fields as JSON Schema (draft-07), in the terms that the YAML language server words and completes best.

Text with `${...}` is allowed in place of every value. So is what YAML 1.2 reads as text and hydrantic as a number:
`1_000`, `inf`. `errorMessage` is what the language server says instead of its own words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from hydrantic.document import CODE_KEYS
from hydrantic.forms import LISTS, Field, Fields, Type, held
from hydrantic.phrases import words
from hydrantic.yaml_text import to_inline_yaml

Schema: TypeAlias = dict[str, Any]

REFERENCE: Final = r"\$\{"
"""The pattern of text that holds an interpolation."""

ANYTHING: Final = "anything"
"""The name of the definition that any plain value satisfies."""

_INT: Final = r"^[+-]?\d+(_\d+)+$"
_FLOAT: Final = r"^[+-]?[\d.]+_[\d._eE+-]+$"
_INFINITE: Final = {"-": r"^-[iI][nN][fF]$", "+": r"^\+?[iI][nN][fF]$", "nan": r"^[+-]?[nN][aA][nN]$"}
_LOCAL: Final = r"^(?!.*://).+$"
_BELOW_THE_RUN: Final = r"^(?!/|~)(?!.*://)(?!(.*/)?\.\.(/|$)).+$"
_PATHS: Final = {"input": _LOCAL, "output": _BELOW_THE_RUN}
_RULES: Final = {"inside": _BELOW_THE_RUN}
_NUMERIC: Final = {
    "gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum", "multiple_of": "multipleOf",
}  # fmt: skip
_LENGTHS: Final = {
    "string": {"min_length": "minLength", "max_length": "maxLength", "pattern": "pattern"},
    "array": {"min_length": "minItems", "max_length": "maxItems"},
    "object": {"min_length": "minProperties", "max_length": "maxProperties"},
}
_PORTABLE: Final = re.compile(r"(?:[^\\(\[]|\((?!\?)|\(\?[:=!]|\[(?!\[|:)|\\[dwsDWS.\\/()\[\]{}+*?|^$])*")
"""Regular expressions that mean the same to pydantic, Python and JavaScript."""

_CODE: Final = "|".join(sorted(CODE_KEYS))
DEFINITIONS: Final[Mapping[str, Schema]] = {
    ANYTHING: {
        "propertyNames": {
            "pattern": rf"^(?!(?:{_CODE})$)",
            "patternErrorMessage": "would call code: a blueprint selects components by `name:` and is never code",
        },
        "additionalProperties": {"$ref": f"#/definitions/{ANYTHING}"},
        "items": {"$ref": f"#/definitions/{ANYTHING}"},
    }
}
"""What the schemas of fields refer to, the slots left out."""


def definition(name: str, *inside: str) -> Schema:
    """A reference to a definition, or to something inside of it."""
    parts = (part.replace("~", "~0").replace("/", "~1").replace("%", "%25") for part in (name, *inside))
    return {"$ref": "#/definitions/" + "/".join(parts)}


def slot(kind: str) -> str:
    """The name of the definition of a slot."""
    return f"{kind}-slot"


def needs(kind: str) -> str:
    """The name of the definition of what a component of a kind cannot do without."""
    return f"{kind}-needs"


def silent(schema: Schema) -> Schema:
    """The schema of a property whose key is offered elsewhere, or not at all."""
    return {"doNotSuggest": True, "allOf": [schema]}


def exactly(names: Iterable[str]) -> str:
    """The pattern of text that is one of several names."""
    return f"^(?:{'|'.join(map(_escaped, names))})$"


def none_of(names: Iterable[str]) -> str:
    """The pattern of text that is none of several names."""
    return f"^(?!(?:{'|'.join(map(_escaped, names))})$)"


def _escaped(name: str) -> str:
    # `re.escape` also escapes what JavaScript refuses to see escaped.
    return re.sub(r"[.*+?^$|(){}\[\]\\]", r"\\\g<0>", name)


def schema_of_field(field: Field) -> Schema:
    """The schema of a field with its meaning, type and default in words."""
    schema = schema_of_type(field["type"])
    described: Schema = {"description": about(field)}
    if "default" in field:
        described["default"] = _short(field["type"], field["default"])
    if (chosen := usual(field)) is not None:
        return described | {"allOf": [schema, {"if": NAMELESS, "then": definition("=".join(chosen))}]}
    return described | ({"allOf": [schema]} if "$ref" in schema else schema)


NAMELESS: Final[Schema] = {"type": "object", "properties": {"name": False, "module_name": False}}
"""A block that names no component."""


def usual(field: Field) -> tuple[str, str] | None:
    """Kind and name of the component that a block without a name means in a field; None where it means nothing."""
    type_, default = field["type"], field.get("default")
    kind = held(type_, "slot")
    name = default.get("name") if isinstance(default, Mapping) else default if "slot" in type_ else None
    return (kind, name) if kind is not None and isinstance(name, str) else None


def _short(type_: Type, value: Any) -> Any:
    """A default as a person would write it: a component by its name alone where that says it all."""
    is_name = isinstance(value, Mapping) and list(value) == ["name"] and "slot" in type_
    return value["name"] if is_name else value


def about(field: Field) -> str:
    """The meaning of a field, then its type in words and its default."""
    needed = "required"
    if "default" in field:
        needed = f"default: {to_inline_yaml(_short(field['type'], field['default']))}"
    return "\n\n".join(part for part in (field.get("meaning", ""), f"{_words(field['type'])}; {needed}") if part)


def _words(type_: Type) -> str:
    return "anything" if isinstance(type_, Mapping) and "opaque" in type_ else words(type_)


def schema_of_type(type_: Type) -> Schema:
    """The schema of a type, `${...}` among its values."""
    schema = _plain(type_, {})
    return schema if "$ref" in schema else _or_reference(_saying(schema, f"expected: {_words(type_)}"))


def _saying(schema: Schema, message: str) -> Schema:
    if "anyOf" in schema:
        return schema | {"anyOf": [_saying(each, message) for each in schema["anyOf"]]}
    if "properties" in schema:
        message = f"expected: mapping with no other keys than {', '.join(schema['properties'])}"
    return schema if "$ref" in schema else schema | {"errorMessage": message}


def _or_reference(schema: Schema) -> Schema:
    if "anyOf" in schema:
        return schema | {"anyOf": [*schema["anyOf"], _TEXT_REFERENCE]}
    if "enum" in schema or not {"minLength", "maxLength"}.isdisjoint(schema):
        return {"anyOf": [schema, _TEXT_REFERENCE]}
    if "string" in schema["type"] and "pattern" not in schema:
        return schema
    pattern = "|".join([REFERENCE, *([schema["pattern"]] if "pattern" in schema else [])])
    return schema | {"type": _joined(schema["type"], ["string"]), "pattern": pattern}


_TEXT_REFERENCE: Final[Schema] = {"type": "string", "pattern": REFERENCE}


def _joined(some: list[str], others: list[str]) -> list[str]:
    """Several types, text last: the first is the one that the language server begins to write."""
    found = dict.fromkeys((*some, *others))
    return sorted(found, key=lambda each: each == "string")


def _plain(type_: Type, limits: Mapping[str, Any]) -> Schema:
    """The schema of a type without `${...}`."""
    if isinstance(type_, str):
        return _scalar(type_, limits)
    (form, inner), *further = type_.items()
    if form in _WRAPPED:
        return _WRAPPED[form](inner, {**limits, **dict(further)})
    return _limited(_FORMS[form](inner), limits)


def _scalar(name: str, limits: Mapping[str, Any]) -> Schema:
    if name == "any":
        return definition(ANYTHING)
    if name == "int":
        return {"type": ["integer", "string"], "pattern": _INT} | _numeric(limits)
    if name == "float":
        return {"type": ["number", "string"], "pattern": "|".join([_FLOAT, *_infinite(limits)])} | _numeric(limits)
    return _limited({"type": [{"bool": "boolean", "str": "string", "null": "null"}[name]]}, limits)


def _numeric(limits: Mapping[str, Any]) -> Schema:
    return {_NUMERIC[name]: limit for name, limit in limits.items() if name in _NUMERIC}


def _infinite(limits: Mapping[str, Any]) -> list[str]:
    """What a number may be that JSON has no number for."""
    if limits.get("allow_inf_nan") is False:
        return []
    below, above = {"gt", "ge"} & limits.keys(), {"lt", "le"} & limits.keys()
    refused = {"-": below, "+": above, "nan": below | above}
    return [pattern for name, pattern in _INFINITE.items() if not refused[name]]


def _limited(schema: Schema, limits: Mapping[str, Any]) -> Schema:
    """The schema of text, lists or mappings within limits."""
    found: Schema = {}
    for each in schema.get("type", ()):
        found |= {word: limits[name] for name, word in _LENGTHS.get(each, {}).items() if name in limits}
    if not _PORTABLE.fullmatch(str(found.get("pattern", ""))):
        del found["pattern"]
    return schema | found


def _union(members: Iterable[Type], limits: Mapping[str, Any]) -> Schema:
    """Alternatives, as few as possible: the language server words a single one best."""
    merged: list[Schema] = []
    for each in members:
        schema = _plain(each, limits)
        for part in schema.get("anyOf", [schema]):
            _merge_into(merged, part)
    return merged[0] if len(merged) == 1 else {"anyOf": merged}


def _merge_into(merged: list[Schema], schema: Schema) -> None:
    for index, other in enumerate(merged):
        if (both := _merged(other, schema)) is not None:
            merged[index] = both
            return
    merged.append(schema)


def _merged(one: Schema, other: Schema) -> Schema | None:
    """Both schemas as one; None where that would let through what neither does."""
    if "enum" in one or "enum" in other:
        if (word := _with_word(one, other)) is not None:
            return word
        values = [_values(one), _values(other)]
        known = [each for of_one in values for each in of_one or ()]
        return None if None in values else {"enum": list({repr(each): each for each in known}.values())}
    if not (_is_scalar(one) and _is_scalar(other)):
        return None
    both = {**one, **other, "type": _joined(one["type"], other["type"])}
    if any(not _CONSTRAINTS.get(each, frozenset()).isdisjoint(both) for each in _families(one) & _families(other)):
        return None
    patterns = [each.get("pattern") for each in (one, other) if "string" in each["type"]]
    both.pop("pattern", None)
    known = [each for each in patterns if each is not None]
    return both | {"pattern": "|".join(dict.fromkeys(known))} if known and len(known) == len(patterns) else both


def _with_word(schema: Schema, word: Schema) -> Schema | None:
    """Numbers and lists that a single word may stand for, such as `auto`."""
    if "type" not in schema or len(word.get("enum", ())) != 1 or not isinstance(word["enum"][0], str):
        return None
    return _merged(schema, {"type": ["string"], "pattern": exactly(word["enum"])})


def _is_scalar(schema: Schema) -> bool:
    # Of what may also be a list or a mapping, the language server would always begin to write one.
    return "type" in schema and {"array", "object"}.isdisjoint(schema["type"])


_CONSTRAINTS: Final[Mapping[str, frozenset[str]]] = {
    "number": frozenset(_NUMERIC.values()),
    "string": frozenset({"minLength", "maxLength"}),
}
"""What says more of a value than its type, patterns left out."""


def _families(schema: Schema) -> set[str]:
    return {"number" if each == "integer" else each for each in schema["type"]}


def _values(schema: Schema) -> list[Any] | None:
    """The values of a schema that has only a few."""
    if "enum" in schema:
        values: list[Any] = schema["enum"]
        return values
    few: Mapping[tuple[str, ...], list[Any]] = {("null",): [None], ("boolean",): [True, False]}
    return few.get(tuple(schema.get("type", ())))


def _fact(inner: Type, limits: Mapping[str, Any]) -> Schema:
    return _union([{"where": inner, **limits}, {"choice": ["auto"]}], {})


def _ruled(inner: Type, limits: Mapping[str, Any]) -> Schema:
    schema, pattern = _plain(inner, limits), _RULES.get(str(limits["name"]))
    return schema if pattern is None or "string" not in schema.get("type", ()) else schema | {"pattern": pattern}


_WRAPPED: Final[Mapping[str, Callable[[Any, Mapping[str, Any]], Schema]]] = {
    "where": _plain, "auto": _fact, "rule": _ruled, "union": _union,
}  # fmt: skip


def _list(inner: Type) -> Schema:
    return {"type": ["array"], "items": schema_of_type(inner)}


def _tuple(parts: list[Type]) -> Schema:
    length = {"minItems": len(parts), "maxItems": len(parts)}
    return {"type": ["array"], "items": [schema_of_type(each) for each in parts]} | length


def _mapping(pair: list[Type]) -> Schema:
    keys, values = pair
    names = {"int": {"pattern": r"^[+-]?\d+$"}}.get(str(keys))
    if isinstance(keys, Mapping) and "choice" in keys:
        names = {"enum": keys["choice"]}
    return {"type": ["object"], "additionalProperties": schema_of_type(values)} | (
        {} if names is None else {"propertyNames": names}
    )


def _settings(fields: Fields) -> Schema:
    properties = {name: schema_of_field(field) for name, field in fields.items()}
    return {"type": ["object"], "properties": properties, "additionalProperties": False}


_FORMS: Final[Mapping[str, Callable[[Any], Schema]]] = {
    "path": lambda role: {"type": ["string"]} | ({"pattern": _PATHS[role]} if role in _PATHS else {}),
    "choice": lambda values: {"enum": list(values)},
    "enum": lambda members: {"enum": list(members.values())},
    **dict.fromkeys(LISTS, _list),
    "tuple": _tuple,
    "dict": _mapping,
    "slot": lambda kind: {"anyOf": [definition(slot(kind))]},
    "fields": _settings,
    "opaque": lambda _: definition(ANYTHING),
}


def needs_of_type(type_: Type) -> Schema | None:
    """What must not be missing in a value of a type; None where nothing can be."""
    if isinstance(type_, str):
        return None
    (form, inner), *_ = type_.items()
    found = _NEEDS.get(form)
    return None if found is None else found(inner)


def needs_of_fields(fields: Fields) -> Schema:
    """What must not be missing in a mapping with these fields."""
    required = [name for name, field in fields.items() if "default" not in field]
    needed = {name: _needs_of_field(field) for name, field in fields.items()}
    inner = {name: silent(each) for name, each in needed.items() if each is not None}
    return ({"required": required} if required else {}) | ({"properties": inner} if inner else {})


def _needs_of_field(field: Field) -> Schema | None:
    needed = needs_of_type(field["type"])
    return needed if needed is None or usual(field) is None else {"if": NAMELESS, "else": needed}


def _needs_of_parts(key: str) -> Callable[[Type], Schema | None]:
    def needed(inner: Type) -> Schema | None:
        found = needs_of_type(inner)
        return None if found is None else {key: found}

    return needed


def _needs_of_tuple(parts: list[Type]) -> Schema | None:
    found = [needs_of_type(each) for each in parts]
    return {"items": [each or {} for each in found]} if any(found) else None


def _needs_of_union(members: list[Type]) -> Schema | None:
    """Those of the one member that has any; text may be another member's."""
    found = [each for each in map(needs_of_type, members) if each is not None]
    if len(found) != 1:
        return None
    others = [each for each in members if needs_of_type(each) is None]
    return found[0] if all(each == "null" for each in others) else {"if": {"type": "object"}, "then": found[0]}


_NEEDS: Final[Mapping[str, Callable[[Any], Schema | None]]] = {
    **dict.fromkeys(LISTS, _needs_of_parts("items")),
    **dict.fromkeys(("where", "auto", "rule"), needs_of_type),
    "tuple": _needs_of_tuple,
    "dict": lambda pair: _needs_of_parts("additionalProperties")(pair[1]),
    "union": _needs_of_union,
    "slot": lambda kind: definition(needs(kind)),
    "fields": lambda fields: needs_of_fields(fields) or None,
}

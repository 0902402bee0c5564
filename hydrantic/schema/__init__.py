"""The JSON Schema of a project's blueprints, by which an editor completes, explains and checks them as they are typed.

It says what `hydrantic check` says wherever a JSON Schema can. Only `check` sees where an interpolation points; whether
files, requirements and environment variables are there; whether a loss or metric suits the data, and the model a loss
or an optimizer; what a monitor watches; how the values of one field hang together; a field given both in and beside
`kwargs`; what a component's own code judges; and, as JSON has one kind of number, the difference between 1 and 1.0.

It is written in draft-07, which the YAML language server knows best. A component's branch is chosen by a pattern: by a
constant, the server would complete the fields of every name that begins as the chosen one does.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

from hydrantic.blueprint import ELSEWHERE, WIRINGS, Blueprint, Label
from hydrantic.errors import UsageError
from hydrantic.forms import Field, Fields
from hydrantic.manifest import Manifest
from hydrantic.manifest.descriptions import Description
from hydrantic.model.hparams import ModelHparams
from hydrantic.registries import KINDS
from hydrantic.rundir import write_atomically
from hydrantic.schema.types import (
    ANYTHING,
    DEFINITIONS,
    REFERENCE,
    Schema,
    definition,
    exactly,
    needs,
    needs_of_fields,
    needs_of_type,
    none_of,
    schema_of_field,
    silent,
    slot,
    usual,
)
from hydrantic.sections import COMPONENTS, LABELLED, kind_of
from hydrantic.source import display
from hydrantic.spec import fields_of, is_told
from hydrantic.texts import listed

FILE: Final = Path(".hydrantic") / "blueprint.schema.json"
"""Where the schema lies below a project's root."""

_LABEL: Final[str] = get_args(Label)[1].pattern
_IS_BLOCK: Final[Schema] = {"type": "object"}
_IS_NAMED: Final[Schema] = {
    "anyOf": [{"required": [key], "properties": {key: {"type": "string"}}} for key in ("name", "module_name")]
}
_IS_NAMELESS: Final[Schema] = {"type": ["object", "null"], "properties": {"name": False, "module_name": False}}
_HAS_KWARGS: Final[Schema] = {"required": ["kwargs"], "properties": {"kwargs": {"type": ["object", "string"]}}}
_IS_COMPOSED: Final[Schema] = {
    "required": ["defaults"],
    "properties": {"defaults": {"type": "array", "contains": {"not": {"const": "_self_"}}}},
}
"""Whether further files may hold what the blueprint leaves out."""
_MAPPING: Final[Schema] = {"type": ["object", "null", "string"], "pattern": REFERENCE}


def schema_of(components: Iterable[Description], trainer: Fields) -> Schema:
    """The schema of the blueprints that may choose these components.

    Arguments:
        components: in the order in which they are looked up: of two with one name, it means the first.
        trainer: the fields of the section `trainer`, in the form of `hydrantic.forms`.
    """
    choices: dict[str, list[_Choice]] = {kind: [] for kind in KINDS}
    for each in components:
        taken = {name for choice in choices[each.kind] for name in choice.names}
        names = tuple(name for name in each.lookups if name not in taken)
        if names and not each.broken:
            choices[each.kind].append(_Choice(names, each))
    definitions = dict(DEFINITIONS)
    for kind in KINDS:
        definitions |= _definitions(kind, choices[kind])
    definitions = _defaults_of_slots(choices) | definitions
    sections = {name: _section(name, field, trainer) for name, field in fields_of(Blueprint).items()}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "blueprint",
        "type": "object",
        "properties": {"defaults": _defaults()} | sections,
        "additionalProperties": False,
        "errorMessage": f"the sections are {', '.join(sections)}; values of your own go into `vars:`",
        "if": _IS_COMPOSED,
        "else": _complete(choices, trainer),
        "definitions": definitions,
    }


def write_schema(manifest: Manifest, file: Path) -> None:
    """Write the schema of the blueprints that may choose what a manifest holds.

    Raises:
        UsageError: the file cannot be written; what was there is untouched.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, to_json(manifest))
    except OSError as error:
        raise UsageError(f"cannot write {display(file)}: {error.strerror or error}; choose another place") from error


def to_json(manifest: Manifest) -> str:
    """The text of the schema of the blueprints that may choose what a manifest holds."""
    schema = schema_of(_looked_up(manifest), manifest.trainer_fields)
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":")) + "\n"


def line_for(file: Path, folder: Path) -> str:
    """The line that tells the YAML language server where the schema of a blueprint in a folder lies."""
    return f"# yaml-language-server: $schema={Path(os.path.relpath(file, folder)).as_posix()}"


def _looked_up(manifest: Manifest) -> Iterator[Description]:
    """The components of a manifest, those last that others hide: their dotted paths still mean them."""
    for kind in KINDS:
        visible = manifest.all(kind)
        yield from visible
        hidden = (manifest.hidden(kind, each.name) for each in visible)
        yield from (each for each in hidden if each is not None)


@dataclass(frozen=True)
class _Choice:
    """A component with the names that choose it."""

    names: tuple[str, ...]
    component: Description

    @property
    def name(self) -> str:
        return self.names[0]

    @property
    def judges(self) -> bool:
        """Whether its own code judges its fields, which may take what their types do not."""
        return not self.component.told and is_told(self.component.fields)

    @property
    def fields(self) -> Fields:
        """Its fields, as far as anything but its own code can judge them."""
        fields = self.component.fields
        if not self.judges:
            return fields
        return {name: {**field, "type": {"opaque": "what its own code allows"}} for name, field in fields.items()}

    @property
    def required(self) -> list[str]:
        return [] if self.judges else [name for name, field in self.fields.items() if "default" not in field]

    @property
    def groups(self) -> Schema:
        """The sections that its block may hold in place of the blueprint."""
        carries = self.component.judged.get("carries_groups", False)
        return {name: {"$ref": f"#/properties/{name}"} for name in ModelHparams.model_fields} if carries else {}

    def is_chosen(self) -> Schema:
        """What a block with a name obeys that chooses it."""
        return {"patternProperties": {"^(module_)?name$": {"pattern": exactly(self.names)}}}

    def needs(self) -> Schema:
        """What a block that chooses it must not leave out."""
        needed = needs_of_fields(self.fields)
        inner = needed.get("properties", {})
        found: Schema = {"properties": inner | {"kwargs": silent({"properties": inner})}} if inner else {}
        if self.required:
            either = [{"anyOf": [{"required": [name]}, _in_kwargs(name)]} for name in self.required]
            found |= {"if": _HAS_KWARGS, "then": {"allOf": either}, "else": {"required": self.required}}
        return found


def _in_kwargs(name: str) -> Schema:
    return {"properties": {"kwargs": {"if": _IS_BLOCK, "then": {"required": [name]}}}}


def _definitions(kind: str, choices: list[_Choice]) -> dict[str, Schema]:
    """What there is to say of the components of a kind, in their section and in the fields of others."""
    wiring = next((fields_of(wiring) for name, wiring in WIRINGS.items() if kind_of(name) == kind), {})
    own = {name for each in choices for name in each.fields}
    beside = {"properties": {name: False for name in wiring if name not in own}}
    unwired = beside | {"errorMessage": f"only the block of a section has {' and '.join(wiring)}"} if wiring else {}
    found = _names(kind, choices) | {f"{kind}-block": _block(kind, choices)}
    found |= {f"{kind}={each.name}": _fields(each, wiring) for each in choices}
    return found | {needs(kind): _needs(kind, choices), slot(kind): _chosen(kind) | unwired}


def _defaults_of_slots(choices: Mapping[str, list[_Choice]]) -> dict[str, Schema]:
    """What a block without a name may hold in a slot with a default: anything, where it is no component's own name."""
    fields = (field for each in choices.values() for choice in each for field in choice.fields.values())
    return {"=".join(named): {} for field in fields if (named := usual(field)) is not None}


def _names(kind: str, choices: list[_Choice]) -> dict[str, Schema]:
    offered = [each for each in choices if each.name == each.component.name]
    names = [each.name for each in offered]
    others = [name for each in choices for name in each.names if name not in names]
    aliases = f"{REFERENCE}|{exactly(others)}" if others else REFERENCE
    return {
        f"{kind}-name": {
            "enum": names or [""],  # an empty list would be no sound schema
            "enumDescriptions": [each.component.summary for each in offered],
            "errorMessage": f"expected: one of the {KINDS[kind]}: {listed(names)}",
        },
        f"{kind}-alias": {"type": "string", "pattern": aliases},
    }


def _chosen(kind: str, *also: str) -> Schema:
    """A component of a kind: its name, or a block; `also` names further types."""
    return {
        "anyOf": [definition(f"{kind}-name"), definition(f"{kind}-alias"), {"type": ["object", *also]}],
        "if": _IS_BLOCK,
        "then": definition(f"{kind}-block"),
    }


def _block(kind: str, choices: list[_Choice]) -> Schema:
    """A block that chooses a component of a kind, if it has a name."""
    name: Schema = {"anyOf": [definition(f"{kind}-name"), definition(f"{kind}-alias")]}
    fields = {name for each in choices for name in each.fields}
    only_beside = {name: False for name in ("name", "module_name", "kwargs") if name not in fields}
    kwargs = _MAPPING | {"description": "Its fields; they can stand beside `name` as well.", "properties": only_beside}
    twice = {"properties": {"module_name": False}, "errorMessage": "`name` is there too; keep one of them"}
    branches = [{"if": each.is_chosen(), "then": definition(f"{kind}={each.name}")} for each in choices]
    return {
        "properties": {
            "name": {"description": f"Which {kind}."} | name,
            "module_name": {"description": f"Which {kind}; an older word for `name`.", "doNotSuggest": True} | name,
            "kwargs": {"doNotSuggest": True} | kwargs,
        },
        "allOf": [{"if": {"required": ["name"]}, "then": twice}],
        "if": _IS_NAMED,
        "then": {"allOf": branches} if branches else {},
    }


def _fields(choice: _Choice, wiring: Fields) -> Schema:
    """What may stand in the block of a component, or in its `kwargs`."""
    fields = {**wiring, **choice.fields}
    properties = {name: schema_of_field(field) for name, field in fields.items()} | choice.groups
    kwargs = silent(definition(f"{choice.component.kind}={choice.name}"))
    return {
        "title": choice.name,
        "properties": properties | {"name": True, "module_name": True, "kwargs": kwargs},
        "additionalProperties": False,
        "errorMessage": f"{choice.name} has these fields: {', '.join(fields) or 'none'}",
    }


def _needs(kind: str, choices: list[_Choice]) -> Schema:
    """What no component of a kind must leave out, where no other file can hold it."""
    needed = [{"if": each.is_chosen(), "then": found} for each in choices if (found := each.needs())]
    demanding = [name for each in choices if each.required for name in each.names]
    nameless = {"required": ["name"], "errorMessage": f"needs a `name` that chooses one of the {KINDS[kind]}"}
    block: Schema = {"if": {"required": ["module_name"]}, "else": nameless}
    block |= {"allOf": [{"if": _IS_NAMED, "then": {"allOf": needed}}]} if needed else {}
    text = {"pattern": none_of(demanding), "errorMessage": "needs fields: write {name: ..., field: ...}"}
    return {"if": _IS_BLOCK, "then": block} | ({"else": text} if demanding else {})


def _section(section: str, field: Field, trainer: Fields) -> Schema:
    """A section with what can be said of it wherever the rest of the blueprint stands."""
    said = {"description": field.get("meaning", "")} | ({"default": field["default"]} if "default" in field else {})
    if section in COMPONENTS:
        return said | _chosen(kind_of(section), *(["null"] if "default" in field else []))
    if section in LABELLED:
        return said | _labelled(section)
    if section == "trainer":
        return said | _trainer(trainer)
    if section == "vars":
        return said | _MAPPING | {"errorMessage": "expected: mapping", "allOf": [definition(ANYTHING)]}
    return schema_of_field(field)


def _labelled(section: str) -> Schema:
    kind = LABELLED[section]
    label = {"pattern": _LABEL, "errorMessage": "expected: a label of letters, digits, _ and -"}
    taken = {"loss": "the label `loss` is that of the loss; give this metric another"} if section == "metrics" else {}
    components = {"propertyNames": label, "additionalProperties": _chosen(kind, "null")}
    return (
        _MAPPING | {"errorMessage": f"expected: mapping of labels to {KINDS[kind]}"} | components | _refused({}, taken)
    )


def _refused(properties: Schema, reasons: Mapping[str, str]) -> Schema:
    """Properties, and others that are refused for reasons of their own."""
    refused = [{"properties": {name: False}, "errorMessage": reason} for name, reason in reasons.items()]
    return {"properties": properties | dict.fromkeys(reasons, True)} | ({"allOf": refused} if refused else {})


def _trainer(fields: Fields) -> Schema:
    properties = {name: schema_of_field(field) for name, field in fields.items()}
    elsewhere = {name: f"'{name}' is not set here: {instead}" for name, instead in ELSEWHERE.items()}
    closed = {"additionalProperties": False, "errorMessage": "lightning.Trainer has no such argument"}
    return _MAPPING | _refused(properties, elsewhere) | closed


def _defaults() -> Schema:
    """The options that a blueprint is composed of, as in Hydra's defaults list."""
    message = "expected: the name of an option, or one `group: option`"
    options = {"type": ["string", "null", "array"], "items": {"type": "string"}}
    groups = {**COMPONENTS, **LABELLED}
    of_group = {name: {"anyOf": [definition(f"{kind}-name"), options]} for name, kind in groups.items()}
    group = {
        "type": ["object"],
        "properties": of_group,
        "additionalProperties": options,
        "propertyNames": {"pattern": r"^((override|optional) )*[^ ]*[^ /@][^ ]*$"},
        "minProperties": 1,
        "maxProperties": 1,
        "errorMessage": message,
    }
    return {
        "description": "Files and components that this blueprint is composed of, as in Hydra's defaults list.",
        "type": ["array", "null"],
        "items": {"anyOf": [{"type": ["string"], "minLength": 1, "errorMessage": message}, group]},
    }


def _complete(choices: Mapping[str, list[_Choice]], trainer: Fields) -> Schema:
    """What a blueprint must have that is composed of no other file."""
    fields = fields_of(Blueprint)
    required = [name for name, field in fields.items() if "default" not in field]
    found = {}
    for section, field in fields.items():
        if section in COMPONENTS:
            found[section] = _complete_component(section, field, choices)
        elif section in LABELLED:
            found[section] = _complete_labelled(section, choices)
        else:
            needed = needs_of_fields(trainer) if section == "trainer" else needs_of_type(field["type"])
            found |= {section: needed} if needed else {}
    return {"required": required, "properties": {section: silent(needed) for section, needed in found.items()}}


def _complete_component(section: str, field: Field, choices: Mapping[str, list[_Choice]]) -> Schema:
    kind = COMPONENTS[section]
    default = next((each for each in choices[kind] if field.get("default") in each.names), None)
    return definition(needs(kind)) if default is None else _unless_named(default)


def _complete_labelled(section: str, choices: Mapping[str, list[_Choice]]) -> Schema:
    kind, pattern = LABELLED[section], re.compile(_LABEL)
    found: dict[str, Schema] = {}
    for each in choices[kind]:
        label = {"type": ["string", "object", "null"], "description": each.component.summary} | _unless_named(each)
        found |= dict.fromkeys(filter(pattern.search, each.names), label)
    named = {
        "type": ["string", "object"],
        "errorMessage": f"a label that names none of the {KINDS[kind]} needs a block",
    }
    return {"properties": found, "additionalProperties": named | {"allOf": [definition(needs(kind))]}}


def _unless_named(choice: _Choice) -> Schema:
    """A block that chooses a component without its name, unless it names another one."""
    kind = choice.component.kind
    name = {"properties": {"name": definition(f"{kind}-block", "properties", "name")}}
    said = [name, definition(f"{kind}={choice.name}"), *([choice.needs()] if choice.needs() else [])]
    if choice.required:
        said.append({"type": "object", "errorMessage": f"{choice.name} needs {', '.join(choice.required)}"})
    return {"if": _IS_NAMELESS, "then": {"allOf": said}, "else": definition(needs(kind))}

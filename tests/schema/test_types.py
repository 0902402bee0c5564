"""Types of fields as JSON Schema: they let through what Hparams with such a field take, and nothing else."""

from __future__ import annotations

import re
from typing import Any

import pytest
from jsonschema import Draft7Validator

from hydrantic.hparams import ValidationError
from hydrantic.schema.types import DEFINITIONS, about, exactly, needs_of_type, none_of, schema_of_field, schema_of_type
from hydrantic.spec import hparams_from

VALUES: list[Any] = [
    None, True, False, -2, -1, 0, 1, 2, 3, 2**40, -0.5, 0.25, 0.5, 1.5, 1e-3, 1e-300, "", "a", "ab", "abc", "abcd",
    "auto", "min", "max", "1", "a b", "x/y", "/x", "~", "~/x", "..", "a/../b", "..a", "http://x", [], [1], [1, 2],
    [1, 2, 3], [0.5], [0.5, 1], ["a"], [None], [[1]], [True], [-1], ["auto"], {}, {"a": 1}, {"a": "b"}, {"a": None},
    {"rate": 0.5}, {"rate": 2}, {"rate": "a"}, {"mode": "min"}, {"mode": "min", "rate": 0.5},
    {"mode": "min", "rates": 1}, {"min": 1},
]  # fmt: skip

SETTINGS = {"mode": {"type": {"choice": ["min", "max"]}}, "rate": {"type": "float", "default": 0.5}}
TYPES: list[Any] = [
    "int", "float", "bool", "str", "null",
    {"where": "int", "gt": 0},
    {"where": "int", "ge": 0, "lt": 3},
    {"where": "int", "multiple_of": 2},
    {"where": "float", "gt": 0, "le": 1},
    {"where": "str", "min_length": 1},
    {"where": "str", "min_length": 2, "max_length": 3},
    {"where": "str", "pattern": r"^[a-z]+$"},
    {"where": {"union": ["str", "null"]}, "min_length": 1},
    {"where": {"union": ["int", "null"]}, "ge": -1},
    {"where": {"list": {"where": "int", "gt": 0}}, "min_length": 2},
    {"where": {"dict": ["str", "int"]}, "min_length": 1},
    {"choice": ["min", "max"]},
    {"choice": ["min", 2]},
    {"choice": [None, "min"]},
    {"sequence": "float"},
    {"sequence": {"fields": SETTINGS, "title": "Settings"}},
    {"enum": {"LEAST": "min", "MOST": "max"}, "title": "Mode"},
    {"union": [{"choice": ["min", "max"]}, "null"]},
    {"union": [{"choice": ["min", "max"]}, "bool"]},
    {"union": [{"choice": ["min"]}, "int"]},
    {"union": ["int", "float"]},
    {"union": ["int", "str"]},
    {"union": [{"where": "int", "ge": 1}, {"where": "float", "ge": 0, "le": 1}]},
    {"union": [{"where": "int", "ge": 1}, "null", "bool"]},
    {"union": [{"where": "str", "min_length": 3}, {"where": "str", "max_length": 1}]},
    {"union": ["float", {"list": "float"}, "null"]},
    {"union": [{"tuple": ["int", "int"]}, "int"]},
    {"union": [{"fields": SETTINGS, "title": "Settings"}, "null"]},
    {"union": [{"union": ["int", "null"]}, {"list": "str"}]},
    {"list": "int"}, {"tuple_of": "float"}, {"set": "str"}, {"frozenset": "int"}, {"list": {"list": "int"}},
    {"list": {"union": ["int", "null"]}},
    {"tuple": ["float", "float"]}, {"tuple": [{"where": "int", "ge": 0}, "null"]},
    {"dict": ["str", "int"]}, {"dict": ["str", {"union": ["int", "null"]}]}, {"dict": [{"choice": ["min"]}, "int"]},
    {"auto": "int"}, {"auto": {"where": "int", "gt": 0}}, {"auto": "str"},
    {"auto": {"tuple_of": "int"}}, {"auto": {"union": ["int", "null"]}}, {"auto": {"choice": ["min"]}},
    {"path": "output"},
    {"rule": "str", "name": "inside"}, {"rule": {"union": ["str", "null"]}, "name": "inside"},
    {"fields": SETTINGS, "title": "Settings"},
    {"fields": {"inner": {"type": {"list": "int"}, "default": []}}, "title": "Inner"},
    "any",
]  # fmt: skip


def complete(type_: Any) -> Draft7Validator:
    """The validator of a type in a blueprint that is composed of no other file."""
    needed = needs_of_type(type_)
    schema = {"definitions": dict(DEFINITIONS), "allOf": [schema_of_type(type_), *([needed] if needed else [])]}
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


def taken(type_: Any, value: Any) -> bool:
    try:
        hparams_from("Field", {"f": {"type": type_}}).from_dict({"f": value})
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("type_", TYPES, ids=str)
def test_a_type_lets_through_what_hparams_take(type_: Any) -> None:
    validator = complete(type_)
    wrong = [value for value in VALUES if validator.is_valid(value) != taken(type_, value)]
    assert wrong == []


@pytest.mark.parametrize("type_", TYPES, ids=str)
def test_an_interpolation_stands_for_every_value(type_: Any) -> None:
    validator = complete(type_)
    assert [text for text in ("${seed}", "a-${vars.x}", "${oc.env:HOME}") if not validator.is_valid(text)] == []


def test_an_interpolation_stands_for_every_element() -> None:
    assert complete({"list": "int"}).is_valid([1, "${seed}"])
    assert complete({"tuple": ["float", {"where": "str", "min_length": 30}]}).is_valid(["${seed}", "${seed}"])
    assert complete({"dict": ["str", "bool"]}).is_valid({"a": "${seed}"})


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        ("int", "1_000"), ("int", "-1_0"), ("float", "1_000"), ("float", "1_0.5e-3"), ("float", "inf"),
        ("float", "-INF"), ("float", "NaN"), ({"where": "float", "ge": 0}, "inf"),
        ({"where": "float", "lt": 0}, "-inf"), ({"union": ["int", "null"]}, "1_0"),
    ],
)  # fmt: skip
def test_a_number_is_let_through_that_yaml_1_2_reads_as_text(type_: Any, text: str) -> None:
    assert complete(type_).is_valid(text)


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        ("int", "1"), ("int", "inf"), ("float", "0.5"), ("float", "infinite"), ({"where": "float", "gt": 0}, "-inf"),
        ({"where": "float", "gt": 0}, "nan"), ({"where": "float", "allow_inf_nan": False}, "inf"),
    ],
)  # fmt: skip
def test_other_text_is_no_number(type_: Any, text: str) -> None:
    assert not complete(type_).is_valid(text)


@pytest.mark.parametrize("key", ["_target_", "_partial_"])
@pytest.mark.parametrize("type_", ["any", {"opaque": "Any"}, {"list": "any"}], ids=str)
def test_nothing_holds_a_key_that_would_call_code(type_: Any, key: str) -> None:
    inner: Any = {"a": [{"b": {key: 1}}]}
    assert not complete(type_).is_valid([inner] if isinstance(type_, dict) and "list" in type_ else inner)
    assert complete("any").is_valid({"a": [{"target": 1}]})


def test_a_pattern_that_editors_read_otherwise_is_left_out() -> None:
    assert complete({"where": "str", "pattern": r"(?i)^abc$"}).is_valid("x")
    assert complete({"where": "str", "pattern": r"^\p{L}+$"}).is_valid("1")
    assert not complete({"where": "str", "pattern": r"^(?:a|b)\.[c-e]{2}$"}).is_valid("a.cf")


def test_a_field_tells_its_meaning_type_and_default() -> None:
    field = {"type": {"where": "float", "ge": 0}, "default": 0.1, "meaning": "How much."}
    assert about(field) == "How much.\n\nnumber, at least 0; default: 0.1"
    assert about({"type": "str"}) == "text; required"
    assert about({"type": {"list": "bool"}, "default": [True, None]}) == "list of true or false; default: [true, null]"
    assert about({"type": {"opaque": "torch.dtype"}, "default": {"a": ""}}) == "anything; default: {a: ''}"
    assert schema_of_field(field)["default"] == 0.1


def test_a_component_as_a_default_is_written_by_its_name_where_that_says_it_all() -> None:
    slot = {"slot": "layer", "built": False}
    assert schema_of_field({"type": slot, "default": {"name": "relu"}})["default"] == "relu"
    whole = {"name": "leaky_relu", "negative_slope": 0.2}
    assert schema_of_field({"type": slot, "default": whole})["default"] == whole


def test_what_is_wrong_is_said_in_the_words_of_the_type() -> None:
    schema = schema_of_type({"union": [{"where": "int", "ge": 1}, "null"]})
    assert schema["errorMessage"] == "expected: integer, at least 1 or null"
    assert schema["type"] == ["integer", "null", "string"]


@pytest.mark.parametrize("name", ["relu", "torch.optim.AdamW", "a+b", "c (old)", "a|b", "x^2"])
def test_a_name_is_matched_as_it_is(name: str) -> None:
    assert re.search(exactly(["other", name]), name)
    assert not re.search(exactly([name]), name + "x")
    assert not re.search(exactly([name]), name.replace(".", "x").replace("+", "x") + "x")
    assert not re.search(none_of(["other", name]), name)
    assert re.search(none_of([name]), name + "x")

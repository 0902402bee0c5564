"""Types in plain form, taken apart."""

from __future__ import annotations

from typing import Any

import pytest

from hydrantic.forms import LISTS, below, held, members, takes_auto

OF_LAYERS = {"union": [{"where": {"slot": "layer", "built": True}, "min_length": 1}, {"choice": ["none"]}, "null"]}


def test_limits_and_rules_say_nothing_of_what_a_value_may_be() -> None:
    assert list(members({"rule": {"where": "int", "ge": 0}, "name": "positive"})) == [("int", None)]


def test_a_union_is_all_of_its_members_in_their_order() -> None:
    assert list(members(OF_LAYERS)) == [("slot", "layer"), ("choice", ["none"]), ("null", None)]


def test_auto_stands_beside_the_type_that_it_may_take_the_place_of() -> None:
    assert list(members({"auto": {"where": "int", "gt": 0}})) == [("auto", None), ("int", None)]


@pytest.mark.parametrize(
    ("type_", "may"),
    [({"auto": "int"}, True), ({"union": ["null", {"auto": "int"}]}, True), ({"list": {"auto": "int"}}, False)],
)
def test_the_data_may_supply_a_value_only_as_a_whole(type_: Any, may: bool) -> None:
    assert takes_auto(type_) is may


def test_what_a_form_holds_is_found_wherever_it_stands() -> None:
    assert held(OF_LAYERS, "slot") == "layer"
    assert held(OF_LAYERS, "fields") is None


@pytest.mark.parametrize("form", LISTS)
def test_every_element_of_a_list_has_the_type_of_all(form: str) -> None:
    assert below({form: "int"}, 7) == {"type": "int"}
    assert below({form: "int"}, "key") == {}


def test_an_element_of_a_tuple_has_a_type_of_its_own() -> None:
    pair = {"where": {"tuple": ["int", "str"]}, "min_length": 2}
    assert [below(pair, at) for at in range(3)] == [{"type": "int"}, {"type": "str"}, {}]


def test_what_is_below_a_key_is_a_field_or_the_value_of_a_mapping() -> None:
    settings = {"fields": {"size": {"type": "int", "default": 1}}, "title": "Settings"}
    assert below({"union": ["null", settings]}, "size") == {"type": "int", "default": 1}
    assert below(settings, "other") == {}
    assert below({"dict": ["str", "float"]}, "any") == {"type": "float"}

"""The fields of Hparams as plain data, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import Enum, IntEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import (
    AfterValidator,
    Field,
    FiniteFloat,
    JsonValue,
    PositiveInt,
    StringConstraints,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)

from hydrantic.blueprint import Blueprint, Objective, Wiring, trainer_hparams
from hydrantic.components import LayerSlot, hparams_of, named
from hydrantic.hparams import AUTO, Auto, Hparam, Hparams
from hydrantic.imports import import_lightning
from hydrantic.model.hparams import CheckpointHparams, EarlyStoppingHparams, ModelHparams, SchedulerWiring
from hydrantic.paths import InputPath, OutputPath
from hydrantic.registries import KINDS, registry
from hydrantic.rules import Interval, Split
from hydrantic.spec import fields_of, hparams_from, is_told, judges_by_type


class Colour(Enum):
    """One of two."""

    RED = "red"
    BLUE = "blue"


class Inner(Hparams):
    """Settings within settings."""

    depth: PositiveInt = 1
    """How deep."""


class Every(Hparams):
    """A field of every form."""

    whole: int = 1
    """A whole number."""
    number: float = 0.5
    flag: bool = False
    text: str = "a"
    nothing: None = None
    anything: JsonValue = None
    required: int
    read: InputPath = Path("in.csv")
    written: OutputPath = Path("out.csv")
    path: Path = Path("x")
    choice: Literal["a", 1] | None = "a"
    colour: Colour = Colour.RED
    numbers: list[int] = Hparam(default_factory=lambda: [1, 2])
    sequence: Sequence[float] = (1.0,)
    unique: set[int] = Hparam(default_factory=set)
    frozen: frozenset[str] = frozenset()
    many: tuple[int, ...] = (1, 2)
    pair: tuple[int, str] = (1, "a")
    table: dict[str, float] = Hparam(default_factory=dict)
    mapping: Mapping[str, list[int]] = Hparam(default_factory=dict)
    either: int | list[str] | None = None
    layer: LayerSlot = named("leaky_relu", negative_slope=0.1)
    layers: tuple[LayerSlot, ...] = ()
    supplied: Auto[int] = AUTO
    within: Annotated[int, Hparam(ge=0, lt=10)] = 3
    short: Annotated[str, StringConstraints(min_length=1, max_length=3, pattern="^[a-z]+$")] = "abc"
    finite: FiniteFloat = 1.0
    positive: PositiveInt | None = Hparam(default=None, lt=5)
    domain: Interval = (0.0, 1.0)
    split: Split = (0.8, 0.1, 0.1)
    inner: Inner = Inner()
    inners: list[Inner] = Hparam(default_factory=list)


@cache
def stock() -> dict[str, type[Hparams]]:
    import_lightning()
    kinds = {kind: registry(kind) for kind in KINDS}
    found = {f"{kind} {name}": hparams_of(each.get(name)) for kind, each in kinds.items() for name in each.names()}
    sections = (Objective, Wiring, SchedulerWiring, CheckpointHparams, EarlyStoppingHparams)
    return found | {"trainer": trainer_hparams()} | {each.__name__: each for each in sections}


def again(hparams: type[Hparams]) -> type[Hparams]:
    """The class as it is after its fields were kept in a file."""
    return hparams_from(hparams.__name__, json.loads(json.dumps(fields_of(hparams))))


def as_data(hparams: type[Hparams], values: dict[str, Any]) -> Any:
    """What a class makes of values, or its errors."""
    try:
        return hparams.from_dict(values).to_plain()
    except ValidationError as error:
        return [(each["type"], each["loc"], each.get("ctx", {}).get("expected")) for each in error.errors()]


WRONG: tuple[Any, ...] = (
    None, True, 0, -1, 7, 10**6, 0.5, -0.5, 1.5, float("nan"), float("inf"), "", "a", "abcd", "1", "auto", "red",
    "../x", "http://a/b", "relu", [], [1], [1, 2], ["a"], [0.5, 0.2], [1, "a"], [2.0, 1.0], [0.8, 0.1, 0.1], [0, 1, 1],
    {}, {"a": 1}, {"a": "b"}, {"a": [1]}, {"depth": 0}, {"depth": 2}, [{"depth": 3}], {"name": "relu"},
    {"name": "nothing"}, {"name": "leaky_relu", "negative_slope": "steep"}, [{"name": "relu"}, "tanh"],
)  # fmt: skip


@pytest.mark.parametrize("field", Every.model_fields)
def test_a_class_made_of_plain_data_judges_every_value_as_the_original_does(field: str) -> None:
    kept = again(Every)
    for value in WRONG:
        values = {"required": 1, field: value}
        assert repr(as_data(kept, values)) == repr(as_data(Every, values)), value


def test_defaults_meanings_and_what_is_required_are_kept() -> None:
    fields = fields_of(Every)
    assert fields["whole"] == {"type": "int", "default": 1, "meaning": "A whole number."}
    assert "default" not in fields["required"]
    assert fields["numbers"]["default"] == [1, 2]
    assert again(Every).meanings()["whole"] == "A whole number."
    assert as_data(again(Every), {"required": 1}) == as_data(Every, {"required": 1})


@pytest.mark.parametrize("name", stock())
def test_every_stock_component_is_told_by_plain_data_alone(name: str) -> None:
    assert is_told(fields_of(stock()[name]))
    assert judges_by_type(stock()[name])


@pytest.mark.parametrize("name", stock())
def test_every_stock_component_has_the_defaults_that_its_own_class_has(name: str) -> None:
    required = {field: info for field, info in stock()[name].model_fields.items() if info.is_required()}
    if not required:
        assert repr(as_data(again(stock()[name]), {})) == repr(as_data(stock()[name], {}))


@pytest.mark.parametrize("name", stock())
def test_every_stock_component_judges_wrong_values_as_its_own_class_does(name: str) -> None:
    kept = again(stock()[name])
    for field in stock()[name].model_fields:
        for value in WRONG[::3]:
            assert repr(as_data(kept, {field: value})) == repr(as_data(stock()[name], {field: value})), (field, value)


class WithCode(Hparams):
    """Judges with code of its own."""

    width: int = 2

    @field_validator("width")
    @classmethod
    def _even(cls, width: int) -> int:
        return width


class WithCodeOverall(Hparams):
    """Judges its fields together."""

    width: int = 2

    @model_validator(mode="after")
    def _sound(self) -> WithCodeOverall:
        return self


class WithOwnText(Hparams):
    """Writes itself in a way of its own."""

    def to_plain(self) -> dict[str, Any]:
        """Nothing."""
        return {}


class Loose(Hparams, extra="allow"):
    """Takes unknown keys."""


@pytest.mark.parametrize("hparams", [WithCode, WithCodeOverall, WithOwnText, Loose])
def test_a_class_with_code_of_its_own_does_not_judge_by_type_alone(hparams: type[Hparams]) -> None:
    assert not judges_by_type(hparams)


def fields_with(annotation: Any, default: Any = None) -> dict[str, dict[str, Any]]:
    made = type("Made", (Hparams,), {"__annotations__": {"x": annotation}, "x": default, "__module__": __name__})
    return fields_of(made)


@pytest.mark.parametrize(
    "annotation",
    [
        Annotated[int, AfterValidator(abs)],
        list[Annotated[int, AfterValidator(abs)]],
        complex,
        bytes,
        dict[str, complex],
        WithCode,
        int | WithCode,
    ],
)
def test_what_only_code_can_judge_is_opaque(annotation: Any) -> None:
    made = type("Made", (Hparams,), {"__annotations__": {"x": annotation}, "__module__": __name__})
    assert not is_told(fields_of(made))


def test_a_default_that_is_another_one_each_time_is_opaque() -> None:
    counter = iter(range(10))
    made = type("Made", (Hparams,), {
        "__annotations__": {"x": int}, "x": Hparam(default_factory=lambda: next(counter)), "__module__": __name__,
    })  # fmt: skip
    assert not is_told(fields_of(made))


def test_a_default_or_meaning_that_talks_of_opaque_things_is_no_opaque_type() -> None:
    class Talks(Hparams):
        glass: str = "opaque"
        """What is "opaque"."""

    assert is_told(fields_of(Talks))


@pytest.mark.parametrize("name", ["opaque", "default", "meaning", "type"])
def test_what_a_field_is_called_says_nothing_of_its_type(name: str) -> None:
    def told(annotation: Any) -> bool:
        inner = type("Inner", (Hparams,), {"__annotations__": {name: annotation}, "__module__": __name__})
        return is_told(fields_with(inner | None))

    assert told(int)
    assert not told(complex)


def test_the_groups_of_a_model_may_be_left_to_the_sections_of_the_blueprint() -> None:
    class Mine(ModelHparams):
        width: int = 3

    fields = fields_of(Mine, free=tuple(ModelHparams.model_fields))
    assert is_told(fields)
    assert fields["optimizer"] == {"type": "any", "default": None, "meaning": "The optimizer; Adam by default."}
    assert fields["width"]["type"] == "int"


def test_the_sections_of_a_blueprint_are_told() -> None:
    assert fields_of(Blueprint)["seed"]["type"] == {"where": "int", "ge": 0, "lt": 2**32}


class Node(Hparams):
    """Refers to itself."""

    value: int = 1
    below: Node | None = None


class Number(IntEnum):
    """Integers that have names."""

    ONE = 1


class Lenient(Enum):
    """Finds more than its members."""

    A = "a"

    @classmethod
    def _missing_(cls, value: object) -> Lenient:
        return cls.A


def test_a_class_that_refers_to_itself_is_left_to_its_own_code() -> None:
    fields = fields_of(Node)
    assert fields["value"] == {"type": "int", "default": 1}
    assert fields["below"]["type"] == {"union": [{"opaque": "Node"}, "null"]}
    assert not is_told(fields)


@pytest.mark.parametrize(
    "field",
    [(int, Field(1, alias="other")), (int, Field(1, exclude=True)), (tuple[()], ()), (Lenient, "a")],
    ids=["alias", "exclude", "empty tuple", "enum that finds more"],
)
def test_what_only_its_own_class_obeys_is_opaque(field: Any) -> None:
    assert not is_told(fields_of(create_model("Own", __base__=Hparams, a=field)))


@pytest.mark.parametrize("value", [1, 1.0, True, 2, "1", None])
def test_an_enumeration_of_integers_takes_what_the_original_takes(value: Any) -> None:
    own = create_model("Own", __base__=Hparams, a=(Number, Number.ONE))
    assert as_data(again(own), {"a": value}) == as_data(own, {"a": value})

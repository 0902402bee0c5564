"""Deriving Hparams from signatures and docstrings."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, Self, Union

import pytest
from pydantic import PositiveInt
from torch import nn

from hydrantic.components import hparams_of
from hydrantic.errors import RegistrationError
from hydrantic.hparams import AUTO, Auto, Hparam, Hparams
from hydrantic.registries import register_layer, registry
from hydrantic.signature import derive_hparams

if TYPE_CHECKING:
    from decimal import Decimal  # what only a type checker imports


class Colour(Enum):
    """What a fish is painted with."""

    RED = "red"
    BLUE = "blue"


class Secret:
    """Nothing that YAML could write."""


def _derived(component: Any, *leave: str) -> type[Hparams]:
    return derive_hparams(component, leave=frozenset(leave), translate=lambda _: None)


def _fields(component: Any) -> dict[str, Any]:
    return dict(_derived(component)().items())


def test_arguments_become_fields_in_their_order() -> None:
    def fish(fins: int, scales: float = 0.5, *, name_of_owner: str = "Ida", happy: bool = True) -> None: ...

    hparams = _derived(fish)
    assert list(hparams.model_fields) == ["fins", "scales", "name_of_owner", "happy"]
    assert hparams.__name__ == "FishHparams"
    assert dict(hparams.from_dict({"fins": 2})) == {"fins": 2, "scales": 0.5, "name_of_owner": "Ida", "happy": True}


def test_a_required_argument_is_a_required_field() -> None:
    def fish(fins: int) -> None: ...

    with pytest.raises(ValueError, match="fins"):
        _derived(fish)()


def test_types_are_strict() -> None:
    def fish(fins: int = 2, scales: float = 0.5) -> None: ...

    for wrong in ({"fins": "2"}, {"fins": True}, {"scales": "1e-3"}, {"tail": 1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            _derived(fish).from_dict(wrong)


def test_an_argument_without_annotation_has_the_type_of_its_default() -> None:
    def fish(fins=2, scales=0.5, name_of_owner="Ida", happy=True): ...

    for wrong in ({"fins": 2.5}, {"scales": "a"}, {"name_of_owner": 3}, {"happy": 1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            _derived(fish).from_dict(wrong)


def test_an_argument_without_annotation_and_default_takes_any_data() -> None:
    def fish(fins, tail=None): ...

    hparams = _derived(fish).from_dict({"fins": [1, {"a": None}], "tail": "long"})
    assert dict(hparams) == {"fins": [1, {"a": None}], "tail": "long"}


def test_any_is_any_data_but_nothing_else() -> None:
    def fish(fins: Any, bones: dict[str, Any] | None = None, fry: list[Any] | None = None) -> None: ...

    hparams = _derived(fish).from_dict({"fins": 1, "bones": {"a": [1]}, "fry": ["x", 2]})
    assert dict(hparams) == {"fins": 1, "bones": {"a": [1]}, "fry": ["x", 2]}
    with pytest.raises(ValueError, match="fins"):
        _derived(fish).from_dict({"fins": Secret()})


def test_of_a_union_the_members_that_are_data_remain() -> None:
    def fish(
        bowl: Secret | int | None = None,
        food: Optional[str] = None,  # noqa: UP045 -- the older form
        home: Union[Secret, str] = "sea",  # noqa: UP007 -- likewise
    ) -> None: ...

    hparams = _derived(fish)
    assert dict(hparams.from_dict({"bowl": 3, "food": "flakes", "home": "pond"})) == {
        "bowl": 3, "food": "flakes", "home": "pond",
    }  # fmt: skip
    with pytest.raises(ValueError, match="bowl"):
        hparams.from_dict({"bowl": "round"})


def test_a_union_without_data_is_no_field() -> None:
    def fish(bowl: Secret | None = None, fins: int = 2) -> None: ...

    assert _fields(fish) == {"fins": 2}


def test_none_is_accepted_where_it_is_the_default() -> None:
    def fish(fins: int = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013 -- seen in the wild

    assert _fields(fish) == {"fins": None}
    assert _derived(fish).from_dict({"fins": 3})["fins"] == 3


def test_a_literal_offers_its_values() -> None:
    def fish(water: Literal["salt", "sweet"] = "salt") -> None: ...

    assert _derived(fish).from_dict({"water": "sweet"})["water"] == "sweet"
    with pytest.raises(ValueError, match="water"):
        _derived(fish).from_dict({"water": "soda"})


def test_an_enum_is_written_by_its_value() -> None:
    def fish(colour: Colour = Colour.RED, other: Colour | None = None) -> None: ...

    assert _fields(fish) == {"colour": Colour.RED, "other": None}
    assert _derived(fish).from_dict({"colour": "blue"})["colour"] is Colour.BLUE


def test_lists_are_taken_for_tuples_and_abstract_containers() -> None:
    def fish(
        size: tuple[int, float] = (1, 0.5),
        fry: Sequence[int] = (),
        food: Iterable[str] = (),
        names: Mapping[str, int] | None = None,
        bare: list | None = None,  # type: ignore[type-arg]
        anything: dict | None = None,  # type: ignore[type-arg]
    ) -> None: ...

    given = {"size": [2, 3], "fry": [1], "food": ["a"], "names": {"a": 1}, "bare": [1, "b"], "anything": {"a": [1]}}
    assert dict(_derived(fish).from_dict(given)) == given | {"size": (2, 3.0)}
    with pytest.raises(ValueError, match="size"):
        _derived(fish).from_dict({"size": [1, 2, 3]})


def test_annotated_ranges_hold() -> None:
    def fish(fins: Annotated[int, Hparam(ge=1)] = 2, scales: PositiveInt = 1) -> None: ...

    for wrong in ({"fins": 0}, {"scales": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            _derived(fish).from_dict(wrong)


@pytest.mark.parametrize("value", [0, -1e-3])
def test_a_learning_rate_is_positive_wherever_it_is_an_argument(value: float) -> None:
    def fish(lr: float = 1e-3) -> None: ...

    with pytest.raises(ValueError, match="lr"):
        _derived(fish).from_dict({"lr": value})


def test_a_name_with_a_usual_range_keeps_a_type_of_its_own() -> None:
    def fish(eps: tuple[float, float] = (1e-3, -1.0), batch_size: int | str = "all") -> None: ...

    assert _fields(fish) == {"eps": (1e-3, -1.0), "batch_size": "all"}


def test_a_required_argument_that_is_called_like_a_fact_is_auto() -> None:
    def fish(num_classes: int, in_features: int = 3) -> None: ...

    hparams = derive_hparams(fish, leave=(), translate=lambda _: None, auto=("num_classes", "in_features"))
    assert dict(hparams().items()) == {"num_classes": AUTO, "in_features": 3}


@pytest.mark.usefixtures("scratch")
def test_an_argument_that_says_auto_is_auto() -> None:
    def fish(num_classes: Auto[int | None] = AUTO) -> None: ...

    register_layer("auto_fish")(fish)
    assert hparams_of(registry("layer").get("auto_fish"))()["num_classes"] == AUTO


def test_what_a_blueprint_cannot_write_keeps_its_default() -> None:
    def fish(
        fins: int = 2,
        bowl: Secret = Secret(),  # noqa: B008 -- seen in the wild
        call: Callable[[int], int] = abs,
        raw: bytes = b"",
        odd: object = None,
        _private: int = 1,
        name: str = "x",
        **others: int,
    ) -> None: ...

    assert _fields(fish) == {"fins": 2}


@pytest.mark.parametrize("kind", ["Secret", "bytes", "Callable[[int], int]", "object", "Decimal", "NoSuchName"])
def test_a_required_argument_that_a_blueprint_cannot_write_is_refused(kind: str) -> None:
    def fish(bowl: int) -> None: ...

    fish.__annotations__["bowl"] = kind
    with pytest.raises(RegistrationError, match="fish: a blueprint cannot fill the argument 'bowl'"):
        _derived(fish)


@pytest.mark.parametrize("argument", ["name", "items", "keys", "model_dump"])
def test_a_required_argument_whose_name_no_field_can_have_is_refused(argument: str) -> None:
    scope: dict[str, Any] = {}
    exec(f"def fish({argument}: int): ...", scope)
    with pytest.raises(RegistrationError, match=f"cannot set an argument called '{argument}'"):
        _derived(scope["fish"])


def test_arguments_called_like_methods_of_pydantic_are_fields() -> None:
    def fish(copy: bool = False, schema: int = 1, json: str = "{}") -> None: ...

    assert _fields(fish) == {"copy": False, "schema": 1, "json": "{}"}


def test_an_annotation_that_cannot_be_evaluated_does_not_hide_the_others() -> None:
    def fish(price: Decimal | None = None, fins: int = 2, food: Sequence[str] = ()) -> None: ...

    assert list(_derived(fish).model_fields) == ["fins", "food"]


def test_arguments_that_the_framework_passes_are_left_out() -> None:
    def fish(params: Secret, lr: float = 1.0) -> None: ...

    assert list(_derived(fish, "params").model_fields) == ["lr"]


# -- what can be registered -------------------------------------------------------------------------------------------


class Base:
    def __init__(self, fins: int = 2) -> None:
        self.fins = fins


class Child(Base):
    pass


@dataclass
class Record:
    fins: int = 2


class ByNew:
    def __new__(cls, fins: int = 2) -> Self:
        return super().__new__(cls)


class Instance:
    def __call__(self, fins: int = 2) -> int:
        return fins


def _plain(fins: int = 2, tail: int = 1) -> int:
    return fins


@pytest.mark.parametrize(
    "component", [Base, Child, Record, ByNew, Instance(), functools.wraps(_plain)(lambda fins=2: fins)]
)
def test_everything_that_can_be_called_has_hparams(component: Any) -> None:
    assert _fields(component)["fins"] == 2
    with pytest.raises(ValueError, match="fins"):
        _derived(component).from_dict({"fins": "2"})


def test_a_partial_function_has_the_arguments_that_are_left() -> None:
    hparams = _derived(functools.partial(_plain, tail=5))
    assert dict(hparams()) == {"fins": 2, "tail": 5}
    with pytest.raises(ValueError, match="fins"):
        hparams.from_dict({"fins": "2"})


def test_something_without_a_signature_is_refused() -> None:
    with pytest.raises(RegistrationError, match="dict cannot be registered: no signature"):
        _derived(dict)


# -- meanings ---------------------------------------------------------------------------------------------------------


def _google(fins: int = 2, scales: int = 9) -> None:
    """Swim.

    Args:
        fins: number of fins,
            on both sides.
        scales: number of scales.
    """


def _numpy(fins: int = 2, scales: int = 9) -> None:
    """Swim.

    Parameters
    ----------
    fins : int
        number of fins,
        on both sides.
    scales : int
        number of scales.
    """


def _sphinx(fins: int = 2, scales: int = 9) -> None:
    """Swim.

    :param fins: number of fins,
        on both sides.
    :param scales: number of scales.
    """


@pytest.mark.parametrize("component", [_google, _numpy, _sphinx])
def test_the_docstring_says_what_fields_mean(component: Any) -> None:
    assert _derived(component).meanings() == {
        "fins": "number of fins, on both sides.", "scales": "number of scales.",
    }  # fmt: skip


def test_a_docstring_on_the_constructor_counts_too() -> None:
    class Fish:
        """A fish."""

        def __init__(self, fins: int = 2) -> None:
            """Make a fish.

            Args:
                fins: number of fins.
            """

    assert _derived(Fish).meanings() == {"fins": "number of fins."}


def test_every_stock_component_has_hparams_with_sound_defaults() -> None:
    for kind in ("optimizer", "scheduler", "layer", "loss", "callback"):
        for name in registry(kind).names():
            hparams = hparams_of(registry(kind).get(name))
            required = {field for field, info in hparams.model_fields.items() if info.is_required()}
            errors = []
            try:
                hparams()
            except ValueError as error:
                errors = [each["loc"][0] for each in error.errors()]  # type: ignore[attr-defined]
            assert set(errors) == required, (kind, name)


def test_a_path_that_is_an_argument_is_a_path() -> None:
    def fish(pond: Path = Path("pond")) -> None: ...

    assert _fields(fish) == {"pond": Path("pond")}


def test_a_module_that_is_an_argument_needs_a_slot() -> None:
    def fish(tail: nn.Module) -> None: ...

    with pytest.raises(RegistrationError, match="tail"):
        _derived(fish)

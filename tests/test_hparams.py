"""Typed hyperparameters: validation, sources and the mapping."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from hydrantic.errors import BlueprintError
from hydrantic.hparams import AUTO, Auto, Hparam, Hparams, ValidationError
from hydrantic.paths import InputPath, OutputPath


class Flour(Enum):
    """What bread is made of."""

    RYE = "rye"
    WHEAT = "wheat"


class ToppingHparams(Hparams):
    """What lies on top."""

    seeds: int = 12
    """How many seeds."""
    layers: tuple[int, ...] = (1, 2)
    """How thick each layer is."""


class LoafHparams(Hparams):
    """A loaf of bread."""

    heat: float = Hparam(default=1e-3, gt=0.0)
    """How hot the oven is."""
    slices: int = Hparam(default=8, ge=1, le=40)
    """Into how many slices it is cut."""
    crusty: bool = True
    label: str = "loaf"
    flour: Flour = Flour.RYE
    shape: Literal["round", "long"] = "round"
    topping: ToppingHparams = Hparam(default_factory=ToppingHparams)
    extras: dict[str, Any] = Hparam(default_factory=dict)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("slices", "8"), ("slices", True), ("slices", 8.0), ("slices", 0), ("slices", 41),
        ("heat", "1e-3"), ("heat", False), ("heat", 0), ("heat", None),
        ("crusty", 1), ("crusty", "true"), ("label", 5), ("flour", "oats"), ("shape", "flat"),
        ("topping", {"seeds": "12"}), ("topping", {"layers": ["1"]}), ("topping", 3),
    ],
)  # fmt: skip
def test_a_value_of_another_type_or_out_of_range_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        LoafHparams.from_dict({field: value})
    assert caught.value.errors()[0]["loc"][0] == field


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [("heat", 2, 2.0), ("topping", {"layers": [3, 4]}, ToppingHparams(layers=(3, 4))), ("flour", "wheat", Flour.WHEAT)],
)
def test_a_value_that_yaml_writes_in_another_form_is_accepted(field: str, value: object, expected: object) -> None:
    assert LoafHparams.from_dict({field: value})[field] == expected


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValueError, match="slics"):
        LoafHparams.from_dict({"slics": 3})


def test_an_unknown_key_of_a_group_is_refused() -> None:
    with pytest.raises(ValueError, match=r"topping\.sesame"):
        LoafHparams.from_dict({"topping": {"sesame": 3}})


def test_every_wrong_field_is_listed_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        LoafHparams(heat=-1.0, slices=0, crumbs=1)  # type: ignore[call-arg]
    assert {error["loc"] for error in caught.value.errors()} == {("heat",), ("slices",), ("crumbs",)}


def test_a_default_that_breaks_its_own_rule_is_refused() -> None:
    class Wrong(Hparams):
        size: int = Hparam(default=-1, ge=0)

    with pytest.raises(ValidationError, match="size"):
        Wrong()


def test_fields_cannot_be_changed() -> None:
    loaf = LoafHparams()
    with pytest.raises(ValidationError, match="frozen"):
        loaf.slices = 9  # type: ignore[misc]


# -- the mapping ------------------------------------------------------------------------------------------------------


def test_hparams_read_like_a_dictionary() -> None:
    loaf = ToppingHparams(seeds=3)
    assert loaf["seeds"] == 3
    assert list(loaf) == ["seeds", "layers"]
    assert list(loaf.keys()) == ["seeds", "layers"]
    assert list(loaf.values()) == [3, (1, 2)]
    assert dict(loaf.items()) == {"seeds": 3, "layers": (1, 2)}
    assert len(loaf) == 2


def test_hparams_unpack_into_keyword_arguments() -> None:
    def bake(seeds: int, layers: tuple[int, ...]) -> str:
        return f"{seeds} seeds in {len(layers)} layers"

    assert bake(**ToppingHparams()) == "12 seeds in 2 layers"


def test_a_key_that_is_no_field_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="model_config"):
        _ = LoafHparams()["model_config"]


def test_get_falls_back_and_membership_knows_the_fields() -> None:
    loaf = LoafHparams()
    assert loaf.get("butter", "none") == "none"
    assert "slices" in loaf
    assert "butter" not in loaf


def test_equal_fields_make_equal_hparams() -> None:
    assert LoafHparams(slices=3) == LoafHparams.from_dict({"slices": 3})
    assert LoafHparams(slices=3) != LoafHparams(slices=4)


@pytest.mark.parametrize("name", ["type", "fields", "default", "metadata", "strict", "name", "schema_", "id"])
def test_a_field_may_be_called_like_a_part_of_a_schema(name: str) -> None:
    made = type("Odd", (Hparams,), {"__annotations__": {name: "int"}, name: 1, "__module__": __name__})
    assert made.from_dict({name: 2})[name] == 2
    with pytest.raises(ValueError, match=name):
        made.from_dict({name: "2"})


def test_the_default_of_a_field_is_not_touched_by_making_types_strict() -> None:
    class Odd(Hparams):
        about: dict[str, Any] = {"type": "int"}  # noqa: RUF012 -- pydantic copies it

    assert Odd().about == {"type": "int"}


@pytest.mark.parametrize("name", ["keys", "items", "values", "get", "to_plain"])
def test_a_field_cannot_be_called_like_a_method_of_the_mapping(name: str) -> None:
    with pytest.raises(TypeError, match=f"a field cannot be called '{name}'"):
        type("Odd", (Hparams,), {"__annotations__": {name: "int"}, name: 1, "__module__": __name__})


# -- sources ----------------------------------------------------------------------------------------------------------


def test_from_dict_names_what_it_got_instead_of_a_mapping() -> None:
    with pytest.raises(TypeError, match="LoafHparams needs a mapping, not list"):
        LoafHparams.from_dict([1])  # type: ignore[arg-type]


def test_from_yaml_reads_the_part_below_a_key(tmp_path: Path) -> None:
    file = tmp_path / "breads.yaml"
    file.write_text("breads:\n  plain: {slices: 6}\n  rich: {slices: 12, topping: {seeds: 99}}\n")
    assert LoafHparams.from_yaml(file, key="breads.rich") == LoafHparams(slices=12, topping=ToppingHparams(seeds=99))


def test_from_yaml_reads_a_whole_file_given_as_text(tmp_path: Path) -> None:
    file = tmp_path / "bread.yaml"
    file.write_text("slices: 6\n")
    assert LoafHparams.from_yaml(str(file)).slices == 6


def test_from_yaml_reads_an_exponent_without_a_point_as_a_number(tmp_path: Path) -> None:
    file = tmp_path / "bread.yaml"
    file.write_text("heat: 5e-4\n")
    assert LoafHparams.from_yaml(file).heat == 0.0005


def test_from_yaml_takes_an_empty_part_for_all_defaults(tmp_path: Path) -> None:
    file = tmp_path / "bread.yaml"
    file.write_text("bread:\n")
    assert LoafHparams.from_yaml(file, key="bread") == LoafHparams()


def test_from_yaml_says_which_keys_there_are(tmp_path: Path) -> None:
    file = tmp_path / "bread.yaml"
    file.write_text("bread: {slices: 6}\ncake: {}\n")
    with pytest.raises(KeyError, match=r"has no key 'pie'; it has bread, cake"):
        LoafHparams.from_yaml(file, key="pie")


@pytest.mark.parametrize("part", ["5", "[1, 2]", "text"])
def test_from_yaml_refuses_a_part_that_is_no_mapping(tmp_path: Path, part: str) -> None:
    file = tmp_path / "bread.yaml"
    file.write_text(f"bread: {part}\n")
    with pytest.raises(TypeError, match="needs a mapping"):
        LoafHparams.from_yaml(file, key="bread")


def test_from_yaml_reports_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BlueprintError, match="there is no such file"):
        LoafHparams.from_yaml(tmp_path / "none.yaml")


def test_from_yaml_refuses_a_key_that_is_there_twice(tmp_path: Path) -> None:
    file = tmp_path / "bread.yaml"
    file.write_text("slices: 6\nslices: 7\n")
    with pytest.raises(BlueprintError, match="slices"):
        LoafHparams.from_yaml(file)


def test_from_config_resolves_interpolations_and_containers() -> None:
    config = OmegaConf.create(
        {"n": 5, "loaf": {"slices": "${n}", "topping": {"layers": [1, 2, 3]}, "extras": {"jam": ["fig", {"g": 3}]}}}
    )
    loaf = LoafHparams.from_config(config.loaf)
    assert loaf == LoafHparams(slices=5, topping=ToppingHparams(layers=(1, 2, 3)), extras={"jam": ["fig", {"g": 3}]})
    assert type(loaf.extras["jam"]) is list


def test_from_config_takes_a_plain_dictionary() -> None:
    assert LoafHparams.from_config({"slices": 3}).slices == 3


def test_from_config_refuses_a_value_that_is_still_missing() -> None:
    with pytest.raises(MissingMandatoryValue):
        LoafHparams.from_config(OmegaConf.create({"slices": "???"}))


def test_from_config_refuses_a_list() -> None:
    with pytest.raises(TypeError, match="needs a mapping, not list"):
        LoafHparams.from_config(OmegaConf.create([1]))


# -- plain data -------------------------------------------------------------------------------------------------------


class Everything(Hparams):
    """One field of each kind that a checkpoint has to hold."""

    flour: Flour = Flour.WHEAT
    place: OutputPath = Path("out")
    source: InputPath | None = None
    pair: tuple[int, float] = (1, 0.5)
    edge: float = float("inf")
    group: ToppingHparams | None = Hparam(default_factory=ToppingHparams)
    size: Auto[int] = AUTO
    shape: Auto[tuple[int, ...]] = (1, 8, 8)


def test_to_plain_yields_plain_types_only() -> None:
    assert Everything().to_plain() == {
        "flour": "wheat", "place": "out", "source": None, "pair": [1, 0.5], "edge": float("inf"),
        "group": {"seeds": 12, "layers": [1, 2]}, "size": "auto", "shape": [1, 8, 8],
    }  # fmt: skip


def test_plain_data_makes_the_same_hparams_again() -> None:
    assert Everything.from_dict(Everything().to_plain()) == Everything()


# -- auto and paths ---------------------------------------------------------------------------------------------------


class Tin(Hparams):
    """A tin whose size the dough decides."""

    size: Auto[PositiveInt] = AUTO
    ratio: Auto[PositiveFloat | None] = AUTO
    holes: Auto[tuple[NonNegativeInt, ...]] = AUTO


def test_auto_is_accepted_beside_the_type_and_nothing_else() -> None:
    assert Tin(size=3).size == 3
    assert Tin.from_dict({"size": "auto"}).size == AUTO
    for wrong in ("3", "automatic", 0, 1.5):
        with pytest.raises(ValueError, match="size"):
            Tin.from_dict({"size": wrong})


def test_the_type_inside_auto_keeps_its_own_rules() -> None:
    assert Tin.from_dict({"holes": [0, 2]}).holes == (0, 2)
    assert Tin.from_dict({"ratio": None}).ratio is None
    with pytest.raises(ValueError, match="holes"):
        Tin.from_dict({"holes": [-1]})


@pytest.mark.parametrize("path", ["../elsewhere", "/tmp/x", "~/x", "a/../../b", "s3://bucket/x", ""])
def test_a_path_to_write_cannot_leave_the_run_directory(path: str) -> None:
    with pytest.raises(ValueError, match="place"):
        Everything.from_dict({"place": path})


@pytest.mark.parametrize("path", ["https://example.org/x.csv", "file:///etc/passwd", "", "~nobody-of-that-name/x", 5])
def test_a_path_to_read_is_a_local_one(path: object) -> None:
    with pytest.raises(ValueError, match="source"):
        Everything.from_dict({"source": path})


def test_the_text_below_a_field_is_its_meaning() -> None:
    assert LoafHparams.meanings()["slices"] == "Into how many slices it is cut."

"""Components: finding their Hparams, nesting them to any depth, and building them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import pytest
import torch
from torch import nn

from hydrantic.components import (
    Component,
    LayerSlot,
    ModelSlot,
    OptimizerSlot,
    auto_fields,
    built_slots,
    choose,
    hparams_of,
    named,
    resolve,
    takes_hparams,
)
from hydrantic.errors import RegistrationError
from hydrantic.facts import Facts
from hydrantic.hparams import AUTO, Auto, Hparam, Hparams
from hydrantic.paths import InputPath, OutputPath
from hydrantic.problems import Problem, Problems
from hydrantic.reading import parse_yaml
from hydrantic.registries import register_callback, register_data, register_layer, register_model, registry
from hydrantic.wording import message
from tests.projects import planned

pytestmark = pytest.mark.usefixtures("scratch")

H = TypeVar("H", bound=Hparams)


class WingHparams(Hparams):
    """A wing."""

    feathers: int = 9
    cover: LayerSlot = Hparam("relu")


class Kiwi(Generic[H]):
    """A bird that is generic over its hyperparameters."""

    def __init__(self, hparams: H) -> None:
        self.hparams = hparams


class ByParameter(Kiwi[WingHparams]):
    """Its hyperparameters are its generic parameter."""


class Grandchild(ByParameter):
    """Inherits them."""


class ByArgument:
    """Its hyperparameters are an argument."""

    def __init__(self, hparams: WingHparams, run_name: str = "") -> None:
        self.hparams, self.run_name = hparams, run_name


def _bird(hparams: type[Hparams]) -> type[Any]:
    class Bird(Kiwi[hparams]):  # type: ignore[valid-type]  # made at run time
        pass

    return Bird


class BySignature:
    """Its hyperparameters are derived."""

    def __init__(self, feathers: int = 9, run_name: str = "") -> None:
        self.feathers, self.run_name = feathers, run_name


def _component(kind: str, body: str) -> tuple[Component[Any] | None, list[Problem]]:
    problems = Problems()
    text = f"bird: {body}\n"
    node = parse_yaml(text, Path("/aviary/bird.yaml")).child("bird")
    assert node is not None
    return resolve(kind, node, ("bird",), problems), list(problems)


def _layer(body: str) -> Component[Any]:
    component, problems = _component("layer", body)
    assert component is not None, [message(each) for each in problems]
    return component


def _problems(kind: str, body: str) -> list[tuple[str, str, str]]:
    """Marked text, dotted path and message of each problem."""
    line = f"bird: {body}"
    _, problems = _component(kind, body)
    marked = [(each.source.column - 1, each.source.width) for each in problems]
    texts = [line[start : start + width] for start, width in marked]
    paths = [".".join(map(str, each.path)) for each in problems]
    return [(text, path, message(each)) for text, path, each in zip(texts, paths, problems, strict=True)]


# -- finding the Hparams ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("component", [ByParameter, Grandchild, ByArgument])
def test_declared_hparams_are_found_and_given_as_one_object(component: type[Any]) -> None:
    register_layer("bird")(component)
    assert hparams_of(registry("layer").get("bird")) is WingHparams
    assert takes_hparams(component)
    assert _layer("{name: bird, feathers: 3}").build().hparams.feathers == 3


def test_hparams_are_derived_where_none_are_declared() -> None:
    register_layer("bird")(BySignature)
    assert list(hparams_of(registry("layer").get("bird")).model_fields) == ["feathers", "run_name"]
    assert not takes_hparams(BySignature)
    assert _layer("{name: bird, feathers: 3}").build().feathers == 3


def test_a_function_is_a_component_too() -> None:
    @register_layer("double")
    def double(times: int = 2) -> nn.Module:
        return nn.Linear(times, times)

    assert _layer("{name: double, times: 3}").build().in_features == 3


def test_a_declared_field_cannot_be_called_name() -> None:
    class NamedHparams(Hparams):
        name: str = "x"

    class Bird(Kiwi[NamedHparams]):
        pass

    register_layer("bird")(Bird)
    with pytest.raises(RegistrationError, match="a field cannot be called 'name'"):
        hparams_of(registry("layer").get("bird"))


def test_what_the_framework_supplies_reaches_those_who_ask_for_it() -> None:
    register_layer("bird")(ByArgument)
    built = _layer("bird").build(run_name="first flight", run_dir=Path("/runs/1"))
    assert built.run_name == "first flight"


def test_what_a_blueprint_sets_is_not_overwritten_by_what_the_framework_supplies() -> None:
    register_layer("bird")(BySignature)
    assert _layer("{name: bird, run_name: mine}").build(run_name="theirs").run_name == "mine"


def test_arguments_that_the_framework_passes_are_no_fields() -> None:
    assert "params" not in hparams_of(registry("optimizer").get("adam")).model_fields
    assert "optimizer" not in hparams_of(registry("scheduler").get("step")).model_fields


def test_each_build_is_a_new_object() -> None:
    component = _layer("relu")
    assert component.build() is not component()


# -- choosing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "{name: leaky_relu, negative_slope: 0.5}",
        "{module_name: leaky_relu, negative_slope: 0.5}",
        "{name: torch.nn.LeakyReLU, kwargs: {negative_slope: 0.5}}",
        "{module_name: torch.nn.LeakyReLU, kwargs: {negative_slope: 0.5}}",
    ],
)
def test_a_component_is_chosen_in_either_form(body: str) -> None:
    built = _layer(body).build()
    assert isinstance(built, nn.LeakyReLU)
    assert built.negative_slope == 0.5


def test_a_bare_name_is_a_component_with_its_defaults() -> None:
    assert _layer("leaky_relu").to_plain() == {"name": "leaky_relu", "negative_slope": 0.01, "inplace": False}


def test_the_places_of_the_written_fields_are_kept() -> None:
    component = _layer("{module_name: leaky_relu, kwargs: {negative_slope: 0.5}}")
    assert component.places == {"negative_slope": ("bird", "kwargs", "negative_slope")}


@pytest.mark.parametrize(
    ("body", "marked", "path", "words"),
    [
        ("reluu", "reluu", "bird", "no layer is called 'reluu'; did you mean 'relu'?"),
        ("5", "5", "bird", "must be the name of a layer"),
        ("[relu]", "[relu]", "bird", "must be the name of a layer"),
        ("{slope: 1}", "{slope: 1}", "bird", "needs a `name`"),
        ("{name: 5}", "5", "bird.name", "must be the name of a layer, not 5"),
        ("{name: relu, slope: 1}", "slope", "bird.slope", "relu has no field 'slope'"),
        ("{name: relu, kwargs: {slope: 1}}", "slope", "bird.kwargs.slope", "relu has no field 'slope'"),
        ("{name: relu, kwargs: 5}", "5", "bird.kwargs", "must be a mapping"),
        ("{name: relu, inplace: 5}", "5", "bird.inplace", "must be true or false"),
        ("{name: relu, module_name: gelu}", "module_name", "bird.module_name", "name"),
        ("{name: relu, inplace: true, kwargs: {inplace: true}}", "inplace", "bird.kwargs.inplace", "inplace"),
    ],
)
def test_a_block_that_selects_nothing_sound_is_reported_where_it_stands(
    body: str, marked: str, path: str, words: str
) -> None:
    found = _problems("layer", body)
    assert [(text, where) for text, where, _ in found] == [(marked, path)]
    assert words in found[0][2]


def test_all_wrong_fields_of_a_block_are_reported() -> None:
    found = _problems("layer", "{name: leaky_relu, slope: 1, negative_slope: a, inplace: 2}")
    assert sorted(text for text, _, _ in found) == ["2", "a", "slope"]


def test_python_code_chooses_by_name_mapping_or_component() -> None:
    component = choose("layer", {"name": "leaky_relu", "negative_slope": 0.3})
    assert choose("layer", component) is component
    assert choose("layer", "tanh").name == "tanh"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"name": "leaky_relu", "negative_slop": 1}, "did you mean 'negative_slope'"),
        (5, "must be the name of a layer"),
        ("nothing_like_it", "no layer is called 'nothing_like_it'"),
    ],
)
def test_a_wrong_choice_in_python_is_a_value_error(value: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        choose("layer", value)


def test_a_component_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="a layer is wanted here, not the optimizer 'adam'"):
        choose("layer", choose("optimizer", "adam"))


def test_fields_of_a_component_can_be_replaced_and_are_validated() -> None:
    component = _layer("{name: leaky_relu, negative_slope: 0.5}")
    assert component.with_fields(inplace=True).hparams["negative_slope"] == 0.5
    with pytest.raises(ValueError, match="inplace"):
        component.with_fields(inplace="yes")


# -- slots ------------------------------------------------------------------------------------------------------------


class NestHparams(Hparams):
    """Every way to hold other components."""

    one: LayerSlot = named("leaky_relu", negative_slope=0.2)
    perhaps: LayerSlot | None = None
    some: list[LayerSlot] = Hparam(default_factory=list)
    pair: tuple[LayerSlot, OptimizerSlot] | None = None
    row: tuple[LayerSlot, ...] = ()
    sequence: Sequence[LayerSlot] = ()
    by_name: dict[str, LayerSlot] = Hparam(default_factory=dict)
    mapping: Mapping[str, LayerSlot] = Hparam(default_factory=dict)
    group: WingHparams = Hparam(default_factory=WingHparams)
    group_perhaps: WingHparams | None = None
    groups: list[WingHparams] = Hparam(default_factory=list)
    groups_by_name: dict[str, WingHparams] = Hparam(default_factory=dict)
    rate: float | LayerSlot = 0.5
    mode: Literal["none"] | LayerSlot = "none"
    either: LayerSlot | list[LayerSlot] = Hparam("relu")
    nest: LayerSlot | None = None


@pytest.fixture
def _nest(scratch: None) -> None:
    register_layer("nest")(_bird(NestHparams))


LEAKY = "{name: leaky_relu, negative_slope: 0.5}"
WRONG = "{name: leaky_relu, negative_slope: wide}"

PLACES = [
    ("one: {}", "one"),
    ("perhaps: {}", "perhaps"),
    ("some: [relu, {}]", "some.1"),
    ("pair: [{}, adam]", "pair.0"),
    ("row: [relu, relu, {}]", "row.2"),
    ("sequence: [{}]", "sequence.0"),
    ("by_name: {{left: {}}}", "by_name.left"),
    ("mapping: {{left: {}}}", "mapping.left"),
    ("group: {{cover: {}}}", "group.cover"),
    ("group_perhaps: {{cover: {}}}", "group_perhaps.cover"),
    ("groups: [{{cover: {}}}]", "groups.0.cover"),
    ("groups_by_name: {{left: {{cover: {}}}}}", "groups_by_name.left.cover"),
    ("rate: {}", "rate"),
    ("mode: {}", "mode"),
    ("either: {}", "either"),
    ("either: [relu, {}]", "either.1"),
    ("nest: {{name: nest, nest: {{name: nest, some: [{}]}}}}", "nest.nest.some.0"),
]


@pytest.mark.usefixtures("_nest")
@pytest.mark.parametrize(("body", "where"), PLACES, ids=[where for _, where in PLACES])
def test_a_nested_component_is_resolved_wherever_it_stands(body: str, where: str) -> None:
    value: Any = _layer(f"{{name: nest, {body.format(LEAKY)}}}").hparams
    for part in where.split("."):
        value = value.hparams if isinstance(value, Component) else value
        value = value[int(part)] if part.isdigit() else value[part]
    assert value.build().negative_slope == 0.5


@pytest.mark.usefixtures("_nest")
@pytest.mark.parametrize(("body", "where"), PLACES, ids=[where for _, where in PLACES])
def test_a_mistake_is_reported_with_its_place_at_any_depth(body: str, where: str) -> None:
    found = _problems("layer", f"{{name: nest, {body.format(WRONG)}}}")
    assert found == [("wide", f"bird.{where}.negative_slope", "must be a number, not the text 'wide'")]


@pytest.mark.usefixtures("_nest")
@pytest.mark.parametrize(("body", "where"), PLACES, ids=[where for _, where in PLACES])
def test_the_plain_form_of_a_nested_component_selects_the_same(body: str, where: str) -> None:
    plain = _layer(f"{{name: nest, {body.format(LEAKY)}}}").to_plain()
    assert choose("layer", plain).to_plain() == plain


@pytest.mark.usefixtures("_nest")
@pytest.mark.parametrize(
    ("body", "marked", "words"),
    [
        ("group: {feather: 1}", "feather", "did you mean 'feathers'"),
        ("group_perhaps: {feather: 1}", "feather", "did you mean 'feathers'"),
        ("groups: [{feather: 1}]", "feather", "did you mean 'feathers'"),
        ("groups: [{feathers: many}]", "many", "must be an integer"),
        ("some: relu", "relu", "must be a list"),
        ("by_name: [relu]", "[relu]", "must be a mapping"),
        ("pair: [relu, relu]", "relu", "no optimizer is called 'relu'"),
        ("mode: nothing", "nothing", "no layer is called 'nothing'"),
    ],
)
def test_a_wrong_group_or_container_is_reported_where_it_stands(body: str, marked: str, words: str) -> None:
    ((text, _, says),) = _problems("layer", f"{{name: nest, {body}}}")
    assert (text, words in says) == (marked, True)


@pytest.mark.usefixtures("_nest")
@pytest.mark.parametrize(("body", "field", "value"), [("rate: 2", "rate", 2.0), ("mode: none", "mode", "none")])
def test_plain_data_in_place_of_a_component_stays_plain(body: str, field: str, value: object) -> None:
    assert _layer(f"{{name: nest, {body}}}").hparams[field] == value


@pytest.mark.usefixtures("_nest")
def test_mistakes_in_several_nested_components_are_all_reported() -> None:
    found = _problems("layer", "{name: nest, one: reluu, some: [tanhh, relu], group: {cover: geluu}}")
    assert [text for text, _, _ in found] == ["reluu", "tanhh", "geluu"]


class PerchHparams(Hparams):
    cover: LayerSlot = named("leaky_relu", negative_slope=0.5)
    under: LayerSlot | None = named("elu")
    plain: LayerSlot = Hparam("relu")
    other: LayerSlot | None = None


def test_a_block_without_a_name_changes_fields_of_the_slots_default() -> None:
    class Perch(Kiwi[PerchHparams]):
        """A perch."""

    register_model("perch")(Perch)
    built = choose(
        "model", {"name": "perch", "cover": {"inplace": True}, "under": {"alpha": 2.0}, "plain": {"inplace": True}}
    )
    cover, under, plain = (built.hparams[name] for name in ("cover", "under", "plain"))
    assert cover.to_plain() == {"name": "leaky_relu", "negative_slope": 0.5, "inplace": True}
    assert under.to_plain() == {"name": "elu", "alpha": 2.0, "inplace": False}
    assert plain.to_plain() == {"name": "relu", "inplace": True}
    assert choose("model", {"name": "perch", "cover": {"name": "elu"}}).hparams["cover"].name == "elu"
    with pytest.raises(ValueError, match="elu has no field 'slope'"):
        choose("model", {"name": "perch", "under": {"slope": 2.0}})
    with pytest.raises(ValueError, match="needs a `name`"):
        choose("model", {"name": "perch", "other": {"inplace": True}})


def test_a_slot_without_a_default_has_to_be_filled() -> None:
    class Bare(Hparams):
        cover: LayerSlot

    register_layer("bare")(_bird(Bare))
    ((_, _, says),) = _problems("layer", "bare")
    assert "needs the field 'cover'" in says


# -- built slots ------------------------------------------------------------------------------------------------------


class Coop:
    """Takes modules, not factories."""

    def __init__(
        self,
        one: nn.Module,
        several: list[nn.Module],
        by_name: dict[str, nn.Module],
        perhaps: nn.Module | None = None,
        make: Callable[[], nn.Module] | None = None,
    ) -> None:
        self.parts = (one, several, by_name, perhaps, make)


def test_arguments_that_are_modules_are_built_before_the_constructor_is_called() -> None:
    register_layer("coop")(Coop)
    layer = "{name: linear, in_features: 2, out_features: 3}"
    body = f"{{name: coop, one: relu, several: [tanh, {layer}], by_name: {{a: elu}}}}"
    one, several, by_name, perhaps, make = _layer(body).build().parts
    assert isinstance(one, nn.ReLU)
    assert [type(each) for each in several] == [nn.Tanh, nn.Linear]
    assert isinstance(by_name["a"], nn.ELU)
    assert (perhaps, make) == (None, None)
    assert built_slots(hparams_of(registry("layer").get("coop"))) == {"one", "several", "by_name", "perhaps"}


def test_an_argument_that_makes_modules_gets_a_factory() -> None:
    register_layer("coop")(Coop)
    *_, make = _layer("{name: coop, one: relu, several: [], by_name: {}, make: tanh}").build().parts
    assert isinstance(make(), nn.Tanh)
    assert make() is not make()


def test_a_mistake_in_a_built_slot_is_reported_where_it_stands() -> None:
    register_layer("coop")(Coop)
    ((text, path, _),) = _problems("layer", "{name: coop, one: relu, several: [relu, tanhh], by_name: {}}")
    assert (text, path) == ("tanhh", "bird.several.1")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            "{name: sequential, milestones: [2], schedulers: [{name: linear}, {name: cosine, T_max: 5}]}",
            torch.optim.lr_scheduler.SequentialLR,
        ),
        (
            "{name: chained, schedulers: [{name: step, step_size: 2}, {name: exponential, gamma: 0.9}]}",
            torch.optim.lr_scheduler.ChainedScheduler,
        ),
    ],
)
def test_schedulers_nest_and_share_the_optimizer(body: str, expected: type[Any]) -> None:
    component, problems = _component("scheduler", body)
    assert component is not None, problems
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = component.build(optimizer=optimizer)
    assert isinstance(scheduler, expected)
    before = scheduler.get_last_lr()
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    assert scheduler.get_last_lr() != before


# -- auto and paths ---------------------------------------------------------------------------------------------------


def test_auto_fields_are_those_that_the_data_may_supply() -> None:
    class Fed(Hparams):
        in_features: Auto[int] = AUTO
        names: Auto[tuple[str, ...] | None] = AUTO
        width: int = 3
        depth: Auto[int] | None = None

    assert auto_fields(Fed) == ("in_features", "names", "depth")


def test_a_models_required_argument_that_is_called_like_a_fact_is_auto() -> None:
    class Stork:
        def __init__(self, in_features: int, out_features: int, legs: int = 2) -> None: ...

    register_model("stork")(Stork)
    assert auto_fields(hparams_of(registry("model").get("stork"))) == ("in_features", "out_features")


def test_a_layer_has_sizes_of_its_own_that_no_data_supplies() -> None:
    assert auto_fields(hparams_of(registry("layer").get("linear"))) == ()


class EggHparams(Hparams):
    """A group with a component."""

    inside: ModelSlot = named("linear", out_features=3)


class FlockHparams(Hparams):
    """Holds components in every way."""

    one: ModelSlot = named("linear", out_features=3)
    some: list[ModelSlot] = Hparam(default_factory=list)
    by_name: dict[str, ModelSlot] = Hparam(default_factory=dict)
    group: EggHparams = Hparam(default_factory=EggHparams)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ("one: {}", "one"), ("some: [mlp, {}]", "some.1"),
        ("by_name: {{a: {}}}", "by_name.a"), ("group: {{inside: {}}}", "group.inside"),
    ],
)  # fmt: skip
def test_the_data_supplies_auto_fields_wherever_a_component_stands(body: str, where: str, tmp_path: Path) -> None:
    register_model("flock")(_bird(FlockHparams))
    model = f"{{name: flock, {body.format('{name: linear, out_features: 2}')}}}"
    text = f"data: iris\nloggers: {{}}\nloss: cross_entropy\nmodel: {model}\n"
    value: Any = planned(tmp_path, text).supplied_with(Facts(in_features=7, out_features=2)).model.hparams
    for part in where.split("."):
        value = value[int(part)] if part.isdigit() else value[part]
    assert value.hparams["in_features"] == 7


class Diary:
    """Writes somewhere."""

    def __init__(
        self, page: Path = Path("page.txt"), cover: Path | None = None, more: list[Path] | None = None
    ) -> None:
        self.places = (page, cover, more)


def test_every_path_to_write_lies_below_the_run_directory() -> None:
    register_callback("diary")(Diary)
    component, problems = _component("callback", "{name: diary, cover: art/cover.png, more: [a, b]}")
    assert component is not None, problems
    assert component.build(run_dir=Path("/run")).places == (
        Path("/run/page.txt"), Path("/run/art/cover.png"), [Path("/run/a"), Path("/run/b")],
    )  # fmt: skip


def test_a_path_to_write_in_a_group_lies_below_the_run_directory() -> None:
    class Shelf(Hparams):
        page: OutputPath = Path("page.txt")

    class DiaryHparams(Hparams):
        shelf: Shelf = Hparam(default_factory=Shelf)

    register_callback("diary")(_bird(DiaryHparams))
    component, _ = _component("callback", "diary")
    assert component is not None
    assert component.build(run_dir=Path("/run")).hparams.shelf.page == Path("/run/page.txt")


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "~/x"])
def test_a_path_to_write_cannot_leave_the_run_directory(path: str) -> None:
    register_callback("diary")(Diary)
    ((text, _, says),) = _problems("callback", f"{{name: diary, cover: {path}}}")
    assert text == path
    assert "below the run's directory" in says


@pytest.mark.parametrize("name", ["../../evil", "/tmp/evil", "~/evil"])
def test_the_name_of_a_file_to_write_cannot_leave_the_run_directory(name: str) -> None:
    ((text, path, says),) = _problems("callback", f"{{name: model_checkpoint, filename: {name}}}")
    assert (text, path) == (name, "bird.filename")
    assert "below the run's directory" in says


@pytest.mark.parametrize("name", ["null", "'{epoch}-{validation/loss:.2f}'"])
def test_the_name_of_a_file_to_write_may_be_a_pattern(name: str) -> None:
    assert _component("callback", f"{{name: model_checkpoint, filename: {name}}}")[1] == []


class Reader:
    """Reads something."""

    def __init__(self, file: Path, also: str | Path | None = None, hparams: None = None) -> None:
        self.files = (file, also)


def test_a_path_to_read_lies_beside_the_blueprint(tmp_path: Path) -> None:
    register_data("reader")(Reader)
    (tmp_path / "grain.csv").write_text("a\n")
    problems = Problems()
    node = parse_yaml("{name: reader, file: grain.csv, also: grain.csv}", tmp_path / "blueprint.yaml")
    component = resolve("data", node, (), problems)
    assert component is not None
    assert component.build().files == (tmp_path / "grain.csv", tmp_path / "grain.csv")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("none.csv", "there is no file 'none.csv'"),
        ("a" * 300, "there is no file"),
        ("~nobody-of-that-name/x.csv", "there is no home folder '~nobody-of-that-name'"),
        ("https://example.org/x.csv", "must be the path of a local file"),
    ],
)
def test_a_path_to_read_has_to_exist_on_this_machine(path: str, words: str) -> None:
    class OneHparams(Hparams):
        file: InputPath

    register_data("reader")(_bird(OneHparams))
    ((text, where, says),) = _problems("data", f"{{name: reader, file: {path}}}")
    assert (text, where) == (path, "bird.file")
    assert words in says

"""Values to be swept: Hydra's grammar on the command line, plain values and texts in a blueprint."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hydrantic.compose import dimension, override_text, override_value, read_override, split_sweep
from hydrantic.document import Whole
from hydrantic.errors import BlueprintError
from hydrantic.problems import Problem, Problems
from hydrantic.source import Source
from hydrantic.sweeping.space import Choice, Dimension, Range

OPTIONS = {"model": ("cnn", "linear", "mlp"), "experiment": ("cmnist/cnn", "good run")}


def options(group: str) -> tuple[str, ...]:
    return OPTIONS.get(group, ())


def swept(text: str) -> Dimension:
    fixed, dimensions = split_sweep([text], options)
    assert fixed == ()
    [found] = dimensions.values()
    return found


def problem_of(text: str) -> Problem:
    with pytest.raises(BlueprintError) as caught:
        split_sweep([text], options)
    [problem] = caught.value.problems
    assert problem.source == Source.override(text)
    return problem


def test_a_mapping_that_replaces_another_is_swept_as_such() -> None:
    found = swept("model=replace({name: mlp, width: [1, 'a b']}),cnn")
    assert found == Choice(("replace({name:mlp,width:[1,'a b']})", "cnn"))
    whole = Whole({"name": "mlp", "text": "1"})
    assert override_text(whole) == "replace({name:mlp,text:'1'})"
    assert value_of(override_text(whole)) == whole


def value_of(text: str) -> Any:
    override = read_override(f"k={text}")
    assert not override.is_sweep_override()
    return override_value(override._value)


# The command line


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a=1,2", [1, 2]), ("a=choice(1,2)", [1, 2]), ("a=range(1,4)", [1, 2, 3]), ("a=range(3)", [0, 1, 2]),
        ("a=range(3,0,-1)", [3, 2, 1]), ("a=range(0,1,0.25)", [0.0, 0.25, 0.5, 0.75]),
        ("a=range(0,0.3,0.1)", [0.0, 0.1, 0.2]), ("a=sort(3,1,2)", [1, 2, 3]), ("a=int(1.5,2.5)", [1, 2]),
        ("a=sort(choice(1,3,2),reverse=true)", [3, 2, 1]), ("a=float(range(1,3))", [1.0, 2.0]), ("a=x,y", ["x", "y"]),
        ("a=1,'1'", [1, "1"]), ("a=choice('1','2')", ["1", "2"]), ("a=sort('2','1')", ["1", "2"]),
        ("a=str(1,2)", ["1", "2"]), ("a='a,b',\"it's\"", ["a,b", "it's"]), ("a=null,true", [None, True]),
        ("a='größe ü',x y", ["größe ü", "x y"]), ("a=[1,2],[3]", [[1, 2], [3]]), ("a=1e-3,1E3", [0.001, 1000.0]),
        ("a={x: 1},{x: 'b c'}", [{"x": 1}, {"x": "b c"}]), ("a=${x},y${z}", ["${x}", "y${z}"]),
        ("a=012,off", ["012", "off"]), ("a=a\\,b,c\\ d", ["a,b", "c d"]), ("a=http://x:1/y,z", ["http://x:1/y", "z"]),
        ("model=glob(*)", ["cnn", "linear", "mlp"]), ("model=glob(['c*','m*'],exclude=mlp)", ["cnn"]),
        ("model=glob('m*')", ["mlp"]), ("experiment=glob(*)", ["good run"]),
    ],
)  # fmt: skip
def test_every_value_stands_behind_the_key_again(text: str, values: list[Any]) -> None:
    texts = swept(text).texts()
    assert texts is not None
    assert [value_of(each) for each in texts] == values


def test_rising_integers_stay_a_range_whose_values_can_be_compared() -> None:
    assert swept("a=range(1,8,3)") == Range(1, 7, integer=True, step=3)
    assert swept("a=range(8,1,-3)") == Choice(("8", "5", "2"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=interval(0,1)", Range(0.0, 1.0)), ("a=tag(log,interval(1.e-5,1.e-3))", Range(1e-5, 1e-3, log=True)),
        ("a=int(interval(1,10))", Range(1, 10, integer=True)),
        ("a=tag(log,int(interval(1,10)))", Range(1, 10, log=True, integer=True)),
        ("a=tag(log,range(1,5))", Range(1, 4, log=True, integer=True)),
        ("a=int(interval(2,2))", Range(2, 2, integer=True)),
    ],
)  # fmt: skip
def test_an_interval_is_all_between_its_bounds(text: str, expected: Range) -> None:
    assert swept(text) == expected


@pytest.mark.parametrize("text", ["a=shuffle(1,2,3)", "a=shuffle(range(1,4))"])
def test_shuffled_values_are_the_same_values(text: str) -> None:
    found = swept(text)
    assert isinstance(found, Choice)
    assert sorted(found.values) == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a=range(3,1)", "sweep-empty"), ("a=interval(1,0)", "sweep-empty"), ("a=interval(1,1)", "sweep-empty"),
        ("a=tag(log,range(3,1))", "sweep-empty"), ("model=glob(x*)", "sweep-nothing-matches"),
        ("seed=glob(*)", "sweep-nothing-matches"), ("a=range(0,9,0)", "sweep-bounds"), ("a=range(0,nan)",
        "sweep-bounds"),
        ("a=interval(0,inf)", "sweep-bounds"), ("a=tag(log,interval(0,1))", "sweep-bounds"),
        ("a=tag(log,range(0,5))", "sweep-bounds"), ("a=tag(log,range(1,9,2))", "sweep-bounds"),
        ("a=tag(lgo,interval(1,2))", "sweep-tag"), ("a=tag(log,choice(1,2))", "sweep-tag"),
        ("a=range(1000000000000)", "limit"), ("a=range(0,inf)", "limit"), ("hydra/launcher=local,slurm",
        "sweep-of-sweeps"),
        ("hydra.run.dir=a,b", "sweep-of-sweeps"), ("sweep=grid,random", "sweep-of-sweeps"),
    ],
)  # fmt: skip
def test_what_gives_no_values_is_refused(text: str, code: str) -> None:
    assert problem_of(text).code == code


def test_all_mistakes_are_collected() -> None:
    problems = Problems()
    fixed, dimensions = split_sweep(["a=range(3,1)", "b=1,2", "c=interval(1,0)", "d=[", "e=1"], options, problems)
    assert [each.code for each in problems] == ["sweep-empty", "sweep-empty"]
    assert (fixed, list(dimensions)) == (("d=[", "e=1"), ["b"])


def test_keys_keep_their_signs_and_their_order() -> None:
    fixed, dimensions = split_sweep(["+a=1,2", "z=1", "++b=1,2", "model@m=mlp,cnn", "~y", "+exp=e"], options)
    assert fixed == ("z=1", "~y", "+exp=e")
    assert list(dimensions) == ["+a", "++b", "model@m"]


def test_of_a_key_that_is_given_twice_the_later_counts() -> None:
    assert split_sweep(["a=1,2", "a=3"], options) == (("a=3",), {})
    assert split_sweep(["a=3", "a=1,2"], options) == ((), {"a": Choice(("1", "2"))})
    assert split_sweep(["a=1,2", "b=1,2", "a=3,4"], options)[1]["a"] == Choice(("3", "4"))


# A blueprint


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("range(1, 4)", Range(1, 3, integer=True)), ("tag(log, interval(1.e-5, 1.e-3))", Range(1e-5, 1e-3, log=True)),
        ("choice(0.0, 0.1)", Choice(("0.0", "0.1"))), ("a,b", Choice(("a", "b"))), ("relu", Choice(("relu",))),
        ([1, 2.5, None, True], Choice(("1", "2.5", "null", "true"))), (3, Choice(("3",))),
        (["1", "a b", "x,y", "ü"], Choice(("'1'", "'a b'", "'x,y'", "'ü'"))), ([[64, 64], []], Choice(("[64,64]",
        "[]"))),
        ([{"name": "step", "gamma": 0.1}], Choice(("{name:step,gamma:0.1}",))),
        (["${vars.x}"], Choice(("'${vars.x}'",))),
        ("glob(*)", Choice(("cnn", "linear", "mlp"))),
    ],
)  # fmt: skip
def test_a_blueprint_writes_values_or_hydras_grammar(value: Any, expected: Dimension) -> None:
    assert dimension("model", value, options) == expected


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("a", [], "sweep-empty"), ("a", "range(3,1)", "sweep-empty"), ("a", "range(", "override-syntax"),
        ("a b", [1], "override-syntax"), ("", [1], "override-syntax"), ("a", ["two\nlines"], "sweep-value"),
        ("a", [{"größe": 1}], "sweep-value"), ("a", [object()], "sweep-value"), ("a", "choice()", "override-syntax"),
    ],
)  # fmt: skip
def test_a_mistake_stands_at_the_place_that_is_told(key: str, value: Any, code: str) -> None:
    place = Source(label="blueprint.yaml:3")
    with pytest.raises(BlueprintError) as caught:
        dimension(key, value, options, place, ("sweep", "params", key))
    [problem] = caught.value.problems
    assert (problem.code, problem.source, problem.path) == (code, place, ("sweep", "params", key))


# Plain values as overrides

signs = st.one_of(st.sampled_from("ab1-+eE._/\\'\"{}[](),:= \t$~&%ü€"), st.characters(exclude_categories=("Cs", "Cc")))
words = st.one_of(
    st.text(signs, max_size=12),
    st.sampled_from(["null", "1e-3", "${a.b}", "x${a}y", "a\\", "\\'", '\\\\"', "012", "interval(0,1)", "a,b", "True"]),
)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), words)
keys = st.sampled_from(["a", "b_c", "a-b", "1", "true", "x y", "a.b"])
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=3)),
    max_leaves=8,
)


def same(one: Any, other: Any) -> bool:
    """Equal and of the same type throughout; nan is like itself."""
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


@settings(derandomize=True, max_examples=400, deadline=None)
@given(values)
def test_a_plain_value_is_read_back_as_the_same(value: Any) -> None:
    try:
        text = override_text(value)
    except ValueError:  # two keys that Hydra's grammar takes for one: 1 and true
        assume(False)
        raise
    assert same(value_of(text), value)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.lists(values, min_size=1, max_size=3))
def test_hydras_own_parser_reads_our_texts_as_one_value(several: list[Any]) -> None:
    try:
        found = dimension("k", several)
    except BlueprintError:
        assume(False)
        raise
    assert isinstance(found, Choice)
    parser = OverridesParser.create()
    assert not any(parser.parse_override(f"k={text}").is_sweep_override() for text in found.values)
    if len(several) > 1:
        assert swept(f"k={','.join(found.values)}") == found

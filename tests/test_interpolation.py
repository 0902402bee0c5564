"""Interpolation resolves on the document's own tree and keeps the environment out of records."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from hydrantic.document import Document, Limits, from_plain
from hydrantic.errors import BlueprintError
from hydrantic.interpolation import Resolved, escaped, references, resolve
from hydrantic.problems import Problem
from hydrantic.reading import parse_yaml
from hydrantic.source import KeyPath, Source, dotted

FILE = Path("b.yaml")
ENVIRONMENT = {"TOKEN": "s3cret'${x}\\", "RATE": "1e-3", "WHERE": "b"}


def resolved(text: str, **settings: Any) -> Resolved:
    given_settings = {"allowed_env": ENVIRONMENT.keys(), "environment": ENVIRONMENT, **settings}
    return resolve(Document(parse_yaml(text, FILE), {FILE: text}, FILE), **given_settings)


def plain(text: str, **settings: Any) -> dict[str, Any]:
    return resolved(text, **settings).document.plain()


def problems_of(text: str, **settings: Any) -> tuple[Problem, ...]:
    with pytest.raises(BlueprintError) as caught:
        resolved(text, **settings)
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("v: ${a.b}", 1), ("v: ${a.c[1]}", 6), ("v: ${a.c.0}", 5), ("v: ${a[b]}", 1),
        ("v: ${a}", {"b": 1, "c": [5, 6]}),
        ("v: x${a.b}-${a.c.1}", "x1-6"), ("v: ${a.${k}}", 1), ("v: ${ref.c.1}", 6), ("v: '\\${a.b}'", "${a.b}"),
        ("v: '\\\\${a.b}'", "\\1"), ("v: a $ { b", "a $ { b"), ("v: ${.k}", "b"), ("v: [9, '${.0}']", [9, 9]),
        ("v: {w: '${..k}', x: '${.w}'}", {"w": "b", "x": "b"}), ("v: ${oc.decode:'1e-3'}", 1e-3),
        ("v: ${oc.decode:null}", None), ("v: ${oc.select:a.b}", 1), ("v: ${oc.select:no,7}", 7),
        ("v: ${oc.select:no}", None), ("v: ${oc.dict.keys:a}", ["b", "c"]), ("v: ${oc.dict.values:a}", [1, [5, 6]]),
        ("v: '${oc.create:{x: [1, 2]}}'", {"x": [1, 2]}), ("v: ${oc.env:RATE}", "1e-3"),
        ("v: ${oc.decode:${oc.env:RATE}}", 1e-3), ("v: ${oc.env:WHERE,z}", "b"), ("v: ${t}", True), ("v: '${t}'", True),
    ],
)  # fmt: skip
def test_a_reference_has_its_value(text: str, value: object) -> None:
    assert plain(f"a: {{b: 1, c: [5, 6]}}\nk: b\nref: ${{a}}\nt: true\n{text}\n")["v"] == value


def test_an_absent_variable_gives_its_default() -> None:
    text = "a: ${oc.env:ABSENT,7}\nb: ${oc.env:ABSENT,null}\n"
    assert plain(text, allowed_env=["ABSENT"], environment={}) == {"a": "7", "b": None}


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRANTIC_TEST", "x")
    assert plain("a: ${oc.env:HYDRANTIC_TEST}", allowed_env=["HYDRANTIC_TEST"], environment=None) == {"a": "x"}


def test_a_path_that_the_tree_lacks_asks_the_schema() -> None:
    defaults: Mapping[KeyPath, object] = {("trainer", "max_epochs"): 20, ("model", "name"): "mlp"}
    text = "model: mlp\nscheduler: {T_max: '${trainer.max_epochs}'}\nname: run-${model.name}\n"
    result = plain(text, fallback=lambda path: defaults[path])
    assert (result["scheduler"]["T_max"], result["name"]) == (20, "run-mlp")


def test_a_resolved_value_stands_where_its_reference_stands() -> None:
    document = resolved("a: {b: 1}\nc: ${a}\n").document
    assert document.source(("c",)) == Source(FILE, 2, 4, 4)
    assert document.source(("c", "b")) == Source(FILE, 1, 8, 1)


def test_a_resolved_value_remembers_how_it_was_written() -> None:
    node = resolved("a: 1\nb: ${a}\n").document.find(("b",))
    assert node is not None
    assert node.was is not None
    assert (node.value, node.was.value, node.was.source) == (1, "${a}", node.source)


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("${a.b}", ["a.b"]), ("x${a.c[1]}y${k}", ["a.c.1", "k"]), ("${a.${k}}", ["k", "a.b"]), ("${.k}", ["v.k"]),
        ("${..k}", ["k"]), ("${...k}", []), ("${oc.select:a.b,7}", ["a.b"]), ("${oc.dict.keys:a}", ["a"]),
        ("${oc.env:TOKEN,${k}}", ["k"]), ("${oc.decode:${k}}", ["k"]), ("plain", []), ("${", []), ("${a", []),
    ],
)  # fmt: skip
def test_the_references_of_a_text_are_paths(text: str, paths: list[str]) -> None:
    root = parse_yaml("a: {b: 1, c: [5, 6]}\nk: b\nv: {w: x}\n", FILE)
    assert [dotted(path) for path in references(text, ("v", "w"), root)] == paths


def test_a_record_keeps_the_reference_to_the_environment() -> None:
    text = "a: ${oc.env:TOKEN}\nb: ${a}\nc: x-${b}-\\${d}\nd: {k: '${a}'}\ne: ${d}\nf: ${oc.decode:${oc.env:TOKEN}}\n"
    assert resolved(text).record.plain() == {
        "a": "${oc.env:TOKEN}", "b": "${oc.env:TOKEN}", "c": "x-${oc.env:TOKEN}-\\${d}", "d": {"k": "${oc.env:TOKEN}"},
        "e": {"k": "${oc.env:TOKEN}"}, "f": "${oc.decode:${oc.env:TOKEN}}",
    }  # fmt: skip


@pytest.mark.parametrize("default", ["1", "0", "1.0", "true", "false", "null", "'text'", "1e-05"])
def test_a_record_keeps_the_default_of_a_variable_as_it_was_written(default: str) -> None:
    assert resolved(f"v: ${{oc.env:TOKEN,{default}}}\n").record.plain() == {"v": f"${{oc.env:TOKEN,{default}}}"}


SECRET_TEXTS = [
    "v: ${oc.env:TOKEN}", "v: '\\\\${oc.env:TOKEN}'", "v: ${oc.env:TOKEN,'d'}", "a: ${oc.env:TOKEN}\nv: a\\\\${a}b",
    "a: ${oc.env:TOKEN}\nv: \"${oc.create:[1,'${a}',{k: 'x${a}'}]}\"\nw: ${v.2.k}",
    "v: ${oc.decode:'x${oc.env:TOKEN}'}",
    "a: {k: '${oc.env:TOKEN}'}\nv: ${oc.dict.values:a}", "a: {k: '${oc.env:TOKEN}'}\nv: ${oc.select:a.k}",
    "a: {b: 1}\nv: ${a.${oc.env:WHERE}}\nw: ${v}", "a: {b: 1, c: '${.${oc.env:WHERE}}'}\nv: ${a}",
    "a: {b: 1}\nv: ${oc.select:'a.${oc.env:WHERE}',2}", "a: {b: 1}\nv: ${oc.select:no,${oc.env:TOKEN}}",
    "v: \"it's ${oc.decode:\\\"a'b ${oc.env:TOKEN}\\\"}\"",
]  # fmt: skip


@pytest.mark.parametrize("text", SECRET_TEXTS)
def test_a_record_holds_no_secret_and_resolves_to_the_document(text: str) -> None:
    result = resolved(text)
    assert "s3cret" not in str(result.record.plain())
    again = resolve(result.record, allowed_env=ENVIRONMENT.keys(), environment=ENVIRONMENT)
    assert again.document.plain() == result.document.plain()


def test_a_record_of_another_value_than_the_environment_is_the_value() -> None:
    assert resolved("a: {b: 1}\nc: ${a.b}\nd: '\\${x}'\n").record.plain() == {"a": {"b": 1}, "c": 1, "d": "\\${x}"}


def test_a_problem_shows_no_secret() -> None:
    problems = problems_of("a: {b: 1}\nv: ${a.${oc.env:TOKEN}}\nw: ${oc.env:${oc.env:TOKEN}}\n")
    assert [problem.code for problem in problems] == ["interpolation-unknown", "env-not-allowed"]
    assert "s3cret" not in str([problem.facts for problem in problems])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("v: '${a'", "interpolation-syntax"), ("v: ${}", "interpolation-syntax"),
        ("v: ${oc.env:A,}", "interpolation-syntax"),
        ("v: ${nope.x}", "interpolation-unknown"), ("v: ${.no}", "interpolation-unknown"),
        ("v: ${....a}", "interpolation-unknown"), ("v: ${a.c.9}", "interpolation-unknown"),
        ("v: ${env:TOKEN}", "resolver-refused"), ("v: ${oc.deprecated:a}", "resolver-refused"),
        ("v: ${hydra:runtime.cwd}", "resolver-refused"), ("v: ${oc.env:HOME}", "env-not-allowed"),
        ("v: ${oc.env:HOME,x}", "env-not-allowed"), ("v: ${oc.env:GONE}", "env-missing"),
        ("v: x${a}", "interpolation-not-text"),
        ("v: ${oc.env:1}", "interpolation-argument"), ("v: ${oc.decode:1}", "interpolation-argument"),
        ("v: ${oc.create:x}", "interpolation-argument"), ("v: ${oc.dict.keys:a.b}", "interpolation-argument"),
        ("v: ${oc.dict.keys:no}", "interpolation-unknown"), ("v: ${oc.env:A,B,C}", "interpolation-argument"),
        ("v: ${v}", "interpolation-cycle"), ("v: {w: '${v}'}", "interpolation-cycle"),
    ],
)  # fmt: skip
def test_what_cannot_be_resolved_is_a_problem_of_its_place(text: str, code: str) -> None:
    (problem,) = problems_of(f"a: {{b: 1, c: [5]}}\n{text}\n", allowed_env=["TOKEN", "GONE", "A"])
    assert (problem.code, problem.source.line, problem.path[0]) == (code, 2, "v")


def test_all_problems_are_collected() -> None:
    problems = problems_of("a: ${no}\nb: {c: '${neither}', d: '${b.c}'}\ne: ${env:x}\nf: 1\n")
    assert [problem.path for problem in problems] == [("a",), ("b", "c"), ("e",)]


def test_an_unknown_reference_names_the_nearest_keys() -> None:
    (problem,) = problems_of("model: {name: mlp, width: 3}\nv: ${model.widht}\n")
    assert problem.facts == {"reference": "model.widht", "nearest": "model", "known": ("name", "width")}


def test_a_cycle_names_its_chain() -> None:
    (problem,) = problems_of("a: ${b.x}\nb: {x: '${c}'}\nc: ${a}\nd: ${a}\n")
    assert problem.facts["chain"] == ("a", "b.x", "c", "a")


def chained(item: str, count: int, first: str = "lol") -> str:
    lines = [f"a0: {first}"]
    lines += [f"a{i}: " + item.replace("@", f"${{a{i - 1}}}") for i in range(1, count)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (chained("'" + "@" * 10 + "'", 12), "characters"), (chained("[" + ", ".join(["'@'"] * 10) + "]", 12), "nodes"),
        (chained("{x: '@'}", 3_000), "depth"), ("\n".join(reversed(chained("@", 3_000).splitlines())), "chain"),
        (chained("@", 11_000), "steps"), ("a: '" + "${oc.decode:" * 400 + "1" + "}" * 400 + "'", "chain"),
    ],
    ids=["text", "lists", "nested", "chain", "steps", "calls"],
)  # fmt: skip
def test_hostile_references_are_refused_fast(text: str, what: str) -> None:
    started = time.perf_counter()
    (problem,) = problems_of(text)
    assert (problem.code, problem.facts["what"]) == ("interpolation-too-large", what)
    assert time.perf_counter() - started < 20


def test_limits_are_settings() -> None:
    (problem,) = problems_of("a: 1\nb: ${a}\nc: ${a}\n", limits=Limits(steps=1))
    assert problem.facts == {"what": "steps", "allowed": 1}


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.text("ab\\${}'\" .:\n", max_size=12))
def test_escaped_text_resolves_to_itself(text: str) -> None:
    document = Document(from_plain({"a": escaped(text)}), {}, FILE)
    assert resolve(document).document.plain() == {"a": text}


pieces = st.lists(
    st.sampled_from(["${n}", "${.t}", "${m.x}", "${l[0]}", "${m.${k}}", "\\${n}", "\\\\${n}", "a", " ", "\\", "$",
    "'"]),
    min_size=1, max_size=5,
).map("".join)  # fmt: skip


@settings(derandomize=True, max_examples=300, deadline=None)
@given(pieces)
def test_text_resolves_as_omegaconf_resolves_it(text: str) -> None:
    data = {"n": 1, "t": "x", "m": {"x": 2.5}, "l": [True], "k": "x", "v": text}
    ours = resolve(Document(from_plain(data), {}, FILE)).document.plain()["v"]
    theirs = OmegaConf.to_container(OmegaConf.create(data), resolve=True)
    assert isinstance(theirs, dict)
    assert ours == theirs["v"]

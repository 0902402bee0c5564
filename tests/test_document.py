"""Reading YAML into a tree that knows its places."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hydrantic.document import (
    REMEMBERED,
    Document,
    Limits,
    Node,
    from_plain,
    measure,
    merged,
    placed,
    remembering,
    without,
)
from hydrantic.errors import BlueprintError
from hydrantic.problems import Problem
from hydrantic.reading import parse_yaml, read_document, read_yaml
from hydrantic.source import Source

FILE = Path("b.yaml")


def problems_of(text: str, limits: Limits | None = None) -> tuple[Problem, ...]:
    with pytest.raises(BlueprintError) as caught:
        parse_yaml(text, FILE, limits or Limits())
    return caught.value.problems


def codes(text: str) -> list[str]:
    return [problem.code for problem in problems_of(text)]


def read_bytes(folder: Path, data: bytes) -> tuple[Problem, ...]:
    file = folder / "b.yaml"
    file.write_bytes(data)
    with pytest.raises(BlueprintError) as caught:
        read_yaml(file)
    return caught.value.problems


def test_a_mapping_is_read_as_plain_data() -> None:
    text = "a: 1\nb: {c: [1e-3, off, ~], d: '1'}\ne: |\n  x\n  y\nf:\n"
    assert parse_yaml(text, FILE).plain() == {
        "a": 1, "b": {"c": [1e-3, "off", None], "d": "1"}, "e": "x\ny\n", "f": None,
    }  # fmt: skip


def test_every_value_and_key_knows_its_place() -> None:
    document = Document(parse_yaml("a: 1\nmodel:\n  dims: [64, 128]\n", FILE), {}, FILE)
    assert document.source(("model", "dims", 1)) == Source(FILE, 3, 14, 3)
    assert document.key_source(("model", "dims")) == Source(FILE, 3, 3, 4)


def test_a_path_that_does_not_exist_has_the_place_of_its_nearest_ancestor() -> None:
    document = Document(parse_yaml("a: 1\nmodel: {name: mlp}\n", FILE), {}, FILE)
    assert document.find(("model", "depth", 0)) is None
    assert document.source(("model", "depth", 0)) == document.source(("model",))
    assert document.key_source(("model", "depth")) == Source(FILE, 2, 1, 5)


def test_keys_are_always_text() -> None:
    assert list(parse_yaml("1: a\ntrue: b\n~: c\n1.50: d\n", FILE).plain()) == ["1", "true", "~", "1.50"]


def test_an_alias_stands_in_its_own_place_and_its_content_where_it_was_written() -> None:
    root = parse_yaml("a: &x {b: 1}\nc: *x\n", FILE)
    node = root.child("c")
    assert node is not None
    assert node.plain() == {"b": 1}
    assert node.source.line == 2
    assert node.child("b") is not None
    assert node.child("b").source.line == 1  # type: ignore[union-attr]


def test_merge_keys_give_way_to_written_keys() -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  <<: [*a, *b]\n  x: 3\n"
    assert parse_yaml(text, FILE).plain()["c"] == {"x": 3, "y": 1, "z": 2}


def test_a_merge_key_leaves_what_it_gave_way_to_in_memory() -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {x: 2}\nc:\n  <<: [*a, *b]\n  x: 3\n"
    node = parse_yaml(text, FILE).child("c").child("x")  # type: ignore[union-attr]
    found = []
    while node is not None:
        found.append((node.value, node.source.line))
        node = node.was
    assert found == [(3, 5), (1, 1), (2, 2)]


def test_many_mappings_may_be_merged() -> None:
    many = "\n".join(f"a{i}: &a{i} {{k{i}: 1, x: {i}}}" for i in range(9_000))
    merges = ", ".join(f"*a{i}" for i in range(9_000))
    root = parse_yaml(f"{many}\nall: {{<<: [{merges}]}}\n", FILE)
    assert len(root.child("all").value) == 9_001  # type: ignore[union-attr,arg-type]


def test_core_tags_are_honoured() -> None:
    text = "a: !!str 1\nb: !!float 1\nc: !!int '2'\nd: ! 3\ne: !!map {}\nf: !!seq []\ng: !!null ''\nh: !!bool true\n"
    assert parse_yaml(text, FILE).plain() == {
        "a": "1", "b": 1.0, "c": 2, "d": "3", "e": {}, "f": [], "g": None, "h": True,
    }  # fmt: skip


def test_a_header_before_the_document_marker_is_one_document() -> None:
    assert parse_yaml("# @package _global_\n---\na: 1\n", FILE).plain() == {"a": 1}


def test_byte_order_marks_and_carriage_returns_are_fine(tmp_path: Path) -> None:
    file = tmp_path / "Größe.yaml"
    file.write_bytes("\ufeffa: 1\r\nb: ü\r\n".encode())
    node = read_yaml(file)
    assert node.plain() == {"a": 1, "b": "ü"}
    assert node.child("b").source == Source(file, 2, 4, 1)  # type: ignore[union-attr]


def test_all_mistakes_of_a_file_are_collected() -> None:
    text = "a: 1\na: 2\nb: !!python/name:os.system x\nc: {d: 1, d: 2}\ne: {_target_: os.system}\nf: *nowhere\n"
    assert codes(text) == ["duplicate-key", "yaml-tag", "duplicate-key", "code-key", "alias-unknown"]


def test_a_duplicate_key_names_the_first_place() -> None:
    (problem,) = problems_of("a: 1\nb: 2\n'a': 3\n")
    assert problem.source == Source(FILE, 3, 1, 3)
    assert problem.facts["first"] == Source(FILE, 1, 1)


def test_a_syntax_error_keeps_the_problems_before_it() -> None:
    assert codes("a: 1\na: 2\nb: [1\nc: 2\n") == ["duplicate-key", "yaml-syntax"]


@pytest.mark.parametrize("key", ["_target_", "_partial_", "_args_", "_recursive_", "_convert_"])
def test_keys_that_mean_code_are_refused_anywhere(key: str) -> None:
    (problem,) = problems_of(f"a:\n  - b: {{{key}: x}}\n")
    assert (problem.code, problem.path, problem.source.line) == ("code-key", ("a", 0, "b", key), 2)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "file-empty"), ("# nothing\n", "file-empty"), ("---\n", "file-empty"), ("- 1\n", "not-a-mapping"),
        ("text", "not-a-mapping"), ("a: 1\n---\nb: 2\n", "several-documents"), ("a: 1\n---\n", "several-documents"),
        ("a:\n\tb: 1\n", "tab-indentation"), ("a: b: c\n", "yaml-syntax"), ("a: 'x\n", "yaml-syntax"),
        ("a: \0\n", "control-character"), ("a: \x1b[0m\n", "control-character"), ("a: !!int x\n", "tag-mismatch"),
        ("a: !!int 1.5\n", "tag-mismatch"), ("a: !!int true\n", "tag-mismatch"), ("a: !local x\n", "yaml-tag"),
        ("a: !!binary eA==\n", "yaml-tag"), ("a: !!set {x}\n", "yaml-tag"), ("a: !!timestamp 2024-01-01\n", "yaml-tag"),
        ("!!python/object:x.Y {}\n", "yaml-tag"), ("a: !!map [1]\n", "yaml-tag"),
        ("? [1]\n: 2\n", "key-not-text"), ("a: &x [*x]\n", "alias-recursive"), ("a: &x {b: *x}\n", "alias-recursive"),
        ("a: *x\n", "alias-unknown"), ("<<: 1\n", "merge-key"), ("%YAML 9.0\n---\na: 1\n", "yaml-syntax"),
        (f"a: {'9' * 5000}\n", "number-too-long"),
    ],
)  # fmt: skip
def test_what_is_no_blueprint_is_refused(text: str, code: str) -> None:
    assert codes(text) == [code]


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(BlueprintError) as caught:
        read_yaml(tmp_path / "no.yaml")
    assert caught.value.problems[0].code == "file-missing"


def test_a_folder_is_no_blueprint(tmp_path: Path) -> None:
    with pytest.raises(BlueprintError) as caught:
        read_document(tmp_path)
    assert caught.value.problems[0].code == "file-is-folder"


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(BlueprintError) as caught:
        read_yaml(tmp_path / "pipe.yaml")
    assert caught.value.problems[0].code == "file-not-regular"


def test_bytes_that_are_not_utf8_are_located(tmp_path: Path) -> None:
    (problem,) = read_bytes(tmp_path, b"a: 1\nb: \xff\n")
    assert (problem.code, problem.source.line, problem.facts["byte"]) == ("not-utf8", 2, 8)


def test_utf16_is_refused(tmp_path: Path) -> None:
    (problem,) = read_bytes(tmp_path, "a: 1\n".encode("utf-16"))
    assert problem.code == "not-utf8"


def test_a_large_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    (problem,) = read_bytes(tmp_path, b"a: " + b"x" * 1_000_000)
    assert (problem.code, problem.facts["what"]) == ("limit", "bytes")


def billion_laughs() -> str:
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    return "\n".join(lines)


def alias_ladder() -> str:
    return "\n".join(["a0: &a0 {x: 1}", *(f"a{i}: &a{i} {{x: *a{i - 1}}}" for i in range(1, 200))])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (billion_laughs(), "nodes"), ("a: [" + "x," * 200_000 + "]", "nodes"), (alias_ladder(), "depth"),
        ("a: " + "[" * 400_000, "depth"), ("a: " + "{b: " * 200_000, "depth"), ("- " * 400_000, "depth"),
        ("? " * 400_000, "depth"), ("a: [" + "&a b," * 150_000 + "]", "nodes"),
        ("\n".join(" " * i + "a:" for i in range(500)), "depth"),
    ],
    ids=["laughs", "wide", "ladder", "brackets", "braces", "dashes", "questions", "anchors", "block"],
)  # fmt: skip
def test_hostile_sizes_are_refused_fast(text: str, what: str) -> None:
    started = time.perf_counter()
    problem = problems_of(text)[-1]
    assert (problem.code, problem.facts["what"]) == ("limit", what)
    assert time.perf_counter() - started < 5


def test_limits_are_settings() -> None:
    assert problems_of("a: {b: {c: 1}}", Limits(depth=2))[0].facts == {"what": "depth", "allowed": 2}
    assert parse_yaml("a: {b: {c: 1}}", FILE, Limits(depth=3)).plain() == {"a": {"b": {"c": 1}}}


def test_a_merge_remembers_what_it_replaced() -> None:
    base, over = from_plain({"a": {"x": 1, "y": 2}}), from_plain({"a": {"x": 3}})
    result = merged(base, over, lambda path: False)
    assert result.plain() == {"a": {"x": 3, "y": 2}}
    changed = result.child("a").child("x")  # type: ignore[union-attr]
    assert changed is not None
    assert changed.was is not None
    assert changed.was.value == 1


def test_what_a_node_replaced_is_remembered_to_a_limit() -> None:
    node, oldest = from_plain("new"), from_plain("old")
    for _ in range(3):
        node = remembering(from_plain("newer"), node)
    assert [each.value for each in _was(remembering(node, oldest))] == ["newer", "newer", "newer", "new", "old"]
    for _ in range(2 * REMEMBERED):
        node = remembering(from_plain("newer"), node)
    assert len(_was(remembering(node, oldest))) == REMEMBERED + 1


def _was(node: Node | None) -> list[Node]:
    return [] if node is None else [node, *_was(node.was)]


def test_a_missing_mark_replaces_nothing() -> None:
    assert merged(from_plain({"a": 1}), from_plain({"a": "???", "b": "???"}), lambda path: False).plain() == {
        "a": 1, "b": "???",
    }  # fmt: skip


def test_taking_out_and_placing_leave_the_rest() -> None:
    root = from_plain({"a": {"b": 1, "c": 2}, "l": [1, 2, 3]})
    assert without(without(root, ("a", "b")), ("l", 1)).plain() == {"a": {"c": 2}, "l": [1, 3]}
    assert placed(("a", "b"), Node(1, Source())).plain() == {"a": {"b": 1}}
    assert measure(root) == (8, 2)


values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-9, 9), st.text("abc ~'0.", max_size=4), st.floats(allow_nan=False)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text("abcx1~", max_size=3), inner, max_size=3)
    ),
    max_leaves=10,
)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), values, min_size=1, max_size=4))
def test_what_pyyaml_writes_is_read_back(data: dict[str, object]) -> None:
    text = yaml.safe_dump(data, allow_unicode=True)
    assert parse_yaml(text, FILE).plain() == data


@settings(derandomize=True, max_examples=300, deadline=None)
@given(st.text("ab:-[]{},&*!<?|>'\"#%@`\n\t ~.0\r\ufeff\x00é", max_size=40))
def test_any_text_is_read_or_refused_with_problems(text: str) -> None:
    try:
        parse_yaml(text, FILE)
    except BlueprintError as error:
        assert error.problems

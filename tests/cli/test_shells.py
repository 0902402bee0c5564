"""How shells write a command line, and what paths an answer holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from hydrantic.cli.shells import LONGEST, Line, in_bash, in_fish, in_zsh, line_of, paths, split
from hydrantic.completion.candidates import Candidate, Files
from tests.projects import write

BREAKS = " \t\n\"'><=;|&(:"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", Line(("",))),
        ("a ", Line(("a", ""))),
        ("a  b", Line(("a", "b"))),
        ("a b=c", Line(("a", "b=c"), start=2)),
        ("a b=c:d", Line(("a", "b=c:d"), start=4)),
        (r"a b\ c", Line(("a", "b c"))),
        (r"a b\=c", Line(("a", "b=c"))),
        ("a 'b c", Line(("a", "b c"), quote="'")),
        ('a "b=c', Line(("a", "b=c"), quote='"')),
        ('a b="c d', Line(("a", "b=c d"), start=2, quote='"')),
        ("a 'b c'/d", Line(("a", "b c/d"))),
        (r'a "b\"c" ', Line(("a", 'b"c', ""))),
        (r"a 'b\' ", Line(("a", "b\\", ""))),
        ("a ''", Line(("a", ""))),
        ("a\\", Line(("a",))),
    ],
)
def test_a_line_is_taken_apart_as_bash_does(text: str, line: Line) -> None:
    assert split(text, BREAKS) == line


def test_zsh_hands_over_words_with_quotes_and_fish_the_last_one() -> None:
    assert line_of("zsh", ["hydrantic", r"a\ b", "'c d"]).words == ("hydrantic", "a b", "c d")
    assert line_of("fish", ["hydrantic", r"a\ b", r"c\ d"]).words == ("hydrantic", r"a\ b", "c d")
    assert line_of("fish", ["hydrantic", ""]).words == ("hydrantic", "")


def test_each_shell_is_told_in_its_own_way_that_a_word_goes_on() -> None:
    found = [Candidate("model=", "The model."), Candidate("model.", "The model.")]
    line = Line(("hydrantic", "fit", "a.yaml", "mo"))
    assert in_bash(found, line) == ["open", "model=", "model."]
    assert in_zsh(found, line) == ["words", "", "model=\tThe model.", "model.\tThe model."]
    assert in_fish(found, line) == ["model=\tThe model.", "model.\tThe model."]
    assert in_bash([Candidate("seed")], line) == ["closed", "seed"]


def test_a_long_meaning_is_cut_and_stands_on_one_line() -> None:
    (word,) = in_fish([Candidate("a", "one\ttwo\n" + "three " * 40)], Line(("a",)))
    text, _, meaning = word.partition("\t")
    assert text == "a"
    assert meaning.startswith("one two three")
    assert len(meaning) <= LONGEST


def test_zsh_finds_files_itself() -> None:
    assert in_zsh(Files(suffixes=(".yaml", ".yml")), Line(("x", "a"))) == ["files", "", "*.(yaml|yml)"]
    assert in_zsh(Files("--runs=", only_folders=True), Line(("x", "--runs=a"))) == ["folders", "--runs=", "*"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a.yaml", "a b.yml", "über.txt", ".hidden.yaml", "line\nbreak.yaml", "folder/c.yaml", "folder/d.txt"):
        write(tmp_path / name, "")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("files", "word", "found"),
    [
        (Files(), "", ["a b.yml", "a.yaml", "folder/", "über.txt"]),
        (Files(suffixes=(".yaml", ".yml")), "", ["a b.yml", "a.yaml", "folder/"]),
        (Files(suffixes=(".yaml",)), "folder/", ["folder/c.yaml"]),
        (Files(suffixes=(".yaml",)), ".", [".hidden.yaml"]),
        (Files(only_folders=True), "", ["folder/"]),
        (Files("data.path="), "data.path=ü", ["data.path=über.txt"]),
        (Files(), "~/fo", ["~/folder/"]),
        (Files(), "nowhere/", []),
        (Files(), "~nobody-of-that-name/", []),
        (Files(), "a\0/", []),
    ],
)
def test_paths_go_on_with_what_lies_there(files: Files, word: str, found: list[str], here: Path) -> None:
    assert list(paths(files, word, mark="/")) == found

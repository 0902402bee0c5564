"""`hydrantic explain`: its words, what it prints where, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hydrantic.cli.main import main
from tests.projects import DIGITS, write

pytestmark = pytest.mark.usefixtures("scratch")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a blueprint, in which a person stands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_CONFIG_PATH", raising=False)
    write(tmp_path / "a b.yaml", DIGITS)
    return tmp_path


def test_a_value_is_explained_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "a b.yaml", "trainer.max_epochs"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("trainer.max_epochs: 1\n\nset by      a b.yaml:6:23\n")
    assert printed.err == ""


@pytest.mark.parametrize(
    "words", [["seed=3", "seed"], ["seed", "seed=3"], ["~metrics", "--project", ".", "seed", "seed=3"]]
)
def test_the_key_is_the_word_that_is_no_override(
    here: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "registry").mkdir()
    assert main(["explain", "a b.yaml", *words]) == 0
    assert capsys.readouterr().out.startswith("seed: 3\n\nset by      command line: seed=3\n")


def test_json_is_a_record(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--json", "a b.yaml", "seed", "seed=3"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["path"], record["value"], record["origin"], record["default"]) == ("seed", 3, "command line", 42)


def test_problems_follow_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "a b.yaml", "seed", "seed=x", "model.with=3", "loss.y=1"]) == 2
    printed = capsys.readouterr()
    assert printed.out.startswith("seed: x\n\nset by      command line: seed=x\n")
    assert printed.err == (
        "\n1 problem\n\ncommand line: seed=x: must be an integer, not the text 'x'\n\n"
        "2 further problems in this blueprint: hydrantic check 'a b.yaml' seed=x model.with=3 loss.y=1\n"
    )


def test_problems_elsewhere_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "a b.yaml", "seed", "loss.y=1"]) == 2
    assert capsys.readouterr().err == "\n1 problem in this blueprint: hydrantic check 'a b.yaml' loss.y=1\n"


def test_a_key_that_is_nowhere_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "a b.yaml", "sead"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("a b.yaml: there is no 'sead'; did you mean 'seed'?\nThe sections are name, ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "which blueprint? hydrantic explain BLUEPRINT"),
        (["a b.yaml"], "which key? hydrantic explain 'a b.yaml' KEY, such as model or optimizer.lr"),
        (
            ["a b.yaml", "++model.dropout=0.2"],
            "which key? '++model.dropout=0.2' is an override: hydrantic explain 'a b.yaml' model.dropout ++model.dr",
        ),
        (["seed", "a b.yaml"], "the blueprint comes before the key: hydrantic explain 'a b.yaml' seed\n"),
        (["seed", "a b.yaml", "seed=3"], "the blueprint comes before the key: hydrantic explain 'a b.yaml' seed\n"),
        (["seed=3", "a b.yaml"], "the blueprint comes before the overrides"),
        (
            ["a b.yaml", "seed", "name"],
            "one key at a time: hydrantic explain 'a b.yaml' seed (then hydrantic explain 'a b.yaml' name)\n",
        ),
        (["none.yaml", "seed"], "1 problem in none.yaml\n\nnone.yaml: there is no such file"),
        ([".", "seed"], "1 problem in .\n\n.: is a folder; name a YAML file in it"),
        (["a b.yaml", ""], "a b.yaml: there is no ''\n"),
        (["a b.yaml", "seed", "--project", "none"], "--project none: it holds neither blueprints/ nor registry/"),
    ],
)
def test_a_command_that_is_wrong_says_what_is_right(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", *words]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(said)


def test_config_name_finds_the_blueprint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--config-name", "a b", "--config-path", ".", "seed"]) == 0
    assert capsys.readouterr().out.startswith("seed: 42\n")


def test_deep_asks_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "a b.yaml", "model.in_features"]) == 0
    assert "model.in_features: auto\n\nset by      the data, when a run starts\n" in capsys.readouterr().out
    assert main(["explain", "a b.yaml", "model.in_features", "--deep"]) == 0
    assert "model.in_features: 64\n\nset by      the data\n" in capsys.readouterr().out


def test_deep_tells_what_contradicts_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "a b.yaml", "model.in_features", "model.in_features=63", "--deep"]) == 2
    printed = capsys.readouterr()
    assert printed.out.startswith("model.in_features: 63\n")
    assert "is 63, but the data 'digits' says 64" in printed.err

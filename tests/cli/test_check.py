"""`hydrantic check`: what it prints, for people and for programs, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hydrantic.cli.main import main
from tests.projects import DIGITS, write

pytestmark = pytest.mark.usefixtures("scratch")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a good and a bad blueprint, in which a person stands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_CONFIG_PATH", raising=False)
    write(tmp_path / "good.yaml", DIGITS)
    write(tmp_path / "bad.yaml", DIGITS.replace("model: mlp", "model: {name: mlp, hiden_dims: [8]}"))
    return tmp_path


def test_a_good_blueprint_has_no_problems(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "good.yaml"]) == 0
    assert capsys.readouterr() == ("good.yaml: no problems\n", "")


def test_a_bad_one_is_reported_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "bad.yaml", "optimizer.lr=-1"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        "2 problems in bad.yaml\n\n"
        "bad.yaml:2:20: model.hiden_dims: mlp has no field 'hiden_dims'; did you mean 'hidden_dims'?\n"
        "    2 | model: {name: mlp, hiden_dims: [8]}\n"
        "      |                    ^^^^^^^^^^\n"
        "command line: optimizer.lr=-1: must be greater than 0\n"
    )


def test_json_gives_the_same_as_records(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json", "bad.yaml", "optimizer.lr=-1"]) == 2
    printed = capsys.readouterr()
    assert printed.err == ""
    assert json.loads(printed.out) == [
        {
            "blueprint": "bad.yaml", "file": "bad.yaml", "line": 2, "column": 20, "place": "bad.yaml:2:20",
            "path": "model.hiden_dims", "code": "unknown-field",
            "message": "mlp has no field 'hiden_dims'; did you mean 'hidden_dims'?", "suggestion": "hidden_dims",
            "severity": "error",
        },
        {
            "blueprint": "bad.yaml", "file": None, "line": None, "column": None,
            "place": "command line: optimizer.lr=-1", "path": "optimizer.lr", "code": "value:greater_than",
            "message": "must be greater than 0", "suggestion": None, "severity": "error",
        },
    ]  # fmt: skip


def test_json_of_a_good_blueprint_is_an_empty_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json", "good.yaml"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_folder_is_checked_as_a_whole(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here / "blueprints" / "model" / "piece.yaml", "this: is no blueprint\n")
    (here / "good.yaml").rename(here / "blueprints" / "good.yaml")
    (here / "bad.yaml").rename(here / "blueprints" / "worse.yml")
    assert main(["check", "blueprints"]) == 2
    printed = capsys.readouterr()
    assert printed.out == "blueprints/good.yaml: no problems\n"
    assert printed.err.startswith("1 problem in blueprints/worse.yml\n\nblueprints/worse.yml:2:20: ")
    assert printed.err.endswith("1 of 2 blueprints have problems\n")


def test_several_blueprints_may_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json", "good.yaml", "bad.yaml", "missing.yaml", "seed=1"]) == 2
    records = json.loads(capsys.readouterr().out)
    assert [(each["blueprint"], each["code"]) for each in records] == [
        ("bad.yaml", "unknown-field"),
        ("missing.yaml", "file-missing"),
    ]


def test_overrides_hold_for_every_blueprint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json", ".", "loss=mse"]) == 2
    records = json.loads(capsys.readouterr().out)
    assert [(each["blueprint"], each["code"]) for each in records] == [
        ("bad.yaml", "unknown-field"),
        ("bad.yaml", "unsuited"),
        ("good.yaml", "unsuited"),
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "which blueprint? hydrantic check BLUEPRINT"),
        (["seed=1"], "the blueprint comes before the overrides"),
        (["empty"], "empty holds no blueprint"),
        (["good.yaml", "seed"], "command line: seed: is no override; write key=value"),
        (["good.yaml", "--project", "nowhere"], "--project nowhere: it holds neither blueprints/ nor registry/"),
    ],
)
def test_wrong_words_are_explained(
    words: list[str], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "empty").mkdir()
    assert main(["check", *words]) == 2
    assert message in capsys.readouterr().err


def test_deep_traces_the_shapes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--deep", "good.yaml"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("good.yaml: no problems\n")
    assert "26,122" in printed  # parameters: 64 x 128, 128 x 128, 128 x 10 and the biases


def test_deep_finds_what_only_the_data_tells(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "good.yaml", "model.in_features=63"]) == 0
    assert main(["check", "--deep", "good.yaml", "model.in_features=63"]) == 2
    assert "is 63, but the data 'digits' says 64" in capsys.readouterr().err


def test_deep_json_is_an_object_with_problems_and_traces(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--deep", "--json", "good.yaml", "bad.yaml"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert [each["code"] for each in found["problems"]] == ["unknown-field"]
    assert list(found["traces"]) == ["good.yaml"]


def test_every_job_of_a_sweep_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "good.yaml", "-m", "seed=1,2,3", "model=mlp,linear"]) == 0
    assert capsys.readouterr() == ("good.yaml: no problems in 6 jobs\n", "")
    assert main(["check", "good.yaml", "-m", "seed=1,2", "model=mlp,linear", "model.dropout=0.5"]) == 2
    said = capsys.readouterr().err
    assert "2 of 4 jobs cannot run" in said
    assert "job 1: seed=1 model=linear\njob 3: seed=2 model=linear\n" in said
    assert said.count("linear has no field 'dropout'") == 1


def test_the_borders_of_a_study_are_checked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    section = "sweep: {name: optuna, params: {optimizer.lr: 'interval(-1.0, 1.0)'}}\n"
    write(here / "study.yaml", DIGITS + section)
    assert main(["check", "study.yaml", "-m"]) == 2
    said = capsys.readouterr().err
    assert "study.yaml:7:" in said
    assert "must be greater than 0" in said


def test_the_jobs_with_problems_are_records_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "good.yaml", "--json", "-m", "optimizer.lr=-1,1,-2"]) == 2
    assert [each["place"] for each in json.loads(capsys.readouterr().out)] == [
        "command line: optimizer.lr=-1", "command line: optimizer.lr=-2",
    ]  # fmt: skip

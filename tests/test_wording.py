"""What a person reads when a blueprint is wrong: the corpus of `goldens/`, each report pinned in full.

`HYDRANTIC_REGENERATE=1 pytest tests/test_wording.py` writes the reports anew; read what changed before committing it.
"""

from __future__ import annotations

import ast
import functools
import os
import shlex
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import hydrantic
from hydrantic import wording
from hydrantic.cli.main import main
from hydrantic.problems import Problem
from hydrantic.project import close_shelf
from hydrantic.source import Source

GOLDENS = Path(__file__).parent / "goldens"
CASES = sorted(file.stem for file in GOLDENS.glob("*.yaml") if not file.stem.startswith("deep_"))
DEEP = sorted(file.stem for file in GOLDENS.glob("deep_*.yaml"))
"""Mistakes that show only when a batch goes through the model."""
PACKAGE = Path(hydrantic.__file__).parent
NOTING = {"add", "fail", "_fail", "refuse", "_refuse", "Problem"}
"""What notes a problem, its code first."""
SEEN_WHEN_BUILT = dict.fromkeys(
    (
        "auto_contradicts_the_data",
        "component_raises",
        "component_raises_something_else",
        "component_refuses_its_fields",
        "csv_empty",
        "csv_is_a_folder",
        "csv_ragged",
        "csv_without_rows",
        "csv_without_the_target",
        "fact_not_stated",
        "fact_that_a_field_refuses",
        "optimizer_refused_by_torch",
        "scheduler_refused_by_torch",
        "split_longer_than_the_data",
        "validation_after_more_batches_than_there_are",
    ),
    True,
) | dict.fromkeys(
    (
        "several_machines",
        "strategy_that_starts_processes",
        "trainer_refused_by_lightning",
        "wandb_online_without_a_key",
    ),
    False,
)
"""What needs the data or the component itself to be seen, and whether the deep check sees it; else only a run does."""
REGENERATE = os.environ.get("HYDRANTIC_REGENERATE") == "1"


@dataclass(frozen=True)
class Outcome:
    """What `hydrantic fit` did with a bad blueprint."""

    code: int
    output: str
    report: str
    left_behind: tuple[str, ...]


@functools.cache
def outcome(case: str, verb: str = "fit") -> Outcome:
    file = Path(f"{case}.yaml")
    out, err = StringIO(), StringIO()
    with TemporaryDirectory() as folder, chdir(GOLDENS), redirect_stdout(out), redirect_stderr(err):
        runs = ["--runs", f"{folder}/runs"] if verb == "fit" else []
        code = main([*verb.split(), str(file), *overrides_of(file), *runs])
        left = tuple(str(path.relative_to(folder)) for path in Path(folder).glob("runs/**/*"))
    return Outcome(code, out.getvalue(), err.getvalue(), left)


def overrides_of(file: Path) -> list[str]:
    first = file.read_bytes().partition(b"\n")[0].decode("utf-8", "replace")
    return shlex.split(first.removeprefix("# overrides:")) if first.startswith("# overrides:") else []


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("HYDRANTIC_RUNS", "GOLDEN_UNSET", "WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", "/nonexistent")
    yield
    close_shelf()


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_reported_in_the_pinned_words(case: str) -> None:
    golden = GOLDENS / f"{case}.txt"
    if REGENERATE:
        golden.write_text(outcome(case).report, encoding="utf-8")
    assert outcome(case).report == golden.read_text("utf-8")


@pytest.mark.parametrize("case", [case for case in CASES if case not in SEEN_WHEN_BUILT])
def test_check_says_what_fit_says(case: str) -> None:
    assert outcome(case, "check").report == (GOLDENS / f"{case}.txt").read_text("utf-8")
    assert outcome(case, "check").code == 2


@pytest.mark.parametrize("case", SEEN_WHEN_BUILT)
def test_what_shows_only_when_something_is_built_is_seen_by_the_deep_check(case: str) -> None:
    assert outcome(case, "check").code == 0
    if SEEN_WHEN_BUILT[case]:
        assert outcome(case, "check --deep").report == (GOLDENS / f"{case}.txt").read_text("utf-8")
        assert outcome(case, "check --deep").code == 2


@pytest.mark.parametrize("case", DEEP)
def test_a_clash_is_reported_in_the_pinned_words(case: str) -> None:
    golden = GOLDENS / f"{case}.txt"
    found = outcome(case, "check --deep")
    if REGENERATE:
        golden.write_text(found.report, encoding="utf-8")
    assert (found.report, found.code, found.output) == (golden.read_text("utf-8"), 2, "")
    assert outcome(case, "check").code == 0


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_ends_with_exit_code_2_and_leaves_nothing(case: str) -> None:
    assert outcome(case).code == 2
    assert outcome(case).left_behind == ()


@pytest.mark.parametrize("case", CASES)
def test_a_report_is_for_people_and_on_stderr(case: str) -> None:
    report = outcome(case).report
    assert outcome(case).output == ""
    for sign in ("Traceback", "pydantic", "NoneType", "<class '", "{'"):
        assert sign not in report.replace("<class 'object'>", "")


def test_every_report_belongs_to_a_blueprint() -> None:
    assert {file.stem for file in GOLDENS.glob("*.txt")} == {*CASES, *DEEP}


def test_every_code_has_words() -> None:
    assert {code for code in _codes_used() if code not in wording._WORDS} == set()


def test_every_wording_is_used() -> None:
    assert set(wording._WORDS) - _texts_of_the_package() == set()


def test_a_code_without_words_still_says_what_is_known() -> None:
    assert wording.message(Problem("new", Source(), facts={"a": 1})) == "new: {'a': 1}"


def test_a_missing_file_is_named_with_the_one_meant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "digits.yaml").write_text("data: digits\n")
    with chdir(tmp_path):
        assert main(["fit", "digit.yaml"]) == 2
    assert capsys.readouterr().err == (
        "1 problem in digit.yaml\n\ndigit.yaml: there is no such file; did you mean digits.yaml?\n"
    )


def test_a_folder_is_no_blueprint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with chdir(tmp_path):
        Path("blueprints").mkdir()
        assert main(["fit", "blueprints"]) == 2
    assert "blueprints: is a folder; name a YAML file in it" in capsys.readouterr().err


def test_a_pipe_is_no_blueprint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with chdir(tmp_path):
        os.mkfifo("pipe.yaml")
        assert main(["fit", "pipe.yaml"]) == 2
    assert "pipe.yaml: is not a regular file" in capsys.readouterr().err


def test_a_name_from_a_shelf_beside_the_blueprint_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = tmp_path / "theirs"
    (theirs / "registry").mkdir(parents=True)
    (theirs / "registry" / "models.py").write_text("raise SystemExit('this code must not run')\n")
    (theirs / "a.yaml").write_text("data: digits\nmodel: their_own\nloss: cross_entropy\n")
    mine = tmp_path / "mine"
    mine.mkdir()
    with chdir(mine):
        assert main(["fit", "../theirs/a.yaml"]) == 2
    hint = f"a shelf lies beside that file: run in {theirs}, or use --project {theirs}"
    assert hint in capsys.readouterr().err


def test_long_values_are_cut() -> None:
    facts = {"owner": "mlp", "field": "width", "value": "x" * 500, "limits": {}, "message": ""}
    text = wording.message(Problem("value:int_type", Source(), facts=facts))
    assert len(text) < 120


def _codes_used() -> set[str]:
    """The first text among the arguments of every call that notes a problem."""
    return {code for call in _calls() if (code := _code(call)) is not None}


def _calls() -> Iterator[ast.Call]:
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and _name(node.func) in NOTING:
                yield node


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _code(call: ast.Call) -> str | None:
    texts = [each.value for each in call.args[:2] if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return texts[0] if texts and (isinstance(call.func, ast.Name) or len(call.args) != 1 or call.keywords) else None


def _texts_of_the_package() -> set[str]:
    files = (file for file in PACKAGE.rglob("*.py") if file.name != "wording.py")
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text("utf-8"))))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}

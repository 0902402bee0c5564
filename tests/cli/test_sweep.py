"""`hydrantic sweep`: look at a sweep, tabulate it, go on with it."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hydrantic.cli.completion import answer
from hydrantic.cli.main import main
from hydrantic.completion.candidates import Files
from hydrantic.sweeping.ledger import Ledger
from tests.sweeping.sweeps import job, written

CHECKOUT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose latest sweep has two learning rates and two seeds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("HYDRANTIC_RUNS", raising=False)
    (tmp_path / "blueprints").mkdir()
    values = {(0.1, 1): 0.5, (0.1, 2): 0.7, (0.01, 1): 0.2, (0.01, 2): 0.4}
    jobs = (job(at, value, optimizer__lr=lr, seed=seed) for at, ((lr, seed), value) in enumerate(values.items()))
    return written(tmp_path / "runs" / "digits" / "sweep-1", *jobs)


def printed(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main(["sweep", *words]) == code
    return capsys.readouterr().out


# -- status ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [[], ["runs"], ["runs/digits"], ["runs/digits/sweep-1"]])
def test_status_tells_of_the_latest_sweep(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "status", *place)
    assert "runs/digits/sweep-1" in out
    assert "4/4" in out
    assert "best: job 2, validation/loss 0.2" in out
    assert "\x1b" not in out


def test_status_exits_with_one_where_a_job_failed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Ledger(here) as ledger:
        ledger.note(0, "failed", error="ValueError: no")
    assert "    ValueError: no\n" in printed(capsys, "status", code=1)
    assert json.loads(printed(capsys, "status", "--json", code=1))["counts"]["failed"] == 1


def test_status_shows_twenty_jobs_or_all(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    written(tmp_path / "many", *(job(at, float(at)) for at in range(30)))
    assert "... and 10 more (--all)" in printed(capsys, "status", "many")
    assert "more (--all)" not in printed(capsys, "status", "many", "--all")


# -- table -------------------------------------------------------------------------------------------------------------


def test_the_table_has_the_best_first(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "table").splitlines()
    assert lines[0].split() == ["job", "optimizer.lr", "seed", "validation/loss", "state", "seconds"]
    assert lines[1].split() == ["2", "0.01", "1", "0.2000", "finished", "1.5"]


@pytest.mark.parametrize(
    "words", [["--by", "seed"], ["--by", "seed", "runs"], ["runs", "--by", "seed"], ["--by", "seed", "--", "runs"]]
)
def test_averages_are_taken_over_the_keys_named(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "table", *words).splitlines()
    assert lines[1].split() == ["0.01", "0.3000", "±", "0.1414", "2", "1.5", "±", "0.0"]


def test_csv_markdown_and_json_go_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(printed(capsys, "table", "--csv", "--by", "seed"))))
    assert float(rows[0]["validation/loss mean"]) == pytest.approx(0.3)
    assert json.loads(printed(capsys, "table", "--json"))[0]["job"] == 2
    assert printed(capsys, "table", "--markdown", "--columns", "job,lr").startswith("| job | optimizer.lr |")


@pytest.mark.parametrize(("name", "begins"), [("a.csv", "job,"), ("a.md", "| job |"), ("a.json", "[\n")])
def test_a_file_gets_the_form_of_its_ending(name: str, begins: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "table", "-o", name) == ""
    assert Path(name).read_text("utf-8").startswith(begins)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["table", "-o", "a.xlsx"], "give it the ending .csv, .md or .json, or say --csv"),
        (["table", "-o", "no/a.csv"], "there is no folder no"), (["table", "--by", "sed"], "did you mean 'seed'?"),
        (["table", "--sort", "x"], "there is no column 'x'"), (["table", "blueprints"], "blueprints holds no sweep"),
        (["status", "missing"], "there is no directory missing"), (["resume", "missing"], "there is no directory"),
        (["table", "--picture", "a.doc"], "choose .png, .svg, .pdf"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", *words]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_without_any_runs_it_asks_which_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HYDRANTIC_RUNS", str(tmp_path / "none"))
    assert main(["sweep", "table"]) == 2
    assert "which sweep? hydrantic sweep table DIR" in capsys.readouterr().err


def test_the_picture_lies_in_the_sweeps_folder_or_where_it_is_wanted(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    assert main(["sweep", "table", "runs", "--picture"]) == 0
    said = capsys.readouterr()
    assert (here / "sweep.png").is_file()
    assert said.err == "picture: runs/digits/sweep-1/sweep.png\n"
    assert said.out.startswith("job")
    assert main(["sweep", "table", "--picture", "a.svg", "--by", "seed"]) == 0
    assert Path("a.svg").is_file()


# -- going on ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("verb", "retry"), [("resume", False), ("retry", True)])
def test_going_on_is_left_to_the_sweep(
    verb: str,
    retry: bool,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[Any] = []

    def resume(directory: Path, *, project: Path | None = None, retry: bool = False) -> SimpleNamespace:
        asked.append((directory.absolute(), project, retry))
        return SimpleNamespace(exit_code=1, summary=lambda: "what came of it")

    monkeypatch.setattr("hydrantic.sweeping.resumption.resume", resume)
    assert printed(capsys, verb, "runs", "--project", ".", code=1) == "what came of it\n"
    assert asked == [(here, Path(), retry)]


# -- around it ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["status", "table", "resume", "retry"])
def test_every_action_has_help_that_fits_on_a_screen(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["sweep", action, "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert stop.value.code == 0
    assert lines[0].startswith(f"usage: hydrantic sweep {action} [DIR]")
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 120


def test_an_action_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["sweep"])
    assert stop.value.code == 2
    assert "usage: hydrantic sweep" in capsys.readouterr().err


def test_a_shell_completes_actions_their_options_and_folders() -> None:
    def texts(line: str) -> list[str]:
        found = answer(line.split(" "))
        assert not isinstance(found, Files)
        return [each.text for each in found]

    assert texts("hydrantic sweep ") == ["status", "table", "resume", "retry"]
    assert texts("hydrantic sweep table --pi") == ["--picture"]
    assert "--all" in texts("hydrantic sweep status --")
    assert "--all" not in texts("hydrantic sweep resume --")
    assert answer(["hydrantic", "sweep", "table", ""]) == Files(only_folders=True)
    assert texts("hydrantic sweep table runs ") == []


def test_a_table_needs_neither_torch_nor_polars_nor_pydantic(tmp_path: Path) -> None:
    heavy = ["torch", "lightning", "pydantic", "hydra", "omegaconf", "polars", "numpy", "matplotlib"]
    code = (
        f"import sys; sys.path.insert(0, {str(CHECKOUT)!r})\nfrom hydrantic.cli.main import main\n"
        "main(['sweep', 'table', 'runs']); main(['sweep', 'status', 'runs'])\n"
        f"print(set({heavy}) & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == "set()\n"

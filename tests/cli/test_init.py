"""`hydrantic init`: a project that trains at once, and what is said about a table."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from hydrantic.cli.init import _word_after
from hydrantic.cli.main import VERBS, main
from hydrantic.rundir import RunRecord
from tests.projects import write
from tests.tiny import names

pytestmark = pytest.mark.usefixtures("scratch")

CHECKOUT = Path(__file__).parent.parent.parent
PLANTS = CHECKOUT / "blueprints" / "tabular.csv"
PROJECT = ["README.md", "blueprints/digits.yaml", "pyproject.toml", "registry/__init__.py", "registry/residual.py",
           "tests/test_blueprints.py", ".gitignore", ".hydrantic/blueprint.schema.json"]  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("HYDRA_CONFIG_PATH", "HYDRANTIC_RUNS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def files(folder: Path) -> list[str]:
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())


def test_init_writes_a_project_and_tells_what_to_do_next(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "demo"]) == 0
    assert files(here / "demo") == sorted(PROJECT)
    printed = capsys.readouterr().out.splitlines()
    commands = [line.partition("#")[0].strip() for line in printed[printed.index("next") + 1 :]]
    assert commands == [
        "cd demo", "hydrantic check blueprints/digits.yaml", "hydrantic fit blueprints/digits.yaml", "python -m pytest",
    ]  # fmt: skip
    assert {each.split()[1] for each in commands[1:3]} <= set(VERBS)


def test_the_folder_is_this_one_by_default(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init"]) == 0
    assert files(here) == sorted(PROJECT)
    assert "cd " not in capsys.readouterr().out


def test_the_example_trains_at_once(here: Path) -> None:
    assert main(["init", "demo"]) == 0
    words = ["blueprints/digits.yaml", "--project", "demo", "--runs", "runs", "trainer.max_epochs=5", "loggers={}"]
    assert main(["fit", f"demo/{words[0]}", *words[1:]]) == 0
    [record] = (RunRecord.read(file) for file in (here / "runs").glob("*/*/run.json"))
    assert record.fields["metrics"]["test/accuracy"] > 0.9


def test_a_table_gets_a_blueprint_and_is_described(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "demo", "--data", str(PLANTS)]) == 0
    assert files(here / "demo") == sorted([*PROJECT, "blueprints/tabular.yaml"])
    printed = capsys.readouterr().out
    assert "600 rows, 9 columns\n" in printed
    assert "  target    thrives, the last column (--target NAME chooses another)\n" in printed
    assert "  task      classification into 2 classes: no, yes\n" in printed
    assert "  inputs    7 columns, 14 values with one for each category\n" in printed
    assert "  id        plant\n" in printed
    assert "  missing   57 values; a column's mean stands in\n" in printed
    assert "  hydrantic fit blueprints/tabular.yaml " in printed
    assert main(["fit", "demo/blueprints/tabular.yaml", "--project", "demo", "loggers={}", "trainer.max_epochs=2"]) == 0


def test_a_table_in_a_project_adds_its_blueprint(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here / "registry" / "mine.py", "")
    write(here / "my data" / "gr\u00f6\u00dfe.csv", "a,b\n" + "".join(f"{n},{n % 2}\n" for n in range(40)))
    assert main(["init", "--data", "my data/gr\u00f6\u00dfe.csv"]) == 0
    assert names(here / "blueprints") == ["gr\u00f6\u00dfe.yaml"]
    content = yaml.safe_load((here / "blueprints" / "gr\u00f6\u00dfe.yaml").read_text("utf-8"))
    assert content["data"]["path"] == "../my data/gr\u00f6\u00dfe.csv"
    assert "pytest" not in capsys.readouterr().out
    assert not (here / "pyproject.toml").exists()


def test_what_is_there_is_left_alone_and_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / ".gitignore").write_text("mine\n")
    assert main(["init"]) == 0
    assert (here / ".gitignore").read_text() == "mine\n"
    printed = capsys.readouterr().out
    assert "left as it was\n  .gitignore\n" in printed
    assert "your .gitignore should have runs/" in printed


def test_a_project_that_has_everything_is_not_touched(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init"]) == 0
    assert main(["init"]) == 2
    assert "has everything already" in capsys.readouterr().err


def test_a_folder_that_is_a_file_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here / "plants.csv", "a,b\n")
    assert main(["init", "plants.csv"]) == 2
    assert capsys.readouterr().err == "plants.csv is a file, no folder; did you mean --data plants.csv?\n"


def test_a_folder_that_cannot_be_written_is_left_as_it_was(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "tests").write_text("a file")
    assert main(["init"]) == 2
    assert "cannot write tests: there is a file of that name" in capsys.readouterr().err
    assert names(here) == ["tests"]


def test_a_name_that_no_folder_can_have_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "x" * 300]) == 2
    assert "can be no folder: " in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "locked").mkdir(mode=0o500)
    assert main(["init", "locked"]) == 2
    assert "Permission denied" in capsys.readouterr().err


def test_a_table_that_cannot_be_used_leaves_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here / "bad.csv", "a,b\n1\n")
    assert main(["init", "demo", "--data", "bad.csv"]) == 2
    assert capsys.readouterr().err == "bad.csv: line 2 has 1 value, but the header has 2 columns\n"
    assert names(here) == ["bad.csv"]


def test_a_column_that_no_blueprint_can_name_leaves_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here / "odd.csv", "a,???\n" + "".join(f"{n % 9},{n / 7}\n" for n in range(40)))
    assert main(["init", "demo", "--data", "odd.csv"]) == 2
    assert "no blueprint can be written for odd.csv" in capsys.readouterr().err
    assert names(here) == ["odd.csv"]


def test_a_project_within_a_project_is_pointed_out(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "blueprints").mkdir()
    assert main(["init", "inner"]) == 0
    assert "is a project already, and inner lies in it" in capsys.readouterr().err


def test_a_first_line_of_numbers_is_pointed_out(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here / "iris.csv", "".join(f"{n}.5,{n % 7}.1,{'ab'[n % 2]}\n" for n in range(40)))
    assert main(["init", "demo", "--data", "iris.csv"]) == 0
    assert (
        "warning: the first line of iris.csv looks like data, not like names (0.5, 0.1, a)" in capsys.readouterr().err
    )


def test_a_target_without_a_table_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--target", "y"]) == 2
    assert "hydrantic init --data FILE.csv --target NAME" in capsys.readouterr().err


def test_the_project_option_names_the_folder_too(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--project", "demo"]) == 0
    assert files(here / "demo") == sorted(PROJECT)
    assert main(["init", "other", "--project", "demo"]) == 2
    assert "both name the project's folder" in capsys.readouterr().err


def test_what_takes_long_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "big.csv", "a,b\n")
    with _word_after(60.0, file):
        pass
    assert capsys.readouterr().err == ""
    with _word_after(0.0, file) as told:
        told.join()
    assert capsys.readouterr().err == "reading big.csv ...\n"


def test_the_schema_knows_the_new_components_and_is_written_anew_for_a_table(here: Path) -> None:
    write(here / "p.csv", "a,b\n" + "".join(f"{n % 9},{n / 7}\n" for n in range(40)))
    schema = here / "demo" / ".hydrantic" / "blueprint.schema.json"
    assert main(["init", "demo"]) == 0
    assert '"residual"' in schema.read_text("utf-8")
    assert main(["init", "demo", "--data", "p.csv"]) == 0
    assert '"in_units"' in schema.read_text("utf-8")


def test_what_init_writes_is_valid_and_follows_the_usual_rules(here: Path) -> None:
    write(here / "p.csv", "a,b\n" + "".join(f"{n % 9},{n / 7}\n" for n in range(40)))
    assert main(["init", "demo", "--data", "p.csv"]) == 0
    for file in (here / "demo" / "blueprints").glob("*.yaml"):
        assert isinstance(yaml.safe_load(file.read_text("utf-8")), dict)
    rules = ["check", "--isolated", "--no-cache", "--select", "E,F,I", "demo"]
    done = subprocess.run([sys.executable, "-m", "ruff", *rules], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_field_that_init_writes_says_what_it_means(here: Path) -> None:
    from hydrantic.components import hparams_of
    from hydrantic.project import Project
    from hydrantic.registries import registry

    write(here / "p.csv", "a,b\n" + "".join(f"{n % 9},{n / 7}\n" for n in range(40)))
    assert main(["init", "demo", "--data", "p.csv"]) == 0
    Project(here / "demo").open()
    for name in ("residual", "in_units"):
        hparams = hparams_of(registry("model").get(name))
        assert set(hparams.meanings()) == set(hparams.model_fields)


@pytest.mark.slow
def test_the_tests_that_init_writes_pass(here: Path) -> None:
    write(here / "p.csv", "a,b\n" + "".join(f"{n % 9},{n / 7}\n" for n in range(40)))
    for data in (PLANTS, "p.csv"):
        assert main(["init", "demo", "--data", str(data)]) == 0
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=here / "demo", env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "6 passed" in done.stdout

"""`hydrantic fit`: its words, and the form that the seeds use."""

from __future__ import annotations

from pathlib import Path

import pytest

from hydrantic.cli.main import main
from hydrantic.rundir import RunRecord
from tests.cli.test_main import python
from tests.projects import DIGITS, write

pytestmark = pytest.mark.usefixtures("scratch")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a blueprint, in which a person stands."""
    monkeypatch.chdir(tmp_path)
    for name in ("HYDRA_CONFIG_PATH", "HYDRANTIC_RUNS"):
        monkeypatch.delenv(name, raising=False)
    write(tmp_path / "blueprints" / "mlp.yaml", DIGITS)
    return tmp_path


def records(folder: Path) -> list[RunRecord]:
    return [RunRecord.read(file) for file in sorted(folder.glob("*/*/run.json"))]


def test_fit_trains_tests_and_says_where_the_run_is(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "blueprints/mlp.yaml"]) == 0
    printed = capsys.readouterr().out.splitlines()
    [path] = here.glob("runs/mlp/*")
    assert printed[0].startswith("mlp: done in ")
    assert [line.split()[0] for line in printed[1:-1]] == ["test/loss", "test/accuracy"]
    assert printed[-1] == f"run: {path.relative_to(here)}"


def test_overrides_may_stand_among_the_options(here: Path) -> None:
    words = ["fit", "--no-test", "blueprints/mlp.yaml", "seed=7", "--runs", "out", "model.dropout=0.1"]
    assert main(words) == 0
    [record] = records(here / "out")
    assert record.fields["seed"] == 7
    assert not any(name.startswith("test/") for name in record.fields["metrics"])


def test_without_a_blueprint_fit_says_what_it_wants(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit"]) == 2
    assert capsys.readouterr().err.startswith("which blueprint? hydrantic fit BLUEPRINT")


def test_overrides_before_the_blueprint_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "seed=3", "blueprints/mlp.yaml"]) == 2
    assert "the blueprint comes before the overrides" in capsys.readouterr().err


def test_a_second_blueprint_is_no_override(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "blueprints/mlp.yaml", "blueprints/mlp.yaml"]) == 2
    assert "is no override; write key=value" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["--epochs", "--run", "-x"])
def test_an_unknown_option_is_refused(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["fit", "blueprints/mlp.yaml", word, "3"])
    assert stop.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_project_that_is_none_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "empty").mkdir()
    assert main(["fit", "blueprints/mlp.yaml", "--project", "empty"]) == 2
    assert "--project empty" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["mlp", "mlp.yaml"])
def test_config_name_looks_in_the_folder_of_the_environment(
    here: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("HYDRA_CONFIG_PATH", str(here / "blueprints"))
    words = ["fit", "--config-name", name, "optimizer.kwargs.lr=5e-4", "data.batch_size=64"]
    assert main(words) == 0
    assert len(records(here / "runs")) == 1


def test_config_path_names_the_folder_instead(here: Path) -> None:
    assert main(["fit", "--config-name", "mlp", "--config-path", "blueprints"]) == 0
    assert len(records(here / "runs")) == 1


def test_config_name_without_a_folder_says_what_to_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--config-name", "mlp"]) == 2
    assert "set HYDRA_CONFIG_PATH" in capsys.readouterr().err


def test_config_name_of_a_missing_file_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--config-name", "mpl", "--config-path", "blueprints"]) == 2
    assert "there is no such file; did you mean blueprints/mlp.yaml?" in capsys.readouterr().err


def test_the_seeds_module_shows_help_without_the_folder() -> None:
    done = python("-m", "hydrantic.cli.fit", "--help")
    assert done.returncode == 0
    assert "--config-name" in done.stdout
    assert done.stderr == ""


def test_the_seeds_module_fails_clearly_without_the_folder() -> None:
    done = python("-m", "hydrantic.cli.fit", "--config-name", "mlp")
    assert done.returncode == 2
    assert "set HYDRA_CONFIG_PATH" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_seeds_module_trains_with_the_seeds_overrides(here: Path) -> None:
    words = ["--config-name", "mlp", "optimizer.kwargs.lr=5e-4", "data.batch_size=64", "+vars.new_key=new_value"]
    done = python("-m", "hydrantic.cli.fit", *words, HYDRA_CONFIG_PATH="blueprints")
    assert done.returncode == 0, done.stderr
    [record] = records(here / "runs")
    text = (record.path.parent / "blueprint.yaml").read_text("utf-8")
    assert "lr: 0.0005" in text
    assert "new_key: new_value" in text

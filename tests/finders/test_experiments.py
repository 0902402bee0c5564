"""Experiments that a finder writes: where they lie, that they have their effect, and what is refused."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from hydrantic.checking import check
from hydrantic.errors import UsageError
from hydrantic.finders.batch_sizes import size_in
from hydrantic.finders.experiments import experiment, key_in
from hydrantic.finders.rates import rate_in
from hydrantic.project import Project
from tests.projects import DIGITS, write

pytestmark = pytest.mark.usefixtures("scratch")

NOWHERE = Project(None)


@pytest.fixture(autouse=True)
def blueprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A blueprint in the folder `blueprints` of the one in which a person stands."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "blueprints" / "a.yaml", DIGITS)
    return Path("blueprints/a.yaml")


def _rate(command: str) -> float:
    words = shlex.split(command)
    assert words[:2] == ["hydrantic", "fit"]
    return rate_in(check(words[2], words[3:], project=NOWHERE))


def test_a_name_alone_lies_in_the_folder_experiment(blueprint: Path) -> None:
    kept = experiment("lr", blueprint, []).keep("optimizer.lr", 0.02, rate_in, NOWHERE)
    assert kept.command == "hydrantic fit blueprints/a.yaml +experiment=lr"
    assert _rate(kept.command) == 0.02
    assert Path("blueprints/experiment/lr.yaml").read_text() == (
        "# @package _global_\n# Found for a.yaml\noptimizer:\n  lr: 0.02\n"
    )


def test_a_file_may_lie_in_any_folder_beside_the_blueprint(blueprint: Path) -> None:
    kept = experiment("blueprints/found/today/lr.yaml", blueprint, []).keep("optimizer.lr", 0.02, rate_in, NOWHERE)
    assert kept.command == "hydrantic fit blueprints/a.yaml +found/today=lr"
    assert _rate(kept.command) == 0.02


def test_what_else_was_said_is_said_again_but_for_the_value_itself(blueprint: Path) -> None:
    overrides = ["model=linear", "optimizer=sgd", "optimizer.lr=3.0"]
    kept = experiment("lr", blueprint, overrides).keep("optimizer.lr", 0.02, rate_in, NOWHERE)
    assert kept.command == "hydrantic fit blueprints/a.yaml +experiment=lr model=linear optimizer=sgd"
    assert _rate(kept.command) == 0.02


def test_an_experiment_that_was_chosen_already_comes_before(blueprint: Path) -> None:
    write(blueprint.parent / "experiment" / "deep.yaml", "# @package _global_\nmodel: {hidden_dims: [8, 8]}\n")
    kept = experiment("lr", blueprint, ["+experiment=deep"]).keep("optimizer.lr", 0.02, rate_in, NOWHERE)
    assert kept.command == "hydrantic fit blueprints/a.yaml '+experiment=[deep,lr]'"
    assert _rate(kept.command) == 0.02


@pytest.mark.parametrize(
    "optimizer",
    [
        "adamw",
        "{name: adamw, lr: 0.5}",
        "{module_name: torch.optim.Adam, kwargs: {lr: 0.5}}",
        "{name: sgd, momentum: 0.9}",
        "{module_name: torch.optim.Adam, kwargs: {}}",
    ],
)
def test_an_optimizer_may_be_written_in_any_form(blueprint: Path, optimizer: str) -> None:
    blueprint.write_text(f"{DIGITS}optimizer: {optimizer}\n")
    key = key_in(check(blueprint, project=NOWHERE), "optimizer.lr")
    kept = experiment("lr", blueprint, []).keep(key, 0.02, rate_in, NOWHERE)
    assert _rate(kept.command) == 0.02


def test_a_batch_size_is_kept_likewise(blueprint: Path) -> None:
    kept = experiment("size", blueprint, []).keep("data.batch_size", 512, size_in, NOWHERE)
    words = shlex.split(kept.command)
    assert size_in(check(words[2], words[3:], project=NOWHERE)) == 512


def test_signs_of_yaml_in_an_override_stay_in_the_comment(blueprint: Path) -> None:
    overrides = ["description='seed: {7 # '"]
    kept = experiment("lr", blueprint, overrides).keep("optimizer.lr", 0.02, rate_in, NOWHERE)
    assert _rate(kept.command) == 0.02


def test_an_experiment_without_effect_is_not_kept(blueprint: Path) -> None:
    with pytest.raises(UsageError, match=r"would have no effect and was not kept: something else sets optimizer\.lr"):
        experiment("lr", blueprint, []).keep("optimizer.lr", 0.02, lambda plan: 0.5, NOWHERE)
    assert not Path("blueprints/experiment").exists()


def test_nothing_is_overwritten(blueprint: Path) -> None:
    write(blueprint.parent / "experiment" / "lr.yaml", "mine: true\n")
    with pytest.raises(UsageError, match=r"blueprints/experiment/lr\.yaml is there already"):
        experiment("lr", blueprint, [])
    with pytest.raises(UsageError, match="is there already"):
        experiment("blueprints/experiment/lr.yaml", blueprint, [])


@pytest.mark.parametrize(
    "wanted",
    [
        "lr.yaml",
        "blueprints/lr.yaml",
        "elsewhere/lr.yaml",
        "blueprints/../experiment/lr.yaml",
        "blueprints/data/lr.yaml",
        "blueprints/experiment/lr.json",
        "blueprints/experiment/lr.yml",
    ],
)
def test_a_place_where_no_blueprint_finds_it_is_refused(blueprint: Path, wanted: str) -> None:
    with pytest.raises(UsageError, match=r"such as blueprints/experiment/a-found\.yaml"):
        experiment(wanted, blueprint, [])


@pytest.mark.parametrize("wanted", ["my lr", "blueprints/été/lr.yaml", "a,b", "x=1"])
def test_a_name_that_no_command_line_takes_is_refused(blueprint: Path, wanted: str) -> None:
    with pytest.raises(UsageError, match="is chosen by name: use letters"):
        experiment(wanted, blueprint, [])


def test_the_directory_of_a_run_stays_as_it_is(tmp_path: Path) -> None:
    write(tmp_path / "runs" / "a" / "run.json", "{}")
    for named in ("runs/a", "runs/a/blueprint.yaml", "runs/a/checkpoints/last.ckpt"):
        with pytest.raises(UsageError, match="a run's directory stays as it is"):
            experiment("lr", Path(named), [])

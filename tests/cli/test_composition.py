"""What a person asks of a blueprint: `fit BLUEPRINT --help`, `--cfg`, `--info`, and the folders of `--config-dir`."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from hydrantic.cli.main import main
from tests.cli.test_main import python
from tests.projects import write

pytestmark = pytest.mark.usefixtures("scratch")

BLUEPRINT = """\
defaults:
  - model: big
  - _self_
description: Digits, as in the seed
data: digits
loss: cross_entropy
scheduler: {name: cosine, T_max: "${trainer.max_epochs}"}
optimizer: {name: adamw, lr: 5e-5}
trainer: {max_epochs: 2}
loggers: {}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a blueprint and its groups, in which a person stands."""
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "mlp.yaml": BLUEPRINT,
        "model/big.yaml": "name: mlp\nhidden_dims: [32]\n",
        "model/deeper.yaml": "defaults: [big]\ndropout: 0.1\n",
        "experiment/good_run.yaml": "# @package _global_\ndefaults: [override /model: deeper]\nseed: 1\n",
        "experiment/cmnist/cnn.yaml": "# @package _global_\ndefaults: [override /model: cnn]\n",
        "hydra/launcher/slurm/kyiv.yaml": "defaults: [local]\n",
    }.items():
        write(tmp_path / "blueprints" / name, text)
    write(tmp_path / "shared" / "model" / "tiny.yaml", "name: mlp\nhidden_dims: [4]\n")
    return tmp_path


def asked(*words: str) -> int:
    return main(["fit", "blueprints/mlp.yaml", *words])


# --help


def test_help_of_a_blueprint_shows_the_groups_with_their_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("--help") == 0
    printed = capsys.readouterr().out
    groups = printed.partition("== Configuration groups ==")[2].partition("== Config ==")[0].splitlines()
    assert "experiment: good_run" in groups
    assert "experiment/cmnist: cnn" in groups
    assert "hydra/launcher/slurm: kyiv" in groups
    assert "model: big, cnn, deeper, linear, mlp, universal_function" in groups
    assert printed.startswith("usage: hydrantic fit blueprints/mlp.yaml [key=value ...] [options]\n\nmlp: Digits")
    assert "--runs DIR" in printed


def test_help_shows_the_config_with_the_overrides(capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("model=cnn", "model.kernel_size=5", "-h") == 0
    config = yaml.safe_load(capsys.readouterr().out.partition("What key=value sets\n")[2])
    assert config["model"]["kernel_size"] == 5
    assert "hidden_dims" not in config["model"]
    assert (config["scheduler"]["T_max"], config["seed"]) == (2, 42)


def test_help_shows_the_groups_of_a_blueprint_that_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("model=cnn", "model.hidden_dim=10", "--help") == 2
    told = capsys.readouterr()
    assert "experiment: good_run" in told.out
    assert "== Config ==" not in told.out
    assert "command line: model.hidden_dim=10: cnn has no field 'hidden_dim'; it has activation, channels" in told.err


def test_help_wraps_the_groups_to_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert asked("--help") == 0
    groups = capsys.readouterr().out.partition("== Configuration groups ==")[2].partition("== Config ==")[0]
    assert max(map(len, groups.splitlines())) <= 60


def test_help_of_a_sweep_shows_what_all_jobs_have(capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("-m", "model=cnn", "seed=1,2", "--help") == 0
    config = yaml.safe_load(capsys.readouterr().out.partition("What key=value sets\n")[2])
    assert (config["model"]["name"], config["seed"]) == ("cnn", 42)


def test_help_takes_signs_that_python_formats(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here / "50%(x)s.yaml", f"{BLUEPRINT.partition('description')[0]}description: '50% of %(prog)s'\n")
    assert main(["fit", "50%(x)s.yaml", "--help"]) == 2
    assert capsys.readouterr().out.startswith(
        "usage: hydrantic fit 50%(x)s.yaml [key=value ...] [options]\n\n50%(x)s\n"
    )
    assert asked("description='50% of %(prog)s'", "--help") == 0
    assert "\nmlp: 50% of %(prog)s\n" in capsys.readouterr().out


def test_help_of_a_missing_blueprint_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "nowhere/mpl.yaml", "--help"]) == 2
    assert "there is no such file" in capsys.readouterr().err


def test_help_without_a_blueprint_is_that_of_the_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert "usage: hydrantic fit BLUEPRINT [key=value ...] [options]" in printed
    assert "== Config" not in printed


def test_asking_imports_nothing_heavy(here: Path) -> None:
    code = (
        "import sys; from hydrantic.cli.main import main; "
        "main(['fit', 'blueprints/mlp.yaml', '--help']); main(['fit', 'blueprints/mlp.yaml', '--info']); "
        "heavy = {'torch', 'lightning', 'optuna', 'ray'} & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
    )
    assert asked("--cfg", "job") == 0  # the manifest is there
    done = python("-c", code)
    assert done.returncode == 0, done.stderr


# --cfg


def test_the_config_is_printed_as_it_is_composed(capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("--cfg", "job", "+experiment=good_run", "optimizer.lr=1e-3") == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["model"] == {"name": "mlp", "hidden_dims": [32], "dropout": 0.1}
    assert config["scheduler"]["T_max"] == "${trainer.max_epochs}"
    assert (config["seed"], config["optimizer"]["lr"]) == (1, 0.001)
    assert "hydra" not in config


@pytest.mark.parametrize(("which", "sections"), [("hydra", {"hydra"}), ("all", {"hydra", "model"}), ("job", {"model"})])
def test_the_config_of_hydra_stands_apart(capsys: pytest.CaptureFixture[str], which: str, sections: set[str]) -> None:
    assert asked("-c", which, "hydra/launcher=slurm/kyiv", "hydra.run.dir=out/${now:%Y}") == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert sections == {"hydra", "model"} & set(config)
    if "hydra" in config:
        assert config["hydra"] == {"launcher": {"name": "local"}, "run": {"dir": "out/${now:%Y}"}}


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (["-p", "optimizer"], "# @package optimizer\nname: adamw\nlr: 5.0e-05\n"),
        (["--package", "scheduler.T_max"], "# @package scheduler.T_max\n${trainer.max_epochs}\n"),
        (["--resolve", "-p", "scheduler.T_max"], "# @package scheduler.T_max\n2\n"),
        (["-p", "model.hidden_dims.0"], "# @package model.hidden_dims.0\n32\n"),
        (["-p", "model.hidden_dims"], "# @package model.hidden_dims\n[32]\n"), (["-p",
        "loggers"], "# @package loggers\n{}\n"),
    ],
)  # fmt: skip
def test_a_part_of_the_config_is_printed(capsys: pytest.CaptureFixture[str], words: list[str], printed: str) -> None:
    assert asked("--cfg", "job", *words) == 0
    assert capsys.readouterr().out == printed


def test_a_part_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("--cfg", "job", "-p", "model.nope") == 2
    assert "--package model.nope: the config has no 'nope' there" in capsys.readouterr().err


def test_a_resolved_config_keeps_secrets(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHO", "hush-hush")
    write(here / "pyproject.toml", '[tool.hydrantic]\nenv = ["WHO"]\n')
    assert asked("--cfg", "job", "--resolve", "description=${oc.env:WHO} ${seed}", "+seed=3") == 0
    assert yaml.safe_load(capsys.readouterr().out)["description"] == "${oc.env:WHO} 3"


def test_a_config_with_problems_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("--cfg", "job", "model=mpl") == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "did you mean 'mlp'?" in told.err


def test_help_of_a_blueprint_that_is_not_there_says_that_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "nowhere.yaml", "--help"]) == 2
    printed = capsys.readouterr()
    assert (printed.out, "nowhere.yaml: there is no such file" in printed.err) == ("", True)


# --info


def test_the_defaults_tree_says_which_option_is_from_which_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("--info", "defaults-tree", "+experiment=good_run", "optimizer=sgd") == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["Defaults", "tree"],
        ["mlp", "blueprints/mlp.yaml"],
        ["optimizer/sgd", "registered"],
        ["model/deeper", "blueprints/model/deeper.yaml"],
        ["model/big", "blueprints/model/big.yaml"],
        ["experiment/good_run", "blueprints/experiment/good_run.yaml"],
    ]


def test_the_defaults_list_is_in_merge_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("-i", "defaults") == 0
    title, head, *rows = capsys.readouterr().out.splitlines()
    assert (title, head.split()[:3]) == ("Defaults list", ["option", "package", "_self_"])
    assert [row.split()[0] for row in rows] == ["model/big", "mlp"]


def test_the_search_path_and_the_plugins_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("--info", "searchpath", "--config-dir", "shared") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["blueprint", "blueprints"] in rows
    assert ["hydra.searchpath", "shared"] in rows
    assert asked("--info", "plugins") == 0
    told = capsys.readouterr().out
    assert "Launchers\n" in told
    assert "  local" in told


def test_all_that_is_known_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("--info") == 0
    told = capsys.readouterr().out
    places = [told.index(part) for part in ("Launchers", "Search path", "Defaults tree", "Defaults list", "Config\n")]
    assert places == sorted(places)


@pytest.mark.parametrize("words", [["--info", "blueprints/mlp.yaml"], ["-i", "all", "blueprints/mlp.yaml", "seed=1"]])
def test_info_may_stand_before_the_blueprint(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *words]) == 0
    assert "Defaults tree" in capsys.readouterr().out


def test_what_info_cannot_tell_is_answered_with_what_it_can(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        asked("--info", "foo")
    printed = capsys.readouterr()
    assert (printed.out, "defaults-tree" in printed.err) == ("", True)


# --config-dir


@pytest.mark.parametrize("words", [["--config-dir", "shared"], ["-cd", "shared"], ["hydra.searchpath=[shared]"]])
def test_options_are_found_in_a_further_folder(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert asked("model=tiny", *words, "--cfg", "job", "-p", "model.hidden_dims") == 0
    assert capsys.readouterr().out.splitlines()[1] == "[4]"
    assert main(["check", "blueprints/mlp.yaml", "model=tiny", *words]) == 0


def test_a_further_folder_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("-cd", "nowhere") == 2
    assert capsys.readouterr().err == "--config-dir nowhere: there is no such folder\n"

"""`hydrantic completion`: the scripts, what they are answered, and the real shells with them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hydrantic.cli.completion import answer, main
from hydrantic.cli.main import VERBS
from hydrantic.cli.main import main as hydrantic
from hydrantic.completion.candidates import Candidate, Files
from hydrantic.manifest import current
from hydrantic.project import Project
from tests.projects import write
from tests.terminals import CHECKOUT, Terminal, command

BREAKS = " \t\n\"'><=;|&(:"
BLUEPRINT = "data: digits\nmodel: mlp\nloss: cross_entropy\nmetrics: {accuracy: , top3: {name: accuracy}}\n"


@pytest.fixture(autouse=True, scope="module")
def _known() -> None:
    current(Project(None))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with blueprints and other files, where the person stands."""
    write(tmp_path / "a.yaml", BLUEPRINT)
    write(tmp_path / "broken.yaml", "model: [1\n")
    write(tmp_path / "tables" / "plants.csv", "a,b\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_CONFIG_PATH", raising=False)
    return tmp_path


def texts(line: str) -> list[str]:
    """The words that complete the last one of a line, which is split at blanks."""
    found = answer(line.split(" "))
    assert not isinstance(found, Files)
    return [each.text for each in found]


def asked(capfdbinary: pytest.CaptureFixture[bytes], *words: str) -> list[str]:
    """What a script would read; nothing else may be printed."""
    assert hydrantic(["completion", "--answer", *words]) == 0
    printed = capfdbinary.readouterr()
    assert printed.err == b""
    return printed.out.decode().splitlines()


# What is printed.


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_says_where_it_belongs(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([shell]) == 0
    printed = capsys.readouterr().out
    assert f"hydrantic completion {shell}" in printed
    assert f"--answer {shell}" in printed


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["tcsh"])
    assert stop.value.code == 2
    assert "'bash', 'zsh', 'fish'" in capsys.readouterr().err


def test_every_shell_gets_the_form_that_it_reads(here: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert asked(capfdbinary, "bash", "hydrantic expl", BREAKS) == ["closed", "explain"]
    assert asked(capfdbinary, "zsh", "hydrantic", "expl") == ["words", "", f"explain\t{VERBS['explain']}"]
    assert asked(capfdbinary, "fish", "hydrantic", "expl") == [f"explain\t{VERBS['explain']}"]


def test_bash_replaces_what_stands_behind_the_equals_sign(
    here: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert asked(capfdbinary, "bash", "hydrantic fit a.yaml optimizer=lb", BREAKS) == ["closed", "lbfgs"]
    assert asked(capfdbinary, "bash", "hydrantic fit a.yaml optimizer=lb", " ") == ["closed", "optimizer=lbfgs"]
    assert asked(capfdbinary, "bash", "hydrantic fit a.yaml 'optimizer=lb", BREAKS) == ["closed", "optimizer=lbfgs"]
    assert asked(capfdbinary, "bash", "hydrantic fit a.yaml model.hid", BREAKS) == ["open", "model.hidden_dims="]


def test_zsh_is_told_what_precedes_a_value(here: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    found = asked(capfdbinary, "zsh", "hydrantic", "fit", "a.yaml", "data.standardize=t")
    assert found == ["words", "data.standardize=", "true"]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["bash"],
        ["tcsh", "hydrantic "],
        ["zsh"],
        ["fish", "hydrantic"],
        ["bash", "hydrantic nonsense x", BREAKS],
        ["bash", "hydrantic fit missing.yaml model=nonsense model.activation.x.", BREAKS],
        ["bash", "hydrantic fit broken.yaml =", BREAKS],
        ["bash", "hydrantic fit broken.yaml ..model.=x a..b=", BREAKS],
        ["bash", "hydrantic fit a.yaml model.activation=[ model.activation.", BREAKS],
        ["bash", "hydrantic fit a.yaml '", BREAKS],
        ["bash", "hydrantic fit a.yaml/x/y ", BREAKS],
        ["bash", "hydrantic fit --project /nowhere a.yaml mo", BREAKS],
        ["bash", "hydrantic fit --config-path /nowhere --config-name x", BREAKS],
        ["bash", "hydrantic explain", BREAKS],
        ["bash", "hydrantic --help ", BREAKS],
        ["bash", "hydrantic fit a\udcff.ya", BREAKS],
        ["bash", "hydrantic fit a.yaml metrics.accuracy.x=1 metrics.accuracy.", BREAKS],
        ["bash", "hydrantic fit ~nobody/", BREAKS],
    ],
)
def test_nothing_that_is_typed_makes_a_noise(
    words: list[str], here: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    asked(capfdbinary, *words)


def test_a_text_that_would_be_more_than_a_word_is_quoted_or_left_out(
    here: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    write(here / "a.yaml", '"vars": {"$(x)": 1, "two words": 1, "a\\nb": 1, "c\\e[2J": 1}\n')
    line = "hydrantic fit a.yaml vars."
    assert asked(capfdbinary, "bash", line, BREAKS) == ["open", r"vars.\$\(x\)=", r"vars.two\ words="]
    line = 'hydrantic fit a.yaml "vars.'
    assert asked(capfdbinary, "bash", line, BREAKS) == ["open", r"vars.\$(x)=", "vars.two words="]


@pytest.mark.parametrize("line", ["hydrantic ", "hydrantic fit ", "hydrantic fit a.yaml model=cnn model."])
def test_an_answer_waits_for_no_heavy_import(line: str, here: Path) -> None:
    code = (
        f"import sys\nsys.path.append({str(CHECKOUT)!r})\nfrom hydrantic.cli.main import main\n"
        f"main(['completion', '--answer', 'bash', {line!r}, {BREAKS!r}])\nprint(*sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    words = {name.partition(".")[0] for name in found.stdout.splitlines()[-1].split()}
    assert words & {"torch", "lightning", "pydantic", "hydra", "omegaconf", "numpy", "tqdm"} == set()


# What is offered.


def test_the_first_word_is_a_verb() -> None:
    found = answer(["hydrantic", ""])
    assert found == [Candidate(verb, meaning) for verb, meaning in VERBS.items()]
    assert texts("hydrantic --") == ["--help", "--version"]


def test_a_word_that_begins_with_a_dash_is_an_option_of_the_verb() -> None:
    assert texts("hydrantic fit --no") == ["--no-test"]
    assert texts("hydrantic fit a.yaml --no") == ["--no-test"]
    assert "--json" in texts("hydrantic check -")
    assert texts("hydrantic fit -c") == ["-cn", "-cp", "-cd", "-c"]
    assert answer(["hydrantic", "fit", "--", "--no"]) == Files(suffixes=(".yaml", ".yml"))


def test_an_option_that_takes_a_path_gets_one() -> None:
    assert answer(["hydrantic", "fit", "--runs", ""]) == Files(only_folders=True)
    assert answer(["hydrantic", "fit", "--runs=ru"]) == Files("--runs=", only_folders=True)
    assert answer(["hydrantic", "init", "--data", ""]) == Files(suffixes=(".csv", ".tsv", ".txt"))


@pytest.mark.parametrize("verb", ["fit", "check", "show", "explain"])
def test_a_blueprint_is_a_yaml_file(verb: str) -> None:
    assert answer(["hydrantic", verb, "blue"]) == Files(suffixes=(".yaml", ".yml"))
    assert answer(["hydrantic", verb, "--traceback", ""]) == Files(suffixes=(".yaml", ".yml"))


def test_overrides_follow_the_blueprint(here: Path) -> None:
    assert texts("hydrantic fit a.yaml mo") == ["model=", "model."]
    assert texts("hydrantic fit --no-test a.yaml --runs x model=cnn model.chan") == ["model.channels="]


def test_a_configured_blueprint_needs_no_word(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_CONFIG_PATH", str(here))
    assert texts("hydrantic fit --config-name ") == ["a", "broken"]
    assert texts("hydrantic fit -cn a metrics.t") == ["metrics.top3=", "metrics.top3."]
    monkeypatch.delenv("HYDRA_CONFIG_PATH")
    assert texts(f"hydrantic fit -cp {here} -cn a metrics.t") == ["metrics.top3=", "metrics.top3."]


def test_check_takes_further_blueprints(here: Path) -> None:
    assert texts("hydrantic check a.yaml mo") == ["model=", "model."]
    assert answer(["hydrantic", "check", "a.yaml", "brok"]) == Files(suffixes=(".yaml", ".yml"))


def test_explain_takes_a_key_and_then_overrides(here: Path) -> None:
    assert texts("hydrantic explain a.yaml model.a") == ["model.activation", "model.activation."]
    assert texts("hydrantic explain a.yaml model.dropout model.dro") == ["model.dropout="]


def test_list_and_describe_take_kinds_and_names(here: Path) -> None:
    assert texts("hydrantic list lo") == ["losses", "loggers"]
    assert texts("hydrantic list losses ") == []
    assert texts("hydrantic describe opt") == ["optimizer"]
    assert texts("hydrantic describe optimizer lb") == ["lbfgs"]
    assert texts("hydrantic describe optimizers torch.optim.LB") == ["torch.optim.LBFGS"]
    assert texts("hydrantic describe lbf") == ["lbfgs"]
    assert texts("hydrantic describe optimizer lbfgs ") == []


@pytest.mark.parametrize("verb", ["test", "validate", "predict"])
def test_a_run_is_a_path_and_overrides_of_its_blueprint_follow_it(here: Path, verb: str) -> None:
    write(here / "run" / "blueprint.yaml", BLUEPRINT)
    assert answer(["hydrantic", verb, "ru"]) == Files()
    assert texts(f"hydrantic {verb} run model.dr") == ["model.dropout="]
    assert texts(f"hydrantic {verb} elsewhere model.dr") == []


def test_init_takes_a_folder_and_completion_a_shell() -> None:
    assert answer(["hydrantic", "init", ""]) == Files(only_folders=True)
    assert texts("hydrantic completion ") == ["bash", "zsh", "fish"]


# The real shells.


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the command on the PATH, whose manifest is fresh."""
    root = tmp_path_factory.mktemp("demo")
    write(root / "blueprints" / "a.yaml", BLUEPRINT)
    write(root / "blueprints" / "notes.txt", "")
    write(root / "blueprints" / "model" / "big.yaml", "name: mlp\n")
    write(root / "Größere Entwürfe" / "im Test.yaml", BLUEPRINT)
    program = command(root / "bin")
    subprocess.run([program, "list", "models"], cwd=root, check=True, capture_output=True)
    return root


def terminal(shell: str, setup: str, root: Path) -> Terminal:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    path = f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return Terminal(shell, setup, root, {"PATH": path, "HOME": str(root)})


@pytest.fixture(scope="module")
def bash(demo: Path) -> Iterator[Terminal]:
    shell = terminal("bash", 'eval "$(hydrantic completion bash)"', demo)
    yield shell
    shell.close()


@pytest.fixture(scope="module")
def zsh(demo: Path) -> Iterator[Terminal]:
    (demo / "functions").mkdir()
    setup = """
        hydrantic completion zsh > functions/_hydrantic
        fpath=($PWD/functions $fpath); autoload -Uz compinit; compinit -u -D
        """
    shell = terminal("zsh", setup, demo)
    yield shell
    shell.close()


@pytest.fixture(scope="module")
def fish(demo: Path) -> Iterator[Terminal]:
    shell = terminal("fish", "hydrantic completion fish | source", demo)
    yield shell
    shell.close()


COMPLETED = {
    "hydrantic expl": "hydrantic explain ",
    "hydrantic fit blueprints/a": "hydrantic fit blueprints/a.yaml ",
    "hydrantic fit Gr": r"hydrantic fit Größere\ Entwürfe/",
    r"hydrantic fit Größere\ Entwürfe/i": r"hydrantic fit Größere\ Entwürfe/im\ Test.yaml ",
    "hydrantic fit 'Größere Entwürfe/i": "hydrantic fit 'Größere Entwürfe/im Test.yaml' ",
    r"hydrantic fit Größere\ Entwürfe/im\ Test.yaml model.hid": (
        r"hydrantic fit Größere\ Entwürfe/im\ Test.yaml model.hidden_dims="
    ),
    "hydrantic fit blueprints/a.yaml model.activation=leaky": (
        "hydrantic fit blueprints/a.yaml model.activation=leaky_relu "
    ),
    "true; hydrantic fit --runs=blue": "true; hydrantic fit --runs=blueprints/",
}


@pytest.mark.parametrize("line", COMPLETED)
def test_bash_completes(line: str, bash: Terminal) -> None:
    assert bash.complete(line) == COMPLETED[line]


@pytest.mark.parametrize("line", COMPLETED)
def test_zsh_completes(line: str, zsh: Terminal) -> None:
    assert zsh.complete(line) == COMPLETED[line]


@pytest.mark.parametrize("line", COMPLETED)
def test_fish_completes(line: str, fish: Terminal) -> None:
    assert fish.complete(line) == COMPLETED[line]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_lists_what_there_is_to_choose(shell: str, request: pytest.FixtureRequest) -> None:
    shown = request.getfixturevalue(shell).screen("hydrantic fit blueprints/a.yaml model=")
    for name in ("big", "cnn", "linear", "mlp"):
        assert name in shown.replace("model=", " ").split(), shown


def test_zsh_takes_the_script_without_its_completion_system_being_started(demo: Path) -> None:
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    script = subprocess.run(
        [demo / "bin" / "hydrantic", "completion", "zsh"], check=True, capture_output=True, text=True
    )
    code = f"{script.stdout}\nprint $_comps[hydrantic]"
    found = subprocess.run(
        ["zsh", "-f", "-c", code], env={**os.environ, "HOME": str(demo)}, capture_output=True, text=True, check=True
    )
    assert found.stdout == "_hydrantic\n"

"""The command `hydrantic`: verbs, help and exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import hydrantic
from hydrantic.cli.main import VERBS, guarded, main
from hydrantic.errors import Interrupted, RunFailed, UsageError
from hydrantic.texts import visible
from tests.projects import write

CHECKOUT = Path(__file__).parent.parent.parent


def python(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "HYDRA_CONFIG_PATH"}
    return subprocess.run(
        [sys.executable, *words],
        env=inherited | {"PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"} | environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_every_verb(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert all(f"  {verb} " in printed and meaning in printed for verb, meaning in VERBS.items())


@pytest.mark.parametrize("word", ["--version", "-V"])
def test_the_version_is_the_packages(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word]) == 0
    assert capsys.readouterr().out == f"hydrantic {hydrantic.__version__}\n"


def test_an_unknown_verb_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fitt", "a.yaml"]) == 2
    assert capsys.readouterr().err == "hydrantic: there is no 'fitt'; did you mean 'fit'? (hydrantic --help)\n"


def test_a_blueprint_without_a_verb_is_no_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["blueprints/mlp.yaml"]) == 2
    assert "there is no 'blueprints/mlp.yaml'" in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_that_fits_on_a_screen(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([verb, "--help"])
    printed = capsys.readouterr().out
    assert stop.value.code == 0
    assert len(printed.splitlines()) <= 40
    assert max(map(len, printed.splitlines())) <= 120
    assert printed.startswith(f"usage: hydrantic {verb}")


@pytest.mark.parametrize(
    ("error", "code"),
    [(RunFailed("it broke"), 1), (UsageError("wrong words"), 2), (Interrupted(2), 130), (Interrupted(15), 143),
     (KeyboardInterrupt(), 130), (BrokenPipeError(), 0)],
)  # fmt: skip
def test_an_exception_becomes_an_exit_code(error: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    def command(_: Sequence[str]) -> int:
        raise error

    assert guarded(command, []) == code
    assert "Traceback" not in capsys.readouterr().err


def test_an_interrupt_that_a_library_makes_something_else_of_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    def command(_: Sequence[str]) -> int:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise RecursionError("an import that was met half-way") from None
        return 0

    assert guarded(command, []) == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_mistake_of_ours_is_not_hidden() -> None:
    def command(_: Sequence[str]) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        guarded(command, [])


def test_traceback_shows_where_an_error_arose(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "missing.yaml", "--traceback"]) == 2
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert "there is no such file" in printed


def test_python_m_hydrantic_is_the_command() -> None:
    done = python("-m", "hydrantic", "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("hydrantic trains PyTorch models")
    assert done.stderr == ""


def test_the_exit_code_reaches_the_shell(tmp_path: Path) -> None:
    done = python("-m", "hydrantic", "fit", str(tmp_path / "missing.yaml"))
    assert done.returncode == 2
    assert "there is no such file" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("words", [["--help"], ["check", "--help"], ["completion", "zsh"]])
def test_a_full_disk_is_said_and_a_reader_that_has_gone_is_not(words: list[str]) -> None:
    code = "import sys; from hydrantic.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *words]
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": ""}
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, "[Errno 28] No space left on device\n")
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as gone:
        ended = subprocess.run(command, env=environment, stdout=gone, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_terminal_without_the_letters_gets_escapes(tmp_path: Path) -> None:
    (tmp_path / "ü.yaml").write_text('data: digits\nmodel: "m\\e[31mö"\nloss: cross_entropy\n', encoding="utf-8")
    ended = python("-m", "hydrantic", "check", str(tmp_path / "ü.yaml"), PYTHONIOENCODING="ascii")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert r"\xfc.yaml" in ended.stderr
    assert r"no model is called 'm\x1b[31m\xf6'" in ended.stderr


HOSTILE = r"""
from torch import nn
from hydrantic import register_model

@register_model("evil\x1b[31m", aliases=["\x07"])
class Evil(nn.Linear):
    "A line\x1b[2J\r and \x9b31m more."
"""


@pytest.mark.usefixtures("scratch")
def test_nothing_that_others_wrote_steers_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "registry" / "evil.py", HOSTILE)
    good = 'data: digits\nmodel: mlp\nloss: cross_entropy\nvars: {"a\\e[1m": "\\e[2J"}\ndescription: "\\x9b1m"\n'
    write(tmp_path / "good.yaml", good)
    write(
        tmp_path / "bad\x1b[31m.yaml", good.replace("mlp", '{name: mlp, "x\\e[1m": 1, dropout: "\\e[2J\\n1 problem"}')
    )
    for words in (
        ["list"], ["list", "--json"], ["describe", "evil\x1b[31m"], ["describe", "\x1b"], ["check", "good.yaml"],
        ["check", "bad\x1b[31m.yaml"], ["check", "bad\x1b[31m.yaml", "--json"], ["show", "good.yaml", "--origins"],
        ["show", "good.yaml", "--json"], ["explain", "good.yaml", "vars"], ["explain", "bad\x1b[31m.yaml", "model"],
        ["explain", "good.yaml", "\x1b"], ["check", "no\x1b[31m.yaml"],
    ):  # fmt: skip
        main(words)
        printed = "".join(capsys.readouterr())
        assert printed == visible(printed)
        assert "\n1 problem\n" not in printed

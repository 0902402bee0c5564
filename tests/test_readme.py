"""Every command and code block of the README does what the README says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
ENVIRONMENTS = "python3 -m venv"  # .ci/run executes these two lines literally, in new environments


@dataclass(frozen=True)
class Block:
    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The file that a block shows, named by its first line, or by the one after Hydra's header."""
        named = re.match(r"(?:# @package \S+\n)?# ((?:registry|blueprints)/\S+)\n", self.text)
        return named[1] if named else None


def blocks() -> list[Block]:
    return [Block(*found) for found in re.findall(r"```(\w+)\n(.*?)```", README.read_text("utf-8"), re.DOTALL)]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that holds the files which the README shows."""
    folder = tmp_path_factory.mktemp("a reader's project")
    for block in blocks():
        if block.file is not None:
            file = folder / block.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, "utf-8")
    return folder


def run(line: str, project: Path) -> subprocess.CompletedProcess[str]:
    words = re.sub(r"\bpython -m hydrantic", f"{sys.executable} -m hydrantic", line)
    words = re.sub(r"^hydrantic", f"{sys.executable} -m hydrantic", words)
    environment = os.environ | {
        "PYTHONPATH": str(README.parent), "WANDB_MODE": "offline", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip
    return subprocess.run(
        words, shell=True, cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=300
    )


def commands(block: Block) -> list[str]:
    return [line for line in block.text.splitlines() if line.strip() and ENVIRONMENTS not in line]


BASH = [block for block in blocks() if block.language == "bash" and commands(block)]
COMMANDS = [line for block in BASH for line in commands(block)]


def prepare(line: str, project: Path) -> None:
    """Make what a command of the README finds there from earlier ones; the tests may be shared out."""
    if line.startswith("hydrantic sweep") and not list(project.glob("runs/*/sweep-*")):
        run(next(each for each in COMMANDS if " -m " in each), project)
    if " runs/first" in line and not (project / "runs" / "first").is_dir():
        run("hydrantic fit blueprints/first.yaml", project)


@pytest.mark.parametrize("block", BASH, ids=lambda block: commands(block)[0])
def test_the_commands_of_the_readme_end_as_it_says(block: Block, project: Path) -> None:
    for line in commands(block):
        wanted = int(found[1]) if (found := re.search(r"# exit code (\d)", line)) else 0
        prepare(line, project)
        done = run(line, project)
        assert done.returncode == wanted, f"{line}\n{done.stderr}"
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "beginning"),
    [
        ("hydrantic check blueprints/mistaken.yaml", "4 problems in"),
        ("hydrantic check --deep blueprints/first.yaml", "blueprints/first.yaml: no problems"),
        ("hydrantic explain", "scheduler.T_max: 5"),
    ],
)
def test_what_the_readme_shows_is_what_the_command_prints(command: str, beginning: str, project: Path) -> None:
    shown = next(block.text for block in blocks() if block.text.startswith(beginning))
    done = run(next(line for line in COMMANDS if line.startswith(command)), project)
    assert done.stdout + done.stderr == shown


def test_the_python_of_the_readme_runs(project: Path) -> None:
    python = [block.text for block in blocks() if block.language == "python" and block.file is None]
    assert python
    script = project / "from_python.py"
    script.write_text("\n".join(python), "utf-8")
    prepare("hydrantic.load runs/first", project)
    done = run(f"{sys.executable} from_python.py", project)
    assert done.returncode == 0, done.stderr


def test_every_block_of_the_readme_is_run_or_is_shown_output() -> None:
    kinds = {block.language for block in blocks()}
    assert kinds == {"bash", "yaml", "python", "text", "console"}
    assert all(block.file for block in blocks() if block.language == "yaml")


def test_the_readme_has_the_two_commands_that_ci_runs() -> None:
    lines = [line for line in README.read_text("utf-8").splitlines() if line.startswith(ENVIRONMENTS)]
    assert [("hydrantic fit" in line, "pytest" in line) for line in lines] == [(True, False), (False, True)]

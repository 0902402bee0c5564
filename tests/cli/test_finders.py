"""`hydrantic lr-find`, `batch-size-find` and `profile`: what they print, write and refuse, and how they end."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from hydrantic.cli.main import main
from hydrantic.finders import pace
from tests.finders.shelf import shelf
from tests.projects import DIGITS, write

pytestmark = pytest.mark.usefixtures("scratch")

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which a person stands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pace, "_SECONDS", 0.0)
    shelf(tmp_path)
    write(tmp_path / "blueprints" / "a.yaml", DIGITS)
    return tmp_path


def _json(capsys: Captured, *words: str) -> dict[str, object]:
    assert main([*words, "--json"]) == 0
    printed = capsys.readouterr()
    found: dict[str, object] = json.loads(printed.out)
    return found


def test_a_rate_is_found_kept_and_fitted_with(here: Path, capsys: Captured) -> None:
    found = _json(capsys, "lr-find", "blueprints/a.yaml", "--steps", "60", "-o", "lr", "model.hidden_dims=[32]")
    command = str(found["command"])
    assert command == "hydrantic fit blueprints/a.yaml +experiment=lr 'model.hidden_dims=[32]'"
    assert found["file"] == str(here / "blueprints" / "experiment" / "lr.yaml")
    assert main(shlex.split(command)[1:]) == 0
    (resolved,) = here.glob("runs/*/*/blueprint.yaml")
    assert f"lr: {found['suggestion']}" in resolved.read_text()
    assert main(["lr-find", "blueprints/a.yaml", "-o", "lr"]) == 2
    assert "is there already" in capsys.readouterr().err


def test_a_rate_is_told_with_its_curve(here: Path, capsys: Captured) -> None:
    assert main(["lr-find", "blueprints/a.yaml", "--steps", "60", "--picture", "lr.png"]) == 0
    printed = capsys.readouterr()
    assert "<- suggested" in printed.out
    assert "use it: hydrantic fit blueprints/a.yaml optimizer.lr=" in printed.out
    assert (here / "lr.png").exists()
    assert {each.name for each in here.iterdir()} <= {"blueprints", "registry", "lr.png", ".hydrantic"}


def test_the_seeds_form_of_an_optimizer_is_spelt_its_way(here: Path, capsys: Captured) -> None:
    write(here / "blueprints" / "b.yaml", DIGITS + "optimizer: {module_name: torch.optim.Adam, kwargs: {lr: 0.5}}\n")
    assert main(["lr-find", "blueprints/b.yaml", "--steps", "60"]) == 0
    assert " optimizer.kwargs.lr=" in capsys.readouterr().out
    assert main(["lr-find", "blueprints/b.yaml", "--steps", "60", "-o", "lr"]) == 0
    assert "use it:  hydrantic fit blueprints/b.yaml +experiment=lr" in capsys.readouterr().out


def test_where_no_rate_helps_nothing_is_written(here: Path, capsys: Captured) -> None:
    words = ["lr-find", "blueprints/a.yaml", "--min", "1e-12", "--max", "1e-10", "--steps", "20", "-o", "lr"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "no learning rate suggested" in printed
    assert "use it" not in printed
    assert not (here / "blueprints" / "experiment").exists()


def test_batch_sizes_are_told_and_kept(capsys: Captured) -> None:
    assert main(["batch-size-find", "blueprints/a.yaml", "--max", "16", "-o", "size"]) == 0
    printed = capsys.readouterr().out
    assert "batch size  samples/s" in printed
    assert "use it:  hydrantic fit blueprints/a.yaml +experiment=size" in printed
    found = _json(capsys, "batch-size-find", "blueprints/a.yaml", "--max", "16")
    assert found["largest"] == 16
    assert found["file"] is found["command"] is None


def test_a_profile_is_told(here: Path, capsys: Captured) -> None:
    assert main(["profile", "blueprints/a.yaml", "--steps", "6", "-o", "trace.json"]) == 0
    printed = capsys.readouterr()
    assert "ms a step" in printed.out
    assert printed.out.endswith("trace: trace.json\n")
    assert (here / "trace.json").exists()
    assert _json(capsys, "profile", "blueprints/a.yaml", "--steps", "6")["steps"] == 6


def test_what_components_print_stays_out_of_the_record(capsys: Captured) -> None:
    assert _json(capsys, "profile", "blueprints/a.yaml", "--steps", "6", "+callbacks.loud=loud")


@pytest.mark.parametrize("verb", ["lr-find", "batch-size-find", "profile"])
@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["blueprints/a.yaml", "model.hiden=3"], 2, "mlp has no field 'hiden'; did you mean 'hidden_dims'?"),
        (["blueprints/a.yaml", "model.in_features=63"], 2, "in_features"),
        (["blueprints/a.yaml", "model=broken"], 1, "training failed: KeyError: 'this model has a fault'"),
        (["missing.yaml"], 2, "there is no such file"),
        (["."], 2, "is not the directory of a run"),
        ([], 2, "which blueprint?"),
    ],
)
def test_what_is_wrong_is_told_as_fit_tells_it(
    verb: str, words: list[str], code: int, says: str, capsys: Captured
) -> None:
    assert main([verb, *words]) == code
    printed = capsys.readouterr()
    assert says in printed.err
    assert "Traceback" not in printed.err
    assert printed.out == ""


@pytest.mark.parametrize("verb", ["lr-find", "batch-size-find", "profile"])
def test_an_interrupt_ends_with_130(verb: str, capfd: pytest.CaptureFixture[str]) -> None:
    write(Path("registry") / "stopping.py", _STOPPING)
    assert main([verb, "blueprints/a.yaml", "model=stopping"]) == 130
    assert "interrupted; nothing is left behind" in capfd.readouterr().err


_STOPPING = """
    import signal

    from hydrantic import register_model
    from torch import nn

    @register_model("stopping")
    class Stopping(nn.Module):
        def __init__(self, out_features: int) -> None:
            super().__init__()
            self.layer = nn.Linear(64, out_features)

        def forward(self, inputs):
            signal.raise_signal(signal.SIGINT)
            return self.layer(inputs.flatten(1))
"""


def test_a_run_stands_for_its_blueprint(here: Path, capsys: Captured) -> None:
    assert main(["fit", "blueprints/a.yaml"]) == 0
    (run,) = here.glob("runs/*/*")
    capsys.readouterr()
    assert main(["lr-find", str(run.relative_to(here)), "--steps", "60"]) == 0
    assert f"hydrantic fit {run.relative_to(here)}/blueprint.yaml optimizer.lr=" in capsys.readouterr().out
    assert main(["lr-find", str(run), "-o", "lr"]) == 2
    assert "a run's directory stays as it is" in capsys.readouterr().err

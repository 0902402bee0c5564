"""`hydrantic describe`: one component in full."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from hydrantic.cli.main import main
from hydrantic.registries import KINDS, registry
from tests.projects import project, write

pytestmark = pytest.mark.usefixtures("scratch")

SHELF = '''
    """Losses."""

    from typing import Literal

    from hydrantic import Hparam, Hparams, LayerSlot, named, register_loss
    from torch import nn

    class FocalHparams(Hparams):
        """The hyperparameters of the focal loss."""

        gamma: float = Hparam(default=2.0, ge=0)
        """How much less the easy samples count."""
        classes: tuple[int, ...]
        """Which classes count."""
        mode: Literal["soft", "hard"] = "soft"
        activation: LayerSlot = named("sigmoid")
        """What comes first."""

    @register_loss("focal", aliases=["retina"])
    class Focal(nn.Module):
        """The focal loss.

        It is from a paper.

        Arguments:
            hparams: all of them.
        """

        def __init__(self, hparams: FocalHparams) -> None:
            super().__init__()
    '''


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a loss of its own; one for all, since describing a new shelf takes a second."""
    folder = tmp_path_factory.mktemp("project")
    project(folder, losses=SHELF)
    return folder


@pytest.fixture(autouse=True)
def here(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project, in which a person stands."""
    monkeypatch.chdir(home)
    monkeypatch.setenv("COLUMNS", "100")
    return home


def test_a_component_is_described_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "loss", "focal"]) == 0
    assert capsys.readouterr().out == (
        "loss focal, also retina\n"
        "registry/losses.py:20 (project)\n"
        "\n"
        "The focal loss.\n"
        "\n"
        "It is from a paper.\n"
        "\n"
        "  gamma: number, at least 0 = 2.0\n"
        "      How much less the easy samples count.\n"
        "  classes: list of integers (required)\n"
        "      Which classes count.\n"
        "  mode: soft | hard = soft\n"
        "  activation: layer (a name, or a block with its fields) = sigmoid\n"
        "      What comes first.\n"
        "\n"
        "loss:\n"
        "  name: focal\n"
        "  classes: ???  # required\n"
        "  gamma: 2.0\n"
        "  mode: soft\n"
        "  activation: sigmoid\n"
    )


def test_the_block_can_be_pasted_into_a_blueprint(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["describe", "loss", "focal", "--json"])
    block = json.loads(capsys.readouterr().out)["block"]
    write(here / "a.yaml", "data: digits\nmodel: mlp\n")
    with (here / "a.yaml").open("a") as file:
        file.write(block)
    assert main(["check", "a.yaml"]) == 2
    assert "loss.classes: must be given" in capsys.readouterr().err
    assert main(["check", "a.yaml", "loss.classes=[1,2]"]) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_every_stock_component_has_a_block_that_is_sound(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name in registry(kind).names():
        assert main(["describe", kind, name, "--json"]) == 0
        record = json.loads(capsys.readouterr().out)
        assert isinstance(yaml.safe_load(record["block"]), dict)
        assert record["broken"] is None
        assert all("words" in field for field in record["fields"].values())


def test_a_labelled_component_is_shown_below_its_label(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "metric", "r2"]) == 0
    assert "\nmetrics:\n  r2:" in capsys.readouterr().out


def test_a_name_that_one_kind_has_needs_no_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "retina"]) == 0
    assert capsys.readouterr().out.startswith("loss focal, also retina\n")


@pytest.mark.parametrize("name", ["adamw", "torch.optim.AdamW"])
def test_a_torch_class_is_described_by_its_name_or_path(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "optimizers", name]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("optimizer adamw, also torch.optim.AdamW\n")
    assert "\n  lr: number, greater than 0 = 0.001\n" in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["loss", "focl"], "no loss is called 'focl'; did you mean 'focal'?"),
        (["lossy", "focal"], "no kind is called 'lossy'; did you mean 'loss'?"),
        (["csv"], "'csv' is the name of several: hydrantic describe data csv or hydrantic describe logger csv"),
        (["model"], "which one? hydrantic list model names them: hydrantic describe model NAME"),
        (["focl"], "no component is called 'focl'; did you mean 'focal'?"),
        (["loss", "focal", "mse"], "one component at a time"),
    ],
)
def test_wrong_words_are_explained(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", *words]) == 2
    assert message in capsys.readouterr().err


def test_what_cannot_be_imported_is_described_by_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project(tmp_path, losses=f"    import nothing_of_this_name{SHELF}")
    monkeypatch.chdir(tmp_path)
    assert main(["describe", "loss", "focal"]) == 0
    assert "cannot be imported: the loss 'focal' of" in capsys.readouterr().out

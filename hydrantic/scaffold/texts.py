"""The texts of a new project; they are the one place of the framework that names stock components."""

from __future__ import annotations

from typing import Final

EXAMPLE: Final = "digits"
"""Stem of the example's blueprint."""

TABLE_DATA: Final = "csv"
"""The component that reads a table."""

SCHEMA_LINE: Final = "# yaml-language-server: $schema=../.hydrantic/blueprint.schema.json\n"
"""The first line of every blueprint, by which an editor completes it."""

IGNORED: Final = ("runs/", "wandb/", ".hydrantic/")
"""What a project writes and does not keep under version control."""

GITIGNORE: Final = "\n".join([*IGNORED, "__pycache__/", ".pytest_cache/", ""])

PYPROJECT: Final = """\
[tool.hydrantic]
# The environment variables that a blueprint may read, as in ${oc.env:NAME}.
env = []

[tool.pytest.ini_options]
testpaths = ["tests"]
addopts = ["--import-mode=importlib"]
"""

RESIDUAL: Final = '''\
"""Models of this project: what is registered here has a name in the blueprints."""

from hydrantic import AUTO, Auto, Hparam, Hparams, LayerSlot, named, register_model
from torch import Tensor, nn


class ResidualHparams(Hparams):
    """Hyperparameters of a residual network; each is a key below `model:`.

    A field has a type, a default, a range and a meaning: a blueprint that breaks one
    of them is refused before anything runs.
    """

    in_features: Auto[int] = AUTO
    """Number of values in one input; `auto`, because the data supplies it."""
    out_features: Auto[int] = AUTO
    """Number of values to put out; the data supplies it, too."""
    width: int = Hparam(64, ge=1)
    """Number of values between the layers."""
    blocks: int = Hparam(2, ge=0)
    """Number of residual blocks."""
    activation: LayerSlot = named("relu")
    """Function within a block: any registered layer, also with fields of its own."""
    dropout: float = Hparam(0.0, ge=0, lt=1)
    """Probability with which a block's values are set to 0 in training."""


@register_model("residual")
class Residual(nn.Module):
    """A network whose blocks each add a correction to their input.

    It only computes outputs. The blueprint's loss, metrics and optimizer do the rest.

    Source: K. He et al., Deep Residual Learning for Image Recognition, 2016, eq. 1.

    Arguments:
        hparams: sizes, activation and regularisation, already validated.
    """

    def __init__(self, hparams: ResidualHparams) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Flatten(), nn.Linear(hparams.in_features, hparams.width)
        )
        self.blocks = nn.ModuleList(_block(hparams) for _ in range(hparams.blocks))
        self.last = nn.Linear(hparams.width, hparams.out_features)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs `(batch, ...)` to outputs `(batch, out_features)`."""
        values = self.first(inputs)
        for block in self.blocks:
            values = values + block(values)
        return self.last(values)


def _block(hparams: ResidualHparams) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(hparams.width),
        nn.Linear(hparams.width, hparams.width),
        hparams.activation.build(),
        nn.Dropout(hparams.dropout),
        nn.Linear(hparams.width, hparams.width),
    )
'''

IN_UNITS_MODEL: Final = "in_units"
"""Name of the model that `IN_UNITS` registers."""

IN_UNITS: Final = '''\
"""A model that predicts numbers in their own unit, whatever their size."""

from hydrantic import Hparam, Hparams, ModelSlot, named, register_model
from torch import Tensor, nn


class InUnitsHparams(Hparams):
    """Hyperparameters; each is a key below `model:` in a blueprint."""

    network: ModelSlot = named("mlp")
    """The network that learns: any registered model, with fields of its own."""
    mean: float = 0.0
    """What is predicted where the network puts out 0, in the target's unit."""
    std: float = Hparam(1.0, gt=0)
    """By how much a step of 1 in the network's output changes it."""


@register_model("in_units")
class InUnits(nn.Module):
    """Shifts and scales the outputs of a network.

    Networks learn numbers of about 1 best. With the mean and the standard deviation of
    the target, such a network predicts prices in euros or lengths in millimetres.

    Arguments:
        hparams: the network, and the target's mean and standard deviation.
    """

    def __init__(self, hparams: InUnitsHparams) -> None:
        super().__init__()
        self.network = hparams.network.build()
        self.mean = hparams.mean
        self.std = hparams.std

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs `(batch, ...)` to numbers `(batch, values)`."""
        return self.mean + self.std * self.network(inputs)
'''

DIGITS: Final = (
    SCHEMA_LINE
    + """\
# A model of this project reads handwritten digits. Try it, then change it:
#   hydrantic fit blueprints/digits.yaml model.width=32 trainer.max_epochs=5
description: A residual network on the UCI digits
seed: 42                          # the same blueprint and seed give the same numbers

data:
  name: digits                    # ships with hydrantic
  batch_size: 64
  split: [0.8, 0.1, 0.1]          # training, validation, test

model:
  name: residual                  # registered in registry/residual.py
  width: 64                       # in_features and out_features follow from the data
  blocks: 2
  activation: gelu
  dropout: 0.1

loss: cross_entropy
metrics:                          # computed once per epoch, for training, validation and test
  accuracy:
  top3: {name: accuracy, top_k: 3}

optimizer: {name: adamw, lr: 3e-3, weight_decay: 0.01}
scheduler:
  name: cosine                    # the learning rate falls to 0 at the end
  T_max: ${trainer.max_epochs}
trainer: {max_epochs: 15}
"""
)

TESTS: Final = '''\
"""Every blueprint of this project is checked, and trained for one epoch."""

from pathlib import Path

import hydrantic
import pytest

PROJECT = Path(__file__).parent.parent
BLUEPRINTS = sorted((PROJECT / "blueprints").glob("*.yaml"))

each_blueprint = pytest.mark.parametrize(
    "blueprint", BLUEPRINTS, ids=lambda blueprint: blueprint.stem
)


@each_blueprint
def test_a_blueprint_has_no_problems(blueprint, monkeypatch):
    monkeypatch.chdir(PROJECT)
    hydrantic.check(blueprint)  # raises a BlueprintError that lists all problems


@each_blueprint
def test_a_blueprint_trains(blueprint, tmp_path):
    once = ["trainer.max_epochs=1", "loggers={}"]
    run = hydrantic.fit(blueprint, once, project=PROJECT, runs=tmp_path)
    assert (run.path / "metrics.csv").is_file()
'''

README: Final = """\
# {title}

Models that hydrantic trains: `blueprints/` says what is trained and on what, `registry/` holds this project's own
components, `tests/` checks and trains every blueprint.

```bash
{commands}
```

Any value can be set on the command line: `hydrantic fit {blueprint} optimizer.lr=1e-3 trainer.max_epochs=5`.
`hydrantic --help` shows what else there is.
"""

"""Importing Lightning quickly, and everything that was put off still working afterwards.

Each script runs in a process of its own and says what it saw; the tests read that.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent

START = """
import gc, inspect, json, sys, unittest, warnings
from importlib.util import find_spec

warnings.filterwarnings("ignore")
seen = {}
def loaded(): return [n for n in ("scipy", "scipy.signal", "sympy", "torch._dynamo.eval_frame") if n in sys.modules]

from hydrantic.imports import import_lightning
import_lightning()
seen["lightning"] = [name for name in ("torch", "lightning.pytorch", "torchmetrics") if name in sys.modules]
seen["after import"] = loaded()
seen["collects"] = gc.isenabled()
modules, path = len(sys.modules), list(sys.meta_path)
import_lightning()
seen["second call"] = len(sys.modules) - modules, sys.meta_path == path

import torch
from torch import nn
weight = nn.Parameter(torch.ones(3))
for kind in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW):
    optimizer = kind([weight], lr=0.1)
    (weight ** 2).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
seen["weight"] = weight.tolist()
seen["is compiled"] = isinstance(nn.ReLU(), torch._dynamo.OptimizedModule)
import lightning.pytorch as pl
class Tiny(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)
    def training_step(self, batch, index): return self.layer(batch).square().mean()
    def configure_optimizers(self): return torch.optim.Adam(self.parameters())
quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
pl.Trainer(max_epochs=1, accelerator="cpu", **quiet).fit(Tiny(), torch.utils.data.DataLoader(torch.ones(4, 1)))
from torchmetrics.classification import MulticlassAccuracy
MulticlassAccuracy(num_classes=2)(torch.tensor([0, 1]), torch.tensor([0, 1]))
inspect.getmodule(Tiny)
seen["found"] = find_spec("torch._dynamo") is not None
class Case(unittest.TestCase):
    def runTest(self):
        with self.assertWarns(UserWarning): warnings.warn("look at every module")
Case().debug()
seen["after a training"] = loaded()
"""

AFTERWARDS = """
import scipy.signal
seen["scipy"] = scipy.signal.find_peaks([0, 2, 0])[0].tolist(), "scipy" in scipy.__file__
from torch._dynamo.eval_frame import OptimizedModule
seen["one class"] = OptimizedModule is torch._dynamo.OptimizedModule
model = nn.Linear(2, 2)
compiled = torch.compile(model, backend="eager")
seen["compiled"] = type(compiled).__name__, isinstance(compiled, torch._dynamo.OptimizedModule)
seen["same output"] = torch.equal(compiled(torch.ones(1, 2)), model(torch.ones(1, 2)))
seen["not compiled"] = isinstance(model, torch._dynamo.OptimizedModule)
real = sys.modules["torch._dynamo"]
seen["real"] = real.__file__ is not None and real is torch._dynamo
(weight ** 2).sum().backward()
optimizer.step()
@torch._dynamo.disable
def plain(value): return value + 1
seen["disabled"] = plain(1)
torch._dynamo.reset()
"""

COMPILE_FIRST = """
import sys, torch
import torch._dynamo
from hydrantic.imports import import_lightning
import_lightning()
seen = {"real": sys.modules["torch._dynamo"].__file__ is not None}
"""

SCIPY_FIRST = """
import gc, sys
import scipy.signal
gc.disable()
from hydrantic.imports import import_lightning
import_lightning()
seen = {"scipy": sys.modules["scipy.signal"] is scipy.signal, "collects": gc.isenabled()}
"""


def _seen(script: str) -> dict[str, Any]:
    script += "\nimport json\nprint(json.dumps(seen))"
    found = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    seen: dict[str, Any] = json.loads(found.stdout.splitlines()[-1])
    return seen


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    return _seen(START + AFTERWARDS)


def test_torch_lightning_and_torchmetrics_are_imported(seen: dict[str, Any]) -> None:
    assert seen["lightning"] == ["torch", "lightning.pytorch", "torchmetrics"]


def test_neither_scipy_nor_the_compiler_is_imported_with_them(seen: dict[str, Any]) -> None:
    assert seen["after import"] == []


def test_a_training_needs_neither(seen: dict[str, Any]) -> None:
    assert seen["after a training"] == []


def test_the_collector_runs_again_afterwards(seen: dict[str, Any]) -> None:
    assert seen["collects"] is True


def test_a_second_call_changes_nothing(seen: dict[str, Any]) -> None:
    assert seen["second call"] == [0, True]


def test_optimizers_step_without_the_compiler(seen: dict[str, Any]) -> None:
    assert all(value < 1 for value in seen["weight"])


def test_nothing_is_compiled_before_the_compiler_is_there(seen: dict[str, Any]) -> None:
    assert seen["is compiled"] is False


def test_the_compiler_can_be_looked_for_without_being_imported(seen: dict[str, Any]) -> None:
    assert seen["found"] is True


def test_scipy_works_when_it_is_used(seen: dict[str, Any]) -> None:
    assert seen["scipy"] == [[1], True]


def test_models_can_be_compiled(seen: dict[str, Any]) -> None:
    assert seen["compiled"] == ["OptimizedModule", True]
    assert seen["same output"] is True
    assert seen["not compiled"] is False


def test_parts_of_the_compiler_can_be_imported(seen: dict[str, Any]) -> None:
    assert seen["one class"] is True


def test_the_stand_in_gives_way_to_the_real_compiler(seen: dict[str, Any]) -> None:
    assert seen["real"] is True
    assert seen["disabled"] == 2


def test_a_compiler_that_is_there_already_is_left_alone() -> None:
    assert _seen(COMPILE_FIRST)["real"] is True


def test_scipy_that_is_there_already_and_a_stopped_collector_are_left_alone() -> None:
    assert _seen(SCIPY_FIRST) == {"scipy": True, "collects": False}

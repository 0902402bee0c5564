"""The lazy table of stock components in pyproject.toml."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import lightning.pytorch.callbacks
import pytest
import torch

from hydrantic.components import choose, hparams_of
from hydrantic.registries import KINDS, REGISTRIES, entry_points

ROOT = Path(__file__).resolve().parents[2]
STOCK = [(kind, point.name) for kind, plural in KINDS.items() for point in entry_points(plural)]
OURS = [
    (kind, point.name)
    for kind, plural in KINDS.items()
    for point in entry_points(plural)
    if point.value.startswith("hydrantic.")
]


def objects(plural: str) -> set[object]:
    return {point.load() for point in entry_points(plural)}


@pytest.mark.parametrize(("kind", "name"), STOCK)
def test_every_stock_component_loads_has_fields_and_says_what_it_is(kind: str, name: str) -> None:
    entry = REGISTRIES[kind].get(name)

    assert hparams_of(entry).model_fields is not None
    assert callable(entry.component)


@pytest.mark.parametrize(("kind", "name"), OURS)
def test_our_own_components_are_registered_under_the_name_of_the_table(kind: str, name: str) -> None:
    component = REGISTRIES[kind].get(name).component
    assert f'@register_{kind}("{name}"' in inspect.getsource(sys.modules[component.__module__])
    assert component.__doc__


def test_every_optimizer_of_torch_is_there() -> None:
    classes = {each for each in vars(torch.optim).values() if isinstance(each, type)}

    assert {each for each in classes if issubclass(each, torch.optim.Optimizer)} - objects("optimizers") == {
        torch.optim.Optimizer
    }


def test_every_scheduler_of_torch_is_there_but_those_of_functions() -> None:
    module = torch.optim.lr_scheduler

    assert {getattr(module, name) for name in module.__all__} - objects("schedulers") == {
        module.LRScheduler,
        module.LambdaLR,
        module.MultiplicativeLR,
    }


def test_every_callback_of_lightning_is_there_but_those_that_a_blueprint_cannot_configure() -> None:
    module = lightning.pytorch.callbacks
    missing = {getattr(module, name) for name in module.__all__} - objects("callbacks")

    assert {each.__name__ for each in missing} == {
        "BaseFinetuning",
        "BasePredictionWriter",
        "BatchSizeFinder",
        "Callback",
        "Checkpoint",
        "LambdaCallback",
        "LearningRateFinder",
        "OnExceptionCheckpoint",
        "ProgressBar",
        "ThroughputMonitor",
    }


def test_every_activation_of_torch_is_there_but_attention() -> None:
    names = set(torch.nn.modules.activation.__all__) - {"MultiheadAttention", "Softmax2d"}

    assert {getattr(torch.nn, name) for name in names} <= objects("layers")


def test_a_torch_class_is_found_by_its_dotted_path_too() -> None:
    assert REGISTRIES["optimizer"].get("torch.optim.AdamW").component is torch.optim.AdamW
    scheduler = REGISTRIES["scheduler"].get("torch.optim.lr_scheduler.CosineAnnealingLR")
    assert scheduler.component is torch.optim.lr_scheduler.CosineAnnealingLR


def test_the_tables_are_sorted() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    for table in re.findall(r"^\[project\.entry-points\.\w+\]\n((?:\w+ = .*\n)+)", text, re.MULTILINE):
        names = [line.partition(" = ")[0] for line in table.splitlines()]
        assert names == sorted(names)


def test_every_optimizer_can_be_built_with_its_defaults() -> None:
    for name in REGISTRIES["optimizer"].names():
        optimizer = choose("optimizer", name).build(params=[torch.nn.Parameter(torch.zeros(2, 2))])
        assert isinstance(optimizer, torch.optim.Optimizer)


NEEDED = {
    "chained": {"schedulers": [{"name": "step", "step_size": 1}, {"name": "exponential", "gamma": 0.9}]},
    "cosine": {"T_max": 5},
    "cosine_restarts": {"T_0": 5},
    "cyclic": {"base_lr": 0.1, "max_lr": 1.0},
    "exponential": {"gamma": 0.9},
    "multistep": {"milestones": [1, 2]},
    "one_cycle": {"max_lr": 1.0, "total_steps": 10},
    "sequential": {"schedulers": ["linear", {"name": "cosine", "T_max": 5}], "milestones": [2]},
    "step": {"step_size": 2},
}


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize("name", REGISTRIES["scheduler"].names())
def test_every_scheduler_can_be_built_and_steps(name: str) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
    scheduler = choose("scheduler", {"name": name, **NEEDED.get(name, {})}).build(optimizer=optimizer)
    optimizer.step()

    scheduler.step(1.0) if name == "plateau" else scheduler.step()


def test_reading_the_stock_data_imports_neither_scikit_learn_nor_polars() -> None:
    code = (
        "import sys; from hydrantic.components import choose\n"
        "for name in ('digits', 'iris', 'diabetes'): choose('data', name).build().facts()\n"
        "import hydrantic.registry.data.csv\n"
        "print(sorted({'sklearn', 'polars', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"

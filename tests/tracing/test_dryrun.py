"""A model without weights, one batch, and the process as it was."""

from __future__ import annotations

import logging
import os
import random
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hydrantic.tracing.dryrun import CPU, META, body_of, first_samples, made_up, process_as_it_was, stand_ins
from tests.projects import planned
from tests.traced import DIGITS, refused, traced

pytestmark = pytest.mark.usefixtures("scratch")

LINEAR = "loss: mse\nloggers: {}\nmodel: {name: linear, in_features: 4, out_features: 1}\n"


def test_a_model_without_weights_takes_no_memory(tmp_path: Path) -> None:
    body = body_of(planned(tmp_path, DIGITS + "model: {name: linear, in_features: 64, out_features: 10}\n"), META)
    assert {each.device for each in body.tensors} == {META}


def test_for_real_it_has_the_weights_that_training_begins_with(tmp_path: Path) -> None:
    from hydrantic.build import draft

    plan = planned(tmp_path, DIGITS + "model: {name: linear, in_features: 64, out_features: 10}\n")
    expected = draft(plan).model.state_dict()
    found = body_of(plan, CPU).model.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in found)


def test_what_modules_share_is_shared_without_weights_too(tmp_path: Path) -> None:
    shelf = """
@register_model("tied")
class Tied(nn.Module):
    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.rates = [each.item() for each in torch.linspace(0, 0.5, 3)]  # not possible without values
        self.one = nn.Linear(in_features, in_features)
        self.two = nn.Linear(in_features, in_features)
        self.two.weight = self.one.weight
        self.head = nn.Linear(in_features, out_features)

    def forward(self, inputs):
        return self.head(self.two(self.one(inputs.flatten(1))))
"""
    found = traced(tmp_path, DIGITS + "model: tied\n", shelf=shelf)
    assert found.parameters == 64 * 64 + 2 * 64 + 650
    assert found.not_traced == ()


def test_stand_ins_have_the_shapes_of_the_parameters_and_no_memory() -> None:
    model = nn.Sequential(nn.Linear(1000, 2000, device="meta"), nn.LazyLinear(3))
    found = stand_ins(model)
    assert [tuple(each.shape) for each in found[:2]] == [(2000, 1000), (2000,)]
    assert all(each.untyped_storage().nbytes() == 4 for each in found[:2])
    assert len(found) == 4  # those of the last layer get their shapes in training


def test_made_up_outputs_lie_between_0_and_1_and_are_always_the_same() -> None:
    outputs = {"a": torch.empty(50, 3, device="meta", requires_grad=True), "b": torch.empty(2, dtype=int, device=META)}
    first, again = made_up(outputs), made_up(outputs)
    assert (first["a"] > 0).all()
    assert (first["a"] < 1).all()
    assert torch.equal(first["a"], again["a"])
    assert first["a"].requires_grad
    assert first["b"].tolist() == [0, 0]


def test_real_outputs_stay_as_they_are() -> None:
    real = torch.ones(3)
    assert made_up([real])[0] is real


def test_a_smaller_batch_is_cut_from_a_batch() -> None:
    batch = {"inputs": torch.zeros(4, 2), "scale": torch.ones(3), "ids": ["a", "b"]}
    cut = first_samples(batch, 1, 4)
    assert (cut["inputs"].shape, cut["scale"].shape, cut["ids"]) == ((1, 2), (3,), ["a", "b"])


def data(body: str) -> str:
    lines = "\n    ".join(body.splitlines())
    return f"""
TENSORS = TensorDataset(torch.zeros(10, 4), torch.zeros(10, 1))

@register_data("mine")
class Mine(pl.LightningDataModule):
    {lines}
"""


@pytest.mark.parametrize(
    "body",
    [
        "def train_dataloader(self):\n    return DataLoader(TENSORS, batch_size=5, num_workers=3, timeout=9)",
        "def train_dataloader(self):\n    return DataLoader(TENSORS, batch_size=5 * self.trainer.world_size)",
        (
            "def setup(self, stage):\n    self.size = 5\n"
            "def train_dataloader(self):\n    return DataLoader(TENSORS, batch_size=self.size)"
        ),
        (
            "def train_dataloader(self):\n    return DataLoader(TENSORS, batch_size=5)\n"
            "def on_after_batch_transfer(self, batch, index):\n    return batch[0], batch[1][:5]"
        ),
        "def train_dataloader(self):\n    return iter([(torch.zeros(5, 4), torch.zeros(5, 1))])",
    ],
)
def test_the_batch_is_what_training_gets_but_no_process_is_started(tmp_path: Path, body: str) -> None:
    found = traced(tmp_path, "data: mine\n" + LINEAR, shelf=data(body))
    assert (found.inputs.shape, found.targets.shape, found.not_traced) == ((5, 4), (5, 1), ())


def test_several_loaders_give_a_batch_of_batches(tmp_path: Path) -> None:
    body = "def train_dataloader(self):\n    return {'inputs': DataLoader(torch.zeros(8, 4), batch_size=4)}"
    text = "data: mine\n" + LINEAR.replace("mse", "{name: mse, target: inputs}").replace(
        "out_features: 1", "out_features: 4"
    )
    found = traced(tmp_path, text, shelf=data(body))
    assert found.inputs["inputs"].shape == (4, 4)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            "def train_dataloader(self):\n    return self.lodaer",
            (
                "a.yaml:1:7: data: the data module 'mine' gives no batch: AttributeError: 'Mine' object has no "
                "attribute 'lodaer' (registry/parts.py:37)"
            ),
        ),
        (
            (
                "def setup(self, stage):\n    raise OSError('the disk is gone')\n"
                "def train_dataloader(self):\n    return []"
            ),
            "a.yaml:1:7: data: the data module 'mine' gives no batch: OSError: the disk is gone (registry/parts.py:37)",
        ),
        (
            "def train_dataloader(self):\n    return DataLoader(TensorDataset(*[torch.zeros(4, 2)] * 3), batch_size=2)",
            (
                "a.yaml:1:7: data: a batch of 'mine' is (2, 2), (2, 2), (2, 2), but must be inputs and targets, or a "
                "mapping: too many values to unpack (expected 2)"
            ),
        ),
    ],
)
def test_data_that_gives_no_batch_is_a_problem_of_the_data(tmp_path: Path, body: str, words: str) -> None:
    assert refused(tmp_path, "data: mine\n" + LINEAR, shelf=data(body)) == [words]


def test_a_field_that_data_refuses_only_when_it_is_set_up_is_told_at_the_field(tmp_path: Path) -> None:
    body = """def __init__(self, size: int = 3) -> None:
    super().__init__()
def setup(self, stage):
    from hydrantic import InvalidField
    raise InvalidField("size", "is too small")
def train_dataloader(self):
    return []"""
    assert refused(tmp_path, "data: {name: mine, size: 2}\n" + LINEAR, shelf=data(body)) == [
        "a.yaml:1:26: data.size: is too small"
    ]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("pass", "the batch: the data 'mine' has no train_dataloader"),
        ("def train_dataloader(self):\n    return iter(())", "the batch: the training loader of 'mine' gives none"),
    ],
)
def test_without_a_batch_only_parameters_are_counted(tmp_path: Path, body: str, reason: str) -> None:
    found = traced(tmp_path, "data: mine\n" + LINEAR, shelf=data(body))
    assert found.not_traced == (reason,)
    assert (found.parameters, found.outputs, found.activation_bytes, found.batch_bytes) == (5, None, None, None)


def state() -> tuple[object, ...]:
    return (
        torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist(),  # noqa: NPY002
        torch.get_default_dtype(), torch.get_default_device(), torch.get_float32_matmul_precision(),
        torch.are_deterministic_algorithms_enabled(), torch.is_grad_enabled(), dict(os.environ),
        logging.getLogger("lightning.pytorch").level, list(warnings.filters),
    )  # fmt: skip


def disturb() -> None:
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.set_default_dtype(torch.float64)
    torch.set_float32_matmul_precision("medium")
    torch.use_deterministic_algorithms(mode=True)
    torch.set_grad_enabled(False)
    os.environ["PL_GLOBAL_SEED"] = "1"
    raise ValueError("stop")


def test_the_process_is_as_it_was_also_after_an_error() -> None:
    before = state()
    with pytest.raises(ValueError, match="stop"), process_as_it_was():
        disturb()
    assert state() == before


def test_tracing_leaves_the_process_as_it_was_and_writes_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shelf = """
@register_model("loud")
class Loud(nn.Module):
    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.head = nn.Linear(in_features, out_features)

    def forward(self, inputs):
        import warnings
        warnings.warn("mind the step")
        print("hello")
        return self.head(inputs.flatten(1))
"""
    before = state()
    traced(tmp_path, DIGITS + "model: loud\nmatmul_precision: medium\nmetrics: {accuracy: , auroc: }\n", shelf=shelf)
    assert state() == before
    assert {file.name for file in tmp_path.iterdir()} == {"a.yaml", "registry"}
    captured = capfd.readouterr()
    assert captured.out == ""
    assert set(captured.err.split()) <= {"hello"}

"""The stock losses equal torch's, and refuse shapes that torch would broadcast."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hydrantic.registry.losses import BCEWithLogits, CrossEntropy
from torch.nn import functional

from hydrantic import Facts, InvalidField
from hydrantic.components import choose

OUTPUTS = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
CLASSES = torch.arange(12) % 4
NUMBERS = torch.randn(12, 4, generator=torch.Generator().manual_seed(1))
LABELS = (NUMBERS > 0).float()
WEIGHT = (1.0, 2.0, 0.5, 0.0)


def loss(name: str, **fields: Any) -> Any:
    return choose("loss", {"name": name, **fields}).build()


@pytest.mark.parametrize(
    ("name", "fields", "targets", "expected"),
    [
        ("cross_entropy", {}, CLASSES, functional.cross_entropy(OUTPUTS, CLASSES)),
        (
            "cross_entropy",
            {"label_smoothing": 0.1, "weight": list(WEIGHT)},
            CLASSES,
            functional.cross_entropy(OUTPUTS, CLASSES, torch.tensor(WEIGHT), label_smoothing=0.1),
        ),
        ("nll", {"weight": list(WEIGHT)}, CLASSES, functional.nll_loss(OUTPUTS, CLASSES, torch.tensor(WEIGHT))),
        ("bce_with_logits", {}, LABELS, functional.binary_cross_entropy_with_logits(OUTPUTS, LABELS)),
        (
            "bce_with_logits",
            {"pos_weight": [1.0, 2.0, 3.0, 4.0]},
            LABELS,
            functional.binary_cross_entropy_with_logits(OUTPUTS, LABELS, pos_weight=torch.tensor([1.0, 2, 3, 4])),
        ),
        ("mse", {}, NUMBERS, functional.mse_loss(OUTPUTS, NUMBERS)),
        ("l1", {}, NUMBERS, functional.l1_loss(OUTPUTS, NUMBERS)),
        ("huber", {"delta": 0.3}, NUMBERS, functional.huber_loss(OUTPUTS, NUMBERS, delta=0.3)),
    ],
)
def test_losses_equal_torchs(name: str, fields: dict[str, Any], targets: torch.Tensor, expected: torch.Tensor) -> None:
    assert torch.equal(loss(name, **fields)(OUTPUTS, targets), expected)


@pytest.mark.parametrize("name", ["mse", "l1", "huber", "bce_with_logits"])
def test_a_column_and_a_vector_pair_without_being_broadcast(name: str) -> None:
    outputs, targets = OUTPUTS[:, :1], LABELS[:, 0]

    expected = loss(name)(outputs[:, 0], targets)
    assert torch.equal(loss(name)(outputs, targets), expected)
    assert torch.equal(loss(name)(outputs[:, 0], targets.reshape(-1, 1)), expected)


@pytest.mark.parametrize("name", ["mse", "l1", "huber", "bce_with_logits"])
def test_shapes_that_do_not_pair_are_named(name: str) -> None:
    with pytest.raises(ValueError, match=r"outputs \(12, 4\) and targets \(12,\) must have one shape"):
        loss(name)(OUTPUTS, CLASSES)


@pytest.mark.parametrize("name", ["cross_entropy", "nll"])
@pytest.mark.parametrize("targets", [LABELS, CLASSES[:5], CLASSES.reshape(-1, 1)])
def test_targets_that_are_no_classes_are_named(name: str, targets: torch.Tensor) -> None:
    with pytest.raises(
        ValueError, match=r"outputs \(12, 4\) must be \(batch, classes\) and targets \(.* class indices"
    ):
        loss(name)(OUTPUTS, targets)


def test_cross_entropy_takes_a_class_for_each_pixel() -> None:
    outputs, targets = torch.randn(2, 4, 3, 3), torch.zeros(2, 3, 3, dtype=torch.long)

    assert torch.equal(CrossEntropy()(outputs, targets), functional.cross_entropy(outputs, targets))


def test_whole_number_targets_of_a_binary_loss_become_floats() -> None:
    assert torch.equal(
        BCEWithLogits()(OUTPUTS[:, 0], (CLASSES > 1).long()), BCEWithLogits()(OUTPUTS[:, 0], (CLASSES > 1).float())
    )


def test_balanced_weights_make_all_classes_count_alike() -> None:
    made = CrossEntropy(weight="balanced", class_counts=(30, 10, 0))

    assert made.weight is not None
    torch.testing.assert_close(made.weight, torch.tensor([40 / 90, 40 / 30, 0.0]))


def test_balanced_weights_need_class_counts() -> None:
    with pytest.raises(InvalidField, match="weight: 'balanced' needs class_counts"):
        CrossEntropy(weight="balanced", class_counts=None)


def test_there_is_one_weight_per_class() -> None:
    with pytest.raises(InvalidField, match="weight: must have one number per class: 3, not 2"):
        CrossEntropy(weight=(1.0, 2.0), class_counts=(1, 2, 3))


def test_weights_move_with_the_loss_and_stay_out_of_its_state() -> None:
    made = CrossEntropy(weight=(1.0, 2.0))

    assert made.double().weight is not None
    assert made.weight is not None
    assert made.weight.dtype == torch.float64
    assert not made.state_dict()


def test_on_binary_data_the_binary_loss_asks_for_one_output() -> None:
    assert BCEWithLogits.adapt(Facts(task="binary", out_features=2)).out_features == 1
    assert BCEWithLogits.adapt(Facts(task="multilabel", out_features=5)).out_features == 5


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("cross_entropy", {"label_smoothing": 1.5}),
        ("cross_entropy", {"weight": [-1.0]}),
        ("cross_entropy", {"weight": "equal"}),
        ("huber", {"delta": 0.0}),
        ("bce_with_logits", {"pos_weight": 0.0}),
    ],
)
def test_values_out_of_range_are_refused_before_anything_is_built(name: str, fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        choose("loss", {"name": name, **fields})

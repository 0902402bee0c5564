"""The stock metrics equal scikit-learn's over the whole epoch, however it is cut into chunks."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as reference
from torch import Tensor

from hydrantic import InvalidField
from hydrantic.components import choose, hparams_of
from hydrantic.registries import registry

CLASSES = 5


def metric(name: str, **fields: Any) -> Any:
    sizes = {"num_classes": CLASSES, "num_labels": CLASSES, "task": "multiclass"}
    known = hparams_of(registry("metric").get(name)).model_fields
    return choose("metric", {"name": name} | {k: v for k, v in sizes.items() if k in known} | fields).build()


def value(made: Any, outputs: Tensor, targets: Tensor, chunks: int = 3) -> Any:
    for part in zip(outputs.tensor_split(chunks), targets.tensor_split(chunks), strict=True):
        made.update(*part)
    return made.compute()


def draw(*shape: int, low: float = -3, high: float = 3, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * (high - low) + low


def multiclass(low: float = -3, high: float = 3) -> tuple[Tensor, Tensor]:
    outputs = draw(200, CLASSES, low=low, high=high)
    guesses = outputs.argmax(1)
    other = torch.randint(0, CLASSES, (200,), generator=torch.Generator().manual_seed(1))
    return outputs, torch.where(draw(200, seed=2) > 0, guesses, other)


def binary(low: float = -3, high: float = 3) -> tuple[Tensor, Tensor]:
    outputs = draw(200, low=low, high=high)
    return outputs, ((outputs + draw(200, low=low, high=high, seed=3)) > 0.3).long()


# Logits that all lie within [0, 1] look like probabilities, and must not be taken for them.
RANGES = [(-3.0, 3.0), (0.05, 0.95)]
SCORES: dict[str, Callable[..., float]] = {
    "precision": reference.precision_score,
    "recall": reference.recall_score,
    "f1": reference.f1_score,
}


@pytest.mark.parametrize(("low", "high"), RANGES)
@pytest.mark.parametrize("average", ["micro", "macro", "weighted"])
@pytest.mark.parametrize("name", SCORES)
def test_multiclass_ratios_equal_scikit_learns(name: str, average: str, low: float, high: float) -> None:
    outputs, targets = multiclass(low, high)
    expected = SCORES[name](targets, outputs.argmax(1), average=average, zero_division=0)

    assert value(metric(name, average=average), outputs, targets).item() == pytest.approx(expected)


@pytest.mark.parametrize(("low", "high"), RANGES)
@pytest.mark.parametrize("name", SCORES)
def test_binary_ratios_are_those_of_class_1(name: str, low: float, high: float) -> None:
    outputs, targets = binary(low, high)
    expected = SCORES[name](targets, outputs > 0, zero_division=0)

    assert value(metric(name, task="binary"), outputs, targets).item() == pytest.approx(expected)


@pytest.mark.parametrize("average", ["micro", "macro", "weighted"])
@pytest.mark.parametrize("name", SCORES)
def test_binary_ratios_average_both_classes_where_asked(name: str, average: str) -> None:
    outputs, targets = binary()
    expected = SCORES[name](targets, outputs > 0, average=average)

    assert value(metric(name, task="binary", average=average), outputs, targets).item() == pytest.approx(expected)


@pytest.mark.parametrize(("low", "high"), RANGES)
@pytest.mark.parametrize("average", ["micro", "macro", "weighted"])
@pytest.mark.parametrize("name", SCORES)
def test_multilabel_ratios_equal_scikit_learns(name: str, average: str, low: float, high: float) -> None:
    outputs = draw(200, CLASSES, low=low, high=high)
    targets = (outputs + draw(200, CLASSES, seed=4) > 0.2).float()
    expected = SCORES[name](targets, outputs > 0, average=average, zero_division=0)

    assert value(metric(name, task="multilabel", average=average), outputs, targets).item() == pytest.approx(expected)


@pytest.mark.parametrize("name", [*SCORES, "accuracy", "auroc"])
def test_one_output_or_two_or_a_vector_say_the_same_of_two_classes(name: str) -> None:
    outputs, targets = binary()
    alone = value(metric(name, task="binary"), outputs, targets)

    assert value(metric(name, task="binary"), outputs.reshape(-1, 1), targets.reshape(-1, 1)) == alone
    pair = torch.stack([torch.ones_like(outputs), outputs + 1], dim=1)
    assert value(metric(name, task="binary"), pair, targets).item() == pytest.approx(alone.item())


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_accuracy_equals_scikit_learns(low: float, high: float) -> None:
    outputs, targets = multiclass(low, high)

    expected = reference.accuracy_score(targets, outputs.argmax(1))
    assert value(metric("accuracy"), outputs, targets).item() == pytest.approx(expected)
    balanced = reference.balanced_accuracy_score(targets, outputs.argmax(1))
    assert value(metric("accuracy", average="macro"), outputs, targets).item() == pytest.approx(balanced)


def test_top_k_accuracy_equals_scikit_learns() -> None:
    outputs, targets = multiclass()
    expected = reference.top_k_accuracy_score(targets, outputs, k=3)

    assert value(metric("accuracy", top_k=3), outputs, targets).item() == pytest.approx(expected)


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_multilabel_accuracy_counts_labels(low: float, high: float) -> None:
    outputs = draw(100, CLASSES, low=low, high=high)
    targets = (draw(100, CLASSES, seed=7) > 0).float()
    expected = ((outputs > 0).float() == targets).float().mean().item()

    assert value(metric("accuracy", task="multilabel"), outputs, targets).item() == pytest.approx(expected)


def test_a_class_for_each_pixel_is_counted_by_pixel() -> None:
    outputs, targets = draw(10, CLASSES, 4, 4), torch.randint(0, CLASSES, (10, 4, 4))
    expected = (outputs.argmax(1) == targets).float().mean().item()

    assert value(metric("accuracy"), outputs, targets).item() == pytest.approx(expected)
    assert value(metric("f1", average="micro"), outputs, targets).item() == pytest.approx(expected)
    assert value(metric("accuracy", top_k=2), outputs, targets) >= expected


@pytest.mark.parametrize("k", [CLASSES, CLASSES + 1])
def test_top_k_beyond_the_classes_is_refused(k: int) -> None:
    with pytest.raises(InvalidField, match="top_k"):
        metric("accuracy", top_k=k)


def test_top_k_of_two_classes_is_refused() -> None:
    with pytest.raises(InvalidField, match="top_k"):
        metric("accuracy", top_k=2, task="binary")


# AUROC


@pytest.mark.parametrize(("low", "high"), RANGES)
@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_multiclass_auroc_equals_scikit_learns(average: str, low: float, high: float) -> None:
    outputs, targets = multiclass(low, high)
    expected = reference.roc_auc_score(
        targets, outputs.double().softmax(1), multi_class="ovr", average=average, labels=range(CLASSES)
    )

    assert value(metric("auroc", average=average), outputs, targets).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_binary_auroc_equals_scikit_learns(low: float, high: float) -> None:
    outputs, targets = binary(low, high)

    expected = reference.roc_auc_score(targets, outputs)
    assert value(metric("auroc", task="binary"), outputs, targets).item() == pytest.approx(expected)


def test_equal_scores_count_half() -> None:
    outputs, targets = draw(300).round(), torch.arange(300) % 2

    expected = reference.roc_auc_score(targets, outputs)
    assert value(metric("auroc", task="binary"), outputs, targets).item() == pytest.approx(expected)


def test_large_logits_keep_their_order() -> None:
    outputs, targets = torch.tensor([90.0, 100.0, 110.0, 120.0]), torch.tensor([0, 0, 1, 1])

    assert value(metric("auroc", task="binary"), outputs, targets, chunks=1) == 1


def test_multilabel_auroc_equals_scikit_learns() -> None:
    outputs = draw(200, CLASSES)
    targets = (outputs + draw(200, CLASSES, seed=4) > 0.2).float()

    expected = reference.roc_auc_score(targets, outputs)
    assert value(metric("auroc", task="multilabel"), outputs, targets).item() == pytest.approx(expected)


def test_auroc_leaves_out_a_class_without_samples() -> None:
    outputs, targets = multiclass()
    outputs, targets = outputs[targets != 2], targets[targets != 2]
    scores = outputs.double().softmax(1)
    areas = [reference.roc_auc_score(targets == each, scores[:, each]) for each in (0, 1, 3, 4)]

    assert value(metric("auroc"), outputs, targets).item() == pytest.approx(np.mean(areas), abs=1e-6)


def test_auroc_of_one_class_alone_is_nan() -> None:
    assert value(metric("auroc", task="binary"), draw(5), torch.ones(5), chunks=1).isnan()


# The confusion matrix


@pytest.mark.parametrize("task", ["multiclass", "binary"])
def test_the_confusion_matrix_is_summed_up_in_numbers(task: str) -> None:
    outputs, targets = multiclass() if task == "multiclass" else binary()
    decided = outputs.argmax(1) if task == "multiclass" else outputs > 0
    made = metric("confusion_matrix", task=task)
    numbers = {name: number.item() for name, number in value(made, outputs, targets).items()}

    assert made.confusion.tolist() == reference.confusion_matrix(targets, decided).tolist()
    assert numbers == pytest.approx(
        {
            "balanced_accuracy": reference.balanced_accuracy_score(targets, decided),
            "worst_recall": reference.recall_score(targets, decided, average=None).min(),
            "kappa": reference.cohen_kappa_score(targets, decided),
            "mcc": reference.matthews_corrcoef(targets, decided),
        }
    )


def test_predicting_one_class_only_gives_numbers_and_no_nan() -> None:
    outputs = torch.eye(CLASSES)[torch.zeros(10, dtype=torch.long)]
    numbers = value(metric("confusion_matrix"), outputs, torch.arange(10) % CLASSES)

    assert all(number.isfinite() for number in numbers.values())


# Regression


@pytest.mark.parametrize("shape", [(200,), (200, 1), (200, 3)])
@pytest.mark.parametrize(
    ("name", "score"),
    [("mse", reference.mean_squared_error), ("mae", reference.mean_absolute_error), ("r2", reference.r2_score)],
)
def test_regression_metrics_equal_scikit_learns(name: str, score: Any, shape: tuple[int, ...]) -> None:
    outputs, targets = draw(*shape), draw(*shape, seed=1)
    fields = {"out_features": shape[1] if len(shape) > 1 else 1} if name == "r2" else {}

    assert value(metric(name, **fields), outputs, targets).item() == pytest.approx(score(targets, outputs), rel=1e-5)


def test_r2_is_exact_far_from_zero() -> None:
    targets = draw(1000, 1) + 10_000
    outputs = targets + 0.5 * draw(1000, 1, seed=9)
    expected = reference.r2_score(targets.double(), outputs.double())

    assert value(metric("r2", out_features=1), outputs, targets, chunks=7).item() == pytest.approx(expected, rel=1e-4)


def test_a_column_and_a_vector_are_compared_value_by_value() -> None:
    outputs, targets = draw(50, 1), draw(50, seed=1)

    expected = reference.mean_squared_error(targets, outputs[:, 0])
    assert value(metric("mse"), outputs, targets).item() == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match=r"outputs \(50, 1\) and targets \(50, 2\) must have one shape"):
        metric("mse").update(outputs, draw(50, 2))


# As parts of a training


ALL = ["accuracy", "precision", "recall", "f1", "confusion_matrix", "auroc", "mse", "mae", "r2"]


def example(name: str) -> tuple[Any, Tensor, Tensor]:
    if name in {"mse", "mae", "r2"}:
        return metric(name, **({"out_features": 1} if name == "r2" else {})), draw(60, 1), draw(60, 1, seed=1)
    return metric(name), *multiclass()


@pytest.mark.parametrize("name", ALL)
def test_chunks_of_any_size_give_the_same(name: str) -> None:
    made, outputs, targets = example(name)
    one = value(made, outputs, targets, chunks=1)
    made.reset()
    many = value(made, outputs, targets, chunks=11)

    torch.testing.assert_close(one, many)


@pytest.mark.parametrize("name", ALL)
def test_a_reset_forgets(name: str) -> None:
    made, outputs, targets = example(name)
    expected = value(made, outputs, targets)
    made.reset()
    value(made, outputs.flip(0) * 2, targets)
    made.reset()

    torch.testing.assert_close(value(made, outputs, targets), expected)


@pytest.mark.parametrize("name", ALL)
def test_states_from_inference_mode_can_be_updated_outside_of_it(name: str) -> None:
    made, outputs, targets = example(name)
    with torch.inference_mode():
        value(made, outputs, targets)
        made.reset()

    value(made, outputs, targets)


@pytest.mark.parametrize("name", ALL)
def test_metrics_can_be_pickled(name: str) -> None:
    made, outputs, targets = example(name)
    made.update(outputs, targets)

    torch.testing.assert_close(pickle.loads(pickle.dumps(made)).compute(), made.compute())


@pytest.mark.parametrize("name", ALL)
def test_half_precision_outputs_are_counted_in_full(name: str) -> None:
    made, outputs, targets = example(name)
    made.update(outputs.bfloat16(), targets)
    results = made.compute()

    for number in results.values() if isinstance(results, dict) else [results]:
        assert number.dtype == torch.float32


def test_r2_of_several_processes_is_that_of_all_their_samples() -> None:
    outputs, targets = draw(90, 2), draw(90, 2, seed=1)
    parts = [metric("r2", out_features=2) for _ in range(2)]
    parts[0].update(outputs[:30], targets[:30])
    parts[1].update(outputs[30:], targets[30:])
    together = metric("r2", out_features=2)
    together.errors = parts[0].errors + parts[1].errors
    together.moments = torch.stack([each.moments for each in parts])
    together._update_count = 1

    assert together.compute().item() == pytest.approx(reference.r2_score(targets, outputs), rel=1e-5)


def test_a_size_that_the_data_does_not_state_is_asked_for() -> None:
    with pytest.raises(InvalidField, match="num_classes: must be set"):
        metric("f1", num_classes=None)

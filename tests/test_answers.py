"""What a model's outputs mean."""

from __future__ import annotations

import pytest
import torch

from hydrantic.answers import answers
from hydrantic.errors import UsageError
from hydrantic.facts import Facts

ANIMALS = Facts(task="multiclass", num_classes=3, class_names=("cat", "dog", "emu"))


def test_the_class_of_the_largest_output_is_predicted_with_softmax_probabilities() -> None:
    outputs = torch.tensor([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0]])
    found = answers(outputs, ANIMALS)
    assert found.classes == ["emu", "cat"]
    assert found.values.tolist() == [2, 0]
    assert found.probabilities is not None
    torch.testing.assert_close(found.probabilities, outputs.softmax(1))
    assert found.names == ("cat", "dog", "emu")


def test_log_probabilities_stay_what_they_are() -> None:
    probabilities = torch.tensor([[0.2, 0.5, 0.3]])
    found = answers(probabilities.log(), ANIMALS).probabilities
    assert found is not None
    torch.testing.assert_close(found, probabilities)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16])
def test_the_outputs_of_a_softmax_are_probabilities_already(kind: torch.dtype) -> None:
    shares = torch.tensor([[2.0, -1.0, 0.5], [40.0, 0.0, -40.0]], dtype=kind).softmax(1)
    found = answers(shares, ANIMALS)
    assert found.probabilities is not None
    assert found.probabilities.equal(shares.to(found.probabilities.dtype))
    raw = answers(shares + 0.1, ANIMALS).probabilities
    assert raw is not None
    torch.testing.assert_close(raw, (shares + 0.1).to(raw.dtype).softmax(1))


@pytest.mark.parametrize("kind", [torch.int64, torch.uint8, torch.bool])
def test_outputs_that_are_whole_numbers_have_probabilities_too(kind: torch.dtype) -> None:
    votes = torch.tensor([[0, 1, 0], [1, 0, 0]])
    found = answers(votes.to(kind), ANIMALS)
    assert found.classes == ["dog", "cat"]
    assert found.probabilities is not None
    assert found.probabilities.tolist() == votes.tolist()
    one = answers(votes[:, 1].to(kind), Facts(task="binary", num_classes=2)).probabilities
    assert one is not None
    torch.testing.assert_close(one[:, 1], votes[:, 1].float().sigmoid())
    labels = answers(votes.to(kind), Facts(task="multilabel", num_labels=3))
    assert labels.values.equal(votes)


@pytest.mark.parametrize("outputs", [[[0.3], [-0.007]], [[0.3, 0.1], [0.007, 0.008]]])
def test_probabilities_of_a_model_that_computes_in_16_bits_add_up_to_1(outputs: list[list[float]]) -> None:
    found = answers(torch.tensor(outputs, dtype=torch.bfloat16), Facts(task="binary", num_classes=2))
    assert found.probabilities is not None
    torch.testing.assert_close(found.probabilities.sum(1), torch.ones(2))
    assert found.probabilities.argmax(1).equal(found.values)


@pytest.mark.parametrize("facts", [Facts(task="binary", num_classes=2), Facts(task="multilabel", num_labels=1)])
def test_outputs_that_look_like_those_of_a_sigmoid_are_warned_of(facts: Facts) -> None:
    outputs = torch.linspace(0, 1, 30).reshape(-1, 1)
    with pytest.warns(UserWarning, match="If the model ends in a sigmoid, the predictions are wrong"):
        answers(outputs, facts)
    answers(outputs - 0.5, facts)
    answers(outputs[:3], facts)  # so few may be raw ones


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_one_output_of_a_binary_task_is_the_second_class(shape: tuple[int, ...]) -> None:
    outputs = torch.tensor([2.0, -1.0])
    found = answers(outputs.reshape(shape), Facts(task="binary", num_classes=2, class_names=("no", "yes")))
    assert found.classes == ["yes", "no"]
    assert found.probabilities is not None
    torch.testing.assert_close(found.probabilities[:, 1], outputs.sigmoid())
    torch.testing.assert_close(found.probabilities.sum(1), torch.ones(2))


def test_classes_without_names_are_called_by_their_index() -> None:
    found = answers(torch.eye(3), Facts(task="multiclass", num_classes=3))
    assert found.classes == ["0", "1", "2"]


def test_labels_are_those_more_probable_than_not() -> None:
    facts = Facts(task="multilabel", num_labels=2, target_names=("wet", "cold"))
    found = answers(torch.tensor([[1.0, -1.0], [0.5, 0.1]]), facts)
    assert found.values.tolist() == [[1, 0], [1, 1]]
    assert found.names == ("wet", "cold")
    assert found.classes is None


def test_numbers_are_outputs_by_the_targets_name() -> None:
    found = answers(torch.tensor([1.5, 2.5]), Facts(task="regression", target_names=("price",)))
    assert (found.values.tolist(), found.names, found.probabilities) == ([[1.5], [2.5]], ("price",), None)


def test_the_losss_input_says_which_output_answers() -> None:
    outputs = {"hidden": torch.rand(1, 7), "logits": torch.tensor([[0.0, 9.0, 0.0]])}
    assert answers(outputs, ANIMALS, "logits").classes == ["dog"]
    with pytest.raises(UsageError, match="returns hidden, logits, and the loss has no `input:`"):
        answers(outputs, ANIMALS)


@pytest.mark.parametrize("shape", [(2, 4), (2, 3, 5), (2,), ()])
def test_outputs_that_do_not_suit_the_classes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError):
        answers(torch.zeros(shape), ANIMALS)


def test_without_a_task_the_outputs_are_the_answer() -> None:
    assert answers(torch.ones(2, 3), Facts()).names == ("0", "1", "2")

"""Sums over an epoch: the same as counting batch by batch, without a synchronisation per step."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchmetrics import MeanSquaredError, Metric
from torchmetrics.classification import MulticlassAccuracy, MulticlassAUROC, MulticlassF1Score

from hydrantic.model import tally
from hydrantic.model.tally import Tally, Wired, pick

Batches = Sequence[tuple[Tensor, Tensor]]


def _batches(sizes: Sequence[int], classes: int = 3) -> Batches:
    generator = torch.Generator().manual_seed(0)
    return [
        (torch.randn(n, classes, generator=generator), torch.randint(classes, (n,), generator=generator)) for n in sizes
    ]


def _metrics() -> dict[str, Metric]:
    return {
        "accuracy": MulticlassAccuracy(num_classes=3),
        "f1": MulticlassF1Score(num_classes=3, average="macro"),
        "auroc": MulticlassAUROC(num_classes=3),
    }


def _tallied(batches: Batches) -> dict[str, Tensor]:
    counted = Tally({label: Wired(metric) for label, metric in _metrics().items()})
    for outputs, targets in batches:
        counted.add(len(targets), {"loss": nn.functional.cross_entropy(outputs, targets)}, outputs, targets)
    return counted.compute()


def _by_hand(batches: Batches) -> dict[str, Tensor]:
    metrics = _metrics()
    for metric in metrics.values():
        for outputs, targets in batches:
            metric.update(outputs, targets)
    outputs, targets = (torch.cat(parts) for parts in zip(*batches, strict=True))
    values: dict[str, Tensor] = {label: metric.compute() for label, metric in metrics.items()}
    return values | {"loss": nn.functional.cross_entropy(outputs, targets)}


def _assert_same(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, msg=name)


def test_a_tally_equals_metrics_that_are_updated_batch_by_batch() -> None:
    batches = _batches([16, 16, 16])
    _assert_same(_tallied(batches), _by_hand(batches))


def test_a_smaller_last_batch_counts_by_its_samples() -> None:
    batches = _batches([16, 16, 3])
    _assert_same(_tallied(batches), _by_hand(batches))


@pytest.mark.parametrize("kept", [0, 40, 10_000])
def test_how_much_is_kept_before_the_metrics_are_updated_changes_nothing(
    kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "MAX_KEPT", kept)
    batches = _batches([8, 8, 8, 5])
    _assert_same(_tallied(batches), _by_hand(batches))


@pytest.mark.parametrize("steps", [7, 8, 9, 16])
def test_an_epoch_may_have_any_number_of_steps(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "_FOLD", 8)
    batches = _batches([2] * (steps - 1) + [1])
    _assert_same(_tallied(batches), _by_hand(batches))


def test_a_value_that_only_some_steps_have_is_weighted_by_those_steps() -> None:
    counted = Tally({})
    for size, values in ((4, {"loss": 1.0, "aux": 1.0}), (1, {"loss": 1.0, "aux": 2.0}), (3, {"loss": 1.0})):
        counted.add(size, {name: torch.tensor(value) for name, value in values.items()}, torch.zeros(size), None)
    assert counted.compute()["aux"].item() == pytest.approx((4 * 1 + 1 * 2) / 5)


def test_a_value_with_one_element_is_a_scalar() -> None:
    counted = Tally({})
    for value in ([1.0], [3.0]):
        counted.add(2, {"loss": torch.tensor(value)}, torch.zeros(2), None)
    torch.testing.assert_close(counted.compute()["loss"], torch.tensor(2.0))


def test_a_mean_does_not_lose_digits_over_many_steps() -> None:
    counted = Tally({})
    for _ in range(3000):
        counted.add(64, {"loss": torch.tensor(0.1)}, torch.zeros(64, 1), None)
    assert counted.compute()["loss"] == torch.tensor(0.1)


def test_batches_of_different_shapes_are_counted_one_by_one() -> None:
    counted = Tally({"mse": Wired(MeanSquaredError())})
    expected = MeanSquaredError()
    for length in (2, 5):
        outputs, targets = torch.ones(3, length), torch.zeros(3, length)
        counted.add(3, {}, outputs, targets)
        expected.update(outputs, targets)
    torch.testing.assert_close(counted.compute()["mse"], expected.compute())


def test_reset_starts_a_new_epoch() -> None:
    counted = Tally({"accuracy": Wired(MulticlassAccuracy(num_classes=3))})
    first, second = _batches([6, 6])
    for outputs, targets in (first, second):
        counted.reset()
        counted.add(6, {"loss": outputs.mean()}, outputs, targets)
    expected = MulticlassAccuracy(num_classes=3)
    expected.update(*second)
    torch.testing.assert_close(counted.compute()["accuracy"], expected.compute())
    torch.testing.assert_close(counted.compute()["loss"], second[0].mean())


class _Watched(Tensor):
    """A tensor that notes every operation which has to wait for its value."""

    waited: list[str]

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        waiting = {"item", "__bool__", "__float__", "__int__", "tolist", "cpu", "numpy", "nonzero", "__index__"}
        if getattr(func, "__name__", "") in waiting:
            cls.waited.append(func.__name__)
        return super().__torch_function__(func, types, args, kwargs or {})  # type: ignore[no-untyped-call]  # torch has no types here


def test_a_step_waits_for_no_value() -> None:
    _Watched.waited = []
    counted = Tally({"mse": Wired(MeanSquaredError())})
    for _ in range(3):
        outputs, targets = torch.ones(4, 1).as_subclass(_Watched), torch.zeros(4, 1).as_subclass(_Watched)
        counted.add(4, {"loss": outputs.mean()}, outputs, targets)
    assert _Watched.waited == []


def test_a_step_keeps_no_graph() -> None:
    counted = Tally({})
    weight = torch.ones(1, requires_grad=True)
    counted.add(1, {"loss": (weight * 2).sum()}, weight * 2, None)
    assert not counted.compute()["loss"].requires_grad


class _Several(Metric):
    """A metric with two results."""

    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        self.total += outputs.sum()

    def compute(self) -> dict[str, Tensor]:
        return {"once": self.total, "twice": 2 * self.total}


def test_a_metric_with_several_results_is_logged_below_its_label() -> None:
    counted = Tally({"sums": Wired(_Several())})
    counted.add(2, {}, torch.ones(2), torch.ones(2))
    assert {name: value.item() for name, value in counted.compute().items()} == {"sums/once": 2, "sums/twice": 4}


def test_metrics_read_the_parts_that_they_name() -> None:
    counted = Tally({"mse": Wired(MeanSquaredError(), input="guess", target="truth")})
    counted.add(2, {}, {"guess": torch.ones(2), "noise": torch.zeros(2)}, {"truth": torch.zeros(2)})
    assert counted.compute()["mse"].item() == 1.0


def test_a_metric_that_names_no_part_of_several_is_told_the_parts() -> None:
    counted = Tally({"mse": Wired(MeanSquaredError())})
    with pytest.raises(TypeError, match=r"name it with `input:` \(there is guess, noise\)"):
        counted.add(2, {}, {"guess": torch.ones(2), "noise": torch.zeros(2)}, torch.zeros(2))


Pair = namedtuple("Pair", ["left", "right"])  # noqa: PYI024 -- what torch's own layers return


@pytest.mark.parametrize(("values", "key"), [({"b": 7}, "b"), (Pair(1, 7), "right"), ((1, 7), "1"), (7, None)])
def test_a_part_is_named_by_key_attribute_or_position(values: object, key: str | None) -> None:
    assert pick(values, key, "input") == 7


def test_a_part_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(KeyError, match="input: there is no 'logits'; there is guess, noise"):
        pick({"guess": 1, "noise": 2}, "logits", "input")


def test_only_the_samples_that_count_reach_the_metrics() -> None:
    counted = Tally({"mse": Wired(MeanSquaredError())})
    counted.add(1.5, {"loss": torch.tensor(4.0)}, torch.tensor([1.0, 5.0]), torch.zeros(2), counted=1)
    counted.add(0.5, {"loss": torch.tensor(8.0)}, torch.tensor([3.0]), torch.zeros(1), counted=0)
    results = counted.compute()
    assert (results["loss"].item(), results["mse"].item()) == (5.0, 1.0)


class _Keeping(Metric):
    """Keeps what it is given, and says of how many samples that is."""

    kept: list[Tensor]
    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("kept", [], dist_reduce_fx="cat")
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        self.kept.append(outputs)
        self.total += targets.sum()

    def compute(self) -> Tensor:
        return torch.tensor(float(sum(len(part) for part in self.kept))) + self.total


def test_a_metric_without_a_sample_has_the_state_of_none_in_the_shape_of_one() -> None:
    keeping = _Keeping()
    counted = Tally({"kept": Wired(keeping)})
    counted.add(0.0, {}, torch.rand(2, 3, dtype=torch.float64), torch.ones(2), counted=0)
    assert counted.compute()["kept"].item() == 0
    assert [(part.shape, part.dtype) for part in keeping.kept] == [((0, 3), torch.float64)]


def test_an_epoch_without_a_step_has_no_values() -> None:
    assert Tally({"mse": Wired(MeanSquaredError())}).compute() == {}


@pytest.mark.parametrize(("cut", "kept"), [(1, 1 << 22), (5, 1 << 22), (5, 100)])
def test_a_tally_that_went_through_a_checkpoint_goes_on_to_the_last_bit(
    cut: int, kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "MAX_KEPT", kept)
    monkeypatch.setattr(tally, "_FOLD", 4)
    errors = [MeanSquaredError(), MeanSquaredError()]  # whose sums depend on what is added when
    tallies = [Tally({"mse": Wired(each)}) for each in errors]
    samples = [(torch.randn(n, 3), torch.randn(n, 3)) for n in (16, 7, 16, 1, 16, 9, 3)]
    for number, (outputs, targets) in enumerate(samples):
        if number == cut:
            torch.save([tallies[1].state(), errors[1].metric_state], tmp_path / "a.ckpt")
            state, counted = torch.load(tmp_path / "a.ckpt", weights_only=True)
            again = MeanSquaredError()
            tallies[1] = Tally({"mse": Wired(again)})
            for name, value in counted.items():
                setattr(again, name, value)
            tallies[1].load_state(state, torch.device("cpu"))
        for each in tallies:
            each.add(len(targets), {"loss": (outputs - targets).square().mean()}, outputs, targets)
    one, other = (each.compute() for each in tallies)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_state_of_a_tally_holds_no_more_than_it_counts(tmp_path: Path) -> None:
    everything = torch.randn(10_000, 3)
    counted = Tally({"mse": Wired(MeanSquaredError())})
    counted.add(4, {"loss": torch.tensor(1.0)}, everything[:4], everything[4:8])
    torch.save(counted.state(), tmp_path / "a.ckpt")
    assert (tmp_path / "a.ckpt").stat().st_size < 10_000

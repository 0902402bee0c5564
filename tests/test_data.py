"""In-memory data: splits, preprocessing, facts, batches and what a checkpoint keeps."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch import LightningModule, Trainer
from pydantic import ValidationError
from torch import Tensor, nn

import hydrantic.batches
from hydrantic import InMemoryData, InMemoryDataHparams, InvalidField, Samples
from hydrantic.batches import Batch, BatchLoader, Share
from hydrantic.data import part_sizes, split_indices
from tests.tiny import LIGHTNING_WARNINGS

pytestmark = [pytest.mark.filterwarnings(each) for each in LIGHTNING_WARNINGS]


class Numbered(InMemoryData[InMemoryDataHparams]):
    """Forty numbered samples of three classes; the first input value is the sample's number."""

    samples_there = 40

    def load(self) -> Samples:
        numbers = torch.arange(float(self.samples_there))
        inputs = torch.stack([numbers, numbers.square(), torch.full_like(numbers, 7.0)], dim=1)
        return Samples(inputs=inputs, targets=(numbers % 3).long(), task="multiclass", class_names=("a", "b", "c"))


class WithGaps(InMemoryData[InMemoryDataHparams]):
    """Twenty samples, of which every fourth lacks its value."""

    def load(self) -> Samples:
        inputs = torch.arange(20.0).reshape(-1, 1)
        inputs[::4] = torch.nan
        return Samples(inputs=inputs, targets=torch.arange(20.0).reshape(-1, 1), task="regression")


def numbers_in(loader: Any) -> list[int]:
    return [int(number) for inputs, _ in loader for number in inputs[:, 0]]


def at_rank(monkeypatch: pytest.MonkeyPatch, rank: int, world: int) -> None:
    monkeypatch.setattr(hydrantic.batches, "_processes", lambda: (world, rank))


# Splits


def test_fractions_share_out_all_samples() -> None:
    assert part_sizes((0.8, 0.1, 0.1), 1797) == (1438, 179, 180)


def test_lengths_are_taken_as_they_are() -> None:
    assert part_sizes((10000, 4000, 2000), 20000) == (10000, 4000, 2000)


def test_whole_numbers_that_sum_to_one_are_fractions() -> None:
    assert part_sizes((1, 0, 0), 50) == (50, 0, 0)


@given(
    st.integers(30, 5000),
    st.tuples(st.floats(0.1, 0.5), st.floats(0.1, 0.25), st.floats(0.1, 0.25)),
)
def test_each_fraction_is_met_within_one_sample(samples: int, split: tuple[float, float, float]) -> None:
    sizes = part_sizes(split, samples)

    assert all(abs(size - part * samples) <= 1 for size, part in zip(sizes, split, strict=True))
    assert sum(sizes) <= samples


def test_lengths_beyond_the_data_are_refused() -> None:
    with pytest.raises(InvalidField, match=r"split: asks for 30 \+ 10 \+ 10 samples, but the data has only 40"):
        Numbered({"split": [30, 10, 10]}).facts()


def test_a_fraction_too_small_for_a_sample_is_refused() -> None:
    with pytest.raises(InvalidField, match=r"split: leaves no test sample: 0.01 of 40 samples"):
        Numbered({"split": [0.9, 0.09, 0.01]}).facts()


@pytest.mark.parametrize("split", [[0.8, 0.2, 0.2], [0, 0.5, 0.5], [-0.1, 0.5, 0.5], [0.5, 0.5], [-3, 2, 2], "most"])
def test_an_impossible_split_is_refused_before_any_data_is_read(split: Any) -> None:
    with pytest.raises(ValidationError, match="split"):
        InMemoryDataHparams.from_dict({"split": split})


def test_parts_are_disjoint_and_complete() -> None:
    parts = Numbered().indices

    assert sorted(torch.cat(parts).tolist()) == list(range(40))


def test_lengths_that_sum_to_less_use_a_random_subset() -> None:
    used = torch.cat(Numbered({"split": [10, 5, 5]}).indices).tolist()

    assert len(set(used)) == 20
    assert sorted(used) != list(range(20))


def test_the_split_is_the_same_for_the_same_split_seed_whatever_else_is_random() -> None:
    torch.manual_seed(0)
    one = Numbered().indices
    torch.manual_seed(1)
    data = Numbered()
    data.seed = 99

    assert all(torch.equal(a, b) for a, b in zip(one, data.indices, strict=True))


def test_another_split_seed_is_another_split() -> None:
    assert not torch.equal(Numbered().indices[0], Numbered({"split_seed": 43}).indices[0])


def test_splitting_leaves_torchs_random_state_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    numbers_in(Numbered().train_dataloader())

    assert torch.equal(before, torch.get_rng_state())


def test_every_part_gets_its_share_of_every_class() -> None:
    classes = torch.tensor([0] * 700 + [1] * 200 + [2] * 100)
    parts = split_indices((800, 100, 100), 1000, 42, classes)

    counts = [classes[part].bincount(minlength=3).tolist() for part in parts]
    for count, size in zip(counts, (800, 100, 100), strict=True):
        assert all(abs(c - share * size) <= 1 for c, share in zip(count, (0.7, 0.2, 0.1), strict=True))


def test_a_class_of_one_sample_does_not_hinder_stratification() -> None:
    classes = torch.tensor([0] * 20 + [1])
    parts = split_indices((16, 3, 2), 21, 42, classes)

    assert sorted(torch.cat(parts).tolist()) == list(range(21))


def test_without_stratification_the_order_is_a_plain_permutation() -> None:
    (part,) = split_indices((40,), 40, 42)

    assert torch.equal(part, torch.randperm(40, generator=torch.Generator().manual_seed(42)))


def test_parts_that_the_source_has_split_itself_are_kept() -> None:
    class Presplit(Numbered):
        def load(self) -> Samples:
            from dataclasses import replace

            return replace(super().load(), parts=(torch.arange(30), torch.arange(30, 35), torch.arange(35, 40)))

    assert numbers_in(Presplit().test_dataloader()) == [35, 36, 37, 38, 39]


def test_a_part_of_nothing_has_no_batches() -> None:
    data = Numbered({"split": [0.9, 0.1, 0.0]})

    assert list(data.test_dataloader()) == []
    assert not data.test_dataloader()
    assert len(data.val_dataloader()) == 1


# Preprocessing


def test_standardization_is_fitted_to_the_training_part_alone() -> None:
    data = Numbered({"standardize": True})
    raw, (train, *_) = Numbered().samples.inputs, data.indices
    means, stds = raw[train].mean(0), raw[train].std(0, correction=0)
    stds[2] = 1

    torch.testing.assert_close(data.samples.inputs, (raw - means) / stds)
    assert not torch.allclose(raw[train].mean(0), raw.mean(0))


def test_other_test_samples_change_nothing_in_training() -> None:
    class Changed(Numbered):
        def load(self) -> Samples:
            samples = super().load()
            samples.inputs[Numbered().indices[2]] *= 1000
            return samples

    (inputs, _), (others, _) = (
        next(iter(cls({"standardize": True}).train_dataloader())) for cls in (Numbered, Changed)
    )

    assert torch.equal(inputs, others)


def test_a_constant_value_stays_finite() -> None:
    assert torch.equal(Numbered({"standardize": True}).samples.inputs[:, 2], torch.zeros(40))


def test_missing_values_become_the_mean_of_the_training_part() -> None:
    data = WithGaps()
    raw, (train, *_) = WithGaps().load().inputs, data.indices

    assert data.samples.inputs[0] == raw[train].nanmean()
    assert not data.samples.inputs.isnan().any()


def test_values_that_are_not_scalable_stay_as_they_are() -> None:
    class Partly(Numbered):
        def load(self) -> Samples:
            from dataclasses import replace

            return replace(super().load(), scalable=torch.tensor([True, False, False]))

    assert torch.equal(Partly({"standardize": True}).samples.inputs[:, 1:], Numbered().samples.inputs[:, 1:])


# Facts


def test_facts_state_all_that_is_known() -> None:
    facts = Numbered().facts()

    assert facts.task == "multiclass"
    assert (facts.input_shape, facts.in_features, facts.in_channels) == ((3,), 3, None)
    assert (facts.out_features, facts.num_classes, facts.num_labels) == (3, 3, None)
    assert facts.class_names == ("a", "b", "c")
    assert facts.class_counts == (11, 11, 10)
    assert facts.train_size == 32


def test_the_fingerprint_follows_content_and_names_only() -> None:
    class Renamed(Numbered):
        def load(self) -> Samples:
            from dataclasses import replace

            return replace(super().load(), class_names=("x", "y", "z"))

    fingerprint = Numbered().facts().fingerprint

    assert fingerprint == Numbered({"split_seed": 1, "standardize": True}).facts().fingerprint
    assert fingerprint != Renamed().facts().fingerprint
    assert fingerprint is not None
    assert len(fingerprint) == 16


def test_the_data_is_loaded_once() -> None:
    class Counting(Numbered):
        loads = 0

        def load(self) -> Samples:
            self.loads += 1
            return super().load()

    data = Counting()
    data.prepare_data()
    data.setup("fit")
    data.setup("test")
    data.facts()
    data.train_dataloader()

    assert data.loads == 1


def test_hyperparameters_are_typed_and_validated() -> None:
    assert Numbered({"batch_size": 8}).thparams.batch_size == 8
    with pytest.raises(ValueError, match="batch_size"):
        Numbered({"batch_size": 0})
    with pytest.raises(ValueError, match="batch_sise"):
        Numbered({"batch_sise": 8})


# Batches


def test_an_epoch_has_every_training_sample_once() -> None:
    data = Numbered({"batch_size": 7})

    assert sorted(numbers_in(data.train_dataloader())) == sorted(data.indices[0].tolist())


def test_inputs_and_targets_stay_together() -> None:
    for inputs, targets in Numbered({"batch_size": 7}).train_dataloader():
        assert torch.equal(inputs[:, 0].long() % 3, targets)


def test_the_order_differs_from_epoch_to_epoch_and_repeats_for_the_same_seed() -> None:
    one, other = Numbered().train_dataloader(), Numbered().train_dataloader()
    epochs = [numbers_in(one) for _ in range(3)]

    assert epochs[0] != epochs[1] != epochs[2]
    assert epochs == [numbers_in(other) for _ in range(3)]


def test_the_epoch_alone_decides_the_order() -> None:
    loader = Numbered().train_dataloader()
    first = numbers_in(loader)
    loader.set_epoch(0)

    assert numbers_in(loader) == first


def test_another_seed_is_another_order_in_every_epoch() -> None:
    def orders(seed: int) -> set[tuple[int, ...]]:
        data = Numbered()
        data.seed = seed
        loader = data.train_dataloader()
        return {tuple(numbers_in(loader)) for _ in range(5)}

    assert not orders(0) & orders(1)


def test_shuffle_off_keeps_the_order() -> None:
    data = Numbered({"shuffle": False})

    assert numbers_in(data.train_dataloader()) == data.indices[0].tolist()


def test_batches_in_order_are_views() -> None:
    data = Numbered({"batch_size": 2})
    inputs, _ = next(iter(data.val_dataloader()))

    assert inputs.data_ptr() == next(iter(data.val_dataloader()))[0].data_ptr()


@pytest.mark.parametrize(("drop_last", "sizes"), [(False, [12, 12, 8]), (True, [12, 12])])
def test_drop_last_leaves_out_the_smaller_batch(drop_last: bool, sizes: list[int]) -> None:
    loader = Numbered({"batch_size": 12, "drop_last": drop_last}).train_dataloader()

    assert [len(targets) for _, targets in loader] == sizes
    assert len(loader) == len(sizes)


def test_drop_last_that_would_leave_nothing_is_refused() -> None:
    with pytest.raises(InvalidField, match="drop_last: leaves no batch: 32 training samples and batches of 64"):
        Numbered({"drop_last": True}).facts()


def test_prediction_goes_through_all_samples_in_their_own_order() -> None:
    assert numbers_in(Numbered().predict_dataloader()) == list(range(40))


def test_a_loader_goes_on_in_the_middle_of_an_epoch() -> None:
    loader, resumed = (Numbered({"batch_size": 5}).train_dataloader() for _ in range(2))
    numbers_in(loader)
    batches = iter(loader)
    [next(batches) for _ in range(3)]
    resumed.load_state_dict(loader.state_dict())

    assert loader.state_dict() == {"epoch": 1, "next_batch": 3}
    assert numbers_in(resumed) == numbers_in(batches)
    assert numbers_in(resumed) == numbers_in(loader)


def test_a_state_after_the_last_batch_starts_the_epoch_that_is_set() -> None:
    loader = Numbered({"batch_size": 16}).train_dataloader()
    batches = iter(loader)
    [next(batches) for _ in range(2)]
    resumed = Numbered({"batch_size": 16}).train_dataloader()
    resumed.load_state_dict(loader.state_dict())
    resumed.set_epoch(1)

    assert len(numbers_in(resumed)) == 32


def shares(monkeypatch: pytest.MonkeyPatch, world: int, samples: int, **arguments: Any) -> list[list[Batch]]:
    """The batches of every process."""
    found = []
    for rank in range(world):
        at_rank(monkeypatch, rank, world)
        inputs = torch.arange(float(samples)).reshape(-1, 1)
        found.append(list(BatchLoader(inputs, torch.zeros(samples), 4, **arguments)))
    return found


def counted(batch: Batch) -> list[int]:
    """The samples of a share that count."""
    return numbers_in([batch])[: getattr(batch, "counted", None)]


@pytest.mark.parametrize("world", [2, 3, 5])
@pytest.mark.parametrize("samples", [31, 32, 33])
@pytest.mark.parametrize("shuffle", [True, False])
def test_processes_share_the_training_batches_of_one_process(
    monkeypatch: pytest.MonkeyPatch, world: int, samples: int, shuffle: bool
) -> None:
    [whole] = shares(monkeypatch, 1, samples, shuffle=shuffle)
    shared = shares(monkeypatch, world, samples, shuffle=shuffle, trains=True)
    assert {len(batches) for batches in shared} == {len(whole)}
    for batch, *parts in zip(whole, *shared, strict=True):
        assert len({len(inputs) for inputs, _ in parts}) == 1
        together = sorted(number for part in parts for number in numbers_in([part]))
        repeated = len(together) // len(batch[0])
        assert together == sorted(numbers_in([batch]) * repeated)
        assert sorted(number for part in parts for number in counted(part)) == sorted(numbers_in([batch]))


@pytest.mark.parametrize("samples", [1, 5, 8, 9, 17])
@pytest.mark.parametrize("world", [2, 3])
def test_processes_evaluate_every_sample_once_in_the_batches_of_one_process(
    monkeypatch: pytest.MonkeyPatch, samples: int, world: int
) -> None:
    [whole] = shares(monkeypatch, 1, samples)
    shared = shares(monkeypatch, world, samples)
    assert {len(batches) for batches in shared} == {len(whole)}
    for batch, *parts in zip(whole, *shared, strict=True):
        assert [number for part in parts for number in counted(part)] == numbers_in([batch])
        assert all(len(inputs) > 0 for inputs, _ in parts)


@pytest.mark.parametrize("shuffle", [True, False])
def test_drop_last_leaves_out_the_same_batch_in_every_process(monkeypatch: pytest.MonkeyPatch, shuffle: bool) -> None:
    for batches in shares(monkeypatch, 2, 33, shuffle=shuffle, drop_last=True, trains=True):
        assert [len(inputs) for inputs, _ in batches] == [2] * 8


def test_a_share_stays_one_on_another_device() -> None:
    data = Numbered({"batch_size": 16})
    share = Share.of((torch.zeros(3, 1), torch.zeros(3)), counted=1, weight=0.5)
    moved = data.transfer_batch_to_device(share, torch.device("meta"), 0)
    assert (moved.counted, moved.weight, moved[0].device.type) == (1, 0.5, "meta")


# Checkpoints


def test_a_checkpoint_restores_the_preprocessing_for_other_data() -> None:
    class Later(Numbered):
        samples_there = 10

    trained, later = Numbered({"standardize": True}), Later({"standardize": True})
    later.facts()
    later.load_state_dict(saved_and_loaded(trained.state_dict()))

    torch.testing.assert_close(later.samples.inputs, trained.samples.inputs[:10])


def test_other_data_than_was_trained_on_is_all_test_data() -> None:
    class Later(Numbered):
        samples_there = 10

    later = Later()
    later.load_state_dict(Numbered().state_dict())

    assert numbers_in(later.test_dataloader()) == list(range(10))
    with pytest.raises(InvalidField, match="nothing to train on"):
        later.train_dataloader()


def test_the_same_data_keeps_its_split_after_restoring() -> None:
    data, restored = Numbered({"standardize": True}), Numbered({"standardize": True})
    restored.load_state_dict(saved_and_loaded(data.state_dict()))

    assert all(torch.equal(a, b) for a, b in zip(data.indices, restored.indices, strict=True))
    assert torch.equal(data.samples.inputs, restored.samples.inputs)


def saved_and_loaded(state: Mapping[str, Any]) -> Any:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


class Remembering(LightningModule):
    """Notes which samples it sees in each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)
        self.epochs: list[list[int]] = []

    def on_train_epoch_start(self) -> None:
        self.epochs.append([])

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        self.epochs[-1] += batch[0][:, 0].long().tolist()
        return self.layer(batch[0]).square().mean() * 0

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        assert len(batch) == 2

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


def fit(data: InMemoryData[Any], epochs: int = 3) -> list[list[int]]:
    model = Remembering()
    trainer = Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(model, datamodule=data)
    return model.epochs


def test_lightning_sets_the_epoch_of_the_order() -> None:
    expected = Numbered({"batch_size": 8}).train_dataloader()

    assert fit(Numbered({"batch_size": 8})) == [numbers_in(expected) for _ in range(3)]


@pytest.mark.filterwarnings("ignore:Total length of `BatchLoader` across ranks is zero:UserWarning")
def test_lightning_trains_without_a_validation_part() -> None:
    assert len(fit(Numbered({"split": [0.9, 0.0, 0.1]}), epochs=1)[0]) == 36

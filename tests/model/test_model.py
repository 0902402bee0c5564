"""The model that Lightning trains, on its own and under a plain Trainer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from hydrantic.model.hparams import (
    CheckpointHparams,
    EarlyStoppingHparams,
    ModelHparams,
    OptimizerHparams,
    SchedulerHparams,
)
from hydrantic.model.model import Composition, Model
from hydrantic.model.tally import Wired
from tests.tiny import LIGHTNING_WARNINGS, quiet_trainer

pytestmark = [pytest.mark.filterwarnings(words) for words in LIGHTNING_WARNINGS]


class KiteHparams(ModelHparams):
    """How a kite is built."""

    width: int = 4
    """Number of sticks."""
    tails: int = 1


class Kite(Model[KiteHparams]):
    """Flies linearly."""

    def __init__(self, hparams: KiteHparams) -> None:
        super().__init__(hparams)
        self.sticks = nn.Linear(3, self.thparams.width)
        self.tails = nn.ModuleList(nn.Linear(self.thparams.width, 1) for _ in range(self.thparams.tails))
        self.paint = nn.ReLU()

    def forward(self, wind: Tensor) -> Tensor:
        lift = self.paint(self.sticks(wind))
        return torch.stack([tail(lift) for tail in self.tails]).sum(0)

    def compute_metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        error = outputs - targets
        return {"loss": error.square().mean(), "wobble": error.abs().mean()}


def _wind(samples: int = 20, batch_size: int = 8) -> DataLoader[tuple[Tensor, ...]]:
    features = torch.randn(samples, 3, generator=torch.Generator().manual_seed(1))
    return DataLoader(TensorDataset(features, features.sum(1, keepdim=True)), batch_size=batch_size)


def _fitted(model: Model[Any], folder: Path, **arguments: Any) -> pl.Trainer:
    trainer = quiet_trainer(**{"max_epochs": 2, "enable_checkpointing": True, "default_root_dir": folder} | arguments)
    trainer.fit(model, _wind(), _wind())
    return trainer


def test_the_hyperparameters_are_typed_and_validated() -> None:
    kite = Kite(KiteHparams(width=5))
    assert type(kite.thparams) is KiteHparams
    assert kite.thparams.width == 5


def test_a_mapping_is_validated_into_the_hyperparameters() -> None:
    kite = Kite(cast("KiteHparams", {"width": 6}))
    assert kite.thparams == KiteHparams(width=6)


def test_an_unknown_hyperparameter_is_refused() -> None:
    with pytest.raises(ValueError, match="widht"):
        Kite(cast("KiteHparams", {"widht": 6}))


def test_a_subclass_of_a_model_inherits_its_hyperparameters() -> None:
    class Stunt(Kite):
        pass

    assert Stunt(KiteHparams()).thparams == KiteHparams()


def test_parameters_are_counted_in_total_and_by_module() -> None:
    kite = Kite(KiteHparams(width=4, tails=2))
    assert kite.num_params_by_module == {"sticks": 16, "tails": 10}
    assert kite.num_params == 26


def test_only_trainable_parameters_are_counted() -> None:
    kite = Kite(KiteHparams())
    kite.sticks.requires_grad_(requires_grad=False)
    assert kite.num_params_by_module == {"tails": 5}


def test_a_model_without_a_loss_says_what_to_do() -> None:
    class Stone(Model[KiteHparams]):
        pass

    with pytest.raises(NotImplementedError, match="Stone has no loss: write compute_metrics"):
        Stone().compute_metrics(torch.zeros(1), torch.zeros(1))


def test_everything_that_is_computed_is_logged_for_each_stage(tmp_path: Path) -> None:
    kite = Kite(KiteHparams())
    trainer = _fitted(kite, tmp_path)
    fitted = set(trainer.callback_metrics)
    tested = set(trainer.test(kite, _wind(), verbose=False)[0])
    assert {"training/loss", "training/wobble", "validation/loss", "validation/wobble"} <= fitted
    assert tested == {"test/loss", "test/wobble"}


def test_the_logged_loss_is_the_mean_over_samples_not_over_batches(tmp_path: Path) -> None:
    kite = Kite(KiteHparams())
    loader = _wind(samples=10, batch_size=8)  # batches of eight and of two
    logged = quiet_trainer(default_root_dir=tmp_path).validate(kite, loader, verbose=False)[0]["validation/loss"]
    features, targets = cast("TensorDataset", loader.dataset).tensors
    with torch.no_grad():
        expected = kite.compute_metrics(kite(features), targets)["loss"].item()
    assert logged == pytest.approx(expected, rel=1e-6)


def test_a_checkpoint_holds_plain_types_and_loads_with_weights_only(tmp_path: Path) -> None:
    kite = Kite(KiteHparams(width=3, scheduler=SchedulerHparams(module_name="plateau")))
    trainer = _fitted(kite, tmp_path)
    best = Path(cast("ModelCheckpoint", trainer.checkpoint_callback).best_model_path)
    loaded = torch.load(best, weights_only=True)
    assert loaded["hyper_parameters"] == kite.thparams.to_plain()
    again = Kite.load_from_checkpoint(best, weights_only=True)
    assert again.thparams == kite.thparams
    wind = torch.ones(2, 3)
    kite.load_state_dict(loaded["state_dict"])
    torch.testing.assert_close(again(wind), kite(wind))


def test_checkpoints_lie_below_the_trainer_s_folder_and_show_the_value_they_monitor(tmp_path: Path) -> None:
    trainer = _fitted(Kite(KiteHparams()), tmp_path)
    names = sorted(file.name for file in (tmp_path / "checkpoints").iterdir())
    best = trainer.callback_metrics["validation/loss"].item()
    assert names == [f"epoch=01-validation_loss={best:.4g}.ckpt", "last.ckpt"]
    assert not any(re.search(r"=0\.00\.ckpt", name) for name in names)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["checkpoints"]


def test_the_file_name_of_a_checkpoint_can_be_chosen(tmp_path: Path) -> None:
    pattern = "kite-{epoch}-{validation/wobble:.3f}"
    trainer = _fitted(Kite(KiteHparams(checkpoint=CheckpointHparams(filename=pattern, save_last=False))), tmp_path)
    wobble = trainer.callback_metrics["validation/wobble"].item()
    assert [file.name for file in (tmp_path / "checkpoints").iterdir()] == [
        f"kite-epoch=1-validation_wobble={wobble:.3f}.ckpt"
    ]


def test_the_trainer_s_own_callbacks_stay(tmp_path: Path) -> None:
    stopping = EarlyStopping(monitor="validation/wobble", patience=7)
    checkpoint = ModelCheckpoint(dirpath=tmp_path / "mine", monitor="validation/wobble")
    hparams = KiteHparams(early_stopping=EarlyStoppingHparams(patience=1))
    trainer = _fitted(Kite(hparams), tmp_path, callbacks=[stopping, checkpoint])
    kept = [each for each in trainer.callbacks if isinstance(each, EarlyStopping | ModelCheckpoint)]  # type: ignore[attr-defined]
    assert kept == [stopping, checkpoint]
    assert not (tmp_path / "checkpoints").exists()


def test_a_trainer_without_callbacks_gets_those_of_the_hyperparameters(tmp_path: Path) -> None:
    hparams = KiteHparams(early_stopping=EarlyStoppingHparams(monitor="validation/wobble", patience=1, mode="max"))
    trainer = _fitted(Kite(hparams), tmp_path, max_epochs=30)
    stopping = trainer.early_stopping_callback
    assert stopping is not None
    assert (stopping.monitor, stopping.patience, stopping.mode) == ("validation/wobble", 1, "max")
    assert trainer.current_epoch < 30


def test_a_trainer_that_keeps_no_checkpoints_gets_none(tmp_path: Path) -> None:
    trainer = _fitted(Kite(KiteHparams()), tmp_path, enable_checkpointing=False)
    assert trainer.checkpoint_callback is None
    assert not list(tmp_path.iterdir())


def _schedule(hparams: KiteHparams) -> dict[str, Any]:
    chosen = cast("dict[str, Any]", Kite(hparams).configure_optimizers())
    schedule: dict[str, Any] = chosen["lr_scheduler"]
    return schedule


def test_a_scheduler_says_when_it_steps_and_what_it_watches() -> None:
    schedule = _schedule(KiteHparams(scheduler=SchedulerHparams(module_name="plateau")))
    assert isinstance(schedule["scheduler"], torch.optim.lr_scheduler.ReduceLROnPlateau)
    assert (schedule["interval"], schedule["frequency"], schedule["monitor"]) == ("epoch", 1, "validation/loss")


def test_a_scheduler_can_step_by_batches() -> None:
    chosen = SchedulerHparams(module_name="cosine", kwargs={"T_max": 5}, interval="step", frequency=2)
    schedule = _schedule(KiteHparams(scheduler=chosen))
    assert (schedule["interval"], schedule["frequency"]) == ("step", 2)


def test_a_plateau_lowers_the_learning_rate_of_a_real_training(tmp_path: Path) -> None:
    hparams = KiteHparams(
        optimizer=OptimizerHparams(module_name="sgd", kwargs={"lr": 1e-6}),
        scheduler=SchedulerHparams(module_name="plateau", kwargs={"patience": 0, "factor": 0.5, "threshold": 0.9}),
    )
    trainer = _fitted(Kite(hparams), tmp_path, max_epochs=3, num_sanity_val_steps=0)
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.25e-6)


def test_frozen_parameters_are_not_given_to_the_optimizer() -> None:
    kite = Kite(KiteHparams())
    kite.sticks.requires_grad_(requires_grad=False)
    optimizer = cast("torch.optim.Optimizer", kite.configure_optimizers())
    assert len(optimizer.param_groups[0]["params"]) == 2


def test_the_optimizer_is_fused_unless_it_says_how_it_runs() -> None:
    plain, foreach = (
        cast("torch.optim.Optimizer", Kite(KiteHparams(optimizer=chosen)).configure_optimizers())
        for chosen in (OptimizerHparams(), OptimizerHparams(kwargs={"foreach": True}))
    )
    assert plain.defaults["fused"] is True
    assert foreach.defaults["fused"] is None


@pytest.fixture
def _precision() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.usefixtures("_precision")
def test_the_precision_of_matrix_products_is_set_before_training(tmp_path: Path) -> None:
    torch.set_float32_matmul_precision("highest")
    _fitted(Kite(KiteHparams(matmul_precision="medium")), tmp_path, max_epochs=1)
    assert torch.get_float32_matmul_precision() == "medium"


@pytest.mark.usefixtures("_precision")
def test_the_precision_of_matrix_products_is_left_alone_by_default(tmp_path: Path) -> None:
    torch.set_float32_matmul_precision("high")
    _fitted(Kite(KiteHparams()), tmp_path, max_epochs=1)
    assert torch.get_float32_matmul_precision() == "high"


def test_the_same_seed_trains_to_the_same_weights(tmp_path: Path) -> None:
    weights = []
    for run in ("first", "second"):
        pl.seed_everything(7, verbose=False)
        kite = Kite(KiteHparams())
        _fitted(kite, tmp_path / run)
        weights.append(torch.cat([p.detach().flatten() for p in kite.parameters()]))
    assert torch.equal(*weights)


# -- batches, and networks composed with a loss -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch", "expected"), [([1, 2], (1, 2)), ((1, 2), (1, 2)), ({"x": 1}, ({"x": 1}, {"x": 1})), (3, (3, 3))]
)
def test_a_batch_is_a_pair_or_serves_as_both(batch: object, expected: tuple[object, object]) -> None:
    assert Kite(KiteHparams()).unpack(batch) == expected


class TwoWinds(nn.Module):
    """Reads two of the entries of a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, north: Tensor, west: Tensor) -> dict[str, Tensor]:
        return {"lift": self.layer(torch.stack([north, west], 1)).squeeze(1)}


def test_a_network_gets_the_entries_that_its_forward_names() -> None:
    model = Composition(ModelHparams(), TwoWinds())
    model.wire(Wired(nn.MSELoss(), input="lift", target="height"), {})
    batch = {"north": torch.ones(4), "west": torch.ones(4), "height": torch.zeros(4), "name": ["a"] * 4}
    loss = model.training_step(batch, 0)
    loss.backward()
    assert loss.item() == pytest.approx(model(batch)["lift"].square().mean().item())
    assert model.network.layer.weight.grad is not None


def test_a_loss_with_parameters_is_trained_too() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
            return (self.scale * (outputs - targets).square()).mean()

    model = Composition(ModelHparams(), nn.Linear(1, 1))
    model.wire(Wired(Scaled()), {})
    optimizer = cast("torch.optim.Optimizer", model.configure_optimizers())
    assert len(optimizer.param_groups[0]["params"]) == 3


def test_prediction_is_the_output_of_forward() -> None:
    kite = Kite(KiteHparams())
    wind = torch.ones(2, 3)
    assert torch.equal(kite.predict_step([wind, torch.zeros(2)], 0), kite(wind))

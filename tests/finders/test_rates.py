"""The learning-rate range test: which rate it suggests, on curves that are known and on real data."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest

import hydrantic
from hydrantic.errors import BlueprintError, Interrupted, RunFailed, UsageError
from hydrantic.finders.rates import Numbers, RateTest, judged, lr_find
from tests.finders.shelf import shelf
from tests.projects import DIGITS, write

pytestmark = pytest.mark.usefixtures("scratch")

RATES = np.geomspace(1e-6, 1.0, 121)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of temporary folders of its own, in which a person stands beside it."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


def _found(folder: Path, *overrides: str, text: str = DIGITS, steps: int = 40) -> RateTest:
    return lr_find(write(folder / "a.yaml", text), overrides, project=shelf(folder).root, steps=steps)


def _curve(middle: float, noise: float = 0.0) -> Numbers:
    """A loss that falls from 2 to 1 around a rate, and rises from 0.1 on."""
    logs = np.log10(RATES)
    falls = 1 / (1 + np.exp(-6 * (logs - math.log10(middle))))
    rises = np.clip(logs + 1, 0, None) ** 2 * 3
    return np.asarray(2 - falls + rises) + noise * np.random.default_rng(0).standard_normal(len(RATES))


# -- curves ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("middle", [1e-4, 1e-3, 1e-2])
def test_the_rate_at_which_the_loss_falls_fastest_is_suggested(middle: float, noise: float) -> None:
    found = judged(RATES, _curve(middle, noise))
    assert found.suggestion == pytest.approx(middle, rel=0.5)
    assert found.suggestion is not None
    assert found.lowest_at is not None
    assert found.suggestion < found.lowest_at
    assert found.notes == ()


def test_a_loss_that_only_wavers_suggests_nothing() -> None:
    found = judged(RATES, 2 + 0.1 * np.random.default_rng(1).standard_normal(len(RATES)))
    assert found.suggestion is found.lowest_at is None
    assert found.notes == ("the loss does not clearly fall at any of these rates: try another range, or more --steps",)


def test_a_loss_that_only_rises_suggests_nothing() -> None:
    assert judged(RATES, np.linspace(1, 3, len(RATES))).suggestion is None


def test_a_constant_loss_suggests_nothing() -> None:
    assert judged(RATES, np.zeros(len(RATES))).suggestion is None


def test_a_loss_that_still_falls_in_the_end_says_so() -> None:
    found = judged(RATES, 2 - np.linspace(0, 1, len(RATES)) ** 4)
    assert found.suggestion is not None
    assert found.notes == ("the loss still falls at the largest rate, 1: try a larger --max",)


def test_a_loss_that_becomes_nan_has_diverged() -> None:
    losses = np.append(_curve(1e-3)[:100], math.nan)
    found = judged(RATES[:101], losses)
    assert found.diverged_at == pytest.approx(RATES[100])
    assert found.suggestion == pytest.approx(1e-3, rel=0.5)
    assert len(found.smoothed) == 100


# -- real training -----------------------------------------------------------------------------------------------------


def test_a_blueprint_gets_a_rate_that_trains(tmp_path: Path) -> None:
    found = _found(tmp_path, steps=80)
    assert found.present == 1e-3
    assert found.suggestion is not None
    assert 1e-5 < found.suggestion < 1e-1
    assert found.rates[0] == pytest.approx(1e-8)
    assert len(found.rates) == len(found.losses)


def test_nothing_is_left_behind(tmp_path: Path, temporary: Path) -> None:
    _found(tmp_path, "callbacks={step: loud}", "checkpoint.save_last=true")
    assert list(temporary.iterdir()) == []
    assert not (tmp_path / "runs").exists()


def test_the_same_blueprint_gives_the_same_losses(tmp_path: Path) -> None:
    assert _found(tmp_path, steps=10).losses == _found(tmp_path, steps=10).losses


def test_the_random_state_is_what_it_was(tmp_path: Path) -> None:
    import torch

    before = torch.get_rng_state()
    _found(tmp_path, steps=10)
    assert torch.equal(torch.get_rng_state(), before)


def test_schedules_and_callbacks_take_no_part(tmp_path: Path) -> None:
    plain = _found(tmp_path, steps=30)
    text = (
        DIGITS
        + "scheduler: {name: exponential, gamma: 0.01, interval: step}\ncallbacks: {s: {name: swa, swa_lrs: 1.0}}\n"
    )
    scheduled = _found(tmp_path, text=text, steps=30)
    assert scheduled.losses == plain.losses
    assert scheduled.notes[0] == "callbacks that were left out: s"


def test_groups_of_parameters_keep_their_proportion(tmp_path: Path) -> None:
    text = "data: digits\nmodel: grouped\noptimizer: {name: sgd, lr: 0.01}\nloggers: {}\ncheckpoint: null\n"
    found = _found(tmp_path, text=text, steps=10)
    seen = sys.modules["registry.finders"].SEEN[:10]
    assert [head for _, head in seen] == pytest.approx(found.rates)
    assert [body for body, _ in seen] == pytest.approx([rate / 10 for rate in found.rates])


def test_accumulated_batches_are_one_step(tmp_path: Path) -> None:
    found = _found(tmp_path, "trainer.accumulate_grad_batches=3", steps=12)
    assert len(found.losses) == 12
    assert found.losses[0] == pytest.approx(2.3, abs=0.2)


def test_tiny_data_begins_anew(tmp_path: Path) -> None:
    assert len(_found(tmp_path, "data=sizeless", steps=10).losses) == 10


def test_a_regression_has_a_rate_too(tmp_path: Path) -> None:
    text = "data: diabetes\nmodel: {name: mlp, hidden_dims: [16]}\nloss: mse\nloggers: {}\n"
    assert _found(tmp_path, text=text, steps=60).suggestion is not None


def test_a_run_stands_for_its_blueprint(tmp_path: Path) -> None:
    run = hydrantic.fit(write(tmp_path / "a.yaml", DIGITS), project=shelf(tmp_path).root, runs=tmp_path / "runs")
    before = sorted(run.path.rglob("*"))
    found = lr_find(run.path, project=tmp_path, steps=10)
    assert found.losses == _found(tmp_path, steps=10).losses
    assert sorted(run.path.rglob("*")) == before


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_a_module_of_its_own_making_has_no_rate_to_find(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'own' is a LightningModule with an optimizer of its own making"):
        _found(tmp_path, text="data: digits\nmodel: own\nloggers: {}\n")


def test_a_loss_that_is_no_number_from_the_first_step_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="the loss is nan at the first step, before any learning rate has had"):
        _found(tmp_path, "model=hollow")


def test_an_error_of_the_model_names_its_place(tmp_path: Path, temporary: Path) -> None:
    with pytest.raises(RunFailed, match=r"failed: KeyError: 'this model has a fault'\n  at registry/finders\.py:"):
        _found(tmp_path, "model=broken")
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(("lowest", "highest"), [(0.0, 1.0), (1.0, 1.0), (2.0, 1.0), (1e-3, math.inf), (math.nan, 1.0)])
def test_a_range_that_is_none_is_refused(lowest: float, highest: float) -> None:
    with pytest.raises(UsageError, match="are no range"):
        lr_find("a.yaml", lowest=lowest, highest=highest)


def test_too_few_steps_are_refused() -> None:
    with pytest.raises(UsageError, match="9 steps show nothing: take 10 or more"):
        lr_find("a.yaml", steps=9)


def test_a_blueprint_with_problems_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BlueprintError, match="no field 'hiden'"):
        _found(tmp_path, "model.hiden=3")


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path, temporary: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from hydrantic.finders.profiling import profile

    with pytest.raises(Interrupted):
        profile(write(tmp_path / "a.yaml", DIGITS), ["+callbacks.stop=interrupting"], project=shelf(tmp_path).root)
    assert list(temporary.iterdir()) == []
    assert "interrupted; nothing is left behind" in capfd.readouterr().err

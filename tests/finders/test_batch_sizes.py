"""Batch sizes: which fit, which is suggested, and what becomes of those that do not fit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hydrantic.errors import BlueprintError, RunFailed, UsageError
from hydrantic.finders import pace
from hydrantic.finders.batch_sizes import BatchSizes, BatchTrial, Mode, batch_size_find
from hydrantic.finders.telling import tell_batch_sizes
from tests.finders.shelf import shelf
from tests.projects import DIGITS, write

pytestmark = pytest.mark.usefixtures("scratch")

CHECKOUT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of temporary folders of its own; each size takes three steps, without regard to time."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setattr(pace, "_SECONDS", 0.0)
    monkeypatch.chdir(tmp_path)
    return folder


def _found(
    folder: Path, *overrides: str, text: str = DIGITS, most: int | None = None, mode: Mode = "power"
) -> BatchSizes:
    blueprint = write(folder / "a.yaml", text)
    return batch_size_find(blueprint, overrides, project=shelf(folder).root, most=most, mode=mode)


def _sizes(found: BatchSizes) -> list[int]:
    return [each.size for each in found.trials]


def test_sizes_double_up_to_the_largest_to_try(tmp_path: Path) -> None:
    found = _found(tmp_path, most=100)
    assert _sizes(found) == [8, 16, 32, 64, 100]
    assert found.largest == 100
    assert found.limit == "the largest to try was 100"
    assert found.present == 64
    assert found.learning_rate == 1e-3
    assert all(each.fits and each.samples_per_second and each.milliseconds for each in found.trials)


def test_no_batch_is_larger_than_the_data(tmp_path: Path, temporary: Path) -> None:
    found = _found(tmp_path, "data.split=[60,20,20]")
    assert _sizes(found) == [8, 16, 32, 60]
    assert found.limit == "the data has no batch of more than 60 samples"
    assert list(temporary.iterdir()) == []


def test_data_that_does_not_state_its_size_is_a_bound_too(tmp_path: Path) -> None:
    assert _sizes(_found(tmp_path, "data=silent")) == [4, 8, 16, 32, 50]


def test_a_size_beyond_the_data_is_the_whole_of_it(tmp_path: Path) -> None:
    found = _found(tmp_path, "data.split=[60,20,20]", "data.batch_size=4096")
    assert (found.present, found.whole, found.present_in_effect) == (4096, 60, 60)
    told = tell_batch_sizes(found)
    assert "batches of 4,096" not in told


def test_data_smaller_than_the_first_size_is_tried_whole(tmp_path: Path) -> None:
    assert _sizes(_found(tmp_path, "data.split=[5,2,2]", "data.stratify=false")) == [5]


def test_data_that_would_leave_no_batch_ends_the_search(tmp_path: Path) -> None:
    found = _found(tmp_path, "data.split=[40,20,20]", "data.drop_last=true")
    assert _sizes(found) == [8, 16, 32, 64]
    assert found.largest == 32
    assert "the data refuses it" in str(found.trials[-1].reason)


@pytest.mark.parametrize("data", ["whole_batches", "stream"])
def test_data_of_its_own_making_that_has_no_batch_ends_the_search(tmp_path: Path, data: str) -> None:
    found = _found(tmp_path, f"data={data}")
    assert _sizes(found) == [4, 8, 16, 32, 64]
    assert found.largest == 32
    assert found.trials[-1].reason == "the data has no batch of so many samples"


@pytest.mark.parametrize("says", ["gpu", "cpu", "python"])
def test_a_size_that_does_not_fit_ends_the_doubling(tmp_path: Path, says: str) -> None:
    found = _found(tmp_path, f"model={{name: greedy, most: 40, says: {says}}}")
    assert _sizes(found) == [8, 16, 32, 64]
    assert [each.fits for each in found.trials] == [True, True, True, False]
    assert found.largest == 32
    assert found.limit is None
    assert found.trials[-1].reason


def test_the_largest_can_be_narrowed_down(tmp_path: Path) -> None:
    found = _found(tmp_path, "model={name: greedy, most: 43}", mode="binsearch")
    assert found.largest == 43
    assert _sizes(found) == sorted(_sizes(found))


def test_sizes_go_down_where_the_first_does_not_fit(tmp_path: Path) -> None:
    found = _found(tmp_path, "model={name: greedy, most: 2}")
    assert _sizes(found) == [2, 4, 8]
    assert found.largest == 2


def test_where_not_one_sample_fits_it_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"not even one of a single sample: .*CUDA out of memory"):
        _found(tmp_path, "model={name: greedy, most: 0}")


def test_a_size_that_memory_is_not_expected_to_hold_is_not_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hydrantic.finders.memory.available", lambda device: 1000)
    monkeypatch.setattr("hydrantic.finders.memory.resident", lambda: 0)
    peaks = iter([1000, 2000, 4000])
    monkeypatch.setattr("hydrantic.finders.memory.Peak.bytes", lambda self: next(peaks))
    found = _found(tmp_path)
    assert _sizes(found) == [8, 16, 32]
    assert str(found.trials[-1].reason).startswith("not tried: it would take about")
    assert found.largest == 16


def test_the_size_of_the_blueprint_is_always_tried(tmp_path: Path) -> None:
    assert _sizes(_found(tmp_path, "data.batch_size=25", most=32)) == [8, 16, 25, 32]


def test_a_module_of_its_own_making_has_batches_too(tmp_path: Path) -> None:
    found = _found(tmp_path, text="data: digits\nmodel: own\nloggers: {}\n", most=16)
    assert found.largest == 16
    assert found.learning_rate is None


def _sizes_with(*rates: float) -> BatchSizes:
    trials = tuple(BatchTrial(2**at, fits=True, samples_per_second=rate) for at, rate in enumerate(rates))
    return BatchSizes(trials, 1, "cpu", None)


def test_the_smallest_size_with_nine_tenths_of_the_best_rate_is_suggested() -> None:
    assert _sizes_with(10, 50, 91, 99, 100).suggestion == 4
    assert _sizes_with(10, 50, 60, 70, 100).suggestion == 16
    assert _sizes_with(10, 50, 40, 30).suggestion == 2


def test_data_without_batch_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the data 'sizeless' has no field batch_size that is a number"):
        _found(tmp_path, "data=sizeless")


def test_an_error_that_is_no_lack_of_memory_ends_the_search(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="KeyError: 'this model has a fault'"):
        _found(tmp_path, "model=broken")


def test_no_batch_has_no_samples() -> None:
    with pytest.raises(UsageError, match="no batch has 0 samples"):
        batch_size_find("a.yaml", most=0)


def test_a_blueprint_with_problems_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BlueprintError, match="no field 'hiden'"):
        _found(tmp_path, "model.hiden=3")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space as Linux does")
def test_a_real_lack_of_memory_is_survived(tmp_path: Path) -> None:
    shelf(tmp_path)
    write(tmp_path / "a.yaml", DIGITS.replace("model: mlp", "model: square"))
    script = """
import resource, sys
sys.path.insert(0, sys.argv[1])
import torch, lightning.pytorch
size = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmSize")) * 1024
resource.setrlimit(resource.RLIMIT_AS, (size + (1 << 30),) * 2)
from hydrantic.cli.main import main
sys.exit(main(["batch-size-find", "a.yaml", "--json", "--max", "256"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(CHECKOUT)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["trials"][-1]["fits"] is False
    assert "allocate memory" in found["trials"][-1]["reason"]
    assert 8 <= found["largest"] < 128

"""What is set for the whole process is put back, also after an error."""

from __future__ import annotations

import os

import pytest
import torch

from hydrantic.process import put_back, settings_as_they_were, share_threads, threads, use_threads


def disturb() -> None:
    os.environ["PL_GLOBAL_SEED"] = "7"
    os.environ["OMP_NUM_THREADS"] = "7"  # as Lightning does where several processes train
    del os.environ["PL_SEED_WORKERS"]
    torch.set_default_dtype(torch.float64)
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    torch.backends.cudnn.benchmark = True
    raise ValueError("stop")


def test_settings_are_as_they_were_also_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("PL_SEED_WORKERS", "1")
    with pytest.raises(ValueError, match="stop"), settings_as_they_were():
        disturb()
    assert "PL_GLOBAL_SEED" not in os.environ
    assert "OMP_NUM_THREADS" not in os.environ
    assert os.environ["PL_SEED_WORKERS"] == "1"
    assert torch.get_default_dtype() is torch.float32
    assert torch.get_deterministic_debug_mode() == 0
    assert torch.backends.cudnn.benchmark is False


def test_every_state_is_put_back_by_its_own_function() -> None:
    done: list[str] = []
    with put_back([(done.append, "first"), (done.append, "second")]):
        assert done == []
    assert done == ["first", "second"]


@pytest.mark.parametrize(
    ("said", "recorded", "count"),
    [(None, None, 2), ("3", None, 4), (None, 3, 3), ("1", 3, 3), (None, 10**9, 2), (None, 0, 2), (None, "3", 2)],
)
def test_processes_share_the_threads_unless_it_is_said_or_recorded_how_many(
    monkeypatch: pytest.MonkeyPatch, said: str | None, recorded: object, count: int
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if said is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", said)
    with settings_as_they_were():
        use_threads(4)
        share_threads(2, recorded=recorded)
        assert threads() == count

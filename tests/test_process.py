"""What is set for the whole process is put back, also after an error."""

from __future__ import annotations

import os

import pytest
import torch

from hydrantic.process import put_back, settings_as_they_were


def disturb() -> None:
    os.environ["PL_GLOBAL_SEED"] = "7"
    del os.environ["PL_SEED_WORKERS"]
    torch.set_default_dtype(torch.float64)
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    torch.backends.cudnn.benchmark = True
    raise ValueError("stop")


def test_settings_are_as_they_were_also_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    monkeypatch.setenv("PL_SEED_WORKERS", "1")
    with pytest.raises(ValueError, match="stop"), settings_as_they_were():
        disturb()
    assert "PL_GLOBAL_SEED" not in os.environ
    assert os.environ["PL_SEED_WORKERS"] == "1"
    assert torch.get_default_dtype() is torch.float32
    assert torch.get_deterministic_debug_mode() == 0
    assert torch.backends.cudnn.benchmark is False


def test_every_state_is_put_back_by_its_own_function() -> None:
    done: list[str] = []
    with put_back([(done.append, "first"), (done.append, "second")]):
        assert done == []
    assert done == ["first", "second"]

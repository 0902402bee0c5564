"""Tests of `hydrantic resume` as a person types it; what it does is tested where it is done."""

from __future__ import annotations

import pytest

from hydrantic.cli.main import main


def test_help_says_what_may_be_changed_and_what_not(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["resume", "--help"])
    assert left.value.code == 0
    told = capsys.readouterr().out
    assert "hydrantic resume runs/mlp trainer.max_epochs=40" in told
    assert "What decides\nhow long it trains may be changed" in told


def test_a_run_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resume"]) == 2
    assert capsys.readouterr().err.startswith("which run? hydrantic resume RUN")

"""When a loss has grown too far."""

from __future__ import annotations

import math

import pytest

from hydrantic.finders.divergence import Divergence


def _shown_at(losses: list[float]) -> int | None:
    divergence = Divergence()
    return next((at for at, loss in enumerate(losses) if divergence.shows_in(loss)), None)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_diverges_at_once(bad: float) -> None:
    assert _shown_at([1.0, bad]) == 1


def test_a_loss_that_falls_does_not_diverge() -> None:
    assert _shown_at([2.0 - 0.01 * step for step in range(100)]) is None


def test_one_high_loss_is_no_divergence() -> None:
    assert _shown_at([1.0] * 20 + [8.0] + [1.0] * 20) is None


def test_a_loss_that_stays_high_is_one() -> None:
    assert _shown_at([1.0] * 20 + [8.0] * 20) == 21


def test_a_loss_may_be_negative() -> None:
    assert _shown_at([-1.0 - 0.1 * step for step in range(100)]) is None
    assert _shown_at([-1.0] * 20 + [8.0] * 20) is not None

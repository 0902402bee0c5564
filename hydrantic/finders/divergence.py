"""When a loss has grown so far that no larger learning rate could be of use."""

from __future__ import annotations

import math
from typing import Final

_KEPT: Final = 0.9
"""Weight of the losses before in the running mean."""
_FIRST: Final = 5


class Divergence:
    """Looks at one loss after the other.

    A loss diverges where it is no number, or where its running mean is as far above the mean of the first losses as it
    has been below it, or above twice that mean. It may be negative.
    """

    def __init__(self) -> None:
        self._first: list[float] = []
        self._mean = 0.0
        self._best = math.inf

    def shows_in(self, loss: float) -> bool:
        """Whether the losses diverge with this one."""
        if not math.isfinite(loss):
            return True
        if len(self._first) < _FIRST:
            self._first.append(loss)
            self._mean = self._best = sum(self._first) / len(self._first)
            return False
        self._mean = _KEPT * self._mean + (1 - _KEPT) * loss
        self._best = min(self._best, self._mean)
        began = sum(self._first) / _FIRST
        return self._mean > began + max(began - self._best, abs(began))

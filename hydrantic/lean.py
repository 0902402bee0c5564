"""Sparing Lightning, in each step, the work that has no effect.

Lightning calls some thirty hooks per step, most of them empty, each inside a profiler that profiles nothing. It skips
a hook that is no function, which is what an empty one is made here.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, TypeVar

from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.profilers import PassThroughProfiler

H = TypeVar("H", Callback, LightningModule)

_IN_TRAINING: Final = (
    "on_train_batch_start",
    "on_train_batch_end",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
)
_IN_EVALUATION: Final = (
    "on_validation_batch_start",
    "on_validation_batch_end",
    "on_test_batch_start",
    "on_test_batch_end",
)
"""Hooks that Lightning calls in every step; of a module's it asks the signature in evaluation, so those stay."""

_NOTHING: Final = nullcontext()


class NoProfiler(PassThroughProfiler):
    """Profiles nothing, and costs nothing."""

    def profile(self, action_name: str) -> AbstractContextManager[Any]:  # type: ignore[override]  # no generator
        """A context that does nothing."""
        return _NOTHING


def without_empty_hooks(hooked: H) -> H:
    """The same callback or module, its empty per-step hooks no longer called."""
    empty: type = Callback if isinstance(hooked, Callback) else LightningModule
    for name in (*_IN_TRAINING, *(_IN_EVALUATION if empty is Callback else ())):
        if getattr(type(hooked), name) is getattr(empty, name) and name not in vars(hooked):
            object.__setattr__(hooked, name, None)
    return hooked

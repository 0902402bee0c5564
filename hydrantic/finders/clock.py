"""Telling what of a training's time goes into what, step by step."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, Final

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.profilers import PassThroughProfiler

from hydrantic.finders.pace import wait_for
from hydrantic.finders.rehearsal import Enough, device_of

DATA: Final = "data"
CALLBACKS: Final = "callbacks"
OTHER: Final = "other"
VALIDATION: Final = "validation"
LOGGING: Final = "logging"
CHECKPOINT: Final = "checkpoint"
_NEXT_BATCH: Final = ".train_dataloader_next"
_ENDINGS: Final = {
    ".batch_to_device": DATA,
    ".transfer_batch_to_device": DATA,
    ".on_before_batch_transfer": DATA,
    ".on_after_batch_transfer": DATA,
    ".training_step": "forward",
    ".backward": "backward",
    ".optimizer_step": "optimizer",
    ".optimizer_zero_grad": "optimizer",
    ".configure_gradient_clipping": "optimizer",
    ".lr_scheduler_step": "optimizer",
    ".on_train_epoch_end": "metrics",
    ".on_train_epoch_start": "metrics",
}
"""What Lightning calls a part of training, by the end of its name, and what it counts as."""
_OF_MODULE: Final = frozenset({".on_train_epoch_end", ".on_train_epoch_start"})
"""Ends of names that callbacks have too, where they count as callbacks."""


class Clock(PassThroughProfiler):
    """Charges each moment to one kind of work, and to one step; a step begins when its batch is asked for.

    It takes part as Lightning's profiler, and costs a look at the clock where a part begins and ends. A GPU is waited
    for there, so that its work is charged to what asked for it; that makes a step slower than it is without a clock.

    Arguments:
        spans: gives a context for each kind of work, such as one that notes it in a trace.
    """

    def __init__(self, spans: Callable[[str], AbstractContextManager[Any]] = lambda _: nullcontext()) -> None:
        super().__init__()
        self._spans = spans
        self._device = "cpu"
        self._stack: list[str] = []
        self._is_validating = False
        self._has_trained = True
        self._fetching = ExitStack()
        self._since = 0.0
        self.steps: list[dict[str, float]] = []
        """Seconds by kind of work, for each step."""

    def begin(self, device: str) -> None:
        """Start; what was before is charged to no step."""
        self._device = device
        self._since = time.perf_counter()

    def start(self, action_name: str) -> None:
        """A batch is asked for."""
        if not action_name.endswith(_NEXT_BATCH):
            return
        if self._has_trained:
            self._charge()
            self.steps.append(defaultdict(float))
            self._has_trained = False
        self._fetching.enter_context(self.charging(DATA))

    def stop(self, action_name: str) -> None:
        """The batch is there, or there is none."""
        if action_name.endswith(_NEXT_BATCH):
            self._fetching.close()

    @contextmanager
    def profile(self, action_name: str) -> Iterator[None]:
        """Charge what happens meanwhile to the kind of work that Lightning means."""
        kind = _kind_of(action_name)
        with nullcontext() if kind is None else self.charging(kind):
            yield

    @contextmanager
    def charging(self, kind: str) -> Iterator[None]:
        """Charge what happens meanwhile to a kind; validation stays one, but for what is logged and kept."""
        if self._is_validating and kind not in {LOGGING, CHECKPOINT}:
            yield
            return
        self._charge()
        self._stack.append(kind)
        try:
            with self._spans(kind):
                yield
        finally:
            self._charge()
            self._stack.pop()

    def end_batch(self) -> None:
        """A batch has been trained: the next one that is asked for is another step's."""
        self._has_trained = True

    def charged(self, kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, charged to a kind wherever it is called."""

        def call(*args: Any, **kwargs: Any) -> Any:
            with self.charging(kind):
                return function(*args, **kwargs)

        return call

    def validating(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, all of which is validation, the start and the end of a loader's workers included."""

        def call(*args: Any, **kwargs: Any) -> Any:
            self._charge()
            self._is_validating = True
            try:
                return function(*args, **kwargs)
            finally:
                self._charge()
                self._is_validating = False

        return call

    def _charge(self) -> None:
        wait_for(self._device)
        now = time.perf_counter()
        if self.steps:
            self.steps[-1][self._kind] += now - self._since
        self._since = now

    @property
    def _kind(self) -> str:
        if self._is_validating:
            return self._stack[-1] if self._stack and self._stack[-1] in {LOGGING, CHECKPOINT} else VALIDATION
        return self._stack[-1] if self._stack else OTHER


def _kind_of(action: str) -> str | None:
    if action == "save_checkpoint":
        return CHECKPOINT
    if action.startswith("[Callback]"):
        return None if action.startswith(f"[Callback]{Watch.__name__}") else CALLBACKS
    dot = action.rfind(".")
    kind = _ENDINGS.get(action[dot:])
    return None if action[dot:] in _OF_MODULE and not action.startswith("[LightningModule]") else kind


class Watch(Callback):
    """Tells a clock of steps, counts validations, and ends the training after so many steps.

    Arguments:
        clock: which is told.
        steps: number of batches.
        told: called after each.
    """

    def __init__(self, clock: Clock, steps: int, told: Callable[[], Any]) -> None:
        self._clock = clock
        self._most = steps
        self._told = told
        self._steps = 0
        self.validations = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._clock.begin(device_of(trainer))

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """End where there was enough: what follows the last step is that step's too."""
        if self._steps == self._most:
            raise Enough

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count."""
        self._steps += 1
        self._clock.end_batch()
        self._told()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count."""
        self.validations += 1

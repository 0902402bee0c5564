"""The callback with which the benchmark times hydrantic and the hand-written script alike."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from lightning.pytorch import Callback, Trainer


class Stopwatch(Callback):
    """Prints, as one line of JSON, the seconds to the first step and the seconds of each epoch after the first."""

    def __init__(self) -> None:
        self._began = float(os.environ["BENCHMARK_BEGAN"])
        self._first: float | None = None
        self._epoch = 0.0
        self._epochs: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:
        """Note the first step."""
        if self._first is None:
            self._first = time.time() - self._began

    def on_train_epoch_start(self, *_: Any) -> None:
        """Start the watch."""
        self._epoch = time.perf_counter()

    def on_train_epoch_end(self, *_: Any) -> None:
        """Stop the watch; a validation belongs to its epoch."""
        self._epochs.append(time.perf_counter() - self._epoch)

    def on_train_end(self, trainer: Trainer, *_: Any) -> None:
        """Tell."""
        told = {"first_step": self._first, "epochs": self._epochs[1:], "steps": trainer.num_training_batches}
        print("STOPWATCH " + json.dumps(told), flush=True)


if not os.environ.get("BENCHMARK_BY_HAND"):
    from hydrantic import register_callback

    register_callback("stopwatch")(Stopwatch)

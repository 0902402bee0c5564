"""Going on bit for bit: at moments when nothing is half done, a checkpoint holds all that the next step depends on.

Lightning's own checkpoints leave out random states, sums of the epoch at hand and the order of a shuffled loader, and
its loops repeat or skip updates when they go on. Here the loops say when a batch or an epoch is settled; checkpoints
are saved, and signals answered, only then.
"""

# ruff: noqa: SLF001 -- what Lightning leaves out can be got nowhere else

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.fabric.utilities.types import _Stateful
from lightning.pytorch.callbacks import StochasticWeightAveraging
from lightning.pytorch.loops.fetchers import _DataFetcher, _DataLoaderIterDataFetcher
from lightning.pytorch.loops.fit_loop import _FitLoop
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.trainer.connectors.logger_connector.result import _ResultCollection, _ResultMetric
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor
from torchmetrics import Metric

from hydrantic.lean import without_empty_hooks
from hydrantic.metrics_csv import MetricsCsv

State: TypeAlias = dict[str, Any]

KEY: Final = "exact"
"""The entry of a checkpoint from which training can go on bit for bit."""


@runtime_checkable
class Settling(Protocol):
    """A callback that acts when a batch or an epoch is settled."""

    def on_settled(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *, in_epoch: bool) -> None:
        """Act; `in_epoch` says that further batches of the epoch follow."""


@runtime_checkable
class Summing(Protocol):
    """A module that keeps sums over the epoch at hand."""

    def epoch_state(self) -> dict[str, Any]:
        """The sums as tensors and plain types."""

    def load_epoch_state(self, state: Mapping[str, Any]) -> None:
        """Take the sums over."""


class Exact(pl.Callback):
    """Lets each checkpoint of a settled moment carry what Lightning leaves out, and puts it back."""

    def __init__(self) -> None:
        self._in_epoch: bool | None = None
        self._epoch_began: dict[str, Any] | None = None
        self._listeners: tuple[Settling, ...] = ()
        self.pending: Mapping[str, Any] | None = None
        """What a checkpoint that was loaded holds, until it has been put back."""
        self.forgets_stop: bool = False
        """Whether training goes on though it had been told to stop: what told it has been changed."""

    @classmethod
    def into(cls, trainer: pl.Trainer) -> Exact:
        """Give a trainer loops that settle, and the callback that goes with them."""
        exact, before = cls(), trainer.fit_loop
        without_empty_hooks(exact)
        trainer.fit_loop = _ExactFitLoop(trainer, exact, before)
        trainer.callbacks.insert(0, exact)  # type: ignore[attr-defined]  # a list, as its users know
        return exact

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Find who acts when something is settled; the checkpoints come first, since a signal ends the run."""
        found = [each for each in trainer.callbacks if isinstance(each, Settling)]  # type: ignore[attr-defined]  # as above
        self._listeners = tuple(sorted(found, key=lambda each: not isinstance(each, pl.callbacks.Checkpoint)))

    def settle(self, trainer: pl.Trainer, *, in_epoch: bool) -> None:
        """Tell everyone that a batch or an epoch is settled."""
        self._in_epoch, module = in_epoch, trainer.lightning_module
        try:
            for each in self._listeners:
                each.on_settled(trainer, module, in_epoch=in_epoch)
        finally:
            self._in_epoch = None

    @contextmanager
    def ended(self) -> Iterator[None]:
        """What is saved inside is of the end of training, which is settled too."""
        self._in_epoch = False
        try:
            yield
        finally:
            self._in_epoch = None

    def note_epoch_begins(self, loop: _FitLoop) -> None:
        """Keep the random states from which loaders that keep none of their own draw the epoch's order."""
        if not _all_stateful(loop):
            self._epoch_began = _random_state(None, _generators(loop))

    # Saving.

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the state, if the moment is a settled one."""
        if self._in_epoch is None or (self._in_epoch and trainer.fit_loop._should_accumulate()):
            return
        states = _gathered(trainer, self._own_state(trainer, pl_module))
        checkpoint[KEY] = {
            "format": 1,
            "in_epoch": self._in_epoch,
            "should_stop": trainer.should_stop,
            "metrics_file": next((f.state_dict() for f in trainer.loggers if isinstance(f, MetricsCsv)), None),
            "processes": states,
        }

    def _own_state(self, trainer: pl.Trainer, module: pl.LightningModule) -> dict[str, Any]:
        connector = trainer._logger_connector
        state = {
            "random_states": _random_state(trainer.strategy.root_device, _all_generators(trainer.fit_loop)),
            "callback_metrics": _detached(trainer.callback_metrics),
            "logged_metrics": _detached(connector._logged_metrics),
        }
        if self._in_epoch:
            state |= {
                "epoch_began": self._epoch_began,
                "sums": module.epoch_state() if isinstance(module, Summing) else None,
                "metrics": _metric_states(module),
                "results": _result_states(trainer.fit_loop.epoch_loop._results),
            }
        return state

    # Going on.

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the state until training begins."""
        if trainer.state.fn is TrainerFn.FITTING:
            self.pending = checkpoint.get(KEY)

    @property
    def goes_on_in_epoch(self) -> bool:
        """Whether what is pending is of a moment within an epoch."""
        return self.pending is not None and bool(self.pending["in_epoch"])

    def own_pending(self, trainer: pl.Trainer) -> Mapping[str, Any]:
        """This process's part of what is pending."""
        assert self.pending is not None
        own: Mapping[str, Any] = self.pending["processes"][trainer.global_rank]
        return own

    def put_back_metrics(self, trainer: pl.Trainer) -> None:
        """Put back the latest values of what was logged, and whether training was told to stop."""
        if self.pending is None:
            return
        own, connector = self.own_pending(trainer), trainer._logger_connector
        connector._callback_metrics.update(_on(own["callback_metrics"], trainer))
        connector._logged_metrics.update(_on(own["logged_metrics"], trainer))
        trainer.should_stop = bool(self.pending["should_stop"]) and not self.forgets_stop

    def put_back_random(self, trainer: pl.Trainer) -> None:
        """Put back the random states."""
        state = self.own_pending(trainer)["random_states"]
        _put_back_random(state, trainer.strategy.root_device, _all_generators(trainer.fit_loop))

    def put_back_epoch(self, trainer: pl.Trainer) -> None:
        """Put back what had been summed up in the epoch."""
        own, module = self.own_pending(trainer), trainer.lightning_module
        if isinstance(module, Summing) and own["sums"] is not None:
            module.load_epoch_state(own["sums"])
        _load_metric_states(module, own["metrics"])
        epoch_loop = trainer.fit_loop.epoch_loop
        epoch_loop._results = _ContinuedResults(own["results"])
        trainer._logger_connector._first_loop_iter = True  # else Lightning would reset them in the first batch


class _ExactFitLoop(_FitLoop):
    """Lightning's loop over epochs, which goes on exactly where it was."""

    def __init__(self, trainer: pl.Trainer, exact: Exact, before: _FitLoop) -> None:
        super().__init__(trainer, before.min_epochs, before.max_epochs)
        self.exact = exact
        self.epoch_loop = _ExactEpochLoop(trainer, exact, before.epoch_loop)

    def run(self) -> None:
        if self.exact.pending is not None:
            for each in (self, self.epoch_loop, self.epoch_loop.val_loop):
                each._restarting = self.exact.goes_on_in_epoch
        super().run()
        self.exact.put_back_metrics(self.trainer)  # there was nothing left to train
        self.exact.pending = None

    def _load_combined_loader_states(self) -> None:
        # Called when the loaders are there and have not been asked for a batch.
        if self.exact.pending is None:
            self.exact.note_epoch_begins(self)
        elif self._combined_loader is not None and self.exact.goes_on_in_epoch and _all_stateful(self):
            self._combined_loader._load_state_dicts(self._combined_loader_states_to_load)
        self._combined_loader_states_to_load = []

    def on_run_start(self) -> None:
        super().on_run_start()
        self._set_up_validation()
        self.exact.put_back_metrics(self.trainer)
        callbacks: list[pl.Callback] = self.trainer.callbacks  # type: ignore[attr-defined]  # as above
        if self.exact.pending is not None and any(isinstance(c, StochasticWeightAveraging) for c in callbacks):
            _say("StochasticWeightAveraging keeps too little of its state: the numbers may differ from here on")

    def _set_up_validation(self) -> None:
        """Have the loaders of validation at once, whose generators go on too; Lightning has them where it is due."""
        if self.exact.pending is not None and self.trainer.val_dataloaders is None:
            self.trainer.validating = True
            self.epoch_loop.val_loop.setup_data()
            self.trainer.training = True

    def on_run_end(self) -> None:
        if self.exact.pending is not None:  # training had been told to stop: what is saved now is that same moment
            self.exact.put_back_random(self.trainer)
        super().on_run_end()

    def on_advance_start(self) -> None:
        if self.exact.pending is not None and not self.exact.goes_on_in_epoch:
            self.exact.put_back_random(self.trainer)
        super().on_advance_start()
        self._restarting = False  # else Lightning would leave out an update of the schedulers

    def on_advance_end(self) -> None:
        super().on_advance_end()
        self.exact.settle(self.trainer, in_epoch=False)


class _ExactEpochLoop(_TrainingEpochLoop):
    """Lightning's loop over batches, which goes on exactly where it was and tells when a batch is settled."""

    def __init__(self, trainer: pl.Trainer, exact: Exact, before: _TrainingEpochLoop) -> None:
        super().__init__(trainer, before.min_steps, before.max_steps)
        self.exact = exact
        self._has_advanced = False

    def reset(self) -> None:
        super().reset()
        self._has_advanced = False

    def on_run_start(self, data_fetcher: _DataFetcher) -> None:
        exact, trainer = self.exact, self.trainer
        self._restarting = False  # else Lightning would take the last validation for one that has yet to come
        if exact.pending is None:
            if trainer.current_epoch > 0:
                exact.note_epoch_begins(trainer.fit_loop)
            super().on_run_start(data_fetcher)
            return
        self._find_place(data_fetcher)
        super().on_run_start(data_fetcher)
        if exact.goes_on_in_epoch:
            exact.put_back_epoch(trainer)
            exact.put_back_random(trainer)
        exact.pending = None

    def _find_place(self, data_fetcher: _DataFetcher) -> None:
        """Let loaders that keep no state draw the epoch's order as they did, and pass over what was trained on."""
        exact, loop = self.exact, self.trainer.fit_loop
        seen = self.batch_progress.current.ready if exact.goes_on_in_epoch else 0
        if seen and _all_stateful(loop):
            return
        began = exact.own_pending(self.trainer)["epoch_began"] if seen else None
        if began is not None:
            _put_back_random(began, None, _generators(loop))
        exact.note_epoch_begins(loop)
        iter(data_fetcher)
        if seen:
            _say_what_loaders_change(data_fetcher)
        for _ in range(seen):
            next(data_fetcher)
        data_fetcher.fetched -= seen  # Lightning adds them

    def advance(self, data_fetcher: _DataFetcher) -> None:
        # Settled is a batch here, and not where it ends: only now is it known that another one follows.
        if self._has_advanced:
            self.exact.settle(self.trainer, in_epoch=True)
        self._has_advanced = True
        super().advance(data_fetcher)


def _all_stateful(loop: _FitLoop) -> bool:
    """Whether all loaders of training know by themselves where they are."""
    loader = loop._combined_loader
    return loader is None or all(isinstance(each, _Stateful) for each in loader.flattened)


def _generators(loop: _FitLoop) -> list[torch.Generator]:
    """The generators that the loaders of training have of their own."""
    loaders = [] if loop._combined_loader is None else loop._combined_loader.flattened
    return list({id(each): each for loader in loaders for each in _generators_of(loader)}.values())


def _all_generators(loop: _FitLoop) -> list[torch.Generator]:
    """Those of training, and then those that only the loaders of validation have."""
    validation = loop.epoch_loop.val_loop._combined_loader
    loaders = [] if validation is None else validation.flattened
    found = [*_generators(loop), *(each for loader in loaders for each in _generators_of(loader))]
    return list({id(each): each for each in found}.values())


def _generators_of(loader: Any) -> Iterator[torch.Generator]:
    batches = getattr(loader, "batch_sampler", None)
    owners = (loader, getattr(loader, "sampler", None), batches, getattr(batches, "sampler", None))
    for each in (*owners, getattr(loader, "dataset", None)):
        if isinstance(generator := getattr(each, "generator", None), torch.Generator):
            yield generator


def _say_what_loaders_change(data_fetcher: _DataFetcher) -> None:
    """Tell a person where the order or the contents of what is left of an epoch cannot be made the same."""
    loaders = data_fetcher.combined_loader.flattened
    if any(getattr(each, "persistent_workers", False) for each in loaders):
        _say("a data loader has persistent_workers: what its data set draws at random in them may differ")
    if isinstance(data_fetcher, _DataLoaderIterDataFetcher):
        _say("training_step takes a dataloader_iter: the batches that it had taken of this epoch come once more")


@rank_zero_only
def _say(note: str) -> None:
    print(f"note: {note}", file=sys.stderr)


# Random states.


def _random_state(device: torch.device | None, generators: Sequence[torch.Generator]) -> dict[str, Any]:
    """The state of every generator that a whole process shares, and of some more, as tensors and plain types."""
    _, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002 -- what components may use
    version, internal, python_gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device is not None and device.type == "cuda" else None,
        "numpy": {
            "keys": torch.from_numpy(np.asarray(keys).astype(np.int64)),
            "position": int(position),
            "has_gauss": int(has_gauss),
            "gauss": float(gauss),
        },
        "python": {"version": version, "internal": torch.tensor(internal), "gauss": python_gauss},
        "loaders": [each.get_state() for each in generators],
    }


def _put_back_random(
    state: Mapping[str, Any], device: torch.device | None, generators: Sequence[torch.Generator]
) -> None:
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] is not None and device is not None and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)
    for each, kept in zip(generators, state["loaders"], strict=False):
        each.set_state(kept.cpu())
    numpy, python = state["numpy"], state["python"]
    keys = numpy["keys"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", keys, numpy["position"], numpy["has_gauss"], numpy["gauss"]))  # noqa: NPY002 -- as above
    random.setstate((python["version"], tuple(python["internal"].tolist()), python["gauss"]))


# Sums of the epoch at hand.


def _metric_states(module: torch.nn.Module) -> dict[str, dict[str, Any]]:
    """The states of the metrics that have counted something, by their name in the module."""
    return {
        name: {"count": metric._update_count, "state": _detached(metric.metric_state)}
        for name, metric in module.named_modules()
        if isinstance(metric, Metric) and metric.update_called
    }


def _load_metric_states(module: torch.nn.Module, states: Mapping[str, Any]) -> None:
    for name, metric in module.named_modules():
        if isinstance(metric, Metric) and name in states:
            for key, value in states[name]["state"].items():
                setattr(metric, key, _moved(value, metric.device))
            metric._update_count, metric._computed = states[name]["count"], None


def _result_states(results: _ResultCollection) -> dict[str, dict[str, Any]]:
    """What `self.log` has added up; a metric that was logged itself is the module's."""
    return {
        key: {name: _detached(getattr(each, name)) for name in _SUMMED if hasattr(each, name)}
        for key, each in results.items()
        if each.is_tensor and not each.has_reset
    }


_SUMMED: Final = ("value", "cumulated_batch_size")


class _ContinuedResults(_ResultCollection):
    """Lightning's collection of what is logged in training; what was added up before is added to once it is logged."""

    def __init__(self, before: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(training=True)
        self._before = dict(before)

    def __setitem__(self, key: str, metric: _ResultMetric) -> None:
        for name, value in self._before.pop(key, {}).items():
            setattr(metric, name, value)
        super().__setitem__(key, metric)


def _detached(value: Any) -> Any:
    """The value on the CPU, as it is now."""
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, Mapping):
        return {str(name): _detached(part) for name, part in value.items()}
    return [_detached(part) for part in value] if isinstance(value, list | tuple) else value


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    return [_moved(part, device) for part in value] if isinstance(value, list) else value


def _on(values: Mapping[str, Any], trainer: pl.Trainer) -> dict[str, Any]:
    return {name: _moved(value, trainer.strategy.root_device) for name, value in values.items()}


def _gathered(trainer: pl.Trainer, state: dict[str, Any]) -> list[Any] | None:
    """The states of all processes in the leading one, which writes; None elsewhere."""
    if trainer.world_size == 1:
        return [state]
    states = [None] * trainer.world_size if trainer.is_global_zero else None
    torch.distributed.gather_object(state, states)
    return states

"""A model without weights and one batch: what tracing runs, and the process as it was afterwards."""

from __future__ import annotations

import copy
import logging
import random
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch import LightningDataModule, LightningModule, Trainer, seed_everything
from lightning.pytorch.utilities.combined_loader import CombinedLoader
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn
from torch.utils.data import DataLoader

from hydrantic.batches import BatchLoader
from hydrantic.build import unwired
from hydrantic.errors import BlueprintError, InvalidField
from hydrantic.model.model import Composition
from hydrantic.plan import Plan
from hydrantic.process import Restore, put_back, settings_as_they_were
from hydrantic.tracing.clashes import Anatomy, Built, own_place, told, watched
from hydrantic.tracing.footprint import SavedForBackward

META: Final = torch.device("meta")
CPU: Final = torch.device("cpu")
_PRECISIONS: Final = {
    "64": torch.float64, "64-true": torch.float64, "16-true": torch.float16, "bf16-true": torch.bfloat16,
}  # fmt: skip
"""Settings of `trainer.precision` that change the type of weights and inputs."""


class Untraceable(Exception):
    """Tracing cannot go on here; the message says why, in words."""


@dataclass(frozen=True)
class Body:
    """A model on a device, and what is known of its parts."""

    model: LightningModule
    anatomy: Anatomy
    device: torch.device

    @property
    def tensors(self) -> list[Tensor]:
        """Parameters and buffers."""
        return [*self.model.parameters(), *self.model.buffers()]

    @property
    def network(self) -> nn.Module:
        """What the blueprint chose as the model."""
        return self.model.network if isinstance(self.model, Composition) else self.model


@dataclass(frozen=True)
class Pass:
    """A forward pass: what went in (as given, and on the model's device), what came out, what autograd keeps of it."""

    body: Body
    given: Any
    inputs: Any
    outputs: Any
    kept: SavedForBackward
    finished: tuple[tuple[nn.Module, Any], ...]
    """What each module has put out, in their order: its shapes."""


def body_of(plan: Plan, device: torch.device) -> Body:
    """The model of a plan, without loss and metrics; on the meta device it has no weights.

    Raises:
        BlueprintError: it cannot be built.
    """
    if device != META:
        return _body(plan, device)
    try:
        return _body(plan, META)
    except BlueprintError:
        # A constructor may need values, as that of a drop rate for each layer. If it is wrong, it is so here too.
        body = _body(plan, CPU)
    _take_weights(body.model)
    return replace(body, device=META)


def _body(plan: Plan, device: torch.device) -> Body:
    built: Built = []
    seed_everything(plan.blueprint.seed, workers=True, verbose=False)
    with on(device):
        model = unwired(replace(plan, model=watched(plan.model, built)))
    if (precision := _precision_of(plan)) is not None:
        model = model.to(precision)
    if device == META:
        _take_weights(model)
    return Body(model, Anatomy(plan, built), device)


def _precision_of(plan: Plan) -> torch.dtype | None:
    """The type to which the trainer converts weights and inputs; None where it converts none."""
    return _PRECISIONS.get(str(plan.trainer["precision"]))


def on(device: torch.device) -> Any:
    """What is made meanwhile is made on the meta device; elsewhere everything is as in training."""
    return device if device == META else nullcontext()


def _take_weights(model: nn.Module) -> None:
    """Put on the meta device what is not there yet; what modules share they share afterwards."""
    moved: dict[int, Any] = {}
    for module in model.modules():
        parameters = module.named_parameters(recurse=False, remove_duplicate=False)
        for name, each in (*parameters, *module.named_buffers(recurse=False, remove_duplicate=False)):
            if each.device != META and not nn.parameter.is_lazy(each):
                setattr(module, name, moved.setdefault(id(each), _without_values(each)))


def _without_values(tensor: Tensor) -> Tensor:
    empty = tensor.detach().to(META)
    return nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty


def stand_ins(model: nn.Module) -> list[nn.Parameter]:
    """Parameters on the CPU of the same shapes and types as a model's, which take no memory."""
    return [each if nn.parameter.is_lazy(each) else _stand_in(each) for each in model.parameters()]


def _stand_in(parameter: nn.Parameter) -> nn.Parameter:
    one = torch.zeros((), dtype=parameter.dtype)
    return nn.Parameter(one.expand(parameter.shape), parameter.requires_grad)


def refuse_without_trainer(error: Exception) -> None:
    """Stop tracing where an exception says that a Trainer is missing, which there is in training.

    Raises:
        Untraceable: it does.
    """
    if isinstance(error, RuntimeError | AttributeError) and "trainer" in str(error).lower():
        raise Untraceable(f"the model, which asks its Trainer ({told(error)})") from error


def lacks_kernel(error: Exception) -> bool:
    """Whether an exception says that the CPU has not what a GPU may have, as for operations in half precision."""
    text = str(error).lower()
    in_half = "not implemented for" in text and ("half" in text or "bfloat16" in text)
    return in_half or any(each in text for each in ("cuda", "triton", "gpu"))


def make_ready(body: Body) -> None:
    """Call what Lightning calls of a model before its first step.

    Raises:
        Untraceable: that needs more than there is here, such as a Trainer.
    """
    try:
        with on(body.device):
            body.model.setup("fit")
            body.model.configure_model()
    except Exception as error:
        raise Untraceable(f"the model, whose setup fails without a Trainer ({told(error)})") from error
    if body.device == META:
        _take_weights(body.model)
    body.anatomy.watch(body.model)


def run_forward(body: Body, inputs: Any) -> Pass:
    """Run the model on inputs, which are put on its device; raises whatever the model raises."""
    body.anatomy.finished.clear()
    moved = move_data_to_device(inputs, body.device)
    with torch.enable_grad(), on(body.device), SavedForBackward() as kept:
        outputs = body.model(moved)
    return Pass(body, inputs, moved, outputs, kept, tuple(body.anatomy.finished))


def made_up(outputs: Any) -> Any:
    """Outputs as a loss and metrics on the CPU can read them; those without values get some between 0 and 1."""
    return apply_to_collection(outputs, Tensor, _made_up, allow_frozen=True)


def _made_up(output: Tensor) -> Tensor:
    if output.device != META:
        return output
    if not (output.is_floating_point() or output.is_complex()):
        return torch.zeros(output.shape, dtype=output.dtype)
    generator = torch.Generator().manual_seed(0)
    # Neither 0 nor 1: a probability as well as a raw value, and its logarithm is finite.
    values = 0.05 + 0.9 * torch.rand(output.shape, generator=generator)
    return values.to(output.dtype).requires_grad_(output.requires_grad)


@dataclass(frozen=True)
class FirstBatch:
    """The first training batch, and how an epoch goes on."""

    values: Any
    samples: int | None
    """Number of samples in an epoch, where its last batch may be smaller; None where that is not known or cannot be."""


def first_batch(plan: Plan, data: LightningDataModule) -> FirstBatch:
    """The first batch that the data's training loader gives, in this process.

    Raises:
        BlueprintError: it gives none.
        Untraceable: there is no loader, or it is empty.
    """
    if type(data).train_dataloader is LightningDataModule.train_dataloader:
        raise Untraceable(f"the batch: the data '{plan.data.name}' has no train_dataloader")
    try:
        try:
            batch = _first_batch(data)
        except AttributeError:
            if data.trainer is not None:
                raise
            data.trainer = _bystander()
            batch = _first_batch(data)
    except StopIteration as error:
        raise Untraceable(f"the batch: the training loader of '{plan.data.name}' gives none") from error
    except InvalidField as error:
        path = plan.data.places.get(error.field, (*plan.data.path, error.field))
        raise plan.refuse("refused-field", path, message=error.message) from error
    except Exception as error:
        message, at = told(error), own_place(error)
        raise plan.refuse("no-batch", ("data",), data=plan.data.name, message=message, at=at) from error
    return replace(batch, values=_in_precision(batch.values, _precision_of(plan)))


def _first_batch(data: LightningDataModule) -> FirstBatch:
    data.prepare_data()
    data.setup("fit")
    loaders = apply_to_collection(data.train_dataloader(), DataLoader, _in_process)
    if isinstance(loaders, list | tuple | Mapping):
        batch = next(iter(CombinedLoader(loaders, "max_size_cycle")))[0]
    else:
        batch = next(iter(loaders))
    batch = data.on_before_batch_transfer(batch, 0)
    batch = data.transfer_batch_to_device(batch, CPU, 0)
    return FirstBatch(data.on_after_batch_transfer(batch, 0), _samples_in(loaders))


def _in_process(loader: DataLoader[Any]) -> DataLoader[Any]:
    alone = copy.copy(loader)
    alone.num_workers, alone.timeout, alone.pin_memory = 0, 0, False
    return alone


def _samples_in(loader: Any) -> int | None:
    if getattr(loader, "drop_last", True):
        return None
    if isinstance(loader, BatchLoader):
        return len(loader.inputs)
    sized = isinstance(loader, DataLoader) and loader.batch_size is not None and hasattr(loader.sampler, "__len__")
    return len(loader.sampler) if sized else None


def _bystander() -> Trainer:
    """A Trainer for data modules that ask theirs, as for the number of processes."""
    return Trainer(
        accelerator="cpu", devices=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip


def _in_precision(batch: Any, dtype: torch.dtype | None) -> Any:
    def converted(tensor: Tensor) -> Tensor:
        return tensor.to(dtype) if tensor.is_floating_point() else tensor

    return batch if dtype is None else apply_to_collection(batch, Tensor, converted, allow_frozen=True)


def first_samples(values: Any, count: int, size: int) -> Any:
    """The first `count` samples of a batch of `size`; what is no tensor of so many stays."""

    def cut(tensor: Tensor) -> Tensor:
        return tensor[:count] if tensor.ndim and len(tensor) == size else tensor

    return apply_to_collection(values, Tensor, cut, allow_frozen=True)


@contextmanager
def process_as_it_was() -> Iterator[None]:
    """Put back whatever is set or drawn meanwhile, and let nobody's chatter through to the output."""
    logger = logging.getLogger("lightning.pytorch")
    states = [*_random_states(), (logger.setLevel, logger.level)]
    with settings_as_they_were(), put_back(states), warnings.catch_warnings(), redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        yield


def _random_states() -> list[Restore]:
    numpy_state = np.random.get_state()  # noqa: NPY002 -- the global state is what others may have touched
    states: list[Restore] = [
        (random.setstate, random.getstate()),
        (np.random.set_state, numpy_state),
        (torch.set_rng_state, torch.get_rng_state()),
    ]
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch's
        states.append((torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all()))
    return states

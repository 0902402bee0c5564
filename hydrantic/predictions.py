"""Predictions of a trained model as a table: a row per sample, in the terms of the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler

from hydrantic.answers import Answers, answering, answers
from hydrantic.batches import BatchLoader
from hydrantic.build import evaluator, facts_of
from hydrantic.data import InMemoryData
from hydrantic.errors import HydranticError, RunFailed, UsageError
from hydrantic.evaluating import as_it_was, failure, workplace
from hydrantic.interrupts import StopSignals
from hydrantic.model.model import Model, batch_size
from hydrantic.opening import Opened
from hydrantic.portable import preprocessing_of
from hydrantic.rundir import replacing
from hydrantic.source import display
from hydrantic.suiting import is_other, refuse_gone, refuse_unlike

if TYPE_CHECKING:
    import polars

Split = Literal["all", "training", "validation", "test"]
"""Which samples are predicted."""

SPLITS: Final[tuple[Split, ...]] = ("all", "training", "validation", "test")
FORMATS: Final = (".csv", ".parquet")
"""The endings of files that predictions can be written to."""

_PARTS: Final = SPLITS[1:]
_LOADERS: Final[Mapping[Split, tuple[str, str]]] = {
    "all": ("predict_dataloader", "predict"),
    "training": ("train_dataloader", "fit"),
    "validation": ("val_dataloader", "validate"),
    "test": ("test_dataloader", "test"),
}
"""A data module's method for each split, and the stage that it is set up for."""


def predict(opened: Opened, split: Split = "all") -> polars.DataFrame:
    """What an opened run says about each sample of its data.

    Columns: `id`, where the data names its samples, else `row`, the sample's row in its source, counted from 0; `part`
    (training, validation or test), where all of the data that the model was trained on is predicted. A data module
    without a `predict_dataloader` gives its test part for all. Then, by the task that the data states:

    - classes: `prediction`, the class's name, and `probability_<class>`;
    - labels: `prediction_<label>`, 0 or 1, and `probability_<label>`;
    - numbers: `prediction`, or `prediction_<target>` for several.

    And `target`, or `target_<name>` for several, where the data has targets. Outputs are taken as `hydrantic.answers`
    says. Where the data states no task, or the outputs do not suit it, they stand as they are:
    `output`, or `output_0` and so on.

    Arguments:
        opened: the run, with the overrides that name other data.
        split: which samples; other data than the model was trained on has no parts.

    Raises:
        UsageError: the data is not there any more, has no such part, or is not of the model's kind.
        BlueprintError: the data cannot be read.
        RunFailed: a prediction raised an error.
        Interrupted: SIGINT or SIGTERM arrived.
    """
    with as_it_was(opened):
        refuse_gone(opened)
        found = facts_of(opened.plan, opened.data)
        refuse_unlike(opened, found)
        if split != "all" and is_other(opened, found):
            raise UsageError(f"it is other data than the run was trained on, which has no {split} part; take all of it")
        samples = _samples(opened, split, is_other=is_other(opened, found))
        return _table(opened, samples, _collected(opened, samples))


def ask(opened: Opened, inputs: Any) -> Any:
    """The outputs of an opened run's model for raw inputs, preprocessed as in training.

    Arguments:
        opened: the run.
        inputs: a tensor or array `(samples, ...)`, or whatever else the model takes.

    Raises:
        UsageError: the inputs do not have the shape of those that the model was trained on.
    """
    given = torch.as_tensor(inputs) if hasattr(inputs, "__array__") or isinstance(inputs, list) else inputs
    if isinstance(given, Tensor):
        _refuse_other_shape(given, opened.facts.input_shape)
    with torch.no_grad():
        parameter = next(opened.model.parameters(), torch.empty(0))
        prepared = preprocessing_of(opened.data)(_placed(given, parameter.device))
        return opened.model(_typed(prepared, parameter.dtype))


def _refuse_other_shape(inputs: Tensor, shape: tuple[int, ...] | None) -> None:
    if shape is not None and tuple(inputs.shape[1:]) != shape:
        expected = ", ".join(map(str, ("samples", *shape)))
        raise UsageError(f"inputs have the shape ({expected}), not {tuple(inputs.shape)}")


def _placed(inputs: Any, device: torch.device) -> Any:
    if isinstance(inputs, Mapping):
        return {name: _placed(each, device) for name, each in inputs.items()}
    return inputs.to(device) if isinstance(inputs, Tensor) else inputs


def _typed(inputs: Any, dtype: torch.dtype) -> Any:
    """Floating point inputs in the type that the model computes with."""
    return inputs.to(dtype) if isinstance(inputs, Tensor) and inputs.is_floating_point() else inputs


# Samples.


@dataclass(frozen=True)
class _Samples:
    """What is to be predicted, and what is known of each sample beforehand."""

    data: LightningDataModule
    loader: Any = None
    """The batches; None asks the data module itself."""
    ids: Any = None
    rows: Tensor | None = None
    parts: polars.Series | str | None = None
    """The part that each of them is in, or all of them are."""
    targets: Tensor | None = None


def _samples(opened: Opened, split: Split, *, is_other: bool) -> _Samples:
    data = opened.data
    if isinstance(data, InMemoryData):
        return _in_memory(data, split, is_other=is_other)
    is_told = split != "all" or is_overridden("predict_dataloader", data)
    method, stage = _LOADERS[split if is_told else "test"]
    if not is_overridden(method, data):
        raise UsageError(f"'{opened.plan.data.name}' has nothing to predict: it defines no {method}")
    if method == "predict_dataloader":
        return _Samples(data)
    data.prepare_data()
    data.setup(stage)
    return _Samples(data, _in_order(getattr(data, method)()), parts=None if is_told else "test")


def _in_order(loader: Any) -> Any:
    """A loader that shuffles, without: so that a row is the sample's place in its data set."""
    if not isinstance(loader, DataLoader) or not isinstance(loader.sampler, RandomSampler):
        return loader
    kept = {name: getattr(loader, name) for name in ("dataset", "batch_size", "collate_fn", "num_workers")}
    return DataLoader(**kept)


def _in_memory(data: InMemoryData[Any], split: Split, *, is_other: bool) -> _Samples:
    samples = data.samples
    rows = torch.arange(len(samples)) if samples.rows is None else samples.rows
    if split == "all" or is_other:
        parts = None if is_other else _parts(data)
        return _Samples(data, None, samples.ids, rows, parts, samples.targets)
    which = data.indices[_PARTS.index(split)].sort().values
    if len(which) == 0:
        raise UsageError(f"the data has no {split} part: data.split leaves no sample for it")
    loader = BatchLoader(samples.inputs[which], samples.targets[which], data.thparams.batch_size)
    ids = None if samples.ids is None else _chosen(samples.ids, which)
    return _Samples(data, loader, ids, rows[which], None, samples.targets[which])


def _parts(data: InMemoryData[Any]) -> polars.Series:
    """The name of each sample's part; null for one that `split` leaves over."""
    codes = torch.zeros(len(data.samples), dtype=torch.int64)
    for number, which in enumerate(data.indices, start=1):
        codes[which] = number
    return _chosen((None, *_PARTS), codes)


def _chosen(names: Sequence[str | None], indices: Tensor) -> polars.Series:
    """The names at these indices, without a look at each by itself."""
    import polars

    return polars.Series(names, dtype=polars.String)[indices.numpy()]


# Outputs.


class _Collected(Callback):
    """Keeps the outputs, and the targets that come with the batches, in the CPU's memory."""

    def __init__(self, *, with_targets: bool, target: str | None) -> None:
        self.outputs: list[Any] = []
        self.targets: list[Tensor] = []
        self._with_targets = with_targets
        self._target = target

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Keep what a batch came to."""
        size = batch_size(batch)
        self.outputs.append(_kept(outputs, size))
        if self._with_targets and (found := _target_of(pl_module, batch, self._target, size)) is not None:
            self.targets.append(found)


def _kept(outputs: Any, size: int) -> Any:
    """The tensors of outputs with a value for each sample of a batch, flat where they are nested."""
    if isinstance(outputs, Tensor):
        return outputs.detach().cpu().reshape(1) if outputs.ndim == 0 else outputs.detach().cpu()
    items = outputs.items() if isinstance(outputs, Mapping) else enumerate(outputs)
    return {
        str(name): each.detach().cpu()
        for name, each in items
        if isinstance(each, Tensor) and each.ndim and len(each) == size
    }


def _target_of(model: LightningModule, batch: Any, key: str | None, size: int) -> Tensor | None:
    """What a batch says is right, where it says so in a tensor with a value for each sample."""
    if isinstance(model, Model):
        inputs, found = model.unpack(batch)
        found = None if found is inputs and key is None else found
    else:
        found = batch[1] if isinstance(batch, list | tuple) and len(batch) == 2 else None
    if key is not None and isinstance(found, Mapping):
        found = found.get(key)
    fits = isinstance(found, Tensor) and 0 < found.ndim <= 2 and len(found) == size
    return found.detach().cpu() if fits and isinstance(found, Tensor) else None


def _collected(opened: Opened, samples: _Samples) -> _Collected:
    loss = opened.plan.loss
    wiring: Mapping[str, Any] = {} if loss is None or loss.wiring is None else loss.wiring
    collected = _Collected(with_targets=samples.targets is None, target=wiring.get("target"))
    signals = StopSignals()
    try:
        with workplace() as directory, signals, _taking_pairs(opened.model):
            trainer = evaluator(opened.plan, directory, (signals, collected))
            source = {"datamodule": samples.data} if samples.loader is None else {"dataloaders": samples.loader}
            trainer.predict(opened.model, **source, return_predictions=False)
    except HydranticError:
        raise
    except Exception as error:
        raise failure("predict", error, error) from error
    finally:
        opened.model.eval()
    return collected


@contextmanager
def _taking_pairs(model: LightningModule) -> Iterator[None]:
    """Let a module that says nothing of predictions be asked with the inputs of a pair, as its `forward` expects."""
    if is_overridden("predict_step", model):
        yield
        return

    def predict_step(batch: Any, *_: Any) -> Any:
        return model(batch[0] if isinstance(batch, list | tuple) else batch)

    object.__setattr__(model, "predict_step", predict_step)
    try:
        yield
    finally:
        object.__delattr__(model, "predict_step")


# The table.


def _table(opened: Opened, samples: _Samples, collected: _Collected) -> polars.DataFrame:
    import polars

    outputs = _joined(collected.outputs)
    columns = _said(outputs, opened)
    targets = samples.targets if samples.targets is not None else _one(collected.targets)
    count = len(next(iter(columns.values()), ()))
    columns = _before(samples, count) | columns
    if targets is not None and len(targets) == count:
        columns |= _targets(targets, opened)
    return polars.DataFrame(columns)


def _joined(outputs: Sequence[Any]) -> Any:
    """The outputs of all batches as one.

    Raises:
        UsageError: there are none, or they differ from batch to batch.
    """
    if not outputs:
        raise UsageError("there is nothing to predict: the data has no samples")
    first = outputs[0]
    try:
        if isinstance(first, Tensor):
            return torch.cat(list(outputs))
        joined = {name: torch.cat([each[name] for each in outputs]) for name in first}
    except (RuntimeError, KeyError, TypeError) as error:
        raise UsageError(f"the model's outputs differ from batch to batch: {error}") from error
    if not joined:
        raise UsageError("the model returns no tensor with a value for each sample")
    return joined


def _one(parts: Sequence[Tensor]) -> Tensor | None:
    shapes = {part.shape[1:] for part in parts}
    return torch.cat(list(parts)) if len(shapes) == 1 else None


def _before(samples: _Samples, count: int) -> dict[str, Any]:
    if samples.ids is not None:
        columns: dict[str, Any] = {"id": samples.ids}
    else:
        columns = {"row": range(count) if samples.rows is None else samples.rows.numpy()}
    return columns if samples.parts is None else columns | {"part": samples.parts}


def _said(outputs: Any, opened: Opened) -> dict[str, Any]:
    """The columns of the predictions."""
    key = answering(opened.model)
    try:
        said = answers(outputs, opened.facts, key) if opened.facts.task is not None else None
    except (UsageError, KeyError, IndexError):
        said = None
    if said is None:
        return _raw(outputs)
    if said.task == "regression":
        return _wide("prediction", said.values, said.names)
    assert said.probabilities is not None  # those of classes and labels
    probabilities = _wide("probability", said.probabilities, said.names, always_named=True)
    if said.task == "multilabel":
        return _wide("prediction", said.values, said.names, always_named=True) | probabilities
    return {"prediction": _classes(said, opened)} | probabilities


def _classes(said: Answers, opened: Opened) -> Any:
    """The names of classes, or their indices where they have none."""
    return _chosen(said.names, said.values) if opened.facts.class_names else said.values.numpy()


def _raw(outputs: Any) -> dict[str, Any]:
    if isinstance(outputs, Tensor):
        return _flat("output", outputs)
    return {name: each for key, part in outputs.items() for name, each in _flat(f"output_{key}", part).items()}


def _flat(name: str, values: Tensor) -> dict[str, Any]:
    wide = values.reshape(len(values), -1)
    return _wide(name, wide, tuple(str(number) for number in range(wide.shape[1])))


def _wide(name: str, values: Tensor, names: Sequence[str], *, always_named: bool = False) -> dict[str, Any]:
    """A column for each value of a sample; the only one is called by `name` alone."""
    wide = values.float() if values.dtype in {torch.bfloat16, torch.float16} else values
    if wide.shape[1] == 1 and not always_named:
        return {name: wide[:, 0].numpy()}
    return {f"{name}_{each}": wide[:, number].numpy() for number, each in enumerate(names)}


def _targets(targets: Tensor, opened: Opened) -> dict[str, Any]:
    """The columns of what is right; none where nothing is known."""
    facts = opened.facts
    if targets.ndim == 1 and facts.class_names and not targets.is_floating_point():
        count = len(facts.class_names)
        known = torch.where((targets >= 0) & (targets < count), targets, count)
        return {} if bool((known == count).all()) else {"target": _chosen((*facts.class_names, None), known)}
    wide = targets.reshape(len(targets), -1)
    stated = facts.target_names or ()
    names_of = stated if len(stated) == wide.shape[1] else tuple(map(str, range(wide.shape[1])))
    if facts.task == "multilabel" and not bool(wide.isnan().any()):
        wide = wide.long()
    columns = _wide("target", wide, names_of, always_named=facts.task == "multilabel")
    is_known = (wide >= 0) if not wide.is_floating_point() and facts.task != "regression" else ~wide.isnan()
    return columns if bool(is_known.any()) else {}


# Files.


def refuse_unwritable(file: Path, opened: Opened, *, is_chosen: bool) -> None:
    """Refuse a file that predictions cannot or should not be written to, before any are made.

    Arguments:
        file: where they are to go.
        opened: the run, whose own files and data are not overwritten.
        is_chosen: whether a person has named the file, so that an older one of that name may be replaced.

    Raises:
        UsageError: it ends otherwise, lies in no folder, is one of the run's or the data's, or is there already.
    """
    if file.suffix.lower() not in FORMATS:
        raise UsageError(f"{display(file)}: predictions are written to a file that ends in {' or '.join(FORMATS)}")
    if not file.parent.is_dir():
        raise UsageError(f"{display(file)}: there is no folder {display(file.parent)}")
    if file.is_dir():
        raise UsageError(f"{display(file)} is a folder")
    if not file.exists():
        return
    if not is_chosen:
        raise UsageError(f"{display(file)} is there already; say -o {file} to replace it, or name another file")
    taken = [each for each in opened.plan.data.hparams.values() if isinstance(each, Path)]
    if opened.found.directory is not None:
        taken.append(opened.found.directory / "metrics.csv")
    if any(each.exists() and each.samefile(file) for each in taken):
        raise UsageError(f"{display(file)} is what the predictions are made of; name another file")


def write(frame: polars.DataFrame, file: Path) -> None:
    """Write predictions as CSV or Parquet, by the file's ending; the file is complete or the one before.

    Raises:
        RunFailed: the disk is full, or the folder is not writable.
    """
    try:
        with replacing(file) as stream:
            writers: Mapping[str, Callable[[Any], Any]] = {".csv": frame.write_csv, ".parquet": frame.write_parquet}
            writers[file.suffix.lower()](stream)
    except OSError as error:
        raise RunFailed(f"{display(file)} cannot be written: {error.strerror or error}") from error

"""Exporting a trained model, with its preprocessing, to a file that other programs run."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import torch

from hydrantic.errors import UsageError
from hydrantic.exporting.formats import FORMATS, ExportFailed, Format, flat, format_of, read_weights, reason
from hydrantic.exporting.metadata import Shapes, metadata_of, names_of, shape_of
from hydrantic.exporting.parity import compare, compare_weights
from hydrantic.opening import Opened, open_run
from hydrantic.portable import Inputs, Portable, inputs_of
from hydrantic.run import Run
from hydrantic.rundir import replacing
from hydrantic.source import display

__all__ = ["Exported", "export", "export_described"]


@dataclass(frozen=True)
class Exported:
    """What was exported."""

    file: Path
    format: str
    size: int
    """Bytes."""
    inputs: Shapes
    """Shape of each input; `batch` stands for any number of samples."""
    outputs: Shapes
    """Shape of each output."""
    difference: float
    """How far its outputs are from the model's at most."""
    notes: tuple[str, ...] = ()
    """What has changed of the run's components since, a line each."""


def export(
    run: Run | str | Path,
    format: str = "onnx",  # noqa: A002 -- what everybody calls it
    file: str | Path | None = None,
    *,
    force: bool = False,
    project: str | Path | None = None,
) -> Path:
    """Export a trained model with its preprocessing; its outputs are compared before anything is written.

    Arguments:
        run: a run, its directory, or a checkpoint.
        format: `onnx`, `torch_export`, `torchscript` or `safetensors`.
        file: where to; by default `model.onnx` (`.pt2`, `.ts`, `.safetensors`) in the run's directory.
        force: whether to replace a file that is there.
        project: whose components may be used; by default the project that holds the working directory.

    Returns:
        The file.

    Raises:
        UsageError: there is no such run or format, the file ends as one of another format, or is there already.
        CheckpointError: the checkpoint is damaged or foreign.
        ExportFailed: the model cannot be exported in this format, gives other outputs then, or cannot be written.
    """
    return export_described(run, format, file, force=force, project=project).file


def export_described(
    run: Run | str | Path,
    format: str,  # noqa: A002 -- as above
    file: str | Path | None = None,
    *,
    force: bool = False,
    project: str | Path | None = None,
) -> Exported:
    """As `export`, and what there is to say about it."""
    chosen = format_of(format)
    if file is not None:
        _refuse_other_ending(Path(file), format)
        _refuse_target(Path(file), force=force)
    opened = run.reopened() if isinstance(run, Run) else open_run(run, project=project)
    target = _beside(opened, chosen) if file is None else Path(file)
    _refuse_target(target, force=force)
    with _quietly():
        return _exported(opened, format, chosen, target)


def _beside(opened: Opened, chosen: Format) -> Path:
    if opened.found.named is None and opened.found.directory is not None:
        return opened.found.directory / f"model{chosen.ending}"
    return opened.checkpoint.with_suffix(chosen.ending)


def _refuse_other_ending(file: Path, name: str) -> None:
    """Refuse a file whose ending says that it is of another format."""
    meant = next((other for other, each in FORMATS.items() if each.ending == file.suffix.lower()), name)
    if meant != name:
        ending = FORMATS[name].ending
        raise UsageError(
            f"{display(file)} would be taken for {meant}, and the format is to be {name}: name a file that ends in "
            f"{ending}, or choose the format {meant}"
        )


def _refuse_target(file: Path, *, force: bool) -> None:
    if file.is_dir():
        raise UsageError(f"{display(file)} is a folder; name a file in it")
    if not file.parent.is_dir():
        raise UsageError(f"there is no folder {display(file.parent)}")
    if file.exists() and not force:
        raise UsageError(f"{display(file)} is there already; --force replaces it")
    if not os.access(file.parent, os.W_OK):
        raise UsageError(f"{display(file.parent)} cannot be written to; name another place with -o FILE")


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep from the person what exporters say: it concerns their own code, or the comparison finds it."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _exported(opened: Opened, name: str, chosen: Format, target: Path) -> Exported:
    if chosen.read is None:
        inputs = Inputs((), ())
        model = Portable(opened.model, opened.data, inputs)
        outputs: Shapes = {}
    else:
        opened.model.float()  # what takes float32 and runs anywhere, whatever it was trained in
        inputs = inputs_of(opened.model, opened.data, opened.facts)
        model = Portable(opened.model, opened.data, inputs)
        outputs = _outputs(model, inputs)
    shapes = {each: shape_of(samples) for each, samples in zip(inputs.names, inputs.samples, strict=True)}
    contents = chosen.write(model, inputs, metadata_of(opened, shapes, outputs))
    if chosen.read is None:
        difference = compare_weights(read_weights(contents), opened.model)
    else:
        difference = compare(chosen.read(contents), model, inputs)
    _write(target, contents)
    return Exported(target, name, len(contents), shapes, outputs, difference, opened.notes)


def _write(target: Path, contents: bytes) -> None:
    try:
        with replacing(target) as file:
            file.write(contents)
    except OSError as error:
        raise ExportFailed(f"{display(target)} cannot be written: {error.strerror or error}") from error


def _outputs(model: Portable, inputs: Inputs) -> Shapes:
    """Name and shape of each output."""
    try:
        with torch.inference_mode():
            outputs: Any = model(*inputs.of_size(2))
    except Exception as error:  # the model's own code
        raise ExportFailed(
            f"the model does not take inputs of the shape that its data states: {type(error).__name__}: {reason(error)}"
        ) from error
    tensors = flat(outputs)
    names = names_of(outputs, len(tensors))
    return {name: shape_of(each) for name, each in zip(names, tensors, strict=True)}

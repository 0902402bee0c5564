"""The formats that a trained model can be exported to: what each writes, and how it is read back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from typing import Any, Final

import torch
from lightning.pytorch.core.module import _jit_is_scripting  # as Lightning's own to_torchscript does
from torch import Tensor
from torch.utils._pytree import tree_flatten  # the same order as torch's own exporters flatten outputs in

from hydrantic.errors import RunFailed, UsageError
from hydrantic.portable import Inputs, Portable
from hydrantic.rundir import plain_json
from hydrantic.suggestions import did_you_mean

METADATA: Final = "hydrantic.json"
"""Name of the metadata beside a model of torch."""
KEY: Final = "hydrantic"
"""Key of the metadata in a file of another format."""
BATCH: Final = "batch"
"""Name of the dimension that counts samples."""

Metadata = Mapping[str, Any]
Outputs = tuple[Tensor, ...]
Loaded = Callable[[tuple[Tensor, ...]], Outputs]
"""An exported model that was read back: from a batch of each input to a batch of each output."""


class ExportFailed(RunFailed):
    """A model cannot be exported, or would give other outputs than before."""


@dataclass(frozen=True)
class Format:
    """A format of exported models."""

    meaning: str
    """What it is, for a person who chooses."""
    ending: str
    """How names of its files end."""
    write: Callable[[Portable, Inputs, Metadata], bytes]
    """The contents of a file."""
    read: Callable[[bytes], Loaded] | None
    """The model in such contents; None where they hold no more than weights."""
    needs: tuple[str, ...] = ()
    """The modules that it needs besides torch."""

    def require(self) -> None:
        """Refuse to go on without the distributions that this needs.

        Raises:
            UsageError: one is not installed.
        """
        missing = [each for each in self.needs if find_spec(each) is None]
        if missing:
            raise UsageError(f"this format needs {', '.join(missing)}: pip install 'hydrantic[export]'")


def flat(outputs: Any) -> Outputs:
    """The tensors of a model's outputs, in the order in which exporters put them.

    Raises:
        ExportFailed: there are other things among them.
    """
    parts = tree_flatten(outputs)[0]
    if not parts or not all(isinstance(each, Tensor) for each in parts):
        kind = next((type(each).__name__ for each in parts if not isinstance(each, Tensor)), "nothing")
        raise ExportFailed(f"the model returns {kind}, and only tensors can be exported")
    return tuple(parts)


def traced(model: Portable, inputs: Inputs) -> torch.export.ExportedProgram:
    """The model as a graph of torch.export, for batches of any size.

    Raises:
        ExportFailed: the model does not always do the same operations, whatever values its inputs have.
    """
    shapes = _of_any_size(inputs, torch.export.Dim(BATCH, min=1))
    try:
        return torch.export.export(model, inputs.of_size(3), dynamic_shapes=shapes)
    except Exception as error:  # torch.export and the model have many ways to refuse
        raise ExportFailed(f"torch cannot export this model: {reason(error)}") from error


def _of_any_size(inputs: Inputs, batch: Any) -> Any:
    """What torch.export is told of shapes: the first dimension of each input is called `batch`."""
    return (tuple({0: batch} for _ in inputs.names),)


def reason(error: Exception) -> str:
    """What torch says that went wrong, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = lines[0].partition(" For more information")[0] if lines else type(error).__name__
    return f"what it does depends on the size of the batch ({first})" if f"violated ({BATCH})" in first else first


def _write_onnx(model: Portable, inputs: Inputs, metadata: Metadata) -> bytes:
    program = traced(model, inputs)
    names = list(inputs.names), list(metadata["outputs"])
    try:
        converted = torch.onnx.export(
            program, input_names=names[0], output_names=names[1], dynamic_shapes=_of_any_size(inputs, BATCH),
            dynamo=True, verbose=False,
        )  # fmt: skip
        assert converted is not None  # it is only where a file was asked for
        proto = converted.model_proto
    except Exception as error:
        raise ExportFailed(f"torch cannot turn this model into ONNX: {reason(error)}") from error
    for name, value in (("task", metadata["task"]), ("class_names", metadata["class_names"]), (KEY, metadata)):
        if value is not None:
            entry = proto.metadata_props.add()
            entry.key, entry.value = name, value if isinstance(value, str) else _json(value)
    try:
        contents: bytes = proto.SerializeToString()
    except ValueError as error:
        raise ExportFailed(f"one ONNX file holds at most 2 GiB, and this model is larger: {reason(error)}") from error
    return contents


def _read_onnx(contents: bytes) -> Loaded:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(contents, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]

    def run(batch: tuple[Tensor, ...]) -> Outputs:
        given = {name: each.numpy() for name, each in zip(names, batch, strict=True)}
        return tuple(torch.from_numpy(each) for each in session.run(None, given))

    return run


def _write_program(model: Portable, inputs: Inputs, metadata: Metadata) -> bytes:
    file = BytesIO()
    torch.export.save(traced(model, inputs), file, extra_files={METADATA: _json(metadata)})
    return file.getvalue()


def _read_program(contents: bytes) -> Loaded:
    module = torch.export.load(BytesIO(contents)).module()
    return lambda batch: flat(module(*batch))


def _write_script(model: Portable, inputs: Inputs, metadata: Metadata) -> bytes:
    traced(model, inputs)  # torch.jit.trace would take whatever way the example goes: this refuses what has several
    file = BytesIO()
    try:
        with _jit_is_scripting():
            script = torch.jit.trace(model, inputs.of_size(3), strict=False, check_trace=False)  # type: ignore[no-untyped-call]  # torch's
        torch.jit.save(script, file, _extra_files={METADATA: _json(metadata).encode()})
    except Exception as error:  # as above
        raise ExportFailed(f"torch cannot turn this model into TorchScript: {reason(error)}") from error
    return file.getvalue()


def _read_script(contents: bytes) -> Loaded:
    module = torch.jit.load(BytesIO(contents))  # type: ignore[no-untyped-call]  # torch's
    return lambda batch: flat(module(*batch))


def _write_weights(model: Portable, inputs: Inputs, metadata: Metadata) -> bytes:  # noqa: ARG001 -- as the others
    from safetensors.torch import save

    state = model.model.state_dict()
    other = next((name for name, each in state.items() if not isinstance(each, Tensor)), None)
    if other is not None:  # what a module's get_extra_state() returns
        raise ExportFailed(f"the model keeps {other}, which is no tensor; safetensors cannot hold it")
    # Weights that several layers share are written for each: the format has no references.
    weights = {name: each.detach().cpu().clone().contiguous() for name, each in state.items()}
    said = {**metadata, "preprocessing": model.preprocessing.state_dict()}
    return bytes(save(weights, {"format": "pt", KEY: _json(said)}))


def read_weights(contents: bytes) -> dict[str, Tensor]:
    """The weights in the contents of a safetensors file, by the names that they have in the model."""
    from safetensors.torch import load

    return dict(load(contents))


def _json(value: Any) -> str:
    return json.dumps(plain_json(value), ensure_ascii=False, allow_nan=False)


FORMATS: Final = {
    "onnx": Format(
        "a graph that runs without Python or torch, such as in ONNX Runtime", ".onnx", _write_onnx, _read_onnx,
        ("onnx", "onnxscript", "onnxruntime"),
    ),
    "torch_export": Format(
        "a graph of torch.export: torch.export.load(FILE).module()", ".pt2", _write_program, _read_program
    ),
    "torchscript": Format(
        "TorchScript for C++ and old torch: torch.jit.load(FILE)", ".ts", _write_script, _read_script
    ),
    "safetensors": Format(
        "the weights alone: safetensors.torch.load_file(FILE)", ".safetensors", _write_weights, None, ("safetensors",)
    ),
}  # fmt: skip
"""Every format by its name."""


def format_of(name: str) -> Format:
    """The format that is called `name`, ready to be written.

    Raises:
        UsageError: there is none, or something that it needs is not installed.
    """
    if name not in FORMATS:
        raise UsageError(f"there is no format '{name}'{did_you_mean(name, FORMATS)}")
    FORMATS[name].require()
    return FORMATS[name]

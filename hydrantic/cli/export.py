"""`hydrantic export RUN|CHECKPOINT --format onnx|torch_export|torchscript|safetensors`: a model for other programs."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hydrantic.cli.evaluation import add_run, loaded, tell_notes
from hydrantic.cli.words import verb_parser
from hydrantic.errors import UsageError

if TYPE_CHECKING:
    from hydrantic.exporting import Exported

ENDINGS: Final = {".onnx": "onnx", ".pt2": "torch_export", ".ts": "torchscript", ".safetensors": "safetensors"}
"""The format that the ending of a file means."""

EXAMPLES = """formats:
  onnx           a graph for any language, without Python or torch (ONNX Runtime); needs hydrantic[export]
  torch_export   a graph of torch.export: torch.export.load("model.pt2").module()(inputs)
  torchscript    TorchScript, for C++ and old torch: torch.jit.load("model.ts")(inputs)
  safetensors    the weights alone: model.load_state_dict(safetensors.torch.load_file("model.safetensors"));
                 needs hydrantic[export]

All but safetensors hold the fitted preprocessing too: they take the data's values as they are (a missing one as NaN,
where training replaced these), in batches of any size, as float32 `input` of the shape that the data states, and
return the model's raw outputs. Task, class names, names of the features and the blueprint are in the metadata:
metadata_props of an ONNX model, `hydrantic.json` among the extra files of torch's formats, the header of safetensors.

Before anything is written, its outputs are compared with the model's for batches of 1, 2 and 7 samples. A file that is
there is replaced only by --force, and then in one step.

examples:
  hydrantic export runs/mlp                                        the latest run, as runs/mlp/<run>/model.onnx
  hydrantic export runs/mlp/2026-11-21_09-30-12-5f0c -o digits.pt2
  hydrantic export last.ckpt --format safetensors

exit codes: 0 done, 1 the model cannot be exported or gives other outputs then, 2 the command is wrong."""


def parser() -> ArgumentParser:
    """The command line of `export`."""
    does = "Write a trained model to a file that runs without hydrantic."
    export = verb_parser("export", "RUN|CHECKPOINT [--format FORMAT] [-o FILE] [options]", does, EXAMPLES)
    add_run(export)
    export.add_argument("--format", metavar="FORMAT", help="see below (default: by FILE's ending, else onnx)")
    export.add_argument("-o", "--output", metavar="FILE", type=Path, help="where to (default: the run's directory)")
    export.add_argument("-f", "--force", action="store_true", help="replace FILE where it is there already")
    export.add_argument("--json", action="store_true", help="print a record for a program to read")
    return export


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb; see `hydrantic.cli.main.main` for the exit codes."""
    options = parser().parse_args(argv)
    chosen = options.format or _format_by_ending(options)
    run = loaded(options)
    from hydrantic.exporting import export_described

    done = export_described(run, chosen, options.output, force=options.force)
    tell_notes(done.notes)
    print(_record(done) if options.json else _told(done))
    return 0


def _format_by_ending(options: Namespace) -> str:
    if options.output is None:
        return "onnx"
    ending = options.output.suffix.lower()
    if ending not in ENDINGS:
        raise UsageError(f"which format is {options.output} to have? --format {'|'.join(ENDINGS.values())}")
    return ENDINGS[ending]


def _record(done: Exported) -> str:
    from hydrantic.texts import visible_json

    return visible_json(json.dumps({
        "file": str(done.file), "format": done.format, "bytes": done.size, "inputs": done.inputs,
        "outputs": done.outputs, "difference": done.difference,
    }, indent=2, ensure_ascii=False))  # fmt: skip


def _told(done: Exported) -> str:
    from hydrantic.source import display
    from hydrantic.texts import visible

    shapes = [("inputs", done.inputs), ("outputs", done.outputs)]
    lines = [f"{display(done.file)}: {done.format}, {done.size / 1024:,.1f} KiB"]
    for what, each in shapes:
        lines += [f"  {what:10} {name} ({', '.join(map(str, shape))})" for name, shape in each.items()]
    compared = "the weights are the model's" if not done.outputs else f"differ by at most {done.difference:.1g}"
    lines.append(f"  {'compared':10} {compared}")
    return visible("\n".join(lines))

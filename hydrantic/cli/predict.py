"""`hydrantic predict RUN|CHECKPOINT [key=value ...]`: write what a trained model says about each sample."""

from __future__ import annotations

import sys
import warnings
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from hydrantic.cli.evaluation import opened_of, run_parser, tell_notes
from hydrantic.cli.words import OVERRIDES

DEFAULT = Path("predictions.csv")
EXAMPLES = f"""examples:
  hydrantic predict runs/table/2026-11-21_09-30-12-5f0c
  hydrantic predict runs/table data.path=new.csv -o new-predicted.csv     a file that needs no target column
  hydrantic predict runs/table --split test -o test.parquet
  hydrantic predict best.ckpt -o - | head

{OVERRIDES}
Each row has the sample's `id` (or `row`, counted from 0), its `prediction`, `probability_<class>` for each class, and
its `target` where the data has one; several labels or numbers have a column each. Outputs of other kinds are written
as they are. A file named by -o is replaced; {DEFAULT}, where it is there already, is not.
exit codes: 0 done, 1 predicting failed, 2 the command is wrong or the data does not suit the model."""


def parser() -> ArgumentParser:
    """The command line of `predict`."""
    does = "Write what a trained model says about each sample of its data, or of other data, as CSV or Parquet."
    predict = run_parser("predict", does, EXAMPLES)
    predict.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help=f"a .csv or .parquet file, or - to print (default: {DEFAULT})"
    )
    predict.add_argument(
        "--split", choices=("all", "training", "validation", "test"), default="all", help="which samples (default: all)"
    )
    return predict


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb; see `hydrantic.cli.main.main` for the exit codes."""
    options = parser().parse_intermixed_args(argv)
    opened = opened_of(options, "predict")
    from hydrantic import predictions
    from hydrantic.source import display
    from hydrantic.texts import counted, listed, visible

    tell_notes(opened.notes)
    file, is_printed = options.output or DEFAULT, options.output == Path("-")
    if not is_printed:
        predictions.refuse_unwritable(file, opened, is_chosen=options.output is not None)
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: tell_notes([str(message)])
        frame = predictions.predict(opened, options.split)
    if is_printed:
        sys.stdout.buffer.write(frame.write_csv().encode())  # polars' own way ends with its own error at `| head`
        return 0
    predictions.write(frame, file)
    print(visible(f"{display(file)}: {counted(frame.height, 'row')} of {listed(frame.columns)}"))
    return 0


if __name__ == "__main__":
    from hydrantic.cli.main import guarded

    sys.exit(guarded(main, sys.argv[1:]))

"""What the verbs that evaluate a run anew have in common: their command line, and what they print."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydrantic.cli.words import verb_parser

if TYPE_CHECKING:
    from hydrantic.evaluating import Evaluation, Stage
    from hydrantic.opening import Opened
    from hydrantic.run import Run

RUN = "a run's directory, a checkpoint, or a folder of runs for its latest"


def evaluation_parser(verb: str, does: str, examples: str) -> ArgumentParser:
    """The command line of a verb that evaluates."""
    parser = run_parser(verb, does, examples)
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="write the result to a file as JSON too")
    parser.add_argument("--json", action="store_true", help="print JSON for a program to read")
    return parser


def run_parser(verb: str, does: str, examples: str) -> ArgumentParser:
    """The command line of a verb that takes a run and overrides."""
    parser = verb_parser(verb, "RUN|CHECKPOINT [key=value ...] [options]", does, examples)
    parser.add_argument("words", nargs="*", metavar="RUN key=value", help=f"{RUN}; then overrides")
    add_weights(parser)
    return parser


def add_run(parser: ArgumentParser) -> None:
    """Let a verb take a run alone; `loaded` reads it."""
    parser.add_argument("run", metavar="RUN|CHECKPOINT", help=RUN)
    add_weights(parser)


def add_weights(parser: ArgumentParser) -> None:
    """Let a person say which of a run's checkpoints is meant."""
    parser.add_argument(
        "--weights", choices=("best", "last"), default="best", help="which of a run's checkpoints (default: best)"
    )


def loaded(options: Namespace) -> Run:
    """The run that a person named; where that is the latest of several, it is said on stderr.

    Raises:
        UsageError: there is none.
    """
    _tell_latest(options.run)
    from hydrantic.imports import import_lightning

    import_lightning()
    from hydrantic.run import load

    return load(options.run, project=options.project, weights=options.weights)


def tell_notes(notes: Iterable[str]) -> None:
    """Say on stderr what a person should know of a run."""
    from hydrantic.texts import visible

    for note in notes:
        print(visible(f"note: {note}"), file=sys.stderr)


def _tell_latest(named: str) -> None:
    from hydrantic.finding import find_run
    from hydrantic.texts import visible

    if note := find_run(named).note:
        print(visible(note), file=sys.stderr)


def run_of(options: Namespace, verb: str) -> tuple[str, list[str]]:
    """The run and the overrides that a person gave.

    Raises:
        UsageError: there is no run among the words.
    """
    from hydrantic.errors import UsageError

    usage = f"hydrantic {verb} RUN [key=value ...]"
    if not options.words:
        raise UsageError(f"which run? {usage} (hydrantic {verb} --help)")
    first, *overrides = options.words
    if "=" in first and not Path(first).exists():
        raise UsageError(f"the run comes before the overrides: {usage}, not {' '.join(options.words)}")
    return first, overrides


def opened_of(options: Namespace, verb: str) -> Opened:
    """The run that a person named, opened with the overrides; what is to be known of it is said on stderr.

    Raises:
        UsageError: there is none, or it kept no weights.
        CheckpointError: the checkpoint is damaged, foreign, or of another model.
        BlueprintError: its blueprint cannot be built here, or an override is wrong.
    """
    named, overrides = run_of(options, verb)
    _tell_latest(named)
    from hydrantic.imports import import_lightning

    import_lightning()
    from hydrantic.opening import open_run

    return open_run(named, overrides, project=options.project, weights=options.weights)


def print_evaluation(options: Namespace, verb: str, stage: Stage) -> int:
    """Evaluate the run that a person named, and print the metrics.

    Raises:
        HydranticError: see `opened_of` and `hydrantic.evaluating.evaluate`; or the file cannot be written.
    """
    _refuse_unwritable(options.output)
    opened = opened_of(options, verb)
    from hydrantic.evaluating import evaluate
    from hydrantic.processes import launched
    from hydrantic.texts import visible

    done = evaluate(opened, stage)
    place = launched()
    if place is not None and not place.leads:
        return 0
    tell_notes(done.notes)
    text = json.dumps(_record(opened, done), indent=2, ensure_ascii=False, allow_nan=False)
    print(text if options.json else visible("\n".join(_lines(opened, done))), flush=True)
    if options.output is not None:
        _write(options.output, text)
    return 0


def _write(file: Path, text: str) -> None:
    from hydrantic.errors import RunFailed
    from hydrantic.rundir import write_atomically

    try:
        write_atomically(file, text + "\n")
    except OSError as error:
        raise RunFailed(f"{file} cannot be written: {error.strerror or error}") from error


def _refuse_unwritable(file: Path | None) -> None:
    """Refuse a file that lies in no folder before anything is computed."""
    if file is not None and (not file.parent.is_dir() or file.is_dir()):
        from hydrantic.errors import UsageError

        raise UsageError(f"-o {file}: {'it is a folder' if file.is_dir() else f'there is no folder {file.parent}'}")


def _record(opened: Opened, done: Evaluation) -> dict[str, Any]:
    from hydrantic.rundir import plain_json

    directory = opened.found.directory
    record: dict[str, Any] = plain_json(
        {
            "run": directory and directory.absolute(),
            "checkpoint": done.checkpoint.absolute(),
            "overrides": opened.overrides,
            "stage": done.stage,
            "samples": done.samples,
            "metrics": done.metrics,
            "recorded": done.recorded or None,
            "circumstances": done.circumstances,
            "as_recorded": not done.differing if done.recorded else None,
            "notes": done.notes,
        }
    )
    return record


def _lines(opened: Opened, done: Evaluation) -> Iterator[str]:
    from hydrantic.source import display
    from hydrantic.texts import aligned, counted

    size = "" if done.samples is None else f" of {counted(done.samples, 'sample')}"
    yield f"{opened.plan.name}: {done.stage}{size}, weights of {display(done.checkpoint)}"
    if not done.metrics:
        yield "  nothing was logged"
        return
    rows = [[name, f"{value:.4g}", *_beside(name, done)] for name, value in done.metrics.items()]
    yield from (f"  {line}" for line in aligned(rows))
    if done.recorded and not done.differing:
        yield "as the run recorded, to the last bit"
    if done.differing and done.circumstances:
        yield f"not as the run recorded: {'; '.join(done.circumstances)}"


def _beside(name: str, done: Evaluation) -> Sequence[str]:
    """What the run recorded in place of a value, where any is another one; with as many digits as tell them apart."""
    if not done.differing or name not in done.recorded:
        return ("",) if done.differing else ()
    was, now = done.recorded[name], done.metrics[name]
    if name not in done.differing:
        return ("as recorded",)
    if f"{was:.4g}" != f"{now:.4g}":
        return (f"recorded {was:.4g}",)
    return (f"recorded {was:.17g}, now {now:.17g}",)

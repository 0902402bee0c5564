"""The command `hydrantic`: picks the verb, and turns exceptions into messages and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from io import TextIOWrapper
from types import FrameType
from typing import Final

VERBS: Final = {
    "fit": "train the model of a blueprint, then test it",
    "resume": "go on with a run that was cut short, or train it for longer",
    "rerun": "repeat a run, and say whether it came to the same numbers",
    "test": "evaluate a trained model on its test data, or on other data",
    "validate": "the same on its validation data",
    "predict": "write what a trained model says about each sample",
    "export": "write a trained model to a file that runs without hydrantic",
    "serve": "answer over HTTP with a trained model",
    "check": "say everything that is wrong with a blueprint",
    "show": "print the complete blueprint, and where each value came from",
    "explain": "tell what one value is, who set it, and what it may be",
    "runs": "list runs: how they stand, what tells them apart, what they came to",
    "diff": "say what differs between runs, blueprints or checkpoints",
    "report": "write one page about a run, several runs or a sweep",
    "plot": "draw the curves of runs in the terminal, or into a file",
    "pack": "write a blueprint as one file for somebody else",
    "sweep": "look at a sweep, go on with it, or tabulate its results",
    "lr-find": "try learning rates in a short training, and suggest one",
    "batch-size-find": "try batch sizes: which fit into memory, and how fast they are",
    "profile": "tell what the time of a training goes into",
    "list": "name the components there are",
    "describe": "tell what a component is, and its fields",
    "schema": "write what an editor needs to complete blueprints",
    "init": "write a new project, or a blueprint for a table",
    "completion": "print the script by which your shell completes all of this",
}
"""Every verb with what it does; `hydrantic.cli.<verb>` holds its `main`."""

DONE, FAILED, WRONG = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Arguments:
        argv: the words after `hydrantic`; those of the process by default.

    Returns:
        The exit code: 0 done, 1 the run failed, 2 the blueprint or the command is wrong, 130 interrupted,
        143 terminated.
    """
    return guarded(_run, list(sys.argv[1:] if argv is None else argv))


def _run(words: Sequence[str]) -> int:
    verb = words[0] if words else "--help"
    if verb in {"-h", "--help", "help"}:
        print(usage())
        return DONE
    if verb in {"-V", "--version"}:
        from hydrantic import __version__

        print(f"hydrantic {__version__}")
        return DONE
    if verb not in VERBS:
        from hydrantic.suggestions import did_you_mean

        print(f"hydrantic: there is no '{verb}'{did_you_mean(verb, VERBS)} (hydrantic --help)", file=sys.stderr)
        return WRONG
    done: int = import_module(f"hydrantic.cli.{verb.replace('-', '_')}").main(words[1:])
    return done


def usage() -> str:
    """What `hydrantic --help` prints."""
    verbs = "\n".join(f"  {verb:15} {meaning}" for verb, meaning in VERBS.items())
    return f"""hydrantic trains PyTorch models from one YAML file, the blueprint.

usage: hydrantic VERB ...

{verbs}

  hydrantic fit blueprints/mlp.yaml                                 the main job
  hydrantic fit blueprints/mlp.yaml optimizer.lr=3e-4 model=cnn     with other values
  hydrantic fit blueprints/mlp.yaml -m optimizer.lr=1e-3,3e-4       a run for each of several values
  hydrantic VERB --help                                             more about a verb"""


def guarded(command: Callable[[Sequence[str]], int], words: Sequence[str]) -> int:
    """Run a verb; what a person did wrong becomes a message, with a traceback only under `--traceback`."""
    from hydrantic.errors import HydranticError, Interrupted, RunFailed

    _write_whatever()
    interrupts: list[int] = []
    try:
        with _noting(interrupts):
            return _written(command, words)
    except RunFailed as error:
        return _report(error, FAILED, words)
    except HydranticError as error:
        return _report(error, WRONG, words)
    except Interrupted as stop:
        return stop.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        _drop_output()
        return DONE
    except OSError as error:  # a disk that is full, a folder that has gone
        _drop_output()
        return _report(error, FAILED, words)
    except Exception:
        if not interrupts:
            raise
        print("interrupted", file=sys.stderr)
        return 130


@contextmanager
def _noting(interrupts: list[int]) -> Iterator[None]:
    """Note each Ctrl-C: what it meets half-way, such as the import of numpy, may make any other exception of it."""
    import signal

    def note(number: int, frame: FrameType | None) -> None:
        interrupts.append(number)
        signal.default_int_handler(number, frame)

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:
        yield
        return
    try:
        signal.signal(signal.SIGINT, note)
    except ValueError:  # only the main thread may, and only it is interrupted
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _write_whatever() -> None:
    """Let no text fail for the sake of the terminal's alphabet: what it does not have is written as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _written(command: Callable[[Sequence[str]], int], words: Sequence[str]) -> int:
    try:
        return command(words)
    finally:
        # Not left to the end of the process, where it could not be said that a disk is full.
        if sys.stdout is not None:
            sys.stdout.flush()


def _drop_output() -> None:
    """Have nothing written any more of what cannot be."""
    with suppress(AttributeError, OSError, ValueError):  # a stream that is closed, or no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(error: BaseException, code: int, words: Sequence[str]) -> int:
    if "--traceback" in words:
        import traceback

        traceback.print_exception(error)
    else:
        from hydrantic.texts import visible

        print(visible(str(error)), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())

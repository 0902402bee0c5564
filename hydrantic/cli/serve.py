"""`hydrantic serve RUN|CHECKPOINT`: answer over HTTP with a trained model."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hydrantic.cli.evaluation import add_run, loaded, tell_notes
from hydrantic.cli.words import verb_parser

if TYPE_CHECKING:
    from hydrantic.opening import Opened

EXAMPLES = """examples:
  hydrantic serve runs/mlp                                    the latest run, on http://127.0.0.1:8000
  hydrantic serve runs/mlp/2026-11-21_09-30-12-5f0c --port 0  on any free port
  curl -H 'content-type: application/json' -d '{"rows": [{"width": 1.5, "colour": "red"}]}' \\
       http://127.0.0.1:8000/predict

POST /predict      {"rows": [...]}: a row maps the names of the data's columns to values as they stand in the data
                   (numbers, texts, true or false; null where training replaced missing values), or is an array of the
                   shape of an input. The answer has a prediction and probabilities by class name for each row.
GET /health        {"status": "ok"}
GET /              what the model is, and a request as an example
GET /openapi.json  the types of requests and answers, for programs

A request that does not suit the data gets 422 with what is wrong where; one that is too large gets 413. Requests that
come while others are computed are computed together. Only this machine is answered, unless --host says otherwise: then
anybody who reaches it is, without a password. Needs hydrantic[serve].

exit codes: 0 stopped by Ctrl-C or SIGTERM after the requests at hand, 2 the command is wrong or the port is in use."""


def parser() -> ArgumentParser:
    """The command line of `serve`."""
    does = "Answer over HTTP with a trained model, until Ctrl-C."
    serve = verb_parser("serve", "RUN|CHECKPOINT [options]", does, EXAMPLES)
    add_run(serve)
    serve.add_argument("--host", metavar="ADDRESS", default="127.0.0.1", help="what to listen on (default: 127.0.0.1)")
    serve.add_argument("--port", metavar="PORT", type=_port, default=8000, help="0 takes a free one (default: 8000)")
    serve.add_argument("--device", metavar="DEVICE", default="auto", help="cpu, cuda, cuda:1 (default: a GPU if any)")
    serve.add_argument("--max-batch", metavar="ROWS", type=_positive(int), default=256,
                       help="how many rows are computed at once (default: 256)")  # fmt: skip
    serve.add_argument("--max-body", metavar="MIB", type=_positive(float), default=16.0,
                       help="size of the largest request (default: 16)")  # fmt: skip
    return serve


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise ArgumentTypeError(f"must be a number from 0 to 65535, not '{text}'")
    return int(text)


def _positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not 0 < value < float("inf"):
            raise ArgumentTypeError(f"must be a number above 0, not '{text}'")
        return value

    return read


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb; see `hydrantic.cli.main.main` for the exit codes."""
    options = parser().parse_args(argv)
    run = loaded(options)
    from hydrantic.serving import Terms, serve

    terms = Terms(options.host, options.port, options.device, options.max_batch, options.max_body)
    serve(run, terms, ready=_tell)
    return 0


def _tell(address: str, opened: Opened) -> None:
    from hydrantic.source import display
    from hydrantic.texts import visible

    tell_notes(opened.notes)
    print(visible(f"serving {opened.plan.name} ({display(opened.checkpoint)}) on {address}; Ctrl-C stops"), flush=True)

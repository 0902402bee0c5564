"""Serving a trained model: JSON over HTTP, many rows and many requests at a time."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch

from hydrantic.errors import UsageError
from hydrantic.opening import Opened, open_run
from hydrantic.run import Run
from hydrantic.serving.batching import Batcher
from hydrantic.serving.replies import Predictor
from hydrantic.serving.rows import rows_of

if TYPE_CHECKING:
    import uvicorn

LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
"""Names of one's own machine."""
_IN_URLS: Final = (*LOOPBACK, "[::1]")


@dataclass(frozen=True)
class Terms:
    """How a model is served."""

    host: str = "127.0.0.1"
    port: int = 8000
    """0 takes a free one."""
    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`, ..., or `auto`: a GPU where there is one."""
    max_batch: int = 256
    """How many rows are computed at once."""
    max_body: float = 16.0
    """Size of the largest request, in MiB."""


def serve(
    run: Run | str | Path,
    terms: Terms | None = None,
    *,
    project: str | Path | None = None,
    ready: Callable[[str, Opened], Any] | None = None,
) -> None:
    """Answer with a trained model until SIGINT or SIGTERM.

    Arguments:
        run: a run, its directory, or a checkpoint.
        terms: where, and on what; on this machine alone by default.
        project: whose components may be used; by default the project that holds the working directory.
        ready: called with the server's address and what it serves, before the first request is answered.

    Raises:
        UsageError: the address cannot be had, there is no such run or device, or nothing says what its inputs are.
        CheckpointError: the checkpoint is damaged or foreign.
    """
    _require()
    terms = terms or Terms()
    with contextlib.closing(_listening(terms)) as listening:
        device = _device(terms.device)
        opened = run.reopened() if isinstance(run, Run) else open_run(run, project=project)
        server = _server(create_app_of(opened, terms, device))
        with _stopping(server):
            if ready is not None:
                ready(_address(listening), opened)
            asyncio.run(server.serve([listening]))


def _require() -> None:
    missing = [each for each in ("starlette", "uvicorn") if find_spec(each) is None]
    if missing:
        raise UsageError(f"serving needs {' and '.join(missing)}: pip install 'hydrantic[serve]'")


def _listening(terms: Terms) -> socket.socket:
    """A socket on the address, before anything else is done: what comes in meanwhile waits."""
    where = f"{terms.host} port {terms.port}"
    try:
        family, *_ = socket.getaddrinfo(terms.host, terms.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.create_server((terms.host, terms.port), family=family)
    except socket.gaierror as error:
        raise UsageError(f"--host {terms.host}: there is no such address ({error.strerror})") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = f"{where} is in use; --port 0 takes a free one"
            raise UsageError(message) from error
        raise UsageError(f"{where} cannot be listened on: {error.strerror or error}") from error
    # Else the body of an answer waits 40 ms for the client to acknowledge its head. Accepted sockets inherit it.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"--device {name}: {next(iter(str(error).splitlines()), 'there is none')}") from error
    return device


def create_app_of(opened: Opened, terms: Terms, device: torch.device | None = None) -> Any:
    """The ASGI application that answers with a trained model.

    Raises:
        UsageError: nothing says what its inputs are, or it does not take them.
    """
    from hydrantic.serving.app import Service, create_app

    facts, data = opened.facts, opened.data
    rows = rows_of(data, facts)
    predictor = Predictor(opened.model, data, facts, device)
    reply = predictor.rehearse(rows.encode_example())
    names = facts.class_names or facts.target_names
    about = {"model": opened.plan.name, "task": facts.task, "names": None if names is None else list(names)}
    batcher = Batcher(predictor, terms.max_batch)
    service = Service(about, rows, reply, batcher, int(terms.max_body * 2**20))
    return create_app(service, _IN_URLS if terms.host in LOOPBACK else ("*",))


def _server(app: Any) -> uvicorn.Server:
    import uvicorn

    return uvicorn.Server(
        uvicorn.Config(
            app, http="h11", ws="none", loop="asyncio", lifespan="off", log_config=None, log_level="error",
            access_log=False, server_header=False, timeout_graceful_shutdown=5,
        )
    )  # fmt: skip


@contextlib.contextmanager
def _stopping(server: uvicorn.Server) -> Iterator[None]:
    """Let SIGINT and SIGTERM be how a server ends: uvicorn raises them anew when it has, and then nothing follows."""
    if threading.current_thread() is not threading.main_thread():  # only that one may set handlers
        yield
        return

    def stop(*_: Any) -> None:
        server.should_exit = True

    before = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)

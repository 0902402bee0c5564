"""`hydrantic serve` on the command line: a server in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import torch

from hydrantic import serving
from hydrantic.cli.main import main
from hydrantic.fitting import fit
from hydrantic.opening import open_run
from tests.projects import DIGITS, write

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run on images of digits."""
    folder = tmp_path_factory.mktemp("served")
    return fit(write(folder / "a.yaml", DIGITS), ["data.split=[100, 50, 50]"], runs=folder / "runs").path


@contextmanager
def server(run: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server, and its address."""
    command = [sys.executable, "-m", "hydrantic", "serve", str(run), "--port", "0", *options]
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            yield process, line.partition(" on ")[2].partition(";")[0]
        finally:
            process.kill()


def post(address: str, body: Any) -> Any:
    content = json.dumps(body).encode()
    request = Request(f"{address}/predict", content, {"content-type": "application/json"})
    with urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_a_server_answers_at_the_same_time_and_ends_well_by_ctrl_c(run: Path) -> None:
    images = torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with server(run) as (process, address), ThreadPoolExecutor(6) as pool:
        assert address.startswith("http://127.0.0.1:")
        with urlopen(f"{address}/health", timeout=30) as answer:
            assert json.load(answer) == {"status": "ok"}
        found = list(pool.map(lambda image: post(address, {"rows": [image.tolist()]}), images))
        with pytest.raises(HTTPError) as refused:
            post(address, {"rows": [[1]]})
        assert refused.value.code == 422
        assert "rows" in refused.value.read().decode()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    shares = torch.tensor([list(each["predictions"][0]["probabilities"].values()) for each in found])
    torch.testing.assert_close(shares, open_run(run).model(images).softmax(1))


@pytest.mark.slow
def test_a_server_ends_well_by_sigterm_and_keeps_no_port(run: Path) -> None:
    with server(run, "--device", "cpu") as (process, address):
        process.terminate()
        assert process.wait(30) == 0
    port = int(address.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_port_in_use_is_told_before_the_model_is_loaded(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", str(run), "--port", str(port)]) == 2
    assert capsys.readouterr().err == f"127.0.0.1 port {port} is in use; --port 0 takes a free one\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none", "--port", "0"], "there is no run none"),
        (["RUN", "--port", "0", "--host", "no.such.host.invalid"], "--host no.such.host.invalid: there is no such"),
        (["RUN", "--port", "0", "--host", "192.0.2.1"], "192.0.2.1 port 0 cannot be listened on"),
        (["RUN", "--port", "0", "--device", "abacus"], "--device abacus: "),
    ],
)
def test_a_mistake_is_one_line_with_exit_code_two(
    run: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", *(str(run) if word == "RUN" else word for word in words)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(said)


@pytest.mark.parametrize(("option", "value"), [("--port", "65536"), ("--max-batch", "0"), ("--max-body", "much")])
def test_an_option_out_of_range_is_refused(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["serve", "run", option, value])
    assert stop.value.code == 2
    assert f"argument {option}: must be a number" in capsys.readouterr().err


def test_a_missing_distribution_is_told_with_how_to_get_it(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(serving, "find_spec", lambda name: None)
    assert main(["serve", str(run)]) == 2
    assert capsys.readouterr().err == "serving needs starlette and uvicorn: pip install 'hydrantic[serve]'\n"

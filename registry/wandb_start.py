"""Starting Weights & Biases beside the program: online where that is possible, offline where not, never asking."""

from __future__ import annotations

import configparser
import netrc
import os
import shutil
import socket
import sys
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any, Final
from urllib.parse import urlsplit

_DEFAULT_SERVER: Final = "https://api.wandb.ai"
_PROBE_SECONDS: Final = 2.0
_INIT_SECONDS: Final = 15.0
_UPLOAD_SECONDS: Final = 60.0

# Console and system statistics cost time; the rest is about the program and its command line, which may hold secrets.
_SETTINGS: Final[Mapping[str, Any]] = {
    "silent": True,
    "console": "off",
    "x_disable_stats": True,
    "x_disable_meta": True,
    "x_disable_machine_info": True,
    "x_save_requirements": False,
    "disable_git": True,
    "disable_code": True,
    "save_code": False,
    "disable_job_creation": True,
    "symlink": False,
    "init_timeout": _INIT_SECONDS,
    "finish_timeout": _UPLOAD_SECONDS,
}

_begun: dict[Path, Start] = {}


class Start:
    """A W&B run that is being started in the background.

    Arguments:
        run_dir: the run's directory.
        arguments: what `wandb.init` gets.
        online: whether to try the server.
    """

    def __init__(self, run_dir: Path, arguments: Mapping[str, Any], *, online: bool) -> None:
        self.run_dir = run_dir
        self.arguments = arguments
        self.run: Future[Any] = Future()
        self.notices: list[str] = []
        Thread(target=self._work, args=(online,), name="hydrantic-wandb", daemon=True).start()

    def take(self) -> Start:
        """This start, which `begin` does not give out again."""
        _begun.pop(self.run_dir, None)
        return self

    def say(self) -> None:
        """Print what has happened since the last time, on the caller's thread so that no other line is torn."""
        while self.notices:
            print(f"W&B: {self.notices.pop(0)}", file=sys.stderr)

    def _work(self, online: bool) -> None:
        try:
            self.run.set_result(self._started_online() if online else self._started_offline())
        except BaseException as error:  # noqa: BLE001 -- handed to whoever asks for the run
            self.run.set_exception(error)

    def _started_online(self) -> Any:
        reachable = _beside(_server_answers)
        import wandb  # meanwhile

        if not reachable():
            return self._fall_back(f"{_host(server())} cannot be reached")
        before = self._folders()
        try:
            run = self._init("online")
        except Exception as error:  # noqa: BLE001 -- whatever keeps W&B from starting must not keep the run from training
            wandb.teardown()  # W&B's service would refuse the id of a run that it failed to start
            for folder in self._folders() - before:
                shutil.rmtree(folder, ignore_errors=True)
            return self._fall_back(_first_line(error))
        self.notices.append(f"this run is shown at {run.url}")
        return run

    def _folders(self) -> set[Path]:
        return set((self.run_dir / "wandb").glob("run-*"))

    def _fall_back(self, reason: str) -> Any:
        folder = self.run_dir / "wandb"
        self.notices.append(f"{reason}; recording offline in {folder} (upload it with `wandb sync`)")
        return self._started_offline()

    def _started_offline(self) -> Any:
        try:
            return self._init("offline")
        except Exception as error:  # noqa: BLE001 -- as above
            self.notices.append(f"{_first_line(error)}; this run is not recorded there")
            return self._init("disabled")

    def _init(self, mode: str) -> Any:
        import wandb

        known = {name: value for name, value in _SETTINGS.items() if name in wandb.Settings.model_fields}
        resume = "allow" if mode == "online" else None
        settings = wandb.Settings(**known)
        return wandb.init(dir=str(self.run_dir), mode=mode, settings=settings, resume=resume, **self.arguments)  # type: ignore[arg-type]  # a Literal


def begin(run_dir: Path, arguments: Mapping[str, Any], *, wants_online: bool) -> Start:
    """Start a run in the background, unless one was begun for this directory that nobody has taken yet.

    Arguments:
        run_dir: the run's directory.
        arguments: what `wandb.init` gets.
        wants_online: whether to go online if an API key is configured.
    """
    if run_dir in _begun:
        return _begun[run_dir]
    online = wants_online and has_key()
    start = Start(run_dir, arguments, online=online)
    if wants_online and not online:
        folder = run_dir / "wandb"
        start.notices.append(f"no API key, so recording offline in {folder} (`wandb login` puts the next run online)")
    start.say()
    _begun[run_dir] = start
    return start


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def server() -> str:
    """The address of the configured W&B server."""
    return os.environ.get("WANDB_BASE_URL") or _setting("base_url") or _DEFAULT_SERVER


def has_key() -> bool:
    """Whether an API key is configured: in the environment, in a netrc file for the server, or in W&B's settings."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    return _in_netrc(urlsplit(server()).netloc) or bool(_setting("api_key"))


def _in_netrc(host: str) -> bool:
    named = os.environ.get("NETRC")
    for path in [Path(named)] if named else [Path.home() / ".netrc", Path.home() / "_netrc"]:
        with suppress(OSError, netrc.NetrcParseError):
            found = netrc.netrc(str(path)).authenticators(host)
            if found is not None and found[2]:
                return True
    return False


def _setting(name: str) -> str | None:
    folder = Path(os.environ.get("WANDB_CONFIG_DIR") or Path.home() / ".config" / "wandb")
    files = configparser.ConfigParser(interpolation=None)
    with suppress(configparser.Error, OSError, UnicodeDecodeError):
        files.read([folder / "settings", Path("wandb") / "settings"], encoding="utf-8")
    return files.get("default", name, fallback=None)


def _host(address: str) -> str:
    return urlsplit(address).hostname or address


def _server_answers() -> bool:
    """Whether a connection to the server, or to the proxy that leads there, can be opened."""
    address = server()
    scheme = urlsplit(address).scheme
    if not urllib.request.proxy_bypass(_host(address)):
        address = urllib.request.getproxies().get(scheme, address)
    parts = urlsplit(address if "://" in address else f"http://{address}")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=_PROBE_SECONDS).close()
    except OSError:
        return False
    return True


def _beside(question: Callable[[], bool]) -> Callable[[], bool]:
    """Ask in a thread of its own: looking a name up has no time limit by itself. No answer in time means no."""
    answer: Future[bool] = Future()
    Thread(target=lambda: answer.set_result(question()), name="hydrantic-wandb-probe", daemon=True).start()

    def get() -> bool:
        with suppress(TimeoutError):
            return answer.result(_PROBE_SECONDS)
        return False

    return get

"""A client of the YAML language server, over stdio: what an editor would ask it."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

VERSION = "1.25.0"
"""The version of the server that is tested with; later ones need a newer node."""

PATIENCE = 120
"""Seconds after which a server that does not answer is ended."""

SETTINGS: Mapping[str, Any] = {
    "yaml": {"schemaStore": {"enable": False}, "validate": True, "hover": True, "completion": True}
}


class NotToBeHad(Exception):
    """The server cannot be installed here; the text says why."""


def installed() -> Path:
    """The server's start script, installed by npm into the user's cache if it is not there yet.

    Raises:
        NotToBeHad: node, npm or the package is missing.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise NotToBeHad(f"there is no {'node' if node is None else 'npm'}")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "hydrantic-tests" / f"yaml-language-server-{VERSION}"
    if not folder.is_dir():
        _install(npm, folder)
    return folder / "node_modules" / "yaml-language-server" / "bin" / "yaml-language-server"


def _install(npm: str, folder: Path) -> None:
    """Install the server beside its place and move it there, so that another process finds all of it or nothing."""
    started = folder.with_name(f"{folder.name}.{os.getpid()}")
    started.mkdir(parents=True)
    words = ["install", "--prefix", str(started), "--no-audit", "--no-fund", "--ignore-scripts"]
    try:
        done = subprocess.run(
            [npm, *words, f"yaml-language-server@{VERSION}"], capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode != 0:
            raise NotToBeHad(f"npm could not install yaml-language-server {VERSION}: {_gist(done.stderr)}")
        if not folder.is_dir():
            started.rename(folder)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotToBeHad(f"npm could not install yaml-language-server {VERSION}: {error}") from error
    finally:
        shutil.rmtree(started, ignore_errors=True)


def _gist(errors: str) -> str:
    lines = [line.strip() for line in errors.splitlines() if "error" in line.lower()]
    return lines[0] if lines else "it says nothing"


class LanguageServer:
    """A running server whose editor has one folder open; each text is shown to it as a blueprint of its own.

    In a text, `|` marks where the cursor is.
    """

    def __init__(self, script: Path, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)
        self._told: dict[str, list[Any]] = {}
        self._process = subprocess.Popen(
            ["node", str(script), "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._end = threading.Timer(PATIENCE, self._process.kill)
        self._end.daemon = True
        self._end.start()

    def __enter__(self) -> Self:
        markup = {"hover": {"contentFormat": ["markdown"]}, "completion": {"completionItem": {"snippetSupport": True}}}
        capabilities = {"textDocument": markup, "workspace": {"configuration": True}}
        folder = self._folder.as_uri()
        folders = [{"uri": folder, "name": "project"}]
        opened = {"processId": None, "rootUri": folder, "capabilities": capabilities, "workspaceFolders": folders}
        self._ask("initialize", opened)
        self._tell("initialized", {})
        self._tell("workspace/didChangeConfiguration", {"settings": SETTINGS})
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end.cancel()
        self._process.kill()
        self._process.communicate()

    def diagnostics(self, text: str) -> list[tuple[int, int, str]]:
        """The line, the column (both from 1) and the text of everything that the server finds wrong."""
        found = self._told[self._open(text)]
        starts = [each["range"]["start"] for each in found]
        said = [each["message"] for each in found]
        return [(at["line"] + 1, at["character"] + 1, text) for at, text in zip(starts, said, strict=True)]

    def completions(self, text: str) -> dict[str, dict[str, Any]]:
        """What the server offers at the cursor, by label."""
        answer = self._ask("textDocument/completion", self._cursor(text))
        return {each["label"]: each for each in answer["items"]}

    def hover(self, text: str) -> str:
        """What the server shows at the cursor."""
        answer = self._ask("textDocument/hover", self._cursor(text))
        shown: str = "" if answer is None else answer["contents"]["value"]
        return shown

    def _cursor(self, text: str) -> dict[str, Any]:
        before, _, after = text.partition("|")
        place = {"line": before.count("\n"), "character": len(before.rpartition("\n")[2])}
        return {"textDocument": {"uri": self._open(before + after)}, "position": place}

    def _open(self, text: str) -> str:
        uri = (self._folder / "blueprints" / f"text-{next(self._numbers)}.yaml").as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._tell("textDocument/didOpen", {"textDocument": document})
        while uri not in self._told:
            self._read()
        return uri

    def _ask(self, method: str, parameters: Any) -> Any:
        number = next(self._numbers)
        self._send({"id": number, "method": method, "params": parameters})
        while True:
            message = self._read()
            if message.get("id") == number and "method" not in message:
                assert "error" not in message, message["error"]
                return message["result"]

    def _tell(self, method: str, parameters: Any) -> None:
        self._send({"method": method, "params": parameters})

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._process.stdin.flush()

    def _read(self) -> dict[str, Any]:
        """The next message; what the server asks is answered, and what it finds wrong with a text is kept."""
        message = json.loads(self._body())
        if "method" in message and "id" in message:
            wanted = message["params"].get("items", []) if message.get("params") else []
            configuration = [SETTINGS.get(each["section"], {}) for each in wanted]
            is_asked = message["method"] == "workspace/configuration"
            self._send({"id": message["id"], "result": configuration if is_asked else None})
        elif message.get("method") == "textDocument/publishDiagnostics":
            self._told[message["params"]["uri"]] = message["params"]["diagnostics"]
        return message

    def _body(self) -> bytes:
        assert self._process.stdout is not None
        length = 0
        while line := self._process.stdout.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        assert length, "the language server has ended"
        return self._process.stdout.read(length)

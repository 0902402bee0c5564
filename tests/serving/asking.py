"""Asking an ASGI application without a socket."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answered:
    """What came back."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


async def ask(
    app: Any, path: str, body: Any = None, headers: Mapping[str, str] | None = None, parts: int = 1
) -> Answered:
    """GET a path, or POST a body to it: bytes as they are, else as JSON; in several parts."""
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    sent = {"host": "localhost:8000", "content-type": "application/json", **(headers or {})}
    size = -(-len(content) // parts) or 1
    chunks = [content[start : start + size] for start in range(0, len(content), size)] or [b""]
    received: list[Any] = []
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "path": path, "raw_path": path.encode(),
        "method": "GET" if body is None else "POST", "query_string": b"", "root_path": "", "scheme": "http",
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000),
    }  # fmt: skip

    async def receive() -> Any:
        part = chunks.pop(0) if chunks else b""
        return {"type": "http.request", "body": part, "more_body": bool(chunks)}

    async def send(message: Any) -> None:
        received.append(message)

    await app(scope, receive, send)
    return Answered(received[0]["status"], b"".join(each.get("body", b"") for each in received[1:]))

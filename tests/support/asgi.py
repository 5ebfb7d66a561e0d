"""ASGI without a server: calls an app as a server would and keeps what it sends."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from proxy.observability.asgi import AsgiApp, Message


@dataclass
class Sent:
    """What came out; header names in lower case."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    messages: list[Message] = field(default_factory=list)


async def call(
    app: AsgiApp,
    method: str,
    target: str,
    *,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    kind: str = "http",
    before_answer: asyncio.Event | None = None,
    **scope: Any,
) -> Sent:
    """One request. ``before_answer``: the client leaves when this is set."""
    parts = urlsplit(target)
    sent = Sent()
    waiting: deque[Message] = deque()
    if kind == "websocket":
        waiting.append({"type": "websocket.connect"})
    else:
        waiting.append({"type": "http.request", "body": body, "more_body": False})

    async def receive() -> Message:
        if waiting:
            return waiting.popleft()
        if before_answer is not None:
            await before_answer.wait()
        return {"type": f"{kind}.disconnect"}

    async def send(message: Message) -> None:
        sent.messages.append(message)
        if message["type"] == "http.response.start":
            sent.status = message["status"]
            sent.headers = {k.decode(): v.decode() for k, v in message.get("headers", ())}
        elif message["type"] == "http.response.body":
            sent.body += message.get("body", b"")

    full = {
        "type": kind,
        "method": method,
        "path": unquote(parts.path),
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "headers": [(k.lower().encode(), v.encode()) for k, v in (headers or {}).items()],
        "client": ("127.0.0.1", 1),
        **scope,
    }
    try:
        await app(full, receive, send)
    except Exception:
        if not sent.messages:
            # as every server does
            sent.status = 500
    return sent

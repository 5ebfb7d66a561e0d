"""An app that remembers: `python ledger_upstream.py PORT LEDGER` writes down every request it got,
whole, before it answers it. What stands there survives a SIGKILL.

A request says in its own headers what it wants: ``X-Id``, ``X-Wait`` (ms before the answer, or
``gate``: until a file called as the ledger with ``.gate`` behind it is there),
``X-Size`` (bytes of the answer's body after its id), ``X-Framing`` (``length`` or ``chunked``).
Lean, because campaigns start it hundreds of times; strict parsing is other tests' business.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

Write = Callable[[bytes, bytes], None]
"""``(method, id)`` of a whole request."""
LOOK_S = 0.02


def _unchunked(data: bytes) -> tuple[bytes, bytes] | None:
    """Body and rest, or None while chunks are missing."""
    body = b""
    while True:
        line, found, rest = data.partition(b"\r\n")
        if not found:
            return None
        size = int(line, 16)
        if len(rest) < size + 2:
            return None
        if not size:
            return body, rest[2:]
        body, data = body + rest[:size], rest[size + 2 :]


class Visit(asyncio.Protocol):
    def __init__(self, write: Write, gate: str) -> None:
        self._write = write
        self._gate = gate
        self._data = b""
        self._is_answering = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        self._next()

    def _next(self) -> None:
        head, found, rest = self._data.partition(b"\r\n\r\n")
        if not found or self._is_answering:
            return
        lines = head.split(b"\r\n")
        fields = {n.lower(): v.strip() for n, _, v in (line.partition(b":") for line in lines[1:])}
        if fields.get(b"transfer-encoding") == b"chunked":
            whole = _unchunked(rest)
            if whole is None:
                return
            body, self._data = whole
        else:
            length = int(fields.get(b"content-length", b"0"))
            if len(rest) < length:
                return
            body, self._data = rest[:length], rest[length:]
        method = lines[0].split(b" ", 1)[0]
        self._is_answering = True
        self._write(method, fields[b"x-id"])
        wait = fields.get(b"x-wait", b"0")
        if wait == b"gate":
            self._answer_when_open(method, fields, body)
        else:
            loop = asyncio.get_running_loop()
            loop.call_later(int(wait) / 1000, self._answer, method, fields, body)

    def _answer_when_open(self, *what: Any) -> None:
        if os.path.exists(self._gate):
            self._answer(*what)
        else:
            asyncio.get_running_loop().call_later(LOOK_S, self._answer_when_open, *what)

    def _answer(self, method: bytes, fields: dict[bytes, bytes], body: bytes) -> None:
        said = fields[b"x-id"] + b" " + body + b"." * int(fields.get(b"x-size", b"0"))
        if method == b"HEAD":
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(said))
        elif fields.get(b"x-framing") == b"chunked":
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"%x\r\n%b\r\n0\r\n\r\n" % (len(said), said)
            )
        else:
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(said), said)
            )
        self._is_answering = False
        self._next()


async def main(port: int, ledger: str) -> None:
    book = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(method: bytes, number: bytes) -> None:
        os.write(book, method + b" " + number + b"\n")

    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    server = await asyncio.get_running_loop().create_server(
        lambda: Visit(write, ledger + ".gate"), sock=listener, backlog=1024
    )
    print(listener.getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))

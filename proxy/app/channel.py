"""The line between the supervisor and one child: JSON lines over a socket pair, listening sockets
with the first.

The other end closing means the other process is gone: a child then drains and ends, so that nothing
of a killed sidecar stays behind holding its ports.
"""

import asyncio
import json
import socket
from collections.abc import Callable, Sequence
from typing import Any

Message = dict[str, Any]

_FIRST_BYTES = 1 << 20
_FDS_MAX = 64
_LINE_BYTES = 1 << 20


def send_first(sock: socket.socket, message: Message, fds: Sequence[int]) -> None:
    """Blocking: the start message and the descriptors that belong to it."""
    data = json.dumps(message).encode() + b"\n"
    sent = socket.send_fds(sock, [data], list(fds))
    sock.sendall(data[sent:])


def receive_first(sock: socket.socket) -> tuple[Message, list[int]] | None:
    """Blocking: the start message with its descriptors, or None when the supervisor left before
    sending one.
    """
    data, fds, _, _ = socket.recv_fds(sock, _FIRST_BYTES, _FDS_MAX)
    while data and not data.endswith(b"\n"):
        more = sock.recv(_FIRST_BYTES)
        if not more:
            return None
        data += more
    return (json.loads(data), fds) if data else None


class Channel:
    """One end, once both sides run their loops."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, sock: socket.socket) -> "Channel":
        sock.setblocking(False)
        return cls(*await asyncio.open_unix_connection(sock=sock, limit=_LINE_BYTES))

    def send(self, message: Message) -> None:
        """Never waits and never raises: a child that is gone is replaced and told everything
        anew.
        """
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")

    async def listen(self, handle: Callable[[Message], None]) -> None:
        """Give every message to ``handle`` until the other end closes."""
        while line := await self._read_line():
            handle(json.loads(line))

    async def _read_line(self) -> bytes:
        try:
            return await self._reader.readline()
        except (ConnectionError, ValueError):
            return b""

    def close(self) -> None:
        self._writer.close()

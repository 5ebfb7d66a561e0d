"""Tables of raw messages through a data plane: one rig, one upstream that answers as it is told,
hundreds of cases.

The upstream reads leniently on purpose: whatever reaches it is kept, so that a table can say to the
byte what may.
"""

import asyncio
import contextlib
import re
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

from proxy.clock import SystemClock
from proxy.dataplane.server import DataServer, serve
from tests.support.dataplane import OK, WAIT_S, Kept, config_for

_LENGTH = re.compile(rb"\ncontent-length:[ \t]*([0-9]+)")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def whole_size(data: bytes) -> int:
    """The size of the first whole request in ``data``, or 0."""
    end = data.find(b"\r\n\r\n") + 4
    if end == 3:
        return 0
    head = data[:end].lower()
    if b"chunked" in head:
        return _chunked_size(data, end)
    match = _LENGTH.search(head)
    size = end + (int(match[1]) if match else 0)
    return size if len(data) >= size else 0


def _chunked_size(data: bytes, position: int) -> int:
    while (end := data.find(b"\r\n", position)) >= 0:
        size = int(data[position:end].partition(b";")[0], 16)
        if size == 0:
            last = data.find(b"\r\n\r\n", end)
            return last + 4 if last >= 0 else 0
        position = end + size + 4
        if position > len(data):
            return 0
    return 0


@dataclass
class Told:
    """What the upstream does with every whole request; tests change it as they go."""

    answer: bytes = OK
    step: int = 0
    """Bytes per write; 0 for all at once."""
    end: str = "open"
    """``open``, ``close`` or ``reset`` after the answer."""
    raw: bytearray = field(default_factory=bytearray)
    """Every byte that came, on whichever connection."""


class _Upstream(asyncio.Protocol):
    def __init__(self, told: Told) -> None:
        self._told = told
        self._data = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._told.raw += data
        self._data += data
        if not whole_size(self._data) and b"expect: 100-continue" in self._data.lower():
            self._transport.write(_CONTINUE)
        while size := whole_size(self._data):
            self._data = self._data[size:]
            self._answer(self._told.answer)

    def _answer(self, rest: bytes) -> None:
        if self._transport.is_closing():
            return
        size = self._told.step or len(rest)
        self._transport.write(rest[:size])
        if len(rest) > size:
            asyncio.get_running_loop().call_soon(self._answer, rest[size:])
        elif self._told.end == "close":
            self._transport.close()
        elif self._told.end == "reset":
            # after what was written has been read by the proxy
            asyncio.get_running_loop().call_later(0.01, self._reset)

    def _reset(self) -> None:
        if not self._transport.is_closing():
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()


@dataclass
class Heard:
    """What a client got: raw bytes, and how its connection stands."""

    raw: bytes = b""
    end: str = "open"
    """``open``, ``closed`` or ``reset``."""

    @property
    def status(self) -> int:
        match = re.match(rb"HTTP/1\.1 ([0-9]{3})", self.raw)
        return int(match[1]) if match else 0


class Wire:
    def __init__(self, told: Told, kept: Kept, server: DataServer, port: int) -> None:
        self.told = told
        self.kept = kept
        self.server = server
        self.port = port

    async def ask(self, raw: bytes, *, until: bytes | int | None, step: int = 0) -> Heard:
        """Send ``raw`` on a connection of its own and read until the answer ends with ``until`` or
        is that long; None: until the end.
        """
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        heard = Heard()
        try:
            for start in range(0, len(raw), step or len(raw)):
                writer.write(raw[start : start + (step or len(raw))])
                if step:
                    await asyncio.sleep(0)
            async with asyncio.timeout(WAIT_S):
                while not _is_all(heard.raw, until):
                    data = await reader.read(1 << 20)
                    if not data:
                        heard.end = "closed"
                        break
                    heard.raw += data
        except ConnectionError:
            heard.end = "reset"
        except TimeoutError:
            pass
        finally:
            cast("asyncio.Transport", writer.transport).abort()
        return heard


def _is_all(raw: bytes, until: bytes | int | None) -> bool:
    if until is None:
        return False
    return len(raw) >= until if isinstance(until, int) else raw.endswith(until)


@contextlib.asynccontextmanager
async def wire(*, hot: bool = True, **sections: dict[str, Any]) -> AsyncIterator[Wire]:
    told, kept = Told(), Kept()
    loop = asyncio.get_running_loop()
    upstream = await loop.create_server(lambda: _Upstream(told), "127.0.0.1", 0)
    port = upstream.sockets[0].getsockname()[1]
    server = DataServer(config_for(port, **sections), kept, clock=SystemClock(), hot=hot)
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    runner = await serve(server, [sock])
    try:
        yield Wire(told, kept, server, sock.getsockname()[1])
    finally:
        server.start_draining()
        await server.drained(0.2)
        await runner.cleanup()
        upstream.close()

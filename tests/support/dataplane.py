"""A data plane between two raw ends: a scripted upstream and raw clients, on real sockets.

The upstream reads with h11, a second, strict parser, so that what it takes for a request is one.
Everything it gets is kept as raw bytes too.
"""

import asyncio
import contextlib
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import h11

from proxy.clock import Clock, SystemClock
from proxy.config import Config
from proxy.dataplane.server import DataServer, serve
from proxy.dataplane.tls import NO_PEM, Pem
from proxy.domain.exchange import Exchange

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
WAIT_S = 5.0


@dataclass
class Seen:
    """One request as it reached the upstream: its raw bytes, and what h11 made of them."""

    raw: bytes
    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    trailers: list[tuple[bytes, bytes]]

    def values(self, name: bytes) -> list[bytes]:
        return [value for known, value in self.headers if known == name]

    @property
    def head(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[0]


class Peer:
    """The upstream's end of one connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: list[Seen]
    ):
        self.reader = reader
        self.writer = writer
        self.raw = b""
        self.got_eof = False
        self._seen = seen
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 22)
        self._mark = 0

    async def more(self) -> bytes:
        data = await self.reader.read(65536)
        self.raw += data
        self.got_eof = not data
        self._h11.receive_data(data)
        return data

    async def head(self) -> bytes:
        """Raw bytes up to the end of the first head."""
        while b"\r\n\r\n" not in self.raw:
            if not await self.more():
                raise ConnectionError("the proxy left")
        return self.raw.partition(b"\r\n\r\n")[0]

    async def request(self) -> Seen | None:
        """The next whole request; None when the connection ended before that."""
        request: h11.Request | None = None
        body = b""
        start = self._mark
        while True:
            try:
                event = self._h11.next_event()
            except h11.RemoteProtocolError:
                if self.got_eof:
                    return None
                raise
            if event is h11.NEED_DATA:
                await self.more()
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                assert request is not None
                rest = self._h11.trailing_data[0]
                self._mark = len(self.raw) - len(rest)
                seen = Seen(
                    self.raw[start : self._mark],
                    request.method,
                    request.target,
                    list(request.headers),
                    body,
                    list(event.headers),
                )
                self._seen.append(seen)
                return seen
            elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
                return None

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, data: bytes = OK) -> None:
        """Send raw bytes as the answer, and be ready for the next request."""
        await self.send(data)
        rest = self._h11.trailing_data[0]
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 22)
        if rest:
            self._h11.receive_data(rest)

    def shut_down(self) -> None:
        """Tell the kernel that this end is over, at once and past the event loop."""
        with socket.socket(fileno=os.dup(self.writer.get_extra_info("socket").fileno())) as sock:
            sock.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """End with a TCP reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Behaviour = Callable[[Peer], Awaitable[None]]


def replying(*answers: bytes) -> Behaviour:
    """Answer request after request; the last answer is repeated. Close when the proxy does."""

    async def behave(peer: Peer) -> None:
        index = 0
        while await peer.request() is not None:
            await peer.answer(answers[min(index, len(answers) - 1)])
            index += 1

    return behave


def closing(answer: bytes) -> Behaviour:
    """Answer one request and close."""

    async def behave(peer: Peer) -> None:
        if await peer.request() is not None:
            await peer.answer(answer)

    return behave


class ScriptedUpstream:
    """Give ``behaviours``: the n-th connection follows the n-th, the last one is repeated."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self.behaviours = list(behaviours or (replying(OK),))
        self.seen: list[Seen] = []
        self.peers: list[Peer] = []
        self.errors: list[BaseException] = []
        self.port = 0
        self.tls: ssl.SSLContext | None = None
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer, self.seen)
        index = min(len(self.peers), len(self.behaviours) - 1)
        self.peers.append(peer)
        try:
            await self.behaviours[index](peer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        except BaseException as error:
            if not writer.is_closing():  # writing on after the end is no fault of what is tested
                self.errors.append(error)
        finally:
            writer.close()

    def listen_no_more(self) -> None:
        assert self._server is not None
        self._server.close()

    async def stop(self) -> None:
        self.listen_no_more()
        for peer in self.peers:
            peer.writer.transport.abort()
        await asyncio.sleep(0)


class Kept:
    """A recorder that keeps everything."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.releases: list[str] = []

    def record(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)

    def released(self, version: str) -> None:
        self.releases.append(version)


@dataclass
class Got:
    """One answer as the client saw it. ``complete`` is False when it was cut."""

    status: int = 0
    reason: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    interim: list[int] = field(default_factory=list)
    complete: bool = False
    raw: bytes = b""

    def values(self, name: bytes) -> list[bytes]:
        return [value for known, value in self.headers if known == name]


class Client:
    """A raw client connection that reads answers with h11."""

    patience_s = WAIT_S
    """Between two pieces of an answer; a campaign on a busy machine has more."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._rest = b""

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def got(self, method: bytes = b"GET") -> Got:
        """Read one answer to its end, or to where it was cut."""
        parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 22)
        parser.send(h11.Request(method=method, target=b"/", headers=[(b"Host", b"a")]))
        parser.send(h11.EndOfMessage())
        got = Got(raw=self._rest)
        if self._rest:
            parser.receive_data(self._rest)
        self._rest = b""
        while True:
            try:
                event = parser.next_event()
            except h11.RemoteProtocolError:
                return got
            if event is h11.NEED_DATA:
                try:
                    data = await asyncio.wait_for(self.reader.read(65536), self.patience_s)
                except ConnectionError:
                    return got
                got.raw += data
                parser.receive_data(data)
            elif isinstance(event, h11.InformationalResponse):
                got.interim.append(event.status_code)
            elif isinstance(event, h11.Response):
                got.status, got.reason = event.status_code, event.reason
                got.headers = list(event.headers)
            elif isinstance(event, h11.Data):
                got.body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                got.trailers = list(event.headers)
                got.complete = True
                self._rest = parser.trailing_data[0]
                return got
            else:
                return got

    async def ended(self) -> bytes:
        """Whatever still comes until the proxy closes; a reset counts as an end."""
        data = self._rest
        with contextlib.suppress(ConnectionError):
            while chunk := await asyncio.wait_for(self.reader.read(65536), self.patience_s):
                data += chunk
        return data

    def stop_reading(self) -> None:
        cast("asyncio.Transport", self.writer.transport).pause_reading()

    def read_on(self) -> None:
        cast("asyncio.Transport", self.writer.transport).resume_reading()

    def half_close(self) -> None:
        self.writer.write_eof()

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Rig:
    """Client, data plane and upstream, wired together."""

    def __init__(
        self, upstream: ScriptedUpstream, server: DataServer, kept: Kept, port: int
    ) -> None:
        self.upstream = upstream
        self.server = server
        self.kept = kept
        self.port = port
        self._clients: list[Client] = []

    async def connect(self, tls: ssl.SSLContext | None = None) -> Client:
        name = "localhost" if tls is not None else None
        client = Client(
            *await asyncio.open_connection("127.0.0.1", self.port, ssl=tls, server_hostname=name)
        )
        self._clients.append(client)
        return client

    async def ask(
        self, raw: bytes, method: bytes = b"", *, tls: ssl.SSLContext | None = None
    ) -> Got:
        """One request on a connection of its own."""
        client = await self.connect(tls)
        await client.send(raw)
        return await client.got(method or raw.split(b" ", 1)[0])

    async def until(self, condition: Callable[[], Any], within_s: float = WAIT_S) -> None:
        """Let the loop turn until ``condition`` holds."""
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(0.005)

    async def recorded(self, count: int = 1) -> list[Exchange]:
        await self.until(lambda: len(self.kept.exchanges) >= count)
        return self.kept.exchanges

    def close_clients(self) -> None:
        for client in self._clients:
            client.close()


def config_for(port: int, **sections: dict[str, Any]) -> Config:
    upstream = {"url": f"http://127.0.0.1:{port}", **sections.pop("upstream", {})}
    return Config.of({"upstream": upstream, **sections})


@contextlib.asynccontextmanager
async def rig(
    *behaviours: Behaviour,
    clock: Clock | None = None,
    local: Callable[[], asyncio.Protocol] | None = None,
    hot: bool = True,
    pem: Pem = NO_PEM,
    upstream_tls: ssl.SSLContext | None = None,
    **sections: dict[str, Any],
) -> AsyncIterator[Rig]:
    """A running rig; everything in it is gone afterwards."""
    upstream = ScriptedUpstream(*behaviours)
    upstream.tls = upstream_tls
    await upstream.start()
    kept = Kept()
    server = DataServer(
        config_for(upstream.port, **sections),
        kept,
        clock=clock or SystemClock(),
        local=local,
        hot=hot,
        pem=pem,
    )
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    runner = await serve(server, [sock])
    it = Rig(upstream, server, kept, sock.getsockname()[1])
    try:
        yield it
    finally:
        it.close_clients()
        await upstream.stop()
        server.start_draining()
        await server.drained(0.2)
        await runner.cleanup()
    assert not upstream.errors, upstream.errors

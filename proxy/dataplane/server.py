"""The listener: our own per-connection protocol, its limits and its drain.

``DataServer`` is a factory of connections to the event loop. It looks at every connection's
deadlines about once a second, so that no request needs a timer of its own. No part of aiohttp is
needed before the first byte, and its import would take longer than all else; its ``ServerRunner``
can carry a ``DataServer``, too.
"""

import asyncio
import contextlib
import math
import socket
from collections.abc import Callable
from typing import Any

from proxy.clock import Clock
from proxy.config import Config
from proxy.dataplane.descriptors import room_for_traffic
from proxy.dataplane.faults import answer
from proxy.dataplane.general import General
from proxy.dataplane.hot import Hot
from proxy.dataplane.plane import DataStats, Plane, Recorder
from proxy.dataplane.tls import NO_PEM, Pem, ServerTls
from proxy.dataplane.upstream import Upstream
from proxy.domain.exchange import Outcome

__all__ = ["DataServer", "DataStats", "Recorder", "serve"]

SCAN_S = 1.0
"""Between two looks at the deadlines; shorter when a time-out is set below four of them."""
BACKLOG = 1024
"""Connections the kernel queues while the loop is busy."""
CUT_S = 1.0
"""How long connections that were cut may take to say so."""
LAST_REQUEST_S = 0.5
"""In a drain an idle connection stays open this long: a request may be on its way already, and its
answer can say ``Connection: close``, which a closed socket cannot."""
TLS_GOODBYE_S = 2.0
"""A client that does not answer the end of a TLS session is left without."""


class DataServer:
    """One data worker's server. Call ``serve``, or give it to an aiohttp ``ServerRunner``."""

    def __init__(
        self,
        config: Config,
        recorder: Recorder,
        *,
        clock: Clock,
        local: Callable[[], asyncio.Protocol] | None = None,
        pem: Pem = NO_PEM,
        hot: bool = True,
    ) -> None:
        """``pem`` holds what the data port and an https upstream need for TLS. ``hot=False`` leaves
        every connection to the general plane; the differential tests compare the two.
        """
        self._pem = pem
        self.tls = ServerTls(pem) if pem.certificate else None
        self._plane = Plane(config, recorder, clock, local, pem.upstream_ca)
        self._is_hot = hot
        self._room = room_for_traffic()
        self._timer: asyncio.TimerHandle | None = None
        self._scan_later()

    def __call__(self) -> Any:
        """A protocol for a connection just accepted: no subclass of asyncio's, its like."""
        plane = self._plane
        if len(plane.connections) >= plane.limits.connections or not self._has_descriptors():
            plane.refused_connections_total += 1
            return _TurnedAway()
        return Hot(plane) if self._is_hot else General(plane)

    def _has_descriptors(self) -> bool:
        """For one more client beside those here and the links they use; idle links make room."""
        plane = self._plane
        clients, upstream = len(plane.connections), plane.upstream
        if clients + upstream.open_links < self._room:
            return True
        upstream.expire(math.inf)
        return clients + upstream.open_links < self._room

    @property
    def handshake_timeout_s(self) -> float:
        """A TLS handshake may take as long as a request's head."""
        return self._plane.limits.header_timeout_s

    @property
    def stats(self) -> DataStats:
        return self._plane.stats()

    def reload(self, config: Config, pem: Pem | None = None) -> None:
        """Put ``config``, and ``pem`` where given, in force from the next request, handshake and
        connect on. No connection is dropped. Raises ``ssl.SSLError`` with everything as it was.
        """
        plane, before, old_pem = self._plane, self._plane.config, self._pem
        pem = pem or old_pem
        upstream = None
        if (
            before.upstream != config.upstream
            or before.downstream.buffer_bytes != config.downstream.buffer_bytes
            or old_pem.upstream_ca != pem.upstream_ca
        ):
            upstream = Upstream(
                config.upstream, config.downstream.buffer_bytes, plane.clock, pem.upstream_ca
            )
        if self.tls is not None:
            self.tls.renew(pem)
        self._pem = pem
        plane.swap(config)
        if upstream is not None:
            old, plane.upstream = plane.upstream, upstream
            old.retire()

    def scan(self) -> None:
        """Look at every deadline once."""
        plane = self._plane
        now = plane.monotonic()
        plane.wall_offset = plane.clock.time() - now
        for connection in list(plane.connections):
            connection.scan(now)
            if plane.idle_must_go:
                connection.drain()
        self._plane.upstream.expire(now)

    def _scan_later(self) -> None:
        limits, upstream = self._plane.limits, self._plane.config.upstream
        shortest = min(
            limits.header_timeout_s,
            limits.body_idle_timeout_s,
            limits.keepalive_timeout_s,
            upstream.response_timeout_s,
            upstream.keepalive_s,
        )
        pause = max(0.02, min(SCAN_S, shortest / 4))
        self._timer = asyncio.get_running_loop().call_later(pause, self._scan_and_again)

    def _scan_and_again(self) -> None:
        try:
            self.scan()
        finally:
            self._scan_later()

    def start_draining(self) -> None:
        """What is under way, and what idle connections still ask in ``LAST_REQUEST_S``, ends with
        ``Connection: close``. Closing listeners is the runner's.
        """
        if not self._plane.draining:
            self._plane.draining = True
            asyncio.get_running_loop().call_later(LAST_REQUEST_S, self._close_idle)

    def _close_idle(self) -> None:
        self._plane.idle_must_go = True
        for connection in list(self._plane.connections):
            connection.drain()

    async def drained(self, timeout_s: float) -> bool:
        """Wait until every exchange has ended; after ``timeout_s`` cut the rest. False when
        something was cut."""
        plane = self._plane
        emptied = plane.emptied = asyncio.Event()
        if plane.connections:
            await _wait(emptied, timeout_s)
        self._close_idle()
        busy = [connection for connection in plane.connections if connection.is_busy]
        for connection in busy:
            connection.cut("cut at the end of the drain", Outcome.PROXY_FAULT)
        if plane.connections:
            await _wait(emptied, CUT_S)
        for connection in list(plane.connections):
            connection.cut("cut at the end of the drain", Outcome.PROXY_FAULT)
        return not busy

    def pre_shutdown(self) -> None:
        self.start_draining()

    async def shutdown(self, timeout: float | None = None) -> None:
        """Once nobody listens any more: let what is under way end, and the upstream go."""
        await self.drained(self._plane.limits.drain_s if timeout is None else timeout)
        self._plane.upstream.retire()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), timeout_s)


class _TurnedAway(asyncio.Protocol):
    """A connection above the limit: an answer at once, and the end."""

    def connection_made(self, transport: Any) -> None:
        transport.write(answer(503, "too many connections", "connection_limit_reached", close=True))
        # not from within: uvloop forgets a transport that is closed before it began to read
        asyncio.get_running_loop().call_soon(transport.close)


class Listening:
    """A ``DataServer`` on its sockets, as long as it takes connections."""

    def __init__(self, server: DataServer) -> None:
        self._data_server = server
        self._listeners: list[asyncio.Server] = []

    async def open(self, sock: socket.socket) -> None:
        """``sock`` is bound already, and ours from now on."""
        server, loop = self._data_server, asyncio.get_running_loop()
        if server.tls is None:
            made = await loop.create_server(server, sock=sock, backlog=BACKLOG)
        else:
            made = await loop.create_server(
                server,
                sock=sock,
                backlog=BACKLOG,
                ssl=server.tls.context,
                ssl_handshake_timeout=server.handshake_timeout_s,
                ssl_shutdown_timeout=TLS_GOODBYE_S,
            )
        self._listeners.append(made)

    def stop(self) -> None:
        """Take no more connections; those that are here stay."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    async def cleanup(self) -> None:
        """Stop, drain, and let go of everything."""
        self.stop()
        # what was accepted in this turn of the loop becomes a connection first
        await asyncio.sleep(0)
        self._data_server.pre_shutdown()
        await self._data_server.shutdown()


async def serve(server: DataServer, sockets: list[socket.socket]) -> Listening:
    """Listen on sockets that are bound already. ``await cleanup()`` of what is returned closes them
    and drains.
    """
    listening = Listening(server)
    for sock in sockets:
        await listening.open(sock)
    return listening

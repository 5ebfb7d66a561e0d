"""The listener: aiohttp's server machinery carrying our own per-connection protocol, its limits
and its drain.

``DataServer`` is a ``web.Server`` to aiohttp's runners and sites and a factory of connections to
the event loop. It looks at every connection's deadlines about once a second, so that no request
needs a timer of its own.
"""

import asyncio
import contextlib
import math
import socket
import ssl
from collections.abc import Callable
from typing import Any

from aiohttp import web

from proxy.clock import Clock
from proxy.config import Config
from proxy.dataplane.descriptors import room_for_traffic
from proxy.dataplane.faults import answer
from proxy.dataplane.general import General
from proxy.dataplane.hot import Hot
from proxy.dataplane.plane import DataStats, Plane, Recorder
from proxy.dataplane.upstream import Upstream
from proxy.domain.exchange import Outcome

__all__ = ["DataServer", "DataStats", "Recorder", "serve"]

SCAN_S = 1.0
"""Between two looks at the deadlines; shorter when a time-out is set below four of them."""
BACKLOG = 1024
"""Connections the kernel queues while the loop is busy."""
CUT_S = 1.0
"""How long connections that were cut may take to say so."""


class DataServer(web.Server):
    """One data worker's server. Give it to an aiohttp ``ServerRunner``, or call ``serve``."""

    def __init__(
        self,
        config: Config,
        recorder: Recorder,
        *,
        clock: Clock,
        local: Callable[[], asyncio.Protocol] | None = None,
        hot: bool = True,
    ) -> None:
        """``hot=False`` leaves every connection to the general plane; the differential tests
        compare the two.
        """
        super().__init__(_never)
        self._plane = Plane(config, recorder, clock, local)
        self._is_hot = hot
        self._room = room_for_traffic()
        self._timer: asyncio.TimerHandle | None = None
        self._scan_later()

    def __call__(self) -> Any:
        """A protocol for a connection just accepted; aiohttp's own type would be its request
        handler."""
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
    def stats(self) -> DataStats:
        return self._plane.stats()

    def reload(self, config: Config) -> None:
        """Put ``config`` in force from the next request on. No connection is dropped."""
        plane, before = self._plane, self._plane.config
        plane.swap(config)
        if (
            before.upstream != config.upstream
            or before.downstream.buffer_bytes != config.downstream.buffer_bytes
        ):
            old = plane.upstream
            plane.upstream = Upstream(config.upstream, config.downstream.buffer_bytes, plane.clock)
            old.retire()

    def scan(self) -> None:
        """Look at every deadline once."""
        plane = self._plane
        now = plane.monotonic()
        plane.wall_offset = plane.clock.time() - now
        for connection in list(plane.connections):
            connection.scan(now)
            if plane.draining:
                # accepted after the drain began: it may ask once, but not idle
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
        """Close what is idle; what is under way ends with ``Connection: close``. Closing listeners
        is the runner's."""
        self._plane.draining = True
        for connection in list(self._plane.connections):
            connection.drain()

    async def drained(self, timeout_s: float) -> bool:
        """Wait until every exchange has ended; after ``timeout_s`` cut the rest. False when
        something was cut."""
        plane = self._plane
        emptied = plane.emptied = asyncio.Event()
        if plane.connections:
            await _wait(emptied, timeout_s)
        left = list(plane.connections)
        busy = any(connection.is_busy for connection in left)
        for connection in left:
            connection.cut("cut at the end of the drain", Outcome.PROXY_FAULT)
        if plane.connections:
            await _wait(emptied, CUT_S)
        return not busy

    def pre_shutdown(self) -> None:
        self.start_draining()

    async def shutdown(self, timeout: float | None = None) -> None:
        """aiohttp's runner calls this once its sites have stopped listening."""
        await self.drained(self._plane.limits.drain_s if timeout is None else timeout)
        self._plane.upstream.retire()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), timeout_s)


async def _never(request: web.BaseRequest) -> web.StreamResponse:
    raise web.HTTPNotFound


class _TurnedAway(asyncio.Protocol):
    """A connection above the limit: an answer at once, and the end."""

    def connection_made(self, transport: Any) -> None:
        transport.write(answer(503, "too many connections", "connection_limit_reached", close=True))
        # not from within: uvloop forgets a transport that is closed before it began to read
        asyncio.get_running_loop().call_soon(transport.close)


async def serve(
    server: DataServer, sockets: list[socket.socket], *, tls: ssl.SSLContext | None = None
) -> web.ServerRunner:
    """Listen on sockets that are bound already. ``await runner.cleanup()`` closes them and
    drains."""
    runner = web.ServerRunner(server)
    await runner.setup()
    for sock in sockets:
        await web.SockSite(runner, sock, ssl_context=tls, backlog=BACKLOG).start()
    return runner

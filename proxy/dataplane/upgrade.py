"""WebSocket: is this 101 an answer to that handshake, and the raw tunnel after it (RFC 6455
section 4.2.2).

After the 101 nothing is looked at: extensions, subprotocols and frames are the two ends' own
business.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from proxy.dataplane.response_head import ResponseHead
from proxy.dataplane.sockets import reset_on_close, take_unread
from proxy.dataplane.upstream import UNREAD_BYTES_MAX, Link

TUNNEL_IDLE_S = 3600.0
"""A tunnel without a byte for this long is dead; apps that live send pings far more often."""


def answers_handshake(response: ResponseHead) -> bool:
    """True when this 101 agrees to WebSocket and to nothing else (RFC 9110 section 7.8).

    Its Sec-WebSocket-Accept is proof to the client, who made the key and checks it (RFC 6455
    section 4.1).
    """
    upgrades = response.values(b"upgrade")
    return (
        len(upgrades) == 1
        and upgrades[0].lower() == b"websocket"
        and b"upgrade" in response.connection
    )


class _End(asyncio.Protocol):
    """One end of a tunnel: what it reads it writes to its peer, and it stops reading while the
    peer is full."""

    __slots__ = ("_tunnel", "is_closed", "is_eof", "peer", "read_bytes", "transport")

    peer: "_End"

    def __init__(self, tunnel: "Tunnel", transport: Any) -> None:
        self._tunnel = tunnel
        self.transport = transport
        self.read_bytes = 0
        self.is_eof = False
        self.is_closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Never called: the transport was taken over."""

    def data_received(self, data: bytes) -> None:
        self.read_bytes += len(data)
        self._tunnel.is_alive = True
        if not self.peer.is_closed:
            self.peer.transport.write(data)

    def eof_received(self) -> bool:
        self.is_eof = True
        if self.peer.is_closed or self.peer.is_eof or not self.peer.transport.can_write_eof():
            return False
        self.peer.transport.write_eof()
        return bool(self.transport.can_write_eof())

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        if not self.peer.is_closed:
            if exc is not None:
                if data := take_unread(self.transport, UNREAD_BYTES_MAX):
                    self.data_received(data)
                reset_on_close(self.peer.transport)
                self.peer.transport.abort()
            else:
                self.peer.transport.close()
        self._tunnel.end_lost(exc)

    def pause_writing(self) -> None:
        if not self.peer.is_closed and not self.peer.transport.is_closing():
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if not self.peer.is_closed and not self.peer.transport.is_closing():
            self.peer.transport.resume_reading()


class Tunnel:
    """Two raw ends. ``on_end(request_bytes, response_bytes, error)`` is called once, when both are
    closed."""

    def __init__(
        self, client: Any, link: Link, now: float, on_end: Callable[[int, int, str | None], None]
    ) -> None:
        self._client = _End(self, client)
        self._upstream = _End(self, link.transport)
        self._client.peer, self._upstream.peer = self._upstream, self._client
        self._on_end = on_end
        self._heard_at = now
        self._error: str | None = None
        self._link = link
        self.is_alive = True

    def start(self, from_client: bytes, from_upstream: bytes, *, client_ended: bool) -> None:
        """Take both transports over and pass on what was read too far.

        ``client_ended`` when its end of sending came before the 101: nobody will say it again.
        """
        self._client.transport.set_protocol(self._client)
        self._upstream.transport.set_protocol(self._upstream)
        if from_upstream:
            self._upstream.data_received(from_upstream)
        if from_client:
            self._client.data_received(from_client)
        if client_ended:
            self._client.eof_received()

    def end_lost(self, error: Exception | None) -> None:
        if error is not None and self._error is None:
            self._error = str(error) or type(error).__name__
        if self._client.is_closed and self._upstream.is_closed:
            self._link.abort()
            self._on_end(self._client.read_bytes, self._upstream.read_bytes, self._error)

    def scan(self, now: float) -> None:
        if self.is_alive:
            self.is_alive = False
            self._heard_at = now
        elif now - self._heard_at > TUNNEL_IDLE_S:
            self.cut()

    def cut(self) -> None:
        for end in (self._client, self._upstream):
            if not end.is_closed:
                end.transport.abort()

"""A client connection after its last answer: that answer should arrive before the end does.

Closing with unread bytes waiting makes the kernel send a reset, which may overtake the answer. So
the client is read on and its bytes are thrown away, for a bounded time (RFC 9112 section 9.6).
"""

import asyncio
from typing import Any

from proxy.dataplane.plane import Plane
from proxy.dataplane.sockets import reset_on_close
from proxy.dataplane.stall import Stall
from proxy.domain.exchange import Outcome

LINGER_S = 2.0
LINGER_MOST_S = 30.0
"""The client is read on until it is silent for the first, and at most for the second."""


class Leaving(asyncio.Protocol):
    """Takes over the transport of a connection on which nothing is under way any more."""

    def __init__(self, plane: Plane, transport: Any, *, lingers: bool) -> None:
        """``lingers`` when the client may still be sending; else what is written is the end."""
        self._plane = plane
        self._transport = transport
        self._lingers = lingers
        self._since = self._heard_at = plane.monotonic()
        self._stall = Stall()
        plane.connections.add(self)
        transport.set_protocol(self)
        if not lingers:
            transport.close()
            return
        if not transport.is_closing():
            transport.write_eof()
            transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._plane.monotonic()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._plane.closed(self)

    @property
    def is_busy(self) -> bool:
        return False

    def scan(self, now: float) -> None:
        if self._lingers:
            if now - self._heard_at > LINGER_S or now - self._since > LINGER_MOST_S:
                self._lingers = False
                self._transport.close()
        elif self._stall.is_over(now, self._transport, self._plane.stall_s):
            self._transport.abort()

    def drain(self) -> None:
        """It is on its way out already."""

    def cut(self, why: str = "", outcome: Outcome = Outcome.CLIENT_GONE) -> None:
        reset_on_close(self._transport)
        self._transport.abort()

"""The general plane: one client connection, and everything HTTP/1.1 allows on it.

Callbacks only. Heads and bodies are read strictly, one request after another, and each becomes a
``Forwarding``; later requests wait. The deadlines are looked at once a second from outside. Knows
nothing of storage or of why an exchange matters.
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from proxy.dataplane import headers
from proxy.dataplane.adoption import adopt
from proxy.dataplane.faults import Fault, Refused, TooSlow, answer, is_ours, own_fault
from proxy.dataplane.forwarding import Forwarding
from proxy.dataplane.framing import CHUNKED, HEAD_END, NO_BODY
from proxy.dataplane.leaving import Leaving
from proxy.dataplane.plane import Plane
from proxy.dataplane.presence import is_here
from proxy.dataplane.request_head import (
    EMPTY_LINES_MAX,
    RequestHead,
    check_unfinished_request,
    read_request,
    skip_empty_lines,
)
from proxy.dataplane.sockets import reset_on_close
from proxy.dataplane.stall import NEVER, Stall
from proxy.dataplane.upgrade import Tunnel
from proxy.dataplane.upstream import Link
from proxy.domain.exchange import Exchange, Outcome

if TYPE_CHECKING:
    from proxy.dataplane.hot import Hot

PIPELINE_BYTES_MAX = 65536
"""Bytes of following requests held while one is answered; beyond it the client is not read."""
GONE_GRACE_S = 0.75
"""A client that ended its sending may still read; when nothing was to write for this long, and
nobody knows better, it has left."""
CLOSING_S = 0.04
"""A program that closes its socket is out of it by then; its FIN came first."""
LOOK_AFTER_S = (CLOSING_S + 0.01, GONE_GRACE_S + 0.01)
"""After the client's end of sending: the scan alone would look up to a second too late."""

_log = logging.getLogger("selfheal.dataplane")

_HEAD, _BODY, _ANSWER, _TUNNEL, _DONE = range(5)
"""What is read from the client: a head, a body, nothing yet, a tunnel, nothing any more."""


class General(asyncio.Protocol):
    """One client connection. At most one exchange is under way; what follows waits in ``_tail``."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.transport: Any = None
        self.address = ""
        self.is_writable = True
        self._exchange: Forwarding | None = None
        self._phase = _HEAD
        self._tail = b""
        self._checked = 0
        self._empty_lines_left = EMPTY_LINES_MAX
        self._head_since = NEVER
        self._heard_at = 0.0
        self._wrote_at = NEVER
        self._eof_at = NEVER
        self._is_reading = True
        self._hot: Hot | None = None
        self._is_plain = True
        self._stall = Stall()
        self._tunnel: Tunnel | None = None
        self._end_words = ("the client left", Outcome.CLIENT_GONE)

    # -- from the hot plane and back

    def adopt_idle(self, hot: "Hot") -> None:
        """Take over a client connection on which nothing is under way."""
        self._hot = hot
        self.transport = hot.transport
        self.address = hot.client
        self._heard_at = hot.heard_at
        self.is_writable = hot.is_writable
        self._is_reading = hot.is_reading

    def adopt(self, hot: "Hot") -> None:
        """Take over an exchange. What the hot plane let pass is read again here, and must pass
        again.
        """
        self.adopt_idle(hot)
        self._exchange = adopt(self, hot)
        self._phase = _BODY if hot.left else _ANSWER

    def _may_go_back(self) -> bool:
        return (
            self._is_plain
            and not self._tail
            and self._eof_at < 0
            and self.is_writable
            and self._is_reading
        )

    def _go_back(self, hot: "Hot") -> None:
        """The exchange is over; what comes next may be plain again."""
        self._phase = _DONE
        self.plane.connections.discard(self)
        self.plane.connections.add(hot)
        self.transport.set_protocol(hot)
        hot.resume(self._heard_at)

    # A link that the hot plane asked for reports to it, and it reports here.

    def link_ready(self, link: Link) -> None:
        if self._exchange is not None:
            self._exchange.link_ready(link)
        else:
            link.upstream.put(link)

    def link_failed(self, fault: Fault) -> None:
        if self._exchange is not None:
            self._exchange.link_failed(fault)

    def upstream_data(self, data: bytes) -> None:
        if self._exchange is not None:
            self._exchange.upstream_data(data)

    def upstream_lost(self, error: Exception | None) -> None:
        if self._exchange is not None:
            self._exchange.upstream_lost(error)

    # -- the client's bytes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        plane = self.plane
        self.transport.set_write_buffer_limits(high=plane.buffer_bytes)
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if isinstance(peer, tuple) else ""
        self._heard_at = plane.monotonic() - plane.unasked_s
        plane.connections.add(self)

    def data_received(self, data: bytes) -> None:
        self._heard_at = self.plane.monotonic()
        if self._phase == _DONE:
            return
        self._tail = self._tail + data if self._tail else data
        self._advance()

    def eof_received(self) -> bool:
        self._eof_at = self._heard_at = self.plane.monotonic()
        if self._phase == _ANSWER:
            # a TLS session has no half: asyncio ends it, and logs that it was asked not to
            if not self.transport.can_write_eof():
                return False
            for after in LOOK_AFTER_S:
                asyncio.get_running_loop().call_later(after, self._look_again)
            return True
        self._input_ended()
        return self._phase == _HEAD and bool(self.transport.can_write_eof())

    def _input_ended(self) -> None:
        """No more will come: a request that is not whole never will be, and none is the end."""
        if self._phase == _BODY:
            self._refuse(Refused("the request ends in the middle of its body"))
        elif self._phase == _HEAD and not skip_empty_lines(self._tail):
            self._close(unread=False)
        elif self._phase == _HEAD and self.is_writable:
            self._refuse(Refused("the request ends in the middle of its head"))

    def _look_again(self) -> None:
        if self._phase == _ANSWER:
            self.scan(self.plane.monotonic())

    def connection_lost(self, exc: Exception | None) -> None:
        self.plane.closed(self)
        self._phase = _DONE
        exchange, self._exchange = self._exchange, None
        if exchange is not None and not exchange.is_over:
            if is_ours(exc):
                self._end_words = (f"the proxy failed: {exc!r}", Outcome.PROXY_FAULT)
            exchange.abandon(*self._end_words)

    def pause_writing(self) -> None:
        self.is_writable = False
        if self._exchange is not None:
            self._exchange.read_on(False)

    def resume_writing(self) -> None:
        self.is_writable = True
        self._wrote_at = self.plane.monotonic()
        if self._exchange is not None:
            self._exchange.read_on(True)
        if self._phase == _HEAD:
            self._advance()

    def gate(self) -> None:
        """Read from the client only what there is room for."""
        phase, exchange = self._phase, self._exchange
        if phase > _ANSWER:
            return
        if phase == _HEAD:
            wanted = self.is_writable
        elif phase == _ANSWER:
            wanted = len(self._tail) <= PIPELINE_BYTES_MAX
        else:
            wanted = exchange is not None and exchange.has_room
        if wanted != self._is_reading and not self.transport.is_closing():
            self._is_reading = wanted
            if wanted:
                self._heard_at = self.plane.monotonic()
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    def _advance(self) -> None:
        """Read as much of the input as the phase allows; pipelined requests follow one another
        here.
        """
        try:
            while self._tail:
                if self._phase == _HEAD:
                    if not self.is_writable or not self._take_head():
                        break
                elif self._phase == _BODY:
                    if not self._take_body():
                        break
                else:
                    break
        except Refused as fault:
            self._refuse(fault)
            return
        except Exception as error:
            _log.exception("a request could not be read")
            self._break(error)
            return
        if self._phase <= _ANSWER:
            if self._exchange is not None:
                self._exchange.flush()
            if self._eof_at < 0:
                self.gate()
            else:
                self._input_ended()

    def _take_head(self) -> bool:
        plane = self.plane
        if self._tail[:1] == b"\r":
            before = self._tail
            self._tail, self._checked = skip_empty_lines(before, self._empty_lines_left), 0
            self._empty_lines_left -= (len(before) - len(self._tail)) // 2
            if not self._tail:
                return False
        data = self._tail
        end = data.find(HEAD_END, max(0, self._checked - 3)) + 4
        if end == 3:
            check_unfinished_request(data, plane.header_bytes, self._checked)
            if self._head_since < 0:
                self._head_since = self._heard_at
            self._checked = len(data)
            return False
        head, self._tail, self._checked = data[:end], data[end:], 0
        self._empty_lines_left = EMPTY_LINES_MAX
        self._head_since = NEVER
        request = read_request(head, plane.header_bytes, plane.header_count)
        if plane.local_prefix and plane.is_local(request.path):
            self._hand_over(request)
            return False
        self._begin(request)
        return True

    def _hand_over(self, request: RequestHead) -> None:
        """Give the connection, and what was read of the request, to the sidecar's own small server.

        It is asked to close after its answer: the next request may again be the app's, so what is
        pipelined behind this one is not its.
        """
        plane = self.plane
        assert plane.local is not None
        protocol = plane.local()
        plane.local_total += 1
        plane.closed(self)
        self._phase = _DONE
        tail = self._tail if request.kind == CHUNKED else self._tail[: request.length]
        rest, self._tail = headers.closing_block(request) + tail, b""
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        protocol.data_received(rest)

    def _begin(self, request: RequestHead) -> None:
        plane = self.plane
        plane.general_total += 1
        self._phase = _BODY if request.kind != NO_BODY else _ANSWER
        now = plane.monotonic()
        self._exchange = Forwarding(self, request, now, now + plane.wall_offset)
        self._exchange.begin()

    def _take_body(self) -> bool:
        exchange = self._exchange
        assert exchange is not None
        data, self._tail = self._tail, b""
        self._tail = exchange.take_body(data)
        if not exchange.body.done:
            return False
        self._phase = _ANSWER
        return True

    # -- what the exchange asks and tells

    @property
    def has_left(self) -> bool:
        return self._eof_at >= 0

    @property
    def sends_on(self) -> bool:
        return self._eof_at < 0 or bool(self._tail)

    def heard(self, now: float) -> None:
        """An interim answer gives the client new time for its body."""
        self._heard_at = now

    def wrote(self, now: float) -> None:
        self._wrote_at = now

    def switch(self, link: Link, rest: bytes) -> None:
        """The 101 is written; from here on bytes pass as they are."""
        plane = self.plane
        self._phase = _TUNNEL
        if not self._is_reading:
            self.transport.resume_reading()
        plane.tunnels += 1
        self._tunnel = Tunnel(self.transport, link, plane.monotonic(), self._tunnel_ended)
        from_client, self._tail = self._tail, b""
        self._tunnel.start(from_client, rest, client_ended=self._eof_at >= 0)

    def _tunnel_ended(self, sent: int, received: int, error: str | None) -> None:
        self.plane.closed(self)
        self.plane.tunnels -= 1
        self._phase = _DONE
        self._tunnel = None
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.record(101, Outcome.UPGRADED, error, sent, received)

    def over(self, *, close: bool) -> None:
        """The exchange has ended: on to the next request, or close so that the answer arrives."""
        exchange, self._exchange = self._exchange, None
        assert exchange is not None
        if close or self.plane.idle_must_go:
            self._close(unread=self._phase == _BODY or bool(self._tail))
            return
        self._phase = _HEAD
        self._heard_at = self.plane.monotonic()
        self._is_plain = exchange.was_plain
        if self._hot is not None and self._may_go_back():
            self._go_back(self._hot)
            return
        if self._tail or self._eof_at >= 0:
            self._advance()
        else:
            self.gate()

    def refused(self) -> None:
        """The exchange ended with our own words about a bad request."""
        self._exchange = None
        self._close(unread=True)

    def end_visibly(self, *, by_reset: bool) -> None:
        """Part of an answer is out and no more will come."""
        self._phase = _DONE
        self._exchange = None
        if not by_reset:
            self._leave(lingers=False)
            return
        reset_on_close(self.transport)
        self.transport.abort()

    # -- the end

    def _close(self, *, unread: bool) -> None:
        self._tail = b""
        self._leave(lingers=unread and self.transport.can_write_eof() and self._eof_at < 0)

    def _leave(self, *, lingers: bool) -> None:
        self._phase = _DONE
        self.plane.connections.discard(self)
        Leaving(self.plane, self.transport, lingers=lingers)

    def _refuse(self, fault: Refused) -> None:
        if self._phase > _ANSWER:
            return
        if self._exchange is not None:
            self._exchange.refuse(fault)
            return
        self.plane.unread_total += 1
        self._end_without_request(fault)

    def _break(self, error: Exception) -> None:
        """Something here is wrong: say so, and close; nobody else is to blame."""
        fault = own_fault(error)
        exchange = self._exchange
        if exchange is None:
            self._end_without_request(fault)
        elif not exchange.is_over:
            exchange.fail(fault)
        else:
            self.cut()

    def _end_without_request(self, fault: Fault) -> None:
        plane = self.plane
        self.transport.write(answer(fault.status, fault.reason, fault.token, close=True))
        plane.record(
            Exchange(
                plane.clock.time(),
                0.0,
                "",
                b"",
                fault.status,
                fault.outcome,
                client=self.address,
                error=fault.reason,
            )
        )
        self._close(unread=True)

    # -- deadlines and the end of the process

    @property
    def is_busy(self) -> bool:
        return self._exchange is not None

    def scan(self, now: float) -> None:
        phase, limits = self._phase, self.plane.limits
        if phase == _TUNNEL:
            if self._tunnel is not None:
                self._tunnel.scan(now)
        elif phase == _HEAD:
            if self._head_since >= 0:
                if now - self._head_since > limits.header_timeout_s:
                    self._refuse(Refused("the request head did not arrive in time", 408))
            elif not self.is_writable:
                self._cut_if_stuck(now)
            elif now - self._heard_at > limits.keepalive_timeout_s:
                self._close(unread=False)
        elif self._exchange is not None:
            self._scan_exchange(now, self._exchange)

    def _scan_exchange(self, now: float, exchange: Forwarding) -> None:
        if not self.is_writable:
            self._cut_if_stuck(now)
            return
        if self._eof_at >= 0 and self._has_gone(now):
            self.cut()
            return
        plane = self.plane
        uploading = (
            self._phase == _BODY and self._is_reading and not exchange.request.expects_continue
        )
        if uploading:
            if now - self._heard_at > plane.limits.body_idle_timeout_s:
                self._refuse(Refused("the request body did not arrive in time", 408))
        elif exchange.awaits_upstream and now - exchange.up_at > plane.response_timeout_s:
            words = (
                "the answer stalled"
                if exchange.has_answer
                else "the upstream did not answer in time"
            )
            exchange.fail(TooSlow(words))

    def _has_gone(self, now: float) -> bool:
        """It ended its sending: has it closed, too?"""
        if now - self._eof_at < CLOSING_S:
            return False
        here = is_here(self.transport.get_extra_info("socket"))
        if here is None:
            return now - max(self._eof_at, self._wrote_at) >= GONE_GRACE_S
        return not here

    def _cut_if_stuck(self, now: float) -> None:
        if self._stall.is_over(now, self.transport, self.plane.stall_s):
            self.cut()

    def drain(self) -> None:
        if self._phase == _HEAD and not self._tail:
            self._close(unread=False)

    def cut(self, why: str = "the client left", outcome: Outcome = Outcome.CLIENT_GONE) -> None:
        self._end_words = (why, outcome)
        if self._tunnel is not None:
            self._tunnel.cut()
        else:
            reset_on_close(self.transport)
            self.transport.abort()

"""The general plane: one client connection, and everything HTTP/1.1 allows on it.

Callbacks only. A request is read strictly, then forwarded; its answer is read strictly, then passed
on; the deadlines are looked at once a second from outside. Knows nothing of storage or of why an
exchange matters.
"""

import asyncio
from typing import TYPE_CHECKING, Any

from proxy.dataplane import framing, headers
from proxy.dataplane.chunks import LAST_CHUNK, frame
from proxy.dataplane.faults import BadAnswer, Fault, Refused, TooSlow, answer
from proxy.dataplane.framing import (
    CHUNKED,
    LENGTH,
    NO_BODY,
    UNTIL_CLOSE,
    BodyReader,
    RequestHead,
    ResponseHead,
)
from proxy.dataplane.plane import Plane
from proxy.dataplane.sockets import reset_on_close, unread_bytes
from proxy.dataplane.upgrade import Tunnel, answers_handshake
from proxy.dataplane.upstream import Link, Upstream
from proxy.domain.exchange import Capture, Exchange, Outcome

if TYPE_CHECKING:
    from proxy.dataplane.hot import Hot

PIPELINE_BYTES_MAX = 65536
"""Bytes of following requests held while one is answered; beyond it the client is not read."""
UNSENT_BYTES_MAX = 65536
"""Request bytes held while the upstream is being connected."""
RETRY_BYTES_MAX = 65536
"""A longer request is not kept for a second try."""
INTERIM_MAX = 64
"""1xx answers to one request."""
LINGER_S = 2.0
LINGER_MOST_S = 30.0
"""After a last answer the client is read on and its bytes are thrown away, so that a reset does not
overtake the answer: until it is silent for the first, and at most for the second."""
GONE_GRACE_S = 1.0
"""A client that ended its sending may still read; when nothing was to write for this long, it has
left."""

IDEMPOTENT = frozenset({b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"TRACE"})
"""RFC 9110 section 9.2.2."""

_READ_BEFORE = 1 << 30
"""No limit: the head was within its limits when the hot plane read it."""
NEVER = -1.0
"""Monotonic seconds of what has not happened."""

_HEAD, _BODY, _ANSWER, _LINGER, _TUNNEL, _CLOSED = range(6)
"""What is being read from the client: a head, a body, nothing yet, waste, a tunnel, nothing any
more."""


class General(asyncio.Protocol):
    """One client connection. At most one exchange is under way; later requests wait in
    ``_tail``."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._transport: Any = None
        self._client = ""
        self._phase = _HEAD
        self._tail = b""
        self._checked = 0
        self._head_since = NEVER
        self._heard_at = 0.0
        self._wrote_at = NEVER
        self._eof_at = NEVER
        self._hot: Hot | None = None
        self._is_reading = True
        self._is_writable = True
        self._ended_at = NEVER
        self._stalled = (NEVER, -1)
        self._tunnel: Tunnel | None = None
        self._end_words = ("the client left", Outcome.CLIENT_GONE)
        self._clear()

    def _clear(self) -> None:
        """Forget the exchange."""
        self._request: RequestHead | None = None
        self._body: BodyReader | None = None
        self._link: Link | None = None
        self._upstream: Upstream | None = None
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._sent: list[bytes] | None = None
        self._sent_bytes = 0
        self._is_up_writable = True
        self._up_at = 0.0
        self._up_tail = b""
        self._up_checked = 0
        self._response: ResponseHead | None = None
        self._answer: BodyReader | None = None
        self._chunk_out = False
        self._close_after = False
        self._interims = 0
        self._retried = False
        self._was_reused = False
        self._started_at = 0.0
        self._started = 0.0
        self._trace: str | None = None
        self._trace_line = b""
        self._copy_in: list[bytes] = []
        self._copy_in_bytes = 0
        self._copy_out: list[bytes] = []
        self._copy_out_bytes = 0

    # -- from the hot plane and back

    def adopt_idle(self, hot: "Hot") -> None:
        """Take over a client connection on which nothing is under way."""
        self._hot = hot
        self._transport = hot.transport
        self._client = hot.client
        self._heard_at = hot.heard_at
        self._is_writable = hot.is_writable
        self._is_reading = hot.is_reading

    def adopt(self, hot: "Hot") -> None:
        """Take over an exchange. What the hot plane let pass is read again here, and must pass
        again.
        """
        self.adopt_idle(hot)
        plane = self._plane
        head, first = hot.data[: hot.head_size], hot.data[hot.head_size :]
        request = framing.read_request(head, _READ_BEFORE, _READ_BEFORE)
        self._request = request
        self._upstream = hot.upstream
        self._body = BodyReader(request.kind, request.length, request.judge, plane.header_bytes)
        self._body.skip(hot.length - hot.left)
        self._phase = _BODY if hot.left else _ANSWER
        self._started, self._started_at, self._up_at = hot.started, hot.started_at, hot.up_at
        self._trace = headers.trace_id(request.names, request.lines)
        for piece in (first, *hot.pieces):
            self._keep_copy(piece)
        if hot.unsent:
            self._unsent, self._unsent_bytes = [hot.unsent], len(hot.unsent)
        if hot.link is not None:
            hot.link.parser = None
            hot.link.owner = self
            self._link = hot.link
            self._was_reused = hot.was_reused
        if hot.may_retry and not hot.answer_head:
            block = headers.request_block(request, hot.upstream.authority, [], frozenset())
            self._sent, self._sent_bytes = [block, first], len(block) + len(first)
        if hot.answer_head:
            response = framing.read_response(
                hot.answer_head, request.method, _READ_BEFORE, _READ_BEFORE
            )
            self._response = response
            self._answer = BodyReader(
                response.kind, response.length, response.judge, plane.header_bytes
            )
            self._answer.skip(hot.answer_length - hot.answer_left)
            self._close_after = plane.draining

    def _may_go_back(self) -> bool:
        return not self._tail and self._eof_at < 0 and self._is_writable and self._is_reading

    def _go_back(self, hot: "Hot") -> None:
        """The exchange is over; what comes next may be plain again."""
        self._phase = _CLOSED
        self._plane.connections.discard(self)
        self._plane.connections.add(hot)
        self._transport.set_protocol(hot)
        hot.resume(self._heard_at)

    # -- the client's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        plane = self._plane
        self._transport.set_write_buffer_limits(high=plane.buffer_bytes)
        peer = transport.get_extra_info("peername")
        self._client = peer[0] if isinstance(peer, tuple) else ""
        self._heard_at = plane.monotonic()
        plane.connections.add(self)

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._plane.monotonic()
        if self._phase >= _LINGER:
            return
        self._tail = self._tail + data if self._tail else data
        self._advance()

    def eof_received(self) -> bool:
        self._eof_at = self._heard_at = self._plane.monotonic()
        if self._phase == _HEAD and framing.skip_empty_lines(self._tail):
            self._refuse(Refused("the request ends in the middle of its head"))
        elif self._phase == _BODY:
            self._refuse(Refused("the request ends in the middle of its body"))
        elif self._phase == _ANSWER:
            return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._plane.closed(self)
        busy = self._request is not None
        self._phase = _CLOSED
        if busy:
            self._drop_link()
            status = self._response.status if self._response is not None else 499
            why, outcome = self._end_words
            self._record(status, outcome, why)

    def pause_writing(self) -> None:
        self._is_writable = False
        if self._link is not None:
            self._link.read_on(False)

    def resume_writing(self) -> None:
        self._is_writable = True
        self._wrote_at = self._up_at = self._plane.monotonic()
        if self._link is not None:
            self._link.read_on(True)
        if self._phase == _HEAD:
            self._advance()

    def _gate(self) -> None:
        """Read from the client only what there is room for."""
        wanted = self._is_up_writable and self._unsent_bytes <= UNSENT_BYTES_MAX
        if self._phase == _ANSWER:
            wanted = len(self._tail) <= PIPELINE_BYTES_MAX
        elif self._phase == _HEAD:
            wanted = self._is_writable
        if wanted != self._is_reading and not self._transport.is_closing():
            self._is_reading = wanted
            if wanted:
                self._heard_at = self._plane.monotonic()
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _advance(self) -> None:
        """Read as much of the input as the phase allows; pipelined requests follow one another
        here."""
        try:
            while self._tail:
                if self._phase == _HEAD:
                    if not self._is_writable or not self._take_head():
                        break
                elif self._phase == _BODY:
                    if not self._take_body():
                        break
                else:
                    break
        except Refused as fault:
            self._refuse(fault)
            return
        if self._phase <= _ANSWER:
            self._flush()
            self._gate()

    def _take_head(self) -> bool:
        plane = self._plane
        if self._tail[:1] == b"\r":
            self._tail, self._checked = framing.skip_empty_lines(self._tail), 0
            if not self._tail:
                return False
        data = self._tail
        end = data.find(framing.HEAD_END, max(0, self._checked - 3)) + 4
        if end == 3:
            framing.check_unfinished_request(data, plane.header_bytes)
            if self._head_since < 0:
                self._head_since = self._heard_at
            self._checked = len(data)
            return False
        head, self._tail, self._checked = data[:end], data[end:], 0
        self._head_since = NEVER
        self._started = plane.monotonic()
        self._started_at = plane.clock.time()
        request = framing.read_request(head, plane.header_bytes, plane.header_count)
        if plane.local_prefix and plane.is_local(request.path):
            self._hand_over(request)
            return False
        self._begin(request)
        return True

    def _hand_over(self, request: RequestHead) -> None:
        """Give the connection, and every byte read so far, to the sidecar's own small server.

        It is asked to close after its answer: the next request may again be the app's.
        """
        plane = self._plane
        assert plane.local is not None
        protocol = plane.local()
        plane.local_total += 1
        plane.closed(self)
        self._phase = _CLOSED
        rest, self._tail = headers.closing_block(request) + self._tail, b""
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(rest)

    def _begin(self, request: RequestHead) -> None:
        plane = self._plane
        plane.requests_total += 1
        plane.general_total += 1
        self._request = request
        self._upstream = plane.upstream
        self._body = BodyReader(request.kind, request.length, request.judge, plane.header_bytes)
        self._phase = _BODY if request.kind != NO_BODY else _ANSWER
        if request.kind == NO_BODY:
            request.judge.retire()
        self._trace = headers.trace_id(request.names, request.lines)
        added, replaced = self._additions(request)
        self._up_at = self._started
        if request.method in IDEMPOTENT and plane.retry_idempotent and not request.is_websocket:
            self._sent = []
        self._send(headers.request_block(request, plane.upstream.authority, added, replaced))
        link = plane.upstream.take()
        if link is None:
            plane.upstream.connect(self)
        else:
            self._use(link)

    def _additions(self, request: RequestHead) -> tuple[list[bytes], frozenset[bytes]]:
        """What the two documented switches add; nothing by default."""
        plane = self._plane
        added: list[bytes] = []
        replaced: frozenset[bytes] = frozenset()
        if plane.forwarded != "off":
            extend = plane.forwarded == "append" and headers.is_trusted(self._client)
            secure = self._transport.get_extra_info("sslcontext") is not None
            added += headers.forwarding_lines(
                request, self._client, b"https" if secure else b"http", extend=extend
            )
            replaced = headers.FORWARDED
        if plane.trace_start and self._trace is None:
            self._trace, lines, self._trace_line = headers.begin_trace()
            added += lines
            replaced |= {b"traceparent", b"sentry-trace"}
        return added, replaced

    def _take_body(self) -> bool:
        assert self._body is not None
        assert self._request is not None
        self._request.expects_continue = False
        data, self._tail = self._tail, b""
        try:
            pieces, used = self._body.feed(data)
        except ValueError as error:
            raise Refused(str(error)) from None
        if used < len(data):
            self._tail = data[used:]
        for piece in pieces:
            if piece:
                self._keep_copy(piece)
                self._send(frame(piece) if self._request.kind == CHUNKED else piece)
        if not self._body.done:
            return False
        if self._request.kind == CHUNKED:
            trailers = self._body.trailers
            self._send(headers.trailer_block(trailers) if trailers else LAST_CHUNK)
        self._phase = _ANSWER
        return True

    def _keep_copy(self, piece: bytes) -> None:
        room = self._plane.capture_bytes - self._copy_in_bytes
        if room > 0:
            self._copy_in.append(piece if len(piece) <= room else piece[:room])
            self._copy_in_bytes += len(self._copy_in[-1])

    # -- towards the upstream

    def _send(self, data: bytes) -> None:
        self._unsent.append(data)
        self._unsent_bytes += len(data)
        if self._sent is not None:
            self._sent_bytes += len(data)
            if self._sent_bytes > RETRY_BYTES_MAX:
                self._sent = None
            else:
                self._sent.append(data)

    def _flush(self) -> None:
        if self._link is None or not self._unsent:
            return
        unsent = self._unsent
        self._unsent, self._unsent_bytes = [], 0
        self._up_at = self._plane.monotonic()
        self._link.transport.write(unsent[0] if len(unsent) == 1 else b"".join(unsent))

    def _use(self, link: Link) -> None:
        link.owner = self
        self._link = link
        self._was_reused = link.reused
        if not self._is_writable:
            link.read_on(False)

    def link_ready(self, link: Link) -> None:
        if (
            self._request is None
            or self._link is not None
            or self._phase > _ANSWER
            or link.upstream is not self._upstream
        ):
            link.upstream.put(link)
            return
        if link.closed:
            self._fail(
                BadAnswer("the upstream closed the connection at once", "connection_terminated")
            )
            return
        self._use(link)
        self._flush()
        self._gate()

    def link_failed(self, fault: Fault) -> None:
        if self._request is not None and self._link is None and self._phase <= _ANSWER:
            self._fail(fault)

    def upstream_writable(self, writable: bool) -> None:
        self._is_up_writable = writable
        self._up_at = self._plane.monotonic()
        if self._phase <= _ANSWER:
            self._gate()

    def _drop_link(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.abort()

    # -- the upstream's side

    def upstream_data(self, data: bytes) -> None:
        self._up_at = self._plane.monotonic()
        self._sent = None
        if self._up_tail:
            data, self._up_tail = self._up_tail + data, b""
        try:
            self._read_answer(data)
        except Fault as fault:
            self._fail(fault)

    def _read_answer(self, data: bytes) -> None:
        plane, request = self._plane, self._request
        assert request is not None
        out: list[bytes] = []
        is_first = False
        while self._response is None:
            end = data.find(framing.HEAD_END, max(0, self._up_checked - 3)) + 4
            if end == 3:
                framing.check_unfinished_response(data, plane.header_bytes)
                self._up_tail, self._up_checked = data, len(data)
                self._write(out)
                return
            self._up_checked = 0
            head = framing.read_response(
                data[:end], request.method, plane.header_bytes, plane.header_count
            )
            data = data[end:]
            if head.status == 101:
                self._switch(head, data)
                return
            if head.status < 200:
                self._interims += 1
                if self._interims > INTERIM_MAX:
                    raise BadAnswer("too many interim answers")
                if request.minor:
                    out.append(self._head_block(head, close=False, keep_alive=False))
                self._heard_at = self._up_at
                request.expects_continue = False
            else:
                is_first = True
                out.append(self._begin_answer(head))
        self._relay(data, out, is_first=is_first)

    def _begin_answer(self, head: ResponseHead) -> bytes:
        """Decide how the answer ends for this client, and whether its connection lives on."""
        plane, request = self._plane, self._request
        assert request is not None
        assert self._upstream is not None
        self._response = head
        self._answer = BodyReader(head.kind, head.length, head.judge, plane.header_bytes)
        if self._upstream.state != "ok":
            self._upstream.answered()
        streamed = head.kind in (CHUNKED, UNTIL_CLOSE)
        self._chunk_out = streamed and request.minor == 1
        self._close_after = (
            request.close
            or self._phase == _BODY
            or plane.draining
            or (self._eof_at >= 0 and not self._tail)
            or (streamed and not self._chunk_out)
        )
        return self._head_block(head, close=self._close_after, keep_alive=request.keep_alive_asked)

    def _head_block(self, head: ResponseHead, *, close: bool, keep_alive: bool) -> bytes:
        assert self._request is not None
        added = [self._trace_line] if self._trace_line and headers.is_fresh_page(head) else []
        return headers.response_block(
            head,
            minor=self._request.minor,
            close=close,
            keep_alive=keep_alive,
            chunk=self._chunk_out and head.kind == UNTIL_CLOSE,
            added=added,
        )

    def _relay(self, data: bytes, out: list[bytes], *, is_first: bool) -> None:
        assert self._answer is not None
        assert self._response is not None
        used = 0
        fault: BadAnswer | None = None
        if data and not self._answer.done:
            try:
                pieces, used = self._answer.feed(data)
            except ValueError as error:
                pieces, fault = [], BadAnswer(str(error))
                if is_first:
                    # not a byte of this answer is out yet, so a clean 502 can still be given
                    self._response = None
                    raise fault from None
            for piece in pieces:
                if piece:
                    out.append(frame(piece) if self._chunk_out else piece)
                    if self._response.status >= 400:
                        self._keep_answer(piece)
            if self._answer.done and self._chunk_out:
                trailers = self._answer.trailers
                out.append(headers.trailer_block(trailers) if trailers else LAST_CHUNK)
        self._write(out)
        if fault is not None:
            raise fault
        if self._answer.done:
            self._finish(stray=used < len(data))

    def _keep_answer(self, piece: bytes) -> None:
        room = self._plane.capture_bytes - self._copy_out_bytes
        if room > 0:
            self._copy_out.append(piece if len(piece) <= room else piece[:room])
            self._copy_out_bytes += len(self._copy_out[-1])

    def _write(self, out: list[bytes]) -> None:
        if out and not self._transport.is_closing():
            self._wrote_at = self._up_at
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))

    def upstream_lost(self, error: Exception | None) -> None:
        self._link = None
        if self._request is None or self._phase > _ANSWER:
            return
        if self._response is None:
            if self._may_retry():
                self._retry()
            elif self._up_tail:
                self._fail(
                    BadAnswer(
                        "the answer ends in the middle of its head", "http_response_incomplete"
                    )
                )
            else:
                self._fail(
                    BadAnswer(
                        "the upstream closed the connection without an answer",
                        "connection_terminated",
                    )
                )
        elif self._response.kind == UNTIL_CLOSE and error is None:
            self._write([LAST_CHUNK] if self._chunk_out else [])
            self._finish(stray=False)
        else:
            self._fail(
                BadAnswer(
                    "the answer was cut in the middle of its body", "http_response_incomplete"
                )
            )

    def _may_retry(self) -> bool:
        """Only before any answer byte, only what may be sent twice, only once, never to a fresh
        connection."""
        return (
            self._sent is not None
            and not self._retried
            and self._interims == 0
            and self._was_reused
        )

    def _retry(self) -> None:
        assert self._upstream is not None
        assert self._sent is not None
        self._retried = True
        self._plane.retries_total += 1
        self._unsent = self._sent
        self._unsent_bytes = self._sent_bytes
        self._sent = None
        self._is_up_writable = True
        self._upstream.connect(self)

    def _switch(self, head: ResponseHead, rest: bytes) -> None:
        """101: from here on both ends speak WebSocket, or the answer is a lie."""
        request, link, plane = self._request, self._link, self._plane
        assert request is not None
        assert link is not None
        if not request.is_websocket or not answers_handshake(head):
            raise BadAnswer("the upstream switched protocols without being asked to")
        head.judge.retire()
        self._response = head
        self._write([self._head_block(head, close=False, keep_alive=False)])
        self._phase = _TUNNEL
        self._link = None
        if not self._is_reading:
            self._transport.resume_reading()
        link.read_on(True)
        link.owner = None
        plane.tunnels += 1
        self._tunnel = Tunnel(self._transport, link, plane.monotonic(), self._tunnel_ended)
        from_client, self._tail = self._tail, b""
        self._tunnel.start(from_client, rest)

    def _tunnel_ended(self, sent: int, received: int, error: str | None) -> None:
        self._plane.closed(self)
        self._plane.tunnels -= 1
        self._phase = _CLOSED
        self._tunnel = None
        if self._request is not None:
            self._record(101, Outcome.UPGRADED, error, sent, received)

    # -- how an exchange ends

    def _finish(self, *, stray: bool) -> None:
        """The answer is complete. Keep the link only when nothing is left over on either side."""
        response, link = self._response, self._link
        assert response is not None
        self._link = None
        if link is not None:
            clean = (
                self._phase == _ANSWER
                and not stray
                and not response.close
                and response.kind != UNTIL_CLOSE
            )
            if clean and not self._unsent and not link.transport.get_write_buffer_size():
                link.upstream.put(link)
            else:
                link.abort()
        self._record(response.status, Outcome.ANSWERED, None)
        self._after(close=self._close_after)

    def _after(self, *, close: bool) -> None:
        """Go on to the next request, or close so that the answer arrives."""
        if close or self._plane.draining:
            self._close(unread=self._phase == _BODY or bool(self._tail))
            return
        response = self._response
        plain = response is None or response.kind in (NO_BODY, LENGTH)
        self._phase = _HEAD
        self._heard_at = self._plane.monotonic()
        self._clear()
        if plain and self._hot is not None and self._may_go_back():
            self._go_back(self._hot)
            return
        if self._eof_at >= 0:
            if self._tail:
                self._advance()
            if self._phase == _HEAD:
                self._close(unread=False)
        elif self._tail:
            self._advance()
        else:
            self._gate()

    def _close(self, *, unread: bool) -> None:
        self._tail = b""
        self._clear()
        if not unread or not self._transport.can_write_eof() or self._eof_at >= 0:
            self._phase = _CLOSED
            self._transport.close()
            return
        self._phase = _LINGER
        self._heard_at = self._ended_at = self._plane.monotonic()
        if not self._transport.is_closing():
            self._transport.write_eof()
        if not self._is_reading and not self._transport.is_closing():
            self._is_reading = True
            self._transport.resume_reading()

    def _refuse(self, fault: Refused) -> None:
        """The request is at fault: nothing more of it goes up, the client is told if it can be,
        and both close."""
        if self._phase > _ANSWER:
            return
        self._drop_link()
        if self._response is not None:
            self._end_visibly(self._response.status, fault)
            return
        if self._request is None:
            self._started = self._plane.monotonic()
            self._started_at = self._plane.clock.time()
            self._plane.requests_total += 1
        head_only = self._request is not None and self._request.method == b"HEAD"
        outcome = (
            Outcome.CLIENT_GONE
            if self._request is not None and self._eof_at >= 0
            else fault.outcome
        )
        self._transport.write(
            answer(fault.status, fault.reason, fault.token, close=True, head_only=head_only)
        )
        self._record(fault.status if outcome is fault.outcome else 499, outcome, fault.reason)
        self._close(unread=True)

    def _fail(self, fault: Fault) -> None:
        """The upstream (or we) failed: answer for it if nothing was said yet, else cut visibly."""
        self._drop_link()
        assert self._upstream is not None
        if fault.outcome is not Outcome.PROXY_FAULT:
            self._upstream.failed(fault.reason, refusing=False)
        if self._response is not None:
            self._end_visibly(self._response.status, fault)
            return
        request = self._request
        assert request is not None
        complete = self._phase == _ANSWER
        close = (
            not complete
            or request.close
            or request.minor == 0
            or self._plane.draining
            or fault.outcome is Outcome.UPSTREAM_BROKEN
        )
        self._transport.write(
            answer(
                fault.status,
                fault.reason,
                fault.token,
                close=close,
                head_only=request.method == b"HEAD",
            )
        )
        self._record(fault.status, fault.outcome, fault.reason)
        self._after(close=close)

    def _end_visibly(self, status: int, fault: Fault) -> None:
        """Part of an answer is out: reset, so that nobody takes the part for the whole."""
        outcome = fault.outcome
        if outcome is Outcome.REJECTED and self._eof_at >= 0:
            outcome = Outcome.CLIENT_GONE
        self._record(status, outcome, fault.reason)
        self._phase = _CLOSED
        self._request = None
        if self._chunk_out or (self._answer is not None and self._answer.kind == LENGTH):
            # the missing end shows by itself, and what was sent should still arrive
            self._transport.close()
            return
        reset_on_close(self._transport)
        self._transport.abort()

    def _record(
        self,
        status: int,
        outcome: Outcome,
        error: str | None,
        sent: int | None = None,
        received: int | None = None,
    ) -> None:
        request, response = self._request, self._response
        body_in = self._body.size if self._body is not None else 0
        body_out = self._answer.size if self._answer is not None else 0
        failing = error is not None or (status >= 300 and status != 304)
        plane = self._plane
        exchange = Exchange(
            self._started_at,
            (plane.monotonic() - self._started) * 1000.0,
            request.method.decode() if request is not None else "",
            request.target if request is not None else b"",
            status,
            outcome,
            body_in if sent is None else sent,
            body_out if received is None else received,
            self._trace,
            self._client,
            error,
            self._capture(request, response) if failing and request is not None else None,
        )
        self._request = None
        plane.record(exchange)

    def _capture(self, request: RequestHead, response: ResponseHead | None) -> Capture:
        body_in = self._body.size if self._body is not None else 0
        body_out = self._answer.size if self._answer is not None else 0
        keep = response is None or response.status >= 400
        return Capture(
            headers.pairs(request.lines),
            b"".join(self._copy_in) if keep else b"",
            keep and body_in > self._copy_in_bytes,
            headers.pairs(response.lines) if response is not None else [],
            b"".join(self._copy_out),
            keep and body_out > self._copy_out_bytes,
        )

    # -- deadlines and the end of the process

    @property
    def is_busy(self) -> bool:
        return self._request is not None

    def scan(self, now: float) -> None:
        phase, limits = self._phase, self._plane.limits
        if phase == _TUNNEL:
            if self._tunnel is not None:
                self._tunnel.scan(now)
        elif phase in (_LINGER, _CLOSED):
            quiet = now - self._heard_at > LINGER_S or now - self._ended_at > LINGER_MOST_S
            if quiet or phase == _CLOSED:
                self._scan_closing(now)
        elif phase == _HEAD:
            if self._head_since >= 0:
                if now - self._head_since > limits.header_timeout_s:
                    self._refuse(Refused("the request head did not arrive in time", 408))
            elif not self._is_writable:
                if self._is_stuck(now):
                    self.cut()
            elif now - self._heard_at > limits.keepalive_timeout_s:
                self._close(unread=False)
        else:
            self._scan_exchange(now)

    def _scan_closing(self, now: float) -> None:
        """Closing waits for the client to read what is buffered, but not for ever."""
        if self._phase == _LINGER:
            self._phase = _CLOSED
            self._transport.close()
        elif self._is_stuck(now):
            self._transport.abort()

    def _scan_exchange(self, now: float) -> None:
        plane, request = self._plane, self._request
        assert request is not None
        if (
            self._eof_at >= 0
            and now - max(self._eof_at, self._wrote_at) > GONE_GRACE_S
            and self._is_writable
        ):
            self.cut()
            return
        if not self._is_writable:
            if self._is_stuck(now):
                self.cut()
            return
        uploading = self._phase == _BODY and self._is_reading and not request.expects_continue
        if uploading and now - self._heard_at > plane.limits.body_idle_timeout_s:
            self._refuse(Refused("the request body did not arrive in time", 408))
        elif (
            self._link is not None
            and not uploading
            and now - self._up_at > plane.response_timeout_s
        ):
            words = (
                "the upstream did not answer in time"
                if self._response is None
                else "the answer stalled"
            )
            self._fail(TooSlow(words))

    def _is_stuck(self, now: float) -> bool:
        """True when a full client has not taken a byte for as long as an idle one may stay."""
        since, size = self._stalled
        left = unread_bytes(self._transport)
        if left != size or since < 0:
            self._stalled = (now, left)
            return False
        return now - since > self._plane.limits.keepalive_timeout_s

    def drain(self) -> None:
        if self._phase == _HEAD and not self._tail:
            self._close(unread=False)

    def cut(self, why: str = "the client left", outcome: Outcome = Outcome.CLIENT_GONE) -> None:
        self._end_words = (why, outcome)
        if self._tunnel is not None:
            self._tunnel.cut()
        else:
            reset_on_close(self._transport)
            self._transport.abort()

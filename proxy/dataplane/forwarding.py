"""One exchange under way in the general plane: its request goes up, its answer comes down.

The link's owner. What is decided about heads and framing lies in ``headers`` and ``answering``;
here the bytes move, and here an exchange ends: well, refused, failed or abandoned. The client's
connection is only known by what ``Client`` says.
"""

import asyncio
import logging
from typing import Any, Protocol

from proxy.dataplane import headers
from proxy.dataplane.additions import Additions, additions
from proxy.dataplane.answering import Answering
from proxy.dataplane.bodies import reader_of
from proxy.dataplane.chunks import LAST_CHUNK, frame
from proxy.dataplane.copies import BodyCopy
from proxy.dataplane.faults import BadAnswer, Fault, Refused, answer, is_ours, own_fault
from proxy.dataplane.framing import CHUNKED, UNTIL_CLOSE
from proxy.dataplane.plane import Plane
from proxy.dataplane.report import report
from proxy.dataplane.request_head import RequestHead
from proxy.dataplane.response_head import ResponseHead
from proxy.dataplane.sending import IDEMPOTENT, Sending
from proxy.dataplane.upgrade import answers_handshake
from proxy.dataplane.upstream import Link, Upstream
from proxy.domain.exchange import Outcome
from proxy.domain.peers import visitor

CONTINUE_AFTER_S = 1.0
"""A client that waits for 100 (Continue) gets ours when the app said nothing for so long: an app
that knows no Expect would else never get the body it waits for.
"""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_log = logging.getLogger("selfheal.dataplane")


class Client(Protocol):
    """What an exchange needs of the connection it came on."""

    plane: Plane
    transport: Any
    address: str
    is_writable: bool

    @property
    def has_left(self) -> bool:
        """It ended its sending; it may still read."""
        ...

    @property
    def sends_on(self) -> bool:
        """More of it is here already, or may come."""
        ...

    def gate(self) -> None: ...
    def heard(self, now: float) -> None: ...
    def wrote(self, now: float) -> None: ...
    def switch(self, link: Link, rest: bytes) -> None: ...
    def over(self, *, close: bool) -> None: ...
    def refused(self) -> None: ...
    def end_visibly(self, *, by_reset: bool) -> None: ...


class Forwarding:
    """Made with a request whose head was read; ``begin`` sets it going."""

    __slots__ = (
        "_client",
        "_is_up_writable",
        "_plane",
        "_retried",
        "_said_continue",
        "_trace_line",
        "answering",
        "body",
        "close_after",
        "copy",
        "is_over",
        "link",
        "request",
        "sending",
        "started",
        "started_at",
        "trace",
        "up_at",
        "upstream",
        "was_reused",
    )

    def __init__(
        self, client: Client, request: RequestHead, started: float, started_at: float
    ) -> None:
        plane = self._plane = client.plane
        self._client = client
        self.request = request
        self.started, self.started_at = started, started_at
        self.up_at = started
        self.body = reader_of(request, plane.header_bytes)
        self.copy = BodyCopy(plane.capture_bytes)
        self.trace = headers.trace_id(request)
        self.is_over = False
        self._trace_line = b""
        self.upstream: Upstream = plane.upstream
        self.link: Link | None = None
        self.was_reused = False
        self._is_up_writable = True
        self._retried = False
        self._said_continue = False
        may_repeat = (
            request.method in IDEMPOTENT and plane.retry_idempotent and not request.is_websocket
        )
        self.sending = Sending(may_repeat=may_repeat)
        self.answering = Answering(plane)
        self.close_after = False

    # -- the request

    def begin(self) -> None:
        request = self.request
        more = additions(
            self._plane, request, self._client.address, self._client.transport, self.trace
        )
        self._name_trace(more)
        self.sending.add(
            headers.request_block(request, self.upstream.authority, more.lines, more.replaced)
        )
        link = self.upstream.take()
        if link is None:
            self.upstream.connect(self)
        else:
            self._use(link)
        if request.expects_continue:
            self._call_for_the_body_later()

    def _call_for_the_body_later(self) -> None:
        after = min(CONTINUE_AFTER_S, self._plane.response_timeout_s / 2)
        asyncio.get_running_loop().call_later(after, self._call_for_the_body)

    def _call_for_the_body(self) -> None:
        """Say 100 in the app's place, unless it or the client has said something meanwhile."""
        if self.is_over or not self.request.expects_continue or self.answering.head is not None:
            return
        if self.link is None:
            self._call_for_the_body_later()
            return
        self.request.expects_continue = False
        self._said_continue = True
        now = self._plane.monotonic()
        self._client.heard(now)
        self._client.wrote(now)
        if not self._client.transport.is_closing():
            self._client.transport.write(_CONTINUE)

    def _name_trace(self, more: Additions) -> None:
        if more.trace is not None:
            self.trace, self._trace_line = more.trace, more.answer_line

    def take_body(self, data: bytes) -> bytes:
        """Send on what of ``data`` is this body; give back what follows it. Raises ``Refused``."""
        request, body, sending = self.request, self.body, self.sending
        request.expects_continue = False
        try:
            pieces, used = body.feed(data)
        except ValueError as error:
            raise Refused(str(error)) from None
        for piece in pieces:
            if piece:
                self.copy.keep(piece)
                sending.add(frame(piece) if request.kind == CHUNKED else piece)
        if body.done and request.kind == CHUNKED:
            sending.add(headers.trailer_block(body.trailers) if body.trailers else LAST_CHUNK)
        return data[used:] if used < len(data) else b""

    @property
    def has_room(self) -> bool:
        """More of the request's body may be read."""
        return self._is_up_writable and not self.sending.is_full

    def flush(self) -> None:
        link = self.link
        if link is not None and (data := self.sending.take()):
            self.up_at = self._plane.monotonic()
            link.write(data)

    # -- the link

    def _use(self, link: Link) -> None:
        link.owner = self
        self.link = link
        self.was_reused = link.reused
        if not self._client.is_writable:
            link.read_on(False)

    def link_ready(self, link: Link) -> None:
        if self.is_over or self.link is not None or link.upstream is not self.upstream:
            link.upstream.put(link)
            return
        if link.closed:
            words = "the upstream closed the connection at once"
            self.fail(BadAnswer(words, "connection_terminated"))
            return
        self._use(link)
        self.flush()
        self._client.gate()

    def link_failed(self, fault: Fault) -> None:
        if not self.is_over and self.link is None:
            self.fail(fault)

    def upstream_writable(self, writable: bool) -> None:
        self._is_up_writable = writable
        self.up_at = self._plane.monotonic()
        self._client.gate()

    def read_on(self, wanted: bool) -> None:
        """The client has room again, or none."""
        if wanted:
            self.up_at = self._plane.monotonic()
        if self.link is not None:
            self.link.read_on(wanted)

    def drop_link(self) -> None:
        link, self.link = self.link, None
        if link is not None:
            link.abort()

    # -- the answer

    def upstream_data(self, data: bytes) -> None:
        self.sending.never_repeat()
        try:
            self._read_answer(data)
        except Fault as fault:
            self.fail(fault)

    def _read_answer(self, data: bytes) -> None:
        answering, request = self.answering, self.request
        out: list[bytes] = []
        is_first = answering.head is None
        while answering.head is None:
            head, data = answering.next_head(data, request.method)
            if head is None:
                # half a head is no answer yet: its time runs on, however slowly it drips
                self._write(out)
                return
            self.up_at = self._plane.monotonic()
            if head.status == 101:
                self._switch(head, data, out)
                return
            if head.status < 200:
                if request.minor and not (head.status == 100 and self._said_continue):
                    out.append(self._head_block(head, close=False, keep_alive=False))
                self._client.heard(self.up_at)
                request.expects_continue = False
            else:
                out.append(self._begin_answer(head))
        if not is_first:
            self.up_at = self._plane.monotonic()
        try:
            used = answering.relay(data, out)
        except BadAnswer:
            if is_first:
                # not a byte of this answer is out yet, so a clean 502 can still be given
                answering.head = None
            raise
        self._write(out)
        assert answering.body is not None
        if answering.body.done:
            self._finish(stray=used < len(data))

    def _begin_answer(self, head: ResponseHead) -> bytes:
        """Decide how the answer ends for this client, and whether its connection lives on."""
        request, answering, client = self.request, self.answering, self._client
        answering.begin(head, request.minor)
        if self._plane.releases is not None:
            self._plane.releases.see(head.lines, self._plane.monotonic())
        if self.upstream.state != "ok":
            self.upstream.answered()
        self.close_after = (
            request.close
            or not self.body.done
            or self._plane.draining
            or (client.has_left and not client.sends_on)
            or (not answering.is_plain and not answering.chunk_out)
        )
        return self._head_block(head, close=self.close_after, keep_alive=request.keep_alive_asked)

    def _head_block(self, head: ResponseHead, *, close: bool, keep_alive: bool) -> bytes:
        added = [self._trace_line] if self._trace_line and headers.is_fresh_page(head) else []
        return headers.response_block(
            head,
            minor=self.request.minor,
            close=close,
            keep_alive=keep_alive,
            chunk=self.answering.chunk_out and head.kind == UNTIL_CLOSE,
            added=added,
        )

    def _write(self, out: list[bytes]) -> None:
        transport = self._client.transport
        if out and not transport.is_closing():
            self._client.wrote(self.up_at)
            transport.write(out[0] if len(out) == 1 else b"".join(out))

    def upstream_lost(self, error: Exception | None) -> None:
        self.link = None
        if self.is_over:
            return
        answering = self.answering
        if is_ours(error):
            assert error is not None
            self.fail(own_fault(error))
        elif answering.head is not None:
            rest = answering.end_of_link() if error is None else None
            if rest is None:
                words = "the answer was cut in the middle of its body"
                self.fail(BadAnswer(words, "http_response_incomplete"))
            else:
                self._write(rest)
                self._finish(stray=False)
        elif self._may_retry():
            self._retry()
        elif answering.is_half_head:
            words = "the answer ends in the middle of its head"
            self.fail(BadAnswer(words, "http_response_incomplete"))
        else:
            words = "the upstream closed the connection without an answer"
            self.fail(BadAnswer(words, "connection_terminated"))

    def _may_retry(self) -> bool:
        """Only before any answer byte, only what may be sent twice, only once, never to a fresh
        connection.
        """
        return (
            self.sending.may_repeat
            and not self._retried
            and not self.answering.has_begun
            and self.was_reused
        )

    def _retry(self) -> None:
        self._retried = True
        self._plane.retries_total += 1
        self.sending.repeat()
        self._is_up_writable = True
        self.upstream.connect(self)

    def _switch(self, head: ResponseHead, rest: bytes, out: list[bytes]) -> None:
        """101: from here on both ends speak WebSocket, or the answer is a lie."""
        link = self.link
        assert link is not None
        if not self.request.is_websocket or not answers_handshake(head):
            raise BadAnswer("the upstream switched protocols without being asked to")
        head.judge.retire()
        self.answering.head = head
        self._write([*out, self._head_block(head, close=False, keep_alive=False)])
        self.link = None
        link.read_on(True)
        link.owner = None
        self._client.switch(link, rest)

    # -- how an exchange ends

    def _finish(self, *, stray: bool) -> None:
        """The answer is complete. Keep the link only when nothing is left over on either side."""
        response, link = self.answering.head, self.link
        assert response is not None
        self.link = None
        if link is not None:
            clean = (
                self.body.done
                and not stray
                and not response.close
                and response.kind != UNTIL_CLOSE
                and not self.sending.waiting_bytes
                and not link.transport.get_write_buffer_size()
            )
            if clean:
                link.upstream.put(link)
            else:
                link.abort()
        self.record(response.status, Outcome.ANSWERED, None)
        self._client.over(close=self.close_after)

    def refuse(self, fault: Refused) -> None:
        """The request turned out malformed: nothing more of it goes up, the client is told if it
        can be, and both close.
        """
        self.drop_link()
        outcome = Outcome.CLIENT_GONE if self._client.has_left else fault.outcome
        if self.answering.head is not None:
            self._end_visibly(outcome, fault.reason)
            return
        self._client.transport.write(self._words(fault, close=True))
        status = 499 if outcome is Outcome.CLIENT_GONE else fault.status
        self.record(status, outcome, fault.reason)
        self._client.refused()

    def fail(self, fault: Fault) -> None:
        """The upstream (or we) failed: answer for it if nothing was said yet, else cut visibly."""
        self.drop_link()
        if fault.outcome is not Outcome.PROXY_FAULT:
            self.upstream.failed(fault.reason, refusing=False)
        if self.answering.head is not None:
            self._end_visibly(fault.outcome, fault.reason)
            return
        close = (
            not self.body.done
            or self.request.close
            or self.request.minor == 0
            or self._plane.draining
            or fault.outcome is Outcome.UPSTREAM_BROKEN
        )
        self._client.transport.write(self._words(fault, close=close))
        self.record(fault.status, fault.outcome, fault.reason)
        self._client.over(close=close)

    def _words(self, fault: Fault, *, close: bool) -> bytes:
        head_only = self.request.method == b"HEAD"
        return answer(fault.status, fault.reason, fault.token, close=close, head_only=head_only)

    def _end_visibly(self, outcome: Outcome, reason: str) -> None:
        """Part of an answer is out: end so that nobody takes the part for the whole."""
        assert self.answering.head is not None
        self.record(self.answering.head.status, outcome, reason)
        # where a missing end shows by itself, what was sent should still arrive
        self._client.end_visibly(by_reset=not self.answering.shows_its_cut)

    def abandon(self, why: str, outcome: Outcome) -> None:
        """The client's connection is gone."""
        self.drop_link()
        head = self.answering.head
        self.record(head.status if head is not None else 499, outcome, why)

    def record(
        self,
        status: int,
        outcome: Outcome,
        error: str | None,
        sent: int | None = None,
        received: int | None = None,
    ) -> None:
        """Report the exchange, once; it is over. ``sent`` and ``received`` are a tunnel's bytes."""
        self.is_over = True
        plane = self._plane
        exchange = report(self, plane.monotonic(), status, outcome, error)
        if sent is not None and received is not None:
            exchange.request_bytes, exchange.response_bytes = sent, received
        try:
            plane.record(exchange)
        except Exception:
            _log.exception("an exchange could not be recorded")

    # -- what others ask

    @property
    def peer(self) -> str:
        return self._client.address

    @property
    def visitor(self) -> str:
        """Whom a trusted peer asked for, else the peer: a load balancer in front is not one client
        with everybody's failures.
        """
        said = [value.decode("latin-1") for value in self.request.values(b"x-forwarded-for")]
        return visitor(self.peer, said, self._plane.trusts)

    @property
    def was_plain(self) -> bool:
        """Its answer could have passed the hot plane."""
        return self.answering.is_plain

    @property
    def awaits_upstream(self) -> bool:
        return self.link is not None

    @property
    def has_answer(self) -> bool:
        return self.answering.head is not None

"""The hot plane: plain keep-alive exchanges with a Content-Length, or no body, both ways.

llhttp sees every byte and alone accepts the syntax; the checks here let only what is plain and
canonical stay, so that raw bytes may go on as they came. Everything else, odd, broken, slow or
failing, goes to the general plane with all that is known (``General.adopt``); this file refuses
nobody and answers nothing itself. Written so that mypyc can compile it: plain classes, typed
attributes, no closures.
"""

import re
from typing import Any

import httptools

from proxy.dataplane.faults import Fault
from proxy.dataplane.general import PIPELINE_BYTES_MAX, General
from proxy.dataplane.headers import trace_of
from proxy.dataplane.plane import Plane
from proxy.dataplane.sending import IDEMPOTENT, RETRY_BYTES_MAX
from proxy.dataplane.upstream import Link, Upstream
from proxy.domain.exchange import Exchange, Outcome

_REQUEST = re.compile(rb"(GET|POST|PUT|DELETE|PATCH|OPTIONS) (/[\x21-\x7e]*) HTTP/1\.1\r\n")
_RESPONSE = re.compile(rb"HTTP/1\.1 (2[0-9][0-9]) [\t\x20-\x7e\x80-\xff]*\r\n")

# Fields that decide anything, sought in the lower-cased head. An unlisted name cannot change
# framing, routing or the life of the connection. Names share first letters: that halves the cost.
_REQUEST_FIELDS = re.compile(
    rb"\n(host|c(?:ontent-length|onnection)|t(?:ransfer-encoding|e|raceparent)|upgrade|expect"
    rb"|keep-alive|proxy-connection|sentry-trace):[ \t]*([^\r]*)"
)
_RESPONSE_FIELDS = re.compile(
    rb"\n(c(?:ontent-length|onnection)|keep-alive|t(?:ransfer-encoding|e)|upgrade"
    rb"|proxy-connection):[ \t]*([^\r]*)"
)
_KEEP_ALIVE = b"\r\nConnection: keep-alive\r\n"
_HOP_LINES = re.compile(rb"\r\n(?:connection|keep-alive):[^\r]*", re.IGNORECASE)
_HOST = re.compile(rb"[A-Za-z0-9.-]+(?::(?:[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}))?[ \t]*\Z")
_NUMBER = re.compile(rb"(?:0|[1-9][0-9]{0,17})\Z")

_METHODS = {
    b"GET": "GET",
    b"POST": "POST",
    b"PUT": "PUT",
    b"DELETE": "DELETE",
    b"PATCH": "PATCH",
    b"OPTIONS": "OPTIONS",
}
_HOSTS_MAX = 256
"""Host values remembered as valid; a flood of others is only checked each time."""

IDLE, SENDING, WAITING, RELAYING, GONE = range(5)
"""Nothing under way; a request body is arriving; its answer is awaited; its body is passing; handed
over or closed.
"""


class Hot:
    """One client connection as long as it is plain. Same owner's interface towards a link as
    ``General``.
    """

    __slots__ = (
        "answer_head",
        "answer_left",
        "answer_length",
        "client",
        "complete",
        "data",
        "head_size",
        "heard_at",
        "heir",
        "is_reading",
        "is_writable",
        "left",
        "length",
        "link",
        "may_retry",
        "method",
        "parser",
        "pieces",
        "plane",
        "started",
        "started_at",
        "state",
        "status",
        "strip",
        "strip_more",
        "target",
        "traced",
        "transport",
        "unsent",
        "up_at",
        "upstream",
        "was_reused",
        "write",
    )

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.transport: Any = None
        self.write: Any = None
        self.client = ""
        self.state = IDLE
        self.heard_at = 0.0
        self.is_writable = True
        self.is_reading = True
        self.strip = False
        self.strip_more = False
        self.heir: General | None = None
        self.complete = False
        self.parser: Any = None
        # the exchange
        self.link: Link | None = None
        self.upstream: Upstream = plane.upstream
        self.data = b""
        self.head_size = 0
        self.method = b""
        self.target = b""
        self.traced = b""
        self.length = 0
        self.left = 0
        self.pieces: list[bytes] = []
        self.unsent = b""
        self.may_retry = False
        self.was_reused = False
        self.up_at = 0.0
        self.started = 0.0
        self.started_at = 0.0
        self.status = 0
        self.answer_head = b""
        self.answer_length = 0
        self.answer_left = 0

    # -- the client's side

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.write = transport.write
        plane = self.plane
        transport.set_write_buffer_limits(high=plane.buffer_bytes)
        peer = transport.get_extra_info("peername")
        self.client = peer[0] if isinstance(peer, tuple) else ""
        self.resume(plane.monotonic())
        plane.connections.add(self)

    def resume(self, now: float) -> None:
        """Begin, or begin again after the general plane; the parser stands at a message's start."""
        self.heard_at = now
        self.state = IDLE
        self.heir = None
        self.is_writable = self.is_reading = True
        self.parser = httptools.HttpRequestParser(self)

    def on_message_complete(self) -> None:
        self.complete = True

    def data_received(self, data: bytes) -> None:
        if self.state == IDLE:
            self._request(data)
        elif self.state == SENDING:
            self._body(data)
        else:
            self._escalate().data_received(data)

    def _request(self, data: bytes) -> None:
        plane = self.plane
        now = plane.monotonic()
        end = data.find(b"\r\n\r\n") + 4
        line = _REQUEST.match(data)
        if (
            line is None
            or end == 3
            or end > plane.header_bytes
            or not plane.is_plain
            or not self.is_writable
        ):
            self._give_up(data, now)
            return
        self.complete = False
        try:
            self.parser.feed_data(data)
        except Exception:
            self._give_up(data, now)
            return
        length = self._plain_request(data, end)
        over = len(data) - end - length
        if length < 0 or over > 0 or (over == 0) != self.complete:
            self._give_up(data, now)
            return
        method, target = line.groups()
        if plane.local_prefix and target.startswith(plane.local_prefix) and plane.is_local(target):
            self._give_up(data, now)
            return
        plane.requests_total += 1
        plane.hot_total += 1
        self.method, self.target = method, target
        self.data, self.head_size = data, end
        self.length, self.left = length, -over
        self.started = self.up_at = self.heard_at = now
        self.started_at = now + plane.wall_offset
        self.may_retry = (
            method in IDEMPOTENT and len(data) <= RETRY_BYTES_MAX and plane.retry_idempotent
        )
        self.state = SENDING if over else WAITING
        upstream = self.upstream = plane.upstream
        link = upstream.take()
        if link is None:
            self.unsent = self._outgoing(data, end)
            upstream.connect(self)
            return
        link.owner = self
        self.link = link
        self.was_reused = True
        link.write(self._outgoing(data, end))

    def _plain_request(self, data: bytes, end: int) -> int:
        """The body's length, or -1 when a field needs the general plane. Leaves the trace in
        ``traced``.
        """
        hosts = lengths = length = 0
        self.traced = b""
        self.strip = self.strip_more = False
        plane = self.plane
        for name, value in _REQUEST_FIELDS.findall(data[:end].lower()):
            size = len(name)
            if size == 4:
                hosts += 1
                if value not in plane.known_hosts and not self._learn_host(value):
                    return -1
            elif size == 14:
                lengths += 1
                if not _NUMBER.match(value):
                    return -1
                length = int(value)
            elif size == 10:
                if value != b"keep-alive" or name != b"connection":
                    return -1
                self.strip_more = self.strip
                self.strip = True
            elif size == 11 or size == 12:
                if not self.traced or size == 11:
                    self.traced = value
            else:
                return -1
        if hosts != 1 or lengths > 1 or (end > plane.short_head and not self._fits(data, end)):
            return -1
        return length

    def _learn_host(self, value: bytes) -> bool:
        if not _HOST.match(value):
            return False
        if len(self.plane.known_hosts) < _HOSTS_MAX:
            self.plane.known_hosts.add(value)
        return True

    def _fits(self, data: bytes, end: int) -> bool:
        """Within both caps of a head; asked only of those that are not obviously short."""
        plane = self.plane
        return end <= plane.header_bytes and data.count(b"\n", 0, end) <= plane.header_count + 2

    def _outgoing(self, data: bytes, end: int) -> bytes:
        """The bytes to send on: as they came, without the lines that are this hop's own."""
        if not self.strip:
            return data
        at = data.find(_KEEP_ALIVE, 0, end)
        if at >= 0 and not self.strip_more:
            return data[:at] + data[at + len(_KEEP_ALIVE) - 2 :]
        return _HOP_LINES.sub(b"", data[: end - 2]) + data[end - 2 :]

    def _body(self, data: bytes) -> None:
        left = self.left - len(data)
        try:
            self.parser.feed_data(data)
        except Exception:
            left = -1
        if left < 0 or (left == 0) != self.complete:
            self._escalate().data_received(data)
            return
        self.heard_at = self.up_at = self.plane.monotonic()
        self.left = left
        self.may_retry = False
        if self.length - left <= self.plane.capture_bytes + len(data):
            self.pieces.append(data)
        if self.link is None:
            self.unsent += data
            if len(self.unsent) > PIPELINE_BYTES_MAX and self.is_reading:
                self.is_reading = False
                self.transport.pause_reading()
        else:
            self.link.write(data)
        if left == 0:
            self.state = WAITING

    def eof_received(self) -> bool:
        if self.state == IDLE:
            return False
        return self._escalate().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.parser = None
        if self.state == IDLE:
            self.state = GONE
            self.plane.closed(self)
        elif self.state != GONE:
            self._escalate().connection_lost(exc)

    def pause_writing(self) -> None:
        self.is_writable = False
        if self.link is not None:
            self.link.read_on(False)

    def resume_writing(self) -> None:
        self.is_writable = True
        self.up_at = self.plane.monotonic()
        if self.link is not None:
            self.link.read_on(True)

    # -- the upstream's side

    def link_ready(self, link: Link) -> None:
        if self.state == GONE and self.heir is not None:
            self.heir.link_ready(link)
            return
        if self.state == IDLE or self.state == GONE or self.link is not None:
            link.upstream.put(link)
            return
        if link.closed:
            self._escalate().link_ready(link)
            return
        link.owner = self
        self.link = link
        self.was_reused = False
        self.up_at = self.plane.monotonic()
        link.write(self.unsent)
        self.unsent = b""
        if not self.is_writable:
            link.read_on(False)
        self._read_client(True)

    def link_failed(self, fault: Fault) -> None:
        if self.state == GONE and self.heir is not None:
            self.heir.link_failed(fault)
        elif self.state != IDLE and self.state != GONE and self.link is None:
            self._escalate().link_failed(fault)

    def upstream_writable(self, writable: bool) -> None:
        self.up_at = self.plane.monotonic()
        if self.state == SENDING:
            self._read_client(writable)

    def _read_client(self, wanted: bool) -> None:
        if wanted != self.is_reading and not self.transport.is_closing():
            self.is_reading = wanted
            self.heard_at = self.plane.monotonic()
            if wanted:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    def upstream_data(self, data: bytes) -> None:
        link = self.link
        if link is None:
            return
        if self.state == RELAYING:
            left = self.answer_left - len(data)
            try:
                link.parser.feed_data(data)
            except Exception:
                left = -1
            if left < 0 or (left == 0) != link.complete:
                self._escalate().upstream_data(data)
                return
            self.answer_left = left
            self.up_at = self.plane.monotonic()
            self.write(data)
            if left == 0:
                self._finish(link, self.up_at)
            return
        end = data.find(b"\r\n\r\n") + 4
        line = _RESPONSE.match(data)
        if self.state != WAITING or line is None or end == 3 or self.plane.draining:
            self._escalate().upstream_data(data)
            return
        if link.parser is None:
            link.parser = httptools.HttpResponseParser(link)
        link.complete = False
        try:
            link.parser.feed_data(data)
        except Exception:
            self._escalate().upstream_data(data)
            return
        length = self._plain_response(data, end)
        left = end + length - len(data)
        self.status = int(line[1])
        if length < 0 or left < 0 or (left == 0) != link.complete or self.status == 204:
            self._escalate().upstream_data(data)
            return
        self.answer_head = data[:end]
        self.answer_length = length
        self.answer_left = left
        self.state = RELAYING
        self.write(self._outgoing(data, end))
        self.up_at = self.plane.monotonic()
        if left == 0:
            self._finish(link, self.up_at)

    def _plain_response(self, data: bytes, end: int) -> int:
        """The body's length, or -1 when a field needs the general plane."""
        lengths = length = 0
        self.strip = self.strip_more = False
        for name, value in _RESPONSE_FIELDS.findall(data[:end].lower()):
            size = len(name)
            if size == 14:
                lengths += 1
                if not _NUMBER.match(value):
                    return -1
                length = int(value)
            elif size == 10:
                if name == b"connection" and value != b"keep-alive":
                    return -1
                self.strip_more = self.strip or name != b"connection"
                self.strip = True
            else:
                return -1
        plane = self.plane
        if lengths != 1 or (end > plane.short_head and not self._fits(data, end)):
            return -1
        return length

    def _finish(self, link: Link, now: float) -> None:
        plane = self.plane
        self.link = None
        upstream = link.upstream
        if self.length and link.transport.get_write_buffer_size():
            # answered before it took the whole body
            link.abort()
        else:
            upstream.put(link, now)
        if upstream.state != "ok":
            upstream.answered()
        self.state = IDLE
        self.heard_at = now
        exchange = Exchange(
            self.started_at,
            (now - self.started) * 1000.0,
            _METHODS[self.method],
            self.target,
            self.status,
            Outcome.ANSWERED,
            self.length,
            self.answer_length,
            trace_of(self.traced) if self.traced else None,
            self.client,
        )
        self.data = self.answer_head = b""
        if self.length:
            self.pieces = []
        plane.record(exchange)
        if plane.idle_must_go:
            self.drain()

    def upstream_lost(self, error: Exception | None) -> None:
        if self.state != IDLE and self.state != GONE:
            self._escalate().upstream_lost(error)

    # -- handing over

    def _general(self) -> General:
        plane = self.plane
        general = General(plane)
        plane.connections.discard(self)
        plane.connections.add(general)
        self.parser = None
        self.transport.set_protocol(general)
        return general

    def _give_up(self, data: bytes, now: float) -> None:
        """Nothing of this request has gone on yet: the general plane reads it from byte one."""
        self.state = GONE
        general = self._general()
        general.adopt_idle(self)
        general.data_received(data)

    def _escalate(self) -> General:
        """Hand over an exchange that is under way, with all that is known of it."""
        general = self._general()
        general.adopt(self)
        self.heir = general
        self.state = GONE
        self.link = None
        self.data = self.answer_head = self.unsent = b""
        self.pieces = []
        return general

    # -- deadlines and the end of the process

    @property
    def is_busy(self) -> bool:
        return self.state != IDLE

    def scan(self, now: float) -> None:
        if self.state == IDLE:
            if now - self.heard_at > self.plane.limits.keepalive_timeout_s:
                self.transport.close()
        elif now - self.up_at >= self.plane.shortest_s or not self.is_writable:
            self._escalate().scan(now)

    def drain(self) -> None:
        if self.state == IDLE:
            self.transport.close()

    def cut(self, why: str, outcome: Outcome) -> None:
        if self.state == IDLE:
            self.transport.abort()
        else:
            self._escalate().cut(why, outcome)

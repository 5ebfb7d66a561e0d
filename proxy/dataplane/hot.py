"""The hot plane: plain keep-alive exchanges with a Content-Length, or no body, both ways.

Only heads stay of which every line is known to be valid, plain and canonical (``plain``), so that
raw bytes may go on as they came and a body is counted. It is a part of what llhttp and the general
plane accept, with the same meaning (decision 0001). Everything else, odd, broken, slow or failing,
goes to the general plane with all that is known (``General.adopt``), and is judged there by both;
this file refuses nobody and answers nothing itself. Written so that mypyc can compile it: plain
classes, typed attributes, no closures.
"""

from typing import Any, Final

from proxy.dataplane.faults import Fault
from proxy.dataplane.general import PIPELINE_BYTES_MAX, General
from proxy.dataplane.plain import (
    HOST,
    ODD,
    OF_THIS_HOP,
    SHORT,
    TARGET_BYTES,
    TRACE,
    UNKNOWN,
    status_of,
    trace_in,
    without,
)
from proxy.dataplane.plane import Plane
from proxy.dataplane.sending import IDEMPOTENT, RETRY_BYTES_MAX
from proxy.dataplane.upstream import Link, Upstream
from proxy.domain.exchange import Outcome

_METHODS: Final[dict[bytes, str]] = {
    b"GET": "GET",
    b"POST": "POST",
    b"PUT": "PUT",
    b"DELETE": "DELETE",
    b"PATCH": "PATCH",
    b"OPTIONS": "OPTIONS",
}
_END: Final = b"\r\n\r\n"
_SLASH: Final = 47

IDLE: Final = 0
SENDING: Final = 1
WAITING: Final = 2
RELAYING: Final = 3
GONE: Final = 4
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
        "data",
        "heard_at",
        "heir",
        "is_reading",
        "is_writable",
        "left",
        "length",
        "link",
        "method",
        "pieces",
        "plane",
        "started",
        "state",
        "status",
        "target",
        "traces",
        "transport",
        "unsent",
        "up_at",
        "upstream",
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
        self.heir: General | None = None
        # the exchange
        self.link: Link | None = None
        self.upstream: Upstream = plane.upstream
        self.data = b""
        self.method = ""
        self.target = b""
        self.length = 0
        self.left = 0
        self.traces: list[bytes] = []
        """Lines that name a trace."""
        self.pieces: list[bytes] = []
        self.unsent = b""
        self.up_at = 0.0
        self.started = 0.0
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
        self.resume(plane.monotonic() - plane.unasked_s)
        plane.connections.add(self)

    def resume(self, now: float) -> None:
        """Begin, or begin again after the general plane."""
        self.heard_at = now
        self.state = IDLE
        self.heir = None
        self.is_writable = self.is_reading = True
        self.left = 0
        self.traces = []

    # An attribute that is a function is taken to a name before it is called: found as a method
    # it would be looked for in the class first, in vain.

    def data_received(self, data: bytes) -> None:
        if self.state != IDLE:
            self._more(data)
            return
        plane = self.plane
        monotonic = plane.monotonic
        now: float = monotonic()
        size = len(data)
        head = data.partition(_END)[0] if size < SHORT else data[: data.find(_END)]
        end = len(head) + 4
        lines = head.split(b"\r\n")
        try:
            verb, target, version = lines.pop(0).split(b" ")
            method = _METHODS[verb]
            first = target[0]
        except (ValueError, LookupError):
            self._give_up(data)
            return
        if (
            first != _SLASH
            or version != b"HTTP/1.1"
            or end > size
            or (end > plane.short_request and plane.is_long_request(end, len(lines)))
            or not self.is_writable
            or target.translate(TARGET_BYTES) != target
            or (target < plane.local_end and plane.is_local(target))
        ):
            self._give_up(data)
            return
        goes_on = data
        hosts = lengths = length = 0
        known = plane.request_lines.known
        for line in lines:
            meaning = known.get(line, UNKNOWN)
            if meaning:
                if meaning == UNKNOWN:
                    meaning = plane.request_lines.learn(line)
                if meaning == HOST:
                    hosts += 1
                elif meaning > 0:
                    lengths += 1
                    length = meaning - 1
                elif meaning == OF_THIS_HOP:
                    goes_on = without(goes_on, line)
                elif meaning == TRACE:
                    self.traces.append(line)
                elif meaning == ODD:
                    hosts = ODD
                    break
        left = end + length - size
        if hosts != 1 or lengths > 1 or left < 0:
            # not plain, or more than one message
            self._give_up(data)
            return
        if left:
            self.state = SENDING
            self.left = left
        else:
            self.state = WAITING
        plane.hot_total += 1
        self.method = method
        self.target = target
        self.data = data
        self.length = length
        self.started = self.up_at = self.heard_at = now
        upstream = self.upstream = plane.upstream
        link = upstream.take()
        if link is None:
            self.unsent = goes_on
            upstream.connect(self)
            return
        link.owner = self
        self.link = link
        write = link.write
        write(goes_on)

    def _more(self, data: bytes) -> None:
        """Bytes while an exchange is under way: of its body, or of what the client says too
        early.
        """
        left = self.left - len(data)
        if self.state != SENDING or left < 0:
            self._escalate().data_received(data)
            return
        self.heard_at = self.up_at = self.plane.monotonic()
        self.left = left
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

    @property
    def may_retry(self) -> bool:
        """The request is idempotent, short, and all of it is still in ``data``."""
        return (
            self.method.encode() in IDEMPOTENT
            and self.data.find(_END) + len(_END) + self.length == len(self.data)
            and len(self.data) <= RETRY_BYTES_MAX
            and self.plane.retry_idempotent
        )

    def eof_received(self) -> bool:
        if self.state == IDLE:
            return False
        return self._escalate().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
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
        if self.state != WAITING:
            self._relay(link, data)
            return
        plane = self.plane
        size = len(data)
        head = data.partition(_END)[0] if size < SHORT else data[: data.find(_END)]
        end = len(head) + 4
        lines = head.split(b"\r\n")
        first = lines.pop(0)
        status = plane.known_statuses.get(first) or status_of(first, plane.known_statuses)
        if (
            status == 0
            or end > size
            or (end > plane.short_answer and plane.is_long_answer(end, len(lines)))
            or plane.draining
        ):
            self._escalate().upstream_data(data)
            return
        goes_on = data
        lengths = length = 0
        known = plane.answer_lines.known
        for line in lines:
            meaning = known.get(line, UNKNOWN)
            if meaning:
                if meaning == UNKNOWN:
                    meaning = plane.answer_lines.learn(line)
                if meaning > 0:
                    lengths += 1
                    length = meaning - 1
                elif meaning == OF_THIS_HOP:
                    goes_on = without(goes_on, line)
                elif meaning == ODD:
                    lengths = ODD
                    break
        left = end + length - size
        if lengths != 1 or left < 0:
            self._escalate().upstream_data(data)
            return
        self.status = status
        self.answer_length = length
        write, monotonic = self.write, plane.monotonic
        if plane.releases is not None:
            plane.releases.see(lines, monotonic())
        write(goes_on)
        now: float = monotonic()
        if left:
            self.answer_head = data[:end]
            self.up_at = now
            self.answer_left = left
            self.state = RELAYING
        else:
            self._finish(link, now)

    def _relay(self, link: Link, data: bytes) -> None:
        """More of the answer's body; in any other state bytes that nobody asked for."""
        left = self.answer_left - len(data)
        if self.state != RELAYING or left < 0:
            self._escalate().upstream_data(data)
            return
        self.answer_left = left
        self.write(data)
        self.up_at = self.plane.monotonic()
        if left == 0:
            self.answer_head = b""
            self._finish(link, self.up_at)

    def _finish(self, link: Link, now: float) -> None:
        plane = self.plane
        self.link = None
        upstream = link.upstream
        length = self.length
        if length:
            self.pieces = []
            if link.transport.get_write_buffer_size():
                # answered before it took the whole body
                link.abort()
        upstream.put(link, now)
        if upstream.state != "ok":
            upstream.answered()
        self.state = IDLE
        self.heard_at = now
        self.data = b""
        started = self.started
        traces = self.traces
        fresh = plane.fresh
        fresh.append(
            (
                started + plane.wall_offset,
                (now - started) * 1000.0,
                self.method,
                self.target,
                self.status,
                length,
                self.answer_length,
                trace_in(traces) if traces else None,
                self.client,
            )
        )
        if traces:
            self.traces = []
        if len(fresh) >= plane.handful:
            plane.settle()
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
        self.transport.set_protocol(general)
        return general

    def _give_up(self, data: bytes) -> None:
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

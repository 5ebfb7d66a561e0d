"""What all connections of one worker share: settings in force, upstream, recorder, clock, counters.

It holds; it does not decide. A reload swaps ``config`` and perhaps ``upstream``; connections read
both anew with each request.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

from proxy.clock import Clock
from proxy.config import Config
from proxy.dataplane.plain import answer_lines, request_lines
from proxy.dataplane.releases import Releases
from proxy.dataplane.stall import STALL_LEAST_S
from proxy.dataplane.upstream import State, Upstream
from proxy.domain.exchange import Exchange, Outcome, Plain, exchange_of
from proxy.domain.peers import Trust

_LINE_BYTES_MIN = 3
"""One byte and its CRLF; a valid field line has more."""


class Recorder(Protocol):
    """Takes every exchange once, at its end of stream. Never awaits, never raises."""

    def record(self, exchange: Exchange) -> None: ...


class Gathering(Protocol):
    """What a recorder may offer beside: plain answered exchanges are laid down in ``fresh`` as
    tuples, and ``settle`` is called when ``handful`` of them lie there. It takes them all.
    """

    fresh: list[Plain]
    handful: int

    def settle(self) -> None: ...


class Connection(Protocol):
    """What the server needs of an open client connection, whichever plane carries it."""

    @property
    def is_busy(self) -> bool:
        """An exchange or a tunnel is under way."""
        ...

    def scan(self, now: float) -> None:
        """Look at the deadlines; ``now`` is monotonic seconds."""
        ...

    def drain(self) -> None:
        """Close if idle; else close after the exchange."""
        ...

    def cut(self, why: str, outcome: Outcome) -> None:
        """End now, visibly; an exchange under way is recorded with these words."""
        ...


@dataclass(slots=True)
class DataStats:
    """A snapshot of the counters of one worker."""

    connections: int
    in_flight: int
    tunnels: int
    requests_total: int
    retries_total: int
    upstream: State
    upstream_error: str | None
    pool_idle: int
    upstream_links: int
    hot_total: int
    general_total: int
    local_total: int
    refused_connections_total: int


class _OneByOne:
    """For a recorder that knows nothing but exchanges."""

    handful = 1

    def __init__(self, recorder: Recorder) -> None:
        self.fresh: list[Plain] = []
        self._record = recorder.record

    def settle(self) -> None:
        for plain in self.fresh:
            self._record(exchange_of(plain))
        self.fresh.clear()


class Plane:
    def __init__(
        self,
        config: Config,
        recorder: Recorder,
        clock: Clock,
        local: Callable[[], asyncio.Protocol] | None,
        authorities: str = "",
    ) -> None:
        self.recorder = recorder
        self.record = recorder.record
        offers = hasattr(recorder, "fresh")
        gathering = cast("Gathering", recorder) if offers else _OneByOne(recorder)
        self.fresh = gathering.fresh
        self.handful = gathering.handful
        self.settle = gathering.settle
        self.releases: Releases | None = None
        self.clock = clock
        self.monotonic = clock.monotonic
        self.local = local
        self.wall_offset = clock.time() - clock.monotonic()
        """Add it to monotonic seconds for wall time; renewed with every scan, so that no request
        reads two clocks.
        """
        self.request_lines = request_lines()
        self.answer_lines = answer_lines()
        self.known_statuses: dict[bytes, int] = {}
        self.draining = False
        """From now on every answer that begins says ``Connection: close``."""
        self.idle_must_go = False
        """The last of a drain: nothing is waited for any more but what is under way."""
        self.emptied: asyncio.Event | None = None
        self.connections: set[Connection] = set()
        self.tunnels = 0
        self.retries_total = 0
        self.hot_total = 0
        self.general_total = 0
        self.local_total = 0
        self.unread_total = 0
        """Refused before there was a request."""
        self.refused_connections_total = 0
        self.upstream = Upstream(
            config.upstream, config.downstream.buffer_bytes, clock, authorities
        )
        self.swap(config)

    def swap(self, config: Config) -> None:
        """Put ``config`` in force. Settings read per byte or per request lie here unpacked."""
        self.config = config
        self.limits = config.downstream
        self.header_bytes = config.downstream.header_bytes
        self.header_count = config.downstream.header_count
        self.buffer_bytes = config.downstream.buffer_bytes
        self.capture_bytes = config.capture.body_bytes
        self.retry_idempotent = config.upstream.retry_idempotent
        self.response_timeout_s = config.upstream.response_timeout_s
        self.forwarded = config.downstream.forwarded
        self.trusts = Trust(config.downstream.trusted)
        self.trace_start = config.trace.mode == "start"
        is_plain = self.forwarded == "off" and not self.trace_start
        self.plain_bytes = self.header_bytes if is_plain else 0
        """How long a head may be that the hot plane takes."""
        few = self.header_count * _LINE_BYTES_MIN
        self.short_request = min(self.plain_bytes, few)
        self.short_answer = min(self.header_bytes, few)
        """So short a head breaks neither limit."""
        self.shortest_s = min(config.upstream.response_timeout_s, self.limits.body_idle_timeout_s)
        self._watch_releases(config.detector.deploy_header)
        self.unasked_s = max(0.0, self.limits.keepalive_timeout_s - self.limits.header_timeout_s)
        """A connection that has not asked anything yet counts as idle for that long already: it
        has a head's time, not an old friend's.
        """
        self.stall_s = max(self.limits.keepalive_timeout_s, STALL_LEAST_S)
        prefix = config.ingest.prefix.encode()
        self.local_prefix = prefix if config.ingest.enabled and self.local is not None else b""
        self.local_end = self.local_prefix + b"\xff" if self.local_prefix else b""
        """Local targets lie between the two, as bytes are ordered; without a prefix none does."""

    def _watch_releases(self, header: str) -> None:
        if self.releases is not None and self.releases.header == header:
            return
        tell: Callable[[str], None] | None = getattr(self.recorder, "released", None)
        self.releases = Releases(header, tell) if header and tell is not None else None

    def is_long_request(self, size: int, lines: int) -> bool:
        """A head of so many bytes and field lines is over a limit of the hot plane."""
        return size > self.plain_bytes or lines > self.header_count

    def is_long_answer(self, size: int, lines: int) -> bool:
        """The same of an answer."""
        return size > self.header_bytes or lines > self.header_count

    def is_local(self, path: bytes) -> bool:
        """True for the ingest prefix itself and what lies below it, and for nothing else."""
        prefix = self.local_prefix
        if not prefix or not path.startswith(prefix):
            return False
        return path[len(prefix) : len(prefix) + 1] in (b"", b"/", b"?")

    def closed(self, connection: Connection) -> None:
        """A connection has ended or was handed over; the last one ends a drain."""
        self.connections.discard(connection)
        if self.emptied is not None and not self.connections:
            self.emptied.set()

    def stats(self) -> DataStats:
        return DataStats(
            connections=len(self.connections),
            in_flight=sum(c.is_busy for c in self.connections),
            tunnels=self.tunnels,
            requests_total=self.hot_total + self.general_total + self.unread_total,
            retries_total=self.retries_total,
            upstream=self.upstream.state,
            upstream_error=self.upstream.error,
            pool_idle=self.upstream.idle,
            upstream_links=self.upstream.open_links,
            hot_total=self.hot_total,
            general_total=self.general_total,
            local_total=self.local_total,
            refused_connections_total=self.refused_connections_total,
        )

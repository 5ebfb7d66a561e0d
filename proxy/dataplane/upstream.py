"""The app behind us: its address, the connections kept alive to it, and what they say about its
health.

Knows nothing of HTTP: a ``Link`` carries bytes between a socket and the ``Owner`` whose exchange
it serves.
"""

import asyncio
import select
import ssl
from collections.abc import Callable
from typing import Any, Final, Literal, Protocol, cast
from urllib.parse import urlsplit

from proxy.clock import Clock
from proxy.config import Upstream as Settings
from proxy.config import unix_path
from proxy.dataplane.faults import Fault, connect_fault
from proxy.dataplane.sockets import take_unread
from proxy.dataplane.tls import client_context
from proxy.domain.exchange import Outcome
from proxy.tasks import spawn

UNREAD_BYTES_MAX = 262144
"""Of an answer taken from a connection that broke; a refusal is short."""

NEVER: Final = -1.0

State = Literal["unknown", "ok", "refusing"]


class Owner(Protocol):
    """Who uses a link for one exchange."""

    def link_ready(self, link: "Link") -> None: ...
    def link_failed(self, fault: Fault) -> None: ...
    def upstream_data(self, data: bytes) -> None: ...
    def upstream_lost(self, error: Exception | None) -> None:
        """The link has ended: a clean end has no error."""
        ...

    def upstream_writable(self, writable: bool) -> None: ...


class Link:
    """One connection to the upstream. Without an owner it is idle, and whatever then arrives
    closes it."""

    __slots__ = (
        "closed",
        "idle_since",
        "is_closing",
        "is_reading",
        "owner",
        "transport",
        "unread",
        "upstream",
        "write",
    )

    transport: Any
    write: Any
    is_closing: Any

    def __init__(self, upstream: "Upstream") -> None:
        self.upstream = upstream
        self.owner: Owner | None = None
        self.closed = False
        self.is_reading = True
        self.idle_since = NEVER
        self.unread: Callable[[int], object] = self._listen
        """Ask the kernel, called with 0, whether an end or stray bytes wait unread: what an idle
        connection must not have. True or a list of what there is.
        """

    @property
    def reused(self) -> bool:
        """An exchange went over it before."""
        return self.idle_since != NEVER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.write = self.transport.write
        self.is_closing = self.transport.is_closing
        self.upstream.open_links += 1
        self.transport.set_write_buffer_limits(high=self.upstream.buffer_bytes)

    def _listen(self, timeout_ms: int) -> object:
        """The first question registers the socket; most links to a slow app are never asked."""
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        self.unread = poll.poll
        return self.unread(timeout_ms)

    def data_received(self, data: bytes) -> None:
        owner = self.owner
        if owner is None:
            self.abort()
        else:
            owner.upstream_data(data)

    def eof_received(self) -> None:
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None and self.upstream.is_tls:
            # without a close_notify anybody on the line may have cut it (RFC 9112 section 9.8)
            exc = ConnectionAbortedError("the TLS session was cut")
        if isinstance(exc, OSError) and self.owner is not None and not self.closed:
            # an app that refuses an upload and leaves: its answer lies behind the write that failed
            data = take_unread(self.transport, UNREAD_BYTES_MAX)
            if data:
                self.owner.upstream_data(data)
        self._end(exc)

    def _end(self, error: Exception | None) -> None:
        if self.closed:
            return
        self.closed = True
        self.upstream.forget(self)
        owner, self.owner = self.owner, None
        if owner is not None:
            owner.upstream_lost(error)
        self.transport.abort()

    def pause_writing(self) -> None:
        if self.owner is not None:
            self.owner.upstream_writable(False)

    def resume_writing(self) -> None:
        if self.owner is not None:
            self.owner.upstream_writable(True)

    def read_on(self, wanted: bool) -> None:
        """Read or stop reading; the kernel's buffer and then the app feel it."""
        if wanted != self.is_reading and not self.closed:
            self.is_reading = wanted
            if wanted:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    def abort(self) -> None:
        """Drop the connection now; nobody is told."""
        self.owner = None
        if not self.closed:
            self.closed = True
            self.upstream.forget(self)
            self.transport.abort()


class Upstream:
    """Address, pool and passive health of one upstream. Idle links are used last in, first out."""

    def __init__(
        self, settings: Settings, buffer_bytes: int, clock: Clock, authorities: str = ""
    ) -> None:
        """``authorities`` are PEM texts that an https upstream is checked against; empty means the
        system's.
        """
        self.dial: Callable[[Owner], None] = self._dial
        """How a link is opened; a world without sockets has its own way."""
        self._settings = settings
        self._pool_size = settings.pool_size
        self.buffer_bytes = buffer_bytes
        self._clock = clock
        self._idle: list[Link] = []
        self.state: State = "unknown"
        self.error: str | None = None
        self.open_links = 0
        self._path = unix_path(settings.url)
        self._host, self._port = "", 0
        self._tls: ssl.SSLContext | None = None
        self.is_tls = False
        self.authority = b"localhost"
        url = urlsplit(settings.url)
        if self._path is None and url.hostname:
            self.is_tls = url.scheme == "https"
            self._host, self._port = url.hostname, url.port or (443 if self.is_tls else 80)
            if self.is_tls:
                self._tls = client_context(authorities, verify=settings.tls_verify)
            self.authority = url.netloc.encode()

    @property
    def idle(self) -> int:
        return len(self._idle)

    def take(self) -> Link | None:
        """The link that was used last, or None.

        The kernel is asked first: bytes or an end that wait unread there would become the answer
        to somebody else.
        """
        idle = self._idle
        while idle:
            link = idle.pop()
            # called as they stand: found as methods they would be looked for in the class first
            unread, is_closing = link.unread, link.is_closing
            if not unread(0) and not is_closing():
                return link
            link.abort()
        return None

    def connect(self, owner: Owner) -> None:
        """Open a link in the background; ``owner`` hears ``link_ready`` or ``link_failed``."""
        self.dial(owner)

    def _dial(self, owner: Owner) -> None:
        _ = spawn(self._connect(owner), name="dataplane.connect")

    async def _connect(self, owner: Owner) -> None:
        link = Link(self)
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                await self._open(link)
        except Exception as error:
            fault = connect_fault(error)
            if fault.outcome is not Outcome.PROXY_FAULT:
                self.failed(fault.reason, refusing=True)
            owner.link_failed(fault)
            return
        self.answered()
        owner.link_ready(link)

    async def _open(self, link: Link) -> None:
        loop = asyncio.get_running_loop()
        if self._path is not None:
            await loop.create_unix_connection(cast("Any", lambda: link), self._path)
        elif self._host:
            name = (self._settings.tls_name or self._host) if self.is_tls else None
            await loop.create_connection(
                cast("Any", lambda: link),
                self._host,
                self._port,
                ssl=self._tls,
                server_hostname=name,
            )
        else:
            raise OSError(None, "no upstream is configured; set upstream.url")

    def put(self, link: Link, now: float | None = None) -> None:
        """Keep a link whose request and answer were both read and written to their exact end."""
        link.owner = None
        if link.closed:
            return
        idle = self._idle
        if len(idle) >= self._pool_size:
            link.abort()
            return
        link.idle_since = self._clock.monotonic() if now is None else now
        if not link.is_reading:
            link.read_on(True)
        idle.append(link)

    def forget(self, link: Link) -> None:
        self.open_links -= 1
        if link in self._idle:
            self._idle.remove(link)

    def answered(self) -> None:
        """An answer came: whatever was wrong is over."""
        self.state, self.error = "ok", None

    def failed(self, reason: str, *, refusing: bool) -> None:
        """Remember the last error; ``refusing`` until something connects or answers again."""
        self.error = reason
        if refusing:
            self.state = "refusing"

    def expire(self, now: float) -> None:
        """Close links idle for longer than the setting; the oldest stand first."""
        before = now - self._settings.keepalive_s
        while self._idle:
            link = self._idle[0]
            if link.idle_since > before:
                break
            link.abort()

    def retire(self) -> None:
        """Close what is idle and keep nothing from now on; links in use end with their exchange."""
        self._pool_size = 0
        while self._idle:
            self._idle.pop().abort()

"""Live events: a bounded ring to catch up from, and one bounded queue per reader.

A reader that cannot follow is dropped with a ``resync`` event; so is one whose ``Last-Event-ID``
the ring no longer holds. Both then read a fresh snapshot. Publishing never waits for anybody.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from proxy.clock import Clock
from proxy.contract.events import Event

RING_EVENTS_MAX = 1024
READER_EVENTS_MAX = 256
READERS_MAX = 64


class TooManyReaders(Exception):
    """``READERS_MAX`` streams are open."""


class Reader:
    """One stream's queue of ``(id, event)``; ``None`` means: the stream ends here."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[tuple[str, Event] | None] = asyncio.Queue(READER_EVENTS_MAX + 2)
        self.dropped = False

    async def next(self, timeout_s: float) -> tuple[str, Event] | None:
        """The next event; ``TimeoutError`` when none came, which is the moment for a heartbeat."""
        async with asyncio.timeout(timeout_s):
            return await self._queue.get()

    def offer(self, item: tuple[str, Event]) -> bool:
        """False when the reader is too far behind; it is then dropped for good."""
        if self.dropped or self._queue.qsize() >= READER_EVENTS_MAX:
            return False
        self._queue.put_nowait(item)
        return True

    def end(self, last: tuple[str, Event] | None = None) -> None:
        """End the stream, with one last event in place of everything unread."""
        if self.dropped:
            return
        self.dropped = True
        while not self._queue.empty():
            self._queue.get_nowait()
        if last is not None:
            self._queue.put_nowait(last)
        self._queue.put_nowait(None)


class EventHub:
    """Publish once, read many. Event ids are ``<run>-<n>``: another run's id is a gap, never a
    match.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._run = secrets.token_hex(4)
        self._last = 0
        self._ring: deque[tuple[int, Event]] = deque(maxlen=RING_EVENTS_MAX)
        self._readers: set[Reader] = set()
        self._changed = asyncio.Event()
        self._closed = False

    @property
    def last_id(self) -> str:
        return self._id(self._last)

    @property
    def readers(self) -> int:
        return len(self._readers)

    def publish(self, event: Event) -> None:
        self._last += 1
        self._ring.append((self._last, event))
        item = (self._id(self._last), event)
        for reader in [r for r in self._readers if not r.offer(item)]:
            reader.end((item[0], self._resync("slow")))
            self._readers.discard(reader)
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, timeout_s: float) -> None:
        """Return at the next event, or after ``timeout_s``: whoever polls, polls at the right
        moment.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return

    @contextmanager
    def reader(self, last_event_id: str | None = None) -> Iterator[Reader]:
        """A reader that first gets what it missed since ``last_event_id``, or one ``resync``."""
        if len(self._readers) >= READERS_MAX:
            raise TooManyReaders
        reader = Reader()
        for item in self._missed(last_event_id):
            reader.offer(item)
        if self._closed:
            reader.end()
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)

    def close(self) -> None:
        """End every stream: the sidecar is leaving."""
        self._closed = True
        for reader in self._readers:
            reader.end()

    def _missed(self, last_event_id: str | None) -> list[tuple[str, Event]]:
        if not last_event_id:
            return []
        run, _, number = last_event_id.rpartition("-")
        known = run == self._run and number.isascii() and number.isdigit() and len(number) < 19
        seen = int(number) if known else -1
        oldest = self._last - len(self._ring)
        if not oldest <= seen <= self._last or self._last - seen > READER_EVENTS_MAX:
            return [(self.last_id, self._resync("gap"))]
        return [(self._id(n), event) for n, event in self._ring if n > seen]

    def _id(self, number: int) -> str:
        return f"{self._run}-{number}"

    def _resync(self, why: str) -> Event:
        return Event(kind="resync", subject="", change=why, at=self._clock.now())


def encode(event_id: str, event: Event) -> bytes:
    """One server-sent event (WHATWG HTML, 9.2); the JSON holds no line end."""
    return f"id: {event_id}\nevent: {event.kind}\ndata: {event.model_dump_json()}\n\n".encode()


HEARTBEAT = b": heartbeat\n\n"

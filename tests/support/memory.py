"""The data plane's connections without sockets: bytes handed to the real protocols, in any order.

Thousands of conversations a second, each the same for the same seed. The app behind reads with h11,
a second and strict parser; what h11 does not take for a request fails the test.
"""

import asyncio
import itertools
import random
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

import h11

from proxy.clock import ManualClock
from proxy.dataplane.general import General
from proxy.dataplane.hot import Hot
from proxy.dataplane.plane import Plane
from proxy.dataplane.upstream import Link
from tests.support.dataplane import Kept, config_for


class Pipe:
    """A transport whose peer is the test. ``inbox`` holds what the peer sent and nobody read."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.protocol: Any = None
        self.inbox: deque[bytes] = deque()
        self.sends_end = False
        self.out = b""
        self.is_reading = True
        self.is_closed = False
        self.has_written_eof = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "socket":
            return self._world.quiet
        return ("192.0.2.1", 9) if name == "peername" else default

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int) -> None:
        """There is no buffer."""

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes) -> None:
        assert not self.has_written_eof
        if not self.is_closed:
            self.out += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.has_written_eof = True

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self._world.later.append(lambda: self.protocol.connection_lost(None))

    abort = close

    @property
    def has_news(self) -> bool:
        return not self.is_closed and self.is_reading and bool(self.inbox or self.sends_end)

    def deliver(self) -> None:
        """Hand the next piece, or the end, to whoever reads."""
        if self.inbox:
            self.protocol.data_received(self.inbox.popleft())
        else:
            self.sends_end = False
            if not self.protocol.eof_received():
                self.close()


class App:
    """The far end of one link: reads requests with h11 and answers each with the next answer."""

    def __init__(self, world: "World", pipe: Pipe) -> None:
        self._world = world
        self._pipe = pipe
        self._read = 0
        self._body = b""
        self._request: h11.Request | None = None
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)

    def look(self) -> None:
        new, self._read = self._pipe.out[self._read :], len(self._pipe.out)
        if new:
            self._h11.receive_data(new)
        while True:
            event = self._h11.next_event()
            if isinstance(event, h11.Request):
                self._request, self._body = event, b""
            elif isinstance(event, h11.Data):
                self._body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                assert self._request is not None
                self._world.seen.append((self._request.method, self._request.target, self._body))
                self._answer()
                rest = self._h11.trailing_data[0]
                self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
                if rest:
                    self._h11.receive_data(rest)
            else:
                return

    def _answer(self) -> None:
        answer, ends = self._world.next_answer(self._request)
        self._pipe.inbox.extend(self._world.cut(answer))
        self._pipe.sends_end = ends


class World:
    """One client connection, the plane, and the app; ``run`` lets things happen in an order drawn
    from ``rng``.
    """

    def __init__(
        self,
        rng: random.Random,
        next_answer: Callable[[Any], tuple[bytes, bool]],
        *,
        hot: bool,
        cuts: int,
    ) -> None:
        self._rng = rng
        self._cuts = cuts
        self.next_answer = next_answer
        self.later: deque[Callable[[], None]] = deque()
        self.seen: list[tuple[bytes, bytes, bytes]] = []
        self.kept = Kept()
        self.quiet, self._far = socket.socketpair()
        config = config_for(1)
        self.plane = Plane(config, self.kept, ManualClock(), None)
        self.plane.upstream.dial = self._dial
        self.apps: list[App] = []
        self.links: list[Pipe] = []
        self.client = Pipe(self)
        self.client.protocol = Hot(self.plane) if hot else General(self.plane)
        self.client.protocol.connection_made(self.client)

    def close(self) -> None:
        self.quiet.close()
        self._far.close()

    def _dial(self, owner: Any) -> None:
        self.later.append(lambda: owner.link_ready(self.open_link()))

    def open_link(self) -> Link:
        pipe = Pipe(self)
        link = Link(self.plane.upstream)
        pipe.protocol = link
        link.connection_made(pipe)  # type: ignore[arg-type] # as much of a transport as is used
        self.links.append(pipe)
        self.apps.append(App(self, pipe))
        return link

    def cut(self, data: bytes) -> list[bytes]:
        places = sorted(self._rng.randrange(len(data) + 1) for _ in range(self._cuts))
        bounds = [0, *places, len(data)]
        return [data[a:b] for a, b in itertools.pairwise(bounds) if a < b]

    def say(self, raw: bytes, *, then_end: bool) -> None:
        self.client.inbox.extend(self.cut(raw))
        self.client.sends_end = then_end

    def run(self) -> None:
        """Until nothing more can happen. Callbacks go first, as on a loop; the rest is drawn."""
        while True:
            while self.later:
                self.later.popleft()()
            for app in self.apps:
                app.look()
            ready = [pipe for pipe in (self.client, *self.links) if pipe.has_news]
            if not ready:
                if not self.later:
                    return
                continue
            self._rng.choice(ready).deliver()


def in_loop(check: Callable[[], None]) -> None:
    """Some callbacks ask for the running loop."""

    async def run() -> None:
        check()

    asyncio.run(run())

"""Silent denials: row-level security that hides rows answers 200 with an empty list, and no status
tells. A route whose answers suddenly are nearly all tiny, though they usually are not, is suspect.

Reads sizes alone, never a body; fed where the flusher drains the buffer, so that it costs the
forwarding nothing. Bounded: ``ROUTES_MAX`` routes, a handful of numbers each.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from proxy.domain.exchange import Exchange, Outcome
from proxy.domain.waiting import Answers, Waiting

EMPTY_BYTES_MAX = 64
"""``[]``, ``{"data":[],"total":0}``, either of them compressed."""
LARGER = 3.0
"""So many times an empty answer is a usual one at least; else the route never says much."""
WINDOW = 20
"""Answers that are judged together."""
WINDOWS_MIN = 3
"""So many must have passed before a route has a habit to break."""
USUAL_MAX, JUMP_MIN, OVER_BELOW = 0.2, 0.9, 0.5
"""Share of empty answers that is usual at most, that is a jump, and that ends it."""
MEMORY = 0.8
_NEWS = 1 - MEMORY
LAST = 24
"""Of so many the older ones count for less than a hundredth in what is usual."""
ROUTES_MAX = 500
_STATUS, _SIZE = 4, 6
"""Which columns of ``Answers`` they are."""


@dataclass(frozen=True, slots=True)
class Silence:
    """``share`` of the last ``WINDOW`` answers was empty, ``usual`` of those before: 0-1."""

    exchange: Exchange
    share: float
    usual: float


@dataclass(slots=True)
class _Route:
    seen: int = 0
    empty: int = 0
    windows: int = 0
    usual: float = 0.0
    usual_bytes: float = 0.0
    is_told: bool = False

    def add(self, size: int) -> bool:
        """True when that fills a window."""
        if size > EMPTY_BYTES_MAX:
            self.learn(size)
        elif size * LARGER <= self.usual_bytes:
            self.empty += 1
        self.seen += 1
        return self.seen == WINDOW

    def learn(self, size: int) -> None:
        self.usual_bytes = MEMORY * (self.usual_bytes or size) + _NEWS * size


class EmptyLists:
    """``see`` what was drained; ``on_silence`` once per jump."""

    def __init__(self, on_silence: Callable[[Silence], None]) -> None:
        self._on_silence = on_silence
        self._routes: dict[str, _Route] = {}

    def see(self, waiting: Iterable[Waiting]) -> None:
        for some in waiting:
            if isinstance(some, Answers):
                if some.method == "GET":
                    self._see_all(some)
            elif some.outcome is Outcome.ANSWERED and some.status == 200 and some.method == "GET":
                route = self._route(some.route)
                if route.add(some.response_bytes):
                    self._judge(route, some)

    def _see_all(self, answers: Answers) -> None:
        statuses, sizes = answers.columns[_STATUS], answers.columns[_SIZE]
        places: Sequence[int] = range(len(sizes))
        if statuses.count(200) < len(sizes):
            places = [place for place in places if statuses[place] == 200]
            sizes = tuple([sizes[place] for place in places])
            if not places:
                return
        route = self._route(answers.route)
        ordered = sorted(sizes)
        if ordered[0] > EMPTY_BYTES_MAX:
            # none is empty, and what is usual is what the last of them were
            usual = route.usual_bytes or sizes[-LAST:][0]
            for size in sizes[-LAST:]:
                usual = MEMORY * usual + _NEWS * size
            route.usual_bytes = usual
        elif ordered[-1] > EMPTY_BYTES_MAX or ordered[0] * LARGER <= route.usual_bytes:
            for place, size in zip(places, sizes, strict=True):
                if route.add(size):
                    self._judge(route, answers, place)
            return
        full, left = divmod(route.seen + len(sizes), WINDOW)
        place = -1 - left
        for _ in range(min(full, 2)):
            route.seen = WINDOW
            self._judge(route, answers, places[place])
        if full > 2:
            route.windows += full - 2
            route.usual *= MEMORY ** (full - 2)
        route.seen = left

    def _route(self, name: str) -> _Route:
        return self._routes.get(name) or self._open(name)

    def _open(self, name: str) -> _Route:
        """There are no more names than the recorder has templates; should there be, the first to
        come goes.
        """
        if len(self._routes) >= ROUTES_MAX:
            del self._routes[next(iter(self._routes))]
        route = self._routes[name] = _Route()
        return route

    def _judge(self, route: _Route, some: Waiting, place: int = 0) -> None:
        """A window is full; its last answer is the one at this place of what was seen."""
        share = route.empty / route.seen
        route.seen = route.empty = 0
        if route.is_told:
            route.is_told = share >= OVER_BELOW
            return
        if route.windows >= WINDOWS_MIN and route.usual <= USUAL_MAX and share >= JUMP_MIN:
            route.is_told = True
            if isinstance(some, Answers):
                some = next(some.part(place, place + 1).exchanges())
            self._on_silence(Silence(some, share, route.usual))
            return
        route.windows += 1
        route.usual = share if route.windows == 1 else MEMORY * route.usual + _NEWS * share


class Buffer(Protocol):
    @property
    def is_due(self) -> bool: ...
    def drain(self, n: int) -> list[Waiting]: ...
    def __len__(self) -> int: ...


class Overlooked:
    """A buffer as the flusher sees it, whose exchanges pass ``see`` on their way out."""

    def __init__(self, buffer: Buffer, see: Callable[[Sequence[Waiting]], object]) -> None:
        self._buffer = buffer
        self._see = see

    def __len__(self) -> int:
        return len(self._buffer)

    @property
    def is_due(self) -> bool:
        return self._buffer.is_due

    def drain(self, n: int) -> list[Waiting]:
        drained = self._buffer.drain(n)
        self._see(drained)
        return drained

"""Silent denials: row-level security that hides rows answers 200 with an empty list, and no status
tells. A route whose answers suddenly are nearly all tiny, though they usually are not, is suspect.

Reads sizes alone, never a body; fed where the flusher drains the buffer, so that it costs the
forwarding nothing. Bounded: ``ROUTES_MAX`` routes, a handful of numbers each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from proxy.domain.exchange import Answer, Exchange, Outcome, exchange_of

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
ROUTES_MAX = 500


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


class EmptyLists:
    """``see`` what was drained; ``on_silence`` once per jump."""

    def __init__(self, on_silence: Callable[[Silence], None]) -> None:
        self._on_silence = on_silence
        self._routes: dict[str, _Route] = {}

    def see(self, rows: Sequence[Exchange | Answer]) -> None:
        routes = self._routes
        row: Any  # compiled, an ``Answer`` would be taken apart to the last value
        last: Any = None
        route: _Route | None = None
        for row in rows:
            if isinstance(row, tuple):
                if row[4] != 200 or row[2] != "GET":
                    continue
                size, name = row[6], row[9]
            elif row.outcome is Outcome.ANSWERED and row.status == 200 and row.method == "GET":
                size, name = row.response_bytes, row.route
            else:
                continue
            if route is None or name is not last:
                last = name
                route = routes.get(name) or self._open(name)
            if size > EMPTY_BYTES_MAX:
                route.usual_bytes = MEMORY * (route.usual_bytes or size) + _NEWS * size
            elif size * LARGER <= route.usual_bytes:
                route.empty += 1
            route.seen = seen = route.seen + 1
            if seen == WINDOW:
                self._judge(route, row)

    def _open(self, name: str) -> _Route:
        """There are no more names than the recorder has templates; should there be, the first to
        come goes.
        """
        if len(self._routes) >= ROUTES_MAX:
            del self._routes[next(iter(self._routes))]
        route = self._routes[name] = _Route()
        return route

    def _judge(self, route: _Route, row: Exchange | Answer) -> None:
        share = route.empty / route.seen
        route.seen = route.empty = 0
        if route.is_told:
            route.is_told = share >= OVER_BELOW
            return
        if route.windows >= WINDOWS_MIN and route.usual <= USUAL_MAX and share >= JUMP_MIN:
            route.is_told = True
            self._on_silence(Silence(exchange_of(row), share, route.usual))
            return
        route.windows += 1
        route.usual = share if route.windows == 1 else MEMORY * route.usual + (1 - MEMORY) * share


class Buffer(Protocol):
    @property
    def is_due(self) -> bool: ...
    def drain(self, n: int) -> list[Exchange | Answer]: ...
    def __len__(self) -> int: ...


class Overlooked:
    """A buffer as the flusher sees it, whose exchanges pass ``see`` on their way out."""

    def __init__(
        self, buffer: Buffer, see: Callable[[Sequence[Exchange | Answer]], object]
    ) -> None:
        self._buffer = buffer
        self._see = see

    def __len__(self) -> int:
        return len(self._buffer)

    @property
    def is_due(self) -> bool:
        return self._buffer.is_due

    def drain(self, n: int) -> list[Exchange | Answer]:
        drained = self._buffer.drain(n)
        self._see(drained)
        return drained

"""MetricsBuffer: what was measured and not stored yet. Bounded; recording never waits.

When it is full the newest exchange is refused and counted: everything already taken is kept in
order, so the flusher's promise "what was accepted is stored" stays true. Knows nothing of who
drains it or where to.
"""

from collections import deque
from collections.abc import Callable
from itertools import islice

from proxy.domain.exchange import Exchange, Outcome

Answer = tuple[float, float, str, bytes, int, int, int, str | None, str, str, int]
"""A plain answered exchange before anybody asks for it: ``started_at``, ``duration_ms``,
``method``, ``target``, ``status``, ``request_bytes``, ``response_bytes``, ``trace_id``, ``client``,
``route``, ``sequence``. A tuple of atoms is made at a tenth of the cost, and the garbage collector
has no work with it.
"""
FLUSH_AT = 0.5
"""Share of the capacity at which a flush is asked for: the other half is room while it runs."""


class MetricsBuffer:
    """Holds at most ``capacity`` exchanges. ``on_fill`` is called once each time the flush level
    is reached.
    """

    def __init__(self, capacity: int = 10000, *, on_fill: Callable[[], None] | None = None) -> None:
        if capacity < 1:
            raise ValueError("a buffer holds at least one exchange")
        self.capacity = capacity
        self.on_fill = on_fill
        self.high_water = 0
        self.dropped = 0
        self.recorded = 0
        self._flush_level = max(1, int(capacity * FLUSH_AT))
        self._rows: deque[Exchange | Answer] = deque()

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def is_due(self) -> bool:
        """Full enough to flush now rather than at the next full minute."""
        return len(self._rows) >= self._flush_level

    def record(self, exchange: Exchange | Answer) -> bool:
        """Append; False when full and therefore dropped and counted."""
        rows = self._rows
        filled = len(rows) + 1
        if filled > self.capacity:
            self.dropped += 1
            return False
        rows.append(exchange)
        self.recorded += 1
        if filled > self.high_water:
            self.high_water = filled
        if filled == self._flush_level and self.on_fill is not None:
            self.on_fill()
        return True

    def drain(self, n: int) -> list[Exchange]:
        """Take the oldest ``n`` (or all there are) out of the buffer."""
        rows = self._rows
        return [_exchange(rows.popleft()) for _ in range(min(n, len(rows)))]

    def peek(self, n: int) -> list[Exchange]:
        """The oldest ``n`` without taking them: for a writer that removes only what it has
        stored.
        """
        return [_exchange(row) for row in islice(self._rows, n)]

    def restore(self, exchanges: list[Exchange]) -> int:
        """Put back what could not be stored, at the old end; returns how many found no room
        (counted as dropped).
        """
        room = self.capacity - len(self._rows)
        lost = max(0, len(exchanges) - room)
        self._rows.extendleft(reversed(exchanges[lost:]))
        self.dropped += lost
        return lost


def _exchange(row: Exchange | Answer) -> Exchange:
    if isinstance(row, Exchange):
        return row
    started_at, ms, method, target, status, sent, got, trace_id, client, route, sequence = row
    return Exchange(
        started_at,
        ms,
        method,
        target,
        status,
        Outcome.ANSWERED,
        sent,
        got,
        trace_id,
        client,
        route=route,
        sequence=sequence,
    )

"""MetricsBuffer: what was measured and not stored yet. Bounded; recording never waits.

When it is full the newest exchange is refused and counted: everything already taken is kept in
order, so the flusher's promise "what was accepted is stored" stays true. Knows nothing of who
drains it or where to.
"""

from collections.abc import Callable

from proxy.domain.exchange import Answer, Exchange

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
        self.settle: Callable[[], None] | None = None
        """Called before anybody counts or takes: whoever records in handfuls brings in its last."""
        self.high_water = 0
        self.dropped = 0
        self.recorded = 0
        self._flush_level = max(1, int(capacity * FLUSH_AT))
        self._rows: list[Exchange | Answer] = []
        """Taken from the front by thousands at a time: a deque would give them one by one."""

    def __len__(self) -> int:
        if self.settle is not None:
            self.settle()
        return len(self._rows)

    @property
    def is_due(self) -> bool:
        """Full enough to flush now rather than at the next full minute."""
        return len(self) >= self._flush_level

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

    def extend(self, rows: list[Answer]) -> None:
        """Append as many as there is room for; the others are dropped and counted."""
        before = len(self._rows)
        room = self.capacity - before
        if len(rows) > room:
            self.dropped += len(rows) - room
            rows = rows[:room]
        self._rows.extend(rows)
        filled = before + len(rows)
        self.recorded += len(rows)
        if filled > self.high_water:
            self.high_water = filled
        if before < self._flush_level <= filled and self.on_fill is not None:
            self.on_fill()

    def drain(self, n: int) -> list[Exchange | Answer]:
        """Take the oldest ``n`` (or all there are) out of the buffer."""
        count, rows = min(n, len(self)), self._rows
        drained = rows[:count]
        del rows[:count]
        return drained

    def peek(self, n: int) -> list[Exchange | Answer]:
        """The oldest ``n`` without taking them: for a writer that removes only what it has
        stored.
        """
        return self._rows[: min(n, len(self))]

    def restore(self, exchanges: list[Exchange | Answer]) -> int:
        """Put back what could not be stored, at the old end; returns how many found no room
        (counted as dropped).
        """
        room = self.capacity - len(self)
        lost = max(0, len(exchanges) - room)
        self._rows[:0] = exchanges[lost:]
        self.dropped += lost
        return lost

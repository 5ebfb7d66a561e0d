"""MetricsBuffer: what was measured and not stored yet. Bounded; recording never waits.

When it is full the newest exchange is refused and counted: everything already taken is kept in
order, so the flusher's promise "what was accepted is stored" stays true. Knows nothing of who
drains it or where to.
"""

from collections.abc import Callable

from proxy.domain.exchange import Exchange
from proxy.domain.waiting import Answers, Waiting, count_of

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
        self._count = 0
        self._waiting: list[Waiting] = []
        """Taken from the front by thousands at a time: a deque would give them one by one."""

    def __len__(self) -> int:
        if self.settle is not None:
            self.settle()
        return self._count

    @property
    def is_due(self) -> bool:
        """Full enough to flush now rather than at the next full minute."""
        return len(self) >= self._flush_level

    def record(self, exchange: Exchange) -> bool:
        """Append; False when full and therefore dropped and counted."""
        if self._count >= self.capacity:
            self.dropped += 1
            return False
        self._waiting.append(exchange)
        self._grow(1)
        return True

    def extend(self, answers: Answers) -> None:
        """Append as many as there is room for; the others are dropped and counted."""
        count, room = len(answers), self.capacity - self._count
        if count > room:
            self.dropped += count - room
            if not room:
                return
            answers, count = answers.part(0, room), room
        self._waiting.append(answers)
        self._grow(count)

    def _grow(self, more: int) -> None:
        before = self._count
        self._count = filled = before + more
        self.recorded += more
        if filled > self.high_water:
            self.high_water = filled
        if before < self._flush_level <= filled and self.on_fill is not None:
            self.on_fill()

    def drain(self, n: int) -> list[Waiting]:
        """Take the oldest ``n`` exchanges (or all there are) out of the buffer."""
        drained, self._waiting = self._split(n)
        self._count -= min(n, self._count)
        return drained

    def peek(self, n: int) -> list[Waiting]:
        """The oldest ``n`` without taking them: for a writer that removes only what it has
        stored.
        """
        return list(self._split(n)[0])

    def restore(self, waiting: list[Waiting]) -> int:
        """Put back what could not be stored, at the old end; returns how many found no room
        (counted as dropped): the oldest of them.
        """
        room = self.capacity - len(self)
        back = count_of(waiting)
        lost = max(0, back - room)
        kept = _cut(waiting, lost)[1]
        self._waiting = kept + self._waiting
        self._count += back - lost
        self.dropped += lost
        return lost

    def _split(self, n: int) -> tuple[list[Waiting], list[Waiting]]:
        if n >= len(self):
            return self._waiting, []
        return _cut(self._waiting, n)


def _cut(waiting: list[Waiting], n: int) -> tuple[list[Waiting], list[Waiting]]:
    """The first ``n`` exchanges and the others."""
    for place, some in enumerate(waiting):
        if n <= 0:
            return waiting[:place], waiting[place:]
        count = len(some) if isinstance(some, Answers) else 1
        if n < count and isinstance(some, Answers):
            before, after = some.part(0, n), some.part(n, count)
            return [*waiting[:place], before], [after, *waiting[place + 1 :]]
        n -= count
    return waiting, []

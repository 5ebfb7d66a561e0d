"""The only place that reads the machine's clocks, so that every test can turn its own by hand.

``now()`` is wall time in UTC and may jump; ``monotonic()`` is seconds that never go back. A
duration is always taken from the second, a stored time always from the first.
"""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Wall time, timezone-aware, UTC."""
        ...

    def time(self) -> float:
        """Wall time as seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; only differences mean anything."""
        ...


PAST_S = 0.05
"""A timer that rings early would ring again at once."""


def until_next(now: float, every_s: float) -> float:
    """Seconds to just past the next multiple of ``every_s``: work of some seconds once a minute is
    then done once in each minute, however long it runs.
    """
    return every_s - now % every_s + PAST_S


class SystemClock:
    """The machine's own clocks. The second is asked several times per request: it is the bare
    function, without a frame of ours around it.
    """

    monotonic = staticmethod(time.monotonic)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def time(self) -> float:
        return time.time()


class ManualClock:
    """A clock that stands still until ``advance`` turns it; for tests and for recorded traffic."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._time = start
        self._monotonic = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._time, UTC)

    def time(self) -> float:
        return self._time

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Turn both hands forward; going back is refused with ``ValueError``."""
        if seconds < 0:
            raise ValueError("a clock is not turned back")
        self._time += seconds
        self._monotonic += seconds

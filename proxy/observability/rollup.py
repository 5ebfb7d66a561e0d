"""Exchanges → counts per route and minute, and sums of them over the last five. Pure: the time is
passed in.

A window of five minutes is the running minute and the four before it. Counts add, so several
workers' windows are merged by adding (``merge_counts``). Knows nothing of what is normal.
"""

from dataclasses import dataclass, field
from typing import Any

from proxy.observability.handful import Handful
from proxy.observability.sketch import bucket_of, counts_in, quantiles
from proxy.observability.tally import Tally

WINDOW_MINUTES = 5
SERIES_MINUTES = 30
MINUTE_S = 60.0


@dataclass(slots=True)
class WindowCounts:
    """What happened in a window. ``client_errors`` are 4xx, ``errors`` the app's failures.

    Durations are sparse bucket counts, those of failures apart: an app that fails at once is not a
    fast one.
    """

    requests: int = 0
    client_errors: int = 0
    errors: int = 0
    durations: dict[int, float] = field(default_factory=dict)
    failed_durations: dict[int, float] = field(default_factory=dict)

    def add(self, other: "WindowCounts") -> None:
        self.requests += other.requests
        self.client_errors += other.client_errors
        self.errors += other.errors
        _add(self.durations, other.durations)
        _add(self.failed_durations, other.failed_durations)

    def all_durations(self) -> dict[int, float]:
        total = dict(self.durations)
        _add(total, self.failed_durations)
        return total

    def to_json(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "client_errors": self.client_errors,
            "errors": self.errors,
            "durations": {str(b): c for b, c in self.durations.items()},
            "failed_durations": {str(b): c for b, c in self.failed_durations.items()},
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "WindowCounts":
        return cls(
            int(data["requests"]),
            int(data["client_errors"]),
            int(data["errors"]),
            {int(b): float(c) for b, c in data["durations"].items()},
            {int(b): float(c) for b, c in data["failed_durations"].items()},
        )


def _add(into: dict[int, float], more: dict[int, float]) -> None:
    for bucket, count in more.items():
        into[bucket] = into.get(bucket, 0) + count


@dataclass(frozen=True, slots=True)
class RoutePerformance:
    """Milliseconds and shares (0-1) over the last five minutes; quantiles are None without
    requests.
    """

    method: str
    route: str
    count: int
    error_rate: float
    client_error_rate: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


def performance(method: str, route: str, counts: WindowCounts) -> RoutePerformance:
    p50, p95, p99 = quantiles(counts.all_durations(), (0.5, 0.95, 0.99))
    n = counts.requests or 1
    return RoutePerformance(
        method, route, counts.requests, counts.errors / n, counts.client_errors / n, p50, p95, p99
    )


class _Minute:
    __slots__ = (
        "begins",
        "client_errors",
        "durations",
        "ends",
        "errors",
        "failed",
        "lanes",
        "number",
        "requests",
    )

    def __init__(self) -> None:
        self.number = -1
        self.begins = self.ends = 0.0
        self.requests = self.client_errors = self.errors = 0
        self.durations = Tally()
        self.lanes = 0
        """Durations of handfuls, to be joined with the others when somebody asks."""
        self.failed: dict[int, float] | None = None

    def settle(self) -> None:
        if self.lanes:
            self.durations.add(counts_in(self.lanes))
            self.lanes = 0

    def restart(self, number: int) -> None:
        if self.requests:
            self.durations.empty()
            self.lanes = 0
            self.failed = None
        self.number = number
        self.begins = number * MINUTE_S
        self.ends = self.begins + MINUTE_S
        self.requests = self.client_errors = self.errors = 0

    def join(self, other: "_Minute") -> None:
        other.settle()
        self.requests += other.requests
        self.client_errors += other.client_errors
        self.errors += other.errors
        self.durations.add({b: int(count) for b, count in other.durations.items()})
        if other.failed:
            self.failed = self.failed or {}
            _add(self.failed, other.failed)

    def fail(self, bucket: int) -> None:
        self.errors += 1
        failed = self.failed
        if failed is None:
            failed = self.failed = {}
        failed[bucket] = failed.get(bucket, 0) + 1

    def keep(self, counts: WindowCounts) -> None:
        """Be a sum of minutes."""
        self.requests, self.client_errors = counts.requests, counts.client_errors
        self.errors, self.failed = counts.errors, counts.failed_durations.copy()
        self.durations.add({bucket: int(count) for bucket, count in counts.durations.items()})

    def counts(self) -> WindowCounts:
        self.settle()
        durations, failed = self.durations.counts(), self.failed
        if failed is None:
            return WindowCounts(self.requests, self.client_errors, self.errors, durations)
        return WindowCounts(
            self.requests, self.client_errors, self.errors, durations, failed.copy()
        )


class Minutes:
    """A ring of the last ``length`` minutes of one series. Memory: half a KB a minute, made when
    first needed.
    """

    __slots__ = ("_closed", "_current", "_ring", "length")

    def __init__(self, length: int = WINDOW_MINUTES) -> None:
        self.length = length
        self._ring: list[_Minute | None] = [None] * length
        self._current = _Minute()
        self._closed: tuple[int, int, _Minute] | None = None
        """The sum from one minute up to, without, another: asked for every second, and the same
        until the minute turns.
        """

    def add(self, bucket: int, status: int, failed: bool, now: float) -> None:
        """Count one exchange that ended at ``now`` (seconds)."""
        minute = self._current
        if not minute.begins <= now < minute.ends:
            minute = self._turn(int(now // MINUTE_S))
        minute.requests += 1
        if failed:
            minute.fail(bucket)
            return
        durations = minute.durations
        at = bucket - durations.low
        if not 0 <= at < len(durations.row):
            at = durations.place(bucket)
        try:
            durations.row[at] += 1
        except OverflowError:
            durations.widen(durations.row[at] + 1)[at] += 1
        if 400 <= status < 500:
            minute.client_errors += 1

    def add_plain(self, handful: Handful) -> None:
        """Count a handful of exchanges, none of which failed or was refused."""
        minute = self._current
        if (minute.begins <= handful.earliest and handful.latest < minute.ends) or (
            minute.begins <= min(handful.ends) and max(handful.ends) < minute.ends
        ):
            minute.requests += handful.size
            minute.lanes += handful.lanes
            return
        for ms, now in zip(handful.durations, handful.ends, strict=True):
            self.add(bucket_of(ms), 200, False, now)

    def _turn(self, number: int) -> _Minute:
        place = number % self.length
        minute = self._ring[place]
        if minute is None:
            minute = self._ring[place] = _Minute()
        if minute.number != number:
            minute.restart(number)
        self._current = minute
        self._closed = None
        return minute

    def join(self, other: "Minutes") -> None:
        """Add what another of the same length counted: its series has become part of this one."""
        for place, theirs in enumerate(other._ring):
            mine = self._ring[place]
            if theirs is None or not theirs.requests:
                continue
            if mine is None or mine.number < theirs.number:
                was_current = mine is self._current
                self._ring[place] = theirs
                if was_current or self._current.number < theirs.number:
                    self._current = theirs
            elif mine.number == theirs.number:
                mine.join(theirs)
        self._closed = None

    def window(self, now: float, minutes: int | None = None) -> WindowCounts:
        """The sum over the running minute and those before it, ``minutes`` in all."""
        newest = int(now // MINUTE_S)
        oldest = newest - (minutes or self.length) + 1
        current = self._current
        if not oldest <= current.number <= newest:
            return self._sum(oldest, newest + 1)
        # an exchange that ended late may have turned back to an older minute: what lies beyond it
        # does not change meanwhile either
        total = self._before(oldest, newest + 1)
        if current.requests:
            total.add(current.counts())
        return total

    def _before(self, oldest: int, end: int) -> WindowCounts:
        """A fresh copy of the sum without the minute that is being counted."""
        if self._closed is None or self._closed[:2] != (oldest, end):
            kept = _Minute()
            kept.keep(self._sum(oldest, end, but=self._current.number))
            self._closed = (oldest, end, kept)
        return self._closed[2].counts()

    def _sum(self, oldest: int, end: int, *, but: int = -1) -> WindowCounts:
        total = WindowCounts()
        for minute in self._ring:
            if minute is None or not minute.requests or minute.number == but:
                continue
            if oldest <= minute.number < end:
                total.add(minute.counts())
        return total

    def series(self, now: float) -> dict[int, WindowCounts]:
        """Minute number (seconds / 60) → its counts, oldest first, only minutes with requests."""
        newest = int(now // MINUTE_S)
        kept = [
            m
            for m in self._ring
            if m is not None and m.requests and newest - self.length < m.number <= newest
        ]
        return {m.number: m.counts() for m in sorted(kept, key=lambda m: m.number)}

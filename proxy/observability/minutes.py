"""Exchanges → counts of the last minutes of one route, and sums of them. Pure; time is passed in.

A window of five minutes is the running minute and the four before it. The running one is counted;
those before it are packed, for hardly ever does anything come to them.
"""

from struct import Struct

from proxy.observability.handful import Handful
from proxy.observability.rollup import WindowCounts
from proxy.observability.sketch import bucket_of, counts_in
from proxy.observability.tally import Tally, packed, unpacked

WINDOW_MINUTES = 5
SERIES_MINUTES = 30
MINUTE_S = 60.0
_HEAD = Struct("<q3IHHB")
"""Of a packed minute: its number, requests, client errors and errors; the first bucket of its
durations, how many bytes they take and how many each. They follow, and those of failures, if any.
"""
_FAILED = Struct("<HB")
"""Their first bucket, and how many bytes each takes; they go on to the end."""


class _Minute:
    """The one that is counted."""

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
        self.failed: Tally | None = None

    def restart(self, number: int) -> None:
        if self.requests:
            self.durations.empty()
            self.lanes = 0
            self.failed = None
        self.number = number
        self.begins = number * MINUTE_S
        self.ends = self.begins + MINUTE_S
        self.requests = self.client_errors = self.errors = 0

    def fail(self, bucket: int) -> None:
        self.errors += 1
        if self.failed is None:
            self.failed = Tally()
        self.failed.add({bucket: 1})

    def add(self, counts: WindowCounts) -> None:
        self.requests += counts.requests
        self.client_errors += counts.client_errors
        self.errors += counts.errors
        self.durations.add(counts.durations)
        if counts.failed_durations:
            if self.failed is None:
                self.failed = Tally()
            self.failed.add(counts.failed_durations)

    def settle(self) -> None:
        self.durations.add(counts_in(self.lanes))
        self.lanes = 0

    def counts(self) -> WindowCounts:
        if self.lanes:
            self.settle()
        durations = self.durations.counts()
        failed = {} if self.failed is None else self.failed.counts()
        return WindowCounts(self.requests, self.client_errors, self.errors, durations, failed)

    def packed(self) -> bytes:
        if self.lanes:
            self.settle()
        low, size, held = packed(self.durations)
        requests, client_errors, errors = self.requests, self.client_errors, self.errors
        head = _HEAD.pack(self.number, requests, client_errors, errors, low, len(held), size)
        if self.failed is None:
            return head + held
        low, size, failed = packed(self.failed)
        return head + held + _FAILED.pack(low, size) + failed


def _number(minute: bytes) -> int:
    number: int = _HEAD.unpack_from(minute)[0]
    return number


def _counts(minute: bytes) -> WindowCounts:
    _, requests, client_errors, errors, low, width, size = _HEAD.unpack_from(minute)
    end = _HEAD.size + width
    durations = unpacked(low, size, minute[_HEAD.size : end])
    if end == len(minute):
        return WindowCounts(requests, client_errors, errors, durations)
    low, size = _FAILED.unpack_from(minute, end)
    failed = unpacked(low, size, minute[end + _FAILED.size :])
    return WindowCounts(requests, client_errors, errors, durations, failed)


class Minutes:
    """A ring of the last ``length`` minutes of one series. Memory: a tenth of a KB for each, and
    half a KB for the running one.
    """

    __slots__ = ("_closed", "_current", "_ring", "length")

    def __init__(self, length: int = WINDOW_MINUTES) -> None:
        self.length = length
        self._ring: list[bytes | None] = [None] * length
        """Those that are not counted now."""
        self._current = _Minute()
        self._closed: tuple[int, int, bytes] | None = None
        """The sum from one minute up to, without, another: asked for every second, and the same
        until the minute turns.
        """

    def add(self, bucket: int, status: int, failed: bool, now: float) -> None:
        """Count one exchange that ended at ``now`` (seconds)."""
        minute = self._current
        if not minute.begins <= now < minute.ends:
            self._turn(int(now // MINUTE_S))
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

    def _turn(self, number: int) -> None:
        """Count this minute from now on."""
        ring, current, place = self._ring, self._current, number % self.length
        if current.requests:
            ring[current.number % self.length] = current.packed()
        before, ring[place] = ring[place], None
        self._closed = None
        current.restart(number)
        if before is not None and _number(before) == number:
            current.add(_counts(before))

    def _all(self) -> list[bytes | None]:
        """The ring with the one that is counted in its place."""
        ring, current = self._ring[:], self._current
        if current.requests:
            ring[current.number % self.length] = current.packed()
        return ring

    def join(self, other: "Minutes") -> None:
        """Add what another of the same length counted: its series has become part of this one."""
        ring = self._all()
        for place, theirs in enumerate(other._all()):
            mine = ring[place]
            if theirs is None or (mine is not None and _number(theirs) < _number(mine)):
                continue
            if mine is None or _number(mine) < _number(theirs):
                ring[place] = theirs
                continue
            both = _Minute()
            both.number = _number(mine)
            both.add(_counts(mine))
            both.add(_counts(theirs))
            ring[place] = both.packed()
        newest = max(self._current.number, other._current.number)
        self._ring, self._current = ring, _Minute()
        if newest >= 0:
            self._turn(newest)

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
            kept.add(self._sum(oldest, end))
            self._closed = (oldest, end, kept.packed())
        return _counts(self._closed[2])

    def _sum(self, oldest: int, end: int) -> WindowCounts:
        """Of those that are not being counted."""
        total = WindowCounts()
        for minute in self._ring:
            if minute is not None and oldest <= _number(minute) < end:
                total.add(_counts(minute))
        return total

    def series(self, now: float) -> dict[int, WindowCounts]:
        """Minute number (seconds / 60) → its counts, oldest first, only minutes with requests."""
        newest = int(now // MINUTE_S)
        kept = {_number(minute): minute for minute in self._all() if minute is not None}
        return {n: _counts(kept[n]) for n in sorted(kept) if newest - self.length < n <= newest}

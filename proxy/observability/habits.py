"""What happens every night at the same hour, or at every full hour, is no news. Pure.

An incident that has ended is remembered with its time of day. One like it, at the same time on a
later day, is expected: it stays quiet as long as it is no worse and lasts no longer. An outage is
never a habit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from proxy.domain.anomaly import Anomaly

DAY_S = 86400.0
HOUR_S = 3600.0
REMEMBER_S = 8 * DAY_S
"""A week and a day: weekly jobs come round once."""
HABITS_MAX = 32
ALL_HABITS_MAX = 128
NIGHTLY_SLACK_S = 1200.0
HOURLY_SLACK_S = 240.0
HOURLY_TIMES, HOURLY_OF = 3, 6
"""In so many of the last so many hours."""
FREQUENT_TIMES, FREQUENT_WITHIN_S, FREQUENT_APART_S = 3, 8 * HOUR_S, 1800.0
BRIEF_S, FREQUENT_SLACK_S = 900.0, 300.0
"""A route that so often had a brief incident like this, at whatever hour, is like that."""
WORSE = 2.5
"""So much stronger than before is news again."""
OUTAGE_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class _Past:
    kind: str
    onset: float
    ended: float
    ratio: float


class Habits:
    """The last incidents of one route, or of all of them."""

    __slots__ = ("_most", "_past")

    def __init__(self, most: int = HABITS_MAX) -> None:
        self._most = most
        # most routes have none, and an empty deque takes half a kilobyte
        self._past: list[_Past] = []

    def remember(self, anomaly: Anomaly, ended: float) -> None:
        """One that opened again is one, however often it ended."""
        same = (anomaly.kind, anomaly.onset)
        self._past = [past for past in self._past if (past.kind, past.onset) != same]
        self._past.append(_Past(anomaly.kind, anomaly.onset, ended, anomaly.ratio))
        del self._past[: -self._most]

    def expected_until(self, anomaly: Anomaly) -> float | None:
        """Until when an incident like this is the usual thing; None when it is news."""
        if anomaly.kind == "error_rate" and anomaly.observed >= OUTAGE_SHARE:
            return None
        nightly = [
            p
            for p in self._alike(anomaly)
            if anomaly.onset - p.onset > DAY_S / 2
            and _apart(anomaly.onset, p.onset, DAY_S) <= NIGHTLY_SLACK_S
        ]
        if nightly:
            return anomaly.onset + max(p.ended - p.onset for p in nightly) + NIGHTLY_SLACK_S
        return None

    def hourly_until(self, anomaly: Anomaly) -> float | None:
        """The same for a job at every full hour, or at any other minute of each."""
        if anomaly.kind == "error_rate" and anomaly.observed >= OUTAGE_SHARE:
            return None
        hourly = [
            p
            for p in self._alike(anomaly)
            if p.ended - p.onset <= BRIEF_S
            and _apart(anomaly.onset, p.onset, HOUR_S) <= HOURLY_SLACK_S
            and HOUR_S / 2 < anomaly.onset - p.onset <= (HOURLY_OF + 0.5) * HOUR_S
        ]
        hours = {round((anomaly.onset - p.onset) / HOUR_S) for p in hourly}
        if len(hours) >= HOURLY_TIMES:
            return anomaly.onset + max(p.ended - p.onset for p in hourly) + HOURLY_SLACK_S
        return None

    def frequent_until(self, anomaly: Anomaly) -> float | None:
        """The same for bad minutes that come again and again without a clock."""
        if anomaly.kind == "error_rate" and anomaly.observed >= OUTAGE_SHARE:
            return None
        brief = [
            p
            for p in self._alike(anomaly)
            if anomaly.onset - p.onset <= FREQUENT_WITHIN_S and p.ended - p.onset <= BRIEF_S
        ]
        # what is back within half an hour had not ended, and is one
        times, last = 0, -inf
        for onset in sorted(p.onset for p in brief):
            if onset - last >= FREQUENT_APART_S:
                times, last = times + 1, onset
        if times >= FREQUENT_TIMES:
            return anomaly.onset + max(p.ended - p.onset for p in brief) + FREQUENT_SLACK_S
        return None

    def _alike(self, anomaly: Anomaly) -> list[_Past]:
        return [
            p
            for p in self._past
            if p.kind == anomaly.kind
            and anomaly.ratio <= WORSE * p.ratio
            and 0.0 <= anomaly.onset - p.onset <= REMEMBER_S
        ]

    def join(self, others: Iterable["Habits"]) -> None:
        """Become the latest of what all ``others`` remember."""
        every = [past for other in others for past in other._past]
        self._past = sorted(every, key=lambda p: p.ended)[-self._most :]

    def to_json(self) -> list[list[Any]]:
        return [[p.kind, p.onset, p.ended, p.ratio] for p in self._past]

    @classmethod
    def from_json(cls, data: Sequence[Sequence[Any]]) -> "Habits":
        made = cls()
        for kind, onset, ended, ratio in data:
            made._past.append(_Past(str(kind), float(onset), float(ended), float(ratio)))
        del made._past[: -made._most]
        return made


def _apart(one: float, other: float, period: float) -> float:
    """Distance of two times on a dial of this period."""
    distance = abs(one - other) % period
    return min(distance, period - distance)

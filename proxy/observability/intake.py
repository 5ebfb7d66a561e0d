"""One route's slice of traffic: what has come since the last one was weighed. Pure; no verdicts.

Every request passes here, so it costs a count or two. A slice is due when ten seconds have passed
since the last one and it holds a failure or more than a few slow answers; when all is calm, it may
grow for half a minute.
"""

from math import inf

from proxy.observability.evidence import SLICE_S
from proxy.observability.handful import Handful
from proxy.observability.kinds import COUNTED_MAX, NO_KIND, USUAL, kind_of
from proxy.observability.sketch import BUCKETS, ENDS, counts_in, lanes_of

LATE_S = 30.0
"""A calm slice is weighed at last after so long."""
HOT_ENOUGH, HOT_SHARE = 3, 6
"""Slow answers, the usual ones between them taken off, that make a slice worth weighing: so many,
or one for each six requests.
"""
TURNED_BACK_S = 60.0
"""A clock that was set back by more starts the evidence anew; by less, it is waited for."""


class Intake:
    """What a ``Series`` is to whoever counts requests. A base class and no part of it: one look-up
    less for every request.
    """

    __slots__ = (
        "_before_error",
        "_began",
        "_cool_at",
        "_counts",
        "_error_kinds",
        "_error_runs",
        "_errors",
        "_failed_last",
        "_first_error",
        "_hot_at",
        "_hot_from",
        "_hot_score",
        "_lanes",
        "_last_error",
        "_last_kind",
        "_last_request",
        "_requests",
        "due",
        "late",
        "weighed",
    )

    def __init__(self, now: float) -> None:
        self.weighed = now - SLICE_S
        self.due = self.late = now
        self._hot_from, self._hot_score = BUCKETS, 0
        self._hot_at = self._cool_at = now
        self._before_error = 0
        self._counts: dict[int, int] = {}
        self._lanes = 0
        """Durations of handfuls, to be joined with the others when the slice is weighed."""
        self._requests = 0
        self._errors = 0
        self._error_runs = 0
        self._error_kinds = b""
        """Of what kind each run's first error is."""
        self._last_kind = NO_KIND
        self._first_error = self._last_error = now
        self._failed_last = False
        self._began = now
        self._last_request = now

    def take(self, bucket: int, status: int, failed: bool, now: float) -> bool:
        """Put one request in the slice; True when the slice is due."""
        if not self._requests:
            self._began = now
        self._requests += 1
        score = self._hot_score
        if failed:
            self._errors += 1
            self._last_kind = kind_of(status, self._pace(bucket))
            if not self._failed_last:
                self._error_runs += 1
                if self._error_runs <= COUNTED_MAX:
                    self._error_kinds += bytes((self._last_kind,))
                self._failed_last = True
            if self._errors == 1:
                self._first_error, self._before_error = now, self._requests - 1
            self._last_error = now
            if not score:
                self._hot_at, self._cool_at = now, self._last_request
            score = HOT_ENOUGH
        else:
            self._failed_last = False
            if status < 400:
                durations = self._counts
                durations[bucket] = durations.get(bucket, 0) + 1
                if bucket > self._hot_from:
                    if not score:
                        self._hot_at, self._cool_at = now, self._last_request
                    score += 1
                elif score:
                    score -= 1
        self._hot_score = score
        self._last_request = now
        if now >= self.due and (
            score >= HOT_ENOUGH
            or self._errors
            or HOT_SHARE * score >= self._requests
            or now >= self.late
        ):
            return True
        return now < self.weighed - TURNED_BACK_S

    def _pace(self, bucket: int) -> int:
        """How long a failure took, beside good answers."""
        return USUAL

    def take_plain(self, handful: Handful, first: int) -> int:
        """``take`` of 2xx answers, from the one numbered ``first`` on: how many have been taken in
        all when the slice is due, 0 when all are and it is not.
        """
        if first == handful.size:
            return 0
        if not self._requests:
            self._began = handful.end(first)
        self._failed_last = False
        taken, is_due = handful.size, False
        if (
            self._hot_score
            or handful.slowest >= _beyond(self._hot_from)
            or handful.latest >= self.due
            or handful.earliest < self.weighed - TURNED_BACK_S
        ):
            if self._is_simple(handful):
                taken, is_due = self._follow(handful, first)
            else:
                taken, is_due = self._watch(handful.durations, handful.ends, first)
        lanes = handful.lanes
        if taken - first < handful.size:
            lanes = lanes_of(sorted(handful.durations[first:taken]))
        self._lanes += lanes
        self._requests += taken - first
        self._last_request = handful.end(taken - 1)
        return taken if is_due else 0

    def _is_simple(self, handful: Handful) -> bool:
        """Nothing but a slow answer among them can make the slice due."""
        if handful.latest >= self.late or handful.earliest < self.weighed - TURNED_BACK_S:
            return False
        if handful.latest < self.due:
            return True
        return handful.earliest >= self.due and not self._is_hot

    def _follow(self, handful: Handful, first: int) -> tuple[int, bool]:
        """``_watch`` of such, with a comparison for each that is not slow."""
        durations, requests, score = handful.durations, self._requests - first, self._hot_score
        hot_from = _beyond(self._hot_from)
        for place in range(first, len(durations)):
            if durations[place] >= hot_from:
                now = handful.end(place)
                if not score:
                    self._hot_at = now
                    self._cool_at = handful.end(place - 1) if place > first else self._last_request
                score += 1
                if now >= self.due and (
                    score >= HOT_ENOUGH or HOT_SHARE * score >= requests + place + 1
                ):
                    self._hot_score = score
                    return place + 1, True
            elif score:
                score -= 1
        self._hot_score = score
        return len(durations), False

    def _watch(self, durations: list[float], ends: list[float], first: int) -> tuple[int, bool]:
        """The slow ones among them: how many were looked at when the slice is due, or all; and
        whether it is.
        """
        requests, score, before = self._requests, self._hot_score, self._last_request
        hot_from, due, late = _beyond(self._hot_from), self.due, self.late
        turned_back = self.weighed - TURNED_BACK_S
        taken, count, is_due, errors = first, len(ends), False, self._errors
        while taken < count and not is_due:
            ms, now = durations[taken], ends[taken]
            taken += 1
            requests += 1
            if ms >= hot_from:
                if not score:
                    self._hot_at, self._cool_at = now, before
                score += 1
            elif score:
                score -= 1
            before = now
            is_due = now < turned_back or bool(
                now >= due
                and (score >= HOT_ENOUGH or errors or HOT_SHARE * score >= requests or now >= late)
            )
        self._hot_score = score
        return taken, is_due

    @property
    def _durations(self) -> dict[int, int]:
        """Bucket → how many good answers of the slice."""
        if self._lanes:
            counts = self._counts
            for bucket, count in counts_in(self._lanes).items():
                counts[bucket] = counts.get(bucket, 0) + count
            self._lanes = 0
        return self._counts

    @_durations.setter
    def _durations(self, durations: dict[int, int]) -> None:
        self._counts, self._lanes = durations, 0

    @property
    def last_request(self) -> float:
        """When it came, in seconds."""
        return self._last_request

    @property
    def is_waiting(self) -> bool:
        return self._requests > 0

    @property
    def ripe_at(self) -> float:
        """When the slice is weighed though no request comes any more; never while it is empty."""
        if not self._requests:
            return inf
        return self.due if self._is_hot else self.late

    @property
    def _is_hot(self) -> bool:
        """It is weighed as soon as it is due: however much works after a failure."""
        score = self._hot_score
        return bool(self._errors) or score >= HOT_ENOUGH or HOT_SHARE * score >= self._requests

    def discard(self) -> None:
        self._counts, self._lanes = {}, 0
        self._requests = self._errors = self._error_runs = 0
        self._error_kinds = b""
        self._hot_score = 0


def _beyond(bucket: int) -> float:
    """The least duration in ms of the buckets beyond it; all are when it is below the first."""
    if bucket < 0:
        return 0.0
    return ENDS[bucket] if bucket < BUCKETS else inf

"""Running sums of evidence (CUSUM) for one route: is it slower, is its tail, does it fail?

One slice (ten seconds of traffic, or one request on a quiet route) adds a bounded amount, so a blip
cannot page.
Pure arithmetic: knows no clock, no route name and no threshold but those passed in.
"""

from collections.abc import Mapping
from math import log

from proxy.observability.baseline import NEUTRAL, SHIFTS, Baseline, step_factor

SLICE_S = 10.0
NEEDED = 12.0
"""Evidence at which an alert is considered: odds of e^12 against chance, before the
confirmation.
"""
SUM_MAX = 1.5
"""Sums are held at this multiple of what is needed, so that an incident's end shows soon."""
CREDIT_MAX = 4.5
"""After a pause one slice may add as much as this many: never the whole of what is needed."""
FIRST_SLOW = 6
"""The least hypothesis that is an incident: 1.56 times as slow."""


def _slices_needed(shift: int) -> float:
    """How many slices an incident of this size must last: small ones look like the wander of a
    normal day.
    """
    factor = step_factor(shift)
    for least, slices in ((3.9, 4.6), (3.0, 6.0), (2.4, 9.0), (2.0, 16.0), (1.7, 26.0)):
        if factor >= least:
            return slices
    return 40.0


SLICES_NEEDED: tuple[float, ...] = tuple(_slices_needed(k) for k in range(SHIFTS))
WANDER = 0.15
"""Standard deviation of the natural log of a route's level from minute to minute."""


def null_penalties(wander: float) -> tuple[float, ...]:
    """What each "still normal" hypothesis costs: the log-odds of wandering that far."""
    return tuple(
        0.5 * (log(step_factor(k)) / wander) ** 2 if k > NEUTRAL else 0.0 for k in range(SHIFTS)
    )


class LatencySums:
    """One sum per hypothesis of slowness. ``limit`` is the first hypothesis that is not normal
    here and now.
    """

    __slots__ = ("best", "since", "sums")

    def __init__(self) -> None:
        self.sums = [0.0] * SHIFTS
        self.since = [0.0] * SHIFTS
        self.best = 0.0

    def reset(self) -> None:
        self.sums = [0.0] * SHIFTS
        self.best = 0.0

    def add(
        self,
        baseline: Baseline,
        durations: Mapping[int, int],
        began: float,
        credit: float,
        needed: float,
        penalties: tuple[float, ...],
        first_slow: int,
    ) -> int:
        """Weigh one slice; returns the hypothesis with the most evidence relative to what it
        needs.
        """
        if len(durations) == 1:
            ((bucket, count),) = durations.items()
            found = [count * x for x in baseline.likelihoods(bucket)]
        else:
            found = [0.0] * SHIFTS
            for bucket, count in durations.items():
                found = [
                    total + count * x
                    for total, x in zip(found, baseline.likelihoods(bucket), strict=True)
                ]
        normal = max(found[k] - penalties[k] for k in range(first_slow))
        sums, since, best, best_at = self.sums, self.since, 0.0, first_slow
        top = needed * SUM_MAX
        for k in range(first_slow, SHIFTS):
            cap = needed * credit / SLICES_NEEDED[k]
            gain = found[k] - normal
            if gain > cap:
                gain = cap
            elif gain < -cap:
                gain = -cap
            before = sums[k]
            after = before + gain
            if after <= 0.0:
                after = 0.0
            else:
                if before <= 0.0:
                    since[k] = began
                if after > top:
                    after = top
            sums[k] = after
            if after > best:
                best, best_at = after, k
        self.best = best
        return best_at


class ShareSum:
    """Evidence that a share rose to at least ``to``; used for errors and for the slow tail."""

    __slots__ = ("hits", "requests", "since", "total")

    def __init__(self) -> None:
        self.total = 0.0
        self.since = 0.0
        self.hits = 0
        self.requests = 0

    def reset(self) -> None:
        self.total = 0.0
        self.hits = self.requests = 0

    def add(
        self,
        requests: int,
        hits: int,
        usual: float,
        to: float,
        cap: float,
        needed: float,
        began: float,
    ) -> None:
        """Weigh ``hits`` out of ``requests`` for the share ``to`` against the share ``usual``."""
        misses = requests - hits
        gain = hits * log(to / usual)
        if misses:
            gain += misses * log((1.0 - to) / (1.0 - usual))
        if gain > cap:
            gain = cap
        elif gain < -cap:
            gain = -cap
        after = self.total + gain
        if after <= 0.0:
            self.reset()
            return
        if self.total <= 0.0:
            self.since = began
            self.hits = self.requests = 0
        self.hits += hits
        self.requests += requests
        self.total = min(after, needed * SUM_MAX)

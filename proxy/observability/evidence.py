"""Running sums of evidence (CUSUM) for one route: is it slower, is its tail, does it fail?

One slice (ten seconds of traffic, or one request on a quiet route) adds a bounded amount, so a blip
cannot page. Pure arithmetic: knows no clock, no route name and no threshold but those passed in.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import log
from operator import add, sub
from typing import Any

from proxy.observability.baseline import NEUTRAL, SHIFTS, Baseline, shift_factor

SLICE_S = 10.0
NEEDED = 11.0
ERRORS_NEEDED = 9.0
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
    factor = shift_factor(shift)
    for least, slices in ((3.9, 4.6), (3.0, 5.0), (2.4, 6.0), (2.0, 10.0), (1.7, 20.0)):
        if factor >= least:
            return slices
    return 36.0


SLICES_NEEDED: tuple[float, ...] = tuple(_slices_needed(k) for k in range(SHIFTS))
RECENT_SLICES = 10.0
RECENT_KEEP = 1.0 - 1.0 / RECENT_SLICES
"""Memory of the normal level."""
CALM_S = 600.0
WANDER = 0.15
"""Standard deviation of the natural log of a route's level from minute to minute."""


def null_penalties(wander: float, pace_s: float = SLICE_S) -> tuple[float, ...]:
    """What each "still normal" hypothesis costs: the log-odds of wandering that far.

    On a quiet route the last slices span a long time, and over a long time the wander averages out.
    """
    calm = 1.0 + RECENT_SLICES * pace_s / CALM_S
    return tuple(
        0.5 * calm * (log(shift_factor(k)) / wander) ** 2 if k > NEUTRAL else 0.0
        for k in range(SHIFTS)
    )


def level_costs(wander: float) -> tuple[float, ...]:
    """The same for the level of the last hour, in both directions."""
    return tuple(0.5 * (log(shift_factor(k)) / wander) ** 2 for k in range(SHIFTS))


class LatencySums:
    """One sum per hypothesis of slowness; ``first_slow`` is the least that is not normal here."""

    __slots__ = ("best", "found", "recent", "rising", "since", "sums")

    def __init__(self) -> None:
        self.found: list[float] = [0.0] * SHIFTS
        self.sums = [0.0] * SHIFTS
        self.since = [0.0] * SHIFTS
        self.best = 0.0
        self.recent: list[float] = []
        self.rising = False

    def reset(self) -> None:
        self.sums = [0.0] * SHIFTS
        self.best = 0.0

    def to_json(self) -> list[Any]:
        return [self.sums, self.since, self.best, self.recent, self.rising]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> "LatencySums":
        made = cls()
        sums, since, best, recent, rising = data
        if len(sums) != SHIFTS or len(since) != SHIFTS:
            raise ValueError("as many sums as hypotheses")
        made.sums, made.since, made.recent = list(sums), list(since), list(recent)
        made.best, made.rising = float(best), bool(rising)
        return made

    def add(
        self,
        baseline: Baseline,
        durations: Mapping[int, int],
        began: float,
        credit: float,
        needed: float,
        penalties: tuple[float, ...],
        first_slow: int,
        level: int,
    ) -> int:
        """Weigh one slice; returns the hypothesis with the most evidence relative to what it
        needs.
        """
        found: list[float] | None = None
        for bucket, count in durations.items():
            row: Iterable[float] = baseline.likelihoods(bucket - level)
            if count > 1:
                row = [count * x for x in row]
            found = list(row) if found is None else list(map(add, found, row))
        if found is None:
            return first_slow
        self.found = found
        # which "still normal" level explains the last slices best: wandering there is paid for once
        recent = [
            RECENT_KEEP * r + x for r, x in zip(self.recent, found[:first_slow], strict=False)
        ]
        recent += found[len(recent) : first_slow]
        self.recent = recent
        costed = list(map(sub, recent, penalties))
        normal = found[costed.index(max(costed))]
        if not self.best and max(found[first_slow:]) <= normal:
            return first_slow
        sums, since, best, best_at = self.sums, self.since, 0.0, first_slow
        rising = False
        bound = needed * credit
        top = needed * SUM_MAX
        for k in range(first_slow, SHIFTS):
            cap = bound / SLICES_NEEDED[k]
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
                best, best_at, rising = after, k, gain > 0.0
        self.best, self.rising = best, rising
        return best_at


class ShareSum:
    """Evidence that a share rose to at least ``to``; used for errors and for the slow tail."""

    __slots__ = ("first_hit", "hits", "proofs", "requests", "since", "total")

    def __init__(self) -> None:
        self.total = 0.0
        self.since = 0.0
        self.first_hit: float | None = None
        self.proofs = 0.0
        self.hits = 0
        self.requests = 0

    def reset(self) -> None:
        self.total = 0.0
        self.first_hit = None
        self.proofs = 0.0
        self.hits = self.requests = 0

    def to_json(self) -> list[Any]:
        return [self.total, self.since, self.first_hit, self.proofs, self.hits, self.requests]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> "ShareSum":
        made = cls()
        total, since, made.first_hit, proofs, hits, requests = data
        made.proofs = float(proofs)
        made.total, made.since = float(total), float(since)
        made.hits, made.requests = int(hits), int(requests)
        return made

    def add(
        self,
        requests: int,
        hits: int,
        proofs: float,
        usual: float,
        to: float,
        cap: float,
        needed: float,
        began: float,
        first_hit: float,
    ) -> None:
        """Weigh ``hits`` out of ``requests`` for the share ``to`` against the share ``usual``.

        ``proofs`` is how many hits count as independent: errors like company.
        """
        gain = proofs * log(to / usual)
        misses = requests - hits
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
            self.first_hit = None
            self.proofs = 0.0
            self.hits = self.requests = 0
        if hits and self.first_hit is None:
            self.first_hit = first_hit
        self.hits += hits
        self.proofs += proofs
        self.requests += requests
        self.total = min(after, needed * SUM_MAX)

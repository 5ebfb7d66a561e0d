"""Is one route slow? Its run of evidence, its tail, and what either must show before it is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf
from typing import Any

from proxy.observability.baseline import Baseline, poisson_sigma
from proxy.observability.evidence import (
    NEEDED,
    SUM_MAX,
    ShareSum,
    SlowRun,
    share_gain,
)
from proxy.observability.follower import Follower
from proxy.observability.hypotheses import (
    FIRST_SLOW,
    LOG_GAMMA,
    SHIFT_FIRST,
    SHIFT_STEP,
    SHIFTS,
)
from proxy.observability.level import Level
from proxy.observability.ranks import rank_sigma
from proxy.observability.sketch import BUCKETS, VALUES, bucket_of, quantiles
from proxy.observability.tally import Tally

SLOWER_MS = 10.0
"""Nobody notices less, whatever the ratio."""
CLIP_SLICES = 2.6
"""Of the evidence needed by default one slice gives at most one part in so many."""
SPARED_MAX = 1.5
"""So many slices of ten seconds one may count like by what the ones before it did not prove."""
FEW, FEW_NEED = 8, 1.1
"""Fewer requests must prove more."""
TWO = 2
"""So few are enough: only what is slower than nearly all that is known can prove so much, and no
row of cache misses does.
"""

SPAN_MIN_S, SOON_S = 34.0, 90.0
"""A blip lasts twenty seconds; what is plain shows soon."""
FEW_SPAN_MIN_S = 27.0
"""Of few requests it is known when the last slow one came: longer after the first than an app that
starts is slow.
"""
CREPT_S, CREPT = 900.0, 1.7
"""After so long it is enough to be so many times slower than usual, wherever "just before" was."""
LASTED: Sequence[tuple[float, float, float, float]] = (
    (45.0, 1.0, 1.65, 1.6),
    (SOON_S, 1.0, 1.65, 1.5),
    (300.0, 1.15, 1.9, 1.0),
    (CREPT_S, 1.0, 1.75, 1.0),
    (inf, 1.0, 1.5, 1.0),
)
"""What is proved within so many seconds must prove so many times what is needed, and be so many
times slower than just before: most likely, and at least. A bump of minutes makes a route up to 1.4
times slower. For five minutes a bump and chance explain what did not show soon rather than a
slowdown that would have shown sooner. What takes a quarter of an hour may have come slowly.
"""
SURELY_SO = 1.6
"""So many times slower than just before at least is enough at any time: many requests leave nothing
open, and no bump is so high.
"""
DOUBTED, SURELY = 16, 1.65
"""What does not show soon and is known of fewer requests must be at least so many times slower than
just before: a few slow answers in a row are no slowdown.
"""
JUMP_FROM = -0.1
"""Natural log of the lowest level "just before": a fast moment is no measure."""
STAYS_SOON, STAYS = 0.3, 0.5
"""So likely it must be that it is slower and not in a bump of minutes (``course.py``): within
``SOON_S``, unless few requests tell it, and until it may have come slowly.
"""
SURE, SURE_NEED = 0.95, 0.7
"""Where that is so likely, such a share of what is needed is enough, and how many times slower than
just before needs no other proof.
"""
SHIFT_LAST = SHIFT_FIRST + SHIFT_STEP * (SHIFTS - 1)
TENSE = 0.15
"""Share of the evidence needed from which every slice counts."""
NEAR = 0.3
"""And from which the next slow answer need not wait for ten seconds to pass."""
TAIL_SPAN_S = 38.0
TAIL_HITS_MIN = 5
TAIL_KNOWN = 300.0
"""Requests after which a p99 means something."""
TAIL_SLICES, TAIL_CREDIT_MAX = 6.0, 1.5
FAR, FAR_MS, FAR_SLICES = 47, 1000.0, 4.0
"""In buckets: four times slower still, and a second at least, as a pause of the process is shorter.
Who waits so long waits for a lock or a timer, and a slice with one of them proves more.
"""
TAIL_SHARE_MIN, TAIL_SHARE_MAX = 0.03, 0.5
TAIL_RATIO = 5.0
TAIL_USUAL_MAX = 0.1
RECOVERY_NEEDED = 6.0
RECOVERY_SLICES = 3.0
RECOVERED = 0.25
MIDDLE_RATIO = 1.4
CREDIBLE = 4.0
"""Natural log of the odds within which a factor is still credible."""


@dataclass(frozen=True, slots=True)
class Slow:
    """What was found: durations in ms, ``what`` is the sentence's verb."""

    since: float
    baseline: float
    observed: float
    sigma: float
    samples: int
    what: str
    least: float
    """How many times slower at least: what few requests leave open is left out."""


class LatencyWatch:
    """The evidence of one route; ``needed`` grows in proportion to ``latency_sigma``."""

    __slots__ = (
        "_back",
        "_normal_to",
        "_slow_at",
        "_spare",
        "_tail_counts",
        "_tail_spare",
        "follower",
        "needed",
        "ratio_floor",
        "run",
        "sigma_min",
        "tail",
    )

    def __init__(self, sigma_min: float, ratio_floor: float) -> None:
        self.sigma_min = sigma_min
        self.ratio_floor = ratio_floor
        self.needed = NEEDED * sigma_min / 3.0
        self.run = SlowRun()
        self.tail = ShareSum()
        self.follower = Follower()
        self._tail_counts = Tally()
        self._slow_at, self._normal_to = -1, FIRST_SLOW
        self._back = 0.0
        self._spare = self._tail_spare = 0.0
        """What the latest slices could have proved and did not, as far as it is left for the next:
        cut in short pieces ten seconds prove no less than as a whole.
        """

    @property
    def least_needed(self) -> float:
        """Nothing is told below it."""
        return self.needed * SURE_NEED

    @property
    def is_near(self) -> bool:
        """The next slow answers may tell."""
        return self.run.evidence > NEAR * self.needed

    @property
    def is_tense(self) -> bool:
        """Every slice counts now."""
        return self.run.evidence > TENSE * self.needed

    @property
    def strongest(self) -> float:
        slower, tail = self.run.evidence, self.tail.total
        return slower if slower >= tail else tail

    def add(
        self,
        base: Baseline,
        level: Level,
        durations: Mapping[int, int],
        n: int,
        began: float,
        credit: float,
        now: float,
    ) -> float:
        """Weigh one slice of ``n`` durations: the strongest evidence there is now."""
        run, tail = self.run, self.tail
        # a calm slice begins no run
        if run.slices or not base.is_calm(durations, level.shift):
            found = base.weighed(durations, level.shift)
            scale = 0
            if run.slices and level.scale(now - run.began):
                scale = level.scale(now - run.since)
            # of what is needed by default: a higher threshold must not believe one slice more
            clip, before = NEEDED / CLIP_SLICES, run.evidence
            allowed = _allowed(self._spare if run.slices else 0.0, credit, SPARED_MAX)
            costs, part = level.normal.costs(scale), credit if credit < 1.0 else 1.0
            run.add(found, durations, began, clip * allowed, costs, level.recent, part)
            self._spare = allowed - (run.evidence - before) / clip
            self.follower.follow(base, level, run, found, now)
        if base.total >= TAIL_KNOWN and (
            tail.total or max(durations) >= base.tail_from + level.shift
        ):
            self._add_tail(base, level, durations, n, began, credit)
        return run.evidence if run.evidence >= tail.total else tail.total

    def _add_tail(
        self,
        base: Baseline,
        level: Level,
        durations: Mapping[int, int],
        n: int,
        began: float,
        credit: float,
    ) -> None:
        beyond = base.tail_from + level.shift + level.normal.tail_margin
        far = max(beyond + FAR, bucket_of(FAR_MS))
        slow, slices = 0, TAIL_SLICES
        for bucket, count in durations.items():
            if bucket >= beyond:
                slow += count
                if bucket >= far:
                    slices = FAR_SLICES
        if not slow and not self.tail.total:
            return
        usual = min(base.tail_share, TAIL_USUAL_MAX)
        to = min(TAIL_SHARE_MAX, max(TAIL_SHARE_MIN, TAIL_RATIO * base.tail_share))
        gain = share_gain(n, slow, usual, to)
        cap, before = self.needed / slices, self.tail.total
        spare = self._tail_spare if before else 0.0
        allowed = min(_allowed(spare, credit, 1.0), TAIL_CREDIT_MAX)
        most = SUM_MAX * self.needed
        self.tail.add(n, slow, slow, gain, cap * allowed, most, began, began)
        self._tail_spare = allowed - (self.tail.total - before) / cap
        counts = self._tail_counts
        if not self.tail.total:
            counts.clear()
            return
        counts.add(durations)

    # --- verdicts --------------------------------------------------------------------------------

    def verdict(self, base: Baseline, level: Level, began: float, now: float) -> Slow | None:
        """What may be told now, if anything; ``began`` is when the first slow answer of the slice
        weighed last came.
        """
        found = None
        if self.run.evidence >= self.least_needed and self.run.rising:
            found = self._shifted(base, level, began, now)
        if found is None and self.tail.total >= self.needed and self.tail.hits >= TAIL_HITS_MIN:
            found = self._tailed(base, level, now)
        if found is not None:
            self.follower.stop()
        return found

    def _shifted(self, base: Baseline, level: Level, began: float, now: float) -> Slow | None:
        run = self.run
        counts, since, level_before = run.story()
        span = now - since
        n = sum(counts.values())
        lasts = span >= SPAN_MIN_S and n > TWO
        if n < TWO or not (lasts or (n < FEW and began - since >= FEW_SPAN_MIN_S)):
            return None
        need, likely, surely = next(asked for most, *asked in LASTED if span <= most)
        if n < FEW:
            need = max(need, FEW_NEED)
        # what an earlier version stored knows nothing of its course
        stays = self.follower.stays()
        is_sure = stays is not None and stays >= SURE
        if not is_sure and run.evidence < self.needed * need:
            return None
        if stays is not None and stays < _stays_asked(n, span):
            return None
        factor, least = _factors(base, level, counts, run.best())
        if factor < level.normal.least(level.scale(span)):
            return None
        if not is_sure:
            # measured from where the route was just before: its usual straying is no part of it
            before = exp(max(JUMP_FROM, level_before - level.shift * LOG_GAMMA))
            if n < DOUBTED and span > SOON_S:
                surely = SURELY
            if least < surely * before:
                return None
            is_surely_so = span > SOON_S and least >= SURELY_SO * before
            has_crept = span > CREPT_S and factor >= CREPT
            if factor < likely * before and not (is_surely_so or has_crept):
                return None
        p50, p95 = quantiles(counts, (0.5, 0.95))
        assert p50 is not None
        assert p95 is not None
        usual_p50, usual_p95 = _usual(base.p50, level), _usual(base.p95, level)
        # by the factor of all: of a few requests the p95 is one of them
        if (factor - 1.0) * usual_p95 < SLOWER_MS and p50 - usual_p50 < SLOWER_MS:
            return None
        sigma = rank_sigma(base, counts, level.shift)
        if sigma < self.sigma_min:
            return None
        self._slow_at, self._back = max(FIRST_SLOW, run.best() - 2), 0.0
        self._normal_to = min(self._slow_at, level.normal.first_slow)
        baseline, observed, what = usual_p50, p50, "takes"
        if p50 < MIDDLE_RATIO * usual_p50:
            # two-humped durations: the middle may stay while the rest moves
            baseline, observed, what = usual_p95, p95, "takes (p95)"
        return Slow(
            since, baseline, observed, sigma, round(n), what, min(observed / baseline, least)
        )

    def _tailed(self, base: Baseline, level: Level, now: float) -> Slow | None:
        tail = self.tail
        if now - tail.since < TAIL_SPAN_S:
            return None
        share = tail.hits / tail.requests
        sigma = poisson_sigma(tail.hits, base.tail_share * tail.requests)
        p99 = quantiles(self._tail_counts.counts(), (0.99,))[0]
        usual = _usual(base.p99, level)
        if p99 is None or p99 - usual < SLOWER_MS:
            return None
        if share < self.ratio_floor * base.tail_share or sigma < self.sigma_min:
            return None
        self._slow_at, self._back = -1, 0.0
        what = f"has {share:.0%} slow answers, p99"
        return Slow(tail.since, usual, p99, sigma, tail.requests, what, p99 / usual)

    def is_back(
        self, base: Baseline, level: Level, durations: Mapping[int, int], credit: float
    ) -> bool:
        """Evidence that durations are the usual ones rather than near the incident's."""
        if self._slow_at < 0:
            return self.tail.total <= RECOVERED * self.needed
        found = base.weighed(durations, level.shift)
        gain = max(found[: self._normal_to]) - max(found[self._slow_at :])
        cap = RECOVERY_NEEDED * credit / RECOVERY_SLICES
        self._back = max(0.0, self._back + max(-cap, min(cap, gain)))
        return self._back >= RECOVERY_NEEDED

    def forget(self) -> None:
        self.run.reset()
        self.tail.reset()
        self._tail_counts.clear()
        self.follower = Follower()

    # --- moving ----------------------------------------------------------------------------------

    def to_json(self) -> list[Any]:
        counts = self._tail_counts.to_json()
        back = [self._slow_at, self._normal_to, self._back]
        spare = [self._spare, self._tail_spare]
        followed = self.follower.to_json()
        return [self.run.to_json(), self.tail.to_json(), counts, back, spare, followed]

    def restore(self, data: Sequence[Any]) -> None:
        """Raises ``TypeError``, ``ValueError`` or ``AttributeError`` for what is no watch."""
        # what an earlier version wrote has nothing to spare, or followed no run
        run, tail, counts, (slow_at, normal_to, back), *rest = data
        spare, followed = rest[:1], rest[1:]
        self.run, self.tail = SlowRun.from_json(run), ShareSum.from_json(tail)
        self._tail_counts = Tally.from_json(counts)
        self._slow_at, self._normal_to, self._back = int(slow_at), int(normal_to), float(back)
        slower, tailed = spare[0] if spare else (0.0, 0.0)
        self._spare, self._tail_spare = float(slower), float(tailed)
        if followed:
            self.follower = Follower.from_json(followed[0])


def _stays_asked(n: float, span: float) -> float:
    """How likely it must be that it stays. Few requests show little of a course, and what came
    slowly has no beginning.
    """
    if span <= SOON_S:
        return STAYS_SOON if n >= FEW else 0.0
    return STAYS if span <= CREPT_S else 0.0


def _factors(
    base: Baseline, level: Level, counts: Mapping[int, float], best: int
) -> tuple[float, float]:
    """By how many times these are slower, near hypothesis ``best``, and the least factor that
    explains them nearly as well; to a bucket.
    """
    middle = SHIFT_FIRST + SHIFT_STEP * best
    fit = base.fit(counts, level.shift, SHIFT_FIRST, min(SHIFT_LAST, middle + SHIFT_STEP))
    near = range(max(0, middle - SHIFT_STEP - SHIFT_FIRST), len(fit))
    likeliest = max(near, key=fit.__getitem__)
    good = fit[likeliest] - CREDIBLE
    least = next(k for k, x in enumerate(fit) if x >= good)
    return exp((SHIFT_FIRST + likeliest) * LOG_GAMMA), exp((SHIFT_FIRST + least) * LOG_GAMMA)


def _allowed(spare: float, credit: float, most: float) -> float:
    """How many slices of ten seconds one of ``credit`` may count like; ``most`` with what others
    left over.
    """
    left = spare + credit
    return max(credit, left if left < most else most)


def _usual(bucket: int, level: Level) -> float:
    """The usual duration in ms at a rank's bucket, at the level of now."""
    return VALUES[max(0, min(BUCKETS - 1, bucket + level.shift))]

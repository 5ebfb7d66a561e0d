"""Does one route move with the others? Asked only when something is about to be told. Pure.

Read from the counts of the last minutes that every route keeps anyway: what came since a moment is
weighed against what is usual here. The minute in which it began holds both, and is read as both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, log

from proxy.observability.baseline import Baseline
from proxy.observability.hypotheses import LOGS, NEUTRAL, SHIFTS
from proxy.observability.minutes import MINUTE_S, WINDOW_MINUTES
from proxy.observability.series import Series
from proxy.observability.sketch import quantiles

DECIDED = 2.0
"""Natural log of the odds from which a route has a say."""
REQUESTS_MIN = 3
OLD_MAX = 0.7
"""A window of which more lies before the moment says nothing about what came since."""
HALF_WAY_MIN, HALF_WAY_MAX = 1.25, 1.5
"""A route moves along from half-way, as ratios go, within these bounds."""
LATELY_MINUTES, LATELY_MIN = 3, 6
CREDIBLE = 4.0
SHARE_PART = 0.5
"""A route moves along when it fails at least this part of what surely fails elsewhere, and not when
it fails less than half-way there, as ratios go.
"""
NEVER = 1e-6


@dataclass(frozen=True, slots=True)
class Voice:
    """``gain`` is the natural log of the odds that the route moves with the others, ``size`` by how
    much it most likely does: a factor, or the share that fails.
    """

    gain: float
    size: float

    @property
    def is_moving(self) -> bool:
        return self.gain >= DECIDED

    @property
    def is_decided(self) -> bool:
        return abs(self.gain) >= DECIDED


@dataclass(frozen=True, slots=True)
class Lately:
    """How slow the last minutes were: the likeliest factor and the least that is credible; ms."""

    factor: float
    least: float
    usual: float
    observed: float
    requests: int
    since: float


def slower(series: Series, since: float, now: float, ratio: float) -> Voice | None:
    """How many times slower the route is since then; ``ratio`` is what others show. None when it
    had too few requests to say anything.
    """
    minutes, before = _window(since, now)
    counts = series.minutes.window(now, minutes).durations
    if sum(counts.values()) < REQUESTS_MIN or before > OLD_MAX or not series.is_warm:
        return None
    found = _likely(series.baseline, series.level.shift, counts, before)
    half_way = log(max(HALF_WAY_MIN, min(HALF_WAY_MAX, ratio**0.5)))
    first = next(k for k, at in enumerate(LOGS) if at >= half_way)
    best = max(found)
    return Voice(max(found[first:]) - max(found[:first]), exp(LOGS[found.index(best)]))


def failing(series: Series, since: float, now: float, share: float) -> Voice | None:
    """The same of the share of its requests that fails; ``share`` is what others show."""
    minutes, before = _window(since, now)
    counts = series.minutes.window(now, minutes)
    n, errors = counts.requests, counts.errors
    if n < REQUESTS_MIN or before > OLD_MAX:
        return None
    usual = series.baseline.error_share
    seen = errors / n

    def mixed(after: float) -> float:
        return before * usual + (1.0 - before) * after

    moved = max(seen, mixed(max(usual, SHARE_PART * share)))
    stayed = min(seen, mixed(max(usual, (share * usual) ** 0.5)))
    gain = n * (_cross(seen, moved) - _cross(seen, stayed))
    return Voice(gain, min(1.0, max(0.0, seen - before * usual) / (1.0 - before)))


def lately(series: Series, now: float) -> Lately | None:
    """How slow it is now; None while too little is known."""
    counts = series.minutes.window(now, LATELY_MINUTES).durations
    n = sum(counts.values())
    if n < LATELY_MIN or not series.is_warm:
        return None
    shift = series.level.shift
    found = _likely(series.baseline, shift, counts, 0.0)
    best = max(found)
    least = next(k for k, x in enumerate(found) if x >= best - CREDIBLE)
    observed = quantiles(counts, (0.5,))[0] or 0.0
    factor = exp(LOGS[found.index(best)])
    since = (now // MINUTE_S - LATELY_MINUTES + 1) * MINUTE_S
    return Lately(factor, exp(LOGS[least]), observed / factor, observed, round(n), since)


def _window(since: float, now: float) -> tuple[int, float]:
    """Whole minutes that hold everything since then, at most what is kept, and which share of them
    lies before.
    """
    minutes = max(1, min(WINDOW_MINUTES, int(now // MINUTE_S) - int(since // MINUTE_S) + 1))
    begins = (now // MINUTE_S - minutes + 1) * MINUTE_S
    return minutes, max(0.0, since - begins) / max(1.0, now - begins)


def _likely(base: Baseline, shift: int, counts: Mapping[int, float], before: float) -> list[float]:
    """The log-likelihood of durations under each hypothesis, ``before`` of them being usual."""
    found = [0.0] * SHIFTS
    for bucket, count in counts.items():
        row = base.likelihoods(bucket - shift).tolist()
        if before > 0.0:
            usual, rest = before * exp(row[NEUTRAL]), 1.0 - before
            row = [log(usual + rest * exp(x)) for x in row]
        found = [x + count * y for x, y in zip(found, row, strict=True)]
    return found


def _cross(seen: float, share: float) -> float:
    """The mean log-likelihood of what was seen when ``share`` fails."""
    share = min(1.0 - NEVER, max(NEVER, share))
    return seen * log(share) + (1.0 - seen) * log(1.0 - share)

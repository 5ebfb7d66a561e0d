"""The rolling baseline of one route: what its durations and error shares usually are. Counts that
add.

Fading happens at fixed moments of absolute time, the same for every process, so the sum of two
detectors'
baselines is the baseline of one that saw everything. Knows nothing of incidents; it is told what to
learn.
"""

from array import array
from collections.abc import Mapping
from math import exp, log, sqrt
from typing import Any

from proxy.observability.sketch import BUCKETS, sparse

STEP_S = 300.0
"""Fading happens at multiples of this."""
LATENCY_HALF_LIFE_S = 5400.0
ERROR_HALF_LIFE_S = 86400.0
ERROR_PRIOR_SHARE = 0.0025
ERROR_PRIOR_REQUESTS = 400.0
"""A route nobody knows yet fails 0.25 % of the time, and that belief weighs like 400 requests."""
SHIFT_STEP = 5
"""Buckets between two hypotheses: a factor of 1.16."""
SHIFT_FIRST = -15
SHIFTS = 24
"""From 0.64 times to 19 times the usual duration; slower still counts as that."""
NEUTRAL = 3
"""Index of the hypothesis "as usual"."""
FLOOR_SHARE = 0.02
"""Any duration at all may happen this often: bounds what one request can prove."""
LOG_FLOOR = 1e-9

_PAD_LOW = SHIFT_FIRST + SHIFT_STEP * SHIFTS + SHIFT_STEP
_PAD_HIGH = -SHIFT_FIRST + SHIFT_STEP
_TABLE = _PAD_LOW + BUCKETS + _PAD_HIGH
SPAN = SHIFT_STEP * SHIFTS


class Baseline:
    """``weights`` are faded counts of served durations; ``requests``/``errors`` fade far slower."""

    __slots__ = (
        "_table",
        "errors",
        "p50",
        "p95",
        "p99",
        "requests",
        "step",
        "tail_from",
        "tail_share",
        "top",
        "total",
        "weights",
    )

    def __init__(self) -> None:
        self.weights = array("d", bytes(8 * BUCKETS))
        self.total = 0.0
        self.requests = 0.0
        self.errors = 0.0
        self.step: int | None = None
        self._table: array[float] = array("f")
        self.p50 = self.p95 = self.p99 = 0
        self.tail_from = BUCKETS
        self.tail_share = 0.01
        self.top = BUCKETS

    # --- learning --------------------------------------------------------------------------------

    def learn(self, durations: Mapping[int, float], requests: float, errors: float) -> None:
        for bucket, weight in durations.items():
            self.weights[bucket] += weight
            self.total += weight
        self.requests += requests
        self.errors += errors

    def fade_to(self, now: float) -> None:
        """Fade to the last step boundary before ``now``; nothing happens within one step."""
        step = int(now // STEP_S)
        if self.step is None or step <= self.step:
            self.step = step if self.step is None else self.step
            return
        steps, self.step = step - self.step, step
        self.requests *= 0.5 ** (steps * STEP_S / ERROR_HALF_LIFE_S)
        self.errors *= 0.5 ** (steps * STEP_S / ERROR_HALF_LIFE_S)
        factor = 0.5 ** (steps * STEP_S / LATENCY_HALF_LIFE_S)
        # a silent night must not erase what is usual: below this weight nothing fades
        if self.total * factor < FADE_STOPS_AT:
            factor = min(1.0, FADE_STOPS_AT / self.total) if self.total else 1.0
        if factor < 1.0:
            self.weights = array("d", [w * factor for w in self.weights])
            self.total *= factor

    def replace(self, durations: Mapping[int, float]) -> None:
        """A new level became normal: forget the old durations, keep the error history."""
        self.weights = array("d", bytes(8 * BUCKETS))
        self.total = 0.0
        self.learn(durations, 0.0, 0.0)

    # --- asking ----------------------------------------------------------------------------------

    @property
    def error_share(self) -> float:
        return (self.errors + ERROR_PRIOR_SHARE * ERROR_PRIOR_REQUESTS) / (
            self.requests + ERROR_PRIOR_REQUESTS
        )

    def rebuild(self) -> None:
        """Make the table of log-likelihoods anew; about 0.3 ms, so once in minutes."""
        smooth = _smooth(self.weights, self.total)
        scale = (1.0 - FLOOR_SHARE) / (sum(smooth) or 1.0)
        floor = FLOOR_SHARE / BUCKETS
        low = log(floor)
        table = [low] * _TABLE
        for bucket, weight in enumerate(smooth):
            if weight > LOG_FLOOR:
                # reversed, so that growing shifts are growing positions and one slice reads them
                # all
                table[_TABLE - 1 - (_PAD_LOW + bucket)] = log(weight * scale + floor)
        self._table = array("f", table)
        self._ranks()

    def _ranks(self) -> None:
        marks = [0.5, 0.95, 0.99, 0.999]
        found: list[int] = []
        seen = 0.0
        for bucket, weight in enumerate(self.weights):
            seen += weight
            while len(found) < 4 and seen > marks[len(found)] * self.total:
                found.append(bucket)
        found += [BUCKETS - 1] * (4 - len(found))
        self.p50, self.p95, self.p99 = found[:3]
        self.top = min(BUCKETS - 1, found[3] + SHIFT_FIRST + SPAN - SHIFT_STEP)
        self.tail_from = min(BUCKETS, self.p99 + 14)
        beyond = sum(self.weights[self.tail_from :])
        self.tail_share = (beyond + 0.5) / (self.total + 100.0)

    def likelihoods(self, bucket: int) -> "array[float]":
        """log P(bucket) under each of the ``SHIFTS`` hypotheses, from fastest to slowest."""
        if bucket > self.top:
            bucket = self.top
        start = _TABLE - 1 - (_PAD_LOW + bucket) + SHIFT_FIRST
        return self._table[start : start + SPAN : SHIFT_STEP]

    def rank_share(self, bucket: int) -> float:
        """The mid-rank (0-1) of a bucket among the usual durations."""
        below = sum(self.weights[:bucket])
        return (below + 0.5 * self.weights[bucket]) / self.total if self.total else 0.5

    # --- moving ----------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "durations": {str(b): round(w, 6) for b, w in sparse(self.weights).items()},
            "requests": round(self.requests, 6),
            "errors": round(self.errors, 6),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Baseline":
        """Raises ``KeyError``, ``ValueError`` or ``IndexError`` for what is no baseline."""
        made = cls()
        made.step = None if data["step"] is None else int(data["step"])
        durations = {int(b): float(w) for b, w in data["durations"].items()}
        if any(b < 0 or not 0 <= w < 1e15 for b, w in durations.items()):
            raise ValueError("weights are counts")
        made.learn(durations, float(data["requests"]), float(data["errors"]))
        return made

    def add(self, other: "Baseline") -> None:
        """Join another process's counts for the same route; the older is faded to the newer
        first.
        """
        steps = [s for s in (self.step, other.step) if s is not None]
        if steps:
            self.fade_to(max(steps) * STEP_S)
            other.fade_to(max(steps) * STEP_S)
        for bucket, weight in enumerate(other.weights):
            if weight:
                self.weights[bucket] += weight
        self.total += other.total
        self.requests += other.requests
        self.errors += other.errors


FADE_STOPS_AT = 150.0


def _smooth(weights: "array[float]", total: float) -> list[float]:
    """Blur by how little is known: a box, twice, as wide as the rule of thumb for this spread and
    count.
    """
    radius = _radius(weights, total)
    once = _box(weights, radius)
    return _box(once, 2)


def _radius(weights: "array[float]", total: float) -> int:
    if total <= 0:
        return 8
    seen = 0.0
    quarters: list[int] = []
    for bucket, weight in enumerate(weights):
        seen += weight
        while len(quarters) < 3 and seen > (0.25, 0.5, 0.75)[len(quarters)] * total:
            quarters.append(bucket)
    spread = max(1.0, (quarters[-1] - quarters[0]) / 1.35)
    return max(1, min(12, round(1.2 * spread / float(total**0.2))))


def _box(values: "array[float] | list[float]", radius: int) -> list[float]:
    sums = [0.0]
    running = 0.0
    for value in values:
        running += value
        sums.append(running)
    n, width = len(values), 2 * radius + 1
    return [(sums[min(n, i + radius + 1)] - sums[max(0, i - radius)]) / width for i in range(n)]


def poisson_sigma(seen: float, expected: float) -> float:
    """How many standard deviations ``seen`` lies above ``expected`` counts (signed root of the
    deviance).
    """
    if seen <= expected or expected <= 0:
        return 0.0
    return sqrt(2.0 * (seen * log(seen / expected) - (seen - expected)))


def step_factor(shift: int) -> float:
    """The factor of hypothesis number ``shift``."""
    return exp((SHIFT_FIRST + SHIFT_STEP * shift) * log(1.03))

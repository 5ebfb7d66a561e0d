"""The rolling baseline of one route: what its durations and error shares usually are. Counts that
add.

Fading happens at fixed moments of absolute time, the same for every process, so the sum of two
detectors' baselines is the baseline of one that saw everything. Knows nothing of incidents; it is
told what to learn.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import log, sqrt
from operator import sub
from typing import Any

from proxy.observability.delta import Delta
from proxy.observability.hypotheses import LOG_GAMMA, SHIFT_FIRST, SHIFT_STEP
from proxy.observability.kinds import APART, QUICK, SLOW, USUAL, joined, kinds_from, none_yet
from proxy.observability.likelihood import SPAN, Table
from proxy.observability.sketch import BUCKETS, VALUES, bucket_of
from proxy.observability.tally import FADING, Tally

STEP_S = 300.0
"""Fading happens at multiples of this."""
LATENCY_HALF_LIFE_S = 9000.0
ERROR_HALF_LIFE_S = 86400.0
READABLE, READABLE_MAX, READABLE_TO = 12.0, 60.0, 0.12
"""Fewer requests tell no level: one visit to a slow mode would look like a jump."""
TURNED_BACK_STEPS = 12
"""A clock set back by more than an hour is believed, or nothing would fade till it caught up."""
COMPANY_PRIOR, COMPANY_ERRORS = 0.4, 5.0
COMPANY_MIN, COMPANY_MAX = 0.2, 0.6
"""Errors come in twos and threes; that belief weighs like five errors."""
CLUMPING_RUNS, CLUMPING_MAX = 25.0, 5.0
CLUMPING_SIGMA = 2.0
"""Of what scatters so much is chance, in roots of the runs."""
SCATTER_MAX = 2.5
STUMBLE = 25.0
"""How much scatter one bad minute proves that was told as an incident, and so not counted."""
ERROR_PRIOR_SHARE = 0.005
ERROR_PRIOR_REQUESTS = 60.0
"""A route nobody knows yet fails 0.5 % of the time. That belief weighs little, as routes differ by
far: of two that nobody knows, one never fails and one fails 2 % of the time.
"""
_PRIOR_ERRORS = ERROR_PRIOR_SHARE * ERROR_PRIOR_REQUESTS
NOTICED_MS = 10.0
"""Nobody notices less."""
WEIGHT_MIN = 1e-6
"""What has faded below this is gone."""
TWENTIETHS = tuple(n / 20.0 for n in range(20))
QUARTER = 0.53
"""The closest quarter of what is normally distributed is so many standard deviations wide, with a
fifth off for what chance brings together.
"""
_MARKS = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)


class Baseline(Table):
    """``weights`` are faded counts of served durations; ``requests``/``errors`` fade far slower."""

    __slots__ = (
        "counts_step",
        "errors",
        "kinds",
        "p05",
        "p25",
        "p50",
        "p75",
        "p95",
        "p99",
        "readable",
        "requests",
        "runs",
        "scatter",
        "step",
        "tail_from",
        "tail_share",
        "total",
        "unshared",
        "weights",
    )

    def __init__(self) -> None:
        super().__init__()
        self.weights = Tally(FADING)
        self.total = 0.0
        self.requests = 0.0
        self.errors = 0.0
        self.runs = 0.0
        self.scatter = 0.0
        self.kinds = none_yet()
        """Its runs of errors by kind."""
        self.step: int | None = None
        self.counts_step: int | None = None
        self.p05 = self.p25 = self.p50 = self.p75 = self.p95 = self.p99 = 0
        self.readable = READABLE
        self.tail_from = BUCKETS
        self.tail_share = 0.01
        self.unshared: Delta | None = None
        """What was learned here and not told to the other processes yet; None when there are
        none.
        """

    # --- learning --------------------------------------------------------------------------------

    def learn(
        self,
        durations: Mapping[int, float],
        requests: float,
        errors: float,
        runs: float | None = None,
        kinds: Sequence[float] = (),
    ) -> None:
        """``runs`` of errors without a good answer between them; unknown: each came alone."""
        runs = errors if runs is None else runs
        self._put(durations)
        self.requests += requests
        self.errors += errors
        self.runs += runs
        self.kinds = joined(self.kinds, kinds)
        if self.unshared is not None:
            self._note(self.unshared, durations, requests, errors, runs, kinds)

    def _put(self, durations: Mapping[int, float]) -> None:
        self.weights.add(durations)
        for weight in durations.values():
            self.total += weight

    def learn_counts(
        self,
        requests: float,
        errors: float,
        runs: float,
        scatter: float = 0.0,
        kinds: Sequence[float] = (),
    ) -> None:
        """One window's requests and errors, and by how much they scatter around the usual, as a
        whole and (``scatter``) from minute to minute.
        """
        expected = requests * self.runs / self.requests if self.requests else 0.0
        extra = scattered(runs, expected) + scatter
        self.learn({}, requests, errors, runs, kinds)
        self.scatter += extra
        if self.unshared is not None:
            self.unshared.scatter += extra

    def stumbled(self) -> None:
        """Some failed for minutes and it went by itself: errors here come in bad minutes."""
        self.scatter += STUMBLE
        if self.unshared is not None:
            self.unshared.scatter += STUMBLE

    def fade_to(self, now: float) -> None:
        """Fade to the last step boundary before ``now``; nothing happens within one step."""
        self.fade_counts_to(now)
        self.step, steps = _stepped(self.step, now)
        if not steps:
            return
        factor = 0.5 ** (steps * STEP_S / LATENCY_HALF_LIFE_S)
        # a silent night must not erase what is usual: below this weight nothing fades
        if self.total * factor < FADE_STOPS_AT:
            factor = min(1.0, FADE_STOPS_AT / self.total) if self.total else 1.0
        if factor < 1.0:
            self.weights.scale(factor)
            self.total *= factor

    def fade_counts_to(self, now: float) -> None:
        """The same for requests and errors alone: durations fade when the table is made anew."""
        self.counts_step, steps = _stepped(self.counts_step, now)
        if steps:
            rare = 0.5 ** (steps * STEP_S / ERROR_HALF_LIFE_S)
            self.requests *= rare
            self.errors *= rare
            self.runs *= rare
            self.scatter *= rare
            self.kinds = joined(self.kinds, (), rare)

    def replace(self, durations: Mapping[int, float]) -> None:
        """A new level became normal: forget the old durations, keep the error history."""
        self.weights = Tally(FADING)
        self.total = 0.0
        self._put(durations)

    # --- sharing ---------------------------------------------------------------------------------

    def _note(
        self,
        delta: Delta,
        durations: Mapping[int, float],
        requests: float,
        errors: float,
        runs: float,
        kinds: Sequence[float],
    ) -> None:
        if durations:
            step = self.step or 0
            delta.add_durations(durations, step, _faded(delta.step, step, LATENCY_HALF_LIFE_S))
        step = self.counts_step or 0
        faded = _faded(delta.counts_step, step, ERROR_HALF_LIFE_S)
        delta.add_counts(requests, errors, runs, kinds, step, faded)

    def hear_counts(self, delta: Delta, now: float) -> None:
        """Another process's requests and errors, as if they had been learned here."""
        self.fade_counts_to(now)
        faded = _faded(delta.counts_step, self.counts_step or 0, ERROR_HALF_LIFE_S)
        self.requests += delta.requests * faded
        self.errors += delta.errors * faded
        self.runs += delta.runs * faded
        self.scatter += delta.scatter * faded
        self.kinds = joined(delta.kinds, self.kinds, faded)

    def hear_durations(self, delta: Delta, now: float) -> None:
        """The same for durations; the table is not made anew."""
        self.fade_to(now)
        faded = _faded(delta.step, self.step or 0, LATENCY_HALF_LIFE_S)
        self._put({b: w * faded for b, w in delta.durations.items()})

    # --- asking ----------------------------------------------------------------------------------

    @property
    def error_share(self) -> float:
        return (self.errors + _PRIOR_ERRORS) / (self.requests + ERROR_PRIOR_REQUESTS)

    @property
    def believed_requests(self) -> float:
        """The requests that were seen and those that the belief beforehand weighs like."""
        return self.requests + ERROR_PRIOR_REQUESTS

    @property
    def believed_runs(self) -> float:
        """The same for the runs of errors among them."""
        return self.runs + _PRIOR_ERRORS

    @property
    def run_share(self) -> float:
        """How many runs of errors a request is expected to begin."""
        return (self.runs + _PRIOR_ERRORS) / (self.requests + ERROR_PRIOR_REQUESTS)

    @property
    def company(self) -> float:
        """How often one error is followed by another."""
        following = max(0.0, self.errors - self.runs)
        share = (following + COMPANY_PRIOR * COMPANY_ERRORS) / (self.errors + COMPANY_ERRORS)
        return min(COMPANY_MAX, max(COMPANY_MIN, share))

    @property
    def clumping(self) -> float:
        """By how much windows scatter more than chance has it: what one error proves is divided
        by this.
        """
        # asked for with every slice for as long as an error is remembered: no call is made in vain
        runs = self.runs
        extra = self.scatter - CLUMPING_SIGMA * sqrt(runs if runs > 0.0 else 0.0)
        if extra <= 0.0:
            return 1.0
        clumping = 1.0 + extra / (runs + CLUMPING_RUNS)
        return clumping if clumping < CLUMPING_MAX else CLUMPING_MAX

    def rebuild(self) -> None:
        """Make the table of log-likelihoods anew; about 0.1 ms, so once in minutes."""
        first, held = self.weights.held(WEIGHT_MIN)
        sums = list(accumulate(held))
        self._ranks(first, held, sums)
        self._tabulate(first, sums, self._radius(sums))

    def _ranks(self, first: int, held: list[float], sums: list[float]) -> None:
        last = first + len(held) - 1
        found = [min(last, first + bisect_right(sums, mark * self.total)) for mark in _MARKS]
        self.p05, self.p25, self.p50, self.p75, self.p95, self.p99, top = found
        self.top = min(BUCKETS - 1, top + SHIFT_FIRST + SPAN - SHIFT_STEP)
        spread = (self.p75 - self.p25) / 1.35 * LOG_GAMMA
        self.readable = max(READABLE, min(READABLE_MAX, (spread / READABLE_TO) ** 2))
        # half as slow again, and by enough to be noticed
        self.tail_from = min(BUCKETS, max(self.p99 + 14, bucket_of(VALUES[self.p99] + NOTICED_MS)))
        beyond = sum(held[self.tail_from - first :])
        self.tail_share = (beyond + 0.5) / (self.total + 100.0)

    def _radius(self, sums: list[float]) -> int:
        """Blur by how little is known: as the rule of thumb has it for this spread and count, and
        half as much again, as what is known is hours old.
        """
        # of two humps each is as wide as the quarter of all that lies closest together
        marks = [bisect_right(sums, share * self.total) for share in TWENTIETHS]
        closest: int = min(map(sub, marks[5:], marks))
        spread = max(1.0, min((self.p75 - self.p25) / 1.35, closest / QUARTER))
        known = float(max(1.0, self.total) ** 0.2)
        return max(1, min(12, round(1.5 * spread / known)))

    def pace(self, bucket: int) -> int:
        """How long a failure took, beside good answers (``kinds.py``)."""
        if bucket < self.p05 - APART:
            return QUICK
        return SLOW if bucket > self.p99 + APART else USUAL

    def rank_share(self, bucket: int) -> float:
        """The mid-rank (0-1) of a bucket among the usual durations."""
        bucket = max(0, min(BUCKETS - 1, bucket))
        *below, here = self.weights.read(0, bucket + 1)
        return (sum(below) + 0.5 * here) / self.total if self.total else 0.5

    # --- moving ----------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "counts_step": self.counts_step,
            "durations": self.weights.to_json(),
            "requests": self.requests,
            "errors": self.errors,
            "runs": self.runs,
            "scatter": self.scatter,
            "kinds": self.kinds.tolist(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Baseline":
        """Raises ``KeyError``, ``ValueError`` or ``IndexError`` for what is no baseline."""
        made = cls()
        made.step = None if data["step"] is None else int(data["step"])
        counts_step = data.get("counts_step", made.step)
        made.counts_step = None if counts_step is None else int(counts_step)
        durations = {int(b): float(w) for b, w in data["durations"].items()}
        if any(b < 0 or not 0 <= w < 1e15 for b, w in durations.items()):
            raise ValueError("weights are counts")
        errors = float(data["errors"])
        made.learn(durations, float(data["requests"]), errors, float(data.get("runs", errors)))
        made.scatter = float(data.get("scatter", 0.0))
        made.kinds = kinds_from(data)
        return made

    def add(self, other: "Baseline") -> None:
        """Join another process's counts for the same route; the older is faded to the newer
        first.
        """
        steps = [s for s in (self.step, other.step) if s is not None]
        if steps:
            self.fade_to(max(steps) * STEP_S)
            other.fade_to(max(steps) * STEP_S)
        self.weights.add(other.weights.counts())
        self.total += other.total
        self.requests += other.requests
        self.errors += other.errors
        self.runs += other.runs
        self.scatter += other.scatter
        self.kinds = joined(self.kinds, other.kinds)


FADE_STOPS_AT = 150.0


def _stepped(last: int | None, now: float) -> tuple[int, int]:
    """The step that ``now`` lies in, and how many have passed since ``last``."""
    step = int(now // STEP_S)
    if last is None or step < last - TURNED_BACK_STEPS:
        return step, 0
    return (step, step - last) if step > last else (last, 0)


def _faded(since: int, step: int, half_life_s: float) -> float:
    """What is left of one count from step ``since`` at ``step``; a clock ahead of ours fades
    nothing.
    """
    return float(0.5 ** (max(0, step - since) * STEP_S / half_life_s))


def join_durations(mine: Delta, other: Delta) -> None:
    """Add the durations of ``other``; the older fade to the newer first."""
    step = max(mine.step, other.step)
    left = _faded(other.step, step, LATENCY_HALF_LIFE_S)
    faded = {b: w * left for b, w in other.durations.items()}
    mine.add_durations(faded, step, _faded(mine.step, step, LATENCY_HALF_LIFE_S))


def scattered(runs: float, expected: float) -> float:
    """How much more a window's runs of errors stray from what is expected than chance has it."""
    # bounded: what is left of an incident is no habit
    strayed, most = abs(runs - expected), SCATTER_MAX * (1.0 + expected**0.5)
    return float((strayed if strayed < most else most) ** 2 - expected)


def poisson_sigma(seen: float, expected: float) -> float:
    """How many standard deviations ``seen`` lies above ``expected`` counts (signed root of the
    deviance).
    """
    if seen <= expected or expected <= 0:
        return 0.0
    return sqrt(2.0 * (seen * log(seen / expected) - (seen - expected)))

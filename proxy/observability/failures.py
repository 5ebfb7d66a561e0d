"""Does one route fail more than usual? Sums of evidence per error share, and the way back. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Any

from proxy.observability.baseline import Baseline, poisson_sigma
from proxy.observability.evidence import (
    ERRORS_NEEDED,
    SUM_MAX,
    ShareSum,
    failing_gain,
    share_gain,
)

LEVELS = ((0.004, 5.0), (0.012, 4.3), (0.03, 3.8), (0.1, 3.3), (0.5, 2.4))
"""Least error share an incident is weighed against, and how many slices it must last."""
OUTAGE = 0.5
"""From this level on every error counts, also one right after another."""
TO_MAX = 0.9
ERRORS_MIN, ERRORS_FEW = 4, 3
"""An outage needs the first, and one more for each time something worked between; scattered errors
the second, when they are beyond doubt.
"""
ALL_FAIL, MANY_FAIL = 0.75, 0.25
RUNS_MIN = 3
"""Errors that come together are one event: so many are needed while much still works, one more
while most does, unless the evidence is beyond doubt.
"""
BEYOND_DOUBT = 11.0
OUTAGE_SPAN_S, ERRORS_SPAN_S = 16.0, 25.0
ESCALATED = 3.0
"""An open incident this many times worse than reported is reported again."""
RECOVERY_NEEDED = 6.0
RECOVERY_SLICES = 3.0
STILL_MAX = 0.95


@dataclass(frozen=True, slots=True)
class Slice:
    """``runs`` of ``errors`` that came without a good answer between them, after ``before`` good
    ones; times in seconds.
    """

    requests: int
    errors: int
    runs: int
    before: int
    began: float
    first_error: float
    last_error: float


@dataclass(frozen=True, slots=True)
class Failing:
    """What was found; ``observed`` and ``usual`` are shares."""

    since: float
    observed: float
    usual: float
    sigma: float
    requests: int
    errors: int
    per_minute: float


class FailureWatch:
    """One sum per level of failure; all nil is the usual state and costs nothing."""

    __slots__ = ("_back", "_last_error", "levels", "ratio", "ratio_floor", "strongest")

    def __init__(self, ratio: float, ratio_floor: float) -> None:
        self.ratio = ratio
        self.ratio_floor = ratio_floor
        self.levels = [ShareSum() for _ in LEVELS]
        self.strongest = 0.0
        self._last_error = 0.0
        self._back = 0.0

    def add(self, base: Baseline, seen: Slice, credit: float) -> ShareSum | None:
        """Weigh one slice; the highest level it proves, if any."""
        if not seen.errors and not self.strongest:
            return None
        if seen.errors:
            self._last_error = seen.last_error
        errors, runs = seen.errors, seen.runs
        usual, company, clumps = base.error_share, base.company, base.clumping
        most, strongest = SUM_MAX * ERRORS_NEEDED, 0.0
        crossed: ShareSum | None = None
        for level, (least, slices) in zip(self.levels, LEVELS, strict=True):
            # a sum begins with an error: the good answers before it were another slice's
            requests = seen.requests if level.total else seen.requests - seen.before
            to = min(TO_MAX, max(least, self.ratio * usual))
            if least >= OUTAGE:
                gain = share_gain(requests, errors, usual, to)
            else:
                gain = failing_gain(requests, errors, runs, usual, to, company) / clumps
            cap = ERRORS_NEEDED * credit / slices
            level.add(requests, errors, runs, gain, cap, most, seen.began, seen.first_error)
            if level.total > strongest:
                strongest = level.total
            if level.total >= ERRORS_NEEDED and level.hits >= ERRORS_FEW:
                crossed = level
        self.strongest = strongest
        return crossed if errors else None

    def verdict(self, base: Baseline, run: ShareSum, now: float) -> Failing | None:
        """What may be told of the run that crossed, if anything."""
        usual = base.error_share
        if run.first_hit is None:
            return None
        observed = run.hits / run.requests
        if observed < self.ratio_floor * usual:
            return None
        span = self._last_error - run.first_hit
        if span < (OUTAGE_SPAN_S if observed >= ALL_FAIL else ERRORS_SPAN_S):
            return None
        if observed >= ALL_FAIL:
            if run.hits < ERRORS_MIN + min(2, run.runs - 1):
                return None
        elif not _is_sure(base, run, observed):
            return None
        return Failing(
            run.first_hit,
            observed,
            usual,
            poisson_sigma(run.hits, usual * run.requests),
            run.requests,
            run.hits,
            60.0 * run.requests / max(10.0, now - run.since),
        )

    def is_worse(self, run: ShareSum, reported: float) -> bool:
        return run.hits >= ESCALATED * reported * run.requests

    def is_back(self, usual: float, observed: float, seen: Slice, credit: float) -> bool:
        """Evidence that the share is the usual one again rather than most of the incident's."""
        still = max(1.5 * usual, 0.5 * min(STILL_MAX, observed))
        if still >= 1.0:
            return False
        good = seen.requests - seen.errors
        gain = good * log((1.0 - usual) / (1.0 - still)) - seen.errors * log(still / usual)
        cap = RECOVERY_NEEDED * credit / RECOVERY_SLICES
        self._back = max(0.0, self._back + max(-cap, min(cap, gain)))
        return self._back >= RECOVERY_NEEDED

    def forget(self) -> None:
        self._back = 0.0
        self.strongest = 0.0
        for level in self.levels:
            level.reset()

    # --- moving ----------------------------------------------------------------------------------

    def to_json(self) -> list[Any]:
        levels = [level.to_json() for level in self.levels]
        return [levels, self.strongest, self._last_error, self._back]

    def restore(self, data: Sequence[Any]) -> None:
        """Raises ``TypeError`` or ``ValueError`` for what is no watch."""
        levels, strongest, last_error, back = data
        if len(levels) != len(LEVELS):
            raise ValueError("one sum per level")
        self.levels = [ShareSum.from_json(level) for level in levels]
        self.strongest, self._last_error = float(strongest), float(last_error)
        self._back = float(back)


def _is_sure(base: Baseline, run: ShareSum, observed: float) -> bool:
    """A stumble of three and one more by chance prove nothing while much still works."""
    to = min(observed, OUTAGE)
    gain = failing_gain(run.requests, run.hits, run.runs, base.error_share, to, base.company)
    is_few = run.hits < ERRORS_MIN or (run.runs <= RUNS_MIN and observed < MANY_FAIL)
    return run.runs >= RUNS_MIN and gain >= (BEYOND_DOUBT if is_few else ERRORS_NEEDED)

"""Does one route fail more than usual? Sums of evidence per error share. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Any

from proxy.observability.baseline import Baseline, poisson_sigma
from proxy.observability.evidence import (
    BLIP_S,
    ERRORS_NEEDED,
    SUM_MAX,
    ShareSum,
    failing_gain,
)
from proxy.observability.jolt import Jolts
from proxy.observability.kinds import (
    COUNTED_MAX,
    KEPT_MAX,
    NO_KIND,
    NOTHING_KNOWN,
    Alike,
    alike,
    kinds_seen,
    status_of,
    strange_status,
    strangeness,
)
from proxy.observability.recovery import Recovery

LEVELS = ((0.004, 3.3), (0.012, 2.9), (0.03, 2.5), (0.1, 2.2), (0.5, 1.6))
"""Least error share an incident is weighed against, and how many slices it must last."""
OUTAGE = 0.5
"""From this level on every error counts, also one right after another."""
TO_MAX = 0.9
ERRORS_MIN, ERRORS_FEW, ERRORS_LEAST = 4, 3, 2
"""An outage needs the first, and one more for each time something worked between; scattered errors
the second, when they are beyond doubt; and either, of a seldom kind, the third.
"""
ALL_FAIL, MANY_FAIL = 0.75, 0.25
STRANGE = 1.5
"""An outage of a kind so unusual here (natural log of the odds) needs one less: three in a row come
by chance, but then they are of the usual kind.
"""
SELDOM = 3.0
"""Errors of one kind so unusual need not come a third time: what is left to explain two of them,
further apart than a blip lasts, is an incident.
"""
DOUBTS_MAX = 20
"""A hundred failures within seconds are no hundred doubts about a route that nobody knows."""
RUNS_MIN = 3
"""Errors that come together are one event: so many are needed while much still works, one more
while most does, unless the evidence is beyond doubt.
"""
TWO_NEED = 12.5
"""Two of one kind are enough, however usual it is, where they prove so much: a route of which is
known that it hardly ever fails.
"""
APART_NEEDED = 4.0
"""So much must be proved without the worst blip: before or after it one or two more come by chance.
"""
BEYOND_DOUBT = 11.0
CHANCES = 120.0
CHANCES_LEAST, CHANCES_MOST = -0.5, 2.5
"""Where so many of the known requests would fail, evidence means what it says. Each request may
begin a run, so more of them begin one by chance, and few hardly any: by the log of how many.
"""
PASSED_MORE, PASSED_FADES_S = 2.5, 28_800.0
"""Evidence that went by itself is how the route is: an incident must prove so much more, and what
passed counts one less after each eight hours.
"""
OUTAGE_SPAN_S, ERRORS_SPAN_S = 16.0, 25.0
ESCALATED, ESCALATED_SIGMA = 3.0, 3.0
"""An open incident this many times worse than reported, and by so much more than chance has it, is
reported again.
"""


@dataclass(slots=True)
class Slice:
    """``runs`` of ``errors`` that came without a good answer between them, after ``before`` good
    ones; times in seconds. Nobody changes it: frozen, it would take four times as long to make.
    """

    requests: int
    errors: int
    runs: int
    before: int
    began: float
    first_error: float
    last_error: float
    kinds: bytes = b""
    """Of what kind each run's first error is (``kinds.py``)."""
    last_kind: int = NO_KIND


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
    alike: Alike | None
    """What they have in common, where that helped to prove it."""


class FailureWatch:
    """One sum per level of failure; all nil is the usual state and costs nothing."""

    __slots__ = (
        "_last_error",
        "_last_kind",
        "_passed",
        "_passed_at",
        "_peak",
        "kinds",
        "levels",
        "ratio",
        "ratio_floor",
        "recovery",
        "strongest",
    )

    def __init__(self, ratio: float, ratio_floor: float) -> None:
        self.ratio = ratio
        self.ratio_floor = ratio_floor
        self.levels = [ShareSum() for _ in LEVELS]
        self.kinds = b""
        """Of the runs since something is suspected."""
        self.strongest = 0.0
        self._last_error = 0.0
        self._last_kind = NO_KIND
        self.recovery = Recovery(ratio_floor)
        self._peak = self._passed = self._passed_at = 0.0

    @property
    def needed(self) -> float:
        """Evidence that scattered errors must give here."""
        passed = self._passed - (self._last_error - self._passed_at) / PASSED_FADES_S
        needed = passed + PASSED_MORE
        return needed if needed > ERRORS_NEEDED else ERRORS_NEEDED

    def add(
        self,
        base: Baseline,
        seen: Slice,
        credit: float,
        app_kinds: Sequence[float] = NOTHING_KNOWN,
        *,
        is_jolt: bool = False,
    ) -> list[ShareSum]:
        """Weigh one slice; the levels that its errors prove, the highest last. A jolt of the whole
        app proves nothing but an outage. ``app_kinds`` are the usual ones of all routes.
        """
        proved: list[ShareSum] = []
        if not seen.errors and not self.strongest:
            return proved
        if seen.errors:
            self._last_error, self._last_kind = seen.last_error, seen.last_kind
        errors, runs = seen.errors, seen.runs
        usual, clumps = base.error_share, base.clumping
        runs_known, requests_known = base.believed_runs, base.believed_requests
        company = base.company if errors else 1.0
        if not self.strongest:
            self.kinds = b""
        strange = 0.0
        if seen.kinds:
            strange = strangeness(self.kinds, seen.kinds, base.kinds, app_kinds)
            self.kinds = (self.kinds + seen.kinds)[-KEPT_MAX:]
        scattered, strongest = self.needed, 0.0
        most = SUM_MAX * (scattered + CHANCES_MOST)
        raised = self.ratio * usual
        for level, (least, slices) in zip(self.levels, LEVELS, strict=True):
            if (not errors and not level.total) or (is_jolt and least < OUTAGE):
                continue
            # a sum begins with an error: the good answers before it were another slice's
            requests = seen.requests if level.total else seen.requests - seen.before
            to = least if least > raised else raised if raised < TO_MAX else TO_MAX
            if least >= OUTAGE:
                known = (runs_known, requests_known, min(level.hits, DOUBTS_MAX))
                gain = strange + failing_gain(requests, errors, errors, to, company, known)
            else:
                known = (runs_known, requests_known + level.requests, level.runs)
                gain = failing_gain(requests, errors, runs, to, company, known)
                gain = (gain + strange) / clumps
            cap = ERRORS_NEEDED * credit / slices
            if strange > 0.0:
                # how many came so soon may be a blip's doing; of what kind they are is none
                cap += strange / clumps
            level.add(requests, errors, runs, gain, cap, most, seen.began, seen.first_error)
            if level.total > strongest:
                strongest = level.total
            if not errors:
                continue
            if level.hits >= ERRORS_LEAST and level.total >= (
                ERRORS_NEEDED if least >= OUTAGE else scattered + _chances(base, to)
            ):
                proved.append(level)
            if level.total > self._peak and least < OUTAGE:
                self._rise(level)
        self.strongest = strongest
        if self._peak and not strongest:
            self.pass_by()
        return proved

    def leave_out(self, jolts: Jolts) -> None:
        """Scattered errors since an app was started anew prove nothing from there on: when the
        route that failed first was weighed, nobody knew that others would follow.
        """
        for level, (least, _) in zip(self.levels, LEVELS, strict=True):
            if least < OUTAGE and level.first_hit is not None and jolts.covers(level.first_hit):
                level.reset()

    def _rise(self, level: ShareSum) -> None:
        """Remember how far it came; a blip is none, it is too short to be told."""
        if level.first_hit is not None and self._last_error - level.first_hit >= ERRORS_SPAN_S:
            self._peak = level.total

    def pass_by(self) -> None:
        """It went by itself: so much evidence is nothing here."""
        if self._peak + PASSED_MORE >= self.needed:
            self._passed, self._passed_at = self._peak, self._last_error
        self._peak = 0.0

    def verdict(
        self,
        base: Baseline,
        proved: Sequence[ShareSum],
        now: float,
        app_kinds: Sequence[float] = NOTHING_KNOWN,
        reported: float | None = None,
    ) -> Failing | None:
        """What may be told, if anything, by the highest level that may: three at once can be a blip
        within what is none. ``reported`` is the share that was told before: what is news beside
        that must show in the highest.
        """
        if reported is not None:
            proved = [run for run in proved[-1:] if self.is_worse(run, reported)]
        for run in reversed(proved):
            found = self._failing(base, run, now, app_kinds)
            if found is not None:
                return found
        return None

    def _failing(
        self, base: Baseline, run: ShareSum, now: float, app_kinds: Sequence[float]
    ) -> Failing | None:
        usual = base.error_share
        if run.first_hit is None:
            return None
        observed = run.hits / run.requests
        if observed < self.ratio_floor * usual:
            return None
        kinds = self.kinds[-run.runs :] if run.runs else b""
        strange = strangeness(b"", kinds, base.kinds, app_kinds)
        # an error by chance and a restart are two kinds, and no incident of either; of a run the
        # kind of its first error is known, so the status of the last one of all is asked, too
        first = status_of(kinds[0] if kinds else NO_KIND)
        is_one_kind = kinds.count(kinds[:1]) == len(kinds) and status_of(self._last_kind) == first
        oddity = strange if is_one_kind else 0.0
        if is_one_kind and self._last_kind != kinds[0]:
            # of another pace than the first: what is odd must not be how soon that one failed
            oddity = strange_status(kinds, base.kinds, app_kinds)
        least_s = BLIP_S if oddity >= SELDOM else ERRORS_SPAN_S
        lasted_s = self._last_error - run.first_hit
        if lasted_s < (OUTAGE_SPAN_S if observed >= ALL_FAIL else least_s):
            return None
        if observed >= ALL_FAIL:
            least = ERRORS_FEW if oddity >= STRANGE else ERRORS_MIN
            if oddity >= SELDOM and lasted_s >= BLIP_S:
                least = ERRORS_LEAST
            if run.hits < least + min(2, run.runs - 1):
                return None
        else:
            apart = strangeness(b"", run.outside(kinds), base.kinds, app_kinds)
            is_plain = oddity >= SELDOM or (is_one_kind and run.total >= TWO_NEED)
            if (
                run.runs < (ERRORS_LEAST if is_plain else RUNS_MIN)
                or _may_be_blip(base, run, apart)
                or not _is_sure(base, run, observed, self.needed, strange)
            ):
                return None
        self.recovery.begin(run.requests, run.hits)
        shared = None
        if oddity >= STRANGE and _is_each_known(run):
            shared = alike(kinds, self._last_kind, base.kinds, app_kinds)
        return Failing(
            run.first_hit,
            observed,
            usual,
            poisson_sigma(run.hits, usual * run.requests),
            run.requests,
            run.hits,
            60.0 * run.requests / max(10.0, now - run.since),
            shared,
        )

    def is_worse(self, run: ShareSum, reported: float) -> bool:
        expected = reported * run.requests
        return (
            run.hits >= ESCALATED * expected
            and poisson_sigma(run.hits, expected) >= ESCALATED_SIGMA
        )

    def forget(self) -> None:
        self.recovery.forget()
        self._peak = self.strongest = 0.0
        for level in self.levels:
            level.reset()

    # --- moving ----------------------------------------------------------------------------------

    def to_json(self) -> list[Any]:
        levels = [level.to_json() for level in self.levels]
        passing = [self._peak, self._passed, self._passed_at]
        kinds, last = list(self.kinds), self._last_kind
        back = self.recovery.to_json()
        return [levels, self.strongest, self._last_error, back, passing, kinds, last]

    def restore(self, data: Sequence[Any]) -> None:
        """Raises ``TypeError`` or ``ValueError`` for what is no watch."""
        levels, strongest, last_error, back, *rest = data
        if len(levels) != len(LEVELS):
            raise ValueError("one sum per level")
        self.levels = [ShareSum.from_json(level) for level in levels]
        self.strongest, self._last_error = float(strongest), float(last_error)
        self.recovery.restore(back)
        # what an earlier version wrote knows of nothing that passed, or of no kinds
        nothing: list[Any] = [(0.0, 0.0, 0.0), (), NO_KIND]
        passing, kinds, last_kind = rest + nothing[len(rest) :]
        peak, passed, at = passing
        self._peak, self._passed, self._passed_at = float(peak), float(passed), float(at)
        self.kinds, self._last_kind = kinds_seen(kinds), int(last_kind)


def _is_each_known(run: ShareSum) -> bool:
    """Of what kind those are that came after the first of their run nobody knows, but for the last
    of all; nor the first of a sum that began in the middle of a run, or of too many in one slice.
    """
    is_one_pair = run.runs == 1 and run.hits == run.requests == ERRORS_LEAST
    return is_one_pair or run.hits == run.runs <= COUNTED_MAX


def _may_be_blip(base: Baseline, run: ShareSum, strange: float) -> bool:
    """``strange`` are the runs outside the worst blip."""
    requests, hits, runs = run.apart
    if not hits:
        return True
    known = (base.believed_runs, base.believed_requests, 0)
    gain = failing_gain(requests, hits, runs, min(hits / requests, OUTAGE), base.company, known)
    return (gain + strange) / base.clumping < APART_NEEDED


def _is_sure(base: Baseline, run: ShareSum, observed: float, needed: float, strange: float) -> bool:
    """A stumble of three and one more by chance prove nothing while much still works."""
    to = min(observed, OUTAGE)
    known = (base.believed_runs, base.believed_requests, 0)
    gain = failing_gain(run.requests, run.hits, run.runs, to, base.company, known)
    gain = (gain + strange) / base.clumping
    is_few = run.hits < ERRORS_MIN or (run.runs <= RUNS_MIN and observed < MANY_FAIL)
    needed += _chances(base, to)
    return gain >= max(needed, BEYOND_DOUBT if is_few else 0.0)


def _chances(base: Baseline, to: float) -> float:
    """How much more a share must prove the more chances it has to come about by chance."""
    more = log(base.believed_requests * to / CHANCES)
    return min(CHANCES_MOST, max(CHANCES_LEAST, more))

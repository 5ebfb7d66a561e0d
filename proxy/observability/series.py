"""One route under watch: its slice of traffic, its evidence, its open incidents and what it learns.

A slice is weighed at once when ten seconds have passed since the last one, so on a quiet route
every request is. Learning lags behind by one to two windows, so that an onset never teaches the
baseline. Pure; time is passed in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import exp, log
from operator import add
from typing import Any

from proxy.config import Detector as DetectorSettings
from proxy.domain.anomaly import Anomaly
from proxy.observability.baseline import (
    LOG_GAMMA,
    NEUTRAL,
    SHIFT_FIRST,
    SHIFT_STEP,
    SHIFTS,
    Baseline,
    poisson_sigma,
    shift_factor,
)
from proxy.observability.evidence import (
    CREDIT_MAX,
    ERRORS_NEEDED,
    FIRST_SLOW,
    NEEDED,
    SLICE_S,
    WANDER,
    LatencySums,
    ShareSum,
    level_costs,
    null_penalties,
)
from proxy.observability.habits import ALL_HABITS_MAX, Habits
from proxy.observability.incident import (
    IncidentEnd,
    OpenIncident,
    error_sentence,
    latency_sentence,
    severity_of,
)
from proxy.observability.rollup import Minutes
from proxy.observability.sketch import BUCKETS, VALUES, quantiles

WARM_UP_S = 600.0
WARM_UP_REQUESTS = 50
LEARN_S = 300.0
HOLD_MAX_S = 3600.0
"""Suspicion without an incident keeps back learning at most so long."""
NEW_NORMAL_S = 1800.0
NEW_NORMAL_REQUESTS = 30
SILENT_S = 1800.0
DEPLOY_S = 1800.0
"""An incident that begins so soon after a release is shown beside it."""
SLOWER_MS = 10.0
"""Nobody notices less, whatever the ratio."""
ERRORS_MIN = 4
TAIL_HITS_MIN = 8
TAIL_KNOWN = 300.0
"""Requests after which a p99 means something."""
TAIL_SLICES = 6.0
ESCALATED = 3.0
"""An open incident this many times worse than reported is reported again."""
RECOVERY_NEEDED = 6.0
RECOVERY_SLICES = 3.0
TAIL_SHARE_MIN = 0.03
SUSPICIOUS = 0.4
RECOVERED = 0.25
GRID = SHIFT_STEP * LOG_GAMMA
"""Natural log between two hypotheses."""
WANDER_KEEP = 0.99
WANDER_PRIOR = 12.0 / WANDER**4
"""The first guess weighs like twelve windows."""
WANDER_MIN, WANDER_MAX = 0.1, 0.6
STRAY_SIGMA = 3.4
"""A route is slow when it strays this many times its usual wander."""
STRAY_MAX = 0.6
PACE_GAIN, PACE_MAX_S = 0.05, 300.0
OUTAGE = 0.5
CLUMPED = 0.4
"""How much an error proves that directly follows another one, unless everything fails."""
LATENCY_SPAN_S = 38.0
OUTAGE_SPAN_S = 16.0
ERRORS_SPAN_S = 25.0
SPREAD_S = 120.0
ALL_FAIL = 0.75
LEVEL_STEP = 0.5
"""Buckets that the level may move in one window: 1.5 % in five minutes follows a day's load."""
LEVEL_MAX, LEVEL_UP_MAX = 8.0, 5.0
LEVEL_KEEP = 0.9
"""Share of the level's evidence kept from window to window: a memory of about fifty minutes."""
RATIO_MIN = 1.55
FEW, YOUNG, FEW_NEED = 12, 200.0, 1.35
"""Few requests, or a baseline of few, must prove more: a streak of misses is no incident."""
ERROR_LEVELS = ((0.004, 6.0), (0.02, 5.0), (0.1, 4.0), (0.5, 2.4))
"""Least error share an incident is weighed against, and how many slices it must last."""


@dataclass(slots=True)
class Situation:
    """What all routes share."""

    deployed_at: float | None = None
    version: str = ""
    habits: Habits = field(default_factory=lambda: Habits(ALL_HABITS_MAX))

    def words(self, onset: float) -> str:
        """`` 3 minutes after release v42.`` when the onset follows a release, else nothing."""
        if self.deployed_at is None or not -60.0 <= onset - self.deployed_at <= DEPLOY_S:
            return ""
        minutes = max(0, round((onset - self.deployed_at) / 60.0))
        name = f"release {self.version}" if self.version else "a release"
        return f" It began {minutes} min after {name}."


class Series:
    """Everything about one (method, route)."""

    def __init__(
        self,
        method: str,
        route: str,
        settings: DetectorSettings,
        now: float,
        situation: "Situation | None" = None,
    ) -> None:
        self.situation = situation or Situation()
        self.method = method
        self.route = route
        self.settings = settings
        self.minutes = Minutes()
        self.baseline = Baseline()
        self.open: dict[str, OpenIncident] = {}
        self.needed = NEEDED * settings.latency_sigma / 3.0
        self.first_seen = now
        self.is_warm = False
        self._durations: dict[int, int] = {}
        self._requests = 0
        self._errors = 0
        self._error_runs = 0
        self._first_error = self._last_error = now
        self._error_evidence = 0.0
        self._recovery = 0.0
        self._fast_again = 0.0
        self._slow_at = -1
        self._failed_last = False
        self._began = now
        self._weighed = now - SLICE_S
        self._latency = LatencySums()
        self._tail = ShareSum()
        self._failing = [ShareSum() for _ in ERROR_LEVELS]
        self._run: dict[int, int] = {}
        self._fresh: dict[int, float] = {}
        self._waiting: dict[int, float] = {}
        self._fresh_counts = [0, 0]
        self._waiting_counts = [0, 0]
        self._window_from = now
        self.wander = WANDER
        self._wander_weight = self._wander_sum = 0.0
        self._strayed, self._strayed_chance = 0.0, WANDER**2
        self._pace_s = SLICE_S
        self._first_slow = FIRST_SLOW
        self._tail_margin = 0
        self._penalties = null_penalties(WANDER)
        self._level_cost = level_costs(WANDER)
        self._level: dict[int, float] = {}
        self._level_from = now
        self._last_request = now
        self._shift = 0
        self._drift = 0.0
        self._window_found = [0.0] * SHIFTS
        self._profile = [0.0] * SHIFTS
        self._closed: dict[str, OpenIncident] = {}
        self.habits = Habits()

    # --- every request ---------------------------------------------------------------------------

    def take(self, bucket: int, status: int, failed: bool, now: float) -> bool:
        """Put one request in the slice; True when the slice is due."""
        if not self._requests:
            self._began = now
        self._last_request = now
        self._requests += 1
        if failed:
            self._errors += 1
            if not self._failed_last:
                self._error_runs += 1
            if self._errors == 1:
                self._first_error = now
            self._last_error = now
        elif status < 400:
            self._durations[bucket] = self._durations.get(bucket, 0) + 1
        self._failed_last = failed
        return now - self._weighed >= SLICE_S

    def is_due(self, now: float) -> bool:
        return self._requests > 0 and now - self._weighed >= SLICE_S

    def discard(self) -> None:
        self._durations, self._requests, self._errors, self._error_runs = {}, 0, 0, 0

    # --- every slice -----------------------------------------------------------------------------

    def weigh(self, now: float, ends: list[IncidentEnd]) -> Anomaly | None:
        """Weigh the slice; the incident it proves, if any. Ends of incidents are appended to
        ``ends``.
        """
        durations, requests, errors = self._durations, self._requests, self._errors
        proofs = self._error_runs + CLUMPED * (errors - self._error_runs)
        self.discard()
        elapsed = max(0.0, now - self._weighed)
        credit = min(CREDIT_MAX, elapsed / SLICE_S)
        self._pace_s += PACE_GAIN * (min(elapsed, PACE_MAX_S) - self._pace_s)
        self._weighed = now
        found = self._weigh_errors(requests, errors, proofs, credit, now, ends)
        if durations and self.is_warm:
            found = self._weigh_latency(durations, credit, now, ends) or found
        self._learn(durations, requests, errors, now, ends)
        return found

    def _weigh_errors(
        self,
        requests: int,
        errors: int,
        proofs: float,
        credit: float,
        now: float,
        ends: list[IncidentEnd],
    ) -> Anomaly | None:
        incident = self.open.get("error_rate")
        if incident is not None:
            incident.hurt += errors
            incident.last_seen = now
            if self._is_recovered(incident, requests, errors, credit):
                self._close("error_rate", "recovered", now, ends)
                return None
            told = self._break_silence("error_rate", now)
            if told is not None:
                return told
        if not errors and not self._error_evidence:
            return None
        usual = self.baseline.error_share
        strongest = 0.0
        crossed: ShareSum | None = None
        for level, (least, slices) in zip(self._failing, ERROR_LEVELS, strict=True):
            to = min(0.9, max(least, self.settings.error_ratio * usual))
            level.add(
                requests,
                errors,
                errors if least >= OUTAGE else proofs,
                usual,
                to,
                ERRORS_NEEDED * credit / slices,
                ERRORS_NEEDED,
                self._began,
                self._first_error,
            )
            strongest = max(strongest, level.total)
            if level.total >= ERRORS_NEEDED and level.hits >= ERRORS_MIN:
                crossed = level
        self._error_evidence = strongest
        if crossed is None or not errors:
            return None
        if incident is not None and crossed.hits < (
            ESCALATED * incident.anomaly.observed * crossed.requests
        ):
            return None
        return self._error_anomaly(crossed, usual, now)

    def _is_recovered(
        self, incident: OpenIncident, requests: int, errors: int, credit: float
    ) -> bool:
        """Evidence that the share is the usual one again rather than most of the incident's."""
        usual = self.baseline.error_share
        still = max(1.5 * usual, 0.5 * min(0.95, incident.anomaly.observed))
        if still >= 1.0:
            return False
        gain = (requests - errors) * log((1.0 - usual) / (1.0 - still)) - errors * log(
            still / usual
        )
        cap = RECOVERY_NEEDED * credit / RECOVERY_SLICES
        self._recovery = max(0.0, self._recovery + max(-cap, min(cap, gain)))
        return self._recovery >= RECOVERY_NEEDED

    def _error_anomaly(self, run: ShareSum, usual: float, now: float) -> Anomaly | None:
        observed = run.hits / run.requests
        sigma = poisson_sigma(run.hits, usual * run.requests)
        if observed < self.settings.error_ratio_floor * usual:
            return None
        if run.first_hit is None:
            return None
        span = self._last_error - run.first_hit
        if span < (OUTAGE_SPAN_S if observed >= ALL_FAIL else ERRORS_SPAN_S):
            return None
        # four close together may be one stumble: they count when all fails or time lies between
        is_spread = (
            observed >= ALL_FAIL
            or span >= SPREAD_S
            or (run is not self._failing[-1] and run.proofs >= ERRORS_MIN - 0.5)
        )
        if run.hits < (ERRORS_MIN if is_spread else ERRORS_MIN + 1):
            return None
        per_minute = 60.0 * run.requests / max(10.0, now - run.since)
        ratio = observed / usual
        anomaly = Anomaly(
            kind="error_rate",
            method=self.method,
            route=self.route,
            onset=run.first_hit,
            detected_at=now,
            baseline=usual,
            observed=observed,
            ratio=ratio,
            sigma=sigma,
            samples=run.requests,
            severity=severity_of("error_rate", ratio, observed, per_minute),
            explanation=error_sentence(
                self.method,
                self.route,
                run.first_hit,
                observed,
                usual,
                sigma,
                run.requests,
                run.hits,
            )
            + self.situation.words(run.first_hit),
        )
        return self._report(anomaly, run.hits, now)

    def _weigh_latency(
        self,
        durations: Mapping[int, int],
        credit: float,
        now: float,
        ends: list[IncidentEnd],
    ) -> Anomaly | None:
        needed, base = self.needed, self.baseline
        best = self._latency.add(
            base,
            durations,
            self._began,
            credit,
            needed,
            self._penalties,
            self._first_slow,
            self._shift,
        )
        self._window_found = list(map(add, self._window_found, self._latency.found))
        n = sum(durations.values())
        slow = sum(
            c for b, c in durations.items() if b - self._shift >= base.tail_from + self._tail_margin
        )
        to = min(0.5, max(TAIL_SHARE_MIN, 5.0 * base.tail_share))
        if base.total >= TAIL_KNOWN:
            self._tail.add(
                n,
                slow,
                slow,
                min(base.tail_share, 0.1),
                to,
                needed * credit / TAIL_SLICES,
                needed,
                self._began,
                self._began,
            )
        for bucket, count in durations.items():
            self._run[bucket] = self._run.get(bucket, 0) + count
        incident = self.open.get("latency")
        if incident is not None:
            incident.hurt += sum(c for b, c in durations.items() if b > base.p95)
            incident.last_seen = now
            if self._is_fast_again(credit):
                self._close("latency", "recovered", now, ends)
                return None
            return self._break_silence("latency", now)
        if self._latency.best < 0.1 * needed and self._tail.total < 0.1 * needed:
            self._run = {}
            return None
        if self._latency.best >= needed and self._latency.rising:
            found = self._shift_anomaly(best, now)
            if found is not None:
                return found
        if slow and self._tail.total >= needed and self._tail.hits >= TAIL_HITS_MIN:
            return self._tail_anomaly(now)
        return None

    def _is_fast_again(self, credit: float) -> bool:
        """Evidence that durations are the usual ones rather than near the incident's."""
        if self._slow_at < 0:
            return self._tail.total <= RECOVERED * self.needed
        found = self._latency.found
        gain = max(found[: self._first_slow]) - max(found[self._slow_at :])
        cap = RECOVERY_NEEDED * credit / RECOVERY_SLICES
        self._fast_again = max(0.0, self._fast_again + max(-cap, min(cap, gain)))
        return self._fast_again >= RECOVERY_NEEDED

    def _shift_anomaly(self, best: int, now: float) -> Anomaly | None:
        run, base = self._run, self.baseline
        n = sum(run.values())
        p50, p95 = quantiles(run, (0.5, 0.95))
        assert p50 is not None
        assert p95 is not None
        if p95 - self._usual(base.p95) < SLOWER_MS and p50 - self._usual(base.p50) < SLOWER_MS:
            return None
        onset = self._latency.since[best]
        if now - onset < LATENCY_SPAN_S or n < 4:
            return None
        is_thin = n < FEW or base.total < YOUNG
        if is_thin and self._latency.best < FEW_NEED * self.needed:
            return None
        factor = self._run_factor(run)
        if factor < max(RATIO_MIN, exp(STRAY_SIGMA * self.wander)):
            return None
        mean_rank = sum(c * base.rank_share(b - self._shift) for b, c in run.items()) / n
        sigma = (mean_rank - 0.5) * (12.0 * n) ** 0.5
        if sigma < self.settings.latency_sigma:
            return None
        baseline, observed, what = self._usual(base.p50), p50, "takes"
        if observed < 1.4 * baseline:
            # two-humped durations: the middle may stay while the rest moves
            baseline, observed, what = self._usual(base.p95), p95, "takes (p95)"
        self._slow_at = max(self._first_slow, best - 2)
        return self._latency_anomaly(
            self._latency.since[best], baseline, observed, sigma, n, what, now
        )

    def _usual(self, bucket: int) -> float:
        """The usual duration in ms at a rank's bucket, at the level of now."""
        return VALUES[max(0, min(BUCKETS - 1, bucket + self._shift))]

    def _run_factor(self, run: Mapping[int, int]) -> float:
        """By how much the run is slower than usual now: the best-fitting shift of the whole run."""
        found = [0.0] * SHIFTS
        for bucket, count in run.items():
            row = self.baseline.likelihoods(bucket - self._shift)
            found = [total + count * x for total, x in zip(found, row, strict=True)]
        return shift_factor(_peak(found, SHIFTS))

    def _tail_anomaly(self, now: float) -> Anomaly | None:
        tail, base = self._tail, self.baseline
        if now - tail.since < LATENCY_SPAN_S:
            return None
        share = tail.hits / tail.requests
        sigma = poisson_sigma(tail.hits, base.tail_share * tail.requests)
        p99 = quantiles(self._run, (0.99,))[0]
        if p99 is None or p99 - self._usual(base.p99) < SLOWER_MS:
            return None
        if share < self.settings.error_ratio_floor * base.tail_share:
            return None
        if sigma < self.settings.latency_sigma:
            return None
        self._slow_at = -1
        return self._latency_anomaly(
            tail.since,
            self._usual(base.p99),
            p99,
            sigma,
            tail.requests,
            f"has {share:.0%} slow answers, p99",
            now,
        )

    def _latency_anomaly(
        self,
        onset: float,
        baseline: float,
        observed: float,
        sigma: float,
        n: int,
        what: str,
        now: float,
    ) -> Anomaly | None:
        ratio = observed / baseline
        per_minute = 60.0 * n / max(10.0, now - onset)
        anomaly = Anomaly(
            kind="latency",
            method=self.method,
            route=self.route,
            onset=onset,
            detected_at=now,
            baseline=baseline,
            observed=observed,
            ratio=ratio,
            sigma=sigma,
            samples=n,
            severity=severity_of("latency", ratio, observed, per_minute),
            explanation=latency_sentence(
                self.method, self.route, onset, observed, baseline, sigma, n, what
            )
            + self.situation.words(onset),
        )
        self._fast_again = 0.0
        self._level, self._level_from = {}, now
        self._drop_lessons(now)
        return self._report(anomaly, n, now)

    # --- incidents -------------------------------------------------------------------------------

    def _report(self, anomaly: Anomaly, hurt: int, now: float) -> Anomaly | None:
        """Open the incident. One that ended within ``dedup_s`` opens again and counts up instead
        of a new report.
        """
        before = self._closed.pop(anomaly.kind, None)
        if (
            before is not None
            and now - before.last_seen < self.settings.dedup_s
            and anomaly.ratio < ESCALATED * before.anomaly.ratio
        ):
            before.occurrences += 1
            before.hurt += hurt
            before.last_seen = now
            self.open[anomaly.kind] = before
            return None
        self._recovery = 0.0
        usual_until = self.habits.expected_until(anomaly) or self.situation.habits.hourly_until(
            anomaly
        )
        self.open[anomaly.kind] = OpenIncident(
            anomaly, hurt=hurt, last_seen=now, quiet_until=usual_until
        )
        return anomaly if usual_until is None else None

    def _close(self, kind: str, reason: str, now: float, ends: list[IncidentEnd]) -> None:
        incident = self.open.pop(kind)
        incident.last_seen = now
        self._closed[kind] = incident
        self.habits.remember(incident.anomaly, now)
        self.situation.habits.remember(incident.anomaly, now)
        if kind == "latency" and reason == "recovered" and 1.0 < incident.anomaly.ratio < 3.0:
            # a route that often strays so far and comes back must stray further to be news
            self._stray(log(incident.anomaly.ratio), 0.0)
        if incident.quiet_until is not None:
            self._forget_evidence(kind)
            return
        onset = incident.anomaly.onset
        ends.append(
            IncidentEnd(
                incident.anomaly, now, now - onset, incident.hurt, incident.occurrences, reason
            )
        )
        self._forget_evidence(kind)

    def _forget_evidence(self, kind: str) -> None:
        if kind == "latency":
            self._latency.reset()
            self._tail.reset()
            self._run = {}
        else:
            self._recovery = 0.0
            for level in self._failing:
                level.reset()

    def _break_silence(self, kind: str, now: float) -> Anomaly | None:
        """What every night brings is told after all when it lasts longer than every night."""
        incident = self.open[kind]
        if incident.quiet_until is None or now < incident.quiet_until:
            return None
        incident.quiet_until = None
        incident.anomaly = replace(incident.anomaly, detected_at=now)
        return incident.anomaly

    def rest(self, now: float, ends: list[IncidentEnd]) -> None:
        """Without requests an incident ends some time, too."""
        if self.open and now - self._last_request > SILENT_S:
            for kind in list(self.open):
                self._close(kind, "silent", now, ends)

    # --- learning --------------------------------------------------------------------------------

    def _learn(
        self,
        durations: Mapping[int, int],
        requests: int,
        errors: int,
        now: float,
        ends: list[IncidentEnd],
    ) -> None:
        base = self.baseline
        if not self.is_warm:
            base.fade_to(now)
            base.learn(durations, requests, errors)
            if now - self.first_seen >= WARM_UP_S and base.total >= WARM_UP_REQUESTS:
                base.rebuild()
                self.is_warm = True
                self._window_from = now
            return
        if "latency" in self.open:
            self._get_used(durations, now, ends)
        else:
            for bucket, count in durations.items():
                self._fresh[bucket] = self._fresh.get(bucket, 0) + count
        if "error_rate" not in self.open:
            self._fresh_counts[0] += requests
            self._fresh_counts[1] += errors
        age = now - self._window_from
        if age < LEARN_S or (self._is_suspicious and age < HOLD_MAX_S):
            return
        base.fade_to(now)
        base.learn(self._waiting, *self._waiting_counts)
        base.rebuild()
        if "latency" not in self.open:
            self._follow_level()
        self._waiting, self._waiting_counts = self._fresh, self._fresh_counts
        self._fresh, self._fresh_counts = {}, [0, 0]
        self._window_from = now

    def _follow_level(self) -> None:
        """The level of a day's load moves slowly; follow it, at most ``LEVEL_STEP`` a window."""
        window, self._window_found = self._window_found, [0.0] * SHIFTS
        self._learn_wander(window)
        before = self._shift
        self._profile = [LEVEL_KEEP * p + w for p, w in zip(self._profile, window, strict=True)]
        seen = [p - c for p, c in zip(self._profile, self._level_cost, strict=True)]
        target = SHIFT_FIRST + SHIFT_STEP * _peak(seen, FIRST_SLOW + 1)
        step = max(-LEVEL_STEP, min(LEVEL_STEP, target))
        self._drift = max(-LEVEL_MAX, min(LEVEL_UP_MAX, self._drift + step))
        self._shift = round(self._drift)
        if self._shift != before:
            self._profile = _moved(self._profile, (self._shift - before) / SHIFT_STEP)

    def _learn_wander(self, window: list[float]) -> None:
        """How far this route's level strays from window to window, beyond what chance explains."""
        k = max(range(1, SHIFTS - 1), key=window.__getitem__)
        bend = (2 * window[k] - window[k - 1] - window[k + 1]) / GRID**2
        if bend <= 0:
            return
        strayed = (SHIFT_FIRST + SHIFT_STEP * _peak(window, SHIFTS)) * LOG_GAMMA
        # from window to window: a slow drift is no wander
        step, chance = strayed - self._strayed, 1.0 / bend + self._strayed_chance
        self._strayed, self._strayed_chance = strayed, 1.0 / bend
        self._stray(step, chance)

    def _stray(self, strayed: float, chance: float) -> None:
        strayed = max(-STRAY_MAX, min(STRAY_MAX, strayed))
        weight = 1.0 / (WANDER**2 + chance) ** 2
        self._wander_weight = WANDER_KEEP * self._wander_weight + weight
        self._wander_sum = WANDER_KEEP * self._wander_sum + weight * (strayed**2 - chance)
        known = max(0.0, self._wander_sum + WANDER_PRIOR * WANDER**2) / (
            self._wander_weight + WANDER_PRIOR
        )
        self._set_wander(min(WANDER_MAX, max(WANDER_MIN, known**0.5)))

    def _set_wander(self, wander: float) -> None:
        self.wander = wander
        self._penalties = null_penalties(wander, self._pace_s)
        # a route that strays far must be slower by more than it strays
        self._tail_margin = max(0, round((STRAY_SIGMA * wander - log(RATIO_MIN)) / LOG_GAMMA))
        self._first_slow = max(FIRST_SLOW, round(NEUTRAL + STRAY_SIGMA * wander / GRID))

    @property
    def _is_suspicious(self) -> bool:
        return (
            max(self._latency.best, self._tail.total) >= SUSPICIOUS * self.needed
            or max(level.total for level in self._failing) >= 2 * SUSPICIOUS * ERRORS_NEEDED
        )

    def _drop_lessons(self, now: float) -> None:
        self._fresh, self._waiting = {}, {}
        self._window_from = now

    def _get_used(self, durations: Mapping[int, int], now: float, ends: list[IncidentEnd]) -> None:
        """A level that stays for half an hour is the new normal."""
        for bucket, count in durations.items():
            self._level[bucket] = self._level.get(bucket, 0) + count
        if now - self._level_from < NEW_NORMAL_S:
            return
        if sum(self._level.values()) < NEW_NORMAL_REQUESTS:
            return
        self.baseline.replace(self._level)
        self.baseline.rebuild()
        self._level = {}
        self._close("latency", "new_normal", now, ends)

    # --- moving ----------------------------------------------------------------------------------

    def export(self) -> dict[str, Any]:
        """JSON-able: the baseline (counts that add) and this process's own state beside it."""
        return {
            "first_seen": self.first_seen,
            "baseline": self.baseline.to_json(),
            "state": {
                "plain": {name: getattr(self, name) for name in _PLAIN},
                "counts": {
                    name: {str(k): v for k, v in getattr(self, name).items()} for name in _COUNTS
                },
                "latency": self._latency.to_json(),
                "tail": self._tail.to_json(),
                "failing": [level.to_json() for level in self._failing],
                "open": {kind: i.to_json() for kind, i in self.open.items()},
                "closed": {kind: i.to_json() for kind, i in self._closed.items()},
                "habits": self.habits.to_json(),
            },
        }

    def restore(self, row: Mapping[str, Any], now: float) -> None:
        """Go on where ``export`` stopped; without ``state`` the baseline spares a new warm-up."""
        self.baseline = Baseline.from_json(row["baseline"])
        self.first_seen = min(float(row["first_seen"]), now)
        if self.baseline.total >= WARM_UP_REQUESTS:
            self.baseline.rebuild()
            self.is_warm = True
        state = row.get("state")
        if state is None:
            return
        for name in _PLAIN:
            value, known = state["plain"][name], getattr(self, name)
            setattr(self, name, list(value) if isinstance(known, list) else type(known)(value))
        for name in _COUNTS:
            setattr(self, name, {int(k): v for k, v in state["counts"][name].items()})
        self._latency = LatencySums.from_json(state["latency"])
        self._tail = ShareSum.from_json(state["tail"])
        self._failing = [ShareSum.from_json(level) for level in state["failing"]]
        self.open = {k: OpenIncident.from_json(i) for k, i in state["open"].items()}
        self._closed = {k: OpenIncident.from_json(i) for k, i in state["closed"].items()}
        self.habits = Habits.from_json(state["habits"])
        self._set_wander(self.wander)


_PLAIN = (
    "is_warm",
    "_requests",
    "_errors",
    "_error_runs",
    "_first_error",
    "_last_error",
    "_error_evidence",
    "_recovery",
    "_fast_again",
    "_slow_at",
    "_failed_last",
    "_began",
    "_weighed",
    "_last_request",
    "_window_from",
    "_level_from",
    "_shift",
    "_drift",
    "_window_found",
    "_profile",
    "wander",
    "_wander_weight",
    "_wander_sum",
    "_strayed",
    "_strayed_chance",
    "_pace_s",
    "_fresh_counts",
    "_waiting_counts",
)
_COUNTS = ("_durations", "_run", "_fresh", "_waiting", "_level")


def _peak(values: list[float], end: int) -> float:
    """The position of the greatest of ``values[:end]``, between the grid's points by a parabola."""
    k = max(range(end), key=values.__getitem__)
    if 0 < k < end - 1:
        left, middle, right = values[k - 1 : k + 2]
        bend = left - 2 * middle + right
        if bend < 0:
            return k + 0.5 * (left - right) / bend
    return float(k)


def _moved(values: list[float], by: float) -> list[float]:
    """``values`` read ``by`` places further on (less than one), between the points linearly."""
    if by < 0:
        return _moved(values[::-1], -by)[::-1]
    following = [*values[1:], values[-1]]
    return [(1.0 - by) * x + by * y for x, y in zip(values, following, strict=True)]

"""One route under watch: its slice of traffic, its evidence, its open incidents and what it learns.

A slice is weighed at once when ten seconds have passed since the last one, so on a quiet route
every request is.
Learning lags behind by one to two windows, so that an onset never teaches the baseline. Pure; time
is passed in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from proxy.config import Detector as DetectorSettings
from proxy.domain.anomaly import Anomaly
from proxy.observability.baseline import Baseline, poisson_sigma
from proxy.observability.evidence import (
    CREDIT_MAX,
    FIRST_SLOW,
    NEEDED,
    SLICE_S,
    WANDER,
    LatencySums,
    ShareSum,
    null_penalties,
)
from proxy.observability.incident import (
    IncidentEnd,
    OpenIncident,
    error_sentence,
    latency_sentence,
    severity_of,
)
from proxy.observability.rollup import Minutes
from proxy.observability.sketch import VALUES, quantiles

WARM_UP_S = 600.0
WARM_UP_REQUESTS = 50
LEARN_S = 300.0
HOLD_MAX_S = 3600.0
"""Suspicion without an incident keeps back learning at most so long."""
NEW_NORMAL_S = 1800.0
NEW_NORMAL_REQUESTS = 30
SILENT_S = 1800.0
SLOWER_MS = 10.0
"""Nobody notices less, whatever the ratio."""
ERRORS_MIN = 4
TAIL_HITS_MIN = 8
TAIL_SHARE_MIN = 0.03
SUSPICIOUS = 0.4
RECOVERED = 0.25
ERROR_LEVELS: tuple[tuple[float, float], ...] = ((0.004, 6.0), (0.02, 5.0), (0.1, 4.0), (0.5, 2.4))
"""Least error share an incident is weighed against, and how many slices it must last."""


@dataclass(slots=True)
class Situation:
    """What all routes share."""

    deployed_at: float | None = None
    version: str = ""


class Series:
    """Everything about one (method, route)."""

    def __init__(self, method: str, route: str, settings: DetectorSettings, now: float) -> None:
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
        self._penalties = null_penalties(WANDER)
        self._level: dict[int, float] = {}
        self._level_from = now
        self._last_request = now
        self._closed: dict[str, OpenIncident] = {}

    # --- every request ---------------------------------------------------------------------------

    def take(self, bucket: int, status: int, failed: bool, now: float) -> bool:
        """Put one request in the slice; True when the slice is due."""
        if not self._requests:
            self._began = now
        self._requests += 1
        if failed:
            self._errors += 1
        elif status < 400:
            self._durations[bucket] = self._durations.get(bucket, 0) + 1
        return now - self._weighed >= SLICE_S

    def is_due(self, now: float) -> bool:
        return self._requests > 0 and now - self._weighed >= SLICE_S

    def discard(self) -> None:
        self._durations, self._requests, self._errors = {}, 0, 0

    # --- every slice -----------------------------------------------------------------------------

    def weigh(self, now: float, situation: Situation, ends: list[IncidentEnd]) -> Anomaly | None:
        """Weigh the slice; the incident it proves, if any. Ends of incidents are appended to
        ``ends``.
        """
        durations, requests, errors = self._durations, self._requests, self._errors
        self.discard()
        credit = min(CREDIT_MAX, max(0.0, now - self._weighed) / SLICE_S)
        self._weighed = self._last_request = now
        found = self._weigh_errors(requests, errors, credit, now, ends)
        if durations and self.is_warm:
            found = self._weigh_latency(durations, credit, now, situation, ends) or found
        self._learn(durations, requests, errors, now, ends)
        return found

    def _weigh_errors(
        self, requests: int, errors: int, credit: float, now: float, ends: list[IncidentEnd]
    ) -> Anomaly | None:
        incident = self.open.get("error_rate")
        if incident is not None:
            incident.hurt += errors
            incident.last_seen = now
        if not errors and not any(s.total for s in self._failing):
            return None
        usual = self.baseline.error_share
        strongest = 0.0
        crossed: ShareSum | None = None
        for level, (least, slices) in zip(self._failing, ERROR_LEVELS, strict=True):
            to = min(0.9, max(least, self.settings.error_ratio * usual))
            level.add(requests, errors, usual, to, NEEDED * credit / slices, NEEDED, self._began)
            strongest = max(strongest, level.total)
            if level.total >= NEEDED and level.hits >= ERRORS_MIN:
                crossed = level
        if incident is not None:
            if strongest <= RECOVERED * NEEDED:
                self._close("error_rate", "recovered", now, ends)
            return None
        if crossed is None or not errors:
            return None
        return self._error_anomaly(crossed, usual, now)

    def _error_anomaly(self, run: ShareSum, usual: float, now: float) -> Anomaly | None:
        observed = run.hits / run.requests
        sigma = poisson_sigma(run.hits, usual * run.requests)
        if observed < self.settings.error_ratio_floor * usual:
            return None
        per_minute = 60.0 * run.requests / max(10.0, now - run.since)
        ratio = observed / usual
        anomaly = Anomaly(
            kind="error_rate",
            method=self.method,
            route=self.route,
            onset=run.since,
            detected_at=now,
            baseline=usual,
            observed=observed,
            ratio=ratio,
            sigma=sigma,
            samples=run.requests,
            severity=severity_of("error_rate", ratio, observed, per_minute),
            explanation=error_sentence(
                self.method, self.route, run.since, observed, usual, sigma, run.requests, run.hits
            ),
        )
        return self._report(anomaly, run.hits, now)

    def _weigh_latency(
        self,
        durations: Mapping[int, int],
        credit: float,
        now: float,
        situation: Situation,
        ends: list[IncidentEnd],
    ) -> Anomaly | None:
        needed, base = self.needed, self.baseline
        best = self._latency.add(
            base, durations, self._began, credit, needed, self._penalties, FIRST_SLOW
        )
        n = sum(durations.values())
        slow = sum(c for b, c in durations.items() if b >= base.tail_from)
        to = min(0.5, max(TAIL_SHARE_MIN, 5.0 * base.tail_share))
        self._tail.add(
            n, slow, min(base.tail_share, 0.1), to, needed * credit / 6.0, needed, self._began
        )
        for bucket, count in durations.items():
            self._run[bucket] = self._run.get(bucket, 0) + count
        incident = self.open.get("latency")
        if incident is not None:
            incident.hurt += sum(c for b, c in durations.items() if b > base.p95)
            incident.last_seen = now
            if max(self._latency.best, self._tail.total) <= RECOVERED * needed:
                self._close("latency", "recovered", now, ends)
            return None
        if self._latency.best < 0.1 * needed and self._tail.total < 0.1 * needed:
            self._run = {}
            return None
        if self._latency.best >= needed:
            found = self._shift_anomaly(best, now)
            if found is not None:
                return found
        if self._tail.total >= needed and self._tail.hits >= TAIL_HITS_MIN:
            return self._tail_anomaly(now)
        return None

    def _shift_anomaly(self, best: int, now: float) -> Anomaly | None:
        run, base = self._run, self.baseline
        n = sum(run.values())
        p50, p95 = quantiles(run, (0.5, 0.95))
        assert p50 is not None
        assert p95 is not None
        if p95 - VALUES[base.p95] < SLOWER_MS and p50 - VALUES[base.p50] < SLOWER_MS:
            return None
        mean_rank = sum(c * base.rank_share(b) for b, c in run.items()) / n
        sigma = (mean_rank - 0.5) * (12.0 * n) ** 0.5
        if sigma < self.settings.latency_sigma:
            return None
        baseline, observed, what = VALUES[base.p50], p50, "takes"
        if observed < 1.4 * baseline:
            # two-humped durations: the middle may stay while the rest moves
            baseline, observed, what = VALUES[base.p95], p95, "takes (p95)"
        return self._latency_anomaly(
            self._latency.since[best], baseline, observed, sigma, n, what, now
        )

    def _tail_anomaly(self, now: float) -> Anomaly | None:
        tail, base = self._tail, self.baseline
        share = tail.hits / tail.requests
        sigma = poisson_sigma(tail.hits, base.tail_share * tail.requests)
        p99 = quantiles(self._run, (0.99,))[0]
        if p99 is None or p99 - VALUES[base.p99] < SLOWER_MS:
            return None
        if share < self.settings.error_ratio_floor * base.tail_share:
            return None
        if sigma < self.settings.latency_sigma:
            return None
        return self._latency_anomaly(
            tail.since,
            VALUES[base.p99],
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
    ) -> Anomaly:
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
            ),
        )
        self._level, self._level_from = {}, now
        self._drop_lessons(now)
        self._report(anomaly, n, now)
        return anomaly

    # --- incidents -------------------------------------------------------------------------------

    def _report(self, anomaly: Anomaly, hurt: int, now: float) -> Anomaly | None:
        """Open the incident. One that ended within ``dedup_s`` opens again and counts up instead
        of a new report.
        """
        before = self._closed.pop(anomaly.kind, None)
        if before is not None and now - before.last_seen < self.settings.dedup_s:
            before.occurrences += 1
            before.hurt += hurt
            before.last_seen = now
            self.open[anomaly.kind] = before
            return None
        self.open[anomaly.kind] = OpenIncident(anomaly, hurt=hurt, last_seen=now)
        return anomaly

    def _close(self, kind: str, reason: str, now: float, ends: list[IncidentEnd]) -> None:
        incident = self.open.pop(kind)
        incident.last_seen = now
        self._closed[kind] = incident
        onset = incident.anomaly.onset
        ends.append(
            IncidentEnd(
                incident.anomaly, now, now - onset, incident.hurt, incident.occurrences, reason
            )
        )
        if kind == "latency":
            self._latency.reset()
            self._tail.reset()
            self._run = {}
        else:
            for level in self._failing:
                level.reset()

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
        if self._waiting:
            base.rebuild()
        self._waiting, self._waiting_counts = self._fresh, self._fresh_counts
        self._fresh, self._fresh_counts = {}, [0, 0]
        self._window_from = now

    @property
    def _is_suspicious(self) -> bool:
        return (
            max(self._latency.best, self._tail.total) >= SUSPICIOUS * self.needed
            or max(level.total for level in self._failing) >= 2 * SUSPICIOUS * NEEDED
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
        return {"first_seen": self.first_seen, "baseline": self.baseline.to_json()}

    def restore(self, row: Mapping[str, Any], now: float) -> None:
        self.baseline = Baseline.from_json(row["baseline"])
        self.first_seen = min(float(row["first_seen"]), now)
        if self.baseline.total >= WARM_UP_REQUESTS:
            self.baseline.rebuild()
            self.is_warm = True

"""One route under watch: its slice of traffic, and the parts that weigh it, tell it and learn it.

A slice is weighed when ten seconds have passed since the last one and it holds a failure or more
than a few slow answers; when all is calm, it may grow for half a minute. Pure; time is passed in.
"""

from collections.abc import Mapping
from math import log
from typing import Any

from proxy.config import Detector as DetectorSettings
from proxy.domain.anomaly import Anomaly
from proxy.observability.baseline import Baseline, join_durations
from proxy.observability.delta import Delta
from proxy.observability.evidence import CREDIT_MAX, ERRORS_NEEDED, SLICE_S
from proxy.observability.failures import OUTAGE, Failing, FailureWatch, Slice
from proxy.observability.incident import (
    IncidentEnd,
    error_sentence,
    latency_sentence,
    severity_of,
)
from proxy.observability.latency import LatencyWatch, Slow
from proxy.observability.ledger import Ledger
from proxy.observability.lessons import HOLD_MAX_S, LEARN_S, Lessons
from proxy.observability.level import Level
from proxy.observability.rollup import Minutes
from proxy.observability.situation import Situation
from proxy.observability.sketch import BUCKETS

WARM_UP_S = 600.0
WARM_UP_REQUESTS = 50
LATE_S = 30.0
"""A calm slice is weighed at last after so long."""
HOT_ENOUGH, HOT_SHARE = 3, 6
"""Slow answers, the usual ones between them taken off, that make a slice worth weighing: so many,
or one for each six requests.
"""
STRETCHED_LEARN_S = 600.0
"""A level that keeps rising may be a leak: it becomes usual half as fast."""
TURNED_BACK_S = 60.0
"""A clock that was set back by more starts the evidence anew; by less, it is waited for."""
NEW_NORMAL_S = 1800.0
NEW_NORMAL_REQUESTS = 30
SILENT_S = 1800.0
SUSPICIOUS = 0.4
ERRORS_SUSPICIOUS = 0.5
"""Shares of the evidence needed at which learning stops."""
HEARD_WORTH = 0.06
"""What others learned is worth a new table when it is such a share of what is known."""
PASSING_S, PASSING_RATIO = 900.0, 3.0
"""A slowdown so short and so mild that goes by itself is how the route is."""
STUMBLE_S = 420.0
"""The same for errors, while less than half fails."""


class Series:
    """Everything about one (method, route)."""

    __slots__ = (
        "_before_error",
        "_began",
        "_cool_at",
        "_durations",
        "_error_runs",
        "_errors",
        "_failed_last",
        "_first_error",
        "_followed",
        "_heard",
        "_hot_at",
        "_hot_from",
        "_hot_score",
        "_is_adopted",
        "_last_error",
        "_last_request",
        "_level_counts",
        "_level_from",
        "_requests",
        "baseline",
        "due",
        "failures",
        "first_seen",
        "is_queued",
        "is_warm",
        "late",
        "latency",
        "ledger",
        "lessons",
        "level",
        "method",
        "minutes",
        "route",
        "situation",
        "weighed",
    )

    def __init__(
        self,
        method: str,
        route: str,
        settings: DetectorSettings,
        now: float,
        situation: Situation | None = None,
    ) -> None:
        self.situation = situation or Situation()
        self.method = method
        self.route = route
        self.minutes = Minutes()
        self.baseline = Baseline()
        self.level = Level(self.situation, now)
        self.latency = LatencyWatch(settings.latency_sigma, settings.error_ratio_floor)
        self.failures = FailureWatch(settings.error_ratio, settings.error_ratio_floor)
        self.ledger = Ledger(settings.dedup_s, self.situation)
        self.lessons = Lessons(now)
        self.first_seen = now
        self.is_warm = False
        self.is_queued = False
        self.weighed = now - SLICE_S
        self.due = self.late = now
        self._hot_from, self._hot_score = BUCKETS, 0
        self._hot_at = self._cool_at = now
        self._before_error = 0
        self._durations: dict[int, int] = {}
        self._requests = 0
        self._errors = 0
        self._error_runs = 0
        self._first_error = self._last_error = now
        self._failed_last = False
        self._began = now
        self._last_request = now
        self._followed = now
        self._is_adopted = False
        self._level_counts: dict[int, int] = {}
        self._level_from = now
        self._heard: Delta | None = None
        """Durations that other processes learned, waiting to be worth a new table."""

    # --- every request ---------------------------------------------------------------------------

    def take(self, bucket: int, status: int, failed: bool, now: float) -> bool:
        """Put one request in the slice; True when the slice is due."""
        if not self._requests:
            self._began = now
        self._requests += 1
        score = self._hot_score
        if failed:
            self._errors += 1
            if not self._failed_last:
                self._error_runs += 1
                self._failed_last = True
            if self._errors == 1:
                self._first_error, self._before_error = now, self._requests - 1
            self._last_error = now
            if not score:
                self._hot_at, self._cool_at = now, self._last_request
            score = HOT_ENOUGH
        else:
            self._failed_last = False
            if status < 400:
                durations = self._durations
                durations[bucket] = durations.get(bucket, 0) + 1
                if bucket > self._hot_from:
                    if not score:
                        self._hot_at, self._cool_at = now, self._last_request
                    score += 1
                elif score:
                    score -= 1
        self._hot_score = score
        self._last_request = now
        if now >= self.due and (
            score >= HOT_ENOUGH or HOT_SHARE * score >= self._requests or now >= self.late
        ):
            return True
        return now < self.weighed - TURNED_BACK_S

    def take_plain(self, buckets: list[int], ends: list[float], first: int) -> int:
        """``take`` of 2xx answers side by side, from the one numbered ``first`` on: how many have
        been taken in all when the slice is due, 0 when all are and it is not.
        """
        count = len(buckets)
        if first == count:
            return 0
        if not self._requests:
            self._began = ends[first]
        requests, score, before = self._requests, self._hot_score, self._last_request
        durations, hot_from, due, late = self._durations, self._hot_from, self.due, self.late
        turned_back = self.weighed - TURNED_BACK_S
        taken, is_due = first, False
        while taken < count and not is_due:
            bucket, now = buckets[taken], ends[taken]
            taken += 1
            requests += 1
            durations[bucket] = durations.get(bucket, 0) + 1
            if bucket > hot_from:
                if not score:
                    self._hot_at, self._cool_at = now, before
                score += 1
            elif score:
                score -= 1
            before = now
            is_due = now < turned_back or (
                now >= due and (score >= HOT_ENOUGH or HOT_SHARE * score >= requests or now >= late)
            )
        self._requests, self._hot_score, self._last_request = requests, score, before
        self._failed_last = False
        return taken if is_due else 0

    @property
    def is_waiting(self) -> bool:
        return self._requests > 0

    @property
    def ripe_at(self) -> float:
        """When the slice is weighed though no request comes any more."""
        score = self._hot_score
        is_hot = score >= HOT_ENOUGH or HOT_SHARE * score >= self._requests
        return self.due if is_hot else self.late

    def discard(self) -> None:
        self._durations, self._requests, self._errors, self._error_runs = {}, 0, 0, 0
        self._hot_score = 0

    # --- every slice -----------------------------------------------------------------------------

    def weigh(self, now: float, ends: list[IncidentEnd]) -> Anomaly | None:
        """Weigh the slice; the incident it proves, if any. Ends of incidents are appended to
        ``ends``.
        """
        durations, requests, errors = self._durations, self._requests, self._errors
        if not requests:
            return None
        runs, began = self._error_runs, self._began
        elapsed = now - self.weighed
        if elapsed < 0.0:
            self._turn_back(now)
            elapsed = 0.0
        hot_for = elapsed
        if self._hot_score:
            # a slice that was calm for long proves no more than what came since
            hot_for = min(elapsed, max(SLICE_S, now - self._cool_at))
            began = max(began, self._hot_at)
        self.discard()
        credit = min(CREDIT_MAX, hot_for / SLICE_S)
        self.weighed, self.due = now, now + SLICE_S
        found: Anomaly | None = None
        if errors or self.failures.strongest or "error_rate" in self.ledger.open:
            seen = Slice(
                requests,
                errors,
                runs,
                self._before_error if errors else 0,
                began,
                self._first_error,
                self._last_error,
            )
            found = self._weigh_errors(seen, credit, now, ends)
        if durations and self.is_warm:
            found = self._weigh_latency(durations, began, credit, now, ends) or found
        self._learn(durations, requests, errors, runs, now, ends)
        is_tense = not self.is_warm or self.latency.is_tense or bool(self.ledger.open)
        self.late = self.due if is_tense else now + LATE_S
        self._hot_from = self.baseline.p75 + self.level.shift if self.is_warm else BUCKETS
        return found

    def _weigh_errors(
        self, seen: Slice, credit: float, now: float, ends: list[IncidentEnd]
    ) -> Anomaly | None:
        usual = self.baseline.error_share
        incident = self.ledger.open.get("error_rate")
        if incident is not None:
            incident.hurt += seen.errors
            incident.last_seen = now
            if self.failures.is_back(usual, incident.anomaly.observed, seen, credit):
                self._close("error_rate", "recovered", now, ends)
                return None
            told = self.ledger.break_silence("error_rate", now)
            if told is not None:
                return told
        crossed = self.failures.add(self.baseline, seen, credit)
        if crossed is None:
            return None
        if incident is not None and not self.failures.is_worse(crossed, incident.anomaly.observed):
            return None
        found = self.failures.verdict(self.baseline, crossed, now)
        return None if found is None else self._tell_failing(found, now)

    def _weigh_latency(
        self,
        durations: Mapping[int, int],
        began: float,
        credit: float,
        now: float,
        ends: list[IncidentEnd],
    ) -> Anomaly | None:
        base, level, latency = self.baseline, self.level, self.latency
        n = sum(durations.values())
        likely = latency.add(base, level, durations, n, began, credit, now)
        incident = self.ledger.open.get("latency")
        if incident is None:
            is_calm = latency.strongest < SUSPICIOUS * latency.needed
            level.add(likely, n, base.readable, now, is_calm)
            if latency.strongest < latency.needed:
                return None
            found = latency.verdict(base, level, now)
            return None if found is None else self._tell_slow(found, now)
        incident.hurt += sum(c for b, c in durations.items() if b > base.p95)
        incident.last_seen = now
        if latency.is_back(likely, credit):
            self._close("latency", "recovered", now, ends)
            return None
        return self.ledger.break_silence("latency", now)

    def _turn_back(self, now: float) -> None:
        self._followed = now
        self._level_from = now
        self.latency.forget()
        self.failures.forget()
        self.level.restart(now)
        self.lessons.drop_counts(now)

    # --- telling ---------------------------------------------------------------------------------

    def _tell_failing(self, found: Failing, now: float) -> Anomaly | None:
        ratio = found.observed / found.usual
        anomaly = Anomaly(
            kind="error_rate",
            method=self.method,
            route=self.route,
            onset=found.since,
            detected_at=now,
            baseline=found.usual,
            observed=found.observed,
            ratio=ratio,
            sigma=found.sigma,
            samples=found.requests,
            severity=severity_of("error_rate", ratio, found.observed, found.per_minute),
            explanation=error_sentence(
                self.method,
                self.route,
                found.since,
                found.observed,
                found.usual,
                found.sigma,
                found.requests,
                found.errors,
            )
            + self.situation.words(found.since),
        )
        self.lessons.drop_counts(now)
        return self.ledger.report(anomaly, found.errors, now)

    def _tell_slow(self, found: Slow, now: float) -> Anomaly | None:
        ratio = found.observed / found.baseline
        per_minute = 60.0 * found.samples / max(10.0, now - found.since)
        anomaly = Anomaly(
            kind="latency",
            method=self.method,
            route=self.route,
            onset=found.since,
            detected_at=now,
            baseline=found.baseline,
            observed=found.observed,
            ratio=ratio,
            sigma=found.sigma,
            samples=found.samples,
            severity=severity_of("latency", ratio, found.observed, per_minute),
            explanation=latency_sentence(
                self.method,
                self.route,
                found.since,
                found.observed,
                found.baseline,
                found.sigma,
                found.samples,
                found.what,
            )
            + self.situation.words(found.since),
        )
        self._level_counts, self._level_from = {}, now
        self.lessons.drop_durations()
        self.level.began(now)
        return self.ledger.report(anomaly, found.samples, now, found.least)

    def _close(self, kind: str, reason: str, now: float, ends: list[IncidentEnd]) -> None:
        incident = self.ledger.close(kind, reason, now, ends)
        lasted = now - incident.anomaly.onset
        if kind == "error_rate":
            self.failures.forget()
            is_brief = reason == "recovered" and lasted < STUMBLE_S
            if is_brief and incident.anomaly.observed < OUTAGE:
                self.baseline.stumbled()
            return
        self.latency.forget()
        ratio = incident.anomaly.ratio
        is_passing = lasted < PASSING_S and 1.0 < ratio < PASSING_RATIO
        if reason == "recovered" and is_passing:
            self.level.came_back(log(ratio))

    def rest(self, now: float, ends: list[IncidentEnd]) -> None:
        """Without requests an incident ends some time, too."""
        if self.ledger.open and now - self._last_request > SILENT_S:
            for kind in list(self.ledger.open):
                self._close(kind, "silent", now, ends)

    def retire(self, now: float, ends: list[IncidentEnd]) -> None:
        """This is no route any more."""
        self.discard()
        for kind in list(self.ledger.open):
            self._close(kind, "silent", now, ends)

    def join(self, other: "Series") -> None:
        """Take over what is usual on a route that has become part of this one."""
        self.first_seen = min(self.first_seen, other.first_seen)
        self.minutes.join(other.minutes)
        self.baseline.add(other.baseline)
        if self.is_warm:
            self.baseline.rebuild()

    # --- learning --------------------------------------------------------------------------------

    def _learn(
        self,
        durations: Mapping[int, int],
        requests: int,
        errors: int,
        runs: int,
        now: float,
        ends: list[IncidentEnd],
    ) -> None:
        base, lessons, incidents = self.baseline, self.lessons, self.ledger.open
        if not self.is_warm:
            base.fade_to(now)
            base.learn(durations, requests, errors, runs)
            if now - self.first_seen >= WARM_UP_S and base.total >= WARM_UP_REQUESTS:
                self._warm(now)
            return
        if "latency" in incidents:
            self._get_used(durations, now, ends)
        else:
            lessons.add_durations(durations)
            self._learn_durations(now)
        if "error_rate" not in incidents:
            lessons.add_counts(requests, errors, runs, base, now)
            if lessons.is_time_for_errors(base, now):
                is_suspicious = self.failures.strongest >= ERRORS_SUSPICIOUS * ERRORS_NEEDED
                lessons.teach_errors(base, is_suspicious, now)

    def _warm(self, now: float) -> None:
        self.baseline.rebuild()
        self.is_warm = True
        self._followed = now

    def _learn_durations(self, now: float) -> None:
        age = now - self._followed
        if age < (STRETCHED_LEARN_S if self.level.is_stretched else LEARN_S):
            return
        if self.latency.strongest >= SUSPICIOUS * self.latency.needed and age < HOLD_MAX_S:
            return
        self._followed = now
        self.level.follow()
        if self._is_adopted and self.level.is_faster and self.lessons.seen >= NEW_NORMAL_REQUESTS:
            # what became usual by lasting has ended after all
            self._is_adopted = False
            self._settle(self.lessons.latest(), now)
        else:
            self.lessons.teach_durations(self.baseline, now)
            self._learn_heard(now)

    def _settle(self, durations: Mapping[int, float], now: float) -> None:
        """These durations are what is usual from now on."""
        self._heard = None
        self.baseline.replace(durations)
        self.baseline.rebuild()
        self.level.new_normal(now)
        self.latency.forget()

    def _get_used(self, durations: Mapping[int, int], now: float, ends: list[IncidentEnd]) -> None:
        """A level that stays for half an hour is the new normal."""
        counts = self._level_counts
        for bucket, count in durations.items():
            counts[bucket] = counts.get(bucket, 0) + count
        if now - self._level_from < NEW_NORMAL_S or sum(counts.values()) < NEW_NORMAL_REQUESTS:
            return
        self._is_adopted = True
        self._settle(counts, now)
        self._level_counts = {}
        self._close("latency", "new_normal", now, ends)

    # --- other processes -------------------------------------------------------------------------

    def share(self) -> dict[str, Any] | None:
        """JSON-able: what was learned here since the last call, for ``hear`` elsewhere; None when
        that is nothing, or nobody is to be told.
        """
        fresh = self.baseline.unshared
        if not fresh:
            return None
        self.baseline.unshared = Delta()
        return {"first_seen": self.first_seen, **fresh.to_json()}

    def hear(self, row: Mapping[str, Any], now: float) -> None:
        """Learn what another process learned of this route, as if it had been seen here.

        Raises ``KeyError``, ``TypeError``, ``ValueError`` or ``AttributeError`` for what is no
        ``share``, and has taken nothing then.
        """
        delta, first_seen = Delta.from_json(row), float(row["first_seen"])
        self.first_seen = min(self.first_seen, first_seen)
        self.baseline.hear_counts(delta, now)
        if not self.is_warm:
            self.baseline.hear_durations(delta, now)
        elif self._heard is None:
            self._heard = delta
        else:
            join_durations(self._heard, delta)

    def _learn_heard(self, now: float) -> None:
        heard = self._heard
        if heard is None or sum(heard.durations.values()) < HEARD_WORTH * self.baseline.total:
            return
        self._heard = None
        self.baseline.hear_durations(heard, now)
        self.baseline.rebuild()

    # --- moving ----------------------------------------------------------------------------------

    def export(self) -> dict[str, Any]:
        """JSON-able: the baseline (counts that add) and this process's own state beside it."""
        return {
            "first_seen": self.first_seen,
            "baseline": self.baseline.to_json(),
            "heard": None if self._heard is None else self._heard.to_json(),
            "state": {
                **{name: getattr(self, name) for name in _PLAIN},
                **{name: {str(k): v for k, v in getattr(self, name).items()} for name in _COUNTS},
                **{name: getattr(self, name).to_json() for name in _PARTS},
            },
        }

    def adopt(self, row: Mapping[str, Any], now: float) -> None:
        """``restore``, though requests have come already: what was learned of them is kept."""
        young, is_warm = self.baseline, self.is_warm
        if is_warm:
            # it has judged by itself for minutes: only the counts are joined
            self.baseline.add(Baseline.from_json(row["baseline"]))
            self.baseline.rebuild()
            return
        self.restore(row, now)
        self.baseline.add(young)

    def restore(self, row: Mapping[str, Any], now: float) -> None:
        """Go on where ``export`` stopped; without ``state`` the baseline spares a new warm-up.

        Raises ``KeyError``, ``TypeError``, ``ValueError``, ``IndexError`` or ``AttributeError``
        for what is no export.
        """
        baseline = Baseline.from_json(row["baseline"])
        baseline.unshared = self.baseline.unshared
        self.baseline = baseline
        heard = row.get("heard")
        self._heard = None if heard is None else Delta.from_json(heard)
        self.first_seen = min(float(row["first_seen"]), now)
        if self.baseline.total >= WARM_UP_REQUESTS:
            self._warm(now)
        state = row.get("state")
        if state is None or "level" not in state:
            return
        for name in _PLAIN:
            setattr(self, name, type(getattr(self, name))(state[name]))
        for name in _COUNTS:
            setattr(self, name, {int(k): int(v) for k, v in state[name].items()})
        for name in _PARTS:
            getattr(self, name).restore(state[name])


_PLAIN = (
    "is_warm",
    "_is_adopted",
    "weighed",
    "due",
    "late",
    "_hot_from",
    "_hot_score",
    "_hot_at",
    "_cool_at",
    "_before_error",
    "_requests",
    "_errors",
    "_error_runs",
    "_first_error",
    "_last_error",
    "_failed_last",
    "_began",
    "_last_request",
    "_followed",
    "_level_from",
)
_COUNTS = ("_durations", "_level_counts")
_PARTS = ("situation", "level", "latency", "failures", "ledger", "lessons")

"""One route under watch: the parts that weigh its slices (``intake.py``), tell and learn. Pure.

Time is passed in. What it says to other processes and leaves for the next start: ``moving.py``.
"""

from collections.abc import Mapping
from math import log

from proxy.config import Detector as DetectorSettings
from proxy.domain.anomaly import Anomaly, Ended
from proxy.observability.baseline import Baseline
from proxy.observability.delta import Delta
from proxy.observability.evidence import CREDIT_MAX, ERRORS_NEEDED, SLICE_S
from proxy.observability.failures import OUTAGE, Failing, FailureWatch, Slice
from proxy.observability.incident import IncidentEnd
from proxy.observability.intake import LATE_S, Intake
from proxy.observability.kinds import USUAL, by_kind
from proxy.observability.latency import LatencyWatch, Slow
from proxy.observability.ledger import Ledger
from proxy.observability.lessons import HOLD_MAX_S, LEARN_S, Lessons
from proxy.observability.level import Level
from proxy.observability.minutes import Minutes
from proxy.observability.sentences import Known
from proxy.observability.situation import Situation
from proxy.observability.sketch import BUCKETS
from proxy.observability.tally import Tally
from proxy.observability.telling import failing_anomaly, slow_anomaly

WARM_UP_S = 600.0
WARM_UP_REQUESTS = 50
STRETCHED_LEARN_S = 600.0
"""A level that keeps rising may be a leak: it becomes usual half as fast."""
NEW_NORMAL_S = 1800.0
NEW_NORMAL_REQUESTS = 30
SILENT_S = 1800.0
SUSPICIOUS = 0.4
ERRORS_SUSPICIOUS = 0.5
"""Shares of the evidence needed at which learning stops."""
BRISK_S = 3.0
"""Under suspicion the next failure or slow answer need not wait for ten seconds to pass."""
HEARD_WORTH = 0.06
"""What others learned is worth a new table when it is such a share of what is known."""
WARMING = 1.0 / 3.0
"""What an app that has just started proves by being slow, of what it would prove later; and nothing
is told before it had the time to get warm.
"""
PASSING_S, PASSING_RATIO = 900.0, 3.0
"""A slowdown so short and so mild that goes by itself is how the route is."""
STUMBLE_S = 420.0
"""The same for errors, while less than half fails."""


class Series(Intake):
    """Everything about one (method, route)."""

    __slots__ = (
        "_followed",
        "_is_adopted",
        "_level_counts",
        "_level_from",
        "baseline",
        "failures",
        "first_seen",
        "heard",
        "is_queued",
        "is_warm",
        "latency",
        "ledger",
        "lessons",
        "level",
        "method",
        "minutes",
        "route",
        "situation",
    )

    def __init__(
        self,
        method: str,
        route: str,
        settings: DetectorSettings,
        now: float,
        situation: Situation | None = None,
    ) -> None:
        super().__init__(now)
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
        self._followed = now
        self._is_adopted = False
        self._level_counts = Tally()
        self._level_from = now
        self.heard: Delta | None = None
        """Durations that other processes learned, waiting to be worth a new table."""

    # --- every slice -----------------------------------------------------------------------------

    def weigh(self, now: float, ends: list[IncidentEnd]) -> Anomaly | None:
        """Weigh the slice; the incident it proves, if any. Ends of incidents are appended to
        ``ends``.
        """
        durations, requests, errors = self._durations, self._requests, self._errors
        if not requests:
            return None
        runs, kinds, began = self._error_runs, self._error_kinds, self._began
        elapsed = now - self.weighed
        if elapsed < 0.0:
            self._turn_back(now)
            elapsed = 0.0
        credit = elapsed / SLICE_S
        if self._hot_score:
            # a slice that was calm for long proves no more than what came since
            warm = now - self._cool_at
            if warm < SLICE_S:
                warm = SLICE_S
            credit = (warm if warm < elapsed else elapsed) / SLICE_S
            if self._hot_at > began:
                began = self._hot_at
        if credit > CREDIT_MAX:
            credit = CREDIT_MAX
        self.discard()
        self.weighed = now
        self.due = due = now + SLICE_S
        incidents, latency = self.ledger.open, self.latency
        found: Anomaly | None = None
        if errors or self.failures.strongest or "error_rate" in incidents:
            seen = Slice(
                requests,
                errors,
                runs,
                self._before_error if errors else 0,
                began,
                self._first_error,
                self._last_error,
                kinds,
                self._last_kind,
            )
            found = self._weigh_errors(seen, credit if credit > 1.0 else 1.0, now, ends)
            if self._is_suspicious and "error_rate" not in incidents:
                self.due = due = now + BRISK_S
        kinds = self.situation.usual_kinds(kinds, self._last_error)
        if self.is_warm:
            if durations:
                found = self._weigh_latency(durations, began, credit, now, ends) or found
            self._learn(durations, requests, errors, runs, kinds, now, ends)
        else:
            self._learn_at_first(durations, requests, errors, runs, kinds, now)
        self.late, self._hot_from = due, BUCKETS
        if self.is_warm:
            if not incidents and latency.is_near:
                self.due = min(due, now + BRISK_S)
            elif not incidents and not (latency.run.slices and latency.is_tense):
                self.late = now + LATE_S
            self._hot_from = self.baseline.p75 + self.level.shift
        return found

    def _pace(self, bucket: int) -> int:
        return self.baseline.pace(bucket - self.level.shift) if self.is_warm else USUAL

    @property
    def _is_suspicious(self) -> bool:
        return self.failures.strongest >= ERRORS_SUSPICIOUS * ERRORS_NEEDED

    def _weigh_errors(
        self, seen: Slice, credit: float, now: float, ends: list[IncidentEnd]
    ) -> Anomaly | None:
        incident = self.ledger.open.get("error_rate")
        if incident is not None:
            incident.hurt += seen.errors
            incident.last_seen = now
            share = incident.anomaly.observed
            counts = seen.requests, seen.errors, seen.runs
            if self.failures.recovery.add(self.baseline, share, *counts, credit):
                self._close("error_rate", "recovered", now, ends)
                return None
            told = self.ledger.break_silence("error_rate", now)
            if told is not None:
                return told
        is_jolt = seen.errors > 0 and self.situation.jolts.covers(seen.last_error)
        self.failures.leave_out(self.situation.jolts)
        app_kinds = self.situation.kinds.counts
        proved = self.failures.add(self.baseline, seen, credit, app_kinds, is_jolt=is_jolt)
        if not proved:
            return None
        reported = None if incident is None else incident.anomaly.observed
        found = self.failures.verdict(self.baseline, proved, now, app_kinds, reported)
        return None if found is None else self._tell_failing(found, seen, now)

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
        incident = self.ledger.open.get("latency")
        is_starting = self.situation.jolts.warms(began, now)
        if is_starting:
            credit *= WARMING
        needed = latency.needed
        strongest = latency.add(base, level, durations, n, began, credit, now)
        if incident is None:
            level.add(base, durations, n, now, strongest < SUSPICIOUS * needed)
            latency.follower.read(level, now)
            if strongest < latency.least_needed or is_starting:
                return None
            found = latency.verdict(base, level, began, now)
            return None if found is None else self._tell_slow(found, now)
        incident.hurt += sum(c for b, c in durations.items() if b > base.p95)
        incident.last_seen = now
        if latency.is_back(base, level, durations, credit):
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

    def _tell_failing(self, found: Failing, last: Slice, now: float) -> Anomaly | None:
        words = self.situation.words(found.since)
        known = self._known_before(found, last)
        anomaly = failing_anomaly(self.method, self.route, found, known, now, words)
        self.lessons.drop_counts(now)
        return self.ledger.report(anomaly, found.errors, now)

    def _known_before(self, found: Failing, last: Slice) -> Known:
        """What was learned and what waits for it, without what is told now. Its ``last`` slice is
        not in it yet; an incident that is told again never was.
        """
        requests, errors = self.lessons.counted
        requests, errors = self.baseline.requests + requests, self.baseline.errors + errors
        if "error_rate" not in self.ledger.open:
            requests -= found.requests - last.requests
            errors -= found.errors - last.errors
        return Known(max(0.0, requests), max(0.0, errors))

    def _tell_slow(self, found: Slow, now: float) -> Anomaly | None:
        words = self.situation.words(found.since)
        known = Known(self.baseline.total)
        anomaly = slow_anomaly(self.method, self.route, found, known, now, words)
        self._level_counts.clear()
        self._level_from = now
        self.lessons.drop_durations()
        self.level.began(now)
        return self.ledger.report(anomaly, found.samples, now, found.least)

    def _close(self, kind: str, reason: Ended, now: float, ends: list[IncidentEnd]) -> None:
        incident = self.ledger.close(kind, reason, now, ends)
        lasted = now - incident.anomaly.onset
        if kind == "error_rate":
            is_brief = reason == "recovered" and lasted < STUMBLE_S
            if is_brief and incident.anomaly.observed < OUTAGE:
                self.baseline.stumbled()
                self.failures.pass_by()
            self.failures.forget()
            return
        self.latency.forget()
        ratio = incident.anomaly.ratio
        is_passing = lasted < PASSING_S and 1.0 < ratio < PASSING_RATIO
        if reason == "recovered" and is_passing:
            self.level.came_back(log(ratio))

    def rest(self, now: float, ends: list[IncidentEnd]) -> None:
        """Without requests an incident ends some time, too, and what ended is forgotten."""
        ledger = self.ledger
        ledger.forget(now)
        if ledger.open and now - self._last_request > SILENT_S:
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
            self.rebuild()

    # --- learning --------------------------------------------------------------------------------

    def _learn(
        self,
        durations: Mapping[int, int],
        requests: int,
        errors: int,
        runs: int,
        kinds: bytes,
        now: float,
        ends: list[IncidentEnd],
    ) -> None:
        lessons, incidents = self.lessons, self.ledger.open
        if "latency" in incidents:
            self._get_used(durations, now, ends)
        else:
            lessons.fresh.add(durations)
            if now - self._followed >= LEARN_S:
                self._learn_durations(now)
        if "error_rate" not in incidents:
            is_time = lessons.add_counts(requests, errors, runs, self.baseline, now, kinds)
            if is_time and lessons.is_time_for_errors(self.baseline, now):
                learned = lessons.teach_errors(self.baseline, self._is_suspicious, now)
                self.situation.kinds.learn(learned, now)

    def _learn_at_first(
        self,
        durations: Mapping[int, int],
        requests: int,
        errors: int,
        runs: int,
        kinds: bytes,
        now: float,
    ) -> None:
        """What a route shows before it is judged is learned at once."""
        base = self.baseline
        base.fade_to(now)
        if 2 * errors > requests and (self._is_suspicious or "error_rate" in self.ledger.open):
            # what fails from its first request on must not become usual by that
            base.learn(durations, 0, 0)
            self.lessons.add_counts(requests, errors, runs, base, now, kinds)
        else:
            learned = by_kind(kinds)
            base.learn(durations, requests, errors, runs, learned)
            self.situation.kinds.learn(learned, now)
        if now - self.first_seen >= WARM_UP_S and base.total >= WARM_UP_REQUESTS:
            self.warm(now)

    def rebuild(self) -> None:
        """Make the table anew; what waits is read in the old one."""
        self.level.read(self.baseline)
        self.baseline.rebuild()

    def warm(self, now: float) -> None:
        self.baseline.rebuild()
        self.is_warm = True
        self._followed = now

    def _learn_durations(self, now: float) -> None:
        age = now - self._followed
        if age < STRETCHED_LEARN_S and self.level.is_stretched:
            return
        if self.latency.strongest >= SUSPICIOUS * self.latency.needed and age < HOLD_MAX_S:
            return
        self._followed = now
        self.level.follow(self.baseline)
        if self._is_adopted and self.level.is_faster and self.lessons.seen >= NEW_NORMAL_REQUESTS:
            # what became usual by lasting has ended after all
            self._is_adopted = False
            self._settle(self.lessons.latest(), now)
        else:
            self.lessons.teach_durations(self.baseline, now)
            self._learn_heard(now)

    def _settle(self, durations: Mapping[int, float], now: float) -> None:
        """These durations are what is usual from now on."""
        self.heard = None
        self.baseline.replace(durations)
        self.baseline.rebuild()
        self.level.new_normal(now)
        self.latency.forget()

    def _get_used(self, durations: Mapping[int, int], now: float, ends: list[IncidentEnd]) -> None:
        """A level that stays for half an hour is the new normal."""
        counts = self._level_counts
        counts.add(durations)
        if now - self._level_from < NEW_NORMAL_S or counts.total < NEW_NORMAL_REQUESTS:
            return
        self._is_adopted = True
        self._settle(counts.counts(), now)
        counts.clear()
        self._close("latency", "new_normal", now, ends)

    def _learn_heard(self, now: float) -> None:
        heard = self.heard
        if heard is None or heard.durations.total < HEARD_WORTH * self.baseline.total:
            return
        self.heard = None
        self.baseline.hear_durations(heard, now)
        self.baseline.rebuild()

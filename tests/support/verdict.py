"""What a detector tells of a day, and how right it was, by the bench's rules."""

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from proxy.domain.anomaly import Anomaly
from proxy.observability.detector import MLDetector
from tests.support.observability import Alert, Plan, Request, Span

GRACE_S = 120.0
DEDUP_S = 300.0


@dataclass
class Verdict:
    incidents: int = 0
    found: int = 0
    false: list[Alert] = field(default_factory=list)
    missed: list[Span] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    route_days: float = 0.0

    def add(self, other: "Verdict") -> None:
        self.incidents += other.incidents
        self.found += other.found
        self.false += other.false
        self.missed += other.missed
        self.delays += other.delays
        self.route_days += other.route_days

    @property
    def f1(self) -> float:
        told = self.found + len(self.false)
        if not told or not self.incidents:
            return 0.0
        precision, recall = self.found / told, self.found / self.incidents
        return 2 * precision * recall / (precision + recall) if self.found else 0.0


def judge(plan: Plan, alerts: list[Alert]) -> Verdict:
    """Found: a fitting alert in [start, end + grace]. False: an alert in no incident and no
    neutral span.
    """
    verdict = Verdict(incidents=len(plan.incidents))
    verdict.route_days = len(plan.routes) * plan.hours / 24.0
    last: dict[tuple[str, str, str], float] = {}
    kept: list[Alert] = []
    for alert in sorted(alerts):
        if alert[0] - last.get(alert[1:], -1e9) >= DEDUP_S:
            last[alert[1:]] = alert[0]
            kept.append(alert)
    for span in plan.incidents:
        fit = [a for a in kept if span.kind in ("*", a[3]) and span.holds(a, GRACE_S)]
        if fit:
            verdict.found += 1
            verdict.delays.append(fit[0][0] - span.start)
        else:
            verdict.missed.append(span)
    for alert in kept:
        is_true = any(s.holds(alert, GRACE_S) for s in plan.incidents)
        if not is_true and not any(s.holds(alert) for s in plan.neutral):
            verdict.false.append(alert)
    return verdict


def told(detector: MLDetector, requests: list[Request]) -> list[Alert]:
    """What the detector tells of a day, without what it tells as another's company."""
    alerts: list[Alert] = []
    due = 0.0

    def keep(found: object) -> None:
        if isinstance(found, Anomaly) and found.head is None:
            alerts.append((found.detected_at, found.method, found.route, found.kind))

    for at, method, route, status, ms in requests:
        if at >= due:
            due = at + 1.0
            for found in detector.tick(at):
                keep(found)
        keep(detector.observe(method, route, status, ms, at, status >= 500))
    return alerts


def assert_useful(
    make: Callable[[str, int], tuple[Plan, list[Request]]], days: Iterable[tuple[str, int]]
) -> None:
    """Over all these kinds and seeds: the aims for days of kinds that the bench does not have."""
    total = Verdict()
    for kind, seed in days:
        plan, requests = make(kind, seed)
        total.add(judge(plan, told(MLDetector(), requests)))
    assert total.f1 >= 0.9, (total.missed, total.false)
    assert statistics.median(total.delays) <= 120.0
    assert len(total.false) / total.route_days <= 0.10

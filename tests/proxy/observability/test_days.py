"""Days of kinds the bench does not have: sampled, all of them with SELFHEAL_CAMPAIGN=full."""

import os
import statistics

import pytest

from proxy.domain.anomaly import Anomaly
from proxy.observability.detector import MLDetector
from tests.support.observability import Alert, Verdict, judge
from tests.support.other_days import ALL_KINDS, make

FULL = os.environ.get("SELFHEAL_CAMPAIGN") == "full"
SAMPLE = [("correlated", 901), ("releases", 901)]
CAMPAIGN = [(kind, seed) for kind in ALL_KINDS for seed in (901, 902, 903)] if FULL else SAMPLE


def watch(kind: str, seed: int) -> Verdict:
    plan, requests = make(kind, seed)
    detector = MLDetector()
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
    return judge(plan, alerts)


@pytest.mark.campaign
@pytest.mark.timeout(3600 if FULL else 120)
def test_days_of_other_kinds() -> None:
    total = Verdict()
    for kind, seed in CAMPAIGN:
        total.add(watch(kind, seed))
    assert total.f1 >= 0.9, (total.missed, total.false)
    assert statistics.median(total.delays) <= 120.0
    assert len(total.false) / total.route_days <= 0.10

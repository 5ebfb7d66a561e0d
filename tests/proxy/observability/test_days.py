"""Days of kinds the bench does not have: sampled, all of them with SELFHEAL_CAMPAIGN=full."""

import os
import statistics

import pytest

from proxy.observability.detector import MLDetector
from tests.support.other_days import ALL_KINDS, make
from tests.support.verdict import Verdict, judge, told

FULL = os.environ.get("SELFHEAL_CAMPAIGN") == "full"
SAMPLE = [("correlated", 901), ("releases", 901)]
CAMPAIGN = [(kind, seed) for kind in ALL_KINDS for seed in (901, 902, 903)] if FULL else SAMPLE


@pytest.mark.campaign
@pytest.mark.timeout(3600 if FULL else 120)
def test_days_of_other_kinds() -> None:
    total = Verdict()
    for kind, seed in CAMPAIGN:
        plan, requests = make(kind, seed)
        total.add(judge(plan, told(MLDetector(), requests)))
    assert total.f1 >= 0.9, (total.missed, total.false)
    assert statistics.median(total.delays) <= 120.0
    assert len(total.false) / total.route_days <= 0.10

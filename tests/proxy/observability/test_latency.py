"""Is a route slow: what is surely far slower is told soon, what may be a bump has to last."""

import random

import pytest

from proxy.observability.latency import LatencyWatch
from proxy.observability.level import Level
from proxy.observability.situation import Situation
from proxy.observability.sketch import bucket_of
from tests.support.observability import known_baseline

CALM_S = 3600.0


def told_after(factor: float, per_slice: int, seconds: float = 600.0) -> float | None:
    """A calm hour, then slices of ten seconds, ``factor`` times slower than usual."""
    rng = random.Random(3)
    base, level, latency = known_baseline(), Level(Situation(), 0.0), LatencyWatch(3.0, 3.0)
    now = 0.0
    while now < CALM_S + seconds:
        began, now = now, now + 10.0
        slower = 1.0 if now <= CALM_S else factor
        count = 20 if now <= CALM_S else per_slice
        durations: dict[int, int] = {}
        for _ in range(count):
            bucket = bucket_of(slower * rng.lognormvariate(4.0, 0.4))
            durations[bucket] = durations.get(bucket, 0) + 1
        likely = latency.add(base, level, durations, count, began, 1.0, now)
        is_calm = latency.strongest < 0.4 * latency.needed
        level.add(likely, count, base.readable, now, is_calm)
        if latency.strongest >= latency.needed and latency.verdict(base, level, now):
            return now - CALM_S
    return None


@pytest.mark.parametrize(
    ("factor", "soonest", "latest"), [(8, 34, 60), (3, 34, 60), (1.75, 60, 300)]
)
def test_the_milder_the_longer(factor: float, soonest: float, latest: float) -> None:
    at = told_after(factor, 20)
    assert at is not None
    assert soonest <= at <= latest


def test_twice_as_slow_is_told_soon_where_many_requests_leave_no_doubt() -> None:
    many, few = told_after(2.0, 80), told_after(2.0, 1)
    assert many is not None
    assert few is not None
    assert many <= 60.0 < few


def test_what_is_usual_is_never_told() -> None:
    assert told_after(1.0, 20, 3600.0) is None
    assert told_after(1.25, 20, 3600.0) is None

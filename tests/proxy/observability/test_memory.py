"""What one route costs in memory: all that is kept of it, in the middle of its worst hour."""

import gc
import random
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from proxy.observability.detector import MLDetector
from proxy.observability.sketch import bucket_of

ROUTES, RATE = 12, 0.7
PER_ROUTE_MAX = 30_000
CALM_S, SLOW_S, AGAIN_S = 3000.0, 4800.0, 6600.0
"""All is well, then all is three times slower and some fail, then all is well again."""


@pytest.fixture
def traced() -> Iterator[None]:
    gc.freeze()
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()
        gc.unfreeze()


def kept() -> int:
    """In bytes. What the interpreter keeps for the next tuple is no route's, and a collection
    ends it: it was 4 KB a route or nothing, from one run to the next.
    """
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def humps(rng: random.Random) -> float:
    """Two of them, and a tail."""
    return rng.lognormvariate(3.0 if rng.random() < 0.7 else 5.0, 0.6)


def spread(rng: random.Random) -> float:
    """From a millisecond to seconds; no row of counts is wider."""
    return rng.lognormvariate(3.5, 1.6)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    ("draw", "failing"), [(humps, 0.05), (humps, 0.5), (spread, 0.05)], ids=["", "half", "spread"]
)
def test_a_route_stays_below_its_bound_in_an_incident_and_while_nobody_hears(
    draw: Callable[[random.Random], float], failing: float
) -> None:
    """The database is away for an hour, so what was learned waits."""
    detector, rng = MLDetector(sharing=True), random.Random(11)
    routes = [f"/r{n}" for n in range(ROUTES)]
    before, worst, now, asked = kept(), 0, 0.0, 0.0
    told = False
    while now < AGAIN_S:
        now += rng.expovariate(RATE * ROUTES)
        slow = CALM_S <= now < SLOW_S
        ms = draw(rng) * (3.0 if slow else 1.0)
        failed = rng.random() < (failing if slow else 0.002)
        status = 500 if failed else 200
        series = detector.series("GET", rng.choice(routes), now)
        told |= detector.count(series, bucket_of(ms), status, failed, now) is not None
        if now - asked >= 20.0:
            asked = now
            detector.tick(now)
            for _ in detector.windows(now):
                pass
            worst = max(worst, kept() - before)
    assert told
    assert worst / ROUTES < PER_ROUTE_MAX
    print(f"{worst / ROUTES / 1000:.1f} KB per route at worst")

"""Buckets and quantiles within their stated error."""

import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.observability.detector import MLDetector
from proxy.observability.sketch import (
    BUCKETS,
    GAMMA,
    LOW_MS,
    RELATIVE_ERROR,
    VALUES,
    bucket_of,
    quantiles,
)

durations = st.floats(0.06, 900_000, allow_nan=False)


def exact(values: list[float], q: float) -> float:
    """The value whose rank is the nearest at or above ``q``."""
    ordered = sorted(values)
    position = q * (len(ordered) - 1)
    return ordered[int(-(-position // 1))] if position % 1 else ordered[int(position)]


@given(durations)
def test_every_duration_is_within_the_stated_error_of_its_bucket(ms: float) -> None:
    assert abs(VALUES[bucket_of(ms)] - ms) / ms <= RELATIVE_ERROR + 1e-9
    assert RELATIVE_ERROR < 0.02


@pytest.mark.parametrize("odd", [0.0, -1.0, float("nan"), float("inf"), 1e99, LOW_MS])
def test_odd_durations_land_in_a_bucket(odd: float) -> None:
    assert 0 <= bucket_of(odd) < BUCKETS


def shapes(name: str, n: int) -> list[float]:
    rng = random.Random(name)
    make: dict[str, Callable[[], float]] = {
        "lognormal": lambda: rng.lognormvariate(4.0, 0.5),
        "heavy": lambda: 20.0 * rng.paretovariate(1.4),
        "two_humped": lambda: rng.lognormvariate(1.5, 0.2) * (1 if rng.random() < 0.8 else 15),
        "constant": lambda: 37.0,
    }
    return [make[name]() for _ in range(n)]


@pytest.mark.parametrize("name", ["lognormal", "heavy", "two_humped", "constant"])
def test_p50_p95_p99_within_two_percent_of_exact(name: str) -> None:
    """As the proxy shows them: through the detector's windows."""
    values = shapes(name, 20_000)
    detector = MLDetector()
    for n, value in enumerate(values):
        detector.observe("GET", "/x", 200, value, 1000.0 + n / 100, failed=False)
    (row,) = detector.get_route_performance()
    assert row.count == len(values)
    for found, q in ((row.p50_ms, 0.5), (row.p95_ms, 0.95), (row.p99_ms, 0.99)):
        assert found == pytest.approx(exact(values, q), rel=0.02)


@given(st.lists(durations, min_size=1, max_size=200), st.floats(0, 1))
def test_a_quantile_is_near_a_neighbour_of_its_rank(values: list[float], q: float) -> None:
    (found,) = quantiles(Counter(map(bucket_of, values)), (q,))
    assert found is not None
    ordered = sorted(values)
    rank = int(q * (len(ordered) - 1))
    low, high = ordered[rank], ordered[min(len(ordered) - 1, rank + 1)]
    assert low / GAMMA <= found <= high * GAMMA


@given(st.lists(durations, min_size=1, max_size=80))
def test_several_quantiles_at_once_are_those_asked_for_one_by_one(values: list[float]) -> None:
    counts, qs = Counter(map(bucket_of, values)), (0.0, 0.25, 0.5, 0.95, 0.99, 1.0)
    assert quantiles(counts, qs) == [quantiles(counts, (q,))[0] for q in qs]


def test_nothing_has_no_quantiles() -> None:
    assert quantiles({}, (0.5, 0.9)) == [None, None]

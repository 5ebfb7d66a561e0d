"""The sketch: quantiles within its stated error, counts that add."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.observability.sketch import (
    BUCKETS,
    GAMMA,
    LOW_MS,
    RELATIVE_ERROR,
    VALUES,
    Sketch,
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
    values = shapes(name, 20_000)
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    for q in (0.5, 0.95, 0.99):
        found = sketch.quantile(q)
        assert found is not None
        assert abs(found - exact(values, q)) / exact(values, q) <= 0.02


@given(st.lists(durations, min_size=1, max_size=200), st.floats(0, 1))
def test_a_quantile_is_near_a_neighbour_of_its_rank(values: list[float], q: float) -> None:
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    found = sketch.quantile(q)
    assert found is not None
    ordered = sorted(values)
    rank = int(q * (len(ordered) - 1))
    low, high = ordered[rank], ordered[min(len(ordered) - 1, rank + 1)]
    assert low / GAMMA <= found <= high * GAMMA


@given(st.lists(durations, max_size=80), st.lists(durations, max_size=80))
def test_merging_equals_adding_all(one: list[float], other: list[float]) -> None:
    a, b, both = Sketch(), Sketch(), Sketch()
    for value in one:
        a.add(value)
        both.add(value)
    for value in other:
        b.add(value)
        both.add(value)
    a.merge(b)
    assert a.counts == both.counts
    assert a.total == both.total


@given(st.lists(durations, max_size=50))
def test_sparse_form_comes_back_whole(values: list[float]) -> None:
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    assert Sketch.from_sparse(sketch.to_sparse()).counts == sketch.counts


@pytest.mark.parametrize("bad", [{"-1": 1.0}, {"99999": 1.0}, {"5": -2.0}, {"x": 1.0}])
def test_sparse_rubbish_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"bucket|literal"):
        Sketch.from_sparse(bad)


def test_decay_fades_and_forgets() -> None:
    sketch = Sketch()
    sketch.add(10.0, 8)
    sketch.decay(0.5)
    assert sketch.total == 4
    sketch.decay(0.0001)
    assert sketch.counts == {}
    assert sketch.quantile(0.5) is None
    assert quantiles({}, (0.5, 0.9)) == [None, None]

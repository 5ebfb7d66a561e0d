"""Evidence is bounded per slice: no blip, however bad, reaches what is needed."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.observability.evidence import (
    CREDIT_MAX,
    FIRST_SLOW,
    NEEDED,
    SLICES_NEEDED,
    LatencySums,
    ShareSum,
    null_penalties,
)
from proxy.observability.sketch import bucket_of
from tests.support.observability import known_baseline

BASE = known_baseline()
PENALTIES = null_penalties(0.15)


def weigh(sums: LatencySums, factor: float, n: int, seed: int, credit: float = 1.0) -> float:
    rng, durations = random.Random(seed), dict[int, int]()
    for _ in range(n):
        bucket = bucket_of(rng.lognormvariate(4.0, 0.4) * factor)
        durations[bucket] = durations.get(bucket, 0) + 1
    sums.add(BASE, durations, float(seed), credit, NEEDED, PENALTIES, FIRST_SLOW, 0)
    return sums.best


@given(st.floats(1, 50), st.integers(1, 300), st.floats(0, CREDIT_MAX))
def test_one_slice_never_suffices(factor: float, n: int, credit: float) -> None:
    assert weigh(LatencySums(), factor, n, 1, credit) <= NEEDED * credit / min(SLICES_NEEDED)
    assert min(SLICES_NEEDED) > CREDIT_MAX


def test_usual_traffic_adds_up_to_nothing() -> None:
    sums = LatencySums()
    assert max(weigh(sums, 1.0, 20, n) for n in range(300)) < 0.5 * NEEDED


@pytest.mark.parametrize(("factor", "slices"), [(10.0, 6), (3.0, 9), (1.8, 30)])
def test_a_slowdown_is_proved_in_time(factor: float, slices: int) -> None:
    sums = LatencySums()
    for n in range(slices):
        weigh(sums, factor, 20, n)
    assert sums.best >= NEEDED
    assert sums.rising
    for n in range(60):
        weigh(sums, 1.0, 20, n)
    assert sums.best < 0.25 * NEEDED


def test_a_mild_slowdown_is_still_normal() -> None:
    sums = LatencySums()
    assert max(weigh(sums, 1.2, 20, n) for n in range(200)) < NEEDED


def test_sums_go_through_json() -> None:
    sums = LatencySums()
    for n in range(4):
        weigh(sums, 3.0, 10, n)
    again = LatencySums.from_json(sums.to_json())
    assert weigh(again, 3.0, 10, 9) == weigh(sums, 3.0, 10, 9)
    with pytest.raises(ValueError, match="hypotheses"):
        LatencySums.from_json([[1.0], [1.0], 0.0, [], False])


def test_shares() -> None:
    share = ShareSum()
    for n in range(50):
        share.add(20, 0, 0.0, 0.001, 0.1, 3.0, 9.0, n, n)
    assert share.total == 0.0
    for n in range(4):
        share.add(20, 4, 4.0, 0.001, 0.1, 3.0, 9.0, 100.0 + n, 100.5 + n)
    assert share.total >= 9.0
    assert (share.hits, share.requests, share.since, share.first_hit) == (16, 80, 100.0, 100.5)
    assert ShareSum.from_json(share.to_json()).to_json() == share.to_json()
    for n in range(20):
        share.add(200, 0, 0.0, 0.001, 0.1, 3.0, 9.0, n, n)
    assert (share.total, share.hits, share.first_hit) == (0.0, 0, None)

"""Sigma in ranks: near nil for what is usual, and no ceiling for few requests."""

import random

import pytest

from proxy.observability.ranks import rank_sigma
from proxy.observability.sketch import bucket_of
from tests.support.observability import known_baseline


def sigma(durations: list[float], shift: int = 0) -> float:
    counts: dict[int, float] = {}
    for ms in durations:
        bucket = bucket_of(ms)
        counts[bucket] = counts.get(bucket, 0.0) + 1.0
    return rank_sigma(known_baseline(), counts, shift)


def usual(rng: random.Random, number: int, factor: float = 1.0) -> list[float]:
    """As ``known_baseline`` has them, or so many times slower."""
    return [factor * rng.lognormvariate(4.0, 0.4) for _ in range(number)]


def test_what_is_usual_lies_within_chance() -> None:
    rng = random.Random(5)
    found = [sigma(usual(rng, 20)) for _ in range(300)]
    assert sum(x > 3.0 for x in found) <= 3
    assert abs(sum(found) / len(found)) < 0.4


@pytest.mark.parametrize("number", [3, 6, 40])
def test_more_and_slower_requests_are_more_sigma(number: int) -> None:
    rng = random.Random(6)
    some = usual(rng, number, 1.5)
    slower = [1.4 * ms for ms in some]
    assert sigma(some) < sigma(slower)
    assert sigma(slower) < sigma(slower * 2)


def test_three_requests_far_beyond_all_known_exceed_three_sigma() -> None:
    assert sigma([1000.0, 1500.0, 2000.0]) > 4.0


def test_many_a_little_slower_count_by_their_mean() -> None:
    rng = random.Random(7)
    assert sigma(usual(rng, 200, 1.3)) > 6.0


def test_the_level_of_now_is_taken_off() -> None:
    up = bucket_of(110.0) - bucket_of(55.0)
    rng = random.Random(8)
    doubled = usual(rng, 60, 2.0)
    assert sigma(doubled) > 6.0
    assert abs(sigma(doubled, up)) < 3.0

"""The table of likelihoods: it knows a shift, and what is calm."""

import random

import pytest

from proxy.observability.baseline import Baseline
from proxy.observability.hypotheses import (
    FIRST_SLOW,
    NEUTRAL,
    SHIFT_FIRST,
    SHIFT_STEP,
    SHIFTS,
)
from proxy.observability.sketch import BUCKETS, GAMMA, bucket_of
from tests.support.observability import known_baseline


@pytest.mark.parametrize("factor", [1.0, 1.8, 3.0, 9.0])
def test_the_likeliest_shift_is_the_true_one(factor: float) -> None:
    base, rng = known_baseline(), random.Random(2)
    totals = [0.0] * SHIFTS
    for _ in range(200):
        row = base.likelihoods(bucket_of(rng.lognormvariate(4.0, 0.4) * factor))
        totals = [a + b for a, b in zip(totals, row, strict=True)]
    best = max(range(SHIFTS), key=totals.__getitem__)
    assert GAMMA ** (SHIFT_FIRST + SHIFT_STEP * best) == pytest.approx(factor, rel=0.1)


def test_far_slower_than_any_hypothesis_counts_as_the_slowest() -> None:
    base = Baseline()
    base.learn({bucket_of(1.0): 500.0}, 500, 0)
    base.rebuild()
    row = list(base.likelihoods(bucket_of(400.0)))
    assert max(row[SHIFTS - 3 :]) > row[NEUTRAL] + 3
    for odd in (-5, 0, BUCKETS - 1, BUCKETS + 50):
        assert len(base.likelihoods(odd)) == SHIFTS


@pytest.mark.parametrize("lowest", [0, 3, 140, BUCKETS - 8])
@pytest.mark.parametrize("width", [1, 60])
def test_of_whatever_width_it_knows_each_bucket_at_each_shift(lowest: int, width: int) -> None:
    base, last = Baseline(), min(BUCKETS - 1, lowest + width - 1)
    base.learn({bucket: 7.0 + bucket % 5 for bucket in range(lowest, last + 1)}, 500, 0)
    base.rebuild()
    rows = [list(base.likelihoods(bucket)) for bucket in range(base.top + 1)]
    for faster, slower in zip(rows, rows[SHIFT_STEP:], strict=False):
        assert faster[:-1] == slower[1:]
    usual = [row[NEUTRAL] for row in rows]
    likeliest = usual.index(max(usual))
    assert lowest - 3 <= likeliest <= last + 3
    assert len({*rows[max(0, lowest - 40)][FIRST_SLOW:]}) == 1
    assert list(base.likelihoods(-5)) == rows[0]
    assert list(base.likelihoods(BUCKETS + 50)) == rows[-1]
    assert base.fit({likeliest: 1}, 0, SHIFT_FIRST, 100)[::SHIFT_STEP] == rows[likeliest]


@pytest.mark.parametrize("humps", [(4.0,), (2.0, 5.0), (6.0, 3.0, 4.5)])
def test_what_is_called_calm_no_slow_hypothesis_explains_better(humps: tuple[float, ...]) -> None:
    rng = random.Random(len(humps))
    base, calm = Baseline(), 0
    for _ in range(3000):
        base.learn({bucket_of(rng.lognormvariate(rng.choice(humps), 0.3)): 1.0}, 1, 0)
    base.rebuild()
    for _ in range(400):
        slower, level = rng.choice((0.7, 1.0, 1.3)), rng.randint(-8, 5)
        durations = {
            bucket_of(slower * rng.lognormvariate(rng.choice(humps), 0.3)): rng.randint(1, 3)
            for _ in range(rng.randint(1, 12))
        }
        found = base.weighed(durations, level)
        if base.is_calm(durations, level):
            calm += 1
            assert found[NEUTRAL] >= max(found[FIRST_SLOW:])
    assert calm > 100


def test_likelihoods_add_up_alike_in_whatever_order() -> None:
    base, rng = known_baseline(), random.Random(9)
    durations = {bucket_of(rng.lognormvariate(4.0, 0.9)): rng.randint(1, 900) for _ in range(80)}
    backwards = dict(reversed(list(durations.items())))
    whole, bucket = base.weighed(durations, 2), next(iter(durations))
    assert base.weighed(backwards, 2) == whole
    first = base.weighed({bucket: durations.pop(bucket)}, 2)
    assert [a + b for a, b in zip(first, base.weighed(durations, 2), strict=True)] == whole


def test_a_fit_finds_a_factor_between_two_hypotheses() -> None:
    base, rng = known_baseline(), random.Random(5)
    counts: dict[int, float] = {}
    for _ in range(400):
        bucket = bucket_of(rng.lognormvariate(4.0, 0.4) * 1.8)
        counts[bucket] = counts.get(bucket, 0) + 1
    fit = base.fit(counts, 0, -15, 40)
    assert GAMMA ** (fit.index(max(fit)) - 15) == pytest.approx(1.8, rel=0.06)
    coarse = base.likelihoods(137)
    assert base.fit({137: 1}, 0, -15, 100)[::5] == pytest.approx(list(coarse))


@pytest.mark.parametrize("misses", [0.1, 0.28, 0.5, 0.7])
def test_cache_hits_and_misses_are_told_apart_from_slower_ones_as_if_each_was_alone(
    misses: float,
) -> None:
    def told(misses: float) -> float:
        """What one answer proves of 1.8 times slower."""
        rng, base, totals = random.Random(4), Baseline(), [0.0] * SHIFTS

        def answer() -> float:
            return rng.lognormvariate(2.3, 0.3) * (10.0 if rng.random() < misses else 1.0)

        for _ in range(400):
            base.learn({bucket_of(answer()): 1.0}, 1, 0)
        base.rebuild()
        for _ in range(600):
            row = base.likelihoods(bucket_of(1.8 * answer()))
            totals = [a + b for a, b in zip(totals, row, strict=True)]
        return (max(totals[FIRST_SLOW:]) - max(totals[:FIRST_SLOW])) / 600.0

    assert told(misses) > 0.7 * told(0.0)

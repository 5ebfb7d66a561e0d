"""The baseline: counts that add and fade alike everywhere; likelihoods that know a shift."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.observability.baseline import (
    ERROR_PRIOR_SHARE,
    FIRST_SLOW,
    NEUTRAL,
    SHIFT_FIRST,
    SHIFT_STEP,
    SHIFTS,
    STEP_S,
    Baseline,
    poisson_sigma,
)
from proxy.observability.evidence import weighed
from proxy.observability.sketch import BUCKETS, GAMMA, bucket_of
from tests.support.observability import known_baseline

Lesson = tuple[float, dict[int, float], int, int]
"""time, durations, requests, errors"""

lessons = st.lists(
    st.tuples(
        st.floats(0, 20 * STEP_S),
        st.dictionaries(st.integers(0, BUCKETS - 1), st.floats(5000, 9000), min_size=1, max_size=5),
        st.integers(1, 500),
        st.integers(0, 20),
    ),
    min_size=1,
    max_size=8,
)


def taught(rows: list[Lesson], until: float) -> Baseline:
    base = Baseline()
    base.fade_to(0.0)
    for at, durations, requests, errors in sorted(rows, key=lambda r: r[0]):
        base.fade_to(at)
        base.learn(durations, requests, errors)
    base.fade_to(until)
    return base


@given(lessons, lessons)
@settings(max_examples=12, deadline=None)
def test_the_sum_of_two_is_one_that_saw_everything(one: list[Lesson], other: list[Lesson]) -> None:
    end = 21 * STEP_S
    total = taught(one, end)
    total.add(taught(other, end))
    whole = taught(one + other, end)
    assert total.requests == pytest.approx(whole.requests)
    assert total.errors == pytest.approx(whole.errors)
    assert total.total == pytest.approx(whole.total)
    assert total.weights.counts() == pytest.approx(whole.weights.counts())


@given(lessons)
@settings(max_examples=12, deadline=None)
def test_json_comes_back_whole(rows: list[Lesson]) -> None:
    base = taught(rows, 21 * STEP_S)
    again = Baseline.from_json(base.to_json())
    assert again.weights.counts() == base.weights.counts()
    assert (again.requests, again.errors, again.step) == (base.requests, base.errors, base.step)


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
        found = weighed(base, durations, level)
        if base.is_calm(durations, level):
            calm += 1
            assert found[NEUTRAL] >= max(found[FIRST_SLOW:])
    assert calm > 100


def test_likelihoods_add_up_alike_in_whatever_order() -> None:
    base, rng = known_baseline(), random.Random(9)
    durations = {bucket_of(rng.lognormvariate(4.0, 0.9)): rng.randint(1, 900) for _ in range(80)}
    backwards = dict(reversed(list(durations.items())))
    whole, bucket = weighed(base, durations, 2), next(iter(durations))
    assert weighed(base, backwards, 2) == whole
    first = weighed(base, {bucket: durations.pop(bucket)}, 2)
    assert [a + b for a, b in zip(first, weighed(base, durations, 2), strict=True)] == whole


def test_an_unknown_route_is_given_the_prior() -> None:
    base = Baseline()
    assert base.error_share == pytest.approx(ERROR_PRIOR_SHARE)
    base.learn({}, 100_000, 10)
    assert base.error_share == pytest.approx(0.0001, rel=0.6)


def test_a_silent_night_erases_nothing() -> None:
    base = known_baseline(n=200)
    base.fade_to(0.0)
    base.fade_to(30 * 86400.0)
    assert base.total >= 140
    assert base.p50 == known_baseline(n=200).p50


def test_a_new_normal_replaces_durations_but_not_errors() -> None:
    base = known_baseline()
    base.learn({}, 1000, 50)
    base.replace({300: 40.0})
    assert base.total == 40.0
    assert base.errors == 50


@pytest.mark.parametrize(
    "rubbish",
    [
        {},
        {"step": None, "durations": {"-4": 1.0}, "requests": 1, "errors": 0},
        {"step": None, "durations": {"4": -1.0}, "requests": 1, "errors": 0},
        {"step": None, "durations": {"99999": 1.0}, "requests": 1, "errors": 0},
        {"step": "x", "durations": {}, "requests": 1, "errors": 0},
    ],
)
def test_rubbish_is_refused(rubbish: dict[str, object]) -> None:
    with pytest.raises((KeyError, ValueError, IndexError)):
        Baseline.from_json(rubbish)


def test_sigma() -> None:
    assert poisson_sigma(5, 10) == 0.0
    assert poisson_sigma(25, 10) == pytest.approx(4.0, abs=0.3)
    assert poisson_sigma(5, 0) == 0.0


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

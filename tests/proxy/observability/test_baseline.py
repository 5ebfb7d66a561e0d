"""The baseline: counts that add and fade alike everywhere."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.observability.baseline import (
    ERROR_PRIOR_SHARE,
    STEP_S,
    Baseline,
    poisson_sigma,
)
from proxy.observability.sketch import BUCKETS
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

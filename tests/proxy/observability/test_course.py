"""A slowdown that stays is told apart from a bump of minutes and from a route that strays."""

import json
import random
from collections.abc import Iterable
from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.observability.course import OFFSETS, Course, Whereabouts
from proxy.observability.hypotheses import SHIFTS
from proxy.observability.sketch import bucket_of
from tests.support.observability import known_baseline

BASE = known_baseline()
LIKELIHOODS = st.lists(st.floats(-300.0, 0.0), min_size=SHIFTS, max_size=SHIFTS)


def seen(rng: random.Random, factor: float, count: int = 6) -> list[float]:
    """What a slice of ``count`` answers says, ``factor`` times slower than usual."""
    durations: dict[int, int] = {}
    for _ in range(count):
        bucket = bucket_of(factor * rng.lognormvariate(4.0, 0.4))
        durations[bucket] = durations.get(bucket, 0) + 1
    return list(BASE.weighed(durations, 0))


def followed(
    factors: Iterable[float], *, level: float = 0.0, wander: float = 0.1, seed: int = 1
) -> list[float]:
    """How likely it is that it stays, after each of the slices of ten seconds."""
    rng, course, stays = random.Random(seed), Course.begin(level, 0.001, wander, 0.0, 0.0), []
    for n, factor in enumerate(factors):
        course.pass_time(10.0 * n)
        course.see(seen(rng, factor))
        stays.append(course.stays)
    return stays


@pytest.mark.parametrize("seed", range(5))
def test_what_stays_is_known_and_a_bump_of_minutes_is_none(seed: int) -> None:
    slower = followed([1.0] * 6 + [2.2] * 40, seed=seed)
    assert max(slower[:6]) < 0.01
    assert min(slower[-10:]) > 0.95
    bump = followed([1.0] * 6 + [1.35] * 24 + [1.0] * 18, seed=seed)
    assert max(bump) < 0.5
    assert bump[-1] < 0.01


def test_far_slower_is_known_within_a_minute_and_one_slice_is_no_slowdown() -> None:
    assert followed([1.0] * 6 + [10.0] * 5)[-1] > 0.95
    blip = followed([1.0] * 6 + [10.0] * 2 + [1.0] * 12)
    assert max(blip) < 0.5
    assert blip[-1] < 0.01


def test_where_the_route_was_before_counts() -> None:
    # four tenths slower is hardly more than a route strays, unless it was faster just before
    from_usual, from_below = (
        sum(followed([1.4] * 30, level=level, seed=seed)[-1] for seed in range(5)) / 5.0
        for level in (0.0, -0.25)
    )
    assert from_usual < 0.5 * from_below


def test_a_route_that_strays_far_must_be_slower() -> None:
    still, noisy = (followed([2.0] * 12, wander=wander)[-1] for wander in (0.1, 0.3))
    assert noisy < 0.5 < still


def test_what_came_later_counts_and_not_only_how_much() -> None:
    # the same slices: slow ones among good ones, or slow ones at the end
    among, together = followed([1.0, 2.2] * 15), followed([1.0] * 15 + [2.2] * 15)
    assert among[-1] < 0.5
    assert together[-1] > 0.95


def test_without_any_requests_what_was_known_fades() -> None:
    course, rng = Course.begin(0.0, 0.001, 0.1, 0.0, 0.0), random.Random(1)
    for n in range(12):
        course.pass_time(10.0 * n)
        course.see(seen(rng, 2.5))
    known = course.stays
    course.pass_time(10.0 * 12 + 7_200.0)
    assert known > 0.95
    assert course.stays < 0.2


@given(st.lists(st.tuples(LIKELIHOODS, st.floats(0.0, 4_000.0)), max_size=12), st.floats(0.0, 1.0))
def test_its_shares_are_one_whatever_comes(
    slices: list[tuple[list[float], float]], wander: float
) -> None:
    course, now = Course.begin(0.0, 0.01, wander, 0.0, 0.0), 0.0
    for found, passed in slices:
        now += passed
        course.pass_time(now)
        course.see(found)
        *_, shares = course.to_json()
        assert sum(shares) == pytest.approx(1.0)
        assert min(shares) >= 0.0
        assert -1e-9 <= course.stays <= 1.0 + 1e-9
        mean, variance = course.whereabouts()
        assert abs(mean) < 2.0
        assert variance >= 0.0


@given(st.lists(LIKELIHOODS, min_size=1, max_size=4))
def test_kept_and_read_again_it_says_the_same(slices: list[list[float]]) -> None:
    course = Course.begin(0.05, 0.004, 0.2, 3.0, 9.0)
    for n, found in enumerate(slices):
        course.pass_time(10.0 + 17.0 * n)
        course.see(found)
    again = Course.from_json(json.loads(json.dumps(course.to_json())))
    for one in (course, again):
        one.pass_time(200.0)
        one.see(slices[0])
    assert again.to_json() == course.to_json()


STATES = 11 * len(OFFSETS)


@pytest.mark.parametrize(
    "data",
    [
        [0, 1.0, [0.01] * STATES],
        [9, 1.0, [0.01] * STATES],
        [1, "never", [0.01] * STATES],
        [1, float("nan"), [0.01] * STATES],
        [1, 1.0, [0.01] * 33],
        [1, 1.0, [-0.01] * STATES],
        [1, 1.0, [0.0] * STATES],
        [1, 1.0, [float("nan")] * STATES],
        [1, 1.0, None],
        [1, 1.0],
    ],
)
def test_what_is_no_course_is_refused(data: list[object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        Course.from_json(data)


def test_the_level_is_read_and_what_was_read_is_less_sure_later() -> None:
    calm = Whereabouts()
    calm.drift(0.0, 0.0, 0.1)
    calm.mean, calm.variance = calm.with_reading(0.2, 0.0001)
    assert 0.15 < calm.mean < 0.2
    assert calm.variance < 0.001
    calm.drift(600.0, 0.0, 0.1)
    assert 0.05 < calm.mean < 0.12
    assert 0.005 < calm.variance < 0.01
    calm.drift(86_400.0, 0.3, 0.1)
    assert calm.mean == pytest.approx(0.3)
    assert calm.variance == pytest.approx(0.01)


@given(
    st.lists(
        st.tuples(st.floats(1.0, 900.0), st.floats(-0.5, 0.5), st.floats(1e-5, 0.5)), max_size=20
    )
)
def test_it_is_never_surer_than_a_reading_nor_less_sure_than_the_route_strays(
    readings: list[tuple[float, float, float]],
) -> None:
    calm, now = Whereabouts(), 0.0
    for passed, level, chance in readings:
        now += passed
        calm.drift(now, 0.0, 0.1)
        before = calm.mean
        calm.mean, calm.variance = calm.with_reading(level, chance)
        assert min(before, level) - 1e-9 <= calm.mean <= max(before, level) + 1e-9
        assert 0.0 < calm.variance <= 0.01 + 1e-9
    again = Whereabouts.from_json(json.loads(json.dumps(calm.to_json())))
    assert again.to_json() == calm.to_json()


def test_a_run_begins_where_the_level_was_left() -> None:
    rng, course = random.Random(4), Course.begin(0.0, 0.01, 0.1, 0.0, 0.0)
    for n in range(30):
        course.pass_time(10.0 * n)
        course.see(seen(rng, exp(0.15), 20))
    mean, variance = course.whereabouts()
    assert mean == pytest.approx(0.15, abs=0.05)
    assert variance < 0.005
    assert log(1.6) - mean > 0.2


def test_what_is_no_whereabouts_is_refused() -> None:
    for data in ([0.0, -1.0, None, False], [0.0, float("nan"), None, False], [0.0], ["x", 0, 0, 0]):
        with pytest.raises((TypeError, ValueError)):
            Whereabouts.from_json(data)

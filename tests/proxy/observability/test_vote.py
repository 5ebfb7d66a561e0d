"""Does a route move with the others, by the counts of its last minutes?"""

import random

import pytest

from proxy.config import Detector as Settings
from proxy.observability.series import Series
from proxy.observability.sketch import bucket_of
from proxy.observability.vote import failing, lately, slower
from tests.support.observability import known_baseline

ONSET = 6030.0
"""In the middle of a minute."""


def route(
    rate: float, factor: float = 1.0, share: float = 0.0, *, until: float = 6120.0, seed: int = 3
) -> Series:
    """A route that has been as usual until ``ONSET``, and is not since."""
    rng, series = random.Random(seed), Series("GET", "/x", Settings(), 0.0)
    series.baseline = known_baseline()
    series.baseline.learn({}, 20000, 20)
    series.warm(0.0)
    now = 5700.0
    while now < until:
        now += rng.expovariate(rate)
        is_since = now >= ONSET
        ms = rng.lognormvariate(4.0, 0.4) * (factor if is_since else 1.0)
        failed = is_since and rng.random() < share
        series.minutes.add(bucket_of(ms), 500 if failed else 200, failed, now)
    return series


@pytest.mark.parametrize("factor", [1.7, 3.0, 10.0])
@pytest.mark.parametrize("until", [6075.0, 6120.0, 6400.0])
def test_a_slow_route_says_so_within_the_minute_in_which_it_began(
    factor: float, until: float
) -> None:
    voice = slower(route(2.0, factor, until=until), ONSET, until, factor)
    assert voice is not None
    assert voice.is_moving
    assert voice.size == pytest.approx(factor, rel=0.25)


@pytest.mark.parametrize("ratio", [1.6, 3.0, 10.0])
def test_a_usual_route_says_that_it_does_not_move(ratio: float) -> None:
    voice = slower(route(2.0), ONSET, 6120.0, ratio)
    assert voice is not None
    assert voice.is_decided
    assert not voice.is_moving


def test_a_mild_bump_does_not_move_with_what_is_ten_times_slower() -> None:
    voice = slower(route(3.0, 1.2), ONSET, 6120.0, 10.0)
    assert voice is not None
    assert not voice.is_moving


def test_hardly_visited_routes_say_nothing() -> None:
    quiet = route(0.005, 3.0)
    assert slower(quiet, ONSET, 6120.0, 3.0) is None
    assert failing(quiet, ONSET, 6120.0, 0.5) is None
    assert lately(quiet, 6120.0) is None


def test_a_moment_at_the_end_of_its_minute_is_too_young() -> None:
    assert slower(route(2.0, 3.0, until=6065.0), 6055.0, 6059.0, 3.0) is None


@pytest.mark.parametrize("share", [0.05, 0.3, 1.0])
def test_a_failing_route_says_so(share: float) -> None:
    voice = failing(route(3.0, share=share, until=6200.0), ONSET, 6200.0, share)
    assert voice is not None
    assert voice.is_moving
    assert voice.size == pytest.approx(share, abs=0.03 + 0.3 * share)


@pytest.mark.parametrize("share", [0.1, 0.3, 1.0])
def test_a_route_that_works_says_that_it_does_not_fail(share: float) -> None:
    voice = failing(route(2.0, until=6200.0), ONSET, 6200.0, share)
    assert voice is not None
    assert voice.is_decided
    assert not voice.is_moving


def test_how_slow_it_is_lately() -> None:
    seen = lately(route(1.0, 4.0, until=6400.0), 6400.0)
    assert seen is not None
    assert 2.5 < seen.least <= seen.factor == pytest.approx(4.0, rel=0.2)
    assert seen.observed == pytest.approx(seen.usual * seen.factor)
    assert 6200.0 < seen.since < 6400.0

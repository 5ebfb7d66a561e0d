"""A run is followed from the level before it, and no further than until it is told."""

import json
import math
import random

import pytest

from proxy.observability.follower import Follower
from proxy.observability.latency import LatencyWatch
from proxy.observability.level import Level
from proxy.observability.situation import Situation
from proxy.observability.sketch import bucket_of
from tests.support.observability import known_baseline

BASE = known_baseline()


class Route:
    def __init__(self) -> None:
        self.level, self.latency = Level(Situation(), 0.0), LatencyWatch(3.0, 3.0)
        self.rng, self.now = random.Random(3), 0.0

    def goes(self, factor: float, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            began, self.now = self.now, self.now + 10.0
            durations: dict[int, int] = {}
            for _ in range(8):
                bucket = bucket_of(factor * self.rng.lognormvariate(4.0, 0.4))
                durations[bucket] = durations.get(bucket, 0) + 1
            self.latency.add(BASE, self.level, durations, 8, began, 1.0, self.now)
            self.level.add(BASE, durations, 8, self.now, self.latency.strongest < 4.0)
            self.latency.follower.read(self.level, self.now)

    @property
    def stays(self) -> float | None:
        return self.latency.follower.stays()


def test_a_run_is_followed_while_it_lasts() -> None:
    route = Route()
    route.goes(1.0, 900.0)
    route.goes(2.0, 60.0)
    begun = route.stays
    route.goes(2.0, 180.0)
    lasting = route.stays
    route.goes(0.9, 300.0)
    assert begun is not None
    assert lasting is not None
    assert begun < lasting
    assert lasting > 0.9
    assert route.stays is None or route.stays < 0.01


def test_where_it_was_just_before_is_where_it_begins() -> None:
    found = []
    for before in (0.85, 1.15):
        route = Route()
        route.goes(1.0, 900.0)
        route.goes(before, 600.0)
        route.goes(1.6, 150.0)
        found.append(route.stays or 0.0)
    below, above = found
    assert above < 0.5 * below


def test_what_is_told_is_followed_no_further() -> None:
    route = Route()
    route.goes(1.0, 900.0)
    route.goes(2.0, 120.0)
    assert route.stays is not None
    route.latency.follower.stop()
    assert route.stays is None
    route.goes(2.0, 120.0)
    assert route.stays is None
    route.latency.forget()
    route.goes(2.0, 120.0)
    assert route.stays is not None


def test_kept_and_read_again_it_goes_on() -> None:
    route = Route()
    route.goes(1.0, 900.0)
    route.goes(1.7, 90.0)
    stored = json.loads(json.dumps(route.latency.to_json()))
    again = LatencyWatch(3.0, 3.0)
    again.restore(stored)
    assert again.to_json() == stored
    assert again.follower.stays() == pytest.approx(route.stays)
    # what an earlier version stored knows no course: it is followed from here
    again.restore(stored[:-1])
    assert again.run.slices
    route.latency = again
    route.goes(1.7, 10.0)
    assert route.stays is not None


def test_what_is_no_follower_is_refused() -> None:
    calm, nowhere = [0.0, 0.01, None, False], [0.0, -1.0, None, False]
    begun, row = [0.0, 0.01, 0.1, 0.0], [0.0] * 24
    Follower.from_json([calm, None, begun, [[1.0, row]], False])
    for data in (
        [],
        [calm],
        [nowhere, None, None, [], False],
        [calm, [1, 2.0, [3.0]], None, [], False],
        [calm, None, [0.0, -1.0, 0.1, 0.0], [], False],
        [calm, None, None, [[1.0, row]], False],
        [calm, None, begun, [[1.0, [0.5]]], False],
        [calm, None, begun, [[1.0, None]], False],
        [calm, None, begun, [[math.nan, row]], False],
        [calm, None, begun, [[1.0, [math.inf] * 24]], False],
        [calm, None, [0.0, 0.01, math.inf, 0.0], [], False],
        [calm, None, [math.nan, 0.01, 0.1, 0.0], [], False],
        [[math.nan, 0.01, None, False], None, None, [], False],
        [[0.0, 0.01, math.inf, False], None, None, [], False],
    ):
        with pytest.raises((TypeError, ValueError)):
            Follower.from_json(data)

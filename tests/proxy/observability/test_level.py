"""The level: calm routes are known as calm, restless ones as restless; a day is followed."""

import json
import random
from math import exp

import pytest

from proxy.observability.evidence import RATIO_MIN
from proxy.observability.level import LEVEL_MAX, LEVEL_UP_MAX, WANDER_MIN, Level
from proxy.observability.situation import Situation
from proxy.observability.sketch import bucket_of
from tests.support.observability import known_baseline

BASE = known_baseline(n=20_000)


def walk(level: Level, wander: float, minutes: int, seed: int = 1, drift: float = 0.0) -> Level:
    rng, at = random.Random(seed), 0.0
    for minute in range(minutes):
        at = 0.9 * at + rng.gauss(0.0, wander * 0.436)
        for part in range(6):
            durations: dict[int, int] = {}
            for _ in range(20):
                bucket = bucket_of(rng.lognormvariate(4.0, 0.4) * exp(at + drift))
                durations[bucket] = durations.get(bucket, 0) + 1
            now = minute * 60.0 + part * 10.0
            level.add(BASE, durations, 20, now, True)
        if minute % 5 == 4:
            level.follow(BASE)
    return level


def test_a_calm_route_needs_the_least_slowdown() -> None:
    level = walk(Level(Situation(), 0.0), 0.03, 240)
    assert level.wander[0] == WANDER_MIN
    assert level.normal.least(0) == pytest.approx(RATIO_MIN, abs=0.08)


@pytest.mark.parametrize("wander", [0.2, 0.3])
def test_a_restless_route_must_be_slower_by_more_than_it_strays(wander: float) -> None:
    level = walk(Level(Situation(), 0.0), wander, 300)
    assert level.wander[0] == pytest.approx(wander, rel=0.35)
    assert level.normal.least(0) > exp(3 * level.wander[0])
    assert level.normal.costs(0)[-1] < walk(Level(Situation(), 0.0), 0.03, 300).normal.costs(0)[5]


def test_a_route_nobody_knows_is_believed_to_be_like_the_others() -> None:
    shared = Situation()
    calm = Level(shared, 0.0).normal.least(0)
    walk(Level(shared, 0.0), 0.3, 300)
    assert Level(shared, 0.0).normal.least(0) > 1.3 * calm


def test_the_level_follows_slowly_and_not_for_ever() -> None:
    up = walk(Level(Situation(), 0.0), 0.03, 120, drift=0.3)
    assert up.drift == LEVEL_UP_MAX
    assert up.is_stretched
    down = walk(Level(Situation(), 0.0), 0.03, 120, drift=-0.5)
    assert down.drift == -LEVEL_MAX
    assert down.is_faster


def test_what_was_seen_before_an_incident_is_not_learned() -> None:
    level = walk(Level(Situation(), 0.0), 0.03, 120)
    before = list(level.wander)
    for part in range(24):
        durations = {bucket_of(300.0): 20}
        now = 7200.0 + part * 10.0
        level.add(BASE, durations, 20, now, False)
    level.began(7440.0)
    assert level.wander == before


def test_a_level_goes_through_json() -> None:
    level = walk(Level(Situation(), 0.0), 0.2, 90)
    again = Level(Situation(), 0.0)
    again.restore(json.loads(json.dumps(level.to_json())))
    assert json.dumps(again.to_json()) == json.dumps(level.to_json())
    broken = level.to_json()
    broken["vectors"] = [[1.0], None, None]
    with pytest.raises(ValueError, match="hypothesis"):
        again.restore(broken)


def test_where_the_level_is_can_be_read_once_a_window_and_within_it() -> None:
    rng, level = random.Random(5), Level(Situation(), 0.0)
    read, readings = None, []
    for n in range(1, 13):
        durations: dict[int, int] = {}
        for _ in range(20):
            bucket = bucket_of(1.2 * rng.lognormvariate(4.0, 0.4))
            durations[bucket] = durations.get(bucket, 0) + 1
        level.add(BASE, durations, 20, 10.0 * n, True)
        readings.append(level.take_reading())
        read = read or level.partly_read(BASE)
    full = [reading for reading in readings if reading is not None]
    assert readings[5] is not None
    assert len(full) == 2
    assert level.take_reading() is None
    assert read is not None
    for at, chance in (*full, read):
        assert at == pytest.approx(0.18, abs=0.25)
        assert 0.0 < chance < 0.05
    assert full[0][1] < read[1]

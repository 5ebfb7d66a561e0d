"""Days of kinds written apart: a sample, all of them with SELFHEAL_CAMPAIGN=full."""

import random

import pytest

from tests.support.apart_days import KINDS, make
from tests.support.apart_shapes import at_once, fails, gamma, times
from tests.support.apart_traffic import Day, Endpoint, play
from tests.support.campaign import IS_WHOLE
from tests.support.verdict import assert_useful, judge

# The sample is every ninth kind: no choice that could be in anyone's favour.
SAMPLE = [(kind, 1) for kind in list(KINDS)[::9]]
CAMPAIGN = [(kind, seed) for kind in KINDS for seed in (1, 2, 3, 4)] if IS_WHOLE else SAMPLE


@pytest.mark.campaign
@pytest.mark.timeout(3600 if IS_WHOLE else 120)
def test_days_of_kinds_written_apart() -> None:
    assert_useful(make, CAMPAIGN)


def test_a_seed_is_a_day() -> None:
    assert make("small_shop", 3) == make("small_shop", 3)
    assert make("small_shop", 3)[1] != make("small_shop", 4)[1]


def a_day() -> Day:
    rng = random.Random(5)
    return Day(
        rng, [Endpoint("/a", "GET", 0.5, gamma(100, 5)), Endpoint("/b", "GET", 0.01, gamma(100, 5))]
    )


def test_the_truth_is_what_was_hurt() -> None:
    day = a_day()
    day.put("both fail", day.all, 20_000, 600, lambda s: fails(0.5, 502, at_once))
    day.put("slow", ["GET /a"], 30_000, 600, lambda s: times(3.0))
    plan, _ = play(day)
    assert [(s.name, s.route, s.kind) for s in plan.incidents] == [
        ("both fail", "GET /a", "error_rate"),  # six visitors of the other are too few to say
        ("slow", "GET /a", "latency"),
    ]
    quiet = (20_300.0, "GET", "/b", "error_rate")
    assert any(s.holds(quiet) for s in plan.neutral)


def test_what_nobody_notices_is_no_incident() -> None:
    day = a_day()
    day.put("a fifth slower", ["GET /a"], 20_000, 600, lambda s: times(1.2))
    day.put("refused", ["GET /a"], 30_000, 600, lambda s: fails(0.9, 404, at_once))
    assert not play(day)[0].incidents


def test_what_stays_is_usual_after_an_hour() -> None:
    day = a_day()
    day.put("release", ["GET /a"], 20_000, 9000, lambda s: times(3.0), for_good=True)
    plan, _ = play(day)
    late = [(at, "GET", "/a", "latency") for at in (21_000.0, 23_000.0, 26_000.0)]
    verdict = judge(plan, late)
    assert (verdict.found, verdict.false) == (1, late[2:])

"""Jolts: several routes failing at one moment prove nothing about one of them, unless it lasts."""

import json
from collections.abc import Callable

import pytest

from proxy.domain.anomaly import Anomaly
from proxy.observability.detector import MLDetector
from proxy.observability.jolt import LASTS_S, WARMS_S, Jolts

ROUTES = ("/a", "/b", "/c", "/d")


def jolt(at: float, routes: tuple[str, ...] = ROUTES, *, until: float | None = None) -> Jolts:
    jolts, now = Jolts(), at
    while now <= (at + 3.0 if until is None else until):
        for route in routes:
            jolts.failed(route, now)
        now += 0.5
    return jolts


def test_three_routes_within_seconds_are_a_jolt_and_two_are_none() -> None:
    assert jolt(100.0).covers(101.0)
    assert jolt(100.0).covers(97.0), "what came just before belongs to it"
    assert not jolt(100.0).covers(120.5)
    assert not jolt(100.0, ROUTES[:2]).covers(101.0)
    slow = Jolts()
    for n, route in enumerate(ROUTES):
        slow.failed(route, 100.0 + 4.0 * n)
    assert not slow.covers(110.0), "one after another is none"


def test_what_lasts_is_no_jolt_any_more_and_the_next_is_one_again() -> None:
    long = jolt(100.0, until=400.0)
    assert long.covers(110.0)
    assert not long.covers(100.0 + LASTS_S + 1.0)
    assert not long.covers(399.0)
    for route in ROUTES:
        long.failed(route, 500.0)
    assert long.covers(501.0)


def test_what_has_just_started_is_warming() -> None:
    long = jolt(100.0, until=400.0)
    assert long.warms(90.0, 100.0)
    assert long.warms(100.0 + WARMS_S, 170.0)
    assert not long.warms(80.0, 99.0)
    assert not long.warms(100.0 + WARMS_S + 1.0, 150.0), "an hour of errors is no start"
    assert not Jolts().warms(0.0, 1e9)


def test_it_survives_a_restart() -> None:
    again = Jolts()
    again.restore(json.loads(json.dumps(jolt(100.0).to_json())))
    assert again.covers(101.0)
    assert again.warms(110.0, 120.0)
    again.restore([])
    for rubbish in ([1.0], [1.0, "x"], [1.0, 2.0, 3.0]):
        with pytest.raises((TypeError, ValueError)):
            Jolts().restore(rubbish)  # type: ignore[arg-type]


def told(
    fails: Callable[[str, float], bool],
    until: float = 2400.0,
    ms: Callable[[str, float], float] = lambda _route, _now: 20.0,
) -> list[Anomaly]:
    """Four routes, two requests a second each, that have been well for half an hour."""
    detector, found = MLDetector(), []
    for tick in range(int(2 * until)):
        now = tick / 2.0
        for route in ROUTES:
            failed = fails(route, now)
            anomaly = detector.observe(
                "GET", route, 503 if failed else 200, ms(route, now), now, failed
            )
            found += [anomaly] if anomaly is not None else []
        found += [a for a in detector.tick(now) if isinstance(a, Anomaly)]
    return found


def is_restart(now: float) -> bool:
    return 1800.0 <= now < 1804.0


FEW = (1760.0, 1774.0, 1788.0)
"""Three errors by chance before it."""


def test_a_restart_behind_a_few_errors_is_no_incident() -> None:
    assert told(lambda route, now: is_restart(now) or (route == "/d" and now in FEW)) == []


def test_the_same_errors_of_one_route_alone_are_one() -> None:
    found = told(lambda route, now: route == "/d" and (is_restart(now) or now in FEW))
    assert [a.route for a in found] == ["/d"]


def test_what_stays_broken_after_a_restart_is_told() -> None:
    found = told(
        lambda route, now: is_restart(now) or (route == "/d" and now > 1800.0 and now % 4.0 == 0.0)
    )
    assert [a.route for a in found] == ["/d"]
    assert found[0].detected_at <= 1900.0


def test_an_outage_of_everything_is_told_as_soon_as_before() -> None:
    found = told(lambda _route, now: 1800.0 <= now < 2000.0)
    assert {a.route for a in found} == set(ROUTES)
    assert found[0].detected_at <= 1825.0


def slow(until: float) -> Callable[[str, float], float]:
    """One route, four times slower from the restart on."""
    return lambda route, now: 80.0 if route == "/d" and 1800.0 <= now < until else 20.0


def test_what_is_slow_while_it_starts_is_no_incident() -> None:
    starting = slow(1840.0)
    assert told(lambda _route, now: is_restart(now), ms=starting) == []
    assert [a.route for a in told(lambda _route, _now: False, ms=starting)] == ["/d"]


def test_a_start_behind_a_few_slow_answers_is_no_incident() -> None:
    """What came before has proved most of what is needed, and the start may not prove the rest."""

    def chance(route: str, now: float) -> float:
        return 80.0 if route == "/d" and 1784.0 <= now < 1836.0 else 20.0

    assert told(lambda _route, now: 1806.0 <= now < 1810.0, ms=chance) == []


def test_what_stays_slow_after_a_restart_is_told() -> None:
    found = told(lambda _route, now: is_restart(now), ms=slow(2400.0))
    assert [(a.kind, a.route) for a in found] == [("latency", "/d")]
    assert found[0].detected_at <= 1880.0

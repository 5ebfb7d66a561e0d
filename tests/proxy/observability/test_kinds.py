"""Kinds of failures: one that hardly ever comes here proves more than the usual one."""

import json
import random
import re

import pytest

from proxy.domain.anomaly import Anomaly
from proxy.observability.baseline import Baseline
from proxy.observability.delta import Delta
from proxy.observability.detector import MLDetector
from proxy.observability.failures import Failing, FailureWatch, Slice
from proxy.observability.kinds import (
    KINDS,
    NOTHING_KNOWN,
    QUICK,
    SLOW,
    USUAL,
    Alike,
    UsualKinds,
    alike,
    by_kind,
    kind_of,
    strangeness,
)

STRAY, GATEWAY = kind_of(500), kind_of(503)


def usual(stray: int, gateway: int = 0) -> list[float]:
    return by_kind(bytes([STRAY] * stray + [GATEWAY] * gateway)) or list(NOTHING_KNOWN)


def proved(kind: int, runs: int, own: list[float], app: list[float]) -> float:
    return strangeness(b"", bytes([kind] * runs), own, app)


@pytest.mark.parametrize("status", [500, 501, 502, 503, 504, 507, 599, 0])
def test_a_kind_is_its_status(status: int) -> None:
    alike = [s for s in (500, 502, 503, 504, 501) if kind_of(s) == kind_of(status)]
    assert 0 <= kind_of(status) < KINDS
    assert alike == [status if status in (500, 502, 503, 504) else 501]


def test_how_long_a_failure_took_is_part_of_its_kind() -> None:
    kinds = {kind_of(status, pace) for status in (500, 502, 503, 504, 501) for pace in range(3)}
    assert kinds == set(range(KINDS))


def test_what_an_earlier_version_wrote_knows_no_paces_and_makes_none_seldom() -> None:
    old = {**Baseline().to_json(), "kinds": [40.0, 0.0, 1.0, 0.0, 0.0]}
    kinds = Baseline.from_json(old).kinds
    assert sum(kinds) == pytest.approx(41.0)
    for pace in (USUAL, QUICK, SLOW):
        assert proved(kind_of(500, pace), 2, kinds.tolist(), kinds.tolist()) < 0.5


def test_what_all_routes_show_does_not_depend_on_which_told_first() -> None:
    told = [(usual(3), 100.0), (usual(0, 2), 200.0), (usual(7), 250.0)]
    one, other = UsualKinds(), UsualKinds()
    for kinds, now in told:
        one.learn(kinds, now)
    for kinds, now in reversed(told):
        other.learn(kinds, now)
    assert one.to_json() == other.to_json()
    one.learn(usual(0, 1), 86_400.0)
    assert one.counts[STRAY] == pytest.approx(5.0)
    moved = UsualKinds()
    moved.restore(json.loads(json.dumps(one.to_json())))
    assert moved.to_json() == one.to_json()


def test_a_kind_never_seen_where_all_is_known_proves_much_and_the_usual_one_costs_little() -> None:
    app = usual(300)
    assert proved(GATEWAY, 1, usual(10), app) > 2.5
    assert proved(GATEWAY, 3, usual(10), app) > 5.0
    assert -1.5 < proved(STRAY, 5, usual(10), app) < -0.5


def test_however_much_is_known_one_failure_proves_no_more_than_so_much() -> None:
    assert 3.5 < proved(GATEWAY, 1, usual(100), usual(3_000)) < 5.5
    assert proved(GATEWAY, 1, usual(10_000), usual(30_000)) < 5.5


def test_where_nothing_is_known_no_kind_proves_anything() -> None:
    nothing = list(NOTHING_KNOWN)
    for kind in (STRAY, GATEWAY):
        assert proved(kind, 5, nothing, nothing) == pytest.approx(0.0, abs=1e-6)


def test_a_routes_own_kind_is_usual_there_whatever_the_others_show() -> None:
    assert proved(GATEWAY, 3, usual(0, 30), usual(300)) < 0.5


def test_kinds_in_turn_are_no_incident_of_one_kind() -> None:
    mixed = strangeness(b"", bytes([STRAY, GATEWAY] * 2), usual(10), usual(300))
    assert strangeness(bytes([STRAY]), bytes([GATEWAY]), usual(10), usual(300)) == 0.0
    assert mixed < proved(GATEWAY, 4, usual(10), usual(300)) - 2.0


def outage_told_after(kind: int, *others: int, every: float = 10.0) -> int:
    """Failures of a quiet route in a row until they are told; ``others`` are the next kinds."""
    base = Baseline()
    base.learn({}, 5_000, 4, 4, usual(4))
    failures, following = FailureWatch(5.0, 3.0), [kind, *others, *[kind] * 10]
    for n in range(10):
        at = every * n
        # one run, so only its first failure is of a kind
        kinds = b"" if n else bytes((kind,))
        seen = Slice(1, 1, 0 if n else 1, 0, at, at, at, kinds, following[n])
        proved = failures.add(base, seen, 1.0, usual(300))
        if failures.verdict(base, proved, at, usual(300)) is not None:
            return n + 1
    return 0


def test_an_outage_of_an_unusual_kind_is_told_one_failure_sooner() -> None:
    assert outage_told_after(GATEWAY) == 3
    assert outage_told_after(STRAY) == 4


def test_an_outage_of_a_seldom_kind_is_told_by_two_further_apart_than_a_blip_lasts() -> None:
    assert outage_told_after(GATEWAY, every=25.0) == 2
    assert outage_told_after(STRAY, every=25.0) == 4
    # a restart and one by chance
    assert outage_told_after(GATEWAY, STRAY, STRAY, STRAY, every=25.0) == 4
    # how long they take may change: what is overloaded gets slower
    assert outage_told_after(GATEWAY, kind_of(503, SLOW), every=25.0) == 2


def test_what_is_odd_must_not_be_how_soon_the_first_one_failed() -> None:
    at_once = kind_of(500, QUICK)
    assert outage_told_after(at_once, every=25.0) == 2
    assert outage_told_after(at_once, STRAY, STRAY, STRAY, every=25.0) > 2


@pytest.mark.parametrize(
    ("kinds", "last", "own", "found"),
    [
        ((GATEWAY, GATEWAY), GATEWAY, usual(9, 1), Alike(503, USUAL, 1.0, 10.0, False)),
        # of its own too little is known
        ((GATEWAY,), GATEWAY, usual(2), Alike(503, USUAL, 5.0, 305.0, True)),
        ((kind_of(500, QUICK),), kind_of(500, QUICK), usual(9), Alike(500, QUICK, 0.0, 9.0, False)),
        # of several paces the status alone is what they share
        ((kind_of(503, QUICK),), GATEWAY, usual(9, 1), Alike(503, USUAL, 1.0, 10.0, False)),
        ((GATEWAY, STRAY), GATEWAY, usual(9), None),
        ((GATEWAY,), STRAY, usual(9), None),
        ((kind_of(599),), kind_of(599), usual(9), None),
    ],
)
def test_what_failures_have_in_common(
    kinds: tuple[int, ...], last: int, own: list[float], found: Alike | None
) -> None:
    assert alike(bytes(kinds), last, own, usual(300, 5)) == found
    assert alike(bytes(kinds), last, NOTHING_KNOWN, NOTHING_KNOWN) is None


def test_a_sentence_says_why_so_few_are_enough() -> None:
    detector = MLDetector()
    now = stray_day(detector, random.Random(5)) + 60.0
    found = [detector.observe("GET", "/r1", 503, 40.0, now + 25.0 * n, True) for n in range(2)]
    told = found[-1]
    assert isinstance(told, Anomaly)
    assert "(2 of 2 requests, each a 503, " in told.explanation
    assert re.search(r" with a 503 in 0 of about \d+ cases\.$", told.explanation)


def test_what_nobody_saw_the_kind_of_is_not_said_to_be_of_one() -> None:
    base = Baseline()
    base.learn({}, 5_000, 9, 9, usual(9))

    def told(*slices: Slice) -> Failing:
        failures = FailureWatch(5.0, 3.0)
        for seen in slices:
            proved = failures.add(base, seen, 4.0, usual(300))
            found = failures.verdict(base, proved, seen.last_error, usual(300))
            if found is not None:
                return found
        raise AssertionError("nothing was told")

    one = bytes((GATEWAY,))
    pair = [
        Slice(1, 1, 1, 0, 0.0, 0.0, 0.0, one, GATEWAY),
        Slice(1, 1, 0, 0, 25.0, 25.0, 25.0, b"", GATEWAY),
    ]
    assert told(*pair).alike == Alike(503, USUAL, 0.0, 9.0, False)
    # the first of a sum that began in the middle of a run
    torn = [
        Slice(1, 1, 0, 0, 0.0, 0.0, 0.0, b"", GATEWAY),
        *[Slice(2, 1, 1, 1, t, t + 1.0, t + 1.0, one, GATEWAY) for t in (25.0, 50.0, 75.0, 100.0)],
    ]
    assert told(*torn).alike is None
    # the middle one of three that came together
    three = [
        Slice(2, 2, 1, 0, 0.0, 0.0, 5.0, one, GATEWAY),
        Slice(1, 1, 0, 0, 25.0, 25.0, 25.0, b"", GATEWAY),
    ]
    assert told(*three).alike is None


def test_scattered_failures_of_an_unusual_kind_are_told_sooner() -> None:
    def told_after(kind: int) -> int:
        base = Baseline()
        base.learn({}, 20_000, 20, 20, usual(20))
        failures = FailureWatch(5.0, 3.0)
        for n in range(60):
            at, hit = 10.0 * n, n % 4 == 0
            seen = Slice(12, hit, hit, 0, at, at + 5.0, at + 5.0, bytes((kind,)) * hit, kind)
            proved = failures.add(base, seen, 1.0, usual(300))
            if failures.verdict(base, proved, at + 9.0, usual(300)) is not None:
                return n
        return 60

    assert told_after(GATEWAY) < told_after(STRAY) < 60


def test_counts_by_kind_add_fade_and_move() -> None:
    one, other = Baseline(), Baseline()
    one.fade_to(0.0)
    one.learn({}, 100, 3, 3, usual(2, 1))
    other.fade_to(0.0)
    other.learn({}, 100, 1, 1, usual(0, 1))
    one.add(other)
    assert one.kinds[STRAY], one.kinds[GATEWAY] == (2.0, 2.0)
    again = Baseline.from_json(json.loads(json.dumps(one.to_json())))
    assert again.kinds == one.kinds
    again.fade_to(86_400.0)
    assert again.kinds[STRAY] == pytest.approx(1.0, rel=0.01)
    # an earlier version knew no kinds
    old = one.to_json()
    del old["kinds"]
    assert sum(Baseline.from_json(old).kinds) == 0.0


@pytest.mark.parametrize("kinds", [[1.0], ["x"] * KINDS, [-1.0] * KINDS, [float("nan")] * KINDS, 7])
def test_what_are_no_kinds_is_refused(kinds: object) -> None:
    base = Baseline().to_json()
    with pytest.raises((ValueError, TypeError)):
        Baseline.from_json({**base, "kinds": kinds})
    with pytest.raises((ValueError, TypeError)):
        Delta.from_json({**Delta().to_json(), "kinds": kinds})


def test_what_one_process_tells_another_is_known_by_kind() -> None:
    told, heard = Baseline(), Baseline()
    told.unshared = Delta()
    told.learn({}, 100, 3, 3, usual(2, 1))
    heard.hear_counts(Delta.from_json(json.loads(json.dumps(told.unshared.to_json()))), 0.0)
    assert heard.kinds == told.kinds


def stray_day(detector: MLDetector, rng: random.Random) -> float:
    """Four routes for six hours; one request of two hundred fails with 500."""
    now = 0.0
    while now < 21_600.0:
        now += rng.expovariate(0.5)
        route = f"/r{rng.randrange(4)}"
        failed = rng.random() < 0.005
        ms = rng.lognormvariate(3.7, 0.3)
        detector.observe("GET", route, 500 if failed else 200, ms, now, failed)
        detector.tick(now)
    return now


@pytest.mark.parametrize(("routes", "learned"), [(4, 2.0), (1, 1.0)])
def test_a_blip_teaches_its_kind_once_and_a_restart_till_the_third_route_fails(
    routes: int, learned: float
) -> None:
    detector = MLDetector()
    now = stray_day(detector, random.Random(5)) + 60.0
    before = detector.situation.kinds.counts[kind_of(502)]
    for n in range(24):
        at, failed = now + 0.2 * n, n % 3 > 0
        detector.observe("GET", f"/r{n % routes}", 502 if failed else 200, 40.0, at, failed)
    for n in range(1, 6_000):
        at = now + 5.0 * n
        detector.observe("GET", f"/r{n % 4}", 200, 40.0, at, False)
        detector.tick(at)
    assert detector.situation.kinds.counts[kind_of(502)] - before == pytest.approx(learned, abs=0.3)


def down(
    detector: MLDetector, status: int, now: float, ms: float = 40.0, every: float = 10.0
) -> int:
    """A quiet route fails once in so many seconds: how many failures until it is told."""
    for n in range(8):
        at = now + every * n
        found = detector.observe("GET", "/r1", status, ms, at, True)
        if isinstance(found, Anomaly):
            return n + 1
    return 0


def test_two_of_a_seldom_kind_are_told_and_a_restart_with_one_by_chance_is_not() -> None:
    detector = MLDetector()
    now = stray_day(detector, random.Random(5)) + 60.0
    stored = json.loads(json.dumps(detector.export_baselines()))
    assert down(detector, 503, now, every=25.0) == 2
    detector = MLDetector()
    detector.import_baselines(stored, now)
    assert down(detector, 500, now, every=25.0) == 4
    detector = MLDetector()
    detector.import_baselines(stored, now)
    for at, status in ((now, 503), (now + 25.0, 500), (now + 50.0, 500)):
        # moved to another process between them
        moved = MLDetector()
        moved.import_baselines(json.loads(json.dumps(detector.export_baselines())), at)
        detector = moved
        assert detector.observe("GET", "/r1", status, 40.0, at, True) is None


@pytest.mark.parametrize(
    ("status", "ms", "failures"),
    [(503, 40.0, 3), (500, 40.0, 4), (500, 3.0, 3), (500, 30_000.0, 3)],
)
def test_the_detector_learns_what_is_usual_from_all_routes_and_keeps_it(
    status: int, ms: float, failures: int
) -> None:
    detector = MLDetector()
    now = stray_day(detector, random.Random(5)) + 60.0
    restarted = MLDetector()
    restarted.import_baselines(json.loads(json.dumps(detector.export_baselines())), now)
    assert restarted.situation.kinds.to_json() == detector.situation.kinds.to_json()
    assert sum(detector.situation.kinds.counts) > 20
    assert down(detector, status, now, ms) == down(restarted, status, now, ms) == failures


def test_a_sum_that_begins_in_the_middle_of_a_run_is_weighed_without_its_kind() -> None:
    base = Baseline()
    base.learn({}, 20_000, 20, 20, usual(20))
    failures = FailureWatch(5.0, 3.0)
    for n in range(20):
        at, hits = 10.0 * n, 3 if n % 2 else 0
        crossed = failures.add(base, Slice(6, hits, 0, 0, at, at + 5.0, at + 5.0), 1.0, usual(300))
        if crossed is not None:
            failures.verdict(base, crossed, at + 9.0, usual(300))
    assert failures.strongest > 0.0

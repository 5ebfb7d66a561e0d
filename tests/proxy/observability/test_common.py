"""One cause, one alert: what most routes show is told once, and nothing else is lost by it."""

import json
import random
from collections.abc import Callable
from statistics import median

import pytest

from proxy.config import Detector as Settings
from proxy.domain.anomaly import Anomaly
from proxy.observability.common import GROUPS_MAX
from proxy.observability.detector import MLDetector
from proxy.observability.incident import IncidentEnd
from proxy.observability.sentences import NAMED_MAX, common_sentence
from tests.support.campaign import IS_WHOLE, SEED, TIMEOUT_S
from tests.support.common_days import COMMON_KINDS
from tests.support.observability import play
from tests.support.verdict import judge

ROUTES = ("/a", "/b", "/c", "/d", "/e", "/f")
Shape = Callable[[str, float], tuple[float, float]]
"""route and time → how many times slower, and the share that fails"""


class Site:
    """Six routes with a request a second each; what begins, begins at 2400 s."""

    def __init__(self, routes: tuple[str, ...] = ROUTES, seed: int = 7) -> None:
        self.detector = MLDetector()
        self.routes = routes
        self.rng = random.Random(seed)
        self.now = 0.0
        self.found: list[Anomaly] = []
        self.ends: list[IncidentEnd] = []

    def run(self, until: float, shape: Shape = lambda route, now: (1.0, 0.0)) -> "Site":
        while self.now < until:
            self.now += self.rng.expovariate(len(self.routes))
            route = self.rng.choice(self.routes)
            factor, share = shape(route, self.now)
            ms = self.rng.lognormvariate(4.0, 0.4) * factor
            status = 500 if self.rng.random() < share else 200
            seen = self.detector.observe("GET", route, status, ms, self.now, status == 500)
            for found in [seen, *self.detector.tick(self.now)]:
                if isinstance(found, Anomaly):
                    self.found.append(found)
                elif found is not None:
                    self.ends.append(found)
        return self

    def restart(self) -> None:
        stored = json.loads(json.dumps(self.detector.export_baselines()))
        self.detector = MLDetector()
        assert self.detector.import_baselines(stored, self.now) == len(self.routes)

    @property
    def told(self) -> list[Anomaly]:
        return [a for a in self.found if a.head is None]

    @property
    def parts(self) -> list[Anomaly]:
        return [a for a in self.found if a.head is not None]


def slow(factor: float, routes: tuple[str, ...] = ROUTES, until: float = 1e9) -> Shape:
    return lambda r, t: (factor if r in routes and 2400.0 <= t < until else 1.0, 0.0)


def test_everything_slower_is_one_alert_and_each_route_an_incident() -> None:
    site = Site().run(2700.0, slow(2.5))
    (first,) = site.told
    assert 2400.0 < first.detected_at < 2460.0, "the first is not held back"
    assert {a.route for a in site.found} == set(ROUTES)
    for part in site.parts:
        assert part.head is not None
        assert (part.head.route, part.head.onset) == (first.route, first.onset)
        assert f"part of what began on GET {first.route}" in part.explanation
    assert len(site.detector.open_incidents) == len(ROUTES)
    slower = site.detector.health_input(site.now).slower
    assert {route for _, route in slower} == set(ROUTES), "the score counts every route that hurts"


def test_the_alert_says_how_many_routes_and_which() -> None:
    site = Site().run(2700.0, slow(2.5))
    words = next(
        i.anomaly.explanation for i in site.detector.open_incidents if i.anomaly.head is None
    )
    assert words.startswith("Since 00:40 everything takes 2.")
    assert "6 of 6 routes, also " in words
    assert all(f"GET {route}" in words for route in ROUTES)
    assert f". First GET {site.told[0].route} takes " in words
    assert words.count("First") == words.count("Since") == 1


def test_everything_fails_is_one_alert() -> None:
    site = Site().run(2600.0, lambda r, t: (1.0, 0.9 if t >= 2400.0 else 0.0))
    assert len(site.told) == 1
    assert len(site.parts) == 5
    assert site.told[0].detected_at < 2430.0


def test_parts_end_with_the_others_and_the_next_outage_is_news() -> None:
    def down(route: str, now: float) -> tuple[float, float]:
        return 1.0, 0.9 if 2400.0 <= now < 2600.0 or 3600.0 <= now < 3800.0 else 0.0

    site = Site().run(3500.0, down)
    assert len(site.told) == 1
    assert {e.anomaly.route for e in site.ends} == set(ROUTES)
    assert {e.reason for e in site.ends} == {"recovered"}
    assert site.detector.open_incidents == []
    site.run(3900.0, down)
    assert [a.head for a in site.told] == [None, None]
    assert site.told[1].detected_at < 3630.0


@pytest.mark.parametrize("hurt", [ROUTES[:2], ROUTES[:3]])
def test_half_of_the_routes_are_told_one_by_one(hurt: tuple[str, ...]) -> None:
    site = Site().run(2700.0, slow(3.0, hurt))
    assert {a.route for a in site.told} == set(hurt)
    assert site.parts == []


def test_two_routes_are_no_crowd() -> None:
    site = Site(("/a", "/b")).run(2700.0, slow(3.0, ("/a", "/b")))
    assert len(site.told) == 2


def test_another_kind_is_told_beside_it() -> None:
    def both(route: str, now: float) -> tuple[float, float]:
        is_bad = now >= 2400.0
        return (2.0 if is_bad else 1.0), 0.9 if is_bad and route == "/c" else 0.0

    told = Site().run(2700.0, both).told
    assert {("/c", "error_rate")} < {(a.route, a.kind) for a in told}
    assert [a.kind for a in told].count("latency") == 1


def test_a_route_that_gets_far_worse_is_told() -> None:
    def worse(route: str, now: float) -> tuple[float, float]:
        return (1.0 if now < 2400.0 else 8.0 if route == "/d" and now >= 2900.0 else 1.9), 0.0

    site = Site().run(3400.0, worse)
    # whoever was told first is told again once the last five minutes are all far worse
    assert {a.route for a in site.told[1:]} == {"/d"}
    assert site.told[1].detected_at < 3140.0
    assert "far more than the other routes" in site.told[1].explanation
    assert site.told[1].ratio > 1.7 * site.told[0].ratio


def test_what_is_far_worse_from_its_start_on_is_no_part() -> None:
    def worse(route: str, now: float) -> tuple[float, float]:
        return 1.0, 0.0 if now < 2400.0 else 0.5 if route == "/d" and now >= 2560.0 else 0.06

    quiet = tuple(route for route in ROUTES if route != "/d")
    calm = Site().run(2900.0, lambda r, t: worse(r, t) if r in quiet else (1.0, 0.0))
    assert len(calm.told) == 1
    site = Site().run(2900.0, worse)
    assert [a.route for a in site.told[1:]] == ["/d"]
    assert site.told[1].detected_at < 2620.0


def test_one_that_stays_slow_when_the_others_recovered_is_told() -> None:
    def stays(route: str, now: float) -> tuple[float, float]:
        until = 4000.0 if route == "/e" else 2700.0
        return (3.0 if 2400.0 <= now < until else 1.0), 0.0

    site = Site().run(3600.0, stays)
    left = site.told[1:]
    assert [a.route for a in left] == ([] if site.told[0].route == "/e" else ["/e"])
    assert all("have recovered" in a.explanation for a in left)


def test_an_incident_before_has_no_part_in_it() -> None:
    def shape(route: str, now: float) -> tuple[float, float]:
        if route == "/a":
            return (4.0 if now >= 1800.0 else 1.0), 0.0
        return (2.5 if now >= 2400.0 else 1.0), 0.0

    site = Site().run(2800.0, shape)
    assert site.told[0].route == "/a"
    assert len(site.told) == 2
    assert {a.head.route for a in site.parts if a.head} == {site.told[1].route}


def test_a_restart_forgets_neither_parts_nor_the_first() -> None:
    site = Site().run(2475.0, slow(2.5))
    assert len(site.told) == 1
    assert site.parts
    site.restart()
    site.run(2800.0, slow(2.5))
    assert len(site.told) == 1
    assert {a.route for a in site.found} == set(ROUTES)
    heads = [i.anomaly.head for i in site.detector.open_incidents if i.anomaly.head is not None]
    assert {h.route for h in heads} == {site.told[0].route}


def test_what_an_earlier_version_stored_has_no_head() -> None:
    site = Site(("/a", "/b")).run(2500.0, slow(3.0, ("/a", "/b")))
    stored = json.loads(json.dumps(site.detector.export_baselines()))
    for row in stored["routes"].values():
        for incident in row["state"]["ledger"]["open"].values():
            del incident["anomaly"]["head"]
    again = MLDetector()
    assert again.import_baselines(stored, site.now) == 2
    assert [i.anomaly.head for i in again.open_incidents] == [None, None]


def test_a_setting_that_is_off_tells_nothing() -> None:
    site = Site()
    site.detector = MLDetector(Settings(enabled=False))
    assert site.run(2700.0, slow(3.0)).found == []


def test_long_lists_are_cut_and_say_so() -> None:
    site = Site(("/a",)).run(2500.0, slow(3.0, ("/a",)))
    others = [f"GET /{n}" for n in range(NAMED_MAX + 5)]
    words = common_sentence(site.told[0], 3.0, 18, 25, others)
    assert words.startswith("Since 00:40 most routes take 3.0 times as long: 18 of 25 routes")
    assert f"GET /{NAMED_MAX - 1} and 5 more. First GET /a takes " in words


def test_what_is_kept_is_bounded() -> None:
    site = Site().run(2700.0, slow(2.5))
    common = site.detector._common
    (first,) = site.told
    for n in range(3 * GROUPS_MAX):
        common._begin(Anomaly(**{**_fields(first), "onset": 3000.0 + n}))
    assert len(common._groups) == GROUPS_MAX


def _fields(anomaly: Anomaly) -> dict[str, object]:
    return {name: getattr(anomaly, name) for name in anomaly.__slots__}


# --- hours of traffic ----------------------------------------------------------------------------

SAMPLE = ("slow 1.6 minutes", "fails 97%", "some slow", "slow, one much worse", "queue")
CAMPAIGN = [(kind, seed) for kind in COMMON_KINDS for seed in (21, 22, 23)] if IS_WHOLE else []


@pytest.mark.campaign
@pytest.mark.timeout(TIMEOUT_S)
def test_a_founder_gets_about_as_many_alerts_as_there_are_causes() -> None:
    chosen = CAMPAIGN or [(kind, SEED % 1000) for kind in SAMPLE]
    needed, told, missed, false, delays = 0, 0, [], [], []
    for name, seed in chosen:
        kind, causes = COMMON_KINDS[name]
        rng = random.Random(f"{name}-{seed}")
        plan = kind(rng)
        detector, alerts, due = MLDetector(), [], 0.0
        for at, method, route, status, ms in play(plan, rng.randrange(1 << 30)):
            found = [detector.observe(method, route, status, ms, at, status >= 500)]
            if at >= due:
                due = at + 1.0
                found += [a for a in detector.tick(at) if isinstance(a, Anomaly)]
            alerts += [
                (a.detected_at, a.method, a.route, a.kind) for a in found if a and a.head is None
            ]
        verdict = judge(plan, alerts)
        needed, told = needed + causes, told + len(alerts)
        missed += [(name, span) for span in verdict.missed]
        false += [(name, alert) for alert in verdict.false]
        delays += verdict.delays
    assert told <= 1.25 * needed, (told, needed)
    assert len(missed) <= 0.03 * needed, missed
    assert len(false) <= 0.03 * needed, false
    assert median(delays) <= 90.0

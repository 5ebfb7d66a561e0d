"""MLDetector: tells what is wrong, once, in a true sentence, and is silent otherwise."""

import json
import random
from collections.abc import Callable

import pytest

from proxy.config import Detector as Settings
from proxy.domain.anomaly import Anomaly
from proxy.domain.exchange import Exchange, Outcome
from proxy.domain.failure import Severity
from proxy.observability.detector import MLDetector, merge_baselines
from proxy.observability.incident import IncidentEnd

Shape = Callable[[float, random.Random], tuple[float, int]]
"""time → duration in ms and status"""


def usual(t: float, rng: random.Random) -> tuple[float, int]:
    return rng.lognormvariate(4.0, 0.4), 500 if rng.random() < 0.001 else 200


def during(start: float, end: float, *, factor: float = 1.0, fails: float = 0.0) -> Shape:
    def shape(t: float, rng: random.Random) -> tuple[float, int]:
        ms, status = usual(t, rng)
        if not start <= t < end:
            return ms, status
        return ms * factor, 500 if rng.random() < fails else status

    return shape


class Play:
    """One route at a steady pace through a detector, ticking each second."""

    def __init__(self, settings: Settings | None = None, route: str = "/orders") -> None:
        self.detector = MLDetector(settings)
        self.route = route
        self.rng = random.Random(5)
        self.now = 0.0
        self.told: list[Anomaly] = []
        self.ends: list[IncidentEnd] = []

    def run(self, until: float, shape: Shape = usual, rate: float = 2.0) -> "Play":
        while self.now < until:
            self.now += self.rng.expovariate(rate)
            for found in self.detector.tick(self.now):
                self.keep(found)
            ms, status = shape(self.now, self.rng)
            self.keep(self.detector.observe("GET", self.route, status, ms, self.now, status >= 500))
        return self

    def say(self, at: float, ms: float, status: int = 200) -> None:
        """One answer at a moment of its own."""
        self.now = at
        self.keep(self.detector.observe("GET", self.route, status, ms, at, status >= 500))

    def keep(self, found: Anomaly | IncidentEnd | None) -> None:
        if isinstance(found, Anomaly):
            self.told.append(found)
        elif found is not None:
            self.ends.append(found)


def test_usual_traffic_is_silent() -> None:
    play = Play().run(4 * 3600.0)
    assert (play.told, play.ends) == ([], [])


def test_a_slowdown_is_told_once_with_a_true_sentence_and_its_end_is_found() -> None:
    play = Play().run(2 * 3600.0, during(3600.0, 4800.0, factor=3.0))
    (anomaly,) = play.told
    assert anomaly.kind == "latency"
    assert 3600.0 <= anomaly.detected_at <= 3600.0 + 90.0
    assert abs(anomaly.onset - 3600.0) < 30.0
    assert anomaly.baseline == pytest.approx(54.6, rel=0.1)
    assert anomaly.observed == pytest.approx(164.0, rel=0.2)
    assert anomaly.ratio == pytest.approx(anomaly.observed / anomaly.baseline)
    assert anomaly.sigma >= 3.0
    assert anomaly.severity is Severity.MEDIUM
    assert anomaly.explanation.startswith(("Since 00:59 GET /orders", "Since 01:00 GET /orders"))
    assert f"({anomaly.ratio:.1f}x, {anomaly.sigma:.1f} sigma over" in anomaly.explanation
    (end,) = play.ends
    assert end.anomaly is anomaly
    assert end.reason == "recovered"
    assert end.duration_s == pytest.approx(1200.0, abs=240.0)
    assert 1500 < end.requests_hurt < 3200
    assert play.detector.open_incidents == []
    assert play.detector.get_recent_anomalies() == [anomaly]


def test_under_suspicion_the_next_slow_answer_is_weighed_after_three_seconds() -> None:
    play = Play()
    for n in range(1000):
        play.say(6.0 * n, play.rng.lognormvariate(4.0, 0.4))
    series = play.detector.series("GET", play.route, play.now)
    for at in (6005.0, 6017.0):
        play.say(at, 400.0)
        assert series.weighed == at
    assert series.latency.is_near
    play.say(6019.0, 400.0)
    assert series.weighed == 6017.0
    play.say(6020.5, 400.0)
    assert series.weighed == 6020.5
    play.say(6024.0, 40.0)
    assert series.weighed == 6020.5, "a quick answer can wait"


def test_a_failure_is_weighed_when_it_is_due_however_much_works_after_it() -> None:
    play = Play()
    for n in range(1000):
        play.say(6.0 * n, play.rng.lognormvariate(4.0, 0.4))
    series = play.detector.series("GET", play.route, play.now)
    weighed = series.weighed
    play.say(weighed + 2.0, 50.0, status=500)
    for n in range(3, 10):
        play.say(weighed + n, 50.0)
    assert series.weighed == weighed
    play.say(weighed + 10.0, 50.0)
    assert series.weighed == weighed + 10.0


def test_an_outage_is_told_within_forty_seconds_and_is_critical() -> None:
    play = Play().run(5400.0, during(3600.0, 3900.0, fails=0.97))
    (anomaly,) = play.told
    assert (anomaly.kind, anomaly.severity) == ("error_rate", Severity.CRITICAL)
    assert anomaly.detected_at <= 3640.0
    assert anomaly.observed > 0.8
    assert anomaly.onset == pytest.approx(3600.0, abs=15.0)
    (end,) = play.ends
    assert end.duration_s == pytest.approx(300.0, abs=90.0)
    assert end.requests_hurt == pytest.approx(580, abs=120)


def test_an_outage_within_a_milder_incident_is_told_as_well() -> None:
    def shape(t: float, rng: random.Random) -> tuple[float, int]:
        share = 0.97 if 6000 <= t < 6300 else 0.05 if 3600 <= t < 9000 else 0.001
        return rng.lognormvariate(4.0, 0.4), 500 if rng.random() < share else 200

    play = Play().run(9000.0, shape)
    first, second = play.told[:2]
    assert first.detected_at < 4200.0
    assert 6000.0 < second.detected_at < 6060.0


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("ten seconds of failures", during(3600.0, 3612.0, fails=0.9)),
        ("twenty slow seconds", during(3600.0, 3620.0, factor=10.0)),
        ("a fifth slower", during(3600.0, 5400.0, factor=1.2)),
        ("faster", during(3600.0, 5400.0, factor=0.3)),
    ],
)
def test_what_must_not_page(name: str, shape: Shape) -> None:
    assert Play().run(2 * 3600.0, shape).told == [], name


@pytest.mark.parametrize("at", [3600.0, 3611.0, 3622.0])
def test_a_blip_of_failures_on_a_busy_route_is_none(at: float) -> None:
    assert Play().run(4000.0, during(at, at + 14.0, fails=0.8), rate=5.0).told == []


def test_client_errors_and_other_outcomes_never_count() -> None:
    detector = MLDetector()
    for n in range(4000):
        at = n * 0.5
        bad = n > 3000
        for status, outcome in (
            (404 if bad else 200, Outcome.ANSWERED),
            (499, Outcome.CLIENT_GONE),
            (500, Outcome.PROXY_FAULT),
            (400, Outcome.REJECTED),
            (503, Outcome.LOCAL),
        ):
            exchange = Exchange(at, 20.0, "GET", b"/", status, outcome, route="/")
            assert detector.record_request(exchange, at) is None
    (row,) = detector.get_route_performance()
    assert (row.error_rate, row.client_error_rate) == (0.0, 1.0)


@pytest.mark.parametrize("ms", [1.0, 40.0])
def test_constant_durations(ms: float) -> None:
    def shape(t: float, rng: random.Random) -> tuple[float, int]:
        return (400.0 if t >= 3600.0 else ms), 200

    (anomaly,) = Play().run(4200.0, shape).told
    assert anomaly.detected_at < 3680.0


def test_two_milliseconds_more_is_nothing_anybody_notices() -> None:
    assert Play().run(7200.0, lambda t, rng: (4.0 if t >= 3600 else 2.0, 200)).told == []


def test_nor_is_it_with_one_far_slower_answer_among_a_few() -> None:
    def shape(t: float, _rng: random.Random) -> tuple[float, int]:
        return 300.0 if 3650.0 <= t < 3670.0 else 4.0 if t >= 3600.0 else 2.0, 200

    assert Play().run(5000.0, shape, rate=0.1).told == []


def test_a_dead_quiet_route_is_told_after_a_few_failures() -> None:
    play = Play().run(4 * 3600.0, rate=0.02)
    play.run(5 * 3600.0, during(4 * 3600.0, 6 * 3600.0, fails=1.0), rate=0.02)
    (anomaly,) = play.told
    assert anomaly.samples <= 6
    assert anomaly.severity is Severity.HIGH


@pytest.mark.parametrize("every_s", [0.002, 0.05, 0.22, 1.0, 5.0])
def test_a_route_that_fails_from_its_first_request_on_is_told(every_s: float) -> None:
    detector, at, told = MLDetector(), 0.0, None
    while told is None and at < 40.0:
        told = detector.observe("GET", "/new", 500, 2.0, at, True)
        at += every_s
    assert told is not None
    assert told.severity is Severity.CRITICAL
    assert told.baseline < 0.01


def test_a_new_level_becomes_normal() -> None:
    play = Play().run(4 * 3600.0, during(3600.0, 1e9, factor=2.4))
    assert len(play.told) == 1
    (end,) = play.ends
    assert end.reason == "new_normal"
    assert 1800 <= end.duration_s <= 2400


def test_a_silent_route_closes_its_incident() -> None:
    play = Play().run(4000.0, during(3600.0, 1e9, fails=1.0))
    ends = play.detector.tick(4000.0 + 1900.0)
    assert [e.reason for e in ends if isinstance(e, IncidentEnd)] == ["silent"]


def test_a_release_is_named_beside_what_follows_it() -> None:
    play = Play().run(3590.0)
    play.detector.deploy(3595.0, "v42")
    play.run(4200.0, during(3600.0, 1e9, factor=4.0))
    assert "after release v42" in play.told[0].explanation


def test_a_release_announced_again_went_out_when_it_was_first_announced() -> None:
    detector = MLDetector()
    for at, version in ((1000.0, "v1"), (1060.0, "v1"), (1100.0, "v2"), (9000.0, "v2")):
        detector.deploy(at, version)
        known = detector.situation.deployed_at
        assert known == (1000.0 if version == "v1" else at)


def flap(t: float, rng: random.Random) -> tuple[float, int]:
    ms, status = usual(t, rng)
    return ms, 500 if 3600 <= t < 6000 and t % 400 < 200 and rng.random() < 0.9 else status


def test_a_return_within_dedup_s_counts_up_and_is_not_told_again() -> None:
    settings = Settings(dedup_s=300.0)
    assert len(Play(settings).run(6600.0, flap).told) == 1
    assert len(Play(Settings(dedup_s=0.0)).run(6600.0, flap).told) >= 4


def test_every_night_the_same_is_told_once() -> None:
    def night(t: float, rng: random.Random) -> tuple[float, int]:
        ms, status = usual(t, rng)
        return (ms * 3.0 if 7200.0 <= t % 86400.0 < 8400.0 else ms), status

    play = Play().run(2 * 86400.0 + 3600.0, night, rate=0.15)
    assert len(play.told) == 1
    assert play.told[0].detected_at < 8400.0


def test_thresholds_do_what_they_say() -> None:
    mild = during(3600.0, 5400.0, fails=0.012)
    assert len(Play().run(5400.0, mild, rate=4.0).told) >= 1
    strict = Settings(error_ratio_floor=40.0)
    assert Play(strict).run(5400.0, mild, rate=4.0).told == []
    slow = during(3600.0, 3720.0, factor=2.4)
    assert len(Play().run(3800.0, slow).told) == 1
    assert Play(Settings(latency_sigma=30.0)).run(3800.0, slow).told == []
    assert Play(Settings(enabled=False)).run(5400.0, during(3600.0, 5400.0, fails=1.0)).told == []


@pytest.mark.parametrize("stop", [3000.0, 3625.0, 3700.0, 4100.0])
def test_a_restart_changes_no_verdict(stop: float) -> None:
    shape = during(3600.0, 4400.0, factor=3.0, fails=0.2)
    whole = Play().run(6000.0, shape)
    first = Play().run(stop, shape)
    saved = json.loads(json.dumps(first.detector.export_baselines()))
    again = MLDetector()
    assert again.import_baselines(saved, first.now) == 1
    first.detector = again
    first.run(6000.0, shape)
    assert [a.explanation for a in first.told] == [a.explanation for a in whole.told]
    assert [(e.reason, e.requests_hurt) for e in first.ends] == [
        (e.reason, e.requests_hurt) for e in whole.ends
    ]


def test_baselines_without_state_spare_the_warm_up() -> None:
    rows = Play().run(3600.0).detector.export_baselines()
    for row in rows["routes"].values():
        del row["state"]
    play = Play()
    play.now = 4000.0
    play.detector.import_baselines(rows, 4000.0)
    play.run(4400.0, during(4060.0, 1e9, factor=5.0))
    assert len(play.told) == 1


def test_merged_baselines_equal_one_detector_that_saw_everything() -> None:
    rng = random.Random(3)
    one, two, whole = MLDetector(), MLDetector(), MLDetector()
    for n in range(4000):
        at, ms = n * 0.14, rng.lognormvariate(4, 0.4)
        status = 500 if rng.random() < 0.01 else 200
        for detector in ((one, two)[n % 2], whole):
            detector.observe("GET", "/", status, ms, at, status >= 500)
    for detector in (one, two, whole):
        detector.tick(600.0)
    total = merge_baselines([one.export_baselines(), two.export_baselines()])
    merged = total["routes"]["GET /"]["baseline"]
    expected = whole.export_baselines()["routes"]["GET /"]["baseline"]
    assert merged["durations"] == pytest.approx(expected["durations"], abs=0.1)
    assert merged["requests"] == pytest.approx(expected["requests"], rel=1e-3)
    assert merged["errors"] == pytest.approx(expected["errors"], rel=1e-2)


@pytest.mark.parametrize("rubbish", [{}, {"routes": {"GET": {}, "GET /x": {"baseline": 3}}}])
def test_rubbish_baselines_are_passed_over(rubbish: dict[str, object]) -> None:
    assert MLDetector().import_baselines(rubbish, 0.0) == 0


def test_more_routes_than_places_are_other() -> None:
    detector = MLDetector()
    for n in range(700):
        detector.observe("GET", f"/r{n}", 200, 10.0, 100.0, False)
    rows = detector.get_route_performance()
    assert len(rows) == 501
    assert rows[0].route == "other"
    assert rows[0].count == 200


def test_a_clock_that_jumps_breaks_nothing() -> None:
    play = Play().run(1200.0)
    for at in (900.0, 1e9, 5.0, 1300.0):
        play.detector.observe("GET", "/orders", 200, 50.0, at, False)
        play.detector.tick(at)
    assert play.told == []

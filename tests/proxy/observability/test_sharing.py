"""Several processes in front of one service: each knows what all have learned."""

import itertools
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.observability.baseline import ERROR_HALF_LIFE_S, LATENCY_HALF_LIFE_S, STEP_S, Baseline
from proxy.observability.delta import Delta
from proxy.observability.detector import MLDetector
from proxy.observability.sketch import BUCKETS

MINUTE = 60.0
Lesson = tuple[int, int, dict[int, float], int, int]
"""Who learns it, in which step, durations, requests, errors."""

lessons = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 40),
        st.dictionaries(st.integers(0, BUCKETS - 1), st.floats(5000, 9000), min_size=1, max_size=4),
        st.integers(1, 500),
        st.integers(0, 20),
    ),
    min_size=1,
    max_size=12,
)


@given(lessons, st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None)
def test_who_hears_all_knows_what_one_that_saw_everything_knows(
    rows: list[Lesson], dice: random.Random
) -> None:
    whole, several = Baseline(), [Baseline() for _ in range(3)]
    for base in (whole, *several):
        base.fade_to(0.0)
    for base in several:
        base.unshared = Delta()
    end = 60 * STEP_S
    for who, step, durations, requests, errors in sorted(rows, key=lambda row: row[1]):
        for base in (whole, several[who]):
            base.fade_to(step * STEP_S)
            base.learn(durations, requests, errors)
    told = [json.loads(json.dumps(base.unshared.to_json())) for base in several if base.unshared]
    for base in several:
        # whoever told it does not hear it; the order of the others does not matter
        own = None if base.unshared is None else base.unshared.to_json()
        for row in dice.sample(told, len(told)):
            if row != own:
                base.hear_durations(Delta.from_json(row), end)
                base.hear_counts(Delta.from_json(row), end)
        base.fade_to(end)
    whole.fade_to(end)
    for base in several:
        assert base.requests == pytest.approx(whole.requests)
        assert base.errors == pytest.approx(whole.errors)
        assert base.runs == pytest.approx(whole.runs)
        assert base.total == pytest.approx(whole.total)
        assert base.weights.counts() == pytest.approx(whole.weights.counts())


def test_a_delta_that_waited_has_faded_as_if_it_had_been_told_at_once() -> None:
    base = Baseline()
    base.unshared = Delta()
    base.fade_to(0.0)
    base.learn({100: 1000.0}, 1000, 40)
    base.fade_to(LATENCY_HALF_LIFE_S)
    base.learn({100: 1.0}, 1, 0)
    assert base.unshared.durations.counts()[100] == pytest.approx(501.0)
    kept = 0.5 ** (LATENCY_HALF_LIFE_S / ERROR_HALF_LIFE_S)
    assert base.unshared.errors == pytest.approx(40 * kept)


class Several:
    """``count`` detectors that share a service's requests and tell one another every minute."""

    def __init__(self, count: int, rate: float = 3.0) -> None:
        self.now = 0.0
        self.rate = rate
        self.all = [MLDetector(sharing=True) for _ in range(count)]
        self.whole = MLDetector()
        self._turn = itertools.cycle(self.all)
        self._rng = random.Random(5)
        self._told = 0.0
        self.said: list[tuple[str, str, dict[str, Any]]] = []

    def run(self, until: float, fails: float = 0.002) -> None:
        rng = self._rng
        while self.now < until:
            self.now += rng.expovariate(self.rate)
            ms, failed = rng.lognormvariate(4.0, 0.4), rng.random() < fails
            status = 500 if failed else 200
            for detector in (next(self._turn), self.whole):
                detector.observe("GET", "/x", status, ms, self.now, failed)
            for detector in (*self.all, self.whole):
                detector.tick(self.now)
            if self.now - self._told >= MINUTE:
                self._told = self.now
                self.tell()

    def tell(self) -> None:
        said = [json.loads(json.dumps(list(detector.share()))) for detector in self.all]
        self.said += [(*key, row) for rows in said for key, row in rows]
        for one, rows in itertools.product(self.all, said):
            if rows is not said[self.all.index(one)]:
                for (method, route), row in rows:
                    assert one.hear(method, route, row, self.now)


def baseline(detector: MLDetector) -> Baseline:
    return Baseline.from_json(detector.export_baselines()["routes"]["GET /x"]["baseline"])


def test_three_workers_know_nearly_what_one_would() -> None:
    several = Several(3)
    several.run(2 * 3600.0)
    whole = baseline(several.whole)
    whole.rebuild()
    for detector in several.all:
        base = baseline(detector)
        # each learns five to thirty minutes behind, so the same only nearly
        assert base.total == pytest.approx(whole.total, rel=0.2)
        assert base.requests == pytest.approx(whole.requests, rel=0.25)
        base.rebuild()
        assert abs(base.p50 - whole.p50) <= 1
        assert abs(base.p95 - whole.p95) <= 2


def test_a_newcomer_needs_no_warm_up_of_its_own() -> None:
    several = Several(2)
    several.run(900.0)
    late = MLDetector(sharing=True)
    for method, route, row in several.said:
        assert late.hear(method, route, row, several.now)
    rng, now, told = random.Random(6), 900.0, []
    while now < 1200.0:
        now += rng.expovariate(3.0)
        factor = 5.0 if now > 960.0 else 1.0
        told.append(
            late.observe("GET", "/x", 200, rng.lognormvariate(4.0, 0.4) * factor, now, False)
        )
        late.tick(now)
    assert [a.kind for a in told if a is not None] == ["latency"]


@pytest.mark.parametrize(
    "rubbish",
    [
        {},
        {"first_seen": "x", "step": 1, "counts_step": 1, "durations": {}, "counts": [0, 0, 0, 0]},
        {"first_seen": 0, "step": 1, "counts_step": 1, "durations": {"9999": 1}, "counts": [0] * 4},
        {"first_seen": 0, "step": 1, "counts_step": 1, "durations": {"9": -1}, "counts": [0] * 4},
        {
            "first_seen": 0,
            "step": 1,
            "counts_step": 1,
            "durations": {},
            "counts": [float("nan")] * 4,
        },
        {"first_seen": 0, "step": 1, "counts_step": 1, "durations": [], "counts": [0] * 4},
        {"first_seen": 0, "step": 1, "counts_step": 1, "durations": {}, "counts": [0] * 3},
    ],
)
def test_rubbish_is_not_heard(rubbish: dict[str, object]) -> None:
    detector = MLDetector(sharing=True)
    assert not detector.hear("GET", "/x", rubbish, 0.0)
    assert detector.export_baselines()["routes"] == {}


def test_nobody_tells_what_it_only_heard() -> None:
    several = Several(2)
    several.run(1800.0)
    several.tell()
    assert [list(detector.share()) for detector in several.all] == [[], []]
    assert list(several.whole.share()) == []


def test_what_was_learned_before_the_database_came_is_kept() -> None:
    """Requests do not wait for the database, so the busiest routes are known when it answers."""
    first = Several(1)
    first.run(3600.0)
    stored = first.all[0].export_baselines()
    later = MLDetector(sharing=True)
    series = later.series("GET", "/x", 3605.0)
    for n in range(20):
        later.observe("GET", "/x", 200, 50.0, 3605.0 + 0.1 * n, failed=False)
    assert later.import_baselines(stored, 3607.0) == 1
    assert later.series("GET", "/x", 3608.0) is series, "who counts there holds on to it"
    assert series.is_warm
    assert series.minutes.window(3608.0).requests == 20
    before = first.all[0].series("GET", "/x", 3600.0).baseline.total
    assert series.baseline.total == pytest.approx(before + 20, rel=0.05)

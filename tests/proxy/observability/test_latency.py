"""Is a route slow: what is surely far slower is told soon, what may be a bump has to last."""

import json
import random
from collections.abc import Callable
from math import inf

import pytest

from proxy.observability import latency as latency_page
from proxy.observability.evidence import NEEDED
from proxy.observability.latency import CLIP_SLICES, LatencyWatch
from proxy.observability.level import Level
from proxy.observability.situation import Situation
from proxy.observability.sketch import bucket_of
from tests.support.observability import known_baseline

CALM_S = 3600.0


@pytest.fixture
def unsure(monkeypatch: pytest.MonkeyPatch) -> None:
    """No course of a run leaves nothing open."""
    monkeypatch.setattr(latency_page, "SURE", inf)


def told_after(
    factor: float,
    per_slice: int,
    seconds: float = 600.0,
    before: float = 1.0,
    by_tail: bool = True,
    slice_s: float = 10.0,
) -> float | None:
    """A calm hour that ends with ten minutes ``before`` times slower than usual, then slices of ten
    seconds, or ``slice_s``, ``factor`` times slower than usual.
    """
    rng = random.Random(3)
    base, level, latency = known_baseline(), Level(Situation(), 0.0), LatencyWatch(3.0, 3.0)
    now = 0.0
    while now < CALM_S + seconds:
        began, now = now, now + (10.0 if now < CALM_S else slice_s)
        slower = 1.0 if now <= CALM_S - 600.0 else before if now <= CALM_S else factor
        count = 20 if now <= CALM_S else per_slice
        durations: dict[int, int] = {}
        for _ in range(count):
            bucket = bucket_of(slower * rng.lognormvariate(4.0, 0.4))
            durations[bucket] = durations.get(bucket, 0) + 1
        latency.add(base, level, durations, count, began, (now - began) / 10.0, now)
        if not by_tail:
            latency.tail.reset()
        is_calm = latency.strongest < 0.4 * latency.needed
        level.add(base, durations, count, now, is_calm)
        latency.follower.read(level, now)
        if latency.strongest >= latency.least_needed and latency.verdict(base, level, began, now):
            return now - CALM_S
    return None


def proved(factor: float, pieces: int, count: int, seconds: float) -> float:
    """The most evidence there is of ``count`` requests in each ten seconds, cut in so many pieces,
    with a restart after each.
    """
    rng, most = random.Random(3), 0.0
    base, level, latency = known_baseline(), Level(Situation(), 0.0), LatencyWatch(3.0, 3.0)
    step = 10.0 / pieces
    for n in range(round(seconds / step)):
        durations: dict[int, int] = {}
        for _ in range(count // pieces):
            bucket = bucket_of(factor * rng.lognormvariate(4.0, 0.4))
            durations[bucket] = durations.get(bucket, 0) + 1
        began, credit = step * n, step / 10.0 if n else 1.0
        latency.add(base, level, durations, count // pieces, began, credit, began + step)
        most = max(most, latency.run.evidence)
        stored = json.loads(json.dumps(latency.to_json()))
        latency = LatencyWatch(3.0, 3.0)
        latency.restore(stored)
        assert latency.to_json() == stored
    return most


@pytest.mark.parametrize(("factor", "count"), [(1.8, 4), (3.0, 4), (8.0, 4)])
def test_short_slices_prove_as_much_as_long_ones(factor: float, count: int) -> None:
    assert proved(factor, 4, count, 60.0) >= 0.9 * proved(factor, 1, count, 60.0) > 9.0


@pytest.mark.parametrize("pieces", [1, 2, 4, 10])
def test_however_short_the_slices_a_blip_proves_no_more_than_three_long_ones(pieces: int) -> None:
    assert proved(8.0, pieces, 20, 20.0) <= 3.0 * NEEDED / CLIP_SLICES


@pytest.mark.parametrize(
    ("factor", "per_slice", "soonest", "latest"),
    [(8, 20, 34, 60), (3, 20, 34, 60), (1.75, 20, 34, 60), (1.75, 3, 300, 400)],
)
def test_the_less_is_sure_the_longer(
    factor: float, per_slice: int, soonest: float, latest: float
) -> None:
    at = told_after(factor, per_slice)
    assert at is not None
    assert soonest <= at <= latest


@pytest.mark.usefixtures("unsure")
def test_what_takes_longer_must_prove_more(monkeypatch: pytest.MonkeyPatch) -> None:
    late, soon = told_after(1.75, 3, by_tail=False), told_after(8.0, 20)
    assert late is not None
    assert soon is not None
    assert soon <= 90.0 < late
    monkeypatch.setattr(latency_page, "LASTED", ((90.0, 1.0, 1.65, 1.5), (inf, 99.0, 1.65, 1.5)))
    assert told_after(1.75, 3, by_tail=False) is None
    assert told_after(8.0, 20) == soon


@pytest.mark.usefixtures("unsure")
def test_what_is_mild_and_did_not_show_at_once_waits_until_no_bump_lasts_so_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mild, plain = told_after(1.75, 3, by_tail=False), told_after(2.0, 3, by_tail=False)
    assert mild is not None
    assert plain is not None
    assert plain <= 90.0
    assert mild > 300.0
    monkeypatch.setattr(latency_page, "LASTED", ((900.0, 1.15, 1.75, 1.4),))
    at_once = told_after(1.75, 3, by_tail=False)
    assert at_once is not None
    assert at_once < mild - 120.0


@pytest.mark.usefixtures("unsure")
def test_many_requests_need_not_wait_for_what_few_leave_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = told_after(1.7, 60, 800.0, before=1.1, by_tail=False)
    assert at is not None
    assert 90.0 < at < 300.0
    monkeypatch.setattr(latency_page, "SURELY_SO", inf)
    assert told_after(1.7, 60, 800.0, before=1.1, by_tail=False) is None


def test_a_handful_of_requests_must_prove_more(monkeypatch: pytest.MonkeyPatch) -> None:
    handful, many = told_after(2.0, 1, by_tail=False), told_after(2.0, 10, by_tail=False)
    monkeypatch.setattr(latency_page, "FEW", 0)
    sooner = told_after(2.0, 1, by_tail=False)
    assert handful is not None
    assert sooner is not None
    assert sooner < handful
    assert told_after(2.0, 10, by_tail=False) == many


def test_what_surely_stays_needs_no_other_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    sure = told_after(1.9, 3, 900.0, before=1.2, by_tail=False)
    monkeypatch.setattr(latency_page, "SURE", inf)
    doubted = told_after(1.9, 3, 900.0, before=1.2, by_tail=False)
    assert sure is not None
    assert doubted is not None
    assert 90.0 < sure < doubted - 120.0


def test_what_does_not_stay_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told_after(2.2, 10, by_tail=False) is not None
    monkeypatch.setattr(latency_page, "STAYS_SOON", 2.0)
    later = told_after(2.2, 10, by_tail=False)
    assert later is not None
    assert later > latency_page.SOON_S
    monkeypatch.setattr(latency_page, "STAYS", 2.0)
    monkeypatch.setattr(latency_page, "SURE", inf)
    assert told_after(2.2, 10, by_tail=False) is None


def test_a_slow_start_of_a_slowdown_is_told_by_its_level_before() -> None:
    """The same answers, where the route was faster just before, show a slowdown sooner."""
    below, above = (told_after(1.7, 3, 900.0, before=b, by_tail=False) for b in (1.0, 1.1))
    assert below is not None
    assert above is None or below < above - 120.0


@pytest.mark.usefixtures("unsure")
def test_a_few_slow_answers_in_minutes_must_leave_less_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def told(factor: float) -> float | None:
        return told_after(factor, 1, 1800.0, by_tail=False, slice_s=30.0)

    doubted, sure = told(1.9), told(3.0)
    monkeypatch.setattr(latency_page, "DOUBTED", 0)
    believed = told(1.9)
    assert doubted is not None
    assert believed is not None
    assert sure is not None
    assert believed < doubted - 120.0
    assert told(3.0) == sure < believed


def test_a_bump_of_four_minutes_is_none() -> None:
    assert told_after(1.42, 20, 240.0) is None
    assert told_after(1.42, 80, 240.0) is None


@pytest.mark.usefixtures("unsure")
def test_slower_is_slower_than_just_before() -> None:
    """Where the level was high already the same requests leave more open."""
    usual = told_after(1.75, 40, by_tail=False)
    assert usual is not None
    assert usual <= 60.0
    assert told_after(1.75, 40, before=1.2, by_tail=False) is None


@pytest.mark.usefixtures("unsure")
def test_what_is_mild_and_came_slowly_is_not_told_because_a_quarter_of_an_hour_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, mild = told_after(1.75, 5, 2400.0), told_after(1.55, 5, 2400.0, before=1.15)
    assert plain is not None
    assert mild is None or mild > 1200.0
    monkeypatch.setattr(latency_page, "CREPT", 1.5)
    at_once = told_after(1.55, 5, 2400.0, before=1.15)
    assert at_once is not None
    assert 900.0 < at_once < 1000.0
    assert told_after(1.75, 5, 2400.0) == plain


def test_twice_as_slow_is_told_soon_where_many_requests_leave_no_doubt() -> None:
    many, few = told_after(2.0, 80), told_after(2.0, 1)
    assert many is not None
    assert few is not None
    assert many <= 60.0 < few


def test_what_is_usual_is_never_told() -> None:
    assert told_after(1.0, 20, 3600.0) is None
    assert told_after(1.25, 20, 3600.0) is None


def hangs_told_after(ms: float, hits: Callable[[int], int]) -> float | None:
    """Slices of ten seconds and eight answers, and beside them ``hits`` that took ``ms``."""
    rng = random.Random(3)
    base, level, latency = known_baseline(), Level(Situation(), 0.0), LatencyWatch(3.0, 3.0)
    for k in range(60):
        durations: dict[int, int] = {}
        for _ in range(8):
            bucket = bucket_of(rng.lognormvariate(4.0, 0.4))
            durations[bucket] = durations.get(bucket, 0) + 1
        if hits(k):
            durations[bucket_of(ms)] = hits(k)
        began, now = 10.0 * k, 10.0 * k + 10.0
        latency.add(base, level, durations, sum(durations.values()), began, 1.0, now)
        if latency.strongest >= latency.least_needed and latency.verdict(base, level, began, now):
            return now
    return None


def test_who_waits_for_a_timer_is_told_sooner_than_who_is_slow() -> None:
    slow, pause = hangs_told_after(400.0, lambda k: 1), hangs_told_after(900.0, lambda k: 1)
    hang = hangs_told_after(20_000.0, lambda k: 1)
    assert hang is not None
    assert slow is not None
    assert hang <= 50.0 < slow
    assert pause == slow


def test_a_blip_of_hangs_and_one_more_is_none() -> None:
    assert hangs_told_after(20_000.0, lambda k: 3 * (k in (10, 11, 12))) is None
    assert hangs_told_after(20_000.0, lambda k: 3 * (k in (10, 11)) + (k in (12, 18))) is None


def few_told_after(*factors: float, every: float) -> int | None:
    """After a calm hour single answers so many times slower, ``every`` so many seconds."""
    base, level, latency = known_baseline(), Level(Situation(), 0.0), LatencyWatch(3.0, 3.0)
    usual = bucket_of(55.0)
    for now in range(0, round(CALM_S), 10):
        level.add(base, {usual: 20}, 20, now, True)
    for n, factor in enumerate(factors):
        at = CALM_S + every * n
        found = {bucket_of(factor * 55.0): 1}
        latency.add(base, level, found, 1, at, every / 10.0, at)
        if latency.strongest >= latency.least_needed and latency.verdict(base, level, at, at):
            return n + 1
    return None


def test_of_few_requests_it_is_known_that_they_are_further_apart_than_a_blip_lasts() -> None:
    # three in 28 seconds: the first and the last are no blip's
    assert few_told_after(*[10.0] * 4, every=14.0) == 3
    # three in 24: an app that starts is slow for so long
    assert few_told_after(*[10.0] * 4, every=12.0) == 4
    # a blip of twenty seconds with three slow ones, and what came after it is as usual
    assert few_told_after(*[10.0] * 3, *[1.0] * 6, every=10.0) is None


def test_two_that_are_slower_than_nearly_all_that_is_known_are_enough() -> None:
    assert few_told_after(*[10.0] * 3, every=27.0) == 2
    # of two in 26 seconds both may be a start's
    assert few_told_after(*[10.0] * 3, every=26.0) == 3
    # what comes now and then anyway proves less, and one that took as usual between them much
    assert few_told_after(*[3.0] * 4, every=60.0) == 4
    assert few_told_after(10.0, 1.0, 10.0, every=60.0) is None

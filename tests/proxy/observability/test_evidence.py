"""Evidence is bounded per slice: no blip, however bad, reaches what is needed."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.observability import evidence
from proxy.observability.evidence import (
    NEEDED,
    SLICE_S,
    STRETCHES_MAX,
    ShareSum,
    SlowRun,
    failing_gain,
    share_gain,
)
from proxy.observability.hypotheses import FIRST_SLOW, LOGS
from proxy.observability.latency import CLIP_SLICES
from proxy.observability.sketch import bucket_of
from tests.support.observability import known_baseline

BASE = known_baseline()
COSTS = [0.5 * (max(0.0, x) / 0.1) ** 2 for x in LOGS[:FIRST_SLOW]]


def slice_of(factor: float, n: int, seed: int) -> dict[int, int]:
    rng, durations = random.Random(seed), dict[int, int]()
    for _ in range(n):
        bucket = bucket_of(rng.lognormvariate(4.0, 0.4) * factor)
        durations[bucket] = durations.get(bucket, 0) + 1
    return durations


def weigh(
    run: SlowRun, factor: float, n: int, seed: int, clip: float = NEEDED / CLIP_SLICES
) -> float:
    durations = slice_of(factor, n, seed)
    run.add(BASE.weighed(durations, 0), durations, float(seed), clip, COSTS, 0.0)
    return run.evidence


@given(st.floats(1, 50), st.integers(1, 300), st.floats(0, NEEDED))
def test_a_slice_tells_no_more_than_its_clip(factor: float, n: int, clip: float) -> None:
    assert weigh(SlowRun(), factor, n, 1, clip) <= clip + 1e-9


def test_usual_traffic_adds_up_to_nothing() -> None:
    run = SlowRun()
    assert max(weigh(run, 1.0, 20, n) for n in range(300)) < 0.5 * NEEDED


@pytest.mark.parametrize(("factor", "slices"), [(10.0, 5), (3.0, 5), (1.8, 10)])
def test_a_slowdown_is_proved_in_time(factor: float, slices: int) -> None:
    run = SlowRun()
    for n in range(slices):
        weigh(run, factor, 20, n)
    assert run.evidence >= NEEDED
    assert run.rising
    assert run.since == 0.0
    for n in range(60):
        weigh(run, 1.0, 20, n)
    assert run.evidence < 0.25 * NEEDED


def test_a_mild_slowdown_is_still_normal() -> None:
    run = SlowRun()
    assert max(weigh(run, 1.2, 20, n) for n in range(200)) < NEEDED


def test_an_hour_of_mild_slowness_does_not_hide_what_comes_then() -> None:
    run = SlowRun()
    for n in range(360):
        weigh(run, 1.4, 5, n)
    for n in range(12):
        weigh(run, 4.0, 5, 1000 + n)
    assert run.evidence >= NEEDED


@pytest.mark.parametrize("seed", range(12))
def test_what_is_told_apart_forgets_no_onset_that_matters(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, told_apart, kept = random.Random(seed), SlowRun(), SlowRun()
    factor = 1.4
    for n in range(200):
        if rng.random() < 0.1:
            factor = rng.choice([1.2, 1.4, 1.6, 2.0, 4.0, 8.0])
        stray, several = rng.choice([1.0, 1.0, 1.0, 3.0, 0.6]), rng.choice([1, 2, 3])
        durations, now = slice_of(stray * factor, several, 1000 * seed + n), SLICE_S * n
        found = BASE.weighed(durations, 0)
        for run, most in ((told_apart, STRETCHES_MAX), (kept, 10**6)):
            monkeypatch.setattr(evidence, "STRETCHES_MAX", most)
            run.add(found, durations, now, NEEDED / CLIP_SLICES, COSTS, 0.0)
        assert told_apart.evidence == kept.evidence
        if kept.evidence > 0.3 * NEEDED:
            age, real = (now - run.since + SLICE_S for run in (told_apart, kept))
            assert real <= age < 3.0 * real, "what is said to have begun then began about then"


@pytest.mark.parametrize("seed", range(40))
def test_slices_that_began_out_of_order_are_weighed_all_the_same(seed: int) -> None:
    rng, run = random.Random(seed), SlowRun()
    for n in range(80):
        factor, several = rng.choice([1.0, 1.4, 2.0, 4.0, 0.6]), rng.choice([1, 2])
        durations = slice_of(factor, several, 100 * seed + n)
        began = SLICE_S * (n - rng.choice(range(9)))
        run.add(BASE.weighed(durations, 0), durations, began, NEEDED / CLIP_SLICES, COSTS, 0.0)
        if run.slices:
            counts, since, _ = run.story()
            assert counts
            assert since == run.since


def test_runs_go_through_json() -> None:
    run = SlowRun()
    for n in range(4):
        weigh(run, 3.0, 10, n)
    again = SlowRun.from_json(run.to_json())
    assert weigh(again, 3.0, 10, 9) == weigh(run, 3.0, 10, 9)
    with pytest.raises(ValueError, match="hypotheses"):
        SlowRun.from_json([[1.0], 1.0, False, [0.0], 1, []])
    with pytest.raises(ValueError, match="stretch"):
        SlowRun.from_json([*run.to_json()[:5], []])
    # an earlier version's knew one onset, and the counts since
    assert SlowRun.from_json([run.profile, 5.0, True, 0.0, 4, {"200": 3}]).slices == 0


def test_what_was_mild_for_minutes_does_not_delay_what_is_bad_then() -> None:
    run = SlowRun()
    for n in range(60):
        weigh(run, 1.4, 5, n)
    assert run.slices, "five at a time leave it open for how long it has been mild"
    for n in range(5):
        weigh(run, 10.0, 5, 100 + n)
    assert run.evidence >= NEEDED
    counts, since, _ = run.story()
    assert since >= 55.0
    assert 25 <= sum(counts.values()) <= 50


def test_many_onsets_take_no_more_room() -> None:
    run = SlowRun()
    for n in range(200):
        weigh(run, 1.3 + 0.5 * (n % 3), 3, n)
    assert run.slices > 20
    assert len(run.to_json()[5]) <= STRETCHES_MAX + 1


def add(share: ShareSum, requests: int, hits: int, at: float) -> None:
    gain = share_gain(requests, hits, 0.001, 0.1)
    share.add(requests, hits, hits, gain, 3.0, 13.5, at, at + 0.5)


def test_shares() -> None:
    share = ShareSum()
    for n in range(50):
        add(share, 20, 0, n)
    assert share.total == 0.0
    for n in range(4):
        add(share, 20, 4, 100.0 + n)
    assert share.total >= 9.0
    assert (share.hits, share.requests, share.since, share.first_hit) == (16, 80, 100.0, 100.5)
    assert ShareSum.from_json(share.to_json()).to_json() == share.to_json()
    for n in range(20):
        add(share, 200, 0, n)
    assert (share.total, share.hits, share.first_hit) == (0.0, 0, None)


def test_the_worst_blip_is_taken_from_what_must_prove_something_by_itself() -> None:
    share = ShareSum()
    add(share, 20, 1, 0.0)
    assert share.apart == (0, 0, 0)
    add(share, 20, 0, 10.0)
    add(share, 20, 3, 40.0)
    add(share, 20, 2, 50.0)
    assert share.apart == (40, 1, 1)
    restored = ShareSum.from_json(json.loads(json.dumps(share.to_json())))
    for one in (share, restored):
        add(one, 20, 1, 65.0)
        add(one, 20, 4, 75.0)
        assert one.apart == (80, 6, 6)
    assert restored.to_json() == share.to_json()


def test_of_what_kind_the_runs_outside_the_worst_blip_are() -> None:
    share = ShareSum()
    for runs, at in ((1, 0.0), (3, 40.0), (2, 50.0), (1, 75.0)):
        add(share, 20, runs, at)
    restored = ShareSum.from_json(json.loads(json.dumps(share.to_json())))
    for one in (share, restored):
        assert one.outside(b"abbbbbc") == b"ac"
        # of many runs only the last are remembered
        assert one.outside(b"bbc") == one.outside(b"c") == b"c"


def test_of_a_sum_by_an_earlier_version_all_may_be_one_blip() -> None:
    for late in ([], [[10, 2, 1]], [[20.0, 10, 2, 1, 40, 3, 1]]):
        share = ShareSum.from_json([5.0, 0.0, 1.0, 3, 4, 60, *late])
        assert (share.hits, share.apart) == (4, (0, 0, 0))
        add(share, 20, 1, 30.0)
        assert share.apart == (20, 1, 1)


def test_errors_in_company_prove_less_than_as_many_alone() -> None:
    known = (100.0, 10_000.0, 0)
    alone = failing_gain(20, 4, 4, 0.1, 0.4, known)
    together = failing_gain(20, 4, 1, 0.1, 0.4, known)
    assert together < 0.4 * alone


def test_what_is_usual_is_as_sure_as_it_is_well_known() -> None:
    much = failing_gain(20, 4, 4, 0.1, 0.4, (1e5, 1e7, 0))
    assert much == pytest.approx(share_gain(20, 4, 0.01, 0.1), rel=0.01)
    little = failing_gain(20, 4, 4, 0.1, 0.4, (1.0, 100.0, 0))
    assert little < 0.7 * much


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 20)), min_size=2, max_size=8))
def test_errors_prove_the_same_in_one_slice_or_in_several(slices: list[tuple[int, int]]) -> None:
    events, requests = 0.5, 1e4
    piecewise, runs, seen = 0.0, 0, 0
    for hits, good in slices:
        known = (events, requests + seen, runs)
        piecewise += failing_gain(hits + good, hits, hits, 0.1, 0.4, known)
        runs, seen = runs + hits, seen + hits + good
    whole = failing_gain(seen, runs, runs, 0.1, 0.4, (events, requests, 0))
    assert piecewise == pytest.approx(whole, rel=1e-3, abs=0.01)

"""Answers counted together and one after another: the same counts, the same slices."""

from collections import Counter
from math import inf, nextafter
from random import Random

import pytest

from proxy.observability.handful import Handful
from proxy.observability.intake import LATE_S, TURNED_BACK_S, Intake
from proxy.observability.minutes import Minutes
from proxy.observability.sketch import (
    BUCKETS,
    ENDS,
    GAMMA,
    HIGH_MS,
    LOW_MS,
    VALUES,
    bucket_of,
    counts_in,
    lanes_of,
)

STATE = (
    "_began",
    "_cool_at",
    "_durations",
    "_failed_last",
    "_hot_at",
    "_hot_score",
    "_last_request",
    "_requests",
)


def together(buckets: list[int], ends: list[float]) -> Handful:
    durations = [VALUES[bucket] for bucket in buckets]
    made = Handful(durations, [end - ms / 1000.0 for end, ms in zip(ends, durations, strict=True)])
    # to say it again in seconds costs the last bit
    assert made.ends == pytest.approx(ends, abs=1e-9)
    ends[:] = made.ends
    return made


def state(intake: Intake) -> dict[str, object]:
    return {name: getattr(intake, name) for name in STATE}


def intakes(random: Random) -> tuple[Intake, Intake]:
    """Two alike, in the middle of a slice that is perhaps hot."""
    hot_from = random.choice((BUCKETS + 3, BUCKETS, BUCKETS - 1, 300, -2))
    late = random.choice((0.0, LATE_S))
    before = [(random.randrange(280, 320), 1000.5) for _ in range(random.randrange(5))]
    made = (Intake(1000.0), Intake(1000.0))
    for intake in made:
        intake.weighed, intake.due, intake.late = 1000.0, 1010.0, 1010.0 + late
        intake._hot_from = hot_from
        for bucket, end in before:
            intake.take(bucket, 200, False, end)
    return made


@pytest.mark.parametrize("seed", range(60))
def test_a_handful_is_due_where_the_same_one_by_one_are(seed: int) -> None:
    random = Random(seed)
    at_once, singly = intakes(random)
    start = random.choice((1001.0, 1009.9, 1039.9, 1000.0 - TURNED_BACK_S))
    slow = random.choice((0.0, 0.02, 0.3))
    buckets = [
        random.randrange(300, 330) if random.random() < slow else random.randrange(280, 301)
        for _ in range(64)
    ]
    ends = [start + n * random.choice((0.0, 0.001, 0.01)) for n in range(64)]
    handful, taken = together(buckets, ends), 0
    assert handful.earliest <= min(ends)
    assert max(ends) <= handful.latest
    for position, (bucket, end) in enumerate(zip(buckets, ends, strict=True), 1):
        if not singly.take(bucket, 200, False, end):
            continue
        taken = at_once.take_plain(handful, taken)
        assert taken == position
        assert state(at_once) == state(singly)
        # weighed: a new slice begins
        for intake in (at_once, singly):
            intake.discard()
            intake.weighed, intake.due, intake.late = end, end + 0.1, end + 0.2
    assert at_once.take_plain(handful, taken) == 0
    assert state(at_once) == state(singly)


@pytest.mark.parametrize("start", [119.5, 121.0])
def test_minutes_count_a_handful_even_over_their_turn(start: float) -> None:
    buckets, ends = [3, 400, 3, 401], [start, start + 0.3, start + 0.6, start + 0.2]
    at_once, singly = Minutes(), Minutes()
    for minutes in (at_once, singly):
        minutes.add(3, 200, False, start - 0.1)
    at_once.add_plain(together(buckets, ends))
    for bucket, end in zip(buckets, ends, strict=True):
        singly.add(bucket, 200, False, end)
    assert at_once.series(130.0) == singly.series(130.0)
    assert at_once.window(130.0) == singly.window(130.0)


def test_many_durations_fall_where_each_does() -> None:
    odd = [-1.0, 0.0, 0.05, 0.0500001, 999_999.0, HIGH_MS, 1.1e6, 1e300]
    usual = [0.06 * 1.01**n for n in range(1500)]
    beside = [nextafter(end, to) for end in ENDS[:-1] for to in (0.0, inf)]
    every = sorted([*odd, *usual, *ENDS[:-1], *beside])
    assert counts_in(lanes_of(every)) == Counter(bucket_of(ms) for ms in every)
    for ms in every:
        assert counts_in(lanes_of([ms])) == {bucket_of(ms): 1}
        assert counts_in(lanes_of([LOW_MS, ms])) == Counter((0, bucket_of(ms)))


def test_counts_add_as_numbers_do_and_a_bucket_holds_many() -> None:
    few, many = [1.0, 1.0, 50.0], [0.01] * 300 + [50.0] * 70_000
    total = lanes_of(few) + lanes_of(many) + lanes_of([HIGH_MS])
    assert counts_in(total) == Counter(map(bucket_of, [*few, *many, HIGH_MS]))
    assert counts_in(0) == {}


def test_a_bucket_begins_where_the_one_before_it_ends() -> None:
    for bucket, end in enumerate(ENDS[:560]):
        assert bucket_of(nextafter(end, 0.0)) == bucket
        assert bucket_of(end) == bucket + 1
        assert end == pytest.approx(LOW_MS * GAMMA ** (bucket + 1))
    assert bucket_of(float("nan")) == 0

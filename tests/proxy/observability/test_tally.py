"""Tallies: the counts of a dict in a tenth of the room."""

import json
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.observability.sketch import BUCKETS
from proxy.observability.tally import FADING, WHOLE, Tally, packed, unpacked

counted = st.dictionaries(st.integers(0, BUCKETS - 1), st.integers(1, 10**6), max_size=8)


@given(st.lists(counted, max_size=6), st.integers(0, BUCKETS), st.integers(0, BUCKETS))
@settings(max_examples=60, deadline=None)
def test_it_holds_what_a_counter_holds(rows: list[dict[int, int]], start: int, end: int) -> None:
    whole, fading, counter = Tally(), Tally(FADING), Counter[int]()
    for row in rows:
        whole.add(row)
        fading.add(row)
        counter.update(row)
    assert whole.counts() == fading.counts() == dict(counter)
    assert list(whole.items()) == sorted(counter.items())
    assert whole.total == fading.total == counter.total()
    assert bool(whole) == bool(counter)
    first, held = whole.held(0.0)
    assert first == min(counter, default=0)
    assert held == whole.read(first, max(counter, default=0) + 1)
    assert whole.read(start, end) == [counter[b] for b in range(start, end)]
    again = Tally.from_json(json.loads(json.dumps(whole.to_json())))
    assert again.counts() == dict(counter)
    kept = unpacked(*packed(whole))
    assert kept == dict(counter)
    assert list(kept) == sorted(counter)
    fading.scale(0.5)
    assert fading.total == pytest.approx(counter.total() / 2)
    whole.clear()
    assert not whole.counts()


def test_counting_one_by_one() -> None:
    tally = Tally()
    for bucket in (300, 300, 0, BUCKETS - 1):
        at = tally.place(bucket)
        tally.row[at] += 1
    assert tally.counts() == {0: 1, 300: 2, BUCKETS - 1: 1}


def test_it_is_small() -> None:
    """A hundred buckets side by side, as a route's durations lie."""
    counts = {bucket: 1000 + bucket for bucket in range(300, 400)}
    tally = Tally()
    tally.add(counts)
    numbers = sum(map(sys.getsizeof, counts)) + sum(map(sys.getsizeof, counts.values()))
    assert 10 * sys.getsizeof(tally.row) < sys.getsizeof(counts) + numbers


@pytest.mark.parametrize("kind", [WHOLE, FADING])
@pytest.mark.parametrize("bad", [{"x": 1}, {"-1": 1}, {str(BUCKETS): 1}, {"3": "y"}, {"3": None}])
def test_what_is_no_tally_is_refused(kind: str, bad: dict[str, float]) -> None:
    with pytest.raises((TypeError, ValueError)):
        Tally.from_json(bad, kind)


def test_requests_are_not_negative() -> None:
    with pytest.raises(ValueError, match="no counts"):
        Tally.from_json({"3": -1})

"""Voices counted: who moves, who does not, who cannot be judged."""

import pytest

from proxy.config import Detector as Settings
from proxy.observability.majority import JUDGED_MAX, SURE, busiest, count
from proxy.observability.series import Series
from proxy.observability.vote import Voice

MOVES, STAYS, RATHER_NOT, UNSURE = (Voice(gain, 2.0) for gain in (SURE, -SURE, -1.0, 0.3))


@pytest.mark.parametrize(
    ("voices", "is_common"),
    [
        ([MOVES] * 3, True),
        ([MOVES] * 2, False),
        ([MOVES] * 6 + [STAYS] * 4, True),
        ([MOVES] * 5 + [STAYS] * 4, False),
        ([MOVES] * 5 + [RATHER_NOT] * 7, False),
        ([MOVES] * 5 + [UNSURE] * 7, True),
        ([MOVES] * 3 + [UNSURE] * 6, True),
        ([MOVES] * 3 + [UNSURE] * 10, False),
        ([], False),
    ],
)
def test_most_of_those_that_say_anything(voices: list[Voice], is_common: bool) -> None:
    votes = count({f"GET /{n}": voice for n, voice in enumerate(voices)})
    assert votes.is_common is is_common


def test_the_size_is_the_middle_one() -> None:
    votes = count({name: Voice(SURE, size) for name, size in (("a", 1.5), ("b", 9.0), ("c", 2.0))})
    assert (votes.size, votes.moving) == (2.0, ("a", "b", "c"))
    assert count({name: Voice(SURE, size) for name, size in (("a", 1.5), ("b", 9.0))}).size == 5.25
    assert count({}).size == 0.0


def test_the_busiest_are_asked_and_the_silent_are_not() -> None:
    series = [Series("GET", f"/{n}", Settings(), 0.0) for n in range(JUDGED_MAX + 20)]
    for n, one in enumerate(series):
        one.baseline.learn({}, 10 * n, 0)
        one.take(5, 200, False, 50.0 if n % 2 else 5.0)
    asked = [name for name, _ in busiest(series, 40.0)]
    assert asked == [f"GET /{n}" for n in range(JUDGED_MAX + 19, 0, -2)]
    assert len(list(busiest(series, 0.0))) == JUDGED_MAX

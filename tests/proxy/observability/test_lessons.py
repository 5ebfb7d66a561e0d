"""Lessons: bad minutes are learned as such, and what an earlier version wrote is read."""

from random import Random

import pytest

from proxy.observability.baseline import Baseline
from proxy.observability.lessons import Lessons


def taught(errors_at: set[int]) -> Baseline:
    """A day of 60 requests a minute; one error run in each slice of ten seconds that is named."""
    base, lessons = Baseline(), Lessons(0.0)
    for n in range(8640):
        now = 10.0 * (n + 1)
        error = 1 if n in errors_at else 0
        lessons.add_counts(10, error, error, base, now)
        if lessons.is_time_for_errors(base, now):
            lessons.teach_errors(base, False, now)
    return base


def test_errors_that_come_in_bad_minutes_prove_less_than_scattered_ones() -> None:
    scattered = taught(set(range(0, 8640, 60)))
    together = taught({n + k for n in range(0, 8640, 360) for k in range(6)})
    assert scattered.errors == pytest.approx(together.errors, rel=0.1)
    assert scattered.clumping == 1.0
    assert together.clumping > 1.5


def test_errors_that_scatter_as_chance_has_it_prove_what_they_should() -> None:
    clumping = []
    for seed in range(12):
        rng = Random(seed)
        clumping.append(taught({n for n in range(8640) if rng.random() < 0.006}).clumping)
    assert sum(one > 1.05 for one in clumping) <= 2
    assert max(clumping) < 1.5


def test_an_incident_that_goes_by_itself_is_how_the_route_is() -> None:
    base = taught(set())
    base.stumbled()
    assert base.clumping > 1.5


def test_what_an_earlier_version_wrote_is_read() -> None:
    lessons = Lessons(0.0)
    lessons.restore([{}, {}, 0, [10, 2, 1], [5, 0, 0], 60.0])
    again = Lessons(0.0)
    again.restore(lessons.to_json())
    assert again.to_json() == lessons.to_json()
    base = Baseline()
    again.teach_errors(base, False, 2000.0)
    again.teach_errors(base, False, 4000.0)
    assert (base.requests, base.errors, base.runs) == pytest.approx((15.0, 2.0, 1.0), rel=0.02)

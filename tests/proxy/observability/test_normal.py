"""What is still normal: a price for each hypothesis within, and the same after a restart."""

import json
from math import exp

import pytest

from proxy.observability.evidence import RATIO_MIN
from proxy.observability.hypotheses import FIRST_SLOW, LOGS
from proxy.observability.normal import STRAY_SIGMA, Normal

SCALES = 3


def normal(wander: float, windows: float = 1e9, at: float = 0.0) -> Normal:
    return Normal([wander] * SCALES, [0.7 * wander] * SCALES, [windows] * SCALES, 0.0, at)


@pytest.mark.parametrize("scale", range(SCALES))
def test_what_strays_far_must_be_slower_by_more_than_it_strays(scale: int) -> None:
    calm, restless = normal(0.1), normal(0.4)
    assert (calm.least(scale), calm.first_slow) == (RATIO_MIN, FIRST_SLOW)
    assert calm.tail_margin == 0
    assert restless.least(scale) == pytest.approx(exp(STRAY_SIGMA * 0.4), rel=0.01)
    assert restless.first_slow > FIRST_SLOW
    assert restless.tail_margin > 0


def test_while_little_is_known_more_is_normal() -> None:
    assert normal(0.3, windows=0.0).least(0) > 1.2 * normal(0.3).least(0)


@pytest.mark.parametrize("at", [0.0, 0.2])
def test_a_level_is_paid_for_from_where_it_is_now(at: float) -> None:
    made = normal(0.2, at=at)
    costs = made.costs(1)
    assert len(costs) == FIRST_SLOW
    assert all(cost == 0.0 for cost, log in zip(costs, LOGS, strict=False) if log <= at)
    assert list(costs) == sorted(costs)
    assert costs[-1] == pytest.approx(0.5 * ((LOGS[FIRST_SLOW - 1] - at) / 0.14) ** 2)


@pytest.mark.parametrize("wander", [0.3, 1.2, 9.0])
def test_a_restart_changes_nothing_asked_or_not(wander: float) -> None:
    """An incident that went by itself is how a route strays: for a while beyond all hypotheses."""
    asked = normal(wander, at=0.1)
    asked.costs(0)
    again = normal(0.1)
    again.restore(json.loads(json.dumps(asked.to_json())))
    assert again.to_json() == asked.to_json() == normal(wander, at=0.1).to_json()
    assert (again.first_slow, again.tail_margin) == (asked.first_slow, asked.tail_margin)
    assert (asked.first_slow > len(LOGS)) is (wander > 0.9)


def test_what_an_earlier_version_stored_is_taken_over() -> None:
    """It had prices of slower hypotheses, too, where a route strays far, and two rows between."""
    made = normal(0.3)
    least, costs = made.to_json()
    again = normal(0.1)
    assert again.tail_margin == 0
    again.restore([least, [8, 8, 8], 13, [[*row, 9.0, 12.0] for row in costs]])
    assert again.to_json() == made.to_json()
    assert again.tail_margin == made.tail_margin > 0


def test_prices_of_too_few_are_refused() -> None:
    *rest, costs = normal(0.3).to_json()
    with pytest.raises(ValueError, match="per"):
        normal(0.3).restore([*rest, [row[:-1] for row in costs]])


@pytest.mark.parametrize("spoilt", [0, 1])
def test_rubbish_is_refused(spoilt: int) -> None:
    row = normal(0.3).to_json()
    row[spoilt] = row[spoilt][:-1]
    with pytest.raises(ValueError, match="per"):
        normal(0.3).restore(row)


@pytest.mark.parametrize("factor", [0.0, -3.0, float("nan"), 1e-300])
def test_no_factor_is_less_than_an_incident_needs(factor: float) -> None:
    least, costs = normal(0.3).to_json()
    again = normal(0.3)
    again.restore([[factor] * len(least), costs])
    assert (again.least(0), again.first_slow, again.tail_margin) == (RATIO_MIN, FIRST_SLOW, 0)


def test_a_factor_without_end_is_refused() -> None:
    least, costs = normal(0.3).to_json()
    with pytest.raises(ValueError, match="numbers"):
        normal(0.3).restore([[float("inf")] * len(least), costs])

"""What failed works again: by all failures since it was told, not by the two that told it."""

import json
import random

import pytest

from proxy.observability.baseline import Baseline
from proxy.observability.recovery import Recovery


def known(share: float, requests: int = 20_000) -> Baseline:
    base = Baseline()
    base.learn({}, requests, round(share * requests))
    return base


BASE = known(0.0005)


def over_after(
    requests: int, hits: int, share: float = 0.0, *, seed: int = 1, most: int = 4_000
) -> int | None:
    """An incident told by so many requests, then slices of ten of which a ``share`` fails: how many
    requests until it is over.
    """
    rng, recovery = random.Random(seed), Recovery(3.0)
    recovery.begin(requests, hits)
    for n in range(1, most // 10 + 1):
        failed = sum(rng.random() < share for _ in range(10))
        if recovery.add(BASE, hits / requests, 10, failed, failed, 1.0):
            return 10 * n
    return None


def test_an_outage_is_over_soon() -> None:
    after = over_after(40, 40)
    assert after is not None
    assert after <= 30


def test_what_few_requests_told_of_is_not_over_while_it_fails_less_than_they_said() -> None:
    # two of twenty told it, really it is two in a hundred
    early = sum(over_after(20, 2, 0.02, seed=seed, most=1_000) is not None for seed in range(100))
    assert early <= 20
    after = over_after(20, 2)
    assert after is not None
    assert after <= 300


def test_what_gets_milder_goes_on() -> None:
    recovery, rng = Recovery(3.0), random.Random(2)
    recovery.begin(100, 50)
    shares = [0.5] * 20 + [0.25] * 60 + [0.12] * 150
    for share in shares:
        failed = sum(rng.random() < share for _ in range(10))
        assert not recovery.add(BASE, 0.5, 10, failed, failed, 1.0)
    assert 0.08 < recovery.share(0.5) < 0.16
    assert any(recovery.add(BASE, 0.5, 10, 0, 0, 1.0) for _ in range(12))


def test_what_was_told_by_chance_is_over_though_a_bit_more_fails_than_was_known() -> None:
    rng, recovery = random.Random(4), Recovery(3.0)
    recovery.begin(17, 7)
    slices = (sum(rng.random() < 0.075 for _ in range(10)) for _ in range(100))
    assert any(recovery.add(known(0.055), 7 / 17, 10, failed, failed, 1.0) for failed in slices)


def test_one_failure_is_no_wonder_where_none_was_known() -> None:
    recovery, never = Recovery(3.0), known(0.0, 2_000)
    recovery.begin(165, 4)
    hits = [0] * 36 + [1] + [0] * 48
    assert any(recovery.add(never, 4 / 165, 10, hit, hit, 1.0) for hit in hits)


def test_where_much_fails_as_a_rule_it_is_over_as_well() -> None:
    recovery, often = Recovery(3.0), known(0.5)
    recovery.begin(10, 10)
    assert not any(recovery.add(often, 1.0, 10, 10, 1, 1.0) for _ in range(50))
    assert any(recovery.add(often, 1.0, 10, 5, 3, 1.0) for _ in range(10))


def test_it_goes_through_json_and_an_earlier_version_knew_what_was_told_only() -> None:
    recovery, again = Recovery(3.0), Recovery(3.0)
    recovery.begin(20, 2)
    recovery.add(BASE, 0.1, 10, 0, 0, 1.0)
    again.restore(json.loads(json.dumps(recovery.to_json())))
    assert again.to_json() == recovery.to_json()
    again.restore(2.5)
    assert again.share(0.1) == 0.1
    assert again.to_json()[0] == 2.5


@pytest.mark.parametrize(
    "data", [None, "x", [1.0], [0.0, 1, 2, 0, 0], [0.0, 2, 1, 0, 1], ["a", 0, 0, 0, 0]]
)
def test_what_is_none_is_refused(data: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        Recovery(3.0).restore(data)  # type: ignore[arg-type]  # what a row may hold

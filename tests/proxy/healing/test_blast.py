"""How far a bug reaches decides how bad it is, beside what it is."""

import pytest

from proxy.domain.failure import Severity
from proxy.healing.blast import REQUESTS_MIN, SHARE_WINDOW_S, BlastLimits, Shares, reached

LIMITS = BlastLimits(clients=25, share=0.05)


@pytest.mark.parametrize(
    ("told", "clients", "share", "expected"),
    [
        ("low", 1, None, "low"),
        ("low", 24, 0.049, "low"),
        ("low", 25, None, "medium"),
        ("low", 0, 0.05, "medium"),
        ("medium", 250, 0.0, "critical"),
        ("high", 30, 0.9, "critical"),
        ("critical", 10_000, 1.0, "critical"),
    ],
)
def test_clients_or_share_raise_by_at_most_two_steps(
    told: str, clients: int, share: float | None, expected: str
) -> None:
    assert reached(Severity(told), clients, share, LIMITS) == expected


def test_the_share_is_of_the_last_minutes_and_never_of_three_requests() -> None:
    shares = Shares()
    assert shares.observe(0.0, 0, {1: 5}) == {}
    assert shares.observe(1.0, REQUESTS_MIN - 1, {1: 6}) == {}
    assert shares.observe(2.0, 100, {1: 15, 2: 1}) == {1: 0.1}
    # an hour later the old failures are no part of it
    assert shares.observe(SHARE_WINDOW_S + 2.5, 300, {1: 15, 2: 21}) == {1: 0.0, 2: 0.1}


def test_a_worker_that_starts_anew_begins_the_window_anew() -> None:
    shares = Shares()
    shares.observe(0.0, 1000, {1: 5})
    assert shares.observe(1.0, 10, {1: 6}) == {}
    assert shares.observe(2.0, 110, {1: 56}) == {1: 0.5}

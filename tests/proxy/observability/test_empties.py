"""An answer of 200 that hides rows: told by sizes alone, once, and never of a route that is always
small.
"""

from collections.abc import Sequence
from itertools import cycle, repeat

import pytest

from proxy.domain.exchange import Exchange, Outcome
from proxy.domain.waiting import Answers
from proxy.observability.buffer import MetricsBuffer
from proxy.observability.empties import ROUTES_MAX, WINDOW, EmptyLists, Overlooked, Silence

FULL, EMPTY = 4000, 2


def answer(
    size: int, route: str = "/orders", method: str = "GET", number: int = 0, status: int = 200
) -> Exchange:
    return Exchange(
        1.0,
        2.0,
        method,
        b"/orders",
        status,
        Outcome.ANSWERED,
        response_bytes=size,
        route=route,
        sequence=number,
    )


def told(*sizes: int, method: str = "GET", statuses: Sequence[int] = (200,)) -> list[Silence]:
    """However they come: one by one, or plain answers by the handful."""
    found: list[Silence] = []
    some = [
        answer(size, method=method, number=number, status=status)
        for number, (size, status) in enumerate(zip(sizes, cycle(statuses), strict=False))
    ]
    watch = EmptyLists(found.append)
    for one in some:
        watch.see([one])
    rows = [
        (1.0, 2.0, method, b"/orders", one.status, 0, one.response_bytes, None, "") for one in some
    ]
    for together in (1, 7, 2 * WINDOW, 128):
        bare: list[Silence] = []
        watch = EmptyLists(bare.append)
        for first in range(0, len(rows), together):
            columns = tuple(zip(*rows[first : first + together], strict=True))
            watch.see([Answers(method, "/orders", first, columns)])
        assert [(s.exchange, s.share) for s in bare] == [(s.exchange, s.share) for s in found]
        assert [s.usual for s in bare] == pytest.approx([s.usual for s in found])
    return found


def usual(windows: int = 3) -> list[int]:
    """One empty list in twenty: somebody without orders."""
    return [*([FULL] * (WINDOW - 1)), EMPTY] * windows


def test_a_jump_of_empty_lists_is_told_once_with_what_was_usual() -> None:
    (silence,) = told(*usual(), *repeat(EMPTY, 5 * WINDOW))
    assert (silence.share, silence.usual) == (1.0, 0.05)
    assert silence.exchange.route == "/orders"


def test_when_it_ended_the_next_jump_is_told_again() -> None:
    again = [*repeat(EMPTY, WINDOW), *usual(1), *repeat(EMPTY, WINDOW)]
    assert len(told(*usual(), *again)) == 2


def test_what_is_no_jump() -> None:
    assert told(*repeat(EMPTY, 10 * WINDOW)) == [], "a route that is always small"
    assert told(*usual(2), *repeat(EMPTY, WINDOW)) == [], "too little is known of it"
    half = [FULL, EMPTY] * (3 * WINDOW)
    assert told(*half, *repeat(EMPTY, WINDOW)) == [], "often empty anyway"
    assert told(*usual(), *([EMPTY, FULL] * WINDOW)) == [], "half is not nearly all"
    assert told(*repeat(70, 4 * WINDOW), *repeat(60, WINDOW)) == [], "no smaller than usual"
    assert told(*usual(), *repeat(EMPTY, WINDOW), method="POST") == []


def test_other_answers_between_them_say_nothing() -> None:
    sizes = [size for one in (*usual(), *repeat(EMPTY, 5 * WINDOW)) for size in (one, 0)]
    (silence,) = told(*sizes, statuses=(200, 206))
    assert (silence.share, silence.usual) == (1.0, 0.05)
    assert told(*usual(), *repeat(EMPTY, WINDOW), statuses=(202,)) == []


def test_it_waits_a_while_after_what_was_told() -> None:
    quiet = [*repeat(FULL, 7 * WINDOW), *repeat(EMPTY, 3 * WINDOW)]
    (silence,) = told(*quiet, *repeat(FULL, WINDOW // 2))
    assert silence.exchange.sequence == 8 * WINDOW - 1
    assert len(told(*quiet, *quiet)) == 2


def test_memory_is_bounded() -> None:
    watch = EmptyLists(lambda silence: None)
    for n in range(3 * ROUTES_MAX):
        watch.see([answer(FULL, f"/r{n}")])
    assert len(watch._routes) == ROUTES_MAX


def test_it_sees_what_the_flusher_takes_and_changes_nothing() -> None:
    seen: list[Exchange] = []
    buffer = MetricsBuffer(10)
    overlooked = Overlooked(buffer, seen.extend)
    for n in range(3):
        buffer.record(answer(n))
    assert len(overlooked) == 3
    assert overlooked.drain(2) == seen
    assert [e.response_bytes for e in seen] == [0, 1]

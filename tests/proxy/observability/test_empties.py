"""An answer of 200 that hides rows: told by sizes alone, once, and never of a route that is always
small.
"""

from itertools import repeat

from proxy.domain.exchange import Answer, Exchange, Outcome
from proxy.observability.buffer import MetricsBuffer
from proxy.observability.empties import ROUTES_MAX, WINDOW, EmptyLists, Overlooked, Silence

FULL, EMPTY = 4000, 2


def answer(size: int, route: str = "/orders", status: int = 200, method: str = "GET") -> Exchange:
    return Exchange(
        1.0, 2.0, method, b"/orders", status, Outcome.ANSWERED, response_bytes=size, route=route
    )


def plain(size: int, route: str = "/orders", status: int = 200, method: str = "GET") -> Answer:
    return (1.0, 2.0, method, b"/orders", status, 0, size, None, "", route, 0)


def told(*sizes: int, method: str = "GET") -> list[Silence]:
    found: list[Silence] = []
    watch = EmptyLists(found.append)
    for size in sizes:
        watch.see([answer(size, method=method)])
    bare: list[Silence] = []
    EmptyLists(bare.append).see([plain(size, method=method) for size in sizes])
    assert bare == found, "a plain answer is seen as an exchange is"
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

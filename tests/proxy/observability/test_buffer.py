"""MetricsBuffer: bounded, in order, honest about what it lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.domain.exchange import Exchange, Outcome
from proxy.domain.waiting import Answers, Waiting, count_of, exchanges_of, in_pieces
from proxy.observability.buffer import MetricsBuffer


def exchange(n: int) -> Exchange:
    return Exchange(1.0, 1.0, "GET", b"/", 200, Outcome.ANSWERED, sequence=n)


def answers(first: int, count: int) -> Answers:
    rows = [(1.0, 1.0, "GET", b"/", 200, 0, n, None, "") for n in range(first, first + count)]
    return Answers("GET", "/", first, tuple(zip(*rows, strict=True)))


def numbers(waiting: list[Waiting]) -> list[int]:
    assert count_of(waiting) == len(list(exchanges_of(waiting)))
    for some in waiting:
        if isinstance(some, Answers):
            assert [one.response_bytes for one in some.exchanges()] == numbers_of(some)
    return [one.sequence for one in exchanges_of(waiting)]


def numbers_of(some: Answers) -> list[int]:
    return list(range(some.first, some.first + len(some)))


def test_drains_oldest_first() -> None:
    buffer = MetricsBuffer(10)
    for n in range(5):
        assert buffer.record(exchange(n))
    assert numbers(buffer.peek(2)) == [0, 1]
    assert numbers(buffer.drain(2)) == [0, 1]
    assert numbers(buffer.drain(99)) == [2, 3, 4]
    assert buffer.drain(1) == []


def test_full_means_the_newest_is_refused_and_counted() -> None:
    buffer = MetricsBuffer(3)
    taken = [buffer.record(exchange(n)) for n in range(5)]
    assert taken == [True, True, True, False, False]
    assert numbers(buffer.drain(9)) == [0, 1, 2]
    assert (buffer.dropped, buffer.high_water, buffer.recorded) == (2, 3, 3)


def test_a_flush_is_asked_for_once_per_filling() -> None:
    asked: list[int] = []
    buffer = MetricsBuffer(10, on_fill=lambda: asked.append(len(buffer)))
    for n in range(10):
        buffer.record(exchange(n))
    assert asked == [5]
    assert buffer.is_due
    buffer.drain(10)
    assert not buffer.is_due
    for n in range(5):
        buffer.record(exchange(n))
    assert asked == [5, 5]


def test_what_could_not_be_stored_goes_back_to_its_place() -> None:
    buffer = MetricsBuffer(4)
    for n in range(4):
        buffer.record(exchange(n))
    batch = buffer.drain(3)
    buffer.record(exchange(4))
    buffer.record(exchange(5))
    assert buffer.restore(batch) == 2
    assert numbers(buffer.drain(9)) == [2, 3, 4, 5]
    assert buffer.dropped == 2


def test_a_buffer_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        MetricsBuffer(0)


def test_answers_come_and_go_by_the_handful_and_are_parted_where_need_be() -> None:
    asked: list[int] = []
    buffer = MetricsBuffer(20, on_fill=lambda: asked.append(len(buffer)))
    buffer.extend(answers(0, 8))
    buffer.record(exchange(8))
    buffer.extend(answers(9, 7))
    assert asked == [16]
    assert numbers(buffer.peek(3)) == [0, 1, 2]
    assert numbers(buffer.drain(10)) == list(range(10))
    assert len(buffer) == 6
    buffer.extend(answers(16, 20))
    assert (len(buffer), buffer.dropped, buffer.high_water) == (20, 6, 20)
    buffer.extend(answers(99, 3))
    assert (len(buffer), buffer.dropped, buffer.recorded) == (20, 9, 30)
    batch = buffer.drain(9)
    assert buffer.restore(batch) == 0
    buffer.drain(1)
    buffer.record(exchange(50))
    assert buffer.restore([answers(3, 5)]) == 5
    assert numbers(buffer.drain(99)) == [*range(11, 30), 50]


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 12))
def test_pieces_hold_as_many_as_they_may_and_keep_the_order(sizes: list[int], size: int) -> None:
    waiting: list[Waiting] = []
    total = 0
    for count in sizes:
        waiting.append(answers(total, count) if count else exchange(total))
        total += count or 1
    pieces = list(in_pieces(waiting, size))
    assert [n for piece in pieces for n in numbers(piece)] == list(range(total))
    assert [count_of(piece) for piece in pieces[:-1]] == [size] * (len(pieces) - 1)
    assert all(0 < count_of(piece) <= size for piece in pieces)


@given(st.integers(1, 20), st.lists(st.one_of(st.none(), st.integers(1, 30)), max_size=60))
def test_nothing_appears_and_nothing_vanishes_uncounted(
    capacity: int, script: list[int | None]
) -> None:
    """``None`` records one, an even number so many answers, and an odd one drains so many."""
    buffer = MetricsBuffer(capacity)
    offered, out = 0, []
    for step in script:
        if step is None:
            buffer.record(exchange(offered))
            offered += 1
        elif step % 2 == 0:
            buffer.extend(answers(offered, step))
            offered += step
        else:
            out += numbers(buffer.drain(step))
        assert len(buffer) <= capacity
        assert buffer.high_water <= capacity
    out += numbers(buffer.drain(capacity))
    assert out == sorted(out)
    assert len(out) + buffer.dropped == offered

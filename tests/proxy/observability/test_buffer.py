"""MetricsBuffer: bounded, in order, honest about what it lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.domain.exchange import Exchange, Outcome
from proxy.observability.buffer import MetricsBuffer


def exchange(n: int) -> Exchange:
    return Exchange(1.0, 1.0, "GET", b"/", 200, Outcome.ANSWERED, sequence=n)


def numbers(rows: list[Exchange]) -> list[int]:
    return [row.sequence for row in rows]


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


@given(st.integers(1, 20), st.lists(st.one_of(st.none(), st.integers(1, 30)), max_size=60))
def test_nothing_appears_and_nothing_vanishes_uncounted(
    capacity: int, script: list[int | None]
) -> None:
    """``None`` records one, a number drains so many."""
    buffer = MetricsBuffer(capacity)
    offered, out = 0, []
    for step in script:
        if step is None:
            buffer.record(exchange(offered))
            offered += 1
        else:
            out += numbers(buffer.drain(step))
        assert len(buffer) <= capacity
        assert buffer.high_water <= capacity
    out += numbers(buffer.drain(capacity))
    assert out == sorted(out)
    assert len(out) + buffer.dropped == offered

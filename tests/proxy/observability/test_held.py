"""What waits in memory keeps the promises of what waits on disk."""

from proxy.observability.held import Held


def test_oldest_first_until_done_and_never_beyond_the_bound() -> None:
    held = Held(5, decode=tuple)
    assert held.recover() == 0
    assert held.peek() is None
    assert held.put([(1,), (2,), (3,)])
    assert held.put([(4,)])
    assert not held.put([(5,), (6,)])
    assert (held.rows, held.dropped) == (4, 2)
    assert held.peek() == [(1,), (2,), (3,)] == held.peek()
    held.done()
    assert (held.peek(), held.rows) == ([(4,)], 1)
    held.done()
    assert held.peek() is None

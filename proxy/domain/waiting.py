"""Exchanges that wait to be stored: one by one, or plain answers by the handful. Pure values."""

from collections.abc import Iterable, Iterator
from typing import Any

from proxy.domain.exchange import Exchange, exchange_of


class Answers:
    """Plain answers of one method and route as they wait to be stored: side by side, as
    ``columns`` in the order of ``Plain``, for whoever reads them wants a few of their values of
    all. The first has the sequence ``first``, each of the others one more than the one before it.
    """

    __slots__ = ("columns", "first", "method", "route")

    def __init__(
        self, method: str, route: str, first: int, columns: tuple[tuple[Any, ...], ...]
    ) -> None:
        self.method = method
        self.route = route
        self.first = first
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns[0])

    def part(self, start: int, end: int) -> "Answers":
        """Those from ``start`` up to, without, ``end``."""
        columns = tuple(column[start:end] for column in self.columns)
        return Answers(self.method, self.route, self.first + start, columns)

    def exchanges(self) -> Iterator[Exchange]:
        for sequence, plain in enumerate(zip(*self.columns, strict=True), self.first):
            yield exchange_of(plain, self.route, sequence)


Waiting = Exchange | Answers
"""What waits to be stored."""


def exchanges_of(waiting: Iterable[Waiting]) -> Iterator[Exchange]:
    """All of them, one by one."""
    for some in waiting:
        if isinstance(some, Answers):
            yield from some.exchanges()
        else:
            yield some


def count_of(waiting: Iterable[Waiting]) -> int:
    """How many exchanges they are."""
    return sum(len(some) if isinstance(some, Answers) else 1 for some in waiting)


def in_pieces(waiting: Iterable[Waiting], size: int) -> Iterator[list[Waiting]]:
    """The same in their order, ``size`` exchanges at a time, fewer at last."""
    piece: list[Waiting] = []
    room = size
    for some in waiting:
        if not isinstance(some, Answers):
            piece.append(some)
            room -= 1
        else:
            begun, count = 0, len(some)
            while count - begun > room:
                piece.append(some.part(begun, begun + room))
                begun += room
                yield piece
                piece, room = [], size
            piece.append(some.part(begun, count) if begun else some)
            room -= count - begun
        if not room:
            yield piece
            piece, room = [], size
    if piece:
        yield piece

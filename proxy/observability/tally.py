"""Counts per bucket of duration, in one row no wider than what it holds. Pure.

A route keeps a dozen of these. Its durations lie close together, so a row of machine numbers takes
a tenth of what a dict of Python's numbers does.
"""

from array import array
from collections.abc import Iterator, Mapping
from typing import Any

from proxy.observability.sketch import BUCKETS

WHOLE, FADING, PASSING = "B", "d", "f"
"""What is counted: requests, weights that fade, or such weights of minutes, to seven digits."""
MANY, MOST = "H", "I"
"""Wider rows of requests, for a bucket that holds more than 255 or 65,535."""
_MANY_MAX = 0xFFFF
_NOTHING = array(WHOLE, bytes(BUCKETS))
_KINDS = {1: WHOLE, 2: MANY, 4: MOST}
SPARE = 8
"""Buckets made beside a new one: a row is not widened for each of its neighbours."""


class Tally:
    """Bucket → count, like a ``dict`` whose missing entries are 0 and that is always in order.

    ``row`` begins with bucket ``low``. Who counts one by one writes there and asks for a ``place``
    only when there is none.
    """

    __slots__ = ("low", "row")

    def __init__(self, kind: str = WHOLE) -> None:
        # not of float: compiled, that would make every whole number one on its way
        self.row: array[Any] = array(kind)
        self.low = 0

    def add(self, counts: Mapping[int, Any]) -> None:
        """Raises ``IndexError`` for buckets that do not exist."""
        row, low = self.row, self.low
        width = len(row)
        for bucket, count in counts.items():
            at = bucket - low
            if not 0 <= at < width:
                at = self.place(bucket)
                row, low = self.row, self.low
                width = len(row)
            try:
                row[at] += count
            except OverflowError:
                row = self.widen(row[at] + count)
                row[at] += count

    def place(self, bucket: int) -> int:
        """Where in the row, as wide as need be, a bucket is counted."""
        row, low = self.row, self.low
        if low <= bucket < low + len(row):
            return bucket - low
        if not 0 <= bucket < BUCKETS:
            raise IndexError("no such bucket")
        first, end = bucket - SPARE, bucket + SPARE + 1
        if row:
            first, end = min(first, low), max(end, low + len(row))
        first, end = first if first > 0 else 0, end if end < BUCKETS else BUCKETS
        wide: array[Any] = array(row.typecode, bytes(row.itemsize * (end - first)))
        wide[low - first : low - first + len(row)] = row
        self.row, self.low = wide, first
        return bucket - first

    def widen(self, most: int) -> "array[Any]":
        """A row in which so many fit in one bucket; of more a wider one still."""
        self.row = array(MANY if most <= _MANY_MAX else MOST, self.row)
        return self.row

    def clear(self) -> None:
        self.row, self.low = self.row[:0], 0

    def empty(self) -> None:
        """The same, but the row has as many buckets: as many will come again."""
        self.row = _NOTHING[: len(self.row)]

    def scale(self, factor: float) -> None:
        """Multiply every count, which must be one that fades."""
        self.row = array(self.row.typecode, [count * factor for count in self.row])

    def thin(self, least: float) -> None:
        """Of what holds no more than ``least`` nothing is left."""
        row = self.row
        self.row = array(row.typecode, [count if count > least else 0 for count in row])

    def halve(self, least: float) -> None:
        """The same, and of all else half is left; every count must be one that fades."""
        row = self.row
        self.row = array(row.typecode, [0.5 * count if count > least else 0.0 for count in row])

    @property
    def total(self) -> float:
        return float(sum(self.row))

    def held(self, least: float) -> tuple[int, list[float]]:
        """The first bucket that holds more than ``least``, and the counts from there to the last
        that does; a 0 in bucket 0 when none does.
        """
        row = self.row.tolist()
        first, end = 0, len(row)
        while end and row[end - 1] <= least:
            end -= 1
        if not end:
            return 0, [0.0]
        while row[first] <= least:
            first += 1
        return self.low + first, row[first:end]

    def read(self, start: int, end: int) -> list[float]:
        """The counts of the buckets ``start`` up to, without, ``end``."""
        first, last = max(start, self.low), min(end, self.low + len(self.row))
        if first >= last:
            return [0.0] * max(0, end - start)
        held = self.row[first - self.low : last - self.low].tolist()
        return [0.0] * (first - start) + held + [0.0] * (end - last)

    def items(self) -> Iterator[tuple[int, Any]]:
        """What is not 0, in order."""
        return iter(self.counts().items())

    def counts(self) -> dict[int, Any]:
        """The same; whole numbers where requests are counted, compiled as well."""
        return {bucket: count for bucket, count in enumerate(self.row, self.low) if count}

    def __bool__(self) -> bool:
        return any(self.row)

    def to_json(self) -> dict[str, Any]:
        return {str(bucket): count for bucket, count in self.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, float], kind: str = WHOLE) -> "Tally":
        """Raises ``TypeError``, ``ValueError`` or ``AttributeError`` for what is none."""
        made = cls(kind)
        number: Any = int if kind == WHOLE else float
        try:
            made.add({int(bucket): number(count) for bucket, count in data.items()})
        except (IndexError, OverflowError) as error:
            raise ValueError("no counts of durations") from error
        return made


def packed(tally: Tally) -> tuple[int, int, bytes]:
    """Requests that nobody counts any more: the first bucket, how many bytes each takes, and the
    row as it stands in memory.
    """
    row = tally.row
    return tally.low, row.itemsize, row.tobytes()


def unpacked(low: int, size: int, held: bytes) -> dict[int, int]:
    """What was packed, in order."""
    if size == 1:
        width = len(held)
        held = held.lstrip(b"\0")
        low += width - len(held)
        return {bucket: count for bucket, count in enumerate(held.rstrip(b"\0"), low) if count}
    wide: array[int] = array(_KINDS[size], held)
    return {bucket: count for bucket, count in enumerate(wide, low) if count}

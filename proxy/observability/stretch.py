"""A part of a run of evidence: the durations that came from one onset to the next. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from proxy.observability.tally import PASSING, Tally

FORGET = 0.1
"""Of a count that is halved no more is kept."""
PARTS_MAX = 16
"""What has been halved is counted in so small parts of one; smaller ones are weights, which take
four times the room.
"""
WHOLE_MAX = 1e8
FEW = 5
"""Buckets that take less memory as they came than in a row."""


class Stretch:
    """What came from ``since`` on, until the next stretch begins; ``before`` is the natural log of
    the level just before.
    """

    __slots__ = ("_first", "_parts", "_tally", "before", "since")

    def __init__(self, since: float, before: float) -> None:
        self.since = since
        self.before = before
        self._first: Mapping[int, int] | None = None
        """Its first slice as it came: most have no second one, and then no row is made."""
        self._tally: Tally | None = None
        self._parts = 1
        """Of one; in these it counts, so that halves are whole numbers as well. 0: in weights."""

    def add(self, durations: Mapping[int, int]) -> None:
        """Count one slice, that nobody changes any more."""
        if self._first is None and self._tally is None and len(durations) <= FEW:
            self._first = durations
        else:
            self._count(durations, 1)

    def join(self, other: "Stretch") -> None:
        """Add all of the one that came next."""
        self._count(other._first or other._counted().counts(), other._parts)

    def _count(self, counts: Mapping[int, Any], parts: int) -> None:
        # not of float: compiled, that would make every whole number one on its way
        tally = self._counted()
        if self._parts == parts:
            tally.add(counts)
        elif 0 < parts < self._parts:
            scale = self._parts // parts
            tally.add({bucket: scale * count for bucket, count in counts.items()})
        else:
            self._weights().add({bucket: count / (parts or 1) for bucket, count in counts.items()})

    def halve(self) -> None:
        if 0 < self._parts < PARTS_MAX:
            self._counted().thin(FORGET * self._parts)
            self._parts *= 2
        else:
            self._weights().halve(FORGET)

    def counts(self) -> Mapping[int, float]:
        if self._tally is None:
            return self._first or {}
        counts, parts = self._tally.counts(), self._parts
        return {b: count / parts for b, count in counts.items()} if parts else counts

    def _counted(self) -> Tally:
        if self._tally is None:
            self._tally = Tally()
        if self._first is not None:
            self._tally.add(self._first)
            self._first = None
        return self._tally

    def _weights(self) -> Tally:
        """From now on it counts in weights."""
        counted = self._counted()
        if self._parts:
            weights = Tally(PASSING)
            weights.add(self.counts())
            self._tally, self._parts = weights, 0
            return weights
        return counted

    def to_json(self) -> list[Any]:
        self._counted()
        return [self.since, self.before, {str(b): count for b, count in self.counts().items()}]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> "Stretch":
        """Raises ``TypeError``, ``ValueError`` or ``AttributeError`` for what is none."""
        since, before, counts = data
        made = cls(float(since), float(before))
        made._tally, made._parts = Tally.from_json(counts, PASSING), 0
        held, parts = made._tally.counts(), 1
        while parts <= PARTS_MAX:
            if all(
                (parts * count).is_integer() and 0 <= count < WHOLE_MAX for count in held.values()
            ):
                made._tally, made._parts = Tally(), parts
                made._tally.add({bucket: int(parts * count) for bucket, count in held.items()})
                break
            parts *= 2
        return made

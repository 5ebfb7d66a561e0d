"""Durations as counts in logarithmic buckets: adding, merging, quantiles, fading.

Counts that add are the whole point: the sum of two workers' sketches is the sketch of both. Knows
nothing of routes, time or what is normal.

Bucket ``i`` holds durations in ``LOW_MS * GAMMA**i`` up to the next edge and answers with its
geometric middle, so a quantile is at most 1.5 % away from the value whose rank it is
(``RELATIVE_ERROR``), whatever the shape.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import log, sqrt

GAMMA = 1.03
LOW_MS = 0.05
BUCKETS = 576
"""Reaches 1.2 million ms: longer than any time-out. What lies outside falls in the first or last
bucket.
"""
RELATIVE_ERROR = sqrt(GAMMA) - 1

_SCALE = 1.0 / log(GAMMA)
_SHIFT = -log(LOW_MS) * _SCALE
VALUES: tuple[float, ...] = tuple(LOW_MS * GAMMA ** (i + 0.5) for i in range(BUCKETS))
"""The duration in ms a bucket answers with."""


def bucket_of(ms: float) -> int:
    """The bucket of a duration in ms; NaN, negatives and zero count as the shortest."""
    if not ms > LOW_MS:
        return 0
    if ms >= 1e6:
        return BUCKETS - 1
    return int(log(ms) * _SCALE + _SHIFT)


class Sketch:
    """A sparse sketch; ``counts`` maps bucket to weight. Weights may be fractions once decayed."""

    __slots__ = ("counts", "total")

    def __init__(self, counts: Mapping[int, float] | None = None) -> None:
        self.counts: dict[int, float] = dict(counts or {})
        self.total: float = sum(self.counts.values())

    def add(self, ms: float, weight: float = 1) -> None:
        bucket = bucket_of(ms)
        self.counts[bucket] = self.counts.get(bucket, 0) + weight
        self.total += weight

    def merge(self, other: "Sketch") -> None:
        for bucket, weight in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + weight
        self.total += other.total

    def decay(self, factor: float) -> None:
        """Multiply every weight by ``factor`` (0-1); what has faded below a thousandth is
        forgotten.
        """
        self.counts = {b: w * factor for b, w in self.counts.items() if w * factor >= 0.001}
        self.total = sum(self.counts.values())

    def quantile(self, q: float) -> float | None:
        """The duration in ms at rank ``q`` (0-1), None when empty."""
        return quantiles(self.counts, (q,))[0]

    def to_sparse(self) -> dict[str, float]:
        """JSON-able: bucket number as text, since JSON has no other keys."""
        return {str(b): w for b, w in sorted(self.counts.items())}

    @classmethod
    def from_sparse(cls, data: Mapping[str, float]) -> "Sketch":
        """Raises ``ValueError`` for buckets that do not exist and weights below zero."""
        counts: dict[int, float] = {}
        for key, weight in data.items():
            bucket = int(key)
            if not 0 <= bucket < BUCKETS or not weight >= 0:
                raise ValueError(f"no bucket {key!r} with weight {weight!r}")
            counts[bucket] = weight
        return cls(counts)


def quantiles(counts: Mapping[int, float], qs: Sequence[float]) -> list[float | None]:
    """Durations in ms at the ascending ranks ``qs``; all None when nothing was counted."""
    total = sum(counts.values())
    if total <= 0:
        return [None] * len(qs)
    found: list[float | None] = []
    seen, pending = 0.0, list(qs)
    for bucket in sorted(counts):
        seen += counts[bucket]
        # nearest rank, counted as numpy and statistics do: rank q of n values is number q * (n - 1)
        while pending and seen > pending[0] * (total - 1) + 1e-9:
            found.append(VALUES[bucket])
            pending.pop(0)
        if not pending:
            return found
    last = VALUES[max(counts)]
    return found + [last] * len(pending)


def sparse(counts: Iterable[float]) -> dict[int, float]:
    """A dense row of counts as ``{bucket: count}``."""
    return {i: c for i, c in enumerate(counts) if c}

"""Durations as counts in logarithmic buckets, and the quantiles of such counts.

Counts that add are the whole point: the sum of two workers' counts is the count of both
(``tally.py`` holds them). Knows nothing of routes, time or what is normal.

Bucket ``i`` holds durations in ``LOW_MS * GAMMA**i`` up to the next edge and answers with its
geometric middle, so a quantile is at most 1.5 % away from the value whose rank it is
(``RELATIVE_ERROR``), whatever the shape.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from math import inf, log, sqrt
from struct import unpack

GAMMA = 1.03
LOW_MS = 0.05
BUCKETS = 576
"""Reaches 1.2 million ms: longer than any time-out. What lies outside falls in the first or last
bucket.
"""
HIGH_MS = 1e6
"""From here on it is the last bucket."""
RELATIVE_ERROR = sqrt(GAMMA) - 1

LANE = 32
_LANE_BYTES, _LANE_BYTE_MAX = LANE // 8, 0xFF
_SCALE = 1.0 / log(GAMMA)
_SHIFT = -log(LOW_MS) * _SCALE - 1e-9
"""A little less than it is: what rounding does is then always too low, and seen at one edge."""
VALUES: tuple[float, ...] = tuple(LOW_MS * GAMMA ** (i + 0.5) for i in range(BUCKETS))
"""The duration in ms a bucket answers with."""
ENDS: tuple[float, ...] = (
    *(min(LOW_MS * GAMMA ** (i + 1), HIGH_MS) for i in range(BUCKETS - 1)),
    inf,
)
"""Where a bucket ends; what lasted so long falls in the next one."""


def bucket_of(ms: float) -> int:
    """The bucket of a duration in ms; NaN, negatives and zero count as the shortest."""
    if not ms > LOW_MS:
        return 0
    if ms >= HIGH_MS:
        return BUCKETS - 1
    bucket = int(log(ms) * _SCALE + _SHIFT)
    return bucket + 1 if ms >= ENDS[bucket] else bucket


def lanes_of(durations: list[float]) -> int:
    """How many of ``durations`` fall in each bucket, as one whole number: that of bucket ``i``
    stands in the 32 bits from ``LANE * i`` on. To add such counts is one addition, however many
    buckets they hold.

    The durations ascend and are finite; there is one at least. Costs a comparison for each, and
    two logarithms.
    """
    if len(durations) > _LANE_BYTE_MAX:
        parts = range(0, len(durations), _LANE_BYTE_MAX)
        return sum(lanes_of(durations[begun : begun + _LANE_BYTE_MAX]) for begun in parts)
    ends = ENDS
    bucket, held = bucket_of(durations[0]), 0
    end = ends[bucket]
    lanes = bytearray(_LANE_BYTES * (bucket_of(durations[-1]) + 1))
    for ms in durations:
        if ms >= end:
            lanes[_LANE_BYTES * bucket] = held
            bucket, held = bucket + 1, 0
            # the next is near, as a rule
            if ms >= ends[bucket]:
                bucket += 1
                if ms >= ends[bucket]:
                    bucket += 1
                    if ms >= ends[bucket]:
                        bucket = bisect_right(ends, ms, bucket)
            end = ends[bucket]
        held += 1
    lanes[_LANE_BYTES * bucket] = held
    return int.from_bytes(lanes, "little")


def counts_in(lanes: int) -> dict[int, int]:
    """Bucket → count of such a sum, in order."""
    count = -(-lanes.bit_length() // LANE)
    counts = unpack(f"<{count}I", lanes.to_bytes(_LANE_BYTES * count, "little"))
    return {bucket: held for bucket, held in enumerate(counts) if held}


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

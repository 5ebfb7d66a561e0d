"""How likely is a duration under each hypothesis of slowness? One table per route, read by
shifting. Pure.
"""

from array import array
from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import inf, log
from operator import add, sub

from proxy.observability.hypotheses import FIRST_SLOW, NEUTRAL, SHIFT_FIRST, SHIFT_STEP, SHIFTS
from proxy.observability.sketch import BUCKETS

FLOOR_SHARE = 0.02
"""Any duration at all may happen this often: bounds what one request can prove."""
FEW_ROWS, FEW_ALIKE = 5, 6
"""What costs least: fewer rows are added one after another, and fewer of one bucket one by one."""
DUST = 1e-10
"""What differences of sums leave where there is nothing; a logarithm costs more than all else."""

SPAN = SHIFT_STEP * SHIFTS
_SLOWEST = SHIFT_FIRST + SPAN - SHIFT_STEP
"""How many buckets lower the slowest hypothesis reads, as the fastest does -``SHIFT_FIRST`` higher.
"""
_USUAL = SHIFT_STEP * NEUTRAL
"""Where "as usual" reads, from where the fastest hypothesis does."""
_FLOOR = FLOOR_SHARE / BUCKETS
_LOG_FLOOR = log(_FLOOR)
_NOTHING = array("f", (_LOG_FLOOR,)) * (BUCKETS + _SLOWEST - SHIFT_FIRST)


class Table:
    """What a ``Baseline`` is to whoever weighs durations. A base class and no part of it: one
    look-up less for every slice.
    """

    __slots__ = ("_end", "_first", "_peaks", "_table", "top")

    def __init__(self) -> None:
        self._table: array[float] = array("f")
        """What ``top`` reads comes first. Reversed, so that growing shifts are growing positions
        and one slice reads them all.
        """
        self._end = 0
        """Where the shortest duration reads that is told from shorter ones."""
        self._peaks = array("f", (0.0,))
        self._first = 0
        self.top = BUCKETS

    def _tabulate(self, first: int, sums: list[float], radius: int) -> None:
        """Of running sums of what is usual, from bucket ``first`` on, blurred by ``radius``."""
        last = first + len(sums) - 1
        margin = radius + 2
        start = max(0, first - margin)
        # the sums of a first box, from the same sums; beyond the row there is nothing
        beyond = sums[-1:] * (min(BUCKETS - 1, last + margin) - last + radius)
        sums = [0.0] * (1 + radius + first - start) + sums + beyond
        smooth = _box(list(map(sub, sums[2 * radius + 1 :], sums)), 2)
        scale = (1.0 - FLOOR_SHARE) / (sum(smooth) or 1.0)
        found = [log(w * scale + _FLOOR) if w > DUST else _LOG_FLOOR for w in smooth]
        # from here on down no hypothesis makes it likelier than anything at all
        bottom = max(0, start + SHIFT_FIRST - 1)
        self._end = self.top - bottom
        table = _NOTHING[: self._end + _SLOWEST - SHIFT_FIRST + 1]
        held = found[: self.top - SHIFT_FIRST + 1 - start]
        place = self.top - SHIFT_FIRST + 1 - start - len(held)
        table[place : place + len(held)] = array("f", held[::-1])
        self._table = table
        self._first, self._peaks = start + SHIFT_STEP * (FIRST_SLOW - NEUTRAL), _peaks(found)

    def likelihoods(self, bucket: int) -> "array[float]":
        """log P(bucket) under each of the ``SHIFTS`` hypotheses, from fastest to slowest."""
        start = self.top - bucket
        if start < 0:
            start = 0
        elif start > self._end:
            start = self._end
        return self._table[start : start + SPAN : SHIFT_STEP]

    def weighed(self, durations: Mapping[int, int], level: int) -> list[float]:
        """The log-likelihood of a slice under each hypothesis of slowness; durations are not empty.
        ``level`` is in buckets.
        """
        table, end, top = self._table, self._end, self.top + level
        if len(durations) == 1:
            # one request, or some that took alike: half of the slices of a quiet route
            for bucket, count in durations.items():
                only = self.likelihoods(bucket - level).tolist()
                return only if count == 1 else [count * x for x in only]
        rows: list[Sequence[float]] = []
        for bucket, count in durations.items():
            # what ``likelihoods`` does: a call for each costs as much as all else
            start = top - bucket
            start = 0 if start < 0 else end if start > end else start
            row = table[start : start + SPAN : SHIFT_STEP]
            if count == 1:
                rows.append(row)
            elif count < FEW_ALIKE:
                rows += [row] * count
            else:
                rows.append([count * x for x in row])
        if len(rows) < FEW_ROWS:
            found = list(map(add, rows[0], rows[1]))
            for more in rows[2:]:
                found = list(map(add, found, more))
            return found
        return list(map(sum, zip(*rows)))  # noqa: B905  (all of one length)

    def is_calm(self, durations: Mapping[int, int], level: int) -> bool:
        """Surely no slow hypothesis explains these better than "as usual".

        For each the usual is compared with the likeliest of all that any slow one could make of it;
        where that adds up to nothing less than nil, so do the whole sums. It costs a tenth.
        """
        table, peaks, first, top = self._table, self._peaks, self._first, self.top
        last = len(peaks) - 1
        margin = 0.0
        for bucket, count in durations.items():
            at = bucket - level
            if at > top:
                at = top
            block = (at - first) // SHIFT_STEP
            # faster than that nothing is known: every slow one makes of it what is least
            if block >= 0:
                usual = table[top - at + _USUAL]
                margin += count * (usual - peaks[block if block < last else last])
        return margin >= 0.0

    def fit(self, counts: Mapping[int, float], level: int, first: int, last: int) -> list[float]:
        """The log-likelihood of durations at each shift from ``first`` to ``last``, in buckets:
        what ``likelihoods`` tells coarsely; about 0.1 ms.
        """
        found = [0.0] * (last - first + 1)
        for bucket, count in counts.items():
            usual = _USUAL + max(0, min(self._end, self.top + level - bucket))
            row = self._table[usual + first : usual + last + 1]
            found = [x + count * y for x, y in zip(found, row, strict=True)]
        return found


def _peaks(found: list[float]) -> "array[float]":
    """The greatest up to the end of each block of ``SHIFT_STEP``, as far as it grows."""
    most, top, peaks = -inf, max(found), []
    for at in range(0, len(found), SHIFT_STEP):
        most = max(most, *found[at : at + SHIFT_STEP])
        peaks.append(most)
        if most == top:
            break
    return array("f", peaks)


def _box(values: list[float], radius: int) -> list[float]:
    """The moving sum over ``2 * radius + 1`` buckets; outside there is nothing."""
    pad = [0.0] * radius
    sums = [0.0, *accumulate([*pad, *values, *pad])]
    return list(map(sub, sums[2 * radius + 1 :], sums))

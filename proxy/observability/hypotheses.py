"""The hypotheses of slowness: by which factor may durations have changed? A grid of natural logs,
and rows of one number per hypothesis.
"""

from array import array
from collections.abc import Iterable, Sequence
from math import log
from struct import Struct
from typing import Union

from proxy.observability.sketch import GAMMA

SHIFT_STEP = 5
"""Buckets between two hypotheses: a factor of 1.16."""
SHIFT_FIRST = -15
SHIFTS = 24
"""From 0.64 times to 19 times the usual duration; slower still counts as that."""
NEUTRAL = 3
FIRST_SLOW = 6
"""Indices of the hypotheses "as usual" and of the least that is an incident: 1.56 times as slow."""
LOG_GAMMA = log(GAMMA)
GRID = SHIFT_STEP * LOG_GAMMA
"""Natural log between two hypotheses."""
LOGS = tuple((SHIFT_FIRST + SHIFT_STEP * k) * LOG_GAMMA for k in range(SHIFTS))

Row = Union[list[float], "array[float]"]
"""One number per hypothesis; what waits for minutes is an array, a third the size."""
_pack = Struct(f"{SHIFTS}d").pack


def kept(row: Iterable[float]) -> "array[float]":
    """One number per hypothesis, to wait for minutes. Packed at once: an array asks for each."""
    # the copy of it is no wider than need be
    return array("d", _pack(*row))[:]


def row_of(row: Sequence[float] | None) -> Row | None:
    """What was stored. Raises ``ValueError`` or ``TypeError`` for what is no row."""
    if row is None:
        return None
    if len(row) != SHIFTS:
        raise ValueError("one value per hypothesis")
    return kept(map(float, row))


def nil() -> "array[float]":
    """Nothing speaks for any of them."""
    return array("d", bytes(8 * SHIFTS))


def likeliest(vector: Row) -> tuple[float, float] | None:
    """The likeliest level and the variance that chance alone gives it; None when it tells none."""
    best = k = vector.index(max(vector))
    if not 0 < k < SHIFTS - 1:
        inner = vector[1:-1]
        k = 1 + inner.index(max(inner))
    left, middle, right = vector[k - 1 : k + 2]
    bend = (2 * middle - left - right) / GRID**2
    if bend <= 0:
        return None
    at = float(best)
    if k == best:
        at += 0.5 * (left - right) / (left - 2 * middle + right)
    return (SHIFT_FIRST + SHIFT_STEP * at) * LOG_GAMMA, 1.0 / bend


def peak(values: Sequence[float], end: int) -> float:
    """The position of the greatest of ``values[:end]``, between the grid's points by a parabola."""
    within = values[:end]
    k = within.index(max(within))
    if 0 < k < end - 1:
        left, middle, right = values[k - 1 : k + 2]
        bend = left - 2 * middle + right
        if bend < 0:
            return k + 0.5 * (left - right) / bend
    return float(k)


def moved(values: Row, by: float) -> list[float]:
    """``values`` read ``by`` places further on (less than one), between the points linearly."""
    if by < 0:
        return moved(values[::-1], -by)[::-1]
    following = [*values[1:], values[-1]]
    return [(1.0 - by) * x + by * y for x, y in zip(values, following, strict=True)]

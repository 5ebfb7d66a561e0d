"""What is still normal of a route's level: how far it may stray, and the price of each hypothesis
within. Pure.

Made when first asked for: in most minutes of a quiet route nobody asks.
"""

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from math import exp, isfinite, log
from typing import Any

from proxy.observability.evidence import RATIO_MIN
from proxy.observability.hypotheses import FIRST_SLOW, GRID, LOG_GAMMA, LOGS, NEUTRAL

STRAY_SIGMA = 2.7
"""A route is slow when it strays so many times its usual wander; more while little is known."""
DOUBT, DOUBT_WINDOWS = 1.8, 4.0


class Normal:
    """Of each time scale: what a run of that length must outdo."""

    __slots__ = ("_at", "_costs", "_far", "_least", "_margin", "_step")

    def __init__(
        self,
        wander: Sequence[float],
        step: Sequence[float],
        weights: Sequence[float],
        shared: float,
        at: float,
    ) -> None:
        """Natural logs and what is known of them per scale; ``shared`` counts as windows of its
        own, ``at`` is the level of now.
        """
        known = DOUBT_WINDOWS + shared
        self._far = [
            STRAY_SIGMA * w * (1.0 + DOUBT / (known + weight * w**4) ** 0.5)
            for w, weight in zip(wander, weights, strict=True)
        ]
        self._step = step[:]
        self._at = at
        self._least: list[float] = []
        self._costs: list[array[float] | None] = [None] * len(self._far)
        self._margin = -1

    def least(self, scale: int) -> float:
        """The factor of the first hypothesis that is not normal."""
        if not self._least:
            self._least = [max(RATIO_MIN, exp(x)) for x in self._far]
        return self._least[scale]

    @property
    def first_slow(self) -> int:
        """The first hypothesis that is not normal, by the finest scale: what a route that was slow
        has come back below.
        """
        return max(FIRST_SLOW, round(NEUTRAL + log(self.least(0)) / GRID))

    @property
    def tail_margin(self) -> int:
        """In buckets: a route that strays far must be slower by more than it strays."""
        if self._margin < 0:
            self._margin = round(log(self.least(0) / RATIO_MIN) / LOG_GAMMA)
        return self._margin

    def costs(self, scale: int) -> "array[float]":
        """The price of each hypothesis that is no incident: of a level off the recent one."""
        row = self._costs[scale]
        if row is None:
            at, step = self._at, self._step[scale]
            free = min(FIRST_SLOW, bisect_right(LOGS, at))
            prices = [0.0] * free
            prices += [0.5 * ((x - at) / step) ** 2 for x in LOGS[free:FIRST_SLOW]]
            row = self._costs[scale] = array("d", prices)
        return row

    # --- moving ----------------------------------------------------------------------------------

    def to_json(self) -> list[Any]:
        scales = range(len(self._costs))
        return [
            [self.least(scale) for scale in scales],
            [self.costs(scale).tolist() for scale in scales],
        ]

    def restore(self, data: Sequence[Any]) -> None:
        """Raises ``TypeError`` or ``ValueError`` for what is none."""
        # between them an earlier version had what follows from the first
        least, *_, costs = data
        self._least = [max(RATIO_MIN, float(x)) for x in least]
        self._margin = -1
        # and prices of slower ones, too
        self._costs = [array("d", row[:FIRST_SLOW]) for row in costs]
        scales = {len(least), len(costs)}
        if scales != {len(self._far)} or any(len(row) < FIRST_SLOW for row in costs):
            raise ValueError("a factor per scale, and a price per hypothesis below an incident")
        if not all(map(isfinite, self._least)):
            raise ValueError("factors are numbers")

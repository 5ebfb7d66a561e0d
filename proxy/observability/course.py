"""What a run of slow answers is: a slowdown that stays, or the route's straying and a bump? Pure.

The forward filter of a hidden Markov model (Rabiner, "A tutorial on hidden Markov models", 1989):
how likely each state is after all that the run's slices showed. The level strays and comes back
within a quarter of an hour; a bump of minutes may be on top of it; and the route may have become
slower by a factor that stays. The run's evidence says how well a factor fits all slices together;
this says how well it fits them one after another, and where the route was before.
"""

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from math import exp, isfinite, sqrt
from operator import itemgetter, mul
from typing import Any

from proxy.observability.hypotheses import GRID, SHIFTS

HALF = GRID / 2.0
"""Levels are told apart by half a step of the hypotheses' grid: a factor of 1.08."""
LAST_PLACE = 2 * SHIFTS - 2
USUAL_PLACE = 6
"""Of the half steps from the first hypothesis to the last, where "as usual" is."""
LEVELS = 11
MIDDLE = LEVELS // 2
"""It strays by five half steps either way at most."""
STRAY, UNITS = 0.1, 4
"""On a route that strays twice as far (natural log) they are twice as wide; four times at most."""
BUMP = 4
"""A bump makes a route a third slower, in half steps."""
BUMP_EVERY_MIN, BUMP_FOR_MIN = 300.0, 2.5
FACTORS = (6, 8, 11, 15, 21, 30)
"""What stays makes it 1.6 to 9 times slower, in half steps."""
SLOW_EVERY_MIN, SLOW_FOR_MIN = 5000.0, 25.0
OFFSETS = (0, BUMP, *FACTORS)
KEPT_A_MINUTE = 0.93
"""Share of what a level strays that is left after a minute: it comes back within ten or twenty."""
CLIP = 4.0
"""A slice makes no state less likely than e^-4 of the best one: a blip is soon over."""
LEAST = exp(-CLIP)
STEP_S = 10.0
STEPS = (1, 2, 3, 4, 6, 9, 15, 30, 90)
"""How many of them are taken at once."""
LEAST_S = 8.0
"""In shorter times nothing becomes another state."""
LEAST_SPREAD = 0.4
"""In half steps: what the level strays within ``STEP_S`` at least, so that it gets to the next."""
BEGUN_SPREAD = 1.0
"""A run begins no surer of its level than to a half step: it went on since it was read."""
READ_DOUBT = 0.02
"""The level of a window is not that of its end."""


class Whereabouts:
    """Where a route's level is while nothing is suspected, as natural log on the baseline: a mean
    and a variance, kept as a Kalman filter does.
    """

    __slots__ = ("at", "is_stale", "mean", "variance")

    def __init__(self) -> None:
        self.mean = 0.0
        self.variance = STRAY * STRAY
        self.at: float | None = None
        self.is_stale = False
        """The window that is being counted was seen already, slice by slice."""

    def drift(self, now: float, usual: float, wander: float) -> None:
        """Time has passed: it comes nearer to ``usual``, and how near is less sure."""
        if self.at is not None and now > self.at:
            kept = KEPT_A_MINUTE ** ((now - self.at) / 60.0)
            self.mean = usual + kept * (self.mean - usual)
            self.variance = kept * kept * self.variance + (1.0 - kept * kept) * wander * wander
        self.at = now

    def with_reading(self, level: float, chance: float) -> tuple[float, float]:
        """Mean and variance with a window's level, and the variance that chance gives that."""
        gain = self.variance / (self.variance + chance + READ_DOUBT * READ_DOUBT)
        return self.mean + gain * (level - self.mean), (1.0 - gain) * self.variance

    def to_json(self) -> list[Any]:
        return [self.mean, self.variance, self.at, self.is_stale]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> "Whereabouts":
        """Raises ``TypeError`` or ``ValueError`` for what is none."""
        made = cls()
        mean, variance, at, is_stale = data
        made.mean, made.variance = float(mean), float(variance)
        made.at, made.is_stale = None if at is None else float(at), bool(is_stale)
        if not (isfinite(made.mean) and 0.0 <= made.variance < 100.0):
            raise ValueError("a mean and a variance")
        if made.at is not None and not isfinite(made.at):
            raise ValueError("a time")
        return made


class Course:
    """How likely each state of a run is: calm, in a bump, slower by each factor; at each level."""

    __slots__ = ("_at", "_shares", "_unit")

    def __init__(self, unit: int, at: float, shares: list[float]) -> None:
        self._unit = unit
        self._at = at
        self._shares = array("d", shares)
        """State after state, and of each its levels."""

    @classmethod
    def begin(
        cls, mean: float, variance: float, wander: float, began: float, now: float
    ) -> "Course":
        """``mean`` and ``variance`` are of the level before, as natural log on the usual one."""
        unit = max(1, min(UNITS, round(wander / STRAY)))
        step = HALF * unit
        middle = max(1.0, min(LEVELS - 2.0, MIDDLE + mean / step))
        spread = max(BEGUN_SPREAD, sqrt(variance) / step)
        levels = [exp(-0.5 * ((k - middle) / spread) ** 2) for k in range(LEVELS)]
        total = sum(levels)
        minutes = (now - began) / 60.0 + 0.5
        slow = min(0.5, minutes / SLOW_EVERY_MIN)
        bump = min(minutes, BUMP_FOR_MIN + 0.5) / BUMP_EVERY_MIN
        states = [1.0 - slow - bump, bump, *[slow / len(FACTORS)] * len(FACTORS)]
        return cls(unit, now, [share * x / total for share in states for x in levels])

    def pass_time(self, now: float) -> None:
        """What may have become of each state since it was asked last."""
        passed = now - self._at
        if passed < LEAST_S:
            return
        self._at = now
        steps = max(1, bisect_right(STEPS, round(passed / STEP_S))) - 1
        shares = self._shares
        if steps < len(NEAR):
            below, same, above = NEAR[steps]
            moved = [
                x * b + y * s + z * a
                for b, s, a, x, y, z in zip(  # noqa: B905  (one of each per share)
                    below, same, above, [0.0, *shares], shares, [*shares[1:], 0.0]
                )
            ]
        else:
            rows = MOVES[steps]
            moved = [
                sum(map(mul, row, levels))
                for levels in [shares[n : n + LEVELS] for n in range(0, len(shares), LEVELS)]
                for row in rows
            ]
        minutes = passed / 60.0
        bump, slow = min(0.5, minutes / BUMP_EVERY_MIN), min(0.5, minutes / SLOW_EVERY_MIN)
        bumped, slowed = exp(-minutes / BUMP_FOR_MIN), exp(-minutes / SLOW_FOR_MIN)
        calm, high, slower = moved[:LEVELS], moved[LEVELS : 2 * LEVELS], moved[2 * LEVELS :]
        ended = [sum(slower[n::LEVELS]) for n in range(LEVELS)]
        left, back, over = 1.0 - bump - slow, 1.0 - bumped, 1.0 - slowed
        each = slow / len(FACTORS)
        self._shares = array(
            "d",
            [
                *[left * x + back * y + over * z for x, y, z in zip(calm, high, ended)],  # noqa: B905
                *[bumped * y + bump * x for x, y in zip(calm, high)],  # noqa: B905
                *[slowed * y + each * x for x, y in zip(calm * len(FACTORS), slower)],  # noqa: B905
            ],
        )

    def see(self, found: Sequence[float]) -> None:
        """Weigh one slice: the log-likelihood of each hypothesis of the grid."""
        likely = _half_steps(found)
        shares = list(map(mul, self._shares, PLACES[self._unit - 1](likely)))
        part = 1.0 / sum(shares)
        self._shares = array("d", [part * x for x in shares])

    @property
    def stays(self) -> float:
        """How likely it is that the route is slower, and not for the minutes of a bump."""
        return sum(self._shares[2 * LEVELS :])

    def whereabouts(self) -> tuple[float, float]:
        """Mean and variance of the level, were there nothing that stays."""
        levels = [x + y for x, y in zip(self._shares, self._shares[LEVELS:], strict=False)][:LEVELS]
        total, step = sum(levels), HALF * self._unit
        mean = sum((k - MIDDLE) * x for k, x in enumerate(levels)) / total
        spread = sum((k - MIDDLE - mean) ** 2 * x for k, x in enumerate(levels)) / total
        return mean * step, spread * step * step

    def to_json(self) -> list[Any]:
        return [self._unit, self._at, self._shares.tolist()]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> "Course":
        """Raises ``TypeError`` or ``ValueError`` for what is none."""
        unit, at, shares = data
        made = cls(int(unit), float(at), [float(x) for x in shares])
        if not 1 <= made._unit <= UNITS or len(made._shares) != len(OFFSETS) * LEVELS:
            raise ValueError("a share for each state and level")
        if min(made._shares) < 0.0 or not 0.0 < sum(made._shares) < 2.0:
            raise ValueError("shares of one")
        if not isfinite(made._at):
            raise ValueError("a time")
        return made


def _half_steps(found: Sequence[float]) -> list[float]:
    """Likelihoods on half steps of the grid, as shares of the best, clipped; between two hypotheses
    by the cubic through four.
    """
    top = max(found)
    log_least = -CLIP
    seen = [x - top for x in found]
    between = [
        0.5625 * (b + c) - 0.0625 * (a + d)
        for a, b, c, d in zip(  # noqa: B905  (as many of each)
            [seen[0], *seen[:-2]], seen[:-1], seen[1:], [*seen[2:], seen[-1]]
        )
    ]
    likely = [LEAST] * (LAST_PLACE + 1)
    likely[::2] = [exp(x) if x > log_least else LEAST for x in seen]
    likely[1::2] = [exp(x) if x > log_least else LEAST for x in between]
    return likely


def _places(unit: int) -> "itemgetter[tuple[float, ...]]":
    """Of a row of half steps what each state and level takes."""
    return itemgetter(
        *[
            max(
                0,
                min(LAST_PLACE, USUAL_PLACE + offset * (unit if offset == BUMP else 1) + k * unit),
            )
            for offset in OFFSETS
            for k in range(-MIDDLE, MIDDLE + 1)
        ]
    )


def _moves(steps: int) -> list[list[float]]:
    """For each level how much of every level gets there within so many ``STEP_S``."""
    kept = KEPT_A_MINUTE ** (steps * STEP_S / 60.0)
    spread = max(STRAY / HALF * sqrt(1.0 - kept * kept), LEAST_SPREAD)
    shares = []
    for k in range(-MIDDLE, MIDDLE + 1):
        row = [exp(-0.5 * ((j - kept * k) / spread) ** 2) for j in range(-MIDDLE, MIDDLE + 1)]
        total = sum(row)
        shares.append([x / total for x in row])
    return [list(levels) for levels in zip(*shares, strict=True)]


PLACES = [_places(unit) for unit in range(1, UNITS + 1)]
MOVES = [_moves(steps) for steps in STEPS]
NEAR = [
    (
        [0.0, *[rows[k][k - 1] for k in range(1, LEVELS)]] * len(OFFSETS),
        [rows[k][k] for k in range(LEVELS)] * len(OFFSETS),
        [*[rows[k][k + 1] for k in range(LEVELS - 1)], 0.0] * len(OFFSETS),
    )
    for rows in MOVES[:3]
]
"""In the shortest times nothing gets further than to the next level: for each share how much comes
from the level below, from the same one and from the one above.
"""

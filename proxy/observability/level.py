"""The level of one route: it follows the day's load, and knows how far it usually strays. Pure.

Levels are natural logs of a factor on the baseline's durations. At three time scales two things are
learned, with what chance explains taken off: the *wander*, how far the level strays from the usual
one, and the *step*, how far it gets from where it was just before. A slowdown of a minute is
weighed against minutes, and one of half an hour against half hours.
"""

from array import array
from collections.abc import Mapping, Sequence
from operator import add
from typing import Any

from proxy.observability.baseline import Baseline
from proxy.observability.hypotheses import (
    FIRST_SLOW,
    LOG_GAMMA,
    LOGS,
    SHIFT_FIRST,
    SHIFT_STEP,
    Row,
    kept,
    likeliest,
    moved,
    nil,
    peak,
    row_of,
)
from proxy.observability.normal import Normal
from proxy.observability.situation import Situation

SCALES_S = (60.0, 300.0, 1200.0)
SPANS_S = (180.0, 720.0)
"""Runs up to so long are weighed against the first and the second scale."""
KEEP = (0.995, 0.985, 0.96)
"""Share of what is known about each scale kept from window to window: three to eight hours."""
PRIOR_WINDOWS = (8.0, 3.0, 2.0)
"""The coarser scales are believed to be like the finer, the finest like the other routes."""
WANDER_MIN, WANDER_MAX = 0.1, 0.7
STRAY_MAX = 0.9
SHARED, SHARED_MAX = 0.06, 24.0
"""What the other routes' minutes count for in this: a quiet route sees few windows of its own."""
FASTER, FASTER_WINDOWS = -0.37, 4
"""A level so far below the usual for twenty minutes is the usual one from now on."""
USUAL_GAIN = 0.12
"""The level that straying is measured from: a memory of forty minutes."""
STEP_SHARE = 0.7
"""A step is believed to be so much of the wander before anything is known."""
STEP_MIN = 0.08
RECENT_KEEP = 0.85
"""Share of the recent level's evidence kept from minute to minute: a memory of six minutes."""
RECENT_MIN, RECENT_MAX = -0.2, 0.26
PENDING_S = 300.0
PENDING_MAX = 60
"""What was seen so shortly before an incident belongs to it and is not learned."""
LEVEL_STEP = 0.5
"""Buckets that the level may move in one window: 1.5 % in five minutes follows a day's load."""
LEVEL_MAX, LEVEL_UP_MAX = 8.0, 5.0
LEVEL_KEEP = 0.9
"""Share of the level's evidence kept from window to window: a memory of about fifty minutes."""
UNKNOWN = -1.0
STRAYED = 5
"""What is noted of a window, number after number: when, at which scale, wander and step squared
(chance taken off), and chance's variance.
"""


class Level:
    """``shift`` is the level in whole buckets; ``normal`` says how far it may stray."""

    __slots__ = (
        "_believed",
        "_faster",
        "_from",
        "_lately",
        "_n",
        "_pending",
        "_profile",
        "_reading",
        "_recent",
        "_recent_chance",
        "_references",
        "_seen",
        "_situation",
        "_step_sums",
        "_step_weights",
        "_sums",
        "_unfollowed",
        "_usual",
        "_vectors",
        "_weights",
        "drift",
        "normal",
        "shift",
        "step",
        "wander",
    )

    def __init__(self, situation: Situation, now: float) -> None:
        self._situation = situation
        self.shift = 0
        self.drift = 0.0
        self.wander = [situation.wander] * len(SCALES_S)
        self._believed = [UNKNOWN] * len(SCALES_S)
        """What each scale was told to be like when it was priced last."""
        self._weights = [0.0] * len(SCALES_S)
        self._sums = [0.0] * len(SCALES_S)
        self.step = [STEP_SHARE * w for w in self.wander]
        self._step_weights = [0.0] * len(SCALES_S)
        self._step_sums = [0.0] * len(SCALES_S)
        self._vectors: list[Row | None] = [None] * len(SCALES_S)
        self._seen: dict[int, int] = {}
        """Durations of the first window that have not been read yet."""
        self._n = [0] * len(SCALES_S)
        self._from = [now] * len(SCALES_S)
        self._usual: float | None = None
        self._reading: tuple[float, float] | None = None
        """Of the latest of the finest windows, until it is taken."""
        self._faster = 0
        self._pending: array[float] = array("d")
        """``STRAYED`` numbers each."""
        self._unfollowed: Row | None = None
        self._lately: Row = nil()
        self._recent, self._recent_chance = 0.0, 0.0
        self._references = [(0.0, 0.0)] * len(SCALES_S)
        self._profile: Row = nil()
        self._price()

    # --- every slice -----------------------------------------------------------------------------

    def add(
        self, base: Baseline, durations: Mapping[int, int], n: int, now: float, is_calm: bool
    ) -> None:
        """Count one slice of ``n`` durations. Unless all is calm, nothing is learned for good."""
        known = self._n
        if not known[0] and self._from[0] < now - SCALES_S[0]:
            self._from[0] = now
        known[0] += n
        seen = self._seen
        for bucket, count in durations.items():
            seen[bucket] = seen.get(bucket, 0) + count
        if known[0] >= base.readable and now - self._from[0] >= SCALES_S[0]:
            self.read(base)
            self._close(0, now)
            if is_calm:
                self._calm(now)

    def read(self, base: Baseline) -> None:
        """Weigh what was counted: at a window's end, and before the table or the level is another.

        The table's numbers have 24 bits, so sums of them are exact in whatever order.
        """
        if not self._seen:
            return
        found, before = base.weighed(self._seen, self.shift), self._vectors[0]
        self._vectors[0] = found if before is None else list(map(add, before, found))
        self._seen = {}

    def take_reading(self) -> tuple[float, float] | None:
        """The level in the latest window, once: as natural log on the baseline, and the variance
        that chance gives it.
        """
        reading, self._reading = self._reading, None
        return reading

    def partly_read(self, base: Baseline) -> tuple[float, float] | None:
        """The same in the window that is being counted."""
        self.read(base)
        window = self._vectors[0]
        read = None if window is None else likeliest(window)
        return None if read is None else (read[0] + self.shift * LOG_GAMMA, read[1])

    @property
    def recent(self) -> float:
        """Natural log of the level of the last minutes, as a factor on the baseline."""
        return self._recent + self.shift * LOG_GAMMA

    def scale(self, span_s: float) -> int:
        """Which scale a run of this length is weighed against."""
        return 0 if span_s <= SPANS_S[0] else 1 if span_s <= SPANS_S[1] else 2

    # --- every minute ----------------------------------------------------------------------------

    def _close(self, window: int, now: float) -> None:
        vector, n = self._vectors[window], self._n[window]
        assert vector is not None
        age = now - self._from[window]
        self._vectors[window], self._n[window], self._from[window] = None, 0, now
        if window == 0:
            old = self._unfollowed
            self._unfollowed = kept(vector if old is None else map(add, old, vector))
            lately = [RECENT_KEEP * x + y for x, y in zip(self._lately, vector, strict=True)]
            self._lately = kept(lately)
        self._measure(window, vector, age, now)
        coarser = window + 1
        if coarser == len(SCALES_S):
            return
        if not self._n[coarser]:
            self._vectors[coarser], self._from[coarser] = kept(vector), now - age
        else:
            self._vectors[coarser] = kept(map(add, self._vectors[coarser] or vector, vector))
        self._n[coarser] += n
        if now - self._from[coarser] >= SCALES_S[coarser]:
            self._close(coarser, now)

    def _measure(self, window: int, vector: Row, age: float, now: float) -> None:
        read = likeliest(vector)
        reference, reference_chance = self._references[window]
        self._references[window] = (self._recent + self.drift * LOG_GAMMA, self._recent_chance)
        if window == 1:
            at = LOGS[vector.index(max(vector))] + self.shift * LOG_GAMMA
            self._faster = self._faster + 1 if at <= FASTER else 0
        if read is None:
            return
        level, chance = read
        level += self.shift * LOG_GAMMA
        if window == 0:
            self._reading = level, chance
        if self._usual is None:
            self._usual = level
            return
        strayed = _bounded(level - self._usual)
        if window == 1:
            self._usual += USUAL_GAIN * strayed
        stepped = _bounded(level - reference)
        # a quiet route's window lasts longer than its name says
        scale = max(window, self.scale(0.7 * age))
        self._pending.extend(
            (now, scale, strayed**2 - chance, stepped**2 - chance - reference_chance, chance)
        )
        del self._pending[: -PENDING_MAX * STRAYED]

    def _calm(self, now: float) -> None:
        """Where the level is now, and what has been seen and no incident came of."""
        w = self.wander[0]
        seen = [p - 0.5 * (x / w) ** 2 for p, x in zip(self._lately, LOGS, strict=True)]
        read = likeliest(seen)
        if read is not None:
            self._recent = max(RECENT_MIN, min(RECENT_MAX, read[0]))
            self._recent_chance = min(w * w, read[1])
        pending = self._pending
        ripe_at = now - PENDING_S
        ripe = len([at for at in pending[::STRAYED] if at <= ripe_at]) * STRAYED
        if ripe:
            self._pending = pending[ripe:]
        for n in range(0, ripe, STRAYED):
            scale, squared, step_squared, chance = (
                int(pending[n + 1]),
                *pending[n + 2 : n + STRAYED],
            )
            self._learn(scale, squared, chance)
            weight = 1.0 / (self.step[scale] ** 2 + chance) ** 2
            self._step_weights[scale] = KEEP[scale] * self._step_weights[scale] + weight
            self._step_sums[scale] = KEEP[scale] * self._step_sums[scale] + weight * step_squared
        self._price()

    def _learn(self, scale: int, squared: float, chance: float) -> None:
        self._believed[scale] = UNKNOWN
        known = self.wander[scale] ** 2
        weight = 1.0 / (known + chance) ** 2
        self._weights[scale] = KEEP[scale] * self._weights[scale] + weight
        self._sums[scale] = KEEP[scale] * self._sums[scale] + weight * squared
        if scale == 0:
            self._situation.stray(squared, (known / (known + chance)) ** 2)

    def _price(self) -> None:
        believed = self._situation.wander
        wander, asked = self.wander, self._believed
        for scale, windows in enumerate(PRIOR_WINDOWS):
            if asked[scale] != believed:
                # nothing learned, and the same belief: nothing else than before
                asked[scale] = believed
                wander[scale] = _believed(
                    believed, windows, self._sums[scale], self._weights[scale], WANDER_MIN
                )
                self.step[scale] = _believed(
                    STEP_SHARE * wander[scale],
                    windows,
                    self._step_sums[scale],
                    self._step_weights[scale],
                    STEP_MIN,
                )
            believed = wander[scale]
        shared = min(SHARED_MAX, SHARED * self._situation.minutes)
        self.normal = Normal(wander, self.step, self._weights, shared, max(0.0, self._recent))

    # --- what the route's story tells it ---------------------------------------------------------

    def began(self, now: float) -> None:
        """An incident was told: what was just seen is no wander."""
        self._pending = array("d")
        self.restart(now)

    def came_back(self, ratio_log: float) -> None:
        """A short slowdown went by itself: a route that strays so far is like that."""
        self._learn(0, _bounded(ratio_log) ** 2, 0.0)
        self._price()

    @property
    def is_stretched(self) -> bool:
        """The level has risen as far as it is followed: what comes is learned with hesitation."""
        return self.drift >= LEVEL_UP_MAX

    @property
    def is_faster(self) -> bool:
        """So much and so long that this is the usual level from now on."""
        return self._faster >= FASTER_WINDOWS

    def new_normal(self, now: float) -> None:
        self._usual = None
        self._faster = 0
        self._profile = nil()
        self.drift, self.shift, self._recent = 0.0, 0, 0.0
        self.restart(now)

    def restart(self, now: float) -> None:
        """Begin all windows anew."""
        self._reading = None
        self._vectors = [None] * len(SCALES_S)
        self._seen = {}
        self._n = [0] * len(SCALES_S)
        self._from = [now] * len(SCALES_S)
        self._references = [(self._recent + self.drift * LOG_GAMMA, 0.0)] * len(SCALES_S)
        self._unfollowed = None
        self._lately = nil()

    # --- following the day -----------------------------------------------------------------------

    def follow(self, base: Baseline) -> None:
        """The level of a day's load moves slowly; follow it, at most ``LEVEL_STEP`` a window."""
        self.read(base)
        window, self._unfollowed = self._unfollowed, None
        if window is None:
            return
        before = self.shift
        profile = [LEVEL_KEEP * p + w for p, w in zip(self._profile, window, strict=True)]
        self._profile = kept(profile)
        w = self.wander[1]
        seen = [
            p - 0.5 * (x / w) ** 2
            for p, x in zip(self._profile, LOGS[: FIRST_SLOW + 1], strict=False)
        ]
        target = SHIFT_FIRST + SHIFT_STEP * peak(seen, FIRST_SLOW + 1)
        step = max(-LEVEL_STEP, min(LEVEL_STEP, target))
        self.drift = max(-LEVEL_MAX, min(LEVEL_UP_MAX, self.drift + step))
        self.shift = round(self.drift)
        if self.shift != before:
            by = (self.shift - before) / SHIFT_STEP
            self._profile = kept(moved(self._profile, by))
            self._lately = kept(moved(self._lately, by))
            self._recent -= (self.shift - before) * LOG_GAMMA
            self._vectors = [None if v is None else kept(moved(v, by)) for v in self._vectors]

    # --- moving ----------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        return {
            "drift": self.drift,
            "wander": [self.wander, self._sums, self._weights],
            "step": [self.step, self._step_sums, self._step_weights],
            "vectors": [None if v is None else list(v) for v in self._vectors],
            "n": self._n,
            "from": self._from,
            "usual": [self._usual, self._faster],
            "pending": [
                list(self._pending[n : n + STRAYED]) for n in range(0, len(self._pending), STRAYED)
            ],
            "recent": [self._recent, self._recent_chance, self._references],
            "lately": list(self._lately),
            "unfollowed": None if self._unfollowed is None else list(self._unfollowed),
            "profile": list(self._profile),
            "tables": self.normal.to_json(),
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        """Raises ``KeyError``, ``TypeError`` or ``ValueError`` for what is no level."""
        self.drift = float(data["drift"])
        self.shift = round(self.drift)
        self.wander, self._sums, self._weights = map(_floats, data["wander"])
        self.step, self._step_sums, self._step_weights = map(_floats, data["step"])
        self._believed = [UNKNOWN] * len(SCALES_S)
        self._from = _floats(data["from"])
        self._n = [int(n) for n in data["n"]]
        self._vectors = [row_of(v) for v in data["vectors"]]
        self._seen = {}
        recent, chance, references = data["recent"]
        self._recent, self._recent_chance = float(recent), float(chance)
        self._references = [(float(x), float(y)) for x, y in references]
        if {len(self._vectors), len(self._n), len(self._references)} != {len(SCALES_S)}:
            raise ValueError("one of each per scale")
        usual, faster = data["usual"]
        self._usual, self._faster = None if usual is None else float(usual), int(faster)
        self._pending = array("d")
        for at, scale, far, step, chance in data["pending"]:
            self._pending.extend((float(at), int(scale), float(far), float(step), float(chance)))
        self._lately = row_of(data["lately"]) or nil()
        self._unfollowed = row_of(data["unfollowed"])
        self._profile = row_of(data["profile"]) or nil()
        self.normal.restore(data["tables"])


def _bounded(strayed: float) -> float:
    return -STRAY_MAX if strayed < -STRAY_MAX else STRAY_MAX if strayed > STRAY_MAX else strayed


def _believed(belief: float, windows: float, total: float, weight: float, least: float) -> float:
    """What was measured, and a first belief that weighs like so many windows."""
    # three times two of these a minute and route: no call that a comparison spares
    belief = least if belief < least else WANDER_MAX if belief > WANDER_MAX else belief
    prior = windows / belief**4
    squared = (total + prior * belief**2) / (weight + prior)
    if squared <= least * least:
        return least
    known = float(squared**0.5)
    return WANDER_MAX if known > WANDER_MAX else known


def _floats(row: Sequence[float]) -> list[float]:
    if len(row) != len(SCALES_S):
        raise ValueError("one of each per scale")
    return [float(x) for x in row]

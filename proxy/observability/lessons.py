"""What one route has seen and not learned yet. Learning lags, so an onset never teaches. Pure."""

from collections.abc import Sequence
from typing import Any

from proxy.observability.baseline import Baseline, scattered
from proxy.observability.kinds import KEPT_MAX, by_kind, kinds_seen
from proxy.observability.tally import Tally

LEARN_S = 300.0
ERRORS_LEARN_S = 1800.0
"""Errors are rare: what is usual is learned from days, so it may lag by half an hour and more."""
ERRORS_KNOWN = 600.0
"""A route of which less is known learns its errors as fast as its durations."""
WORTH, WINDOWS_MAX = 0.06, 6
"""A window is learned when it holds such a share of what is known, or after so many windows."""
HOLD_MAX_S = 3600.0
ERRORS_HOLD_MAX_S = 7200.0
"""Suspicion without an incident keeps back learning at most so long."""


MINUTE_S = 60.0
"""Bad minutes are seen in windows of this length; bad half hours as they are learned."""


class _Errors:
    """Requests, errors, runs of errors, and by how much the minutes' runs scatter; of what kinds
    the runs are.
    """

    __slots__ = (
        "fresh",
        "fresh_kinds",
        "minute",
        "minute_since",
        "since",
        "waiting",
        "waiting_kinds",
    )

    def __init__(self, now: float) -> None:
        self.fresh: list[float] = [0.0, 0.0, 0.0, 0.0]
        self.waiting: list[float] = [0.0, 0.0, 0.0, 0.0]
        self.fresh_kinds = self.waiting_kinds = b""
        self.since = now
        self.minute = [0, 0]
        self.minute_since = now


class Lessons:
    """Two windows: one that fills, and the full one before it, learned when this one is full."""

    __slots__ = ("_errors", "_waiting", "_windows", "fresh")

    def __init__(self, now: float) -> None:
        self.fresh, self._waiting = Tally(), Tally()
        """Durations; who counts adds to the one that fills."""
        self._windows = 0
        self._errors = _Errors(now)

    def add_counts(
        self,
        requests: int,
        errors: int,
        runs: int,
        base: Baseline,
        now: float,
        kinds: bytes = b"",
    ) -> bool:
        """Count a slice; False when it is surely too soon to learn of errors."""
        counted = self._errors
        fresh, minute = counted.fresh, counted.minute
        fresh[0] += requests
        minute[0] += requests
        if errors:
            fresh[1] += errors
            fresh[2] += runs
            minute[1] += runs
            counted.fresh_kinds = (counted.fresh_kinds + kinds)[:KEPT_MAX]
        if now - counted.minute_since >= MINUTE_S:
            fresh[3] += scattered(minute[1], minute[0] * base.run_share)
            counted.minute, counted.minute_since = [0, 0], now
        return now - counted.since >= LEARN_S

    def drop_durations(self) -> None:
        """An incident was told: what was lately seen is part of it."""
        self.fresh, self._waiting, self._windows = Tally(), Tally(), 0

    def drop_counts(self, now: float) -> None:
        self._errors = _Errors(now)

    @property
    def seen(self) -> float:
        return self.fresh.total + self._waiting.total

    @property
    def counted(self) -> tuple[float, float]:
        """Requests and errors that are not learned yet."""
        fresh, waiting = self._errors.fresh, self._errors.waiting
        return fresh[0] + waiting[0], fresh[1] + waiting[1]

    def latest(self) -> dict[int, float]:
        """What was seen in the last windows, taken out."""
        latest = self._waiting
        latest.add(self.fresh.counts())
        self.drop_durations()
        return latest.counts()

    def teach_durations(self, base: Baseline, now: float) -> None:
        """Learn the window before the last, once this one is worth a new table."""
        self._windows += 1
        if self._windows < WINDOWS_MAX and self.fresh.total < WORTH * base.total:
            return
        base.fade_to(now)
        learned = self._waiting
        base.learn(learned.counts(), 0, 0)
        base.rebuild()
        learned.empty()
        self._waiting, self.fresh, self._windows = self.fresh, learned, 0

    def is_time_for_errors(self, base: Baseline, now: float) -> bool:
        age = now - self._errors.since
        return age >= ERRORS_LEARN_S or (age >= LEARN_S and base.requests < ERRORS_KNOWN)

    def teach_errors(self, base: Baseline, is_suspicious: bool, now: float) -> list[float]:
        """Learn the window before the last; how many of its runs were of each kind."""
        errors = self._errors
        if is_suspicious and now - errors.since < ERRORS_HOLD_MAX_S:
            return []
        base.fade_counts_to(now)
        kinds = by_kind(errors.waiting_kinds)
        requests, failed, runs, scatter = errors.waiting
        base.learn_counts(requests, failed, runs, scatter, kinds)
        errors.waiting_kinds, errors.fresh_kinds = errors.fresh_kinds, b""
        errors.waiting, errors.fresh, errors.since = errors.fresh, [0.0, 0.0, 0.0, 0.0], now
        return kinds

    # --- moving ----------------------------------------------------------------------------------

    def to_json(self) -> list[Any]:
        errors = self._errors
        return [
            self.fresh.to_json(),
            self._waiting.to_json(),
            self._windows,
            errors.fresh,
            errors.waiting,
            [errors.since, errors.minute_since, *errors.minute],
            [list(errors.fresh_kinds), list(errors.waiting_kinds)],
        ]

    def restore(self, data: Sequence[Any]) -> None:
        """Raises ``TypeError``, ``ValueError`` or ``AttributeError`` for what are no lessons."""
        fresh, waiting, windows, seen, held, errors, *kinds = data
        self.fresh, self._waiting = Tally.from_json(fresh), Tally.from_json(waiting)
        self._windows = int(windows)
        # what an earlier version wrote knows no kinds, or no minutes
        fresh_kinds, waiting_kinds = kinds[0] if kinds else ([], [])
        self._errors.fresh_kinds = kinds_seen(fresh_kinds)
        self._errors.waiting_kinds = kinds_seen(waiting_kinds)
        since, minute_since, requests, runs = (
            errors if isinstance(errors, list) else (errors, errors, 0, 0)
        )
        self._errors.since, self._errors.minute_since = float(since), float(minute_since)
        self._errors.minute = [int(requests), int(runs)]
        self._errors.fresh = _counts(seen)
        self._errors.waiting = _counts(held)


def _counts(row: Sequence[Any]) -> list[float]:
    requests, errors, runs, *scatter = row
    return [float(requests), float(errors), float(runs), float(scatter[0]) if scatter else 0.0]

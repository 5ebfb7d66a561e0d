"""Follows a route's runs: from where its level is while nothing is suspected, until one is told."""

from array import array
from collections.abc import Sequence
from math import isfinite
from typing import Any

from proxy.observability.baseline import Baseline
from proxy.observability.course import Course, Whereabouts
from proxy.observability.evidence import SlowRun
from proxy.observability.hypotheses import LOG_GAMMA, kept, row_of
from proxy.observability.level import Level

WAITING_MAX = 8
"""Slices of a run that wait until somebody asks: most runs are over before."""


class Follower:
    """The course of the run there is, if any; nothing is followed while an incident is open."""

    __slots__ = ("_begun", "_calm", "_course", "_has_told", "_waiting")

    def __init__(self) -> None:
        self._calm = Whereabouts()
        self._course: Course | None = None
        self._begun: tuple[float, float, float, float] | None = None
        """Of the run: mean and variance of the level before, how far the route strays, and since
        when the run is.
        """
        self._waiting: list[tuple[float, array[float]]] = []
        """When and what those slices were that its course has not seen yet."""
        self._has_told = False

    def stays(self) -> float | None:
        """How likely it is that the run is a slowdown that stays; None when nothing is followed."""
        self._catch_up()
        return None if self._course is None else self._course.stays

    def follow(
        self, base: Baseline, level: Level, run: SlowRun, found: Sequence[float], now: float
    ) -> None:
        """``found`` are the hypotheses' log-likelihoods of the run's latest slice, or of the one it
        ended with.
        """
        if self._has_told:
            return
        calm, usual = self._calm, level.shift * LOG_GAMMA
        if not run.slices:
            if self._course is not None:
                mean, calm.variance = self._course.whereabouts()
                calm.mean, calm.at, calm.is_stale = mean + usual, now, True
            self._drop()
            return
        if self._begun is None:
            wander = level.wander[0]
            calm.drift(now, usual, wander)
            mean, variance = calm.mean, calm.variance
            reading = None if calm.is_stale else level.partly_read(base)
            if reading is not None:
                mean, variance = calm.with_reading(*reading)
            self._begun = mean - usual, variance, wander, run.began
        self._waiting.append((now, kept(found)))
        if len(self._waiting) >= WAITING_MAX or self._course is not None:
            self._catch_up()

    def _catch_up(self) -> None:
        course, begun = self._course, self._begun
        for at, found in self._waiting:
            if course is None:
                assert begun is not None
                course = self._course = Course.begin(*begun, at)
            course.pass_time(at)
            course.see(found)
        self._waiting = []

    def read(self, level: Level, now: float) -> None:
        """Where the level is, once one of its windows is full."""
        reading = level.take_reading()
        if reading is None or self._course is not None:
            return
        calm = self._calm
        if calm.is_stale:
            calm.is_stale = False
            return
        calm.drift(now, level.shift * LOG_GAMMA, level.wander[0])
        calm.mean, calm.variance = calm.with_reading(*reading)

    def _drop(self) -> None:
        self._course = self._begun = None
        self._waiting = []

    def stop(self) -> None:
        """It was told."""
        self._has_told = True
        self._drop()

    def to_json(self) -> list[Any]:
        course = None if self._course is None else self._course.to_json()
        waiting = [[at, found.tolist()] for at, found in self._waiting]
        begun = None if self._begun is None else list(self._begun)
        return [self._calm.to_json(), course, begun, waiting, self._has_told]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> "Follower":
        """Raises ``TypeError`` or ``ValueError`` for what is none."""
        made = cls()
        calm, course, begun, waiting, has_told = data
        made._calm = Whereabouts.from_json(calm)
        made._course = None if course is None else Course.from_json(course)
        if begun is not None:
            begun = [float(x) for x in begun]
            mean, variance, wander, began = begun
            if variance < 0.0 or wander < 0.0 or not all(map(isfinite, begun)):
                raise ValueError("a level, how sure it is and how far it strays, and a time")
            made._begun = mean, variance, wander, began
        for at, found in waiting:
            row = row_of(found)
            if row is None or made._begun is None or not all(map(isfinite, (at, *row))):
                raise ValueError("a slice of a run")
            made._waiting.append((float(at), kept(row)))
        made._has_told = bool(has_told)
        return made

"""Follows a route's runs: from where its level is while nothing is suspected, until one is told."""

from collections.abc import Sequence
from typing import Any

from proxy.observability.baseline import Baseline
from proxy.observability.course import Course, Whereabouts
from proxy.observability.evidence import SlowRun
from proxy.observability.hypotheses import LOG_GAMMA
from proxy.observability.level import Level


class Follower:
    """The course of the run there is, if any; nothing is followed while an incident is open."""

    __slots__ = ("_calm", "_course", "_has_told")

    def __init__(self) -> None:
        self._calm = Whereabouts()
        self._course: Course | None = None
        self._has_told = False

    @property
    def stays(self) -> float | None:
        """How likely it is that the run is a slowdown that stays; None when nothing is followed."""
        return None if self._course is None else self._course.stays

    def follow(
        self, base: Baseline, level: Level, run: SlowRun, found: Sequence[float], now: float
    ) -> None:
        """``found`` are the hypotheses' log-likelihoods of the run's latest slice, or of the one it
        ended with.
        """
        if self._has_told:
            return
        course, calm, usual = self._course, self._calm, level.shift * LOG_GAMMA
        if not run.slices:
            if course is not None:
                mean, calm.variance = course.whereabouts()
                calm.mean, calm.at, calm.is_stale = mean + usual, now, True
                self._course = None
            return
        if course is None:
            calm.drift(now, usual, level.wander[0])
            reading = None if calm.is_stale else level.partly_read(base)
            if reading is not None:
                calm.read(*reading)
            course = Course(calm.mean - usual, calm.variance, level.wander[0], run.began, now)
            self._course = course
        else:
            course.pass_time(now)
        course.see(found)

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
        calm.read(*reading)

    def stop(self) -> None:
        """It was told."""
        self._has_told, self._course = True, None

    def to_json(self) -> list[Any]:
        course = None if self._course is None else self._course.to_json()
        return [self._calm.to_json(), course, self._has_told]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> "Follower":
        """Raises ``TypeError`` or ``ValueError`` for what is none."""
        made = cls()
        calm, course, has_told = data
        made._calm = Whereabouts.from_json(calm)
        made._course = None if course is None else Course.from_json(course)
        made._has_told = bool(has_told)
        return made

"""What all routes of one detector share: the last release, common habits and jolts, the service's
wander.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from proxy.observability.habits import ALL_HABITS_MAX, Habits
from proxy.observability.jolt import Jolts
from proxy.observability.kinds import UsualKinds

DEPLOY_S = 1800.0
"""An incident that begins so soon after a release is shown beside it."""
WANDER = 0.14
"""How far a route's level strays from minute to minute (natural log), before anything is known."""
WANDER_PRIOR = 30.0
"""The first guess weighs like so many minutes of traffic."""
WANDER_KEEP = 0.998


@dataclass(slots=True)
class Situation:
    """A route nobody knows yet is believed to stray as far as the others do."""

    deployed_at: float | None = None
    version: str = ""
    habits: Habits = field(default_factory=lambda: Habits(ALL_HABITS_MAX))
    jolts: Jolts = field(default_factory=Jolts)
    kinds: UsualKinds = field(default_factory=UsualKinds)
    strayed: float = WANDER_PRIOR * WANDER**2
    minutes: float = WANDER_PRIOR

    def words(self, onset: float) -> str:
        """`` 3 minutes after release v42.`` when the onset follows a release, else nothing."""
        if self.deployed_at is None or not -60.0 <= onset - self.deployed_at <= DEPLOY_S:
            return ""
        minutes = max(0, round((onset - self.deployed_at) / 60.0))
        name = f"release {self.version}" if self.version else "a release"
        return f" It began {minutes} min after {name}."

    def usual_kinds(self, kinds: bytes, at: float) -> bytes:
        """What to learn of a slice with errors of these ``kinds``, the last of them ``at`` that
        moment: what fails in a restart is of its kind and not the route's, and a blip is one event.
        """
        if not kinds or self.jolts.covers(at):
            return b""
        return bytes(dict.fromkeys(kinds))

    def stray(self, squared: float, weight: float) -> None:
        """One route's minute: by how much it strayed (squared, chance taken off)."""
        self.strayed = WANDER_KEEP * self.strayed + weight * squared
        self.minutes = WANDER_KEEP * self.minutes + weight

    @property
    def wander(self) -> float:
        return float(max(0.0, self.strayed / max(1e-9, self.minutes)) ** 0.5)

    def to_json(self) -> list[Any]:
        """The service's wander, its last jolt and its kinds of failures; every route's export
        carries them.
        """
        return [self.strayed, self.minutes, self.jolts.to_json(), self.kinds.to_json()]

    def restore(self, data: Sequence[Any]) -> None:
        """Raises ``TypeError`` or ``ValueError`` for what is no situation."""
        strayed, minutes, *rest = data
        # an earlier version wrote the jolt's times one after another, and no kinds
        jolt, kinds = rest if rest and isinstance(rest[0], list) else (rest, [])
        self.kinds.restore(kinds)
        self.jolts.restore(jolt)
        self.strayed, self.minutes = float(strayed), float(minutes)

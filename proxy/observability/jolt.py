"""A jolt: several routes fail within seconds of each other, as they do when the app restarts.

Its first seconds prove nothing about any one of them; should all stay down, that is an outage and
shows as one. What has just started is slow for a while as well: caches are empty, connections are
made. Pure and bounded: three routes and two times are remembered.
"""

ROUTES_MIN = 3
APART_S = 5.0
"""So many routes within such a time."""
LASTS_S = 20.0
"""What fails longer than a restart takes counts again."""
WARMS_S = 40.0
"""What is slow longer than a start takes counts again in full."""


class Jolts:
    """One for all routes of a service. Times in seconds."""

    __slots__ = ("_began", "_recent", "_until")

    def __init__(self) -> None:
        self._recent: list[tuple[object, float]] = []
        """Routes that failed last, each once, the latest at the end."""
        self._began = self._until = float("-inf")

    def failed(self, route: object, now: float) -> None:
        recent = self._recent
        if recent and recent[-1][0] is route:
            recent.pop()
        else:
            recent = self._recent = [one for one in recent if one[0] is not route]
            if len(recent) >= ROUTES_MIN:
                del recent[0]
        recent.append((route, now))
        if len(recent) < ROUTES_MIN or now - recent[0][1] > APART_S:
            return
        if now - self._until > LASTS_S:
            self._began = recent[0][1]
        self._until = now

    def covers(self, at: float) -> bool:
        """An error of this moment was one of a jolt's first seconds, or came just before."""
        return self._began - APART_S <= at <= min(self._until + APART_S, self._began + LASTS_S)

    def warms(self, since: float, until: float) -> bool:
        """Some of this time lies in the first moments after a jolt."""
        return until >= self._began and since <= self._began + WARMS_S

    def to_json(self) -> list[float]:
        """Empty before the first jolt."""
        return [self._began, self._until] if self._until > float("-inf") else []

    def restore(self, data: list[float]) -> None:
        """Raises ``TypeError`` or ``ValueError`` for what are no two times."""
        if data:
            began, until = data
            self._began, self._until = float(began), float(until)

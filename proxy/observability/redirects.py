"""Redirect cycles: the same client walks the same circle of redirects. Bounded memory; no clock of
its own.

A browser gives up after about twenty hops; we need to see one full circle twice. Only what the
client really asked for and got counts as evidence, so a redirect that nobody follows is never a
loop.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

REDIRECTS = frozenset({301, 302, 303, 307, 308})
CLIENTS_MAX = 2000
HOPS_MAX = 12
"""Longest circle looked for; browsers follow twenty hops."""
HOP_WITHIN_S = 15.0
"""A client that follows a redirect does so at once."""
QUIET_S = 60.0
"""The same circle of the same client is told again after this."""


@dataclass(slots=True)
class _Trail:
    hops: list[tuple[str, str]] = field(default_factory=list)
    """(asked, told to go to) as paths with query, oldest first."""
    last: float = 0.0
    told: float = -QUIET_S


class RedirectTracker:
    """``step`` per redirect answer; memory is at most ``CLIENTS_MAX`` times ``2 * HOPS_MAX``
    hops.
    """

    def __init__(self, *, clients_max: int = CLIENTS_MAX) -> None:
        self._clients_max = clients_max
        self._trails: OrderedDict[str, _Trail] = OrderedDict()

    def __len__(self) -> int:
        return len(self._trails)

    def step(self, client: str, target: str, location: str, now: float) -> tuple[str, ...] | None:
        """One redirect. Returns the circle, ``("/a", "/b", "/a")``, when ``client`` has walked it
        twice.
        """
        asked, told = local(target, target), local(target, location)
        if asked is None or told is None:
            return None
        trail = self._trail(client)
        if trail.hops and (now - trail.last > HOP_WITHIN_S or trail.hops[-1][1] != asked):
            trail.hops.clear()
        trail.hops.append((asked, told))
        trail.last = now
        del trail.hops[: -2 * HOPS_MAX]
        circle = _circle(trail.hops)
        if circle is None or now - trail.told < QUIET_S:
            return None
        trail.told = now
        return circle

    def _trail(self, client: str) -> _Trail:
        trail = self._trails.get(client)
        if trail is None:
            if len(self._trails) >= self._clients_max:
                self._trails.popitem(last=False)
            trail = self._trails[client] = _Trail()
        else:
            self._trails.move_to_end(client)
        return trail


def _circle(hops: list[tuple[str, str]]) -> tuple[str, ...] | None:
    """The shortest circle that the last hops went round twice."""
    for length in range(1, len(hops) // 2 + 1):
        last = hops[-length:]
        if last == hops[-2 * length : -length] and last[-1][1] == last[0][0]:
            return (*(asked for asked, _ in last), last[0][0])
    return None


def local(target: str, location: str) -> str | None:
    """``location`` seen from ``target``, as path and query; None when it is no address."""
    try:
        parts = urlsplit(urljoin(target, location))
    except ValueError:
        return None
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query else path

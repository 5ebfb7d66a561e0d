"""How far a bug reaches, and what that makes of its severity. Pure.

The classifier says how bad one occurrence is; how many are hit is the job's to know.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from proxy.domain.failure import Severity
from proxy.domain.job import Job

WIDE = 10
"""So many times ``blast_clients`` raise by two steps."""
LARGE = 5
"""So many times ``blast_share`` raise by two steps."""
SHARE_WINDOW_S = 300.0
REQUESTS_MIN = 50
"""Below so many requests a share says nothing: one failure of three is no third of the traffic."""
OBSERVATIONS_MAX = 120
_LADDER = tuple(Severity)


@dataclass(frozen=True, slots=True)
class BlastLimits:
    """Distinct clients, and share of requests (0-1), that raise a severity by one step."""

    clients: int = 25
    share: float = 0.05


def reached(told: Severity, clients: int, share: float | None, limits: BlastLimits) -> Severity:
    """The classifier's severity, raised by at most two steps."""
    by_clients = (clients >= limits.clients) + (clients >= limits.clients * WIDE)
    by_share = 0 if share is None else (share >= limits.share) + (share >= limits.share * LARGE)
    return _LADDER[min(told.rank + max(by_clients, by_share), len(_LADDER) - 1)]


def due_severity(job: Job, limits: BlastLimits) -> Severity | None:
    """What the job's severity must rise to; None when it stands as high already, or is noise."""
    if job.noise:
        return None
    wanted = reached(job.told_severity, job.distinct_clients, job.affected_share, limits)
    return wanted if wanted.rank > job.severity.rank else None


class Shares:
    """Affected share of traffic per job over the last minutes, from counts that only grow."""

    def __init__(self, window_s: float = SHARE_WINDOW_S) -> None:
        self._window_s = window_s
        self._seen: deque[tuple[float, int, dict[int, int]]] = deque(maxlen=OBSERVATIONS_MAX)

    def observe(
        self, now: float, requests: int, occurrences: Mapping[int, int]
    ) -> dict[int, float]:
        """All requests so far, occurrences so far by job → shares, where there is traffic enough.

        A count that shrank (a worker started anew) begins the window anew.
        """
        if self._seen and requests < self._seen[-1][1]:
            self._seen.clear()
        while len(self._seen) > 1 and now - self._seen[1][0] >= self._window_s:
            self._seen.popleft()
        self._seen.append((now, requests, dict(occurrences)))
        _, before, counts = self._seen[0]
        passed = requests - before
        if passed < REQUESTS_MIN:
            return {}
        return {
            job: min(1.0, max(0, count - counts[job]) / passed)
            for job, count in occurrences.items()
            if job in counts
        }

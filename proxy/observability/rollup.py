"""What happened in some minutes, and what that says about a route. Values only.

Counts add, so several workers' windows are merged by adding. Who counts: ``minutes.py``. Knows
nothing of what is normal.
"""

from dataclasses import dataclass, field
from typing import Any

from proxy.observability.sketch import quantiles


@dataclass(slots=True)
class WindowCounts:
    """What happened in a window. ``client_errors`` are 4xx, ``errors`` the app's failures.

    Durations are sparse bucket counts, those of failures apart: an app that fails at once is not a
    fast one.
    """

    requests: int = 0
    client_errors: int = 0
    errors: int = 0
    durations: dict[int, int] = field(default_factory=dict)
    failed_durations: dict[int, int] = field(default_factory=dict)

    def add(self, other: "WindowCounts") -> None:
        self.requests += other.requests
        self.client_errors += other.client_errors
        self.errors += other.errors
        _add(self.durations, other.durations)
        _add(self.failed_durations, other.failed_durations)

    def all_durations(self) -> dict[int, int]:
        total = dict(self.durations)
        _add(total, self.failed_durations)
        return total

    def to_json(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "client_errors": self.client_errors,
            "errors": self.errors,
            "durations": {str(b): c for b, c in self.durations.items()},
            "failed_durations": {str(b): c for b, c in self.failed_durations.items()},
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "WindowCounts":
        return cls(
            int(data["requests"]),
            int(data["client_errors"]),
            int(data["errors"]),
            {int(b): int(c) for b, c in data["durations"].items()},
            {int(b): int(c) for b, c in data["failed_durations"].items()},
        )


def _add(into: dict[int, int], more: dict[int, int]) -> None:
    for bucket, count in more.items():
        into[bucket] = into.get(bucket, 0) + count


@dataclass(frozen=True, slots=True)
class RoutePerformance:
    """Milliseconds and shares (0-1) over the last five minutes; quantiles are None without
    requests.
    """

    method: str
    route: str
    count: int
    error_rate: float
    client_error_rate: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


def performance(method: str, route: str, counts: WindowCounts) -> RoutePerformance:
    p50, p95, p99 = quantiles(counts.all_durations(), (0.5, 0.95, 0.99))
    n = counts.requests or 1
    return RoutePerformance(
        method, route, counts.requests, counts.errors / n, counts.client_errors / n, p50, p95, p99
    )

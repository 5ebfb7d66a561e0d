"""Several workers' snapshots → one picture of the service. Counts add; a worker that sent rubbish
is left out.

Pure; made in the control process, from which Prometheus text and the API are written by others.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from proxy.observability.health import HealthInput, HealthScore, health_score
from proxy.observability.minutes import SERIES_MINUTES
from proxy.observability.rollup import RoutePerformance, WindowCounts, performance
from proxy.observability.sketch import quantiles


@dataclass(frozen=True, slots=True)
class MinutePoint:
    """``at`` is the start of the minute in seconds; quantiles in ms."""

    at: float
    requests: int
    errors: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


@dataclass(slots=True)
class MergedSnapshot:
    """``workers`` snapshots joined, ``refused`` left out. ``open`` holds each incident once, hurt
    counts added.
    """

    workers: int = 0
    refused: int = 0
    now: float = 0.0
    requests_total: int = 0
    faults: int = 0
    anomalies_total: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    window: HealthInput = field(default_factory=HealthInput)
    minutes: dict[int, WindowCounts] = field(default_factory=dict)
    open: list[dict[str, Any]] = field(default_factory=list)
    buffer: Counter[str] = field(default_factory=Counter)

    def health(self) -> HealthScore:
        return health_score(self.window)

    def routes(self) -> list[RoutePerformance]:
        """Busiest first."""
        rows = [performance(m, r, counts) for (m, r), counts in self.window.routes.items()]
        return sorted(rows, key=lambda r: (-r.count, r.route, r.method))

    def series(self) -> list[MinutePoint]:
        """The last thirty minutes, oldest first, a silent minute as zero."""
        if not self.now:
            return []
        newest = int(self.now // 60)
        points = []
        for number in range(newest - SERIES_MINUTES + 1, newest + 1):
            counts = self.minutes.get(number, WindowCounts())
            p50, p95, p99 = quantiles(counts.all_durations(), (0.5, 0.95, 0.99))
            points.append(MinutePoint(number * 60.0, counts.requests, counts.errors, p50, p95, p99))
        return points


def merge_snapshots(snapshots: Iterable[Mapping[str, Any]]) -> MergedSnapshot:
    """Add up what ``Recorder.snapshot`` gave; nothing of a broken one is counted."""
    merged = MergedSnapshot()
    incidents: dict[tuple[str, str, str], dict[str, Any]] = {}
    for snapshot in snapshots:
        try:
            one = _read(snapshot)
        except (KeyError, ValueError, TypeError, AttributeError):
            merged.refused += 1
            continue
        _join(merged, one)
        for incident in one.open:
            _join_incident(incidents, incident)
    merged.open = sorted(incidents.values(), key=lambda i: float(i["onset"]))
    return merged


def _read(data: Mapping[str, Any]) -> MergedSnapshot:
    if data["v"] != 1:
        raise ValueError("a snapshot of another version")
    routes = {
        (str(r["method"]), str(r["route"])): WindowCounts.from_json(r) for r in data["routes"]
    }
    return MergedSnapshot(
        workers=1,
        now=float(data["now"]),
        requests_total=int(data["sequence"]),
        faults=int(data["faults"]),
        anomalies_total=int(data["anomalies_total"]),
        statuses=Counter({str(k): int(v) for k, v in data["statuses"].items()}),
        outcomes=Counter({str(k): int(v) for k, v in data["outcomes"].items()}),
        window=HealthInput(
            routes,
            {
                (str(i["method"]), str(i["route"])): float(i["ratio"])
                for i in data["open"]
                if i["kind"] == "latency"
            },
        ),
        minutes={int(n): WindowCounts.from_json(c) for n, c in data["minutes"].items()},
        open=[
            {
                **i,
                "onset": float(i["onset"]),
                "hurt": int(i["hurt"]),
                "occurrences": int(i["occurrences"]),
            }
            for i in data["open"]
        ],
        buffer=Counter({str(k): int(v) for k, v in data["buffer"].items()}),
    )


def _join(into: MergedSnapshot, one: MergedSnapshot) -> None:
    into.workers += 1
    into.now = max(into.now, one.now)
    into.requests_total += one.requests_total
    into.faults += one.faults
    into.anomalies_total += one.anomalies_total
    into.statuses.update(one.statuses)
    into.outcomes.update(one.outcomes)
    into.window.add(one.window)
    into.buffer.update(one.buffer)
    for number, counts in one.minutes.items():
        into.minutes.setdefault(number, WindowCounts()).add(counts)


def _join_incident(
    incidents: dict[tuple[str, str, str], dict[str, Any]], incident: dict[str, Any]
) -> None:
    """Workers that see the same incident open one: the earliest onset tells it, hurt requests
    add.
    """
    key = (str(incident["kind"]), str(incident["method"]), str(incident["route"]))
    known = incidents.get(key)
    if known is None:
        incidents[key] = dict(incident)
        return
    hurt = known["hurt"] + incident["hurt"]
    occurrences = max(known["occurrences"], incident["occurrences"])
    first = min(known, incident, key=lambda i: float(i["onset"]))
    incidents[key] = {**first, "hurt": hurt, "occurrences": occurrences}

"""What runs, merged from the workers' reports: the health answer, the routes, the Prometheus text.

Answered from memory only; a database that is away changes what is said about storage and nothing
else.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from proxy.app import surroundings
from proxy.app.status_link import Report
from proxy.clock import Clock
from proxy.config import Config
from proxy.contract.health import Health, RouteStats, TrafficMinute, WhyTerm
from proxy.domain.anomaly import AnomalyKind
from proxy.observability.snapshot import MergedSnapshot, merge_snapshots
from proxy.version import VERSION, data_plane

CACHE_S = 0.25
"""Merging costs milliseconds; several readers within a quarter of a second share one merge."""
DEGRADED_BELOW = 80
STATUS_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")


@dataclass(frozen=True, slots=True)
class Merged:
    """One picture: the workers' reports and what they add up to."""

    at: float
    reports: list[Report]
    snapshot: MergedSnapshot


class LiveStatus:
    """Implements the API's ``LiveView``."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        reports: Callable[[], list[Report]],
        storage: Callable[[], dict[str, Any]],
    ) -> None:
        self.config = config
        self._clock = clock
        self._reports = reports
        self._storage = storage
        self._started = clock.monotonic()
        self._merged: Merged | None = None
        self.draining = False

    @property
    def accepting(self) -> bool:
        return not self.draining and any(r["accepting"] for r in self._reports())

    @property
    def upstream_refused(self) -> bool:
        states = [r["stats"]["upstream"] for r in self._reports()]
        return bool(states) and "refusing" in states and "ok" not in states

    def merged(self) -> MergedSnapshot:
        return self._picture().snapshot

    def health(self) -> Health:
        picture = self._picture()
        score = picture.snapshot.health()
        return Health(
            status=self._status(score.score),
            score=score.score,
            parts={
                "latency": score.latency,
                "error_rate": score.error_rate,
                "availability": score.availability,
            },
            why=[WhyTerm(**term.to_json()) for term in score.why],
            requests=score.requests,
            errors=score.errors,
            upstream=self._upstream(picture.reports),
            storage=self._storage(),
            capture=_capture(picture.reports),
            workers=[_worker(report) for report in picture.reports],
            service=self.config.app.service,
            environment=self.config.app.environment,
            version=VERSION,
            uptime_s=round(self._clock.monotonic() - self._started, 1),
            traffic=[
                TrafficMinute(
                    at=datetime.fromtimestamp(point.at, UTC),
                    requests=point.requests,
                    errors=point.errors,
                    p50_ms=point.p50_ms,
                    p95_ms=point.p95_ms,
                    p99_ms=point.p99_ms,
                )
                for point in picture.snapshot.series()
            ],
            surroundings=surroundings.view(
                self.config,
                (report["surroundings"] for report in picture.reports),
                sum(report["capture"]["sdk_events"] for report in picture.reports),
            ),
        )

    def routes(self) -> list[RouteStats]:
        return [
            RouteStats(
                method=row.method,
                route=row.route,
                requests=row.count,
                error_rate=row.error_rate,
                client_error_rate=row.client_error_rate,
                p50_ms=row.p50_ms,
                p95_ms=row.p95_ms,
                p99_ms=row.p99_ms,
            )
            for row in self._picture().snapshot.routes()
        ]

    def traffic_share(self, method: str | None, route: str | None) -> float | None:
        """The part of recent requests that went to this route, 0-1; None where that is unknown."""
        rows = self._picture().snapshot.routes()
        total = sum(row.count for row in rows)
        if not total or route is None:
            return None
        return sum(r.count for r in rows if r.route == route and method in (None, r.method)) / total

    def open_incidents(self, workers: int) -> set[tuple[AnomalyKind, str, str]] | None:
        """(kind, method, route) of every open incident; None unless all ``workers`` have spoken."""
        reports = self._reports()
        if len(reports) < workers or self.draining:
            return None
        return {
            (one["kind"], one["method"], one["route"])
            for report in reports
            for one in report["snapshot"]["open"]
        }

    def prometheus(self) -> str:
        picture = self._picture()
        return exposition(picture.reports, picture.snapshot, accepting=self.accepting)

    def _picture(self) -> Merged:
        now = self._clock.monotonic()
        if self._merged is None or now - self._merged.at >= CACHE_S:
            reports = self._reports()
            self._merged = Merged(now, reports, merge_snapshots(r["snapshot"] for r in reports))
        return self._merged

    def _status(self, score: int | None) -> Any:
        if self.draining:
            return "draining"
        if not self.accepting:
            return "starting"
        if self.upstream_refused or (score is not None and score < DEGRADED_BELOW):
            return "degraded"
        return "ok" if self._storage().get("state") == "ok" else "degraded"

    def _upstream(self, reports: list[Report]) -> dict[str, Any]:
        states = [r["stats"]["upstream"] for r in reports]
        state = "refusing" if self.upstream_refused else "ok" if "ok" in states else "unknown"
        errors = [r["stats"]["upstream_error"] for r in reports if r["stats"]["upstream_error"]]
        return {
            "url": self.config.upstream.url,
            "state": state,
            "error": errors[0] if errors and state != "ok" else None,
        }


def _capture(reports: Iterable[Report]) -> dict[str, Any]:
    total: dict[str, int] = {}
    for report in reports:
        for name, count in report["capture"].items():
            total[name] = total.get(name, 0) + count
    dropped = total.get("dropped", 0) + total.get("rows_dropped", 0)
    return {"state": "losing" if dropped else "ok", **total}


def _worker(report: Report) -> dict[str, Any]:
    return {
        "name": report["worker"],
        "pid": report["pid"],
        "accepting": report["accepting"],
        "draining": report["draining"],
        **report["stats"],
    }


# --- Prometheus text exposition format 0.0.4 --------------------------------------------------

_COUNTERS: Mapping[str, str] = {
    "seen": "failures_seen_total",
    "dropped": "failures_dropped_total",
    "rows_stored": "log_rows_stored_total",
    "rows_dropped": "log_rows_dropped_total",
    "failed_flushes": "failed_flushes_total",
}


def exposition(reports: list[Report], snapshot: MergedSnapshot, *, accepting: bool) -> str:
    """Every metric with its type; label values escaped as the format asks."""
    lines: list[str] = []

    def put(name: str, kind: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> None:
        rows = [f"selfheal_{name}{_labels(labels)} {_number(value)}" for labels, value in samples]
        if rows:
            lines.append(f"# TYPE selfheal_{name} {kind}")
            lines.extend(rows)

    score = snapshot.health()
    put("up", "gauge", [({}, 1 if accepting else 0)])
    compiled = str(data_plane() == "compiled").lower()
    put("build_info", "gauge", [({"version": VERSION, "compiled": compiled}, 1)])
    put(
        "requests_total",
        "counter",
        [({"class": c}, snapshot.statuses[c]) for c in STATUS_CLASSES],
    )
    put(
        "outcomes_total",
        "counter",
        [({"outcome": o}, n) for o, n in sorted(snapshot.outcomes.items())],
    )
    if score.score is not None:
        put("health_score", "gauge", [({}, score.score)])
    put("open_anomalies", "gauge", [({}, len(snapshot.open))])
    put("anomalies_total", "counter", [({}, snapshot.anomalies_total)])
    put("recorder_faults_total", "counter", [({}, snapshot.faults)])
    put("buffer_rows", "gauge", [({}, snapshot.buffer["size"])])
    put("buffer_high_water_rows", "gauge", [({}, snapshot.buffer["high_water"])])
    capture = _capture(reports)
    for key, name in _COUNTERS.items():
        put(name, "counter", [({}, capture.get(key, 0))])
    put("spooled_rows", "gauge", [({}, capture.get("rows_spooled", 0))])
    for key in ("connections", "in_flight", "tunnels", "pool_idle"):
        put(key, "gauge", [({"worker": r["worker"]}, r["stats"].get(key, 0)) for r in reports])
    put("route_duration_ms", "gauge", _route_durations(snapshot))
    return "\n".join(lines) + "\n"


def _route_durations(snapshot: MergedSnapshot) -> Iterable[tuple[Mapping[str, str], float]]:
    for row in snapshot.routes():
        for quantile, value in (("0.5", row.p50_ms), ("0.95", row.p95_ms), ("0.99", row.p99_ms)):
            if value is not None:
                yield {"method": row.method, "route": row.route, "quantile": quantile}, value


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{k}="{_escape(v)}"' for k, v in labels.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))

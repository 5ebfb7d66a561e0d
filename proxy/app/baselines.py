"""Baselines between the detector's plain data and ``observability_route_baselines``."""

from typing import Any

from proxy.observability.rollup import RoutePerformance
from proxy.store.metrics import Baseline


def to_rows(
    service: str, exported: dict[str, Any], performance: list[RoutePerformance]
) -> list[Baseline]:
    """One row a route; the founder's four numbers beside the counts that add up."""
    known = {(p.method, p.route): p for p in performance}
    rows = []
    for name, counts in exported["routes"].items():
        method, _, route = name.partition(" ")
        seen = known.get((method, route))
        rows.append(
            Baseline(
                service=service,
                route_path=route,
                method=method,
                p50_latency_ms=seen.p50_ms if seen else None,
                p95_latency_ms=seen.p95_ms if seen else None,
                p99_latency_ms=seen.p99_ms if seen else None,
                error_rate=seen.error_rate if seen else 0.0,
                sample_count=seen.count if seen else 0,
                counts={"v": exported["v"], "route": counts},
            )
        )
    return rows


def from_rows(rows: list[Baseline]) -> dict[str, Any]:
    """What ``MLDetector.import_baselines`` takes; rows another program wrote have no counts and
    are passed over.
    """
    return {
        "v": 1,
        "routes": {
            f"{row.method} {row.route_path}": row.counts["route"]
            for row in rows
            if row.counts.get("v") == 1 and "route" in row.counts
        },
    }

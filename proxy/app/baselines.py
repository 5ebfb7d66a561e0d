"""Baselines between the detector's plain data and ``observability_route_baselines``."""

from collections.abc import Iterator
from typing import Any

from proxy.observability.detector import MLDetector
from proxy.store.metrics import Baseline

VERSION = 1
"""Of the counts that the detector exports."""


def to_rows(service: str, detector: MLDetector) -> Iterator[Baseline]:
    """One row a route, made when it is asked for; the founder's four numbers beside the counts that
    add up.
    """
    for name, counts in detector.learned():
        method, _, route = name.partition(" ")
        seen = next(iter(detector.get_route_performance(route, method)), None)
        yield Baseline(
            service=service,
            route_path=route,
            method=method,
            p50_latency_ms=seen.p50_ms if seen else None,
            p95_latency_ms=seen.p95_ms if seen else None,
            p99_latency_ms=seen.p99_ms if seen else None,
            error_rate=seen.error_rate if seen else 0.0,
            sample_count=seen.count if seen else 0,
            counts={"v": VERSION, "route": counts},
        )


def from_rows(rows: list[Baseline]) -> dict[str, Any]:
    """What ``MLDetector.import_baselines`` takes; rows another program wrote have no counts and
    are passed over.
    """
    return {
        "v": VERSION,
        "routes": {
            f"{row.method} {row.route_path}": row.counts["route"]
            for row in rows
            if row.counts.get("v") == VERSION and "route" in row.counts
        },
    }

"""Baselines between the detector's plain data and ``observability_route_baselines``."""

from collections.abc import Iterator
from typing import Any

from proxy.observability.detector import MLDetector
from proxy.store.metrics import Baseline

VERSION = 1
"""Of the counts that the detector exports."""


def to_rows(service: str, detector: MLDetector, heard_to: int = 0) -> Iterator[Baseline]:
    """One row for each route with requests in the last minutes, made when it is asked for; the
    founder's four numbers beside the counts that add up. What others said up to ``heard_to`` is in
    them.
    """
    for name, counts in detector.learned():
        method, _, route = name.partition(" ")
        seen = next(iter(detector.get_route_performance(route, method)), None)
        if seen is None:
            # whoever sees the route stores it
            continue
        yield Baseline(
            service=service,
            route_path=route,
            method=method,
            p50_latency_ms=seen.p50_ms,
            p95_latency_ms=seen.p95_ms,
            p99_latency_ms=seen.p99_ms,
            error_rate=seen.error_rate,
            sample_count=seen.count,
            counts={"v": VERSION, "route": counts, "heard_to": heard_to},
        )


def from_rows(rows: list[Baseline]) -> dict[str, Any]:
    """What ``MLDetector.import_baselines`` takes; rows another program wrote have no counts and
    are passed over.
    """
    return {
        "v": VERSION,
        "routes": {f"{row.method} {row.route_path}": row.counts["route"] for row in ours(rows)},
    }


def ours(rows: list[Baseline]) -> list[Baseline]:
    """Those the detector wrote."""
    return [row for row in rows if row.counts.get("v") == VERSION and "route" in row.counts]


def heard_to(row: Baseline) -> int:
    """Rows stored before proxies talked to one another have heard nothing."""
    known = row.counts.get("heard_to", 0)
    return known if isinstance(known, int) else 0

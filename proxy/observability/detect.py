"""``selfheal detect``: the very detector of the proxy on recorded traffic. Lines in, alerts out; no
network.

A line that cannot be read (``recorded.py``) is counted and named, and the rest goes on.
"""

import json
from collections.abc import Iterable
from typing import Any, TextIO

from proxy.config import Detector as DetectorSettings
from proxy.domain.anomaly import Anomaly
from proxy.observability.detect_report import (
    DetectReport,
    hints,
    summary,
    went_back,
    why_unread,
)
from proxy.observability.detector import MLDetector
from proxy.observability.recorded import PARSERS, Format

TICK_S = 1.0
BACK_S = 60.0
"""Lines are written when a request ends, or a moment later: so much out of order is none."""
LINE_MAX = 65536


def run_detect(
    lines: Iterable[str | bytes],
    settings: DetectorSettings,
    out: TextIO,
    *,
    format: Format = "jsonl",
    err: TextIO | None = None,
) -> DetectReport:
    """Play ``lines`` through a fresh detector; each alert is one JSON line on ``out`` as soon as
    it is raised.
    """
    detector = MLDetector(settings)
    report = DetectReport()
    observe, tick = detector.observe, detector.tick
    ts = 0.0
    next_tick = back = float("-inf")

    def tell(anomaly: Anomaly) -> None:
        if anomaly.head is not None:
            report.parts += 1
            if err is not None:
                err.write(f"no alert of its own: {anomaly.explanation}\n")
            return
        report.alerts += 1
        out.write(json.dumps(alert(anomaly)) + "\n")

    parse = PARSERS[format](detector.fold)
    for number, line in enumerate(lines, 1):
        try:
            if len(line) > LINE_MAX:
                raise ValueError("longer than any request; there is one a line")
            ts, route, method, status, duration_ms = parse(line)
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            report.lines = number
            if line.strip():
                report.bad += 1
                if err is not None:
                    err.write(why_unread(error, report))
            continue
        report.lines = number
        report.requests += 1
        if ts < back:
            report.back += 1
            report.first = min(report.first, ts)
            if err is not None and report.back == 1:
                err.write(went_back(report, ts, back + BACK_S))
            next_tick = ts
        if ts >= next_tick:
            if report.requests == 1:
                report.first = report.last = ts
            report.last = max(report.last, ts)
            next_tick, back = ts + TICK_S, ts - BACK_S
            for found in tick(ts):
                if isinstance(found, Anomaly):
                    tell(found)
        anomaly = observe(method, route, status, duration_ms, ts, status >= 500)
        if anomaly is not None:
            tell(anomaly)
    if err is not None:
        report.last = max(report.last, ts)
        err.write(summary(report) + hints(detector.get_route_performance()))
    return report


def alert(anomaly: Anomaly) -> dict[str, Any]:
    """One alert as the contract names it."""
    return {
        "ts": round(anomaly.detected_at, 3),
        "route": anomaly.route,
        "method": anomaly.method,
        "kind": anomaly.kind,
        "onset": round(anomaly.onset, 3),
        "baseline": round(anomaly.baseline, 6),
        "observed": round(anomaly.observed, 6),
        "ratio": round(anomaly.ratio, 3),
        "sigma": round(anomaly.sigma, 2),
        "samples": anomaly.samples,
        "severity": anomaly.severity.value,
        "explanation": anomaly.explanation,
    }

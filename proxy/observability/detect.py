"""``selfheal detect``: the very detector of the proxy on recorded traffic. Lines in, alerts out; no
network.

A line that cannot be read (``recorded.py``) is counted and named, and the rest goes on.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TextIO

from proxy.config import Detector as DetectorSettings
from proxy.domain.anomaly import Anomaly
from proxy.observability.detector import MLDetector
from proxy.observability.recorded import PARSERS, Format
from proxy.observability.series import WARM_UP_REQUESTS, WARM_UP_S

TICK_S = 1.0
BAD_LINES_NAMED = 5
LINE_MAX = 65536


@dataclass(slots=True)
class DetectReport:
    lines: int = 0
    requests: int = 0
    bad: int = 0
    alerts: int = 0
    parts: int = 0
    """Incidents that the alert of another route speaks for."""


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
    ts = first = 0.0
    next_tick = float("-inf")

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
                raise ValueError("longer than any request")
            ts, route, method, status, duration_ms = parse(line)
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            report.lines = number
            if line.strip():
                _note(error, report, err)
            continue
        report.lines = number
        report.requests += 1
        if ts >= next_tick:
            if report.requests == 1:
                first = ts
            next_tick = ts + TICK_S
            for found in tick(ts):
                if isinstance(found, Anomaly):
                    tell(found)
        anomaly = observe(method, route, status, duration_ms, ts, status >= 500)
        if anomaly is not None:
            tell(anomaly)
    if err is not None:
        if report.bad:
            err.write(f"{report.bad} of {report.lines} lines could not be read\n")
        err.write(_summary(report, ts - first))
    return report


def _summary(report: DetectReport, span_s: float) -> str:
    """A silent end would leave open whether all is well or nothing was read."""
    if not report.requests:
        return "no request read, so nothing to judge\n"
    words = f"{report.requests} requests of {_span(span_s)} read: {_count(report.alerts, 'alert')}"
    if report.parts:
        verb = "speaks" if report.alerts == 1 else "speak"
        words += f", which {verb} for {_count(report.parts, 'more incident')}"
    if span_s < WARM_UP_S:
        words += (
            f"; how slow a route is gets judged after {WARM_UP_REQUESTS} requests"
            f" and {WARM_UP_S / 60:.0f} minutes"
        )
    return words + "\n"


def _span(span_s: float) -> str:
    return f"{span_s:.0f} s" if span_s < 120.0 else f"{span_s / 60:.0f} min"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


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


def _note(error: Exception, report: DetectReport, err: TextIO | None) -> None:
    report.bad += 1
    if err is not None and report.bad <= BAD_LINES_NAMED:
        err.write(f"line {report.lines}: {_why(error)}\n")


def _why(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"the field {error} is missing"
    return ascii(str(error))[1:-1][:120] or type(error).__name__

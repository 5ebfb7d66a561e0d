"""``selfheal detect``: the very detector of the proxy on recorded traffic. Lines in, alerts out; no
network.

Reads JSON lines, and nginx or Apache combined logs with a duration as the last field. A line that
cannot be read is counted and named, and the rest goes on.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal, TextIO

from proxy.config import Detector as DetectorSettings
from proxy.domain.anomaly import Anomaly
from proxy.observability.detector import MLDetector
from proxy.observability.routes import RouteTable

Format = Literal["jsonl", "nginx", "apache"]
FORMATS: tuple[Format, ...] = ("jsonl", "nginx", "apache")
TICK_S = 1.0
BAD_LINES_NAMED = 5
LINE_MAX = 65536

Request = tuple[float, str, str, int, float]
"""ts in seconds, route, method, status, duration in ms."""
Parse = Callable[[str | bytes], Request]
OnFold = Callable[[str, str, str], None]


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
    next_tick = float("-inf")

    def tell(anomaly: Anomaly) -> None:
        if anomaly.head is not None:
            report.parts += 1
            if err is not None:
                err.write(f"no alert of its own: {anomaly.explanation}\n")
            return
        report.alerts += 1
        out.write(json.dumps(alert(anomaly)) + "\n")

    parse = _PARSERS[format](detector.fold)
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
            next_tick = ts + TICK_S
            for found in tick(ts):
                if isinstance(found, Anomaly):
                    tell(found)
        anomaly = observe(method, route, status, duration_ms, ts, status >= 500)
        if anomaly is not None:
            tell(anomaly)
    if err is not None and report.bad:
        err.write(f"{report.bad} of {report.lines} lines could not be read\n")
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


def _note(error: Exception, report: DetectReport, err: TextIO | None) -> None:
    report.bad += 1
    if err is not None and report.bad <= BAD_LINES_NAMED:
        err.write(f"line {report.lines}: {_why(error)}\n")


def _why(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"the field {error} is missing"
    return ascii(str(error))[1:-1][:120] or type(error).__name__


def _jsonl(_: OnFold) -> Parse:
    decoder: Any = json.JSONDecoder()
    scan = decoder.scan_once

    def parse(line: str | bytes) -> Request:
        # half the cost of json.loads, which first guesses the encoding and then looks for blanks
        # twice; what is not plain UTF-8 text on one line goes its way, and so does what is wrong
        try:
            text = line if isinstance(line, str) else line.decode()
            row, end = scan(text, 0)
        except (ValueError, StopIteration):
            row = json.loads(line)
        else:
            rest = text[end:]
            if rest != "\n" and rest.strip(" \t\r\n"):
                row = json.loads(line)
        ts, route, method, status, duration_ms = (
            row["ts"],
            row["route"],
            row["method"],
            row["status"],
            row["duration_ms"],
        )
        if type(route) is not str or type(method) is not str:
            raise ValueError("route and method are text")
        if type(status) is not int:
            raise ValueError("status is a whole number")
        ts, duration_ms = float(ts), float(duration_ms)
        # NaN fails both comparisons, too
        if not (0.0 <= duration_ms < 1e12 and -1e15 < ts < 1e15):
            raise ValueError("ts is seconds, duration_ms milliseconds from 0")
        return ts, route, method, status, duration_ms

    return parse


_COMBINED = re.compile(
    r'\S+ \S+ .*?\[([^\]]+)\] "([A-Z]+) (\S+)[^"]*" ([0-9]{3}) \S+'
    r'.*?[\s=]"?([0-9]+(?:\.[0-9]+)?)"?\s*'
)


def _combined(unit_ms: Callable[[str], float]) -> Callable[[OnFold], Parse]:
    def build(on_fold: OnFold) -> Parse:
        routes = RouteTable(on_fold=on_fold)
        last: tuple[str, float] = ("", 0.0)

        def parse(line: str | bytes) -> Request:
            nonlocal last
            text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
            match = _COMBINED.fullmatch(text.rstrip())
            if match is None:
                raise ValueError("not a combined log line with a duration as its last field")
            stamp, method, target, code, duration = match.groups()
            if stamp != last[0]:
                last = (stamp, _log_time(stamp))
            status = int(code)
            route = routes.template(method, target.encode("utf-8", "replace"), status)
            return last[1], route, method, status, unit_ms(duration)

        return parse

    return build


_MONTHS = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1
    )
}


def _log_time(stamp: str) -> float:
    """``10/Oct/2025:13:55:36 +0200`` → seconds since the epoch; not strptime, which follows the
    locale.
    """
    date, _, rest = stamp.partition(":")
    day, month, year = date.split("/")
    clock, _, offset = rest.partition(" ")
    hour, minute, second = clock.split(":")
    zone = UTC
    if offset:
        east = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:5]))
        zone = timezone(-east if offset.startswith("-") else east)
    return datetime(
        int(year), _MONTHS[month], int(day), int(hour), int(minute), int(second), tzinfo=zone
    ).timestamp()


def _nginx_ms(text: str) -> float:
    """``$request_time``: seconds with a point."""
    return float(text) * 1000.0


def _apache_ms(text: str) -> float:
    """``%D`` is whole microseconds; ``%{ms}T`` cannot be told apart from it, a point means
    seconds.
    """
    return float(text) * 1000.0 if "." in text else float(text) / 1000.0


_PARSERS: dict[Format, Callable[[OnFold], Parse]] = {
    "jsonl": _jsonl,
    "nginx": _combined(_nginx_ms),
    "apache": _combined(_apache_ms),
}

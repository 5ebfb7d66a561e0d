"""What ``selfheal detect`` says of what it read, beside the alerts: what it could not read, and
what makes its judgement worth less. Words only.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from proxy.observability.rollup import RoutePerformance
from proxy.observability.routes import OTHER, TEMPLATES_MAX
from proxy.observability.sentences import clock, is_dated
from proxy.observability.series import WARM_UP_REQUESTS, WARM_UP_S

REASONS_NAMED = 5
HINT_REQUESTS = 50
"""With fewer a strange duration may be one of few."""
TINY_MS, HUGE_MS = 1.0, 20_000.0
"""Where all take less, or half take more, durations were probably written in another unit."""


@dataclass(slots=True)
class DetectReport:
    """``first`` and ``last`` are the earliest and the latest moment, seconds of the traffic."""

    lines: int = 0
    requests: int = 0
    bad: int = 0
    alerts: int = 0
    parts: int = 0
    """Incidents that the alert of another route speaks for."""
    first: float = 0.0
    last: float = 0.0
    back: int = 0
    """How often a line was more than a minute older than one before it."""
    reasons: set[str] = field(default_factory=set)
    """Why lines could not be read: each is named once, the first few at all."""


def why_unread(error: Exception, report: DetectReport) -> str:
    """A line about the one that could not be read, when its reason is new; else nothing."""
    why = ascii(str(error))[1:-1][:200] or type(error).__name__
    if why in report.reasons or len(report.reasons) >= REASONS_NAMED:
        return ""
    report.reasons.add(why)
    return f"line {report.lines}: {why}\n"


def went_back(report: DetectReport, ts: float, before: float) -> str:
    """For the first line out of order."""
    return (
        f"line {report.lines}: {_length(before - ts)} older than one before it; what is usual is "
        "learned in order of time, so sort the lines, the oldest first\n"
    )


def summary(report: DetectReport) -> str:
    """A silent end would leave open whether all is well or nothing was read."""
    words = ""
    if report.bad:
        words = f"{report.bad} of {report.lines} lines could not be read\n"
    if not report.requests:
        return words + "no request read, so nothing to judge\n"
    words += (
        f"{_count(report.requests, 'request')} {_span(report)} read: "
        f"{_count(report.alerts, 'alert')}"
    )
    if report.parts:
        verb = "speaks" if report.alerts == 1 else "speak"
        words += f", which {verb} for {_count(report.parts, 'more incident')}"
    if report.last - report.first < WARM_UP_S:
        words += (
            f"; how slow a route is gets judged after {WARM_UP_REQUESTS} requests"
            f" and {WARM_UP_S / 60:.0f} minutes"
        )
    if report.back:
        words += f"; {_count(report.back, 'time')} back by more than a minute, so sort the lines"
    return words + "\n"


def hints(rows: Sequence[RoutePerformance]) -> str:
    """What looks like another unit, or like paths instead of routes; ``rows`` are those of the
    last minutes.
    """
    words = ""
    timed = [row for row in rows if row.count >= HINT_REQUESTS and row.p95_ms is not None]
    if timed and all((row.p95_ms or 0.0) < TINY_MS for row in timed):
        words += (
            "hardly any request of the last minutes took a millisecond: is the duration in another "
            "unit? JSON lines have milliseconds, nginx seconds, Apache's %D microseconds\n"
        )
    elif timed and all((row.p50_ms or 0.0) > HUGE_MS for row in timed):
        words += (
            f"half of the requests of the last minutes took more than {HUGE_MS / 1000:.0f} s: is "
            "the duration in another unit? JSON lines have milliseconds\n"
        )
    if any(row.route == OTHER for row in rows):
        words += (
            f"beyond {TEMPLATES_MAX} routes all are judged together, as `{OTHER}`: a route is a "
            "template such as /orders/{id}, not a path\n"
        )
    return words


def _span(report: DetectReport) -> str:
    if not is_dated(report.first):
        return f"of {_length(report.last - report.first)}"
    return f"from {clock(report.first)} to {clock(report.last)}"


def _length(seconds: float) -> str:
    for bound, unit, size in ((120.0, "s", 1.0), (7200.0, "min", 60.0), (172_800.0, "h", 3600.0)):
        if seconds < bound:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400.0:.0f} days"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")

"""An open incident and its end, and the sentence that explains it. Values and words only."""

from dataclasses import dataclass

from proxy.domain.anomaly import Anomaly, AnomalyKind
from proxy.domain.failure import Severity


@dataclass(slots=True)
class OpenIncident:
    """``hurt`` counts requests that failed or were slow since the onset; ``occurrences`` how often
    it came back.
    """

    anomaly: Anomaly
    occurrences: int = 1
    hurt: int = 0
    last_seen: float = 0.0


@dataclass(frozen=True, slots=True)
class IncidentEnd:
    """``reason`` is ``recovered``, ``new_normal`` (the level stayed and is usual now) or
    ``silent`` (no traffic).
    """

    anomaly: Anomaly
    ended_at: float
    duration_s: float
    requests_hurt: int
    occurrences: int
    reason: str


def clock(seconds: float) -> str:
    """``14:03`` UTC: of the epoch, or of recorded traffic that counts from midnight."""
    minutes = int(seconds // 60) % 1440
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def milliseconds(ms: float) -> str:
    return f"{ms:.1f} ms" if ms < 10 else f"{ms:,.0f} ms"


def latency_sentence(
    method: str,
    route: str,
    onset: float,
    observed: float,
    baseline: float,
    sigma: float,
    samples: int,
    what: str,
) -> str:
    """``what`` is ``takes`` for the middle, or a word about the tail."""
    return (
        f"Since {clock(onset)} {method} {route} {what} {milliseconds(observed)} instead of "
        f"{milliseconds(baseline)} ({observed / baseline:.1f}x, {sigma:.1f} sigma over {samples} "
        f"requests)."
    )


def error_sentence(
    method: str,
    route: str,
    onset: float,
    observed: float,
    baseline: float,
    sigma: float,
    samples: int,
    errors: int,
) -> str:
    usual = f"{baseline:.2%}" if baseline < 0.1 else f"{baseline:.0%}"
    return (
        f"Since {clock(onset)} {method} {route} fails {observed:.1%} of the time "
        f""
        f"instead of {usual} ({errors} of {samples} requests, "
        f"{observed / baseline:.1f}x, {sigma:.1f} sigma)."
    )


def severity_of(kind: AnomalyKind, ratio: float, observed: float, per_minute: float) -> Severity:
    """Critical is a busy route of which nearly everything fails; a quiet one is high at most."""
    if kind == "error_rate":
        if observed >= 0.5:
            return Severity.CRITICAL if per_minute >= BUSY_PER_MINUTE else Severity.HIGH
        return Severity.HIGH if observed >= 0.1 else Severity.MEDIUM
    if ratio >= 5.0:
        return Severity.HIGH
    return Severity.MEDIUM if ratio >= 2.0 else Severity.LOW


BUSY_PER_MINUTE = 6.0

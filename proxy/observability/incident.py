"""An open incident and its end, and the sentence that explains it. Values and words only."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

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
    quiet_until: float | None = None
    """Set while the incident is what this hour always brings: told only if it lasts longer."""

    def to_json(self) -> dict[str, Any]:
        anomaly = {f.name: getattr(self.anomaly, f.name) for f in fields(self.anomaly)}
        anomaly["severity"] = self.anomaly.severity.value
        return {
            "anomaly": anomaly,
            "occurrences": self.occurrences,
            "hurt": self.hurt,
            "last_seen": self.last_seen,
            "quiet_until": self.quiet_until,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "OpenIncident":
        told = dict(data["anomaly"])
        told["severity"] = Severity(told["severity"])
        return cls(
            Anomaly(**told),
            int(data["occurrences"]),
            int(data["hurt"]),
            float(data["last_seen"]),
            data["quiet_until"],
        )


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

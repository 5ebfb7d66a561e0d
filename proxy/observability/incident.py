"""An open incident and its end, and how severe it is. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from proxy.domain.anomaly import Anomaly, AnomalyKind, Ended
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
    looked: float = 0.0
    """When it was last compared with what was told for it; a restart begins anew."""

    def to_json(self) -> dict[str, Any]:
        return {
            "anomaly": _to_json(self.anomaly),
            "occurrences": self.occurrences,
            "hurt": self.hurt,
            "last_seen": self.last_seen,
            "quiet_until": self.quiet_until,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "OpenIncident":
        return cls(
            _from_json(data["anomaly"]),
            int(data["occurrences"]),
            int(data["hurt"]),
            float(data["last_seen"]),
            data["quiet_until"],
        )


def _to_json(anomaly: Anomaly) -> dict[str, Any]:
    row = {f.name: getattr(anomaly, f.name) for f in fields(anomaly)}
    row["severity"] = anomaly.severity.value
    row["head"] = None if anomaly.head is None else _to_json(anomaly.head)
    return row


def _from_json(row: Mapping[str, Any]) -> Anomaly:
    head = row.get("head")
    told = {
        **row,
        "severity": Severity(row["severity"]),
        "head": None if head is None else _from_json({**head, "head": None}),
    }
    return Anomaly(**told)


@dataclass(frozen=True, slots=True)
class IncidentEnd:
    """``reason`` is never ``unwatched``: here it is watched."""

    anomaly: Anomaly
    ended_at: float
    duration_s: float
    requests_hurt: int
    occurrences: int
    reason: Ended


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

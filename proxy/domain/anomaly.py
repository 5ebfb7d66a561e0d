"""A latency or error-rate incident on one route, with everything needed to check it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from proxy.domain.failure import Severity

AnomalyKind = Literal["latency", "error_rate"]

Ended = Literal["recovered", "new_normal", "silent", "unwatched"]
"""It is as usual again; its level stayed for half an hour and counts as usual; no requests came for
half an hour; no proxy reported it any more.
"""

STORED_TYPE: dict[AnomalyKind, str] = {
    "latency": "latency_spike",
    "error_rate": "error_rate_spike",
}
"""The detector's word → the word of ``observability_anomalies.type``."""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """``baseline`` and ``observed`` are milliseconds for latency, shares (0-1) for error_rate.
    ``baseline`` is what was weighed as usual, a belief included; ``explanation`` says what was
    measured.

    ``onset`` and ``detected_at`` are seconds since the epoch, or seconds of recorded traffic.
    """

    kind: AnomalyKind
    method: str
    route: str
    onset: float
    detected_at: float
    baseline: float
    observed: float
    ratio: float
    sigma: float
    samples: int
    severity: Severity
    explanation: str
    head: "Anomaly | None" = None
    """The one that was told for this one, too: most routes moved with it, and this one did."""
    moving: int = 0
    """Of a head: so many routes move, and they are most."""


@dataclass(frozen=True, slots=True)
class StoredAnomaly:
    """An anomaly as its row: one open row per (service, route, method, kind, onset)."""

    id: UUID
    service: str
    type: str
    method: str
    route: str
    severity: Severity
    description: str
    detected_at: datetime
    onset: datetime
    baseline: float
    observed: float
    ratio: float
    sigma: float
    samples: int
    occurrences: int
    resolved: bool
    resolved_at: datetime | None
    part_of: str | None = None
    """``GET /x``: the route whose alert speaks for this one, too."""
    ended: Ended | None = None
    """None while it goes on, and for what an earlier version or another program wrote."""

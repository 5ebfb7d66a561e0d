"""What `/events` streams."""

from datetime import datetime
from typing import Literal

from proxy.contract.base import Answer
from proxy.contract.words import SeverityWord

EventKind = Literal["job", "patch", "approval", "anomaly", "health", "audit", "resync"]


class Event(Answer):
    """One server-sent event; ``id`` is the SSE id, ``subject`` J-/P-/A-id or a route."""

    kind: EventKind
    subject: str
    change: str = ""
    at: datetime
    severity: SeverityWord | None = None

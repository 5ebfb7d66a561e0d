"""One thing that went wrong, whoever saw it: a failing exchange, an SDK event, a row another
program wrote.

Every source turns its own wire form into the same ``Failure``; classifier and signature read
nothing else.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal, NewType
from uuid import UUID

Signature = NewType("Signature", str)
"""Versioned fingerprint: ``v1:`` and 16 to 32 hex digits. Same bug, same signature."""

SourceKind = Literal["server", "browser", "http"]


class Category(StrEnum):
    """The eight categories, and the absence of evidence for any."""

    RLS_VIOLATION = "RLS_VIOLATION"
    AUTH_FAILURE = "AUTH_FAILURE"
    SSR_HYDRATION = "SSR_HYDRATION"
    API_SCHEMA = "API_SCHEMA"
    PERFORMANCE = "PERFORMANCE"
    UI_BUG = "UI_BUG"
    REDIRECT_LOOP = "REDIRECT_LOOP"
    DB_ERROR = "DB_ERROR"
    UNKNOWN = "UNKNOWN"


class Severity(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 to 3; compare ranks, never the words (``medium`` sorts before ``high`` as text)."""
        return _RANKS[self]


_RANKS = {Severity.LOW: 0, Severity.MEDIUM: 1, Severity.HIGH: 2, Severity.CRITICAL: 3}


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """The failing request, redacted and bounded: what the sandbox sends again."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    truncated: bool = False
    """True when the body was longer than the copy; such a request is never replayed as if whole."""
    redacted: tuple[str, ...] = ()
    """Names of headers and fields whose values were removed."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Text fields are already redacted when a ``Failure`` leaves its source."""

    service: str
    occurred_at: datetime
    message: str
    source_kind: SourceKind = "http"
    environment: str = "production"
    method: str | None = None
    route: str | None = None
    status: int | None = None
    stack: str | None = None
    body: str | None = None
    redirect_chain: tuple[str, ...] = ()
    latency_ms: float | None = None
    latency_budget_ms: float | None = None
    trace_id: str | None = None
    log_id: UUID | None = None
    """Id of its row in ``observability_logs``; the row itself may be written later, at the flush.
    """
    anomaly_id: UUID | None = None
    client: str | None = None
    """A keyed hash of who was hit; counted, never shown."""
    release: str | None = None
    user_agent: str | None = None
    request: ReplayRequest | None = None
    response_status: int | None = None
    response_excerpt: str | None = None
    origin: str = "proxy"
    """Which source saw it: proxy, sdk, report, adopted, api, detector."""
    severity: Severity | None = None
    """As it was measured; it counts unless a rule of the founder's says otherwise."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why: the rule, the field it read and the words it found there."""

    rule: str
    field: str
    excerpt: str

    def __str__(self) -> str:
        return f'{self.rule} @{self.field}: "{self.excerpt}"'


@dataclass(frozen=True, slots=True)
class Classification:
    """What kind of failure, how bad, and on what evidence. ``reason`` says why it is UNKNOWN."""

    category: Category
    severity: Severity
    rule: str
    signature: Signature
    signature_text: str
    evidence: tuple[Evidence, ...] = field(default_factory=tuple)
    reason: str | None = None
    noise: bool = False
    """Recognised as nobody's bug (extension, bot, scanner)."""

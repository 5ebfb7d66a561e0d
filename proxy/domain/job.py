"""The self-healing job ``J-<n>``: one distinct bug, and its lifecycle."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from proxy.domain.failure import Category, Severity
from proxy.domain.lifecycle import Role


class JobStatus(StrEnum):
    OPEN = "open"
    PATCH_PROPOSED = "patch_proposed"
    SANDBOXED = "sandboxed"
    APPROVED = "approved"
    APPLIED = "applied"
    RESOLVED = "resolved"
    SNOOZED = "snoozed"
    CLOSED = "closed"


_J = JobStatus
_SIDECAR = frozenset({"proxy"})
_PEOPLE = frozenset({"founder", "admin"})
_FOUNDER = frozenset({"founder"})
_ANY = _SIDECAR | _PEOPLE

JOB_STEPS: dict[tuple[JobStatus, JobStatus], frozenset[Role]] = {
    (_J.OPEN, _J.PATCH_PROPOSED): _SIDECAR,
    (_J.PATCH_PROPOSED, _J.SANDBOXED): _SIDECAR,
    (_J.SANDBOXED, _J.PATCH_PROPOSED): _SIDECAR,
    (_J.SANDBOXED, _J.APPROVED): _SIDECAR,
    (_J.APPROVED, _J.APPLIED): _SIDECAR,
    (_J.APPLIED, _J.RESOLVED): _SIDECAR,
    # a patch was rejected but the bug stays
    (_J.PATCH_PROPOSED, _J.OPEN): _SIDECAR,
    (_J.SANDBOXED, _J.OPEN): _SIDECAR,
    (_J.APPROVED, _J.OPEN): _SIDECAR,
    (_J.APPROVED, _J.PATCH_PROPOSED): _SIDECAR,
    (_J.APPROVED, _J.SANDBOXED): _SIDECAR,
    # the signature fired again, or the patch was rolled back
    (_J.APPLIED, _J.OPEN): _SIDECAR,
    (_J.RESOLVED, _J.OPEN): _SIDECAR,
    # a snooze ends by itself or by hand
    (_J.SNOOZED, _J.OPEN): _ANY,
    (_J.CLOSED, _J.OPEN): _PEOPLE,
    **{(s, _J.SNOOZED): _PEOPLE for s in (_J.OPEN, _J.PATCH_PROPOSED, _J.SANDBOXED, _J.APPROVED)},
    **{
        (s, _J.CLOSED): _PEOPLE
        for s in (
            _J.OPEN,
            _J.PATCH_PROPOSED,
            _J.SANDBOXED,
            _J.APPROVED,
            _J.APPLIED,
            _J.RESOLVED,
            _J.SNOOZED,
        )
    },
}

OPEN_JOB_STATUSES = frozenset(
    {_J.OPEN, _J.PATCH_PROPOSED, _J.SANDBOXED, _J.APPROVED, _J.APPLIED, _J.SNOOZED}
)
"""What ``list_open_jobs`` shows: everything that may still need somebody."""


@dataclass(frozen=True, slots=True)
class Job:
    id: int
    service: str
    environment: str
    method: str | None
    route: str | None
    signature: str
    signature_text: str
    category: Category
    severity: Severity
    status: JobStatus
    occurrences: int
    first_seen: datetime
    last_seen: datetime
    rule: str
    evidence: tuple[str, ...] = ()
    reason: str | None = None
    regression: bool = False
    noise: bool = False
    snoozed_until: datetime | None = None
    trace_id: str | None = None
    related_log_ids: tuple[UUID, ...] = ()
    related_anomaly_ids: tuple[UUID, ...] = ()
    ai_summary: str | None = None
    ai_recommended_actions: tuple[str, ...] = field(default_factory=tuple)
    closed_reason: str | None = None
    applied_at: datetime | None = None
    resolved_at: datetime | None = None
    distinct_clients: int = 0
    affected_share: float | None = None
    """Of the service's requests of the last minutes, how many met this bug: 0-1."""
    told_severity: Severity = Severity.LOW
    """What the classifier said; ``severity`` is this, raised by how far the bug reaches."""
    releases: tuple[str, ...] = ()

    @property
    def bug(self) -> str:
        """What is broken: the signature's text without its category, which stands beside it, and
        with the route's capitals.
        """
        text = self.signature_text.removeprefix(f"{self.category} | ")
        route = " ".join(part for part in (self.method, self.route) if part)
        return route + text[len(route) :] if text.startswith(f"{route.lower()} ") else text

"""Approval requests ``A-<n>``, the decisions on them, and the acts that follow a decision."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from proxy.domain.failure import Severity


class ItemType(StrEnum):
    CLAIM = "claim"
    CAMPAIGN = "campaign"
    EMAIL = "email"
    AUTOMATION = "automation"
    BRAND_CHANGE = "brand_change"
    OVERRIDE = "override"
    PATCH_SANDBOX = "patch_sandbox"
    PATCH_MAIN = "patch_main"


class ApprovalStatus(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    DEFERRED = "deferred"
    EXPIRED = "expired"
    VOID = "void"
    """Digest, base or evidence changed after the request was made."""


Verdict = Literal["approve", "reject", "defer"]


@dataclass(frozen=True, slots=True)
class Decision:
    decision: Verdict
    actor: str
    actor_role: str
    decided_at: datetime
    reason: str | None = None
    interactive: bool = True


@dataclass(frozen=True, slots=True)
class Approval:
    id: int
    service: str
    item_type: ItemType
    status: ApprovalStatus
    summary: str
    risk_level: Severity
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    digest: str | None = None
    evidence_digest: str | None = None
    job_id: int | None = None
    patch_id: int | None = None
    details: dict[str, Any] = field(default_factory=dict)
    decision: Decision | None = None


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a member's name and the role Postgres gave it, and how the deed came in."""

    name: str
    role: str
    origin: str = "api"
    interactive: bool = True


@dataclass(frozen=True, slots=True)
class Granted:
    approval_id: int


@dataclass(frozen=True, slots=True)
class Denied:
    """An expected refusal is a value. ``code`` is stable, ``reason`` is a sentence for people."""

    code: str
    reason: str

"""Approvals and the founder's deeds: skeleton of the public API (bodies follow)."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import asyncpg

from proxy.domain.approval import Approval, ApprovalStatus, ItemType, Verdict
from proxy.domain.failure import Severity

DeedKind = Literal["sandbox", "apply", "rollback", "break_glass"]


@dataclass(frozen=True, slots=True)
class Deed:
    id: int
    kind: DeedKind
    patch_id: int
    digest: str
    evidence_digest: str | None
    idempotency_key: str
    actor: str
    actor_role: str
    decided_at: datetime
    reason: str | None = None
    interactive: bool = True
    status: Literal["pending", "done", "failed"] = "pending"
    result: dict[str, Any] = field(default_factory=dict)
    finished_at: datetime | None = None


async def request(
    conn: asyncpg.Connection,
    *,
    service: str,
    item_type: ItemType,
    summary: str,
    risk_level: Severity,
    created_by: str,
    risk_score: int = 0,
    expires_at: datetime | None = None,
    digest: str | None = None,
    evidence_digest: str | None = None,
    job_id: int | None = None,
    patch_id: int | None = None,
    details: dict[str, Any] | None = None,
    idempotency_key: str | None = None,
) -> Approval:
    raise NotImplementedError


async def decide(
    conn: asyncpg.Connection,
    approval_id: int,
    decision: Verdict,
    *,
    digest: str | None,
    evidence_digest: str | None,
    reason: str | None,
    idempotency_key: str,
    interactive: bool = True,
    details: dict[str, Any] | None = None,
) -> Approval:
    """Decides once; moves no patch (the caller steps it in the same transaction)."""
    raise NotImplementedError


async def get_approval(conn: asyncpg.Connection, approval_id: int) -> Approval:
    raise NotImplementedError


async def list_approvals(
    conn: asyncpg.Connection,
    statuses: Collection[ApprovalStatus] | None = None,
    *,
    patch_id: int | None = None,
    limit: int = 200,
) -> list[Approval]:
    raise NotImplementedError


async def expire(conn: asyncpg.Connection, now: datetime) -> list[int]:
    raise NotImplementedError


async def void_stale(conn: asyncpg.Connection, patch_id: int) -> list[int]:
    raise NotImplementedError


async def record_deed(
    conn: asyncpg.Connection,
    kind: DeedKind,
    patch_id: int,
    digest: str,
    evidence_digest: str | None,
    idempotency_key: str,
    reason: str | None = None,
    interactive: bool = True,
) -> Deed:
    raise NotImplementedError


async def pending_deeds(conn: asyncpg.Connection) -> list[Deed]:
    raise NotImplementedError


async def finish_deed(
    conn: asyncpg.Connection, deed_id: int, ok: bool, result: dict[str, Any]
) -> Deed:
    raise NotImplementedError


async def get_deed_by_key(conn: asyncpg.Connection, key: str) -> Deed | None:
    raise NotImplementedError

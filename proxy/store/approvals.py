"""Approval requests, their decisions, and the founder's deeds. Gates are enforced below, in
triggers and checks.

A decision is a row that can be written once; a deed is an order the sidecar carries out once.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import asyncpg

from proxy.domain.approval import Approval, ApprovalStatus, Decision, ItemType, Verdict
from proxy.domain.failure import Severity
from proxy.errors import Conflict, NotFound
from proxy.store.statements import sql
from proxy.store.text import clip, jsonable

DeedKind = Literal["sandbox", "apply", "rollback", "break_glass"]
SUMMARY_CHARS_MAX = 500
REASON_CHARS_MAX = 4000


@dataclass(frozen=True, slots=True)
class Deed:
    """What the founder ordered for one digest, and what came of it."""

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
    """Ask. For a patch, digest, risk, job and service come from the patch itself, whatever is
    passed.

    Expires after 7 days unless said. ``Conflict``: ``exists`` (one is waiting already),
    ``gate_missing`` (gate main before a passed sandbox), ``digest_changed``, ``key_reused``. A
    repeated key answers the first request, when it is the same one of the same requester.
    """
    approval_id = await conn.fetchval(
        sql("approvals.request"),
        service,
        item_type.value,
        clip(summary, SUMMARY_CHARS_MAX),
        risk_level.value,
        risk_score,
        clip(created_by, 200),
        expires_at,
        digest,
        evidence_digest,
        job_id,
        patch_id,
        jsonable(details or {}),
        idempotency_key,
    )
    if approval_id is None:
        approval_id = await conn.fetchval(
            sql("approvals.request_by_key"),
            idempotency_key,
            item_type.value,
            digest,
            patch_id,
            clip(created_by, 200),
        )
        if approval_id is None:
            raise Conflict("this idempotency key belongs to another request", code="key_reused")
    return await get_approval(conn, approval_id)


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
    signature: str | None = None,
) -> Approval:
    """Decide once. Moves the approval and no patch: the caller steps the patch in the same
    transaction.

    The same key with the same decision answers what was decided then. ``Conflict``:
    ``already_decided``, ``expired``, ``digest_changed``, ``gate_missing``, ``key_reused``;
    ``NotPermitted``; ``Invalid`` for a rejection without a reason.
    """
    earlier = await conn.fetchrow(sql("approvals.decision_by_key"), idempotency_key)
    if earlier is not None:
        told = earlier["approval_id"], earlier["decision"], earlier["digest"], earlier["mine"]
        if told != (approval_id, decision, digest, True):
            raise Conflict("this idempotency key belongs to another decision", code="key_reused")
        return await get_approval(conn, approval_id)
    await conn.fetchval(
        sql("approvals.decide"),
        approval_id,
        decision,
        clip(reason, REASON_CHARS_MAX),
        interactive,
        digest,
        evidence_digest,
        idempotency_key,
        jsonable(details or {}),
        signature,
    )
    return await get_approval(conn, approval_id)


async def get_approval(conn: asyncpg.Connection, approval_id: int) -> Approval:
    row = await conn.fetchrow(sql("approvals.get"), approval_id)
    if row is None:
        raise NotFound(f"there is no approval A-{approval_id}")
    return _approval(row)


async def list_approvals(
    conn: asyncpg.Connection,
    statuses: Collection[ApprovalStatus] | None = None,
    *,
    patch_id: int | None = None,
    limit: int = 200,
) -> list[Approval]:
    """Newest first."""
    wanted = None if statuses is None else [s.value for s in statuses]
    return [_approval(r) for r in await conn.fetch(sql("approvals.list"), wanted, patch_id, limit)]


async def expire(conn: asyncpg.Connection, now: datetime) -> list[int]:
    """Close what nobody answered in time: expiry means no. Acts as proxy."""
    return [row["id"] for row in await conn.fetch(sql("approvals.expire"), now)]


async def void_stale(conn: asyncpg.Connection, patch_id: int) -> list[int]:
    """Void approvals whose digest or evidence is no longer the patch's. Triggers do it too."""
    return [row["id"] for row in await conn.fetch(sql("approvals.void_stale"), patch_id)]


async def record_deed(
    conn: asyncpg.Connection,
    kind: DeedKind,
    patch_id: int,
    digest: str,
    evidence_digest: str | None,
    idempotency_key: str,
    reason: str | None = None,
    interactive: bool = True,
    signature: str | None = None,
) -> Deed:
    """An order, on the founder's own login (an admin's for ``sandbox`` where the switch is on).

    The same key answers the deed of then. ``Conflict``: ``digest_changed``, ``gate_missing`` (the
    patch is not in a state for it), ``exists`` (one of this kind is still pending), ``key_reused``.
    """
    earlier = await get_deed_by_key(conn, idempotency_key)
    if earlier is not None:
        if (earlier.kind, earlier.patch_id, earlier.digest) != (kind, patch_id, digest):
            raise Conflict("this idempotency key belongs to another deed", code="key_reused")
        return earlier
    row = await conn.fetchrow(
        sql("approvals.record_deed"),
        kind,
        patch_id,
        digest,
        evidence_digest,
        idempotency_key,
        clip(reason, REASON_CHARS_MAX),
        interactive,
        signature,
    )
    return _deed(row)


async def signature_at_main(conn: asyncpg.Connection, patch_id: int) -> tuple[str, str] | None:
    """Who let this patch past gate main, and with what signature; None when nobody signed."""
    row = await conn.fetchrow(sql("approvals.signature_at_main"), patch_id)
    return None if row is None else (row["actor"], row["signature"])


async def pending_deeds(conn: asyncpg.Connection) -> list[Deed]:
    """Orders not yet carried out, oldest first."""
    return [_deed(row) for row in await conn.fetch(sql("approvals.pending_deeds"))]


async def deeds_of(conn: asyncpg.Connection, patch_id: int) -> list[Deed]:
    return [_deed(row) for row in await conn.fetch(sql("approvals.deeds_of"), patch_id)]


async def finish_deed(
    conn: asyncpg.Connection, deed_id: int, ok: bool, result: dict[str, Any]
) -> Deed:
    """What came of it, once; ``Conflict`` (``already_decided``) the second time."""
    row = await conn.fetchrow(
        sql("approvals.finish_deed"), deed_id, "done" if ok else "failed", jsonable(result)
    )
    if row is None:
        raise NotFound(f"there is no deed {deed_id}")
    return _deed(row)


async def get_deed_by_key(conn: asyncpg.Connection, key: str) -> Deed | None:
    row = await conn.fetchrow(sql("approvals.deed_by_key"), key)
    return None if row is None else _deed(row)


def _deed(row: asyncpg.Record) -> Deed:
    return Deed(**{name: row[name] for name in Deed.__dataclass_fields__})


def _approval(row: asyncpg.Record) -> Approval:
    decision = None
    if row["decision"] is not None:
        decision = Decision(
            row["decision"],
            row["actor"],
            row["actor_role"],
            row["decided_at"],
            row["decision_reason"],
            row["interactive"],
        )
    return Approval(
        id=row["id"],
        service=row["service"],
        item_type=ItemType(row["item_type"]),
        status=ApprovalStatus(row["status"]),
        summary=row["summary"],
        risk_level=Severity(row["risk_level"]),
        created_by=row["created_by"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        digest=row["digest"],
        evidence_digest=row["evidence_digest"],
        job_id=row["job_id"],
        patch_id=row["patch_id"],
        details=row["details"],
        decision=decision,
    )

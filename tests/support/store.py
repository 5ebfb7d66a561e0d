"""Builders for store tests: a failure, its classification, and a patch walked along its way."""

import uuid
from datetime import UTC, datetime
from typing import Any

import asyncpg

from proxy.domain.approval import Approval, ItemType
from proxy.domain.failure import Category, Classification, Failure, Severity, Signature
from proxy.domain.patch import Patch, PatchStatus, PatchType, Risk
from proxy.store import approvals, jobs, patches
from proxy.store.pool import AS_PROXY, acting
from tests.support.postgres import TestDatabase

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LOW = Risk(5, Severity.LOW, ("small",))


def failure(**changes: Any) -> Failure:
    fields: dict[str, Any] = {
        "service": "app",
        "occurred_at": WHEN,
        "message": "boom",
        "method": "GET",
        "route": "/orders/{id}",
        "status": 500,
        "trace_id": "a" * 32,
    }
    return Failure(**fields | changes)


def classified(signature: str = "v1:0123456789abcdef", **changes: Any) -> Classification:
    fields: dict[str, Any] = {
        "category": Category.DB_ERROR,
        "severity": Severity.HIGH,
        "rule": "db.unique",
        "signature": Signature(signature),
        "signature_text": "UniqueViolation in orders",
    }
    return Classification(**fields | changes)


def key() -> str:
    return uuid.uuid4().hex


async def new_job(proxy: asyncpg.Connection, signature: str = "v1:0123456789abcdef") -> int:
    async with acting(proxy, AS_PROXY) as conn:
        return (await jobs.record_failure(conn, failure(), classified(signature))).job.id


async def new_patch(
    proxy: asyncpg.Connection, job_id: int, diff: str = "--- a\n+++ b\n", risk: Risk = LOW
) -> Patch:
    async with acting(proxy, AS_PROXY) as conn:
        return await patches.attach(
            conn,
            job_id,
            patch_type=PatchType.CODE,
            description="one line",
            diff=diff,
            sql=None,
            base_commit="c0ffee0",
            files_changed=("a",),
            risk=risk,
            payload={},
            created_by="ada",
        )


def evidence_for(patch: Patch) -> dict[str, Any]:
    return {"digest": patch.digest, "passed": True, "duration_s": 0.25, "verdict": "fïxed"}


async def step(
    conn: asyncpg.Connection, actor: Any, patch: Patch, new: PatchStatus, **more: Any
) -> Patch:
    async with acting(conn, actor) as inside:
        return await patches.step_patch(inside, patch.id, patch.status, new, **more)


async def run_sandbox(
    db: TestDatabase, proxy: asyncpg.Connection, founder: asyncpg.Connection, patch: Patch
) -> Patch:
    """proposed → sandbox_passed, by the founder's sandbox deed."""
    async with acting(founder, db.actor("founder")) as conn:
        deed = await approvals.record_deed(conn, "sandbox", patch.id, patch.digest, None, key())
    patch = await step(proxy, AS_PROXY, patch, PatchStatus.SANDBOX_RUNNING, sandbox_branch="b")
    patch = await step(
        proxy, AS_PROXY, patch, PatchStatus.SANDBOX_PASSED, evidence=evidence_for(patch)
    )
    async with acting(proxy, AS_PROXY) as conn:
        await approvals.finish_deed(conn, deed.id, True, {"ok": True})
    return patch


async def ask_main(proxy: asyncpg.Connection, patch: Patch) -> Approval:
    async with acting(proxy, AS_PROXY) as conn:
        return await approvals.request(
            conn,
            service="app",
            item_type=ItemType.PATCH_MAIN,
            summary="apply?",
            risk_level=Severity.LOW,
            created_by="sidecar",
            patch_id=patch.id,
        )


async def approve(
    db: TestDatabase, founder: asyncpg.Connection, approval: Approval, patch: Patch
) -> Patch:
    """sandbox_passed → approved, decision and step in one transaction."""
    async with acting(founder, db.actor("founder")) as conn:
        await approvals.decide(
            conn,
            approval.id,
            "approve",
            digest=patch.digest,
            evidence_digest=patch.evidence_digest,
            reason=None,
            idempotency_key=key(),
        )
        return await patches.step_patch(
            conn, patch.id, PatchStatus.SANDBOX_PASSED, PatchStatus.APPROVED
        )

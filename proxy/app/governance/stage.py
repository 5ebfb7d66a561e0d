"""What the attacks find: one patch in every state that has a gate, one item of every kind.

Built as the product builds it, by the sidecar's and the founder's own logins; ``facts`` names it
all for the statements in ``sql/attacks``.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import asyncpg

from proxy.clock import SystemClock
from proxy.domain.approval import Actor, Approval, ItemType
from proxy.domain.failure import Category, Classification, Failure, Severity, Signature
from proxy.domain.job import JobStatus
from proxy.domain.patch import Patch, PatchStatus, PatchType, Risk
from proxy.store import approvals, jobs, patches
from proxy.store.pool import AS_PROXY, acting, connect
from proxy.store.scratch import IDENTITIES, MEMBERS, Scratch
from proxy.store.statements import sql

_P = PatchStatus
SERVICE = "app"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ITEMS: tuple[tuple[str, ItemType, Severity], ...] = (
    ("claim", ItemType.CLAIM, Severity.LOW),
    ("override", ItemType.OVERRIDE, Severity.LOW),
    ("campaign", ItemType.CAMPAIGN, Severity.MEDIUM),
    ("critical", ItemType.CAMPAIGN, Severity.CRITICAL),
    ("rejected", ItemType.EMAIL, Severity.HIGH),
)
LOGINS = (*MEMBERS, "proxy", "stranger")


@dataclass(slots=True)
class Stage:
    """``logins``: an open connection each; ``facts``: what the attacks may name."""

    scratch: Scratch
    logins: dict[str, asyncpg.Connection]
    facts: dict[str, object] = field(default_factory=dict)

    def actor(self, role: str) -> Actor:
        if role in ("proxy", "reader"):
            return AS_PROXY if role == "proxy" else Actor("sidecar", "viewer", "sidecar")
        return Actor(MEMBERS[role], role, "doctor")


@asynccontextmanager
async def open_stage(scratch: Scratch) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        logins = {}
        for role in LOGINS:
            logins[role] = conn = await connect(scratch.logins[role], schema=scratch.schema)
            stack.push_async_callback(conn.close, timeout=5)
        logins["reader"] = logins["proxy"]
        stage = Stage(scratch, logins)
        await _furnish(stage)
        yield stage


async def _furnish(stage: Stage) -> None:
    stage.facts |= MEMBERS
    stage.facts |= {f"identity_{name}": identity for name, identity in IDENTITIES.items()}
    for name in ("proposed", "failed", "running", "passed", "expired", "approved", "applied"):
        patch = await _patch(stage, name)
        stage.facts[f"patch_{name}"] = patch.id
        stage.facts[f"digest_{name}"] = patch.digest
        stage.facts[f"evidence_{name}"] = patch.evidence_digest
        stage.facts[f"job_{name}"] = patch.job_id
    stage.facts["job"] = stage.facts["job_proposed"]
    for name, item, risk in ITEMS:
        asked = await _ask(stage, item, risk=risk)
        stage.facts[f"ask_{name}"], stage.facts[f"digest_{name}"] = asked.id, asked.digest
    await _decide(stage, int(str(stage.facts["ask_rejected"])), "reject")
    async with acting(stage.logins["proxy"], AS_PROXY) as conn:
        stage.facts |= dict(await conn.fetchrow(sql("governance.facts")))
    installer = await connect(stage.scratch.installer_dsn, schema=stage.scratch.schema)
    stage.facts["installer"] = await installer.fetchval("select session_user")
    await installer.close(timeout=5)


async def _patch(stage: Stage, name: str) -> Patch:
    """A job of its own with one patch, walked as far as its name says."""
    patch = await _propose(stage, name)
    if name == "proposed":
        stage.facts["ask_sandbox"] = (await _ask(stage, ItemType.PATCH_SANDBOX, patch=patch)).id
        return patch
    deed = await _order(stage, "sandbox", patch)
    patch = await _step(stage, "proxy", patch, _P.SANDBOX_RUNNING)
    if name == "running":
        return patch
    passed = name != "failed"
    evidence = {"digest": patch.digest, "passed": passed, "verdict": name}
    after = _P.SANDBOX_PASSED if passed else _P.SANDBOX_FAILED
    async with acting(stage.logins["proxy"], AS_PROXY) as conn:
        patch = await patches.step_patch(conn, patch.id, patch.status, after, evidence=evidence)
        await approvals.finish_deed(conn, deed, True, {})
    if not passed:
        return patch
    expires = LONG_AGO if name == "expired" else None
    asked = await _ask(stage, ItemType.PATCH_MAIN, patch=patch, expires_at=expires)
    stage.facts[f"ask_{'main' if name == 'passed' else name}"] = asked.id
    if name in ("passed", "expired"):
        return patch
    patch = await _approve(stage, asked, patch)
    if name == "applied":
        await _order(stage, "apply", patch)
        patch = await _step(stage, "proxy", patch, _P.APPLIED)
    return patch


async def _propose(stage: Stage, name: str) -> Patch:
    failure = Failure(SERVICE, SystemClock().now(), f"boom: {name}", method="GET", route="/x")
    kind = Classification(
        Category.DB_ERROR, Severity.HIGH, "doctor", Signature(f"v1:{secrets.token_hex(8)}"), name
    )
    async with acting(stage.logins["proxy"], AS_PROXY) as conn:
        job = (await jobs.record_failure(conn, failure, kind)).job
        patch = await patches.attach(
            conn,
            job.id,
            patch_type=PatchType.CODE,
            description=name,
            diff=f"--- a/{name}\n+++ b/{name}\n",
            sql=None,
            base_commit="c0ffee0",
            files_changed=(name,),
            risk=Risk(45, Severity.HIGH, ("large",))
            if name in ("passed", "proposed")
            else Risk(5, Severity.LOW, ("small",)),
            payload={"from": "doctor"},
            created_by="doctor",
        )
        status = JobStatus.OPEN
        for rung in (JobStatus.PATCH_PROPOSED, JobStatus.SANDBOXED, JobStatus.APPROVED):
            if name == "approved":
                await jobs.step_job(conn, job.id, rung, old=status)
                status = rung
        return patch


async def _ask(
    stage: Stage,
    item: ItemType,
    *,
    patch: Patch | None = None,
    risk: Severity = Severity.LOW,
    expires_at: datetime | None = None,
) -> Approval:
    async with acting(stage.logins["proxy"], AS_PROXY) as conn:
        return await approvals.request(
            conn,
            service=SERVICE,
            item_type=item,
            summary=f"{item} of {risk} risk",
            risk_level=risk,
            created_by="doctor",
            digest=secrets.token_hex(32) if patch is None else None,
            patch_id=None if patch is None else patch.id,
            details={"said": "in confidence"},
            expires_at=expires_at or SystemClock().now() + timedelta(hours=1),
        )


async def _decide(stage: Stage, approval_id: int, word: str) -> None:
    async with acting(stage.logins["founder"], stage.actor("founder")) as conn:
        asked = await approvals.get_approval(conn, approval_id)
        await approvals.decide(
            conn,
            approval_id,
            "approve" if word == "approve" else "reject",
            digest=asked.digest,
            evidence_digest=asked.evidence_digest,
            reason="said in confidence",
            idempotency_key=str(stage.facts.setdefault("used_key", secrets.token_hex(16)))
            if word == "reject"
            else secrets.token_hex(16),
        )


async def _approve(stage: Stage, asked: Approval, patch: Patch) -> Patch:
    await _decide(stage, asked.id, "approve")
    return await _step(stage, "founder", patch, _P.APPROVED)


async def _order(stage: Stage, kind: approvals.DeedKind, patch: Patch) -> int:
    async with acting(stage.logins["founder"], stage.actor("founder")) as conn:
        key = secrets.token_hex(16)
        evidence = patch.evidence_digest
        deed = await approvals.record_deed(conn, kind, patch.id, patch.digest, evidence, key)
        return deed.id


async def _step(stage: Stage, role: str, patch: Patch, new: PatchStatus) -> Patch:
    async with acting(stage.logins[role], stage.actor(role)) as conn:
        return await patches.step_patch(conn, patch.id, patch.status, new)

"""FounderApprovalEngine: one queue for all eight item types; request, decide, expire, statistics.

It decides nothing itself: the pure policy says what may be automatic and whose yes counts, the
database refuses what it should have refused. Every call is one transaction of the caller's own
connection, so a decision, the patch step it causes and their audit rows stand or fall together.
"""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from proxy.clock import Clock, SystemClock
from proxy.domain.approval import (
    Actor,
    Approval,
    ApprovalStatus,
    Denied,
    ItemType,
    Verdict,
)
from proxy.domain.job import JobStatus
from proxy.domain.patch import (
    BEFORE_APPLIED,
    LIVE_PATCH_STATUSES,
    Patch,
    PatchStatus,
    canonical_json,
    risk_level,
)
from proxy.errors import Conflict, NotPermitted
from proxy.founder import control as control_rules
from proxy.founder.control import Firing, FounderControlConfig, Subject
from proxy.founder.policy import Switches, may_decide, verdict
from proxy.founder.signed import check_decision
from proxy.store import approvals as approval_store
from proxy.store import audit as audit_store
from proxy.store import control as control_store
from proxy.store import jobs as job_store
from proxy.store import patches as patch_store

PENDING_READ_MAX = 1000
PATCH_ITEMS = frozenset({ItemType.PATCH_SANDBOX, ItemType.PATCH_MAIN})
UNDECIDED = frozenset({ApprovalStatus.PENDING, ApprovalStatus.DEFERRED})


@dataclass(frozen=True, slots=True)
class Item:
    """What somebody wants a yes for; patches get theirs from the healer."""

    service: str
    item_type: ItemType
    summary: str
    details: dict[str, Any] = field(default_factory=dict)
    risk_score: int = 0
    job_id: int | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """A decision as it was given, with everything that was shown to whoever gave it."""

    decision: Verdict
    digest: str
    idempotency_key: str
    evidence_digest: str | None = None
    reason: str | None = None
    interactive: bool = True
    unseen_hunks: int = 0
    keep_job_open: bool = False
    signature: str | None = None


class RuleRefused(NotPermitted):
    """A rule of the founder's stood against this yes; ``fired`` names all that matched."""

    def __init__(self, sentence: str, fired: tuple[str, ...], version: int) -> None:
        super().__init__(sentence)
        self.fired = fired
        self.version = version


@dataclass(frozen=True, slots=True)
class Decided:
    approval: Approval
    patch: Patch | None = None
    job_closed: bool = False


@dataclass(frozen=True, slots=True)
class Statistics:
    """Pending by level and by type, and the oldest."""

    pending: int
    by_level: dict[str, int]
    by_type: dict[str, int]
    oldest: datetime | None


def item_digest(item: Item) -> str:
    """What a decision on a non-patch item binds: SHA-256 of its canonical content."""
    content = {
        "item_type": item.item_type.value,
        "summary": item.summary,
        "details": item.details,
        "risk_score": item.risk_score,
        "job_id": item.job_id,
    }
    return hashlib.sha256(canonical_json(content)).hexdigest()


class FounderApprovalEngine:
    """``auto_approve_sandbox`` matters only where configuration and database both say so."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        approval_days: float = 7.0,
        auto_approve_sandbox: Callable[[], bool] = lambda: False,
        signers: str = "",
    ) -> None:
        """``signers``: the file of keys, where a yes at gate main is signed."""
        self._clock = clock or SystemClock()
        self._life = timedelta(days=approval_days)
        self._auto_approve_sandbox = auto_approve_sandbox
        self._signers = signers

    async def request(self, conn: asyncpg.Connection, actor: Actor, item: Item) -> Approval:
        """File an item. Its risk is the requester's score, raised by the founder's rules; never
        lowered.
        """
        config = await control_rules.load(conn)
        firing = config.judge(
            Subject(item.item_type, author=actor.name),
            risk_level(item.risk_score),
            self._clock.now(),
        )
        filed = await approval_store.request(
            conn,
            service=item.service,
            item_type=item.item_type,
            summary=item.summary,
            risk_level=firing.risk,
            risk_score=item.risk_score,
            created_by=actor.name,
            expires_at=self._clock.now() + self._life,
            digest=item_digest(item),
            job_id=item.job_id,
            details={**item.details, **_named(firing)},
            idempotency_key=item.idempotency_key,
        )
        await _note(conn, filed.id, "request", firing.fired, config.version)
        return filed

    async def answer_by_policy(
        self, conn: asyncpg.Connection, approval: Approval, score: int
    ) -> Approval:
        """Let the policy (``conn`` acts as it) answer what it may: approved, or as it was."""
        config = await control_rules.load(conn)
        # by what the patch touches, too: a rule about paths holds the policy as it holds people
        subject = await _subject(conn, approval, await self._patch_of(conn, approval))
        firing = config.judge(subject, approval.risk_level, self._clock.now())
        kind = str(approval.details.get("kind", ""))
        allowed = verdict(
            approval.item_type, firing.risk, "policy", await self.switches(conn), kind=kind
        )
        by_rule = firing.forbidden_by or firing.ask_twice_by or firing.assigned_to
        held = by_rule or score > config.auto_risk_max
        if by_rule and allowed == "auto":
            await _note(conn, approval.id, "policy", firing.fired, config.version)
        if approval.status is not ApprovalStatus.PENDING or allowed != "auto" or held:
            return approval
        return await approval_store.decide(
            conn,
            approval.id,
            "approve",
            digest=approval.digest,
            evidence_digest=approval.evidence_digest,
            reason=f"risk {firing.risk}: approved by policy",
            idempotency_key=f"policy-{approval.id}",
            interactive=False,
        )

    async def decide(
        self, conn: asyncpg.Connection, actor: Actor, approval_id: int, answered: Answered
    ) -> Decided:
        """Record one decision and take the patch step it means.

        ``NotPermitted`` when this actor's word does not count, ``Conflict`` when anything changed
        since it was shown. A ``reject`` also ends a patch whose gate was answered already.
        """
        approval = await approval_store.get_approval(conn, approval_id)
        patch = await self._patch_of(conn, approval)
        if approval.status not in UNDECIDED and not await self._closes_patch(answered, patch):
            return await self._repeated(conn, approval, patch, answered)
        _check_digests(approval, patch, answered)
        firing = await self._check_may(conn, actor, approval, patch, answered)
        if approval.item_type is ItemType.PATCH_MAIN and answered.decision == "approve" and patch:
            check_decision(self._signers, patch, actor.name, answered.signature)
        if approval.status in UNDECIDED:
            approval = await approval_store.decide(
                conn,
                approval.id,
                answered.decision,
                digest=answered.digest,
                evidence_digest=approval.evidence_digest or answered.evidence_digest,
                reason=answered.reason,
                idempotency_key=answered.idempotency_key,
                interactive=answered.interactive,
                details={"unseen_hunks": answered.unseen_hunks, **_named(firing)},
                signature=answered.signature,
            )
        if patch is None or answered.decision == "defer":
            return Decided(approval, patch)
        if answered.decision == "approve":
            return Decided(approval, await self._approve_patch(conn, approval, patch, answered))
        return await self._reject_patch(conn, approval, patch, answered)

    async def expire(self, conn: asyncpg.Connection) -> list[int]:
        """Close what nobody answered in time; expiry means no."""
        return await approval_store.expire(conn, self._clock.now())

    async def statistics(self, conn: asyncpg.Connection) -> Statistics:
        waiting = await approval_store.list_approvals(conn, UNDECIDED, limit=PENDING_READ_MAX)
        return Statistics(
            len(waiting),
            dict(Counter(item.risk_level.value for item in waiting)),
            dict(Counter(item.item_type.value for item in waiting)),
            min((item.created_at for item in waiting), default=None),
        )

    async def switches(self, conn: asyncpg.Connection) -> Switches:
        """The gate switches of the database, narrowed by the configuration."""
        stored = await control_store.get_switches(conn)
        return Switches(
            stored.get("auto_approve_sandbox", False) and self._auto_approve_sandbox(),
            stored.get("admin_sandbox", False),
        )

    async def _check_may(
        self,
        conn: asyncpg.Connection,
        actor: Actor,
        approval: Approval,
        patch: Patch | None,
        answered: Answered,
    ) -> Firing:
        config: FounderControlConfig = await control_rules.load(conn)
        subject = await _subject(conn, approval, patch)
        firing = config.judge(subject, approval.risk_level, self._clock.now())
        switches = await self.switches(conn)
        told = may_decide(approval.item_type, firing.risk, actor.role, switches, answered.decision)
        if isinstance(told, Denied):
            raise NotPermitted(told.reason)
        against = _against(firing, actor, answered)
        if against is not None:
            raise RuleRefused(f"the founder's rules: {against}", firing.fired, config.version)
        return firing

    @staticmethod
    async def _patch_of(conn: asyncpg.Connection, approval: Approval) -> Patch | None:
        if approval.item_type not in PATCH_ITEMS or approval.patch_id is None:
            return None
        return await patch_store.get_patch(conn, approval.patch_id)

    @staticmethod
    async def _closes_patch(answered: Answered, patch: Patch | None) -> bool:
        return (
            answered.decision == "reject"
            and patch is not None
            and patch.status in LIVE_PATCH_STATUSES
        )

    @staticmethod
    async def _repeated(
        conn: asyncpg.Connection, approval: Approval, patch: Patch | None, answered: Answered
    ) -> Decided:
        """The same answer once more is the same answer; another one comes too late."""
        same = {"approve": ApprovalStatus.APPROVED, "reject": ApprovalStatus.REJECTED}
        ended = patch is not None and patch.status is PatchStatus.REJECTED
        repeated = approval.status is same.get(answered.decision) or (
            answered.decision == "reject" and ended
        )
        if repeated and approval.digest in (None, answered.digest):
            return Decided(approval, patch)
        decision = approval.decision
        by = "" if decision is None else f" by {decision.actor}"
        raise Conflict(f"A-{approval.id} is {approval.status}{by} already", code="already_decided")

    @staticmethod
    async def _approve_patch(
        conn: asyncpg.Connection, approval: Approval, patch: Patch, answered: Answered
    ) -> Patch:
        if approval.item_type is not ItemType.PATCH_MAIN:
            return patch
        if patch.status is not PatchStatus.SANDBOX_PASSED:
            raise Conflict(
                f"P-{patch.id} is {patch.status}; only a passed sandbox opens the gate to MAIN",
                code="sandbox_first",
            )
        return await patch_store.step_patch(
            conn,
            patch.id,
            PatchStatus.SANDBOX_PASSED,
            PatchStatus.APPROVED,
            reason=answered.reason,
        )

    @staticmethod
    async def _reject_patch(
        conn: asyncpg.Connection, approval: Approval, patch: Patch, answered: Answered
    ) -> Decided:
        if patch.status in BEFORE_APPLIED:
            patch = await patch_store.step_patch(
                conn, patch.id, patch.status, PatchStatus.REJECTED, reason=answered.reason
            )
        closed = False
        if not answered.keep_job_open:
            others = await patch_store.list_patches(conn, patch.job_id, LIVE_PATCH_STATUSES)
            job = await job_store.get_job(conn, patch.job_id)
            stays = any(other.id != patch.id for other in others)
            if not stays and job.status in _CLOSABLE:
                reason = answered.reason or f"P-{patch.id} was rejected"
                await job_store.step_job(
                    conn, job.id, JobStatus.CLOSED, old=job.status, reason=reason
                )
                closed = True
        return Decided(approval, patch, closed)


_CLOSABLE = frozenset(
    {JobStatus.OPEN, JobStatus.PATCH_PROPOSED, JobStatus.SANDBOXED, JobStatus.APPROVED}
)
"""A job whose fix already reached MAIN is not closed by rejecting another patch for it."""


def _check_digests(approval: Approval, patch: Patch | None, answered: Answered) -> None:
    """What was shown must be what stands: item, patch and, at gate ``main``, the evidence."""
    stands = approval.digest if patch is None else patch.digest
    if stands != answered.digest or approval.digest not in (None, answered.digest):
        raise Conflict(
            f"A-{approval.id} is about another content now; look again, then decide",
            code="digest_changed",
        )
    if answered.decision != "approve" or patch is None:
        return
    if approval.item_type is ItemType.PATCH_MAIN and (
        answered.evidence_digest not in (None, patch.evidence_digest)
        or approval.evidence_digest not in (None, patch.evidence_digest)
    ):
        raise Conflict(
            f"the evidence for P-{patch.id} is another one now; look again, then decide",
            code="evidence_changed",
        )


def _against(firing: Firing, actor: Actor, answered: Answered) -> str | None:
    """What the rules have against this answer; a no is always welcome."""
    if answered.decision != "approve":
        return None
    if firing.forbidden_by is not None:
        return f"{firing.forbidden_by!r} forbids this"
    if firing.ask_twice_by is not None and not answered.interactive:
        return f"{firing.ask_twice_by!r} wants this yes at a terminal"
    if firing.assigned_to not in (None, actor.name) and actor.role != "founder":
        return f"this is {firing.assigned_to}'s or the founder's to decide"
    return None


async def _note(
    conn: asyncpg.Connection, approval_id: int, where: str, fired: tuple[str, ...], version: int
) -> None:
    """Every firing is named in the audit; a decision names its own in its own line."""
    if fired:
        after = {"rules": list(fired), "version": version, "where": where}
        await audit_store.append(conn, "rule.fired", f"A-{approval_id}", after=after)


async def note_refusal(conn: asyncpg.Connection, approval_id: int, refused: RuleRefused) -> None:
    """A refused decision leaves no row: its transaction is gone, so this one is of its own."""
    await _note(conn, approval_id, "refused", refused.fired, refused.version)


def _named(firing: Firing) -> dict[str, Any]:
    return {"control_rules": list(firing.fired)} if firing.fired else {}


async def _subject(conn: asyncpg.Connection, approval: Approval, patch: Patch | None) -> Subject:
    if patch is None:
        return Subject(approval.item_type, author=approval.created_by)
    job = await job_store.get_job(conn, patch.job_id)
    return Subject(
        approval.item_type,
        category=job.category,
        route=job.route,
        files=patch.files_changed,
        author=patch.created_by,
    )

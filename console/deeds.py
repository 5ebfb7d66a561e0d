"""What a deed would do, what it takes to confirm it, or why it cannot be done now. Pure: performs
nothing.

Tier 1 acts at once, tier 2 asks yes or no, tier 3 wants the job's number typed. Command line and
console ask the same question because both ask this file. The server checks everything again.
"""

import secrets
from dataclasses import dataclass, replace
from typing import Literal

from console.format import count, short_digest
from console.news import What
from console.proof import summary
from console.wording import in_words, item_text
from proxy.contract.approvals import ApprovalView
from proxy.contract.patches import PatchView

Verb = Literal[
    "sandbox", "approve", "reject", "apply", "rollback", "break the glass",
    "merge", "split", "acknowledge",
]  # fmt: skip
Tier = Literal[1, 2, 3]

_DONE = ("applied", "verified", "regressed")
_LIVE = ("proposed", "sandbox_running", "sandbox_passed", "sandbox_failed", "approved")
_TESTABLE = ("proposed", "sandbox_passed", "sandbox_failed")


@dataclass(frozen=True, slots=True)
class Plan:
    """A deed ready to be confirmed. ``typed`` is the number tier 3 wants, never empty there."""

    verb: Verb
    subject: str
    tier: Tier
    typed: str
    digest: str
    evidence_digest: str | None
    title: str
    lines: tuple[str, ...]
    patch: int | None = None
    approval: int | None = None
    wants_reason: bool = False
    reason_min: int = 1
    """Characters the reason has at least."""
    touches: tuple[What, ...] = ("approvals",)
    """What the screens load again afterwards, beside the patch."""


@dataclass(frozen=True, slots=True)
class CannotDo:
    """An expected refusal is a value. ``first``: the deed on ``subject`` that comes before, which
    each surface names in its own words.
    """

    why: str
    first: Verb | None = None
    subject: str = ""


def new_key() -> str:
    """An idempotency key: one per confirmed deed, the same for every try of it."""
    return f"console-{secrets.token_hex(12)}"


def number_of(shown: str) -> int:
    """``P-12`` → 12, for ids that come from the server."""
    return int(shown.rpartition("-")[2])


def _typed(shown: str) -> str:
    return shown.rpartition("-")[2]


def pending_gate(
    patch: PatchView, gate: Literal["patch_sandbox", "patch_main"]
) -> ApprovalView | None:
    """The undecided approval at this gate, for what the patch is now."""
    for approval in patch.approvals:
        if (
            approval.item_type == gate
            and approval.status in ("pending", "deferred")
            and approval.digest in (None, patch.digest)
        ):
            return approval
    return None


def target(environment: str) -> str:
    return (environment or "unknown environment").upper()


def _about(patch: PatchView) -> list[str]:
    files = ", ".join(patch.files_changed) or ("a SQL migration" if patch.sql else "no file")
    risk = f"risk {patch.risk.level} ({patch.risk.score}/100)"
    return [
        f"{patch.id} of {patch.job_id}, by {patch.created_by}: changes {files}",
        f"digest {short_digest(patch.digest)}, base {short_digest(patch.base_commit)}",
        ": ".join(part for part in (risk, "; ".join(patch.risk.reasons)) if part),
        f"sandbox: {summary(patch)}",
    ]


def _plan(
    patch: PatchView,
    verb: Verb,
    tier: Tier,
    title: str,
    lines: list[str],
    approval: int | None = None,
) -> Plan:
    return Plan(
        verb=verb,
        subject=patch.id,
        tier=tier,
        typed=_typed(patch.job_id),
        digest=patch.digest,
        evidence_digest=patch.evidence_digest,
        title=title,
        lines=tuple(lines),
        patch=number_of(patch.id),
        approval=approval,
    )


def plan_sandbox(patch: PatchView) -> Plan | CannotDo:
    if patch.status == "sandbox_running":
        return CannotDo(f"{patch.id} is in the sandbox already; wait for its outcome")
    if patch.status not in _TESTABLE:
        return CannotDo(
            f"{patch.id} is {in_words(patch.status)}; only a waiting patch runs in the sandbox"
        )
    tier: Tier = 1 if patch.risk.level == "low" else 2
    lines = [*_about(patch)[:3], "runs in isolation; nothing outside the sandbox changes"]
    return _plan(patch, "sandbox", tier, f"SANDBOX {patch.id}", lines)


def plan_approve(patch: PatchView, environment: str, unseen: int = 0) -> Plan | CannotDo:
    """Gate main. ``unseen``: hunks the screen has not shown; said in the question and recorded."""
    if patch.status != "sandbox_passed":
        return _not_yet(patch, "approve", "only a patch that passed the sandbox can be approved")
    gate = pending_gate(patch, "patch_main")
    if gate is None:
        return CannotDo(
            f"no approval for {patch.id} is waiting at gate main yet; look again shortly"
        )
    lines = [*_about(patch), "approving moves nothing; applying is a deed of its own"]
    if unseen:
        lines.append(f"✗ {unseen} hunk(s) of the diff not seen; the audit will say so")
    tier: Tier = 3 if patch.risk.level in ("high", "critical") else 2
    title = f"APPROVE for MAIN ({target(environment)})"
    return _plan(patch, "approve", tier, title, lines, number_of(gate.id))


def _not_yet(patch: PatchView, verb: Verb, rule: str) -> CannotDo:
    """Too early, with what comes first, or too late."""
    said = f"{patch.id} is {in_words(patch.status)}"
    if patch.status == "sandbox_running":
        return CannotDo(f"{said}: {rule}; wait for its outcome")
    if patch.status in _TESTABLE:
        first: Verb = "approve" if patch.status == "sandbox_passed" else "sandbox"
        return CannotDo(f"{said}: {rule}", first, patch.id)
    late = "it is on MAIN already" if patch.status in _DONE else f"there is nothing to {verb}"
    return CannotDo(f"{said}; {late}")


def plan_reject(patch: PatchView) -> Plan | CannotDo:
    if patch.status not in _LIVE:
        return CannotDo(f"{patch.id} is {in_words(patch.status)}; there is nothing to reject")
    gate = pending_gate(patch, "patch_main") or pending_gate(patch, "patch_sandbox")
    if gate is None and patch.approvals:
        gate = max(patch.approvals, key=lambda approval: number_of(approval.id))
    if gate is None:
        return CannotDo(f"no approval of {patch.id} is there to be rejected; look again shortly")
    lines = [*_about(patch)[:1], "closes the patch, and the job when no other live patch is left"]
    plan = _plan(patch, "reject", 2, f"REJECT {patch.id}", lines, number_of(gate.id))
    return replace(plan, wants_reason=True)


def _undo(patch: PatchView) -> str:
    return short_digest(patch.previous_commit or patch.base_commit)


def plan_apply(patch: PatchView, environment: str, traffic: str = "") -> Plan | CannotDo:
    if patch.status != "approved":
        return _not_yet(patch, "apply", "it needs a proof and a yes")
    lines = _about(patch)
    if traffic:
        lines.append(traffic)
    lines.append(f"undo: rollback restores {_undo(patch)}")
    return _plan(patch, "apply", 3, f"APPLY to MAIN ({target(environment)})", lines)


def plan_break_glass(patch: PatchView, environment: str) -> Plan | CannotDo:
    """Past gate main without a proof. Always typed: nothing else here goes around the sandbox."""
    if patch.status not in _TESTABLE:
        return CannotDo(
            f"{patch.id} is {in_words(patch.status)}; only what waits at a gate needs it"
        )
    lines = [
        *_about(patch),
        "✗ nothing proves this patch; everybody is told until somebody acknowledges",
        "this moves nothing; applying is a deed of its own",
    ]
    plan = _plan(patch, "break the glass", 3, f"BREAK THE GLASS ({target(environment)})", lines)
    return replace(plan, wants_reason=True, reason_min=10, touches=("approvals", "alerts"))


def plan_rollback(patch: PatchView, environment: str) -> Plan | CannotDo:
    if patch.status not in _DONE:
        return CannotDo(
            f"{patch.id} is {in_words(patch.status)}; only an applied patch is rolled back"
        )
    lines = [
        *_about(patch)[:2],
        f"MAIN now {short_digest(patch.applied_commit)}; returns to what stood at {_undo(patch)}",
    ]
    return _plan(patch, "rollback", 3, f"ROLL BACK on MAIN ({target(environment)})", lines)


def plan_item(
    item: ApprovalView, verb: Literal["approve", "reject"], environment: str
) -> Plan | CannotDo:
    """A yes or no to any item of the approval engine."""
    if item.status not in ("pending", "deferred"):
        return CannotDo(f"{item.id} is {item.status} already")
    if item.digest is None:
        return CannotDo(f"{item.id} names no digest, so nothing could be bound by a decision")
    heavy = verb == "approve" and item.risk in ("high", "critical")
    return Plan(
        verb=verb,
        subject=item.id,
        tier=3 if heavy else 2,
        typed=_typed(item.job_id or item.id),
        digest=item.digest,
        evidence_digest=item.evidence_digest,
        title=f"{verb.upper()} {item.id}, {item.item_type} ({target(environment)})",
        lines=(item_text(item), f"risk {item.risk}, asked by {item.created_by}"),
        approval=number_of(item.id),
        wants_reason=verb == "reject",
    )


def traffic_words(share: float | None, per_second: float | None) -> str:
    """``about 6 % of traffic (25 req/s)``; nothing when nothing was measured."""
    if share is None:
        return ""
    rate = f" ({per_second:.1f} req/s)" if per_second is not None else ""
    return f"about {count(round(share * 100))} % of traffic{rate}"

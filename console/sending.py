"""One confirmed deed, sent so that it happens at most once: no answer means asking again with the
same key."""

from collections.abc import Callable

from console.client import Client, Deed, Outcome, Unknown
from console.deeds import Plan, new_key
from proxy.contract.approvals import ApprovalDecision
from proxy.contract.patches import DeedRequest, DeedResult

TRIES_MAX = 3
UNKNOWN = "no answer came: unknown, checking with the same key …"


def _quiet(_: str) -> None:
    """Nobody wants to hear."""


async def send_deed(
    client: Client,
    patch: int,
    deed: Deed,
    body: DeedRequest,
    *,
    wait_s: float = 0.0,
    tell: Callable[[str], None] = _quiet,
) -> DeedResult:
    """``Unknown`` only after ``TRIES_MAX`` calls without an answer."""
    for _ in range(TRIES_MAX - 1):
        try:
            return await client.deed(patch, deed, body, wait_s=wait_s)
        except Unknown:
            tell(UNKNOWN)
    return await client.deed(patch, deed, body, wait_s=wait_s)


async def send_decision(
    client: Client,
    plan: Plan,
    *,
    digest: str,
    interactive: bool,
    reason: str | None,
    keep_open: bool = False,
    unseen: int = 0,
    signature: str | None = None,
    tell: Callable[[str], None] = _quiet,
) -> Outcome:
    """As ``send_deed``, for a yes or no of the approval engine. A rejected patch is told by the
    patch: the approval it was asked under may stand as it was."""
    assert plan.approval is not None, "a decision knows its approval"
    decision = ApprovalDecision(
        decision="reject" if plan.verb == "reject" else "approve",
        digest=digest,
        evidence_digest=plan.evidence_digest,
        reason=reason,
        idempotency_key=new_key(),
        interactive=interactive,
        unseen_hunks=unseen,
        keep_job_open=keep_open,
        signature=signature,
    )
    for _ in range(TRIES_MAX - 1):
        try:
            return await _told(client, plan, await client.decide(plan.approval, decision))
        except Unknown:
            tell(UNKNOWN)
    return await _told(client, plan, await client.decide(plan.approval, decision))


async def _told(client: Client, plan: Plan, outcome: Outcome) -> Outcome:
    if plan.verb != "reject" or plan.patch is None or not outcome.ok:
        return outcome
    patch = await client.patch(plan.patch)
    return Outcome(patch.status == "rejected", f"{patch.id} is {patch.status}", patch=patch)

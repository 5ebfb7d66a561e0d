"""Items that wait for a yes, and decisions."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from proxy.contract.base import Answer, Digest, IdempotencyKey, Request
from proxy.contract.words import ApprovalStatusWord, DecisionWord, ItemTypeWord, SeverityWord


class DecisionView(Answer):
    decision: DecisionWord
    actor: str
    actor_role: str
    decided_at: datetime
    reason: str | None = None
    interactive: bool = True


class ApprovalView(Answer):
    id: str
    service: str = ""
    item_type: ItemTypeWord
    status: ApprovalStatusWord
    summary: str
    risk: SeverityWord
    created_by: str
    created_at: datetime
    expires_at: datetime | None = None
    digest: str | None = None
    evidence_digest: str | None = None
    job_id: str | None = None
    patch_id: str | None = None
    details: dict[str, Any] = {}
    decision: DecisionView | None = None


class ApprovalRequest(Request):
    """An item somebody wants a yes for. Patches get theirs from the healer; this is for
    everything else.
    """

    item_type: Literal["claim", "campaign", "email", "automation", "brand_change", "override"]
    summary: str = Field(min_length=1, max_length=500)
    details: dict[str, Any] = {}
    risk_score: int = Field(0, ge=0, le=100)
    created_by_agent: str | None = Field(None, max_length=63)
    job_id: str | None = None
    idempotency_key: IdempotencyKey | None = None


class ApprovalDecision(Request):
    decision: DecisionWord
    digest: Digest
    evidence_digest: Digest | None = None
    reason: str | None = Field(None, max_length=2000)
    idempotency_key: IdempotencyKey
    interactive: bool = True
    unseen_hunks: int = Field(0, ge=0)
    """Hunks of the diff the console had not shown yet; recorded in the audit."""
    signature: str | None = Field(None, max_length=4096)
    """``ssh-keygen -Y sign`` over gate, digest, base and evidence, where `founder.signers` is set.
    """
    keep_job_open: bool = False
    """With ``reject``: the job stays open though no live patch is left."""


class ApprovalList(Answer):
    approvals: list[ApprovalView]

"""Patches, what the sandbox saw of them, and the deeds done with them."""

from datetime import datetime

from pydantic import Field

from proxy.contract.approvals import ApprovalView
from proxy.contract.base import Answer, Digest, IdempotencyKey, Request
from proxy.contract.words import PatchStatusWord, PatchTypeWord, SeverityWord


class RiskView(Answer):
    score: int
    level: SeverityWord
    reasons: list[str] = []


class ConfidenceView(Answer):
    score: float | None = None
    reasons: list[str] = []


class CommandRun(Answer):
    """One run of a command or of a replay in the jail."""

    ran: bool
    ok: bool | None = None
    exit_code: int | None = None
    duration_s: float | None = None
    output: str = ""
    """The last part, made visible, at most 8 KiB."""
    reason: str | None = None
    """Why it did not run."""


class ReplayRun(Answer):
    ran: bool
    status: int | None = None
    failed: bool | None = None
    """True when the answer is a failure again."""
    same_signature: bool | None = None
    duration_ms: float | None = None
    excerpt: str = ""
    reason: str | None = None


class SandboxEvidence(Answer):
    """What the sandbox saw, before (base commit) and after (with the patch). Its digest binds the
    approval.
    """

    digest: str
    """Digest of the patch that was run."""
    base_commit: str
    head_commit: str | None = None
    branch: str | None = None
    applies: bool
    replay_before: ReplayRun
    replay_after: ReplayRun
    tests_before: CommandRun
    tests_after: CommandRun
    reproduced: bool
    """The failing request failed again, with the same signature, before the patch."""
    fixed: bool
    """Reproduced before, and no failure after."""
    changed: bool
    """The replayed request got a different answer after the patch."""
    passed: bool
    verdict: str
    """One sentence for people."""
    against: list[str] = []
    """Evidence against the patch."""
    started_at: datetime
    duration_s: float


class PatchView(Answer):
    id: str
    job_id: str
    service: str = ""
    patch_type: PatchTypeWord
    description: str
    status: PatchStatusWord
    digest: str
    evidence_digest: str | None = None
    created_by: str
    created_at: datetime
    base_commit: str | None = None
    diff: str | None = None
    sql: str | None = None
    files_changed: list[str] = []
    risk: RiskView
    confidence: ConfidenceView = ConfidenceView()
    evidence: SandboxEvidence | None = None
    approvals: list[ApprovalView] = []
    sandbox_branch: str | None = None
    applied_commit: str | None = None
    previous_commit: str | None = None


class AttachPatchRequest(Request):
    patch_type: PatchTypeWord = "code"
    description: str = Field("", max_length=8000)
    diff: str | None = Field(None, max_length=1_000_000)
    sql: str | None = Field(None, max_length=1_000_000)
    base_commit: str | None = Field(None, pattern=r"^[0-9a-f]{7,64}$")


class DeedRequest(Request):
    """Body of sandbox, apply and rollback. ``digest`` is what was shown; anything changed since
    is 409.
    """

    digest: Digest
    idempotency_key: IdempotencyKey
    evidence_digest: Digest | None = None
    reason: str | None = Field(None, max_length=2000)
    interactive: bool = True
    """False when a flag answered instead of a person's typing; recorded as such."""


class DeedResult(Answer):
    ok: bool
    patch: PatchView
    approval_id: str | None = None
    message: str
    replayed: bool = False
    """True when this idempotency key had already been answered."""


class BreakGlassRequest(Request):
    """Past gate main without a proof: the founder's alone, with a typed reason, shown to everybody
    until acknowledged.
    """

    digest: Digest
    idempotency_key: IdempotencyKey
    reason: str = Field(min_length=10, max_length=2000)
    interactive: bool = True
    signature: str | None = Field(None, max_length=4096)


class PatchList(Answer):
    """`GET /patches?job=J-1&status=`: newest first, without diff and SQL when ``brief=1``."""

    patches: list[PatchView]

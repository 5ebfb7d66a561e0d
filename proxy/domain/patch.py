"""The patch ``P-<n>``: a proposed change for a job, identified by its digest, and its lifecycle."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from proxy.domain.failure import Severity
from proxy.domain.lifecycle import Role


class PatchType(StrEnum):
    CODE = "code"
    SQL_MIGRATION = "sql_migration"
    CONFIG = "config"
    DEPENDENCY = "dependency"
    TEST = "test"
    MANUAL = "manual"


class PatchStatus(StrEnum):
    PROPOSED = "proposed"
    SANDBOX_RUNNING = "sandbox_running"
    SANDBOX_PASSED = "sandbox_passed"
    SANDBOX_FAILED = "sandbox_failed"
    APPROVED = "approved"
    APPLIED = "applied"
    VERIFIED = "verified"
    REGRESSED = "regressed"
    ROLLED_BACK = "rolled_back"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"


_P = PatchStatus
_SIDECAR = frozenset({"proxy"})
_FOUNDER = frozenset({"founder"})

BEFORE_APPLIED = (
    _P.PROPOSED,
    _P.SANDBOX_RUNNING,
    _P.SANDBOX_PASSED,
    _P.SANDBOX_FAILED,
    _P.APPROVED,
)

PATCH_STEPS: dict[tuple[PatchStatus, PatchStatus], frozenset[Role]] = {
    (_P.PROPOSED, _P.SANDBOX_RUNNING): _SIDECAR,
    (_P.SANDBOX_PASSED, _P.SANDBOX_RUNNING): _SIDECAR,
    (_P.SANDBOX_FAILED, _P.SANDBOX_RUNNING): _SIDECAR,
    (_P.SANDBOX_RUNNING, _P.SANDBOX_PASSED): _SIDECAR,
    (_P.SANDBOX_RUNNING, _P.SANDBOX_FAILED): _SIDECAR,
    # gate main is the founder's alone; the trigger also wants the decision row
    (_P.SANDBOX_PASSED, _P.APPROVED): _FOUNDER,
    # without a passed sandbox only over broken glass, which the trigger wants to see
    (_P.PROPOSED, _P.APPROVED): _FOUNDER,
    (_P.SANDBOX_FAILED, _P.APPROVED): _FOUNDER,
    # the sidecar performs, and only with the founder's apply decision for this digest
    (_P.APPROVED, _P.APPLIED): _SIDECAR,
    (_P.APPLIED, _P.VERIFIED): _SIDECAR,
    (_P.APPLIED, _P.REGRESSED): _SIDECAR,
    (_P.VERIFIED, _P.REGRESSED): _SIDECAR,
    (_P.APPLIED, _P.ROLLED_BACK): _SIDECAR,
    (_P.VERIFIED, _P.ROLLED_BACK): _SIDECAR,
    (_P.REGRESSED, _P.ROLLED_BACK): _SIDECAR,
    **{(s, _P.REJECTED): frozenset({"founder", "admin"}) for s in BEFORE_APPLIED},
    **{(s, _P.SUPERSEDED): _SIDECAR for s in BEFORE_APPLIED},
}

LIVE_PATCH_STATUSES = frozenset(BEFORE_APPLIED)


def canonical_json(value: Any) -> bytes:
    """Keys sorted, no blanks, UTF-8, no escapes beyond what JSON requires: one value, one text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def patch_digest(base_commit: str | None, diff: str | None, sql: str | None) -> str:
    """SHA-256 (hex) of the canonical JSON of ``{base_commit, diff, sql}``; absent is null."""
    return hashlib.sha256(
        canonical_json({"base_commit": base_commit, "diff": diff, "sql": sql})
    ).hexdigest()


def evidence_digest(evidence: dict[str, Any]) -> str:
    """SHA-256 (hex) of the canonical JSON of a sandbox report, as it was shown to the founder."""
    return hashlib.sha256(canonical_json(evidence)).hexdigest()


@dataclass(frozen=True, slots=True)
class Risk:
    """0-100 with the reasons that made it; levels start at 0, 20, 40 and 70."""

    score: int
    level: Severity
    reasons: tuple[str, ...] = ()


def risk_level(score: int) -> Severity:
    """low from 0, medium from 20, high from 40, critical from 70."""
    if score >= 70:
        return Severity.CRITICAL
    if score >= 40:
        return Severity.HIGH
    return Severity.MEDIUM if score >= 20 else Severity.LOW


@dataclass(frozen=True, slots=True)
class Patch:
    id: int
    job_id: int
    service: str
    patch_type: PatchType
    description: str
    status: PatchStatus
    digest: str
    created_by: str
    created_at: datetime
    diff: str | None = None
    sql: str | None = None
    base_commit: str | None = None
    files_changed: tuple[str, ...] = ()
    sql_migration_path: str | None = None
    payload: dict[str, Any] = field(default_factory=dict)
    risk: Risk = field(default_factory=lambda: Risk(0, Severity.LOW))
    confidence_score: float | None = None
    confidence_reasons: tuple[str, ...] = ()
    evidence: dict[str, Any] | None = None
    evidence_digest: str | None = None
    sandbox_branch: str | None = None
    applied_commit: str | None = None
    previous_commit: str | None = None

"""Patches: content that never changes, evidence from the sandbox, steps by compare-and-set.

The digest is computed in the database and equals ``proxy.domain.patch.patch_digest``.
"""

import json
from collections.abc import Collection, Sequence
from typing import Any

import asyncpg

from proxy.domain.failure import Severity
from proxy.domain.patch import Patch, PatchStatus, PatchType, Risk, canonical_json
from proxy.domain.patch import evidence_digest as digest_of
from proxy.errors import Conflict, Invalid, NotFound
from proxy.store.statements import sql as _sql
from proxy.store.text import clip, jsonable, storable

DESCRIPTION_CHARS_MAX = 8000
CONTENT_CHARS_MAX = 1_000_000
REASON_CHARS_MAX = 4000


async def attach(
    conn: asyncpg.Connection,
    job_id: int,
    *,
    patch_type: PatchType,
    description: str,
    diff: str | None,
    sql: str | None,
    base_commit: str | None,
    files_changed: Sequence[str],
    risk: Risk,
    payload: dict[str, Any],
    created_by: str,
) -> Patch:
    """A new proposal, acting as ``proxy``. ``created_by`` is believed from the sidecar only.

    ``NotFound`` without the job; ``Conflict`` (``exists``) when a live patch of this job has the
    same digest; ``Invalid`` for content Postgres cannot keep byte for byte.
    """
    patch_id = await conn.fetchval(
        _sql("patches.attach"),
        job_id,
        patch_type.value,
        clip(description, DESCRIPTION_CHARS_MAX),
        [storable(f) for f in files_changed],
        _content("diff", diff),
        _content("sql", sql),
        _content("base_commit", base_commit),
        jsonable(payload),
        risk.score,
        risk.level.value,
        [storable(r) for r in risk.reasons],
        storable(created_by),
    )
    return await get_patch(conn, patch_id)


async def attach_content(
    conn: asyncpg.Connection,
    job_id: int,
    *,
    patch_type: PatchType,
    description: str,
    diff: str | None,
    sql: str | None,
    base_commit: str | None,
) -> Patch:
    """The same on the login of an agent or a person: risk stays critical until the sidecar has
    weighed it.
    """
    patch_id = await conn.fetchval(
        _sql("patches.attach_content"),
        job_id,
        patch_type.value,
        clip(description, DESCRIPTION_CHARS_MAX),
        _content("diff", diff),
        _content("sql", sql),
        _content("base_commit", base_commit),
    )
    return await get_patch(conn, patch_id)


async def get_patch(conn: asyncpg.Connection, patch_id: int) -> Patch:
    row = await conn.fetchrow(_sql("patches.get"), patch_id)
    if row is None:
        raise NotFound(f"there is no patch P-{patch_id}")
    return _patch(row)


async def list_patches(
    conn: asyncpg.Connection,
    job_id: int | None = None,
    statuses: Collection[PatchStatus] | None = None,
    limit: int = 200,
) -> list[Patch]:
    """Newest first."""
    wanted = None if statuses is None else [s.value for s in statuses]
    return [_patch(row) for row in await conn.fetch(_sql("patches.list"), job_id, wanted, limit)]


async def step_patch(
    conn: asyncpg.Connection,
    patch_id: int,
    old: PatchStatus,
    new: PatchStatus,
    *,
    evidence: dict[str, Any] | None = None,
    evidence_digest: str | None = None,
    sandbox_branch: str | None = None,
    applied_commit: str | None = None,
    previous_commit: str | None = None,
    confidence_score: float | None = None,
    confidence_reasons: Sequence[str] | None = None,
    risk: Risk | None = None,
    reason: str | None = None,
) -> Patch:
    """Compare-and-set from ``old`` to ``new``; with ``old == new`` only the given fields change.

    ``evidence`` is kept as canonical JSON text and must name the patch's ``digest`` to pass; a
    given ``evidence_digest`` must be its hash. Raises ``Conflict`` with code ``changed`` (no longer
    in ``old``), ``illegal_step``, ``gate_missing`` (no approval or deed for this digest),
    ``digest_changed``, ``immutable``; ``NotPermitted`` when the step is another role's.
    """
    text = None
    if evidence is not None:
        kept = jsonable(evidence)
        text, actual = canonical_json(kept).decode(), digest_of(kept)
        if evidence_digest is not None and evidence_digest != actual:
            raise Conflict(
                f"P-{patch_id}: the evidence is not what its digest says", code="digest_changed"
            )
        evidence_digest = actual
    elif evidence_digest is not None:
        raise Invalid("an evidence digest comes with its evidence")
    given = (
        text,
        evidence_digest,
        sandbox_branch,
        applied_commit,
        previous_commit,
        confidence_score,
        confidence_reasons,
        risk,
    )
    if all(value is None for value in given):
        # people hold the right to move the status and nothing else
        done = await conn.fetchval(
            _sql("patches.step_by_person"),
            patch_id,
            old.value,
            new.value,
            clip(reason, REASON_CHARS_MAX),
        )
    else:
        done = await conn.fetchval(
            _sql("patches.step"),
            patch_id,
            old.value,
            new.value,
            text,
            evidence_digest,
            sandbox_branch,
            applied_commit,
            previous_commit,
            confidence_score,
            None if risk is None else risk.score,
            None if risk is None else risk.level.value,
            None if risk is None else [storable(r) for r in risk.reasons],
            clip(reason, REASON_CHARS_MAX),
            None if confidence_reasons is None else [storable(r) for r in confidence_reasons],
        )
    patch = await get_patch(conn, patch_id)
    if done is None:
        raise Conflict(
            f"P-{patch_id} is {patch.status.value} now, no longer {old.value}", code="changed"
        )
    return patch


def _content(name: str, text: str | None) -> str | None:
    """Content is kept exactly or not at all: its digest names these very bytes."""
    if text is None:
        return None
    if len(text) > CONTENT_CHARS_MAX:
        raise Invalid(f"{name} is longer than {CONTENT_CHARS_MAX} characters", code="too_long")
    if storable(text) != text:
        raise Invalid(f"{name} holds NUL or half a character; make a text patch", code="not_text")
    return text


def _patch(row: asyncpg.Record) -> Patch:
    return Patch(
        id=row["id"],
        job_id=row["job_id"],
        service=row["service"],
        patch_type=PatchType(row["patch_type"]),
        description=row["description"],
        status=PatchStatus(row["status"]),
        digest=row["digest"],
        created_by=row["created_by"],
        created_at=row["created_at"],
        diff=row["ai_diff_proposal"],
        sql=row["sql_migration"],
        base_commit=row["base_commit"],
        files_changed=tuple(row["files_changed"]),
        sql_migration_path=row["sql_migration_path"],
        payload=row["ai_patch_payload"],
        risk=Risk(row["risk_score"], Severity(row["risk_level"]), tuple(row["risk_reasons"])),
        confidence_score=row["confidence_score"],
        confidence_reasons=tuple(row["confidence_reasons"]),
        evidence=None if row["evidence"] is None else json.loads(row["evidence"]),
        evidence_digest=row["evidence_digest"],
        sandbox_branch=row["sandbox_branch"],
        applied_commit=row["applied_commit"],
        previous_commit=row["previous_commit"],
    )

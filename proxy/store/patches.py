"""Patches: skeleton of the public API (bodies follow)."""

from collections.abc import Collection, Sequence
from typing import Any

import asyncpg

from proxy.domain.patch import Patch, PatchStatus, PatchType, Risk


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
    raise NotImplementedError


async def get_patch(conn: asyncpg.Connection, patch_id: int) -> Patch:
    raise NotImplementedError


async def list_patches(
    conn: asyncpg.Connection,
    job_id: int | None = None,
    statuses: Collection[PatchStatus] | None = None,
    limit: int = 200,
) -> list[Patch]:
    raise NotImplementedError


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
    risk: Risk | None = None,
    reason: str | None = None,
) -> Patch:
    """Compare-and-set; ``Conflict`` when the patch is no longer in ``old`` or a gate is missing."""
    raise NotImplementedError

"""The audit chain: skeleton of the public API (bodies follow)."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

import asyncpg

from proxy.domain.audit import AuditEntry


@dataclass(frozen=True, slots=True)
class Verified:
    ok: bool
    entries: int
    head: str
    first_bad: int | None = None


async def append(
    conn: asyncpg.Connection,
    action: str,
    subject: str,
    *,
    before: Any = None,
    after: Any = None,
    reason: str | None = None,
) -> int:
    """A note of the acting role; actions that triggers write themselves are refused. Returns seq."""
    raise NotImplementedError


async def list_audit(
    conn: asyncpg.Connection,
    actor: str | None = None,
    subject: str | None = None,
    before_seq: int | None = None,
    limit: int = 100,
) -> list[AuditEntry]:
    raise NotImplementedError


async def verify(conn: asyncpg.Connection) -> Verified:
    raise NotImplementedError


def export(conn: asyncpg.Connection) -> AsyncIterator[str]:
    """JSON lines, oldest first."""
    raise NotImplementedError


def verify_export(lines: Iterable[str]) -> Verified:
    raise NotImplementedError

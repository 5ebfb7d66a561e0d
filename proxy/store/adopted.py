"""Rows another program wrote into ``public.observability_logs``: read only, not redacted yet."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from proxy.store.statements import sql

ROWS_MAX = 1000


@dataclass(frozen=True, slots=True)
class ForeignLog:
    """A failing row as its writer left it; ``(created_at, id)`` is where to go on."""

    id: UUID
    created_at: datetime
    route_path: str | None
    method: str | None
    status_code: int | None
    latency_ms: float | None
    error_message: str | None
    error_stack: str | None


async def is_readable(conn: asyncpg.Connection) -> bool:
    """Whether such a table exists beside ours and the acting role may read it."""
    return bool(await conn.fetchval(sql("adopted.readable")))


async def failing_logs(
    conn: asyncpg.Connection, after: tuple[datetime, UUID], limit: int = 200
) -> list[ForeignLog]:
    """Failing rows after that point, oldest first. Ask ``is_readable`` first."""
    rows = await conn.fetch(sql("adopted.failing"), *after, max(1, min(limit, ROWS_MAX)))
    return [ForeignLog(**dict(row)) for row in rows]

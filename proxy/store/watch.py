"""Traffic seen since a fix: silence counts only where somebody asked."""

from datetime import datetime

import asyncpg

from proxy.store.statements import sql

COUNT_MAX = 1000
"""Enough is enough: nobody needs the exact number of a busy day."""


async def requests_since(
    conn: asyncpg.Connection,
    service: str,
    since: datetime,
    *,
    method: str | None = None,
    route: str | None = None,
) -> int:
    """Stored exchanges after ``since``, at most ``COUNT_MAX``; of one route where it is known."""
    count: int = await conn.fetchval(
        sql("watch.requests_since"), service, since, method, route, COUNT_MAX
    )
    return count

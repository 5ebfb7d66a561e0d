"""Releases of the app: announced by a member or a header, read by every proxy of the service."""

from datetime import datetime

import asyncpg

from proxy.domain.deploy import Announced, Deploy
from proxy.store.statements import sql
from proxy.store.text import clip

VERSION_CHARS_MAX = 200


async def announce(
    conn: asyncpg.Connection, service: str, version: str, announced_by: Announced
) -> Deploy:
    """One row and one audit entry; actor and time are the database's. ``NotPermitted`` for a
    viewer.
    """
    row = await conn.fetchrow(
        sql("deploys.announce"), service, clip(version, VERSION_CHARS_MAX), announced_by
    )
    return Deploy(**dict(row))


async def announce_news(conn: asyncpg.Connection, service: str, version: str) -> Deploy | None:
    """The same by a header, unless it is the release announced last; None then."""
    await conn.execute(sql("deploys.take_turns"), service)
    row = await conn.fetchrow(
        sql("deploys.announce_news"), service, clip(version, VERSION_CHARS_MAX)
    )
    return None if row is None else Deploy(**dict(row))


async def newest(conn: asyncpg.Connection, service: str, limit: int) -> list[Deploy]:
    """Newest first."""
    return [Deploy(**dict(row)) for row in await conn.fetch(sql("deploys.newest"), service, limit)]


async def after(conn: asyncpg.Connection, service: str, moment: datetime) -> list[Deploy]:
    """Those announced after ``moment``, oldest first."""
    return [Deploy(**dict(row)) for row in await conn.fetch(sql("deploys.after"), service, moment)]

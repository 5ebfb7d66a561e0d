"""What the proxies of a service learned lately, told to one another. Acts as ``proxy``.

Who shares holds the service's lock until the transaction ends, so a cursor over ids misses nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg

from proxy.store.metrics import ROUTE_CHARS_MAX
from proxy.store.statements import sql
from proxy.store.text import clip, jsonable

METHOD_CHARS_MAX = 32
KEPT_FOR = timedelta(hours=2)
"""Who could not listen for longer goes on with what it knows."""


@dataclass(frozen=True, slots=True)
class Told:
    """``counts`` is what the detector's ``share`` made."""

    method: str
    route: str
    counts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Heard:
    id: int
    method: str
    route_path: str
    counts: dict[str, Any]


async def exchange(
    conn: asyncpg.Connection,
    service: str,
    holder: str,
    *,
    minute: int,
    told: Sequence[Told],
    since: int,
) -> tuple[list[Heard], int]:
    """Tell the others and hear them → what they said after ``since``, and the newest id, to ask
    from the next time. Told again for the same ``minute``, nothing is doubled.
    """
    await conn.execute(sql("sharing.take_turns"), service)
    await conn.executemany(
        sql("sharing.add"),
        [
            (
                service,
                holder,
                clip(one.method, METHOD_CHARS_MAX),
                clip(one.route, ROUTE_CHARS_MAX),
                minute,
                jsonable(one.counts),
            )
            for one in told
        ],
    )
    return await heard(conn, service, holder, since)


async def heard(
    conn: asyncpg.Connection, service: str, holder: str, since: int
) -> tuple[list[Heard], int]:
    """What all but ``holder`` said after ``since``, oldest first, and the newest id there is."""
    rows = await conn.fetch(sql("sharing.others"), service, since, holder)
    newest: int = await conn.fetchval(sql("sharing.newest"), service)
    return [Heard(**dict(row)) for row in rows], max(since, newest)


async def forget(conn: asyncpg.Connection, service: str) -> None:
    await conn.execute(sql("sharing.forget"), service, KEPT_FOR)

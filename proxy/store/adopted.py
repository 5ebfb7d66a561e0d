"""Rows that other programs wrote: into our own tables, or into tables of the same names in another
schema. Read only, not redacted yet; what was taken is remembered, so that no row is told twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import asyncpg

from proxy.store.statements import sql

ROWS_MAX = 1000

RowKind = Literal["log", "anomaly"]
OURS = ""
"""The source of a row in our own tables: its key is a number of the inbox."""


@dataclass(frozen=True, slots=True)
class ForeignRow:
    """A row as its writer left it: ``content`` holds the columns it has (texts cut at 64 Ki
    characters), or nothing where the row is gone. ``source`` and ``key`` are what ``take`` wants.
    """

    kind: RowKind
    source: str
    key: str
    content: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ForeignTable:
    """``source`` is its quoted name with its schema."""

    kind: RowKind
    source: str


async def inbox(conn: asyncpg.Connection, limit: int = 200) -> list[ForeignRow]:
    """What others wrote into our own tables, in the order of writing."""
    rows = await conn.fetch(sql("adopted.inbox"), _bounded(limit))
    return [ForeignRow(r["kind"], OURS, str(r["id"]), r["content"] or {}) for r in rows]


async def tables(conn: asyncpg.Connection) -> list[ForeignTable]:
    """Tables of others that the acting role may read; none is an answer too."""
    return [ForeignTable(**dict(row)) for row in await conn.fetch(sql("adopted.tables"))]


async def unread(
    conn: asyncpg.Connection, table: ForeignTable, since: datetime | None, limit: int = 200
) -> list[ForeignRow]:
    """Failing rows not taken yet, oldest first; of the whole table where ``since`` is None."""
    rows = await conn.fetch(sql("adopted.rows"), table.kind, table.source, since, _bounded(limit))
    return [ForeignRow(table.kind, table.source, r["key"], r["content"]) for r in rows]


async def take(conn: asyncpg.Connection, rows: Sequence[ForeignRow]) -> list[ForeignRow]:
    """Remember these as told → those that nobody else has told. Count them in the same
    transaction, and they count exactly once.
    """
    taken: set[tuple[str, str]] = set()
    for source in sorted({row.source for row in rows}):
        keys = [row.key for row in rows if row.source == source]
        if source == OURS:
            done = await conn.fetch(sql("adopted.take_inbox"), [int(key) for key in keys])
        else:
            done = await conn.fetch(sql("adopted.take_rows"), source, keys)
        taken.update((source, str(row[0])) for row in done)
    return [row for row in rows if (row.source, row.key) in taken]


async def forget(conn: asyncpg.Connection, source: str) -> int:
    """Drop what is remembered of rows their owner has deleted → how many."""
    return int(await conn.fetchval(sql("adopted.forget"), source))


def _bounded(limit: int) -> int:
    return max(1, min(limit, ROWS_MAX))

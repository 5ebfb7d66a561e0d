"""What stands in the schema: tables, checks, triggers, functions, policies, grants; a line each.

Two installations compare by it: migrations with ``sql/schema.sql``, a live database with a scratch
one.
"""

import asyncpg

from proxy.store.faults import translated
from proxy.store.statements import sql


async def catalogue(conn: asyncpg.Connection) -> list[str]:
    """Sorted; needs the installer's connection (other roles do not see every grant)."""
    with translated():
        return [row["text"] for row in await conn.fetch(sql("catalogue.lines"))]

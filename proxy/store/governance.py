"""What this installation's governance rests on, read from the catalogues: protections, roles, and
whoever is too strong for them. With the installer's credential; changes nothing.
"""

from dataclasses import dataclass

import asyncpg

from proxy.store.catalogue import catalogue
from proxy.store.faults import translated
from proxy.store.statements import sql


@dataclass(frozen=True, slots=True)
class Standing:
    """``lines``: every protection, one line each. ``too_strong``: sentences about roles that no
    protection holds back.
    """

    lines: tuple[str, ...]
    too_strong: tuple[str, ...]
    digest: str
    """Of everything a gate rests on: requests, decisions, deeds, switches, rules, members, steps.
    """
    app_profiles: str
    """``adopted`` where `public.profiles` has a say, else ``absent``, ``readable`` or ``closed``.
    """


async def is_installed(conn: asyncpg.Connection, schema: str) -> bool:
    with translated():
        return bool(await conn.fetchval(sql("governance.is_installed"), schema))


async def too_strong(conn: asyncpg.Connection) -> tuple[str, ...]:
    """Any login may ask."""
    with translated():
        return tuple(row["text"] for row in await conn.fetch(sql("governance.too_strong")))


async def standing(conn: asyncpg.Connection) -> Standing:
    """Reads as the owner where the installer is no superuser; whatever it did is rolled back."""
    strong = await too_strong(conn)
    with translated():
        transaction = conn.transaction()
        await transaction.start()
        # a superuser reads even what lost its owner
        joins = not await conn.fetchval(sql("governance.is_superuser"))
        try:
            if joins:
                await conn.execute(sql("migrate.join_owner"))
                await conn.fetchval(sql("migrate.become_owner"))
            ran = [row["name"] for row in await conn.fetch(sql("migrate.applied"))]
            # a live installation that is merely behind says so in one line each
            lines = [*await catalogue(conn), *(f"migration {name}" for name in ran)]
            digest = await conn.fetchval(sql("governance.what_stands"))
            profiles = await _app_profiles(conn)
            members = await conn.fetch(sql("members.list"))
            # who is in whose role, without the joining of this transaction
            if joins:
                await conn.fetchval(sql("members.reset_role"))
                await conn.execute(sql("migrate.leave_owner"))
            lines += await _roles(conn, members)
        finally:
            await transaction.rollback()
    return Standing(tuple(sorted(lines)), strong, str(digest), profiles)


async def _app_profiles(conn: asyncpg.Connection) -> str:
    row = await conn.fetchrow(sql("governance.authority"))
    if row["authority"] is not None:
        return "adopted"
    return str(await conn.fetchval(sql("members.app_profiles"))) if row["knows"] else "absent"


async def _roles(conn: asyncpg.Connection, members: list[asyncpg.Record]) -> list[str]:
    names = [row["name"] for row in members]
    rows = await conn.fetch(sql("governance.roles"), names, [row["role"] for row in members])
    return [row["text"] for row in rows]

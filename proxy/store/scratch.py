"""A scratch installation on the same server: a database, roles with a prefix of their own, one
member a role. Gone at the end, and so is what an interrupted run left behind.

Works with the installer's credential; knows nothing of what is done inside.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg

from proxy.store import scram
from proxy.store.dsn import password_of, with_database, with_login
from proxy.store.faults import translated
from proxy.store.members import add_member
from proxy.store.migrate import migrate
from proxy.store.pool import connect
from proxy.store.statements import sql

MEMBERS = {"founder": "ada", "admin": "bob", "agent": "bot", "viewer": "vera", "removed": "eve"}
"""Role by which the stage knows them, and their names. ``removed`` is an admin without a profile.
"""
STRANGER = "stranger"
IDENTITIES = {
    name: UUID(int=number)
    for number, (role, name) in enumerate(MEMBERS.items(), 1)
    if role in ("founder", "admin", "removed")
}
"""Whom an application's profiles know them as, where it has some."""


@dataclass(frozen=True, slots=True)
class Scratch:
    """``tokens`` by role: ``name:secret``; ``logins`` by role: a DSN each."""

    installer_dsn: str
    proxy_dsn: str
    prefix: str
    schema: str
    app_profiles: bool
    tokens: dict[str, str] = field(repr=False)
    logins: dict[str, str] = field(repr=False)

    def secret_of(self, role: str) -> str:
        return password_of(self.logins[role])


@asynccontextmanager
async def scratch_installation(
    installer_dsn: str, *, schema: str, app_profiles: bool = False
) -> AsyncIterator[Scratch]:
    """``app_profiles``: beside an application's `public.profiles`, which everybody may write.
    ``NotPermitted`` when the login may not create databases and roles.
    """
    mark = secrets.token_hex(4)
    name, prefix = f"selfheal_doctor_{mark}", f"g{mark}_"
    server = await connect(installer_dsn, schema=schema)
    try:
        with translated():
            await _sweep(server)
            await server.fetchval(sql("governance.claim_database"), name)
            await server.execute(
                await server.fetchval(sql("governance.create_database_text"), name)
            )
        try:
            dsn = with_database(installer_dsn, name)
            if app_profiles:
                await _shape_like_an_app(dsn)
            yield await _furnish(dsn, prefix, schema, app_profiles)
        finally:
            await _remove(server, name, prefix)
    finally:
        await server.close(timeout=5)


async def _furnish(dsn: str, prefix: str, schema: str, app_profiles: bool) -> Scratch:
    made = await migrate(dsn, schema=schema, prefix=prefix)
    conn = await connect(dsn, schema=schema)
    try:
        tokens = {}
        for role, name in MEMBERS.items():
            as_role = "admin" if role == "removed" else role
            tokens[role] = await add_member(conn, name, as_role, IDENTITIES.get(name))
        secret = scram.new_secret()
        stranger = f"{prefix}{STRANGER}"
        with translated():
            await conn.execute(
                await conn.fetchval(
                    sql("governance.create_login_text"), stranger, scram.verifier(secret)
                )
            )
            await _bypass(conn, stranger)
            await _take_profile(conn, MEMBERS["removed"])
    finally:
        await conn.close(timeout=5)
    logins = {
        role: with_login(dsn, f"{prefix}sh_m_{name}", tokens[role].partition(":")[2])
        for role, name in MEMBERS.items()
    }
    logins |= {
        "proxy": made.proxy_dsn,
        "reader": made.proxy_dsn,
        STRANGER: with_login(dsn, stranger, secret),
    }
    return Scratch(dsn, made.proxy_dsn, prefix, schema, app_profiles, tokens, logins)


async def _shape_like_an_app(dsn: str) -> None:
    conn = await connect(dsn)
    try:
        with translated():
            await conn.execute(sql("governance.app_profiles_text"))
            for name, identity in IDENTITIES.items():
                role = "FOUNDER" if name == MEMBERS["founder"] else "ADMIN"
                await conn.execute(sql("governance.app_profile"), identity, role)
    finally:
        await conn.close(timeout=5)


async def _bypass(conn: asyncpg.Connection, stranger: str) -> None:
    """Like ``service_role`` of a Supabase-shaped server, where the installer can make one: not
    stopped by row-level security alone.
    """
    try:
        await conn.execute(await conn.fetchval(sql("governance.grant_bypass_text"), stranger))
    except asyncpg.InsufficientPrivilegeError:
        return


async def _take_profile(conn: asyncpg.Connection, name: str) -> None:
    async with conn.transaction():
        await conn.execute(sql("migrate.join_owner"))
        await conn.fetchval(sql("migrate.become_owner"))
        await conn.execute(sql("governance.profile_removed"), name)
        await conn.fetchval(sql("members.reset_role"))
        await conn.execute(sql("migrate.leave_owner"))


async def _sweep(server: asyncpg.Connection) -> None:
    for row in await server.fetch(sql("governance.old_databases")):
        await _remove(server, row["datname"], f"g{row['datname'].rpartition('_')[2]}_")


async def _remove(server: asyncpg.Connection, name: str, prefix: str) -> None:
    with translated():
        await server.execute(await server.fetchval(sql("governance.drop_database_text"), name))
        for row in await server.fetch(sql("governance.drop_role_texts"), prefix):
            await server.execute(row[0])

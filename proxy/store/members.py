"""Members: one database login each; the login authenticates, ``profiles.role`` authorises.

Adding and removing needs the installer's connection. A secret is shown once and stored nowhere:
Postgres keeps its SCRAM verifier only.
"""

import re
from uuid import UUID

import asyncpg

from proxy.domain.approval import Actor
from proxy.errors import Conflict, Invalid, NotFound, NotPermitted
from proxy.store import scram
from proxy.store.authority import check_identity
from proxy.store.dsn import prefix_of, with_login
from proxy.store.faults import translated
from proxy.store.pool import connect
from proxy.store.statements import sql

MEMBER_ROLES = ("founder", "admin", "agent", "viewer")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


async def add_member(
    installer_conn: asyncpg.Connection, name: str, role: str, identity: UUID | None = None
) -> str:
    """Make login ``sh_m_<name>`` and its profile; answers the token ``name:secret``.

    ``role`` is founder, admin, agent or viewer; ``identity`` the person's id in the application's
    ``public.profiles``, which a founder or admin needs where there is one. ``Conflict`` when the
    name is taken, ``Invalid`` for a bad one. ``installer_conn`` comes from
    ``pool.connect(installer_dsn)``.
    """
    if not _NAME.fullmatch(name):
        raise Invalid(
            f"{name!r} is no member name: a small letter, then letters, digits or _, at most 32"
        )
    if role not in MEMBER_ROLES:
        raise Invalid(f"{role!r} is no role: {', '.join(MEMBER_ROLES)}")
    secret = scram.new_secret()
    with translated():
        async with installer_conn.transaction():
            await installer_conn.execute(sql("migrate.join_owner"))
            await installer_conn.fetchval(sql("migrate.become_owner"))
            if await installer_conn.fetchval(sql("members.exists"), name):
                raise Conflict(
                    f"there is a member {name} already; choose another name", code="exists"
                )
            await check_identity(installer_conn, name, role, identity)
            await installer_conn.execute(sql("members.insert_profile"), name, role, identity)
            await installer_conn.fetchval(sql("migrate.adopt_profiles"))
            await installer_conn.fetchval(sql("members.reset_role"))
            await installer_conn.fetchval(sql("members.create_login"), name, scram.verifier(secret))
            await installer_conn.fetchval(sql("members.set_group"), name, role)
            await installer_conn.execute(sql("migrate.leave_owner"))
    return f"{name}:{secret}"


async def link_member(installer_conn: asyncpg.Connection, name: str, identity: UUID) -> str:
    """Say who this member is in the application's profiles; answers whether those are the authority
    now: ``adopted``, or what is still missing.

    ``NotFound`` when there is no such member, ``Conflict`` when that person is something else.
    """
    with translated():
        async with installer_conn.transaction():
            await installer_conn.execute(sql("migrate.join_owner"))
            await installer_conn.fetchval(sql("migrate.become_owner"))
            role = await installer_conn.fetchval(sql("members.link_profile"), name, identity)
            if role is None:
                raise NotFound(f"there is no member {name}")
            await check_identity(installer_conn, name, role, identity)
            state: str = await installer_conn.fetchval(sql("migrate.adopt_profiles"))
            await installer_conn.fetchval(sql("members.reset_role"))
            await installer_conn.execute(sql("migrate.leave_owner"))
    return state


async def remove_member(installer_conn: asyncpg.Connection, name: str) -> None:
    """Take the profile (and with it every right) and the login.

    ``NotFound`` when there is no such member, ``Conflict`` (``last_founder``) when nobody could
    decide afterwards.
    """
    with translated():
        async with installer_conn.transaction():
            await installer_conn.execute(sql("migrate.join_owner"))
            await installer_conn.fetchval(sql("migrate.become_owner"))
            decided = await installer_conn.fetchval(sql("migrate.founder_decides"))
            gone = await installer_conn.fetchval(sql("members.delete_profile"), name)
            decides = await installer_conn.fetchval(sql("migrate.founder_decides"))
            await installer_conn.fetchval(sql("members.reset_role"))
            if gone is None:
                raise NotFound(f"there is no member {name}")
            if decided and not decides:
                raise Conflict(
                    f"{name} is the only founder; add another first, or nobody could decide",
                    code="last_founder",
                )
            await installer_conn.fetchval(sql("members.drop_login"), name)
            await installer_conn.execute(sql("migrate.leave_owner"))


async def connect_member(
    dsn: str, name: str, secret: str, *, schema: str = "selfheal"
) -> asyncpg.Connection:
    """A connection on the member's own login; ``dsn`` is the sidecar's. ``NotPermitted`` for a
    wrong secret.

    Close it after the deed. It may act in its own role only: ``acting(conn, actor)``.
    """
    if not _NAME.fullmatch(name) or not secret.isascii() or len(secret) > 200:
        raise NotPermitted("no such member, or a wrong secret")
    try:
        return await connect(with_login(dsn, f"{prefix_of(dsn)}sh_m_{name}", secret), schema=schema)
    except NotPermitted:
        raise NotPermitted("no such member, or a wrong secret") from None


async def authenticate(
    dsn: str, name: str, secret: str, *, schema: str = "selfheal"
) -> Actor | None:
    """Who this is, with the role its profile gives now; None for a wrong secret or a member without
    a profile.

    Costs a connection and a password hash (about 13 ms). ``Unavailable`` when the database does not
    answer.
    """
    try:
        conn = await connect_member(dsn, name, secret, schema=schema)
    except NotPermitted:
        return None
    try:
        with translated():
            row = await conn.fetchrow(sql("members.whoami"))
    finally:
        await conn.close(timeout=5)
    return None if row is None or row["name"] is None else Actor(row["name"], row["role"])

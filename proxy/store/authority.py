"""Whose ``profiles`` say who is founder and who is admin: ours, and the application's beside it
where it has some (`public.profiles`, docs/database.md).

Works on a connection that acts as the owner; ``proxy.store.members`` opens it.
"""

from uuid import UUID

import asyncpg

from proxy.errors import Conflict, Invalid
from proxy.store.faults import translated
from proxy.store.statements import sql

GIVES = {"founder": ("FOUNDER",), "admin": ("ADMIN", "FOUNDER")}
"""What the application's row must say for a role of ours; other roles are ours alone."""


async def check_identity(conn: asyncpg.Connection, name: str, role: str, who: UUID | None) -> None:
    """Refuse a founder or admin whom the application does not know as such: it could never act.

    ``Invalid`` when nobody was named, ``Conflict`` (``not_there``) when that person is something
    else there.
    """
    if role not in GIVES or await conn.fetchval(sql("members.app_profiles")) != "readable":
        return
    if who is None:
        raise Invalid(
            f"public.profiles says who is {role} here, so name {name}'s row there:"
            " --identity ID, its id (auth.uid())"
        )
    told = await conn.fetchval(sql("members.app_role"), who)
    if told not in GIVES[role]:
        raise Conflict(
            f"public.profiles gives {who} the role {told or 'of nobody'}, and {name} would be"
            f" {role}: {' or '.join(GIVES[role])} is needed there first",
            code="not_there",
        )


async def only_founder(installer_conn: asyncpg.Connection) -> UUID | None:
    """The application's one FOUNDER; None when it has no readable profiles, and ``Invalid`` when it
    has none or several: which of them holds the token, nobody may guess.
    """
    with translated():
        transaction = installer_conn.transaction()
        await transaction.start()
        try:
            await installer_conn.execute(sql("migrate.join_owner"))
            await installer_conn.fetchval(sql("migrate.become_owner"))
            if await installer_conn.fetchval(sql("members.app_profiles")) != "readable":
                return None
            found: list[UUID] = await installer_conn.fetchval(sql("members.app_founders"))
        finally:
            await transaction.rollback()
    if len(found) != 1:
        raise Invalid(
            f"public.profiles has {'no' if not found else 'more than one'} FOUNDER: make yours with"
            " `selfheal member add NAME --role founder --identity ID`"
        )
    return found[0]


def advice(state: str, prefix: str) -> str | None:
    """What the operator does so that `public.profiles` becomes the authority; None when it is, or
    there is none.
    """
    if state == "closed":
        lookup = f"{prefix}sh_lookup"
        return (
            "public.profiles is not the authority yet, for it stays closed to Self-Heal. Let its"
            f" owner run: GRANT USAGE ON SCHEMA public TO {lookup}; GRANT SELECT (id, role) ON"
            f" public.profiles TO {lookup}; CREATE POLICY selfheal_reads ON public.profiles FOR"
            f" SELECT TO {lookup} USING (true); and then `selfheal migrate` again"
        )
    if state.startswith("unlinked: "):
        return (
            "public.profiles is not the authority yet, for it does not know"
            f" {state.removeprefix('unlinked: ')}: `selfheal member link NAME --identity ID`"
        )
    return None

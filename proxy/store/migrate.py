"""Brings a database to the newest schema: one runner at a time, each file once, each in its own
transaction.

Runs with the installer's credential, as does adding members; the running sidecar never holds it.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from proxy.data_files import data_path
from proxy.errors import SelfHealError
from proxy.store import scram
from proxy.store.dsn import LOGIN_PROXY, with_login
from proxy.store.faults import translated
from proxy.store.pool import connect
from proxy.store.statements import sql

MIGRATE_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class MigrateResult:
    """``proxy_dsn`` carries the sidecar's own login and secret: keep it 0600. ``app_profiles`` is
    what became of a ``public.profiles``: absent, closed, adopted, or ``unlinked: <members>``.
    """

    applied: tuple[str, ...]
    prefix: str
    proxy_dsn: str
    proxy_secret: str
    needs_founder: bool
    app_profiles: str


def migration_files() -> list[Path]:
    """In the order they run."""
    return sorted(data_path("sql", "migrations").glob("[0-9]*.sql"))


async def migrate(
    installer_dsn: str,
    *,
    schema: str = "selfheal",
    on_log: Callable[[str], None] = lambda _line: None,
    proxy_secret: str | None = None,
    switches: Mapping[str, bool] | None = None,
    prefix: str | None = None,
) -> MigrateResult:
    """Apply what is missing. Safe to repeat and to start twice at once.

    ``proxy_secret``: the sidecar login's existing secret; None makes a new one. ``switches``: gate
    switches the operator's configuration sets (``auto_approve_sandbox``). ``prefix``: role prefix
    of a new installation; None chooses. Raises ``SelfHealError`` when an applied file was changed
    since, ``NotPermitted`` when the installer lacks a right, ``Unavailable``.
    """
    conn = await connect(installer_dsn, schema=schema)
    try:
        with translated():
            await conn.execute(sql("migrate.lock"), timeout=MIGRATE_TIMEOUT_S)
            await _ensure_schema(conn, schema, prefix)
            secret = proxy_secret or scram.new_secret()
            try:
                applied = await _apply_missing(conn, schema, on_log)
                await conn.fetchval(sql("migrate.open_profiles"))
                await conn.execute(sql("migrate.join_owner"))
                needs_founder, profiles = await _settle(conn, secret, switches or {})
            finally:
                await _leave_owner(conn, schema)
            used = await conn.fetchval(sql("migrate.prefix"))
    finally:
        await conn.close(timeout=5)
    return MigrateResult(
        tuple(applied),
        used,
        with_login(installer_dsn, used + LOGIN_PROXY, secret),
        secret,
        needs_founder,
        profiles,
    )


async def _ensure_schema(conn: asyncpg.Connection, schema: str, prefix: str | None) -> None:
    await conn.fetchrow(sql("migrate.create_schema"), schema)
    await conn.execute(sql("migrate.create_schema_do"))
    if prefix is None:
        await conn.fetchval(sql("migrate.choose_prefix"), schema)
    else:
        await conn.fetchval(sql("migrate.set_prefix"), prefix)


async def _apply_missing(
    conn: asyncpg.Connection, schema: str, on_log: Callable[[str], None]
) -> list[str]:
    known: dict[str, str | None] = {}
    if await conn.fetchval(sql("migrate.has_table"), schema):
        await conn.execute(sql("migrate.join_owner"))
        async with conn.transaction():
            await conn.fetchval(sql("migrate.become_owner"))
            known = {
                row["name"]: row["checksum"] for row in await conn.fetch(sql("migrate.applied"))
            }
    applied = []
    for file in migration_files():
        text = file.read_text("utf-8")
        checksum = hashlib.sha256(text.encode()).hexdigest()
        if known.get(file.stem) == checksum:
            continue
        if known.get(file.stem) is not None:
            raise SelfHealError(
                f"migration {file.stem} was applied with other content; this database belongs to "
                "another build of Self-Heal: use that build, or restore a backup"
            )
        async with conn.transaction():
            if file.stem not in known:
                await conn.execute(text, timeout=MIGRATE_TIMEOUT_S)
                applied.append(file.stem)
                on_log(f"applied {file.stem}")
            await conn.fetchval(sql("migrate.become_owner"))
            await conn.execute(sql("migrate.note_checksum"), file.stem, checksum)
    return applied


async def _leave_owner(conn: asyncpg.Connection, schema: str) -> None:
    """Whatever happened: an installer that stayed in the owner's role could change everything."""
    if not conn.is_closed() and await conn.fetchval(sql("migrate.has_table"), schema):
        await conn.execute(sql("migrate.leave_owner"))


async def _settle(
    conn: asyncpg.Connection, secret: str, switches: Mapping[str, bool]
) -> tuple[bool, str]:
    """What every start makes sure of: the sidecar's password, the switches, today's partitions."""
    async with conn.transaction():
        await conn.fetchval(sql("migrate.set_proxy_password"), scram.verifier(secret))
        await conn.execute(sql("migrate.set_proxy_password_do"))
        await conn.fetchval(sql("migrate.become_owner"))
        for name, on in switches.items():
            await conn.fetchval(sql("migrate.set_switch"), name, on, "configuration")
        await conn.fetch(sql("migrate.partitions"))
        profiles: str = await conn.fetchval(sql("migrate.adopt_profiles"))
        return not await conn.fetchval(sql("migrate.has_founder")), profiles

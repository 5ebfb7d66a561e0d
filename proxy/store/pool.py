"""Connections: a small pool per process, and ``acting``: one transaction in one role.

Never plain SET ROLE: it survives the pool's reset. The role is local to the transaction, and the
claims beside it are context for the audit, never a right.
"""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg

from proxy.domain.approval import Actor
from proxy.store.faults import translated
from proxy.store.statements import sql

CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 30.0
IDLE_S = 60.0

AS_PROXY = Actor("sidecar", "proxy", "sidecar", interactive=False)
"""The sidecar's own work. Its policy acts as ``Actor("policy", "proxy", "sidecar",
interactive=False)``.
"""


async def open_pool(
    dsn: str, *, schema: str = "selfheal", min_size: int = 0, max_size: int = 4
) -> "asyncpg.Pool[Any]":
    """A pool that opens connections when they are needed. ``Unavailable`` when ``min_size`` cannot
    be had.
    """
    with translated():
        return await asyncpg.create_pool(
            dsn,
            min_size=min_size,
            max_size=max_size,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=COMMAND_TIMEOUT_S,
            max_inactive_connection_lifetime=IDLE_S,
            server_settings=_settings(schema),
            init=prepare,
        )


async def connect(dsn: str, *, schema: str = "selfheal") -> asyncpg.Connection:
    """One connection outside any pool, for a member's deed or an installer's work."""
    with translated():
        conn = await asyncpg.connect(
            dsn,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=COMMAND_TIMEOUT_S,
            server_settings=_settings(schema),
        )
        await prepare(conn)
        return conn


async def prepare(conn: asyncpg.Connection) -> None:
    """JSON columns travel as Python values, both ways."""
    for kind in ("json", "jsonb"):
        await conn.set_type_codec(kind, schema="pg_catalog", encoder=_to_json, decoder=json.loads)


@contextlib.asynccontextmanager
async def acting(
    source: "asyncpg.Connection | asyncpg.Pool[Any]", actor: Actor
) -> AsyncIterator[asyncpg.Connection]:
    """A connection inside a transaction, in the actor's role; committed at the end, rolled back on
    any error.

    Errors leave as those of ``proxy.errors``. Nested on the same connection it is a savepoint, and
    the outer role comes back.
    """
    with translated():
        if isinstance(source, asyncpg.Pool):
            async with source.acquire() as conn, _in_role(conn, actor) as inside:
                yield inside
        else:
            async with _in_role(source, actor) as inside:
                yield inside


@contextlib.asynccontextmanager
async def _in_role(conn: asyncpg.Connection, actor: Actor) -> AsyncIterator[asyncpg.Connection]:
    outer = await conn.fetchrow(sql("session.remember")) if conn.is_in_transaction() else None
    async with conn.transaction():
        await conn.fetchrow(sql("session.act"), actor.role, _claims(actor))
        yield conn
    if outer is not None:
        await conn.fetchrow(sql("session.restore"), outer["role"], outer["claims"])


def _claims(actor: Actor) -> str:
    return _to_json(
        {
            "name": actor.name,
            "role": actor.role,
            "origin": actor.origin,
            "interactive": actor.interactive,
        }
    )


def _settings(schema: str) -> dict[str, str]:
    return {"search_path": f"{schema},pg_catalog,pg_temp", "application_name": "selfheal"}


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace(
        "\\u0000", "\\ufffd"
    )

"""The founder's rules, versioned, and the switches of gate ``sandbox``. What they mean is
``founder``'s business.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from proxy.errors import Conflict
from proxy.store.statements import sql
from proxy.store.text import clip, jsonable

REASON_CHARS_MAX = 2000


@dataclass(frozen=True, slots=True)
class ControlVersion:
    version: int
    rules: dict[str, Any]
    changed_by: str
    changed_at: datetime
    reason: str


async def get_control(conn: asyncpg.Connection) -> ControlVersion | None:
    """The version in force; None before the first."""
    row = await conn.fetchrow(sql("control.get"))
    return None if row is None else ControlVersion(**dict(row))


async def put_control(
    conn: asyncpg.Connection, rules: dict[str, Any], *, based_on: int, reason: str
) -> ControlVersion:
    """A new version, as founder, or as proxy for an imported file. ``Conflict`` when another came
    in between.
    """
    try:
        row = await conn.fetchrow(
            sql("control.put"), based_on + 1, jsonable(rules), clip(reason, REASON_CHARS_MAX)
        )
    except asyncpg.UniqueViolationError:
        raise Conflict(f"the rules are past version {based_on} now", code="changed") from None
    return ControlVersion(**dict(row))


async def get_switches(conn: asyncpg.Connection) -> dict[str, bool]:
    """``auto_approve_sandbox`` and ``admin_sandbox``; both off until the founder or ``migrate``
    says so.
    """
    return {row["name"]: row["enabled"] for row in await conn.fetch(sql("control.switches"))}


async def set_switch(conn: asyncpg.Connection, name: str, on: bool, reason: str) -> None:
    """As the founder only; gate ``main`` has no switch. Audited."""
    await conn.fetchval(sql("control.set_switch"), name, on, clip(reason, REASON_CHARS_MAX))

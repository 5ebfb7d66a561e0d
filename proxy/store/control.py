"""The founder's rules, versioned, and the gate switches: skeleton (bodies follow)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg


@dataclass(frozen=True, slots=True)
class ControlVersion:
    version: int
    rules: dict[str, Any]
    changed_by: str
    changed_at: datetime
    reason: str


async def get_control(conn: asyncpg.Connection) -> ControlVersion | None:
    raise NotImplementedError


async def put_control(
    conn: asyncpg.Connection, rules: dict[str, Any], *, based_on: int, reason: str
) -> ControlVersion:
    raise NotImplementedError


async def get_switches(conn: asyncpg.Connection) -> dict[str, bool]:
    """``auto_approve_sandbox`` and ``admin_sandbox``; both off until the founder or ``migrate`` says so."""
    raise NotImplementedError


async def set_switch(conn: asyncpg.Connection, name: str, on: bool, reason: str) -> None:
    raise NotImplementedError

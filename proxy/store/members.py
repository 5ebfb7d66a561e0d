"""Members: one database login each; the login authenticates, ``profiles.role`` authorises."""

from dataclasses import dataclass
from datetime import datetime

import asyncpg

from proxy.domain.approval import Actor


@dataclass(frozen=True, slots=True)
class Member:
    name: str
    role: str
    created_at: datetime


async def add_member(installer_conn: asyncpg.Connection, name: str, role: str) -> str:
    """Make login ``sh_m_<name>`` and its profile; the token ``name:secret`` is shown once and never stored.

    ``role`` is founder, admin, agent or viewer. ``Conflict`` when the name is taken.
    """
    raise NotImplementedError


async def remove_member(installer_conn: asyncpg.Connection, name: str) -> None:
    raise NotImplementedError


async def list_members(conn: asyncpg.Connection) -> list[Member]:
    raise NotImplementedError


async def connect_member(dsn: str, name: str, secret: str) -> asyncpg.Connection:
    """A connection on the member's own login. ``NotPermitted`` when Postgres refuses the secret."""
    raise NotImplementedError


async def authenticate(dsn: str, name: str, secret: str) -> Actor | None:
    """Who this is, or None. ``Unavailable`` when the database does not answer."""
    raise NotImplementedError

"""What must be seen, until somebody says that it was: broken glass, critical jobs, decisions that
expire soon.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import asyncpg

from proxy.domain.failure import Severity
from proxy.store.statements import sql
from proxy.store.text import clip

AlertKind = Literal["break_glass", "critical_job", "expiring"]
NOTE_CHARS_MAX = 2000


@dataclass(frozen=True, slots=True)
class Alert:
    """``since``: when it began; an acknowledgement before that does not count."""

    kind: AlertKind
    subject: str
    severity: Severity
    since: datetime
    summary: str
    expires_at: datetime | None = None

    @property
    def key(self) -> tuple[str, str, datetime]:
        return self.kind, self.subject, self.since


async def open_alerts(conn: asyncpg.Connection, warn_before: timedelta) -> list[Alert]:
    """Worst first. A waiting decision is one when it expires within ``warn_before``."""
    return [
        Alert(
            row["kind"],
            row["subject"],
            Severity(row["severity"]),
            row["since"],
            row["summary"],
            row["expires_at"],
        )
        for row in await conn.fetch(sql("alerts.open"), warn_before)
    ]


async def acknowledge(
    conn: asyncpg.Connection, kind: AlertKind, subject: str, note: str = ""
) -> datetime:
    """As a founder or an admin. ``NotFound`` when nothing of this kind waits there."""
    at: datetime = await conn.fetchval(
        sql("alerts.acknowledge"), kind, subject, clip(note, NOTE_CHARS_MAX) or ""
    )
    return at


async def tell(
    conn: asyncpg.Connection, kind: str, subject: str, change: str, severity: Severity
) -> None:
    """One event to everybody who listens."""
    await conn.fetchval(sql("alerts.tell"), kind, subject, change, severity.value)

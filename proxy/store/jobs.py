"""Jobs: at most one open job per (service, environment, signature), counted exactly, with bounded
samples.

Every function takes a connection that already acts in a role (``pool.acting``); what it may see and
do is the database's decision.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

import asyncpg

from proxy.domain.failure import Category, Severity
from proxy.domain.job import OPEN_JOB_STATUSES, Job, JobStatus
from proxy.errors import Conflict, Invalid, NotFound
from proxy.store.job_rows import (
    MESSAGE_CHARS_MAX,
    NAME_CHARS_MAX,
    STACK_CHARS_MAX,
    StoredEvent,
    event_of,
    job_of,
)
from proxy.store.recording import SAMPLES_MAX, RecordedJob, StormLimit, record_failure
from proxy.store.statements import sql
from proxy.store.text import clip

__all__ = [
    "MESSAGE_CHARS_MAX",
    "SAMPLES_MAX",
    "STACK_CHARS_MAX",
    "JobQuery",
    "JobSort",
    "Page",
    "RecordedJob",
    "StoredEvent",
    "StormLimit",
    "record_failure",
]

JobSort = Literal["severity", "last_seen", "first_seen", "occurrences", "id"]

PAGE_MAX = 500


@dataclass(frozen=True, slots=True)
class JobQuery:
    """A filter. ``statuses`` empty means the open ones; ``frozenset(JobStatus)`` every one."""

    statuses: frozenset[JobStatus] = frozenset()
    severities: frozenset[Severity] = frozenset()
    categories: frozenset[Category] = frozenset()
    q: str = ""
    noise: bool | None = False
    """False: without noise; True: only noise; None: both."""
    service: str | None = None
    sort: JobSort = "severity"
    cursor: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Page:
    """``total`` matches the whole filter; ``all`` counts the same statuses, noise and service
    unfiltered.
    """

    jobs: tuple[Job, ...]
    total: int
    all: int
    next_cursor: str | None


async def get_job(conn: asyncpg.Connection, job_id: int) -> Job:
    """``NotFound`` when there is none, or none this role may see."""
    row = await conn.fetchrow(sql("jobs.get"), job_id)
    if row is None:
        raise NotFound(f"there is no job J-{job_id}")
    return job_of(row)


async def list_jobs(conn: asyncpg.Connection, query: JobQuery) -> Page:
    """One page, newest or worst first; ``Invalid`` for a cursor this function did not hand out."""
    statuses = [s.value for s in query.statuses or OPEN_JOB_STATUSES]
    severities = [s.value for s in query.severities]
    categories = [c.value for c in query.categories]
    pattern = _like(query.q)
    limit = max(1, min(query.limit, PAGE_MAX))
    key, last_id = _read_cursor(query)
    rows = await conn.fetch(
        sql("jobs.list"),
        statuses,
        severities,
        categories,
        pattern,
        query.noise,
        query.service,
        query.sort,
        key,
        last_id,
        limit + 1,
    )
    counts = await conn.fetchrow(
        sql("jobs.totals"), statuses, severities, categories, pattern, query.noise, query.service
    )
    more = len(rows) > limit
    rows = rows[:limit]
    cursor = _write_cursor(query.sort, rows[-1]["sort_key"], rows[-1]["id"]) if more else None
    return Page(tuple(job_of(row) for row in rows), counts["total"], counts["every"], cursor)


async def list_open_jobs(
    conn: asyncpg.Connection, limit: int = 50, *, service: str | None = None
) -> list[Job]:
    """The worst first, then the latest; noise left out. Answered from one index."""
    rows = await conn.fetch(sql("jobs.open"), max(1, min(limit, PAGE_MAX)), service)
    return [job_of(row) for row in rows]


async def job_events(
    conn: asyncpg.Connection, job_id: int, limit: int = SAMPLES_MAX
) -> list[StoredEvent]:
    """Kept samples, newest first; agents and viewers see no stacks, bodies and requests."""
    return [event_of(row) for row in await conn.fetch(sql("jobs.events"), job_id, limit)]


async def step_job(
    conn: asyncpg.Connection,
    job_id: int,
    new: JobStatus,
    *,
    old: JobStatus | None = None,
    reason: str | None = None,
    until: datetime | None = None,
) -> Job:
    """Move a job, from ``old`` or from wherever it stands. Which steps exist, and whose, Postgres
    says.

    ``Conflict`` (``illegal_step``, or ``changed`` when it moved meanwhile), ``NotPermitted``,
    ``NotFound``.
    """
    if old is None:
        found = await conn.fetchval(sql("jobs.status"), job_id)
        if found is None:
            raise NotFound(f"there is no job J-{job_id}")
        old = JobStatus(found)
    if old is new:
        raise Conflict(f"J-{job_id} is already {new.value}", code="illegal_step")
    done = await conn.fetchval(
        sql("jobs.step"), job_id, old.value, new.value, clip(reason, NAME_CHARS_MAX), until
    )
    job = await get_job(conn, job_id)
    if done is None:
        raise Conflict(
            f"J-{job_id} is {job.status.value} now, no longer {old.value}", code="changed"
        )
    return job


async def open_job_counts(conn: asyncpg.Connection) -> dict[str, int]:
    """Open jobs by severity, and ``total pending_patches pending_approvals resolved_7d``."""
    return dict(await conn.fetchrow(sql("jobs.open_counts")))


async def wake_snoozed(conn: asyncpg.Connection, now: datetime) -> list[int]:
    """Reopen every job whose snooze has ended; safe with several sidecars."""
    return [row["id"] for row in await conn.fetch(sql("jobs.wake_snoozed"), now)]


async def last_failure_at(conn: asyncpg.Connection, job_id: int) -> datetime | None:
    """When the signature was last seen; None for an unknown job."""
    seen: datetime | None = await conn.fetchval(sql("jobs.last_failure_at"), job_id)
    return seen


async def set_summary(
    conn: asyncpg.Connection, job_id: int, summary: str, actions: Sequence[str]
) -> None:
    """What an agent has to say about the job; the only part of it an agent may write."""
    text, lines = clip(summary, MESSAGE_CHARS_MAX), [clip(a, NAME_CHARS_MAX) for a in actions[:20]]
    if await conn.fetchval(sql("jobs.set_summary"), job_id, text, lines) is None:
        raise NotFound(f"there is no job J-{job_id}")


async def raise_severity(conn: asyncpg.Connection, job_id: int, severity: Severity) -> bool:
    """Never lowers; whether it rose."""
    return await conn.fetchval(sql("jobs.raise_severity"), job_id, severity.value) is not None


async def set_share(conn: asyncpg.Connection, job_id: int, share: float) -> None:
    """The affected share of traffic, 0-1; written only when it moved by a tenth."""
    await conn.execute(sql("jobs.set_share"), job_id, min(max(share, 0.0), 1.0))


async def link_logs(conn: asyncpg.Connection, job_id: int, log_ids: Sequence[UUID]) -> None:
    """Further log rows of a job whose failures were counted together."""
    await conn.execute(sql("jobs.link_logs"), job_id, list(log_ids))


async def forget_links(conn: asyncpg.Connection, before: datetime) -> None:
    """Retention: links to log rows that are dropped themselves; the newest stay on the job."""
    await conn.execute(sql("jobs.forget_links"), before)


def _like(q: str) -> str:
    cleaned = (
        (clip(q.strip(), 200) or "").replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    )
    return f"%{cleaned}%" if cleaned else ""


def _write_cursor(sort: str, key: int, job_id: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([sort, key, job_id]).encode()).decode()


def _read_cursor(query: JobQuery) -> tuple[int | None, int | None]:
    if query.cursor is None:
        return None, None
    try:
        sort, key, job_id = json.loads(base64.urlsafe_b64decode(query.cursor.encode()))
        if sort != query.sort or not isinstance(key, int) or not isinstance(job_id, int):
            raise ValueError("not ours")
        if not -(2**63) <= key < 2**63 or not 0 < job_id < 2**63:
            raise ValueError("out of range")
    except (ValueError, TypeError):
        raise Invalid(
            "this cursor belongs to no such list; start again without it", code="cursor"
        ) from None
    return key, job_id

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
from typing import Any, Literal
from uuid import UUID

import asyncpg

from proxy.domain.failure import Category, Classification, Failure, ReplayRequest, Severity
from proxy.domain.job import OPEN_JOB_STATUSES, Job, JobStatus
from proxy.errors import Conflict, Invalid, NotFound
from proxy.store.statements import sql
from proxy.store.text import clip, jsonable

JobSort = Literal["severity", "last_seen", "first_seen", "occurrences", "id"]

SAMPLES_MAX = 20
MESSAGE_CHARS_MAX = 8192
STACK_CHARS_MAX = 65536
BODY_CHARS_MAX = 16384
NAME_CHARS_MAX = 2048
EVIDENCE_MAX = 20
PAGE_MAX = 500
_LARGE_TEXT = {"stack": STACK_CHARS_MAX, "body": BODY_CHARS_MAX, "response_excerpt": BODY_CHARS_MAX}


@dataclass(frozen=True, slots=True)
class RecordedJob:
    """``created``: this failure opened the job; ``regressed``: it reopened one that counted as
    fixed.
    """

    job: Job
    created: bool
    regressed: bool


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


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One kept sample of a job's failures."""

    id: int
    job_id: int
    failure: Failure


async def record_failure(
    conn: asyncpg.Connection, failure: Failure, c: Classification, *, count: int = 1
) -> RecordedJob:
    """Count ``failure`` on its job, opening or reopening it as needed; ``count`` equal ones at
    once.

    Safe from any number of processes; severity only rises; a failure older than the fix never
    reopens.
    """
    seen = _Seen(failure, c, count)
    row = await conn.fetchrow(sql("jobs.count"), *seen.again())
    if row is None:
        await conn.execute(sql("jobs.lock_signature"), *seen.key)
        row = await conn.fetchrow(sql("jobs.count"), *seen.again())
    if row is None:
        row = await conn.fetchrow(sql("jobs.open_new"), *seen.first())
    if row["sampled"] and row["occurrences"] > SAMPLES_MAX:
        await conn.execute(sql("jobs.trim_events"), row["id"], SAMPLES_MAX)
    return RecordedJob(_job(row), row["created"], row["regressed"])


async def get_job(conn: asyncpg.Connection, job_id: int) -> Job:
    """``NotFound`` when there is none, or none this role may see."""
    row = await conn.fetchrow(sql("jobs.get"), job_id)
    if row is None:
        raise NotFound(f"there is no job J-{job_id}")
    return _job(row)


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
    return Page(tuple(_job(row) for row in rows), counts["total"], counts["every"], cursor)


async def list_open_jobs(
    conn: asyncpg.Connection, limit: int = 50, *, service: str | None = None
) -> list[Job]:
    """The worst first, then the latest; noise left out. Answered from one index."""
    rows = await conn.fetch(sql("jobs.open"), max(1, min(limit, PAGE_MAX)), service)
    return [_job(row) for row in rows]


async def job_events(
    conn: asyncpg.Connection, job_id: int, limit: int = SAMPLES_MAX
) -> list[StoredEvent]:
    """Kept samples, newest first; agents and viewers see no stacks, bodies and requests."""
    return [_event(row) for row in await conn.fetch(sql("jobs.events"), job_id, limit)]


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


class _Seen:
    """One failure as the parameters of the two statements that may record it."""

    def __init__(self, failure: Failure, c: Classification, count: int) -> None:
        self.failure, self.c, self.count = failure, c, count
        self.key = (failure.service, failure.environment, str(c.signature))
        self.request, self.body = _request_columns(failure)
        self.sample = _failure_json(failure)

    def again(self) -> tuple[Any, ...]:
        """For ``jobs.count``."""
        return (
            *self.key,
            self.c.category.value,
            self.c.severity.value,
            self.count,
            self.failure.occurred_at,
            self.c.noise,
            self.failure.trace_id,
            *self._kept(),
        )

    def first(self) -> tuple[Any, ...]:
        """For ``jobs.open_new``."""
        return (
            self.failure.service,
            self.failure.environment,
            clip(self.failure.method, 32),
            clip(self.failure.route, NAME_CHARS_MAX),
            str(self.c.signature),
            clip(self.c.signature_text, MESSAGE_CHARS_MAX) or "",
            self.c.category.value,
            self.c.severity.value,
            self.count,
            self.failure.occurred_at,
            self.c.rule,
            [clip(str(e), NAME_CHARS_MAX) for e in self.c.evidence[:EVIDENCE_MAX]],
            clip(self.c.reason, NAME_CHARS_MAX),
            self.c.noise,
            self.failure.trace_id,
            *self._kept(),
        )

    def _kept(self) -> tuple[Any, ...]:
        return (
            self.failure.log_id,
            self.failure.anomaly_id,
            self.sample,
            self.body,
            self.request,
        )


def _request_columns(failure: Failure) -> tuple[dict[str, Any] | None, bytes | None]:
    if failure.request is None:
        return None, None
    r = failure.request
    head = {
        "method": r.method,
        "target": r.target,
        "headers": [list(pair) for pair in r.headers],
        "truncated": r.truncated,
        "redacted": list(r.redacted),
    }
    return jsonable(head), r.body


def _failure_json(failure: Failure) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name in Failure.__dataclass_fields__:
        value = getattr(failure, name)
        if name in ("request", "occurred_at") or value is None:
            continue
        if isinstance(value, UUID):
            value = str(value)
        elif isinstance(value, str):
            value = clip(value, _LARGE_TEXT.get(name, MESSAGE_CHARS_MAX))
        elif isinstance(value, tuple):
            value = [clip(v, NAME_CHARS_MAX) for v in value[:50]]
        fields[name] = value
    return fields


def _event(row: asyncpg.Record) -> StoredEvent:
    known = {k: v for k, v in row["failure"].items() if k in Failure.__dataclass_fields__}
    for name in ("log_id", "anomaly_id"):
        if known.get(name):
            known[name] = UUID(known[name])
    known["redirect_chain"] = tuple(known.get("redirect_chain", ()))
    request = row["request"]
    if request is not None:
        request = ReplayRequest(
            request["method"],
            request["target"],
            tuple((str(k), str(v)) for k, v in request["headers"]),
            bytes(row["request_body"] or b""),
            request["truncated"],
            tuple(request["redacted"]),
        )
    failure = Failure(**known, occurred_at=row["occurred_at"], request=request)
    return StoredEvent(row["id"], row["job_id"], failure)


def _job(row: asyncpg.Record) -> Job:
    return Job(
        id=row["id"],
        service=row["service"],
        environment=row["environment"],
        method=row["method"],
        route=row["route"],
        signature=row["error_signature"],
        signature_text=row["signature_text"],
        category=Category(row["error_category"]),
        severity=Severity(row["severity"]),
        status=JobStatus(row["status"]),
        occurrences=row["occurrences"],
        first_seen=row["first_seen"],
        last_seen=row["last_seen"],
        rule=row["rule"],
        evidence=tuple(row["evidence"]),
        reason=row["reason"],
        regression=row["regression"],
        noise=row["noise"],
        snoozed_until=row["snoozed_until"],
        trace_id=row["trace_id"],
        related_log_ids=tuple(row["related_observability_log_ids"]),
        related_anomaly_ids=tuple(row["related_anomaly_ids"]),
        ai_summary=row["ai_summary"],
        ai_recommended_actions=tuple(row["ai_recommended_actions"]),
        closed_reason=row["closed_reason"],
        applied_at=row["applied_at"],
        resolved_at=row["resolved_at"],
    )

"""Jobs: skeleton of the public API (bodies follow)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

import asyncpg

from proxy.domain.failure import Category, Classification, Failure, Severity
from proxy.domain.job import Job, JobStatus

JobSort = Literal["severity", "last_seen", "first_seen", "occurrences", "id"]


@dataclass(frozen=True, slots=True)
class RecordedJob:
    job: Job
    created: bool
    regressed: bool


@dataclass(frozen=True, slots=True)
class JobQuery:
    statuses: frozenset[JobStatus] = frozenset()
    """Empty: the open ones. Pass ``frozenset(JobStatus)`` for all."""
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
    jobs: tuple[Job, ...]
    total: int
    all: int
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class StoredEvent:
    id: int
    job_id: int
    failure: Failure


async def record_failure(
    conn: asyncpg.Connection, failure: Failure, c: Classification, *, count: int = 1
) -> RecordedJob:
    raise NotImplementedError


async def get_job(conn: asyncpg.Connection, job_id: int) -> Job:
    """``NotFound`` when there is none."""
    raise NotImplementedError


async def list_jobs(conn: asyncpg.Connection, query: JobQuery) -> Page:
    raise NotImplementedError


async def list_open_jobs(
    conn: asyncpg.Connection, limit: int = 50, *, service: str | None = None
) -> list[Job]:
    raise NotImplementedError


async def job_events(conn: asyncpg.Connection, job_id: int, limit: int = 20) -> list[StoredEvent]:
    raise NotImplementedError


async def step_job(
    conn: asyncpg.Connection,
    job_id: int,
    new: JobStatus,
    *,
    old: JobStatus | None = None,
    reason: str | None = None,
    until: datetime | None = None,
) -> Job:
    raise NotImplementedError


async def open_job_counts(conn: asyncpg.Connection) -> dict[str, int]:
    """Open jobs by severity, and ``total pending_patches pending_approvals resolved_7d``."""
    raise NotImplementedError


async def wake_snoozed(conn: asyncpg.Connection, now: datetime) -> list[int]:
    raise NotImplementedError


async def last_failure_at(conn: asyncpg.Connection, job_id: int) -> datetime | None:
    raise NotImplementedError


async def set_summary(
    conn: asyncpg.Connection, job_id: int, summary: str, actions: Sequence[str]
) -> None:
    raise NotImplementedError


async def link_logs(conn: asyncpg.Connection, job_id: int, log_ids: Sequence[UUID]) -> None:
    raise NotImplementedError

"""What the agents may know, read from the store in the viewer's role: the same redacted view a
viewer gets.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg

from proxy.clock import Clock
from proxy.contract import Health
from proxy.domain.approval import Actor, Approval, ApprovalStatus
from proxy.domain.failure import Classification, Failure
from proxy.domain.job import Job, JobStatus
from proxy.domain.patch import LIVE_PATCH_STATUSES, Patch, PatchStatus
from proxy.errors import NotFound, Unavailable
from proxy.store import approvals, jobs, patches
from proxy.store.pool import acting

_READER = Actor("phill", "viewer", "agent", interactive=False)
_WATCHED = LIVE_PATCH_STATUSES | {PatchStatus.APPLIED, PatchStatus.VERIFIED, PatchStatus.REGRESSED}


class StoreFacts:
    """Implements ``proxy.agents.facts.Facts``."""

    def __init__(
        self,
        pool: Callable[[], "asyncpg.Pool[Any] | None"],
        health: Callable[[], Health],
        classify: Callable[[Failure], Classification] | None,
        service: str,
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._health = health
        self._classify = classify
        self._service = service
        self._clock = clock

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[asyncpg.Connection]:
        pool = self._pool()
        if pool is None:
            raise Unavailable("the database is not there yet")
        async with acting(pool, _READER) as conn:
            yield conn

    async def health(self) -> Health:
        return self._health()

    async def open_jobs(self, limit: int) -> Sequence[Job]:
        async with self._reading() as conn:
            return await jobs.list_open_jobs(conn, limit, service=self._service)

    async def jobs_since(self, since: datetime, limit: int) -> Sequence[Job]:
        query = jobs.JobQuery(
            statuses=frozenset(JobStatus), sort="last_seen", limit=limit, service=self._service
        )
        async with self._reading() as conn:
            page = await jobs.list_jobs(conn, query)
        return [job for job in page.jobs if job.last_seen >= since]

    async def job(self, number: int) -> Job | None:
        async with self._reading() as conn:
            try:
                return await jobs.get_job(conn, number)
            except NotFound:
                return None

    async def patch(self, number: int) -> Patch | None:
        async with self._reading() as conn:
            try:
                return await patches.get_patch(conn, number)
            except NotFound:
                return None

    async def patches_of(self, job: int) -> Sequence[Patch]:
        async with self._reading() as conn:
            return await patches.list_patches(conn, job_id=job)

    async def live_patches(self, limit: int) -> Sequence[Patch]:
        async with self._reading() as conn:
            return (await patches.list_patches(conn, statuses=_WATCHED))[:limit]

    async def approval(self, number: int) -> Approval | None:
        async with self._reading() as conn:
            try:
                return await approvals.get_approval(conn, number)
            except NotFound:
                return None

    async def waiting(self, limit: int) -> Sequence[Approval]:
        async with self._reading() as conn:
            found = await approvals.list_approvals(
                conn, statuses=frozenset({ApprovalStatus.PENDING})
            )
        return found[:limit]

    def classify(self, text: str) -> Classification | None:
        if self._classify is None:
            return None
        return self._classify(Failure(self._service, self._clock.now(), text, source_kind="server"))

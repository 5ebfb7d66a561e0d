"""The agents' facts, read from the store as the sidecar: nothing here writes, and no body or stack
leaves.
"""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

import asyncpg

from proxy.contract.health import Health
from proxy.domain.approval import Approval
from proxy.domain.failure import Classification
from proxy.domain.job import Job, JobStatus
from proxy.domain.patch import Patch, PatchStatus
from proxy.errors import NotFound, Unavailable
from proxy.founder.approvals import UNDECIDED
from proxy.store import approvals as approval_store
from proxy.store import incidents as incident_store
from proxy.store import jobs as job_store
from proxy.store import patches as patch_store
from proxy.store.jobs import JobQuery
from proxy.store.pool import AS_PROXY, acting

PAGE = 200
WATCHED = frozenset(
    {
        PatchStatus.PROPOSED,
        PatchStatus.SANDBOX_RUNNING,
        PatchStatus.SANDBOX_PASSED,
        PatchStatus.SANDBOX_FAILED,
        PatchStatus.APPROVED,
        PatchStatus.APPLIED,
        PatchStatus.REGRESSED,
    }
)


class StoreFacts:
    """``proxy.agents.facts.Facts`` on a pool that may be away."""

    def __init__(
        self,
        pool_source: Callable[[], asyncpg.Pool | None],
        health: Callable[[], Health],
        classify: Callable[[str], Classification | None] = lambda _: None,
    ) -> None:
        self._pool_source = pool_source
        self._health = health
        self._classify = classify

    async def health(self) -> Health:
        """The merged picture, with the counts of jobs where they can be had."""
        merged = self._health()
        try:
            async with self._reading() as conn:
                counts = await job_store.open_job_counts(conn)
        except Unavailable:
            return merged
        return merged.model_copy(update={"open_jobs": counts})

    async def open_jobs(self, limit: int) -> Sequence[Job]:
        async with self._reading() as conn:
            return await job_store.list_open_jobs(conn, limit)

    async def over(self, jobs: Collection[int]) -> Collection[int]:
        async with self._reading() as conn:
            return await incident_store.over_since(conn, jobs)

    async def jobs_since(self, since: datetime, limit: int) -> Sequence[Job]:
        """Page by page, newest first, until ``since`` or ``limit`` is reached."""
        found: list[Job] = []
        query = JobQuery(statuses=frozenset(JobStatus), sort="last_seen", noise=None, limit=PAGE)
        async with self._reading() as conn:
            while len(found) < limit:
                page = await job_store.list_jobs(conn, query)
                found += [job for job in page.jobs if job.last_seen >= since]
                ended = not page.jobs or page.jobs[-1].last_seen < since
                if ended or page.next_cursor is None:
                    break
                query = replace(query, cursor=page.next_cursor)
        return found[:limit]

    async def job(self, number: int) -> Job | None:
        try:
            async with self._reading() as conn:
                return await job_store.get_job(conn, number)
        except NotFound:
            return None

    async def patch(self, number: int) -> Patch | None:
        try:
            async with self._reading() as conn:
                return await patch_store.get_patch(conn, number)
        except NotFound:
            return None

    async def patches_of(self, job: int) -> Sequence[Patch]:
        async with self._reading() as conn:
            return await patch_store.list_patches(conn, job)

    async def live_patches(self, limit: int) -> Sequence[Patch]:
        async with self._reading() as conn:
            return await patch_store.list_patches(conn, None, WATCHED, limit)

    async def approval(self, number: int) -> Approval | None:
        try:
            async with self._reading() as conn:
                return await approval_store.get_approval(conn, number)
        except NotFound:
            return None

    async def waiting(self, limit: int) -> Sequence[Approval]:
        async with self._reading() as conn:
            newest_first = await approval_store.list_approvals(conn, UNDECIDED, limit=limit)
        return newest_first[::-1]

    def classify(self, text: str) -> Classification | None:
        return self._classify(text)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[asyncpg.Connection]:
        pool = self._pool_source()
        if pool is None:
            raise Unavailable("the database is out of reach; try again")
        async with acting(pool, AS_PROXY) as conn:
            yield conn

"""A bug that a third of the requests meet is worse than its text."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from proxy.app.reach import Reach
from proxy.clock import ManualClock
from proxy.config import Config
from proxy.domain.failure import Severity
from proxy.store import jobs
from proxy.store.pool import AS_PROXY, acting
from tests.support.store import classified, failure


async def test_the_share_of_traffic_stands_on_the_job_and_raises_it(
    proxy_pool: asyncpg.Pool,
) -> None:
    @asynccontextmanager
    async def as_sidecar() -> AsyncIterator[asyncpg.Connection]:
        async with acting(proxy_pool, AS_PROXY) as conn:
            yield conn

    clock, requests = ManualClock(), [0]
    reach = Reach(as_sidecar, Config(), lambda: requests[0], clock=clock)
    mild = classified(severity=Severity.LOW)
    async with as_sidecar() as conn:
        job = (await jobs.record_failure(conn, failure(), mild)).job
        other = await jobs.record_failure(conn, failure(service="shop"), mild)
    await reach.look()
    async with as_sidecar() as conn:
        await jobs.record_failure(conn, failure(), mild, count=80)
        await jobs.record_failure(conn, failure(service="shop"), mild, count=80)
    requests[0] += 200
    clock.advance(10)
    await reach.look()
    async with as_sidecar() as conn:
        ours = await jobs.get_job(conn, job.id)
        theirs = await jobs.get_job(conn, other.job.id)
    assert (ours.affected_share, ours.severity) == (0.4000000059604645, Severity.HIGH)
    assert (theirs.affected_share, theirs.severity) == (None, Severity.LOW)

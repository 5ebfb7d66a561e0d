"""After a fix: only a failure of a build that has the fix, and later than it, is a regression."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from proxy.store import jobs
from proxy.store.jobs import RecordedJob
from proxy.store.pool import AS_PROXY, acting
from tests.support.postgres import TestDatabase
from tests.support.store import classified, failure

LONG = timedelta(hours=2)


class Bug:
    """One job, put into ``applied`` by hand: how it got there is not the matter here."""

    def __init__(self, database: TestDatabase, pool: asyncpg.Pool) -> None:
        self._database, self._pool = database, pool
        self.applied_at = datetime.now(UTC)

    async def fires(self, **changes: Any) -> RecordedJob:
        async with acting(self._pool, AS_PROXY) as conn:
            return await jobs.record_failure(conn, failure(**changes), classified())

    async def is_applied(self, ago: timedelta = timedelta()) -> None:
        self.applied_at = datetime.now(UTC) - ago
        conn = await self._database.connect_installer()
        await conn.execute("alter table self_healing_jobs disable trigger all")
        await conn.execute(
            "update self_healing_jobs set status = 'applied', applied_at = $1", self.applied_at
        )
        await conn.execute("alter table self_healing_jobs enable trigger all")
        await conn.close()

    async def deploys(self, version: str, at: datetime) -> None:
        conn = await self._database.connect_installer()
        await conn.execute("set session_replication_role = replica")
        await conn.execute(
            "insert into observability_deploys (created_at, version, announced_by)"
            " values ($1, $2, 'api')",
            at,
            version,
        )
        await conn.close()

    def later(self, seconds: float = 60) -> datetime:
        return self.applied_at + timedelta(seconds=seconds)


@pytest.fixture
async def bug(database: TestDatabase, proxy_pool: asyncpg.Pool) -> Bug:
    return Bug(database, proxy_pool)


async def test_without_builds_time_alone_decides(bug: Bug) -> None:
    await bug.fires()
    await bug.is_applied()
    late = await bug.fires(occurred_at=bug.applied_at - timedelta(seconds=1))
    assert (late.regressed, late.job.status, late.job.occurrences) == (False, "applied", 2)
    again = await bug.fires(occurred_at=bug.later())
    assert (again.regressed, again.job.status, again.job.regression) == (True, "open", True)


async def test_a_straggler_of_the_old_build_reopens_nothing_and_the_new_build_does(
    bug: Bug,
) -> None:
    await bug.fires(release="shop@1")
    await bug.is_applied()
    old = await bug.fires(release="shop@1", occurred_at=bug.later())
    assert (old.regressed, old.job.occurrences) == (False, 2)
    new = await bug.fires(release="shop@2", occurred_at=bug.later())
    assert (new.regressed, new.job.status) == (True, "open")
    assert set(new.job.releases) == {"shop@1"}


async def test_long_after_the_fix_a_name_that_never_changes_is_no_build(bug: Bug) -> None:
    await bug.fires(release="shop")
    await bug.is_applied(ago=LONG)
    assert (await bug.fires(release="shop", occurred_at=bug.later(7000))).regressed


async def test_long_after_the_fix_an_old_build_beside_a_new_one_is_still_a_straggler(
    bug: Bug,
) -> None:
    await bug.fires(release="shop@1")
    await bug.is_applied(ago=LONG)
    await bug.deploys("shop@2", bug.later(60))
    assert not (await bug.fires(release="shop@1", occurred_at=bug.later(7000))).regressed
    assert (await bug.fires(release="shop@2", occurred_at=bug.later(7000))).regressed


async def test_where_deploys_are_marked_the_one_after_the_fix_decides(bug: Bug) -> None:
    await bug.fires()
    await bug.is_applied()
    await bug.deploys("1", bug.applied_at - timedelta(days=1))
    assert not (await bug.fires(occurred_at=bug.later(30))).regressed
    await bug.deploys("2", bug.later(60))
    assert not (await bug.fires(occurred_at=bug.later(59))).regressed
    assert (await bug.fires(occurred_at=bug.later(61))).regressed

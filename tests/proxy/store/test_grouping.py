"""Merges and splits: durable, audited, people's alone, and no job is ever renamed."""

from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from proxy.domain.facet import keys, telling
from proxy.domain.failure import Severity
from proxy.domain.job import Job, JobStatus
from proxy.errors import Conflict, NotFound, NotPermitted
from proxy.store import audit, grouping, jobs
from proxy.store.pool import AS_PROXY, acting
from tests.support.postgres import TestDatabase
from tests.support.store import classified, failure

ONE, TWO, THREE = "v1:1111111111111111", "v1:2222222222222222", "v1:3333333333333333"


async def record(pool: asyncpg.Pool, signature: str, count: int = 1, **changes: Any) -> Job:
    async with acting(pool, AS_PROXY) as conn:
        recorded = await jobs.record_failure(
            conn, failure(**changes), classified(signature), count=count
        )
        return recorded.job


async def get(pool: asyncpg.Pool, number: int) -> Job:
    async with acting(pool, AS_PROXY) as conn:
        return await jobs.get_job(conn, number)


async def merge(db: TestDatabase, keep: Job, other: Job, role: str = "founder") -> None:
    conn = await db.connect_as(role)
    try:
        async with acting(conn, db.actor(role)) as inside:
            await grouping.merge(inside, keep.id, other.id, "the same upload bug")
    finally:
        await conn.close()


async def split(db: TestDatabase, job: Job, event: int, role: str = "founder") -> int:
    conn = await db.connect_as(role)
    try:
        async with acting(conn, db.actor(role)) as inside:
            events = await jobs.job_events(inside, job.id)
            one = next(e for e in events if e.id == event)
            facet = telling(one.failure, [e.failure for e in events if e.id != event])
            assert facet is not None
            like = [event] + [
                e.id for e in events if e.id != event and facet.key in keys(e.failure)
            ]
            return await grouping.split(inside, job.id, like, facet, None)
    finally:
        await conn.close()


async def test_a_merge_counts_both_on_the_first_for_ever(
    database: TestDatabase, proxy_pool: asyncpg.Pool
) -> None:
    keep = await record(proxy_pool, ONE, 3)
    other = await record(proxy_pool, TWO, 4)
    await merge(database, keep, other)
    merged, closed = await get(proxy_pool, keep.id), await get(proxy_pool, other.id)
    assert (merged.occurrences, merged.signature) == (7, ONE)
    assert (closed.status, closed.signature, closed.occurrences) == (JobStatus.CLOSED, TWO, 4)
    assert closed.closed_reason == f"merged into J-{keep.id}: the same upload bug"
    assert (await record(proxy_pool, TWO)).id == keep.id
    assert (await record(proxy_pool, ONE)).occurrences == 9


async def test_merges_of_merges_stay_flat(database: TestDatabase, proxy_pool: asyncpg.Pool) -> None:
    one, two, three = [await record(proxy_pool, s) for s in (ONE, TWO, THREE)]
    await merge(database, two, three)
    await merge(database, one, two, role="admin")
    assert {(await record(proxy_pool, s)).id for s in (ONE, TWO, THREE)} == {one.id}


async def test_a_merged_job_that_is_reopened_gets_its_failures_back(
    database: TestDatabase, proxy_pool: asyncpg.Pool
) -> None:
    keep, other = await record(proxy_pool, ONE), await record(proxy_pool, TWO)
    await merge(database, keep, other)
    conn = await database.connect_as("founder")
    async with acting(conn, database.actor("founder")) as inside:
        await jobs.step_job(inside, other.id, JobStatus.OPEN)
    await conn.close()
    assert (await record(proxy_pool, TWO)).id == other.id


async def test_taking_a_merge_back_gives_back_the_counts(
    database: TestDatabase, proxy_pool: asyncpg.Pool
) -> None:
    keep, other = await record(proxy_pool, ONE, 3), await record(proxy_pool, TWO, 4)
    await merge(database, keep, other)
    await record(proxy_pool, TWO)
    conn = await database.connect_as("founder")
    async with acting(conn, database.actor("founder")) as inside:
        events = await jobs.job_events(inside, keep.id)
        theirs = [e.id for e in events if e.signature == TWO]
        assert await grouping.unmerge(inside, keep.id, TWO, theirs) == other.id
    with pytest.raises(NotFound):
        async with acting(conn, database.actor("founder")) as inside:
            await grouping.unmerge(inside, keep.id, TWO, theirs)
    await conn.close()
    assert (await get(proxy_pool, keep.id)).occurrences == 3
    back = await get(proxy_pool, other.id)
    assert (back.status, back.occurrences) == (JobStatus.OPEN, 5)
    assert (await record(proxy_pool, TWO)).id == other.id


async def test_a_split_is_by_what_tells_the_samples_apart_and_holds_for_later_ones(
    database: TestDatabase, proxy_pool: asyncpg.Pool
) -> None:
    job = await record(proxy_pool, ONE, 10)
    await record(proxy_pool, ONE, route="/orders/{id}/refund")
    await record(proxy_pool, ONE, route="/orders/{id}/refund", message="boom 4711")
    async with acting(proxy_pool, AS_PROXY) as conn:
        newest = (await jobs.job_events(conn, job.id))[0]
    made = await split(database, job, newest.id)
    old, new = await get(proxy_pool, job.id), await get(proxy_pool, made)
    assert (old.occurrences, new.occurrences) == (10, 2)
    assert (old.signature, new.route) == (ONE, "/orders/{id}/refund")
    assert new.signature != ONE
    assert "route GET /orders/{id}/refund" in new.signature_text
    assert (await record(proxy_pool, ONE, route="/orders/{id}/refund")).id == made
    assert (await record(proxy_pool, ONE)).id == job.id
    with pytest.raises(Conflict) as caught:
        await split(database, job, (await newest_of(proxy_pool, job, "/orders/{id}/refund")))
    assert caught.value.code == "illegal_step"


async def newest_of(pool: asyncpg.Pool, job: Job, route: str) -> int:
    """A sample that looks like the split bug, put back by hand: as if it had come meanwhile."""
    async with acting(pool, AS_PROXY) as conn:
        found = await conn.fetchval(
            "insert into self_healing_events (job_id, occurred_at, failure) select $1, now(),"
            " failure from self_healing_events where failure ->> 'route' = $2 limit 1 returning id",
            job.id,
            route,
        )
        return int(found)


async def test_a_split_bug_can_be_merged_back(
    database: TestDatabase, proxy_pool: asyncpg.Pool
) -> None:
    job = await record(proxy_pool, ONE)
    await record(proxy_pool, ONE, route="/b")
    async with acting(proxy_pool, AS_PROXY) as conn:
        made = await split(database, job, (await jobs.job_events(conn, job.id))[0].id)
    await merge(database, job, await get(proxy_pool, made))
    assert (await record(proxy_pool, ONE, route="/b")).id == job.id


async def test_what_is_refused_and_to_whom(
    database: TestDatabase, proxy_pool: asyncpg.Pool
) -> None:
    one = await record(proxy_pool, ONE)
    foreign = await record(proxy_pool, TWO, service="shop")
    staged = await record(proxy_pool, TWO, environment="staging")
    for keep, other in ((one, foreign), (one, staged), (one, one)):
        with pytest.raises(Conflict):
            await merge(database, keep, other)
    two = await record(proxy_pool, TWO)
    for role in ("agent", "viewer"):
        with pytest.raises(NotPermitted):
            await merge(database, one, two, role=role)
    async with acting(proxy_pool, AS_PROXY) as conn:
        with pytest.raises(NotPermitted):
            async with acting(conn, AS_PROXY) as inside:
                await grouping.merge(inside, one.id, two.id, None)
    await merge(database, one, two)
    with pytest.raises(Conflict, match="closed"):
        await merge(database, one, two)
    with pytest.raises(NotFound):
        await merge(database, one, replace(one, id=999))


async def test_merges_and_splits_stand_in_the_audit(
    database: TestDatabase, proxy_pool: asyncpg.Pool
) -> None:
    one, two = await record(proxy_pool, ONE), await record(proxy_pool, TWO)
    await record(proxy_pool, ONE, route="/b")
    async with acting(proxy_pool, AS_PROXY) as conn:
        event = (await jobs.job_events(conn, one.id))[0].id
    await split(database, one, event)
    await merge(database, one, two)
    async with acting(proxy_pool, AS_PROXY) as conn:
        entries = await audit.list_audit(conn, limit=50)
    said = {e.action: e for e in entries}
    assert said["job.merged"].actor == said["job.split"].actor == "ada"
    assert said["job.merged"].subject == f"J-{one.id}"


async def test_clients_are_counted_exactly_and_then_closely(proxy_pool: asyncpg.Pool) -> None:
    from proxy.domain.sketch import kept

    job = await record(proxy_pool, ONE, client="c0")
    for number in range(40):
        job = await record(proxy_pool, ONE, client=f"c{number % 20}")
    assert job.distinct_clients == 20
    async with acting(proxy_pool, AS_PROXY) as conn:
        many = kept(*(f"visitor{n}" for n in range(5000)))
        recorded = await jobs.record_failure(
            conn, failure(), classified(ONE), count=5000, clients=many
        )
        assert await jobs.raise_severity(conn, recorded.job.id, Severity.CRITICAL)
        assert not await jobs.raise_severity(conn, recorded.job.id, Severity.LOW)
    assert 5020 * 0.6 < recorded.job.distinct_clients < 5020 * 1.4
